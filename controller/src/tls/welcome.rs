//! Handshakes: from a connection that has a seat to one whose other side is known.
//!
//! They are made side by side and bounded in number and time, so that who connects and says nothing keeps nobody out.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::{Stream, StreamExt};
use proto::node_certificate::NodeCertificate;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::transport::server::Connected;
use tracing::debug;

use super::turned_away;
use crate::audit::{Audit, Line, Outcome, Who};
use crate::budget::{Budget, Claim};
use crate::door::{Door, Guest};
use crate::prompt::Prompt;

/// How long a handshake may take.
const HANDSHAKE_TIME: Duration = Duration::from_secs(5);
/// Handshakes at the same time. One more ends the one that has taken longest: an honest one takes milliseconds.
const HANDSHAKES_MAX: usize = 128;
/// Connections that have shown no certificate; one more is closed, so that they never take all seats.
const STRANGERS_MAX: usize = 1_024;
/// And from one address.
const STRANGERS_OF_ONE_MAX: usize = 512;

const TOO_MANY_STRANGERS: &str = "there are as many connections without a certificate as there may be";

/// Lets connections in as seats get free, and gives those on whose other side somebody speaks TLS 1.3.
pub(crate) fn welcome(
    listener: TcpListener,
    acceptor: TlsAcceptor,
    door: &Door,
    audit: Audit,
) -> impl Stream<Item = io::Result<Prompt<TlsGuest>>> + Send + 'static {
    let incoming = TcpListenerStream::new(listener).map(|stream| {
        let stream = stream?;
        stream.set_nodelay(true)?;
        Ok(stream)
    });
    let mut incoming = Box::pin(door.guests(incoming, |_| None));
    let (sender, made) = mpsc::channel(HANDSHAKES_MAX);
    tokio::spawn(async move {
        let strangers = Budget::new(STRANGERS_OF_ONE_MAX, STRANGERS_MAX);
        let mut busy: VecDeque<AbortHandle> = VecDeque::new();
        loop {
            let guest = tokio::select! {
                guest = incoming.next() => guest,
                () = sender.closed() => return,
            };
            let Some(guest) = guest else { return };
            busy.retain(|handshake| !handshake.is_finished());
            if busy.len() >= HANDSHAKES_MAX
                && let Some(oldest) = busy.pop_front()
            {
                oldest.abort();
            }
            let guest = match guest {
                Ok(guest) => guest,
                Err(error) => {
                    debug!(%error, "no connection");
                    continue;
                }
            };
            let (acceptor, strangers, sender) = (acceptor.clone(), strangers.clone(), sender.clone());
            let audit = audit.clone();
            let made = async move {
                let address = guest.connect_info().remote_addr();
                match handshake(acceptor, guest, address, &strangers).await {
                    // Where nobody takes it the controller is stopping.
                    Ok(guest) => drop(sender.send(Ok(Prompt::new(guest))).await),
                    Err(error) => turn_away(&audit, address, &error),
                }
            };
            busy.push_back(tokio::spawn(made).abort_handle());
        }
    });
    ReceiverStream::new(made)
}

async fn handshake(
    acceptor: TlsAcceptor,
    guest: Guest<TcpStream>,
    address: Option<SocketAddr>,
    strangers: &Arc<Budget<Option<IpAddr>>>,
) -> io::Result<TlsGuest> {
    let made = tokio::time::timeout(HANDSHAKE_TIME, acceptor.accept(guest)).await;
    let stream = made.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
    let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
    let node = shown.map(NodeCertificate::read).transpose().map_err(io::Error::other)?.map(Arc::new);
    let stranger = match &node {
        Some(_) => None,
        None => {
            let claimed = strangers.claim(address.map(|address| address.ip()), 1);
            Some(claimed.map_err(|_| io::Error::other(TOO_MANY_STRANGERS))?)
        }
    };
    Ok(TlsGuest { stream: Box::new(stream), peer: TlsPeer { address, node }, _stranger: stranger })
}

fn turn_away(audit: &Audit, address: Option<SocketAddr>, error: &io::Error) {
    debug!(?address, %error, "no TLS connection");
    let Some(why) = turned_away::why(error) else { return };
    let (who, verb) = (Who::unknown(address), "connect".into());
    audit.add(Line { at_us: 0, outcome: Outcome::Refused, verb, who, what: String::new(), why, times: 1 });
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
    _stranger: Option<Claim<Option<IpAddr>>>,
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
