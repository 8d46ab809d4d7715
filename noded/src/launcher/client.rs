//! The launcher's end of the connection to noded, which never makes the launcher wait.
//!
//! Requests are read only when the earlier ones are done with, so that a hasty noded waits in the socket; notices wait
//! in a bounded buffer. When a connection ends, requests not yet carried out are gone with it: the next one's `Hello`
//! must not be overtaken by an old order.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;

use thiserror::Error;

use super::frame::{Notice, Request};
use super::wire::{self, FRAME_BYTES_MAX, FrameError};

/// Notices not yet taken by noded. Over it the connection is dropped; the next one begins with all that is known.
const OUTBOX_BYTES_MAX: usize = 2 * FRAME_BYTES_MAX;

const READ_BYTES: usize = 64 << 10;

/// Why a connection is dropped.
#[derive(Debug, Error)]
pub(super) enum ClientError {
    #[error("the other side hung up")]
    HungUp,
    #[error("the other side does not read its notices: {OUTBOX_BYTES_MAX} bytes wait")]
    TooSlow,
    #[error("cannot read from or write to the socket")]
    Socket(#[from] io::Error),
    #[error(transparent)]
    Frame(#[from] FrameError),
}

/// One connection.
pub(super) struct Client {
    pub(super) stream: UnixStream,
    inbox: Vec<u8>,
    requests: VecDeque<Request>,
    outbox: VecDeque<u8>,
}

impl Client {
    pub(super) fn new(stream: UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self { stream, inbox: Vec::new(), requests: VecDeque::new(), outbox: VecDeque::new() })
    }

    /// Whether requests wait to be carried out.
    pub(super) fn has_requests(&self) -> bool {
        !self.requests.is_empty()
    }

    /// Whether notices wait to be written.
    pub(super) fn has_notices(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// Reads what is there, up to the end of a frame or [`READ_BYTES`].
    pub(super) fn read(&mut self) -> Result<(), ClientError> {
        let length = self.inbox.len();
        self.inbox.resize(length + READ_BYTES, 0);
        let result = self.stream.read(&mut self.inbox[length..]);
        self.inbox.truncate(length + *result.as_ref().unwrap_or(&0));
        match result {
            Ok(0) => return Err(ClientError::HungUp),
            Err(error) if !is_temporary(&error) => return Err(error.into()),
            Ok(_) | Err(_) => {}
        }
        while let Some((batch, used)) = wire::decode(&self.inbox)? {
            self.requests.extend(batch);
            self.inbox.drain(..used);
        }
        Ok(())
    }

    /// The next requests, at most `count`.
    pub(super) fn take_requests(&mut self, count: usize) -> impl Iterator<Item = Request> + '_ {
        let count = count.min(self.requests.len());
        self.requests.drain(..count)
    }

    /// Hands notices over to the buffer and writes what goes out at once.
    pub(super) fn say(&mut self, notices: &[Notice]) -> Result<(), ClientError> {
        let mut frames = Vec::new();
        wire::encode(notices, &mut frames)?;
        self.outbox.extend(frames);
        self.flush()?;
        if self.outbox.len() > OUTBOX_BYTES_MAX { Err(ClientError::TooSlow) } else { Ok(()) }
    }

    /// Writes what goes out at once.
    pub(super) fn flush(&mut self) -> Result<(), ClientError> {
        while !self.outbox.is_empty() {
            match self.stream.write(self.outbox.as_slices().0) {
                Ok(written) => drop(self.outbox.drain(..written)),
                Err(error) if is_temporary(&error) => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

fn is_temporary(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
