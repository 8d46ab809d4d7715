//! noded's end of the connection to its launcher, on tokio.
//!
//! Reconnecting is not done here: when a half fails, drop both, call [`ensure`](super::ensure) and begin again with the
//! hello of the new connection.

use std::io;
use std::os::unix::net::UnixStream as StdUnixStream;

use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use super::frame::{Notice, Request};
use super::wire::{self, FrameError};

const READ_BYTES: usize = 64 << 10;

/// Why the connection is of no more use.
#[derive(Debug, Error)]
pub enum LinkError {
    /// The launcher died, or another connection took this one's place.
    #[error("the launcher hung up; connect again")]
    HungUp,
    /// A request that fits no frame (nothing of it was sent), or an answer that is none.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// The descriptor is not fit for tokio.
    #[error("cannot use the launcher's socket")]
    Adopt(#[source] io::Error),
    /// Reading failed.
    #[error("cannot read from the launcher's socket")]
    Read(#[source] io::Error),
    /// Writing failed.
    #[error("cannot write to the launcher's socket")]
    Write(#[source] io::Error),
}

/// A connection to the launcher.
#[derive(Debug)]
pub struct Link {
    requests: RequestSender,
    notices: NoticeReceiver,
}

/// The half that orders.
#[derive(Debug)]
pub struct RequestSender {
    stream: OwnedWriteHalf,
    frames: Vec<u8>,
}

/// The half that listens.
#[derive(Debug)]
pub struct NoticeReceiver {
    stream: OwnedReadHalf,
    inbox: Vec<u8>,
}

impl Link {
    /// Takes over what [`ensure`](super::ensure) returned. Within a tokio runtime.
    ///
    /// # Errors
    /// When the descriptor cannot be registered with the runtime.
    pub fn new(stream: StdUnixStream) -> Result<Self, LinkError> {
        stream.set_nonblocking(true).map_err(LinkError::Adopt)?;
        let (reading, writing) = UnixStream::from_std(stream).map_err(LinkError::Adopt)?.into_split();
        let requests = RequestSender { stream: writing, frames: Vec::new() };
        let notices = NoticeReceiver { stream: reading, inbox: Vec::new() };
        Ok(Self { requests, notices })
    }

    /// The two halves, for two tasks of the runtime.
    #[must_use]
    pub fn into_split(self) -> (RequestSender, NoticeReceiver) {
        (self.requests, self.notices)
    }

    /// As [`RequestSender::send`].
    ///
    /// # Errors
    /// As there.
    pub async fn send(&mut self, requests: &[Request]) -> Result<(), LinkError> {
        self.requests.send(requests).await
    }

    /// As [`NoticeReceiver::receive`].
    ///
    /// # Errors
    /// As there.
    pub async fn receive(&mut self) -> Result<Vec<Notice>, LinkError> {
        self.notices.receive().await
    }
}

impl RequestSender {
    /// Sends a batch. Not to be dropped half-way if the connection is to be used again.
    ///
    /// # Errors
    /// [`LinkError::Frame`] if a request is too long: nothing was sent and the connection is as it was. Any other: the
    /// connection is gone.
    pub async fn send(&mut self, requests: &[Request]) -> Result<(), LinkError> {
        self.frames.clear();
        wire::encode(requests, &mut self.frames)?;
        self.stream.write_all(&self.frames).await.map_err(LinkError::Write)
    }
}

impl NoticeReceiver {
    /// The next batch. Dropping the future loses nothing.
    ///
    /// # Errors
    /// When the connection is gone or not understood.
    pub async fn receive(&mut self) -> Result<Vec<Notice>, LinkError> {
        loop {
            if let Some((batch, used)) = wire::decode(&self.inbox)? {
                self.inbox.drain(..used);
                return Ok(batch);
            }
            self.inbox.reserve(READ_BYTES);
            match self.stream.read_buf(&mut self.inbox).await {
                Ok(0) => return Err(LinkError::HungUp),
                Ok(_) => {}
                Err(error) => return Err(LinkError::Read(error)),
            }
        }
    }
}
