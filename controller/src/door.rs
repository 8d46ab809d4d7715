//! How many may be connected at the same time: `MaxConnections`. Who comes when all seats are taken waits outside, in the
//! system's queue, until somebody leaves; nobody who is inside is turned out.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::{Stream, StreamExt};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::transport::server::Connected;
use tracing::warn;

/// File descriptors that the controller keeps for itself: journal, logs, listening sockets.
const OWN_FILES: u64 = 128;

/// The seats, for all ways in together.
#[derive(Clone)]
pub(crate) struct Door {
    seats: Arc<Semaphore>,
}

impl Door {
    /// So many seats, or as many as the system allows this process to have files.
    pub(crate) fn open(most: usize) -> Door {
        let limits = getrlimit(Resource::Nofile);
        // Where the higher limit is refused, the lower one bounds the seats.
        let raised = setrlimit(Resource::Nofile, Rlimit { current: limits.maximum, maximum: limits.maximum });
        let files = if raised.is_ok() { limits.maximum } else { limits.current };
        let room =
            files.map_or(usize::MAX, |files| usize::try_from(files.saturating_sub(OWN_FILES)).unwrap_or(usize::MAX));
        if room < most {
            warn!(
                MaxConnections = most,
                room, "the limit on open files allows fewer connections: raise it (ulimit -n)"
            );
        }
        Door { seats: Arc::new(Semaphore::new(most.min(room).clamp(1, Semaphore::MAX_PERMITS))) }
    }

    /// Lets connections in as seats get free.
    pub(crate) fn guests<C>(
        &self,
        incoming: impl Stream<Item = io::Result<C>> + Send + 'static,
    ) -> impl Stream<Item = io::Result<Guest<C>>> + Send + 'static
    where
        C: Send + 'static,
    {
        let seats = self.seats.clone();
        incoming.then(move |connection| {
            let seats = seats.clone();
            async move {
                let connection = connection?;
                let seat = seats.acquire_owned().await.expect("the seats are never closed");
                Ok(Guest { connection, _seat: seat })
            }
        })
    }
}

/// A connection with its seat.
pub(crate) struct Guest<C> {
    connection: C,
    _seat: OwnedSemaphorePermit,
}

impl<C: Connected> Connected for Guest<C> {
    type ConnectInfo = C::ConnectInfo;

    fn connect_info(&self) -> C::ConnectInfo {
        self.connection.connect_info()
    }
}

impl<C: AsyncRead + Unpin> AsyncRead for Guest<C> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.connection).poll_read(cx, to)
    }
}

impl<C: AsyncWrite + Unpin> AsyncWrite for Guest<C> {
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

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn who_finds_no_seat_waits_until_one_is_free() {
        let door = Door { seats: Arc::new(Semaphore::new(2)) };
        let mut unix = Box::pin(door.guests(futures::stream::iter((1..=3).map(io::Result::Ok))));
        let mut tcp = Box::pin(door.guests(futures::stream::iter([Ok(4)])));
        let first = unix.next().now_or_never().flatten().expect("a seat is free").expect("sound");
        let second = tcp.next().now_or_never().flatten().expect("a seat is free").expect("sound");
        assert_eq!((first.connection, second.connection), (1, 4));
        assert!(unix.next().now_or_never().is_none(), "both ways in share the seats");
        drop(second);
        let third = unix.next().now_or_never().flatten().expect("a seat is free again").expect("sound");
        assert_eq!(third.connection, 2);
    }
}
