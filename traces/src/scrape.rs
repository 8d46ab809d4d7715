//! `/metrics` over HTTP: one text for whoever asks, and nothing else.
//!
//! It is small on purpose: a few connections at a time, one request each, with bounded heads and a bounded time. What the text says is
//! the caller's. Start at [`serve`].

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tracing::{debug, warn};

/// Connections that are served at the same time; further ones wait in the system's queue.
pub const SCRAPES_MAX: usize = 8;
/// Bytes of a request's head.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// How long a connection may take, from its first byte to the last of the answer.
const SCRAPE_TIME: Duration = Duration::from_secs(10);
/// The pause after a connection could not be taken, such as without free file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// OpenMetrics, which Prometheus prefers to its own older text.
const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// Answers `GET /metrics` with what `text` says, until the caller drops it.
pub async fn serve(listener: TcpListener, text: impl Fn() -> String + Clone + Send + Sync + 'static) {
    let seats = Arc::new(Semaphore::new(SCRAPES_MAX));
    loop {
        let seat = seats.clone().acquire_owned().await.expect("the seats are never closed");
        match listener.accept().await {
            Ok((stream, peer)) => {
                let text = text.clone();
                tokio::spawn(async move {
                    let _seat = seat;
                    match tokio::time::timeout(SCRAPE_TIME, answer(stream, text)).await {
                        Ok(Ok(())) => {}
                        Ok(Err(error)) => debug!(%peer, %error, "a scrape broke off"),
                        Err(_) => debug!(%peer, "a scrape took too long"),
                    }
                });
            }
            Err(error) => {
                warn!(%error, "no connection for metrics can be taken");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Listens for scrapes.
///
/// # Errors
/// With the address, when it cannot be had.
pub async fn listen(address: std::net::SocketAddr) -> io::Result<TcpListener> {
    let failed = |error: io::Error| io::Error::new(error.kind(), format!("cannot serve metrics on {address}: {error}"));
    TcpListener::bind(address).await.map_err(failed)
}

async fn answer(stream: TcpStream, text: impl Fn() -> String + Clone + Send + 'static) -> Result<(), hyper::Error> {
    let service = service_fn(move |request: Request<Incoming>| {
        let text = text.clone();
        async move { Ok::<_, Infallible>(respond(&request, text).await) }
    });
    http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(HEAD_BYTES_MAX)
        .timer(TokioTimer::new())
        .header_read_timeout(SCRAPE_TIME)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

async fn respond(request: &Request<Incoming>, text: impl Fn() -> String + Send + 'static) -> Response<String> {
    let plain = |status, text: &str| {
        let mut response = Response::new(text.to_owned());
        *response.status_mut() = status;
        response
    };
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/metrics") => {
            // It may walk over a large cluster: not on the threads that serve the others.
            let Ok(text) = tokio::task::spawn_blocking(text).await else {
                return plain(StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be read\n");
            };
            let mut response = plain(StatusCode::OK, &text);
            response.headers_mut().insert(CONTENT_TYPE, OPEN_METRICS);
            response
        }
        (&Method::GET, _) => plain(StatusCode::NOT_FOUND, "look at /metrics\n"),
        _ => {
            let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET is served\n");
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET"));
            response
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn said(address: std::net::SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        stream.write_all(request.as_bytes()).await.expect("it reads");
        let mut answer = String::new();
        // A connection that is cut for what it sent may end in a reset.
        stream.read_to_string(&mut answer).await.ok();
        answer
    }

    #[tokio::test]
    async fn one_text_is_served_and_nothing_else() {
        let listener = listen("127.0.0.1:0".parse().expect("an address")).await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        assert!(listen(address).await.expect_err("it is taken").to_string().contains(&address.to_string()));
        tokio::spawn(serve(listener, || "answer_total 42\n# EOF\n".into()));
        let get = said(address, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await;
        assert!(get.starts_with("HTTP/1.1 200 OK\r\n") && get.ends_with("\r\n\r\nanswer_total 42\n# EOF\n"), "{get}");
        assert!(get.contains("application/openmetrics-text"), "{get}");
        assert!(said(address, "GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.starts_with("HTTP/1.1 404 "));
        assert!(said(address, "POST /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await.starts_with("HTTP/1.1 405 "));
        let long = format!("GET /metrics HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(2 * HEAD_BYTES_MAX));
        assert!(!said(address, &long).await.contains("answer_total"));
    }
}
