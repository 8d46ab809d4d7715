//! How many may be connected at the same time: `MaxConnections`. Who comes when all seats are taken waits outside, in the
//! system's queue, until somebody leaves; nobody who is inside is turned out. Who has a quarter of the seats already gets no more, so that
//! one user never takes them all.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::{Stream, StreamExt};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::transport::server::Connected;
use tracing::{debug, warn};

use crate::budget::{Budget, Claim};

/// File descriptors that the controller keeps for itself: journal, logs, listening sockets.
const OWN_FILES: u64 = 128;

/// The part of the seats that one user may take.
const SHARE_OF_ONE: usize = 4;

/// The seats, for all ways in together.
#[derive(Clone)]
pub(crate) struct Door {
    seats: Arc<Semaphore>,
    shares: Arc<Budget<u32>>,
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
        Door::with_seats(most.min(room).clamp(1, Semaphore::MAX_PERMITS))
    }

    fn with_seats(seats: usize) -> Door {
        Door { seats: Arc::new(Semaphore::new(seats)), shares: Budget::new((seats / SHARE_OF_ONE).max(1), seats) }
    }

    /// Lets connections in as seats get free; `whose` says for whom a connection counts, and nobody for whom it does not.
    pub(crate) fn guests<C>(
        &self,
        incoming: impl Stream<Item = io::Result<C>> + Send + 'static,
        whose: impl Fn(&C) -> Option<u32> + Send + 'static,
    ) -> impl Stream<Item = io::Result<Guest<C>>> + Send + 'static
    where
        C: Send + 'static,
    {
        let shares = self.shares.clone();
        let counted = incoming.filter_map(move |connection| {
            let share = connection.as_ref().ok().and_then(&whose).map(|uid| shares.claim(uid, 1)).transpose();
            if let Err(exhausted) = &share {
                debug!(?exhausted, "one connection too many of a user is closed");
            }
            std::future::ready(share.ok().map(|share| connection.map(|connection| (connection, share))))
        });
        let seats = self.seats.clone();
        counted.then(move |counted| {
            let seats = seats.clone();
            async move {
                let (connection, share) = counted?;
                let seat = seats.acquire_owned().await.expect("the seats are never closed");
                Ok(Guest { connection, _seat: seat, _share: share })
            }
        })
    }
}

/// A connection with its seat.
pub(crate) struct Guest<C> {
    connection: C,
    _seat: OwnedSemaphorePermit,
    _share: Option<Claim<u32>>,
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
        let door = Door::with_seats(2);
        let mut unix = Box::pin(door.guests(futures::stream::iter((1..=3).map(io::Result::Ok)), |_| None));
        let mut tcp = Box::pin(door.guests(futures::stream::iter([Ok(4)]), |_| None));
        let first = unix.next().now_or_never().flatten().expect("a seat is free").expect("sound");
        let second = tcp.next().now_or_never().flatten().expect("a seat is free").expect("sound");
        assert_eq!((first.connection, second.connection), (1, 4));
        assert!(unix.next().now_or_never().is_none(), "both ways in share the seats");
        drop(second);
        let third = unix.next().now_or_never().flatten().expect("a seat is free again").expect("sound");
        assert_eq!(third.connection, 2);
    }
    #[test]
    fn one_user_takes_a_quarter_of_the_seats() {
        let door = Door::with_seats(8);
        let users = [5, 5, 5, 6, 5, 0].map(io::Result::Ok);
        let guests = door.guests(futures::stream::iter(users), |uid| Some(*uid).filter(|uid| *uid != 0));
        let let_in: Vec<_> =
            guests.map(|guest| guest.expect("sound")).collect::<Vec<_>>().now_or_never().expect("no wait");
        assert_eq!(let_in.iter().map(|guest| guest.connection).collect::<Vec<_>>(), [5, 5, 6, 0]);
        drop(let_in);
        assert!(door.shares.claim(5, 2).is_ok(), "all is given back");
    }
}
