//! Callers, each with a connection to the controller to himself, and the connections that wait for the next.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use proto::behalf::Behalf;
use proto::dial::channel_by_tls;
use proto::endpoint::Endpoints;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::transport::Channel;
use tonic::transport::server::Connected;
use tracing::debug;

use crate::papers::Papers;

/// Callers that are connected at the same time; further ones wait in the system's queue.
const VISITORS_MAX: usize = 256;
/// Connections to the controller that are kept for the next caller, who has no handshake to wait for then.
const IDLE_MAX: usize = 4;

/// The connections to the controller.
#[derive(Debug)]
pub(super) struct Lines {
    places: Endpoints,
    papers: Arc<Papers>,
    idle: Mutex<Vec<Channel>>,
    seats: Arc<Semaphore>,
}

impl Lines {
    pub(super) fn new(places: Endpoints, papers: Arc<Papers>) -> Lines {
        let seats = Arc::new(Semaphore::new(VISITORS_MAX));
        Lines { places, papers, idle: Mutex::default(), seats }
    }

    fn take(&self) -> Channel {
        let waiting = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        waiting.unwrap_or_else(|| {
            let papers = self.papers.clone();
            channel_by_tls(&self.places, move || papers.trust())
        })
    }

    fn give_back(&self, line: Channel) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_MAX {
            idle.push(line);
        }
    }
}

/// A caller's connection.
pub(super) struct Visitor {
    stream: UnixStream,
    visit: Arc<Visit>,
}

/// Who calls, and by which line: there until the last call of this connection is over.
pub(super) struct Visit {
    pub(super) behalf: Behalf,
    pub(super) line: Channel,
    lines: Arc<Lines>,
    _seat: OwnedSemaphorePermit,
}

impl Visitor {
    /// Gives a caller a seat as soon as there is one; nobody whose user the kernel does not tell.
    pub(super) async fn welcome(stream: UnixStream, lines: &Arc<Lines>) -> Option<Visitor> {
        let peer = stream.peer_cred().inspect_err(|error| debug!(%error, "nobody knows who calls")).ok()?;
        let seat = lines.seats.clone().acquire_owned().await.expect("the seats are never closed");
        let behalf = Behalf { uid: peer.uid(), gid: peer.gid() };
        let visit = Visit { behalf, line: lines.take(), lines: lines.clone(), _seat: seat };
        Some(Visitor { stream, visit: Arc::new(visit) })
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.lines.give_back(self.line.clone());
    }
}

impl Connected for Visitor {
    type ConnectInfo = Arc<Visit>;

    fn connect_info(&self) -> Arc<Visit> {
        self.visit.clone()
    }
}

impl AsyncRead for Visitor {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, to)
    }
}

impl AsyncWrite for Visitor {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, from)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
