//! One call on its way through: whose it is is said for it, and nothing else of it is read.
//!
//! Bodies go through frame by frame, both ways, as fast as the slower side takes them.

use std::convert::Infallible;
use std::error::Error;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use proto::behalf::{BEHALF_KEY, Behalf};
use proto::error::refused;
use proto::reason::ErrorReason;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::header::AUTHORIZATION;
use tonic::codegen::http::{HeaderMap, HeaderValue, Request, Response};
use tonic::codegen::{Service, StdError};

use super::lines::Visit;

/// The services that a node passes calls on to: those for users, and those by which a program finds its way around them. Who may join
/// and who may have a token is told to the controller itself.
const OPEN: [&str; 3] = ["/covey.v1.Controller/", "/grpc.reflection.v1.ServerReflection/", "/grpc.health.v1.Health/"];

/// Passes calls on by their caller's own line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pass;

impl<B> Service<Request<B>> for Pass
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<StdError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        Box::pin(async move { Ok(pass(request.map(Body::new)).await.unwrap_or_else(Status::into_http)) })
    }
}

async fn pass(mut request: Request<Body>) -> Result<Response<Body>, Status> {
    if !OPEN.iter().any(|service| request.uri().path().starts_with(service)) {
        let detail =
            "a node passes on no calls about tokens and members of the cluster: run this on the controller's machine";
        return Err(refused(ErrorReason::NotAllowed, "Access/permission denied", Some(detail)));
    }
    let visit = request.extensions_mut().remove::<Arc<Visit>>().ok_or_else(|| Status::internal("nobody calls"))?;
    speak_for(visit.behalf, request.headers_mut());
    let mut line = visit.line.clone();
    poll_fn(|cx| line.poll_ready(cx)).await.map_err(|error| lost(&error))?;
    let answer = line.call(request).await.map_err(|error| lost(&error))?;
    Ok(answer.map(|body| Body::new(Answer { body, is_lost: false })))
}

/// Says whose call it is. What the caller has said about that itself goes no further, and neither does a token: it is for TLS alone.
fn speak_for(behalf: Behalf, headers: &mut HeaderMap) {
    headers.remove(AUTHORIZATION);
    let value = HeaderValue::from_str(&behalf.to_string()).expect("digits and a colon");
    headers.insert(BEHALF_KEY, value);
}

/// The controller is away: what helps is to come again.
fn lost(error: &dyn Error) -> Status {
    let mut why = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let text = cause.to_string();
        // Some errors say what their cause says.
        if !why.contains(&text) {
            why.push_str(&format!(": {text}"));
        }
        source = cause.source();
    }
    let detail = format!("this node does not reach the controller: {why}");
    refused(ErrorReason::Unreachable, "Unable to contact slurm controller (connect failure)", Some(&detail))
}

/// What the controller answers, and a status where it goes away in the middle of that.
struct Answer {
    body: Body,
    is_lost: bool,
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.is_lost {
            return Poll::Ready(None);
        }
        let mut frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Err(error)) = &frame {
            let mut trailers = HeaderMap::new();
            frame = Some(lost(error).add_header(&mut trailers).map(|()| Frame::trailers(trailers)));
            self.is_lost = true;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.is_lost || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_says_whose_a_call_is_and_not_the_caller() {
        let mut headers = HeaderMap::new();
        headers.append(BEHALF_KEY, HeaderValue::from_static("0:0"));
        headers.append(BEHALF_KEY, HeaderValue::from_static("0:1"));
        headers.insert(AUTHORIZATION, HeaderValue::from_static("Bearer secret"));
        headers.insert("te", HeaderValue::from_static("trailers"));
        speak_for(Behalf { uid: 1000, gid: 100 }, &mut headers);
        let said: Vec<_> = headers.get_all(BEHALF_KEY).iter().collect();
        assert_eq!(said, ["1000:100"]);
        assert_eq!(headers.len(), 2, "nothing else of it is changed, and no token goes on: {headers:?}");
    }
}
