//! The signals that tell noded to go: held back until somebody listens to them.
//!
//! A noded that was ended while it starts its launcher would leave one that nobody can find yet.

use std::io;

use nix::sys::signal::{SigSet, Signal};
use tokio::signal::unix::{self, SignalKind, signal};

/// SIGTERM and SIGINT, listened to.
pub(crate) struct Signals {
    /// Go, and leave the tasks to the launcher.
    pub(crate) term: unix::Signal,
    /// Leave the cluster for good.
    pub(crate) int: unix::Signal,
}

/// Holds them back for this thread and for all that it starts. Before there are others, or they would be ended by them.
pub(crate) fn hold() -> io::Result<()> {
    Ok(both().thread_block()?)
}

impl Signals {
    /// Listens, and lets in what was held back. Within a runtime, on the thread that has called [`hold`].
    pub(crate) fn listen() -> io::Result<Signals> {
        let signals = Signals { term: signal(SignalKind::terminate())?, int: signal(SignalKind::interrupt())? };
        both().thread_unblock()?;
        Ok(signals)
    }
}

fn both() -> SigSet {
    [Signal::SIGTERM, Signal::SIGINT].into_iter().collect()
}
