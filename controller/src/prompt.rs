//! Whoever connects has to say something soon: a connection over which nothing has come for [`FIRST_WORD_TIME`] is closed, because it holds a seat.
//!
//! From the first word on HTTP/2's own pings find out who is gone.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};
use tonic::transport::server::Connected;

/// How long the preface of HTTP/2 may take.
const FIRST_WORD_TIME: Duration = Duration::from_secs(10);
/// Its length in bytes.
const FIRST_WORD_BYTES: usize = 24;

/// A connection that has to say something.
pub(crate) struct Prompt<C> {
    connection: C,
    /// Until when, and how much is missing; nothing once it has.
    waits: Option<(Pin<Box<Sleep>>, usize)>,
}

impl<C> Prompt<C> {
    pub(crate) fn new(connection: C) -> Prompt<C> {
        Prompt { connection, waits: Some((Box::pin(sleep(FIRST_WORD_TIME)), FIRST_WORD_BYTES)) }
    }
}

impl<C: Connected> Connected for Prompt<C> {
    type ConnectInfo = C::ConnectInfo;

    fn connect_info(&self) -> C::ConnectInfo {
        self.connection.connect_info()
    }
}

impl<C: AsyncRead + Unpin> AsyncRead for Prompt<C> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = to.filled().len();
        let read = Pin::new(&mut self.connection).poll_read(cx, to);
        let Some((until, missing)) = &mut self.waits else { return read };
        let come = to.filled().len() - before;
        *missing = missing.saturating_sub(come);
        if *missing == 0 {
            self.waits = None;
            return read;
        }
        if until.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        read
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for Prompt<C> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.connection).poll_write(cx, from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.connection).poll_write_vectored(cx, from)
    }

    fn is_write_vectored(&self) -> bool {
        self.connection.is_write_vectored()
    }
}
