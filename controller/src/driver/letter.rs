//! What lies in the driver's mailbox, and the bounded mailbox itself.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use proto::link::{Order, Register, ToNode};
use proto::node_certificate::NodeCertificate;
use sched::ids::{AttemptKey, BlobHash, NodeId, StepKey};
use sched::lease::Lease;
use sched::reconcile::AttemptEnd;
use sched::step::{Answer, Input};
use thiserror::Error;
use tokio::sync::{mpsc, oneshot};

use crate::config::Config;

/// An end with the longest note.
const END_BYTES: usize = 100 + sched::reason::NOTE_BYTES_MAX;
/// Letters that may wait. A command that finds the mailbox full is told to try again; a node's link waits.
pub(crate) const MAILBOX_LETTERS_MAX: usize = 16_384;

/// A node that was let in.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Session {
    /// The node.
    pub(crate) node: NodeId,
    /// The number of its session.
    pub(crate) number: u64,
    /// What it is told of its lease.
    pub(crate) lease: Option<Lease>,
}

/// Where a node's session goes, or why it is not let in.
pub(crate) type Registered = oneshot::Sender<Result<Session, String>>;

/// Something for the driver.
pub(crate) enum Letter {
    /// An input of a command, with the journal blobs that it names.
    Input {
        /// What is asked.
        input: Input,
        /// Blobs to keep when it is accepted.
        blobs: Vec<(BlobHash, Bytes)>,
        /// Who waits for the answer.
        reply: Reply,
    },
    /// A node's link has come up.
    Register {
        /// What the node says.
        register: Register,
        /// What it has shown, where it comes over TLS.
        certificate: Option<Arc<NodeCertificate>>,
        /// Where its orders go.
        sender: mpsc::Sender<ToNode>,
        /// Who waits for its number and session.
        reply: Registered,
    },
    /// Attempts and parts of steps ended.
    Ends {
        /// The node.
        node: NodeId,
        /// The session in which it said so.
        session: u64,
        /// The ends.
        ends: Vec<(AttemptKey, AttemptEnd)>,
        /// Ends of parts of steps.
        steps: Vec<(StepKey, AttemptEnd)>,
    },
    /// A node's link is gone.
    LinkClosed {
        /// The node.
        node: NodeId,
        /// Its session.
        session: u64,
        /// Whether the node said that it leaves for good.
        left: bool,
    },
    /// A node is to do what changes nothing; one that is not connected misses it.
    Order {
        /// Which.
        node: NodeId,
        /// What.
        order: Order,
    },
    /// Other settings hold from now on; an input says it of partitions.
    Config(Box<Config>),
    /// The controller stops.
    Stop,
}

impl Letter {
    /// About how many bytes of a record it can lead to.
    pub(crate) fn weight(&self) -> usize {
        match self {
            Letter::Input { input: Input::Submit { spec, .. }, .. } => spec.size_bytes(),
            Letter::Input { input: Input::CreateStep(new), .. } => new.spec.size_bytes(),
            Letter::Input { .. } => 1024,
            Letter::Register { register, .. } => {
                1024 + (register.claims.len() + register.step_claims.len()) * END_BYTES
            }
            Letter::Ends { ends, steps, .. } => (ends.len() + steps.len()) * END_BYTES,
            Letter::LinkClosed { .. } | Letter::Order { .. } | Letter::Config(_) | Letter::Stop => 64,
        }
    }

    /// Tells the sender that nothing can be kept now.
    pub(crate) fn refuse(self) {
        if let Letter::Input { reply, .. } = self {
            reply.send(Err(Unavailable::Journal));
        }
    }
}

/// Where an answer goes; nobody may be waiting any more.
pub(crate) struct Reply(Option<oneshot::Sender<Result<Answer, Unavailable>>>);

impl Reply {
    /// For inputs that nobody waits for.
    pub(crate) fn none() -> Reply {
        Reply(None)
    }

    pub(crate) fn send(self, answer: Result<Answer, Unavailable>) {
        // The caller may have gone away; the fact stands without it.
        self.0.map(|sender| sender.send(answer).ok());
    }
}

/// Nothing was changed, and trying again later may help.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub(crate) enum Unavailable {
    /// The commit failed.
    #[error("the journal cannot be written now; look into the controller's log and make room on its disk")]
    Journal,
    /// The mailbox is full.
    #[error("the controller has {MAILBOX_LETTERS_MAX} requests waiting; try again")]
    Full,
    /// The driver is gone.
    #[error("the controller is stopping")]
    Stopping,
}

/// The receiving end.
pub(crate) struct Mailbox(mpsc::Receiver<Letter>);

/// A sending end; clones share the mailbox.
#[derive(Clone)]
pub(crate) struct Post(mpsc::Sender<Letter>);

/// A mailbox and its sending end.
pub(crate) fn mailbox() -> (Post, Mailbox) {
    let (sender, receiver) = mpsc::channel(MAILBOX_LETTERS_MAX);
    (Post(sender), Mailbox(receiver))
}

impl Mailbox {
    /// Collects what is there, waiting up to `wait` for the first letter (for ever with `None`). False when no sender is
    /// left.
    pub(crate) async fn collect(&mut self, letters: &mut Vec<Letter>, most: usize, wait: Option<Duration>) -> bool {
        let receive = self.0.recv_many(letters, most);
        match wait {
            None => receive.await > 0,
            // Passing the time is a normal wake; only a closed channel ends the work.
            Some(wait) => tokio::time::timeout(wait, receive).await.map_or(true, |count| count > 0),
        }
    }
}

impl Post {
    /// Asks, and waits for the durable answer.
    pub(crate) async fn ask(&self, input: Input, blobs: Vec<(BlobHash, Bytes)>) -> Result<Answer, Unavailable> {
        let (sender, receiver) = oneshot::channel();
        let letter = Letter::Input { input, blobs, reply: Reply(Some(sender)) };
        self.0.try_send(letter).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Unavailable::Full,
            mpsc::error::TrySendError::Closed(_) => Unavailable::Stopping,
        })?;
        receiver.await.map_err(|_| Unavailable::Stopping)?
    }

    /// Puts a letter in, waiting for room. False when the driver is gone.
    pub(crate) async fn put(&self, letter: Letter) -> bool {
        self.0.send(letter).await.is_ok()
    }
}
