//! Handshakes: from a connection that has a seat to one whose other side is known.
//!
//! They are made side by side and bounded in number and time, so that who connects and says nothing keeps nobody out.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::{Stream, StreamExt};
use proto::node_certificate::NodeCertificate;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::server::Connected;
use tracing::debug;

use crate::door::{Door, Guest};

/// How long a handshake may take.
const HANDSHAKE_TIME: Duration = Duration::from_secs(5);
/// Handshakes at the same time; who comes when there are as many waits in the system's queue.
const HANDSHAKES_MAX: usize = 128;
/// Connections that have shown no certificate; one more is closed, so that they never take all seats.
const STRANGERS_MAX: usize = 1_024;

/// Lets connections in as seats get free, and gives those on whose other side somebody speaks TLS 1.3.
pub(crate) fn welcome(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    door: &Door,
) -> impl Stream<Item = io::Result<TlsGuest>> + Send + 'static {
    let incoming = TcpListenerStream::new(listener).map(|stream| {
        let stream = stream?;
        stream.set_nodelay(true)?;
        Ok(stream)
    });
    let strangers = Arc::new(Semaphore::new(STRANGERS_MAX));
    let handshakes = door.guests(incoming).map(move |guest| handshake(acceptor.clone(), guest, strangers.clone()));
    handshakes
        .buffer_unordered(HANDSHAKES_MAX)
        .filter_map(|made| async { made.inspect_err(|error| debug!(%error, "no TLS connection")).ok().map(Ok) })
}

async fn handshake(
    acceptor: TlsAcceptor,
    guest: io::Result<Guest<TcpStream>>,
    strangers: Arc<Semaphore>,
) -> io::Result<TlsGuest> {
    let guest = guest?;
    let address = guest.connect_info().remote_addr();
    let made = tokio::time::timeout(HANDSHAKE_TIME, acceptor.accept(guest)).await;
    let stream = made.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
    let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let node = shown.map(NodeCertificate::read).transpose().map_err(io::Error::other)?.map(Arc::new);
    let stranger = match &node {
        Some(_) => None,
        None => Some(strangers.try_acquire_owned().map_err(io::Error::other)?),
    };
    Ok(TlsGuest { stream: Box::new(stream), peer: TlsPeer { address, node }, _stranger: stranger })
}

/// Who is on the other side of a TLS connection.
#[derive(Clone, Debug)]
pub(crate) struct TlsPeer {
    /// From where.
    pub(crate) address: Option<SocketAddr>,
    /// The certificate that was shown and checked; nothing for who has shown none.
    pub(crate) node: Option<Arc<NodeCertificate>>,
}

/// A connection with its seat, after the handshake.
pub(crate) struct TlsGuest {
    stream: Box<TlsStream<Guest<TcpStream>>>,
    peer: TlsPeer,
    _stranger: Option<OwnedSemaphorePermit>,
}

impl Connected for TlsGuest {
    type ConnectInfo = TlsPeer;

    fn connect_info(&self) -> TlsPeer {
        self.peer.clone()
    }
}

impl AsyncRead for TlsGuest {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, to)
    }
}

impl AsyncWrite for TlsGuest {
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
