//! The signals that srun takes instead of being ended by them.

use std::io;

use rustix::process::Signal;
use tokio::signal::unix::{self, SignalKind, signal};

/// What srun passes on, or is told by.
const TAKEN: [Signal; 7] =
    [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT, Signal::USR1, Signal::USR2, Signal::ALARM];

/// Listened to.
pub(super) struct Signals {
    streams: Vec<(Signal, unix::Signal)>,
}

impl Signals {
    /// Listens. Within a runtime.
    pub(super) fn listen() -> io::Result<Signals> {
        let listen = |taken: Signal| Ok((taken, signal(SignalKind::from_raw(taken.as_raw()))?));
        Ok(Signals { streams: TAKEN.into_iter().map(listen).collect::<io::Result<_>>()? })
    }

    /// The next one.
    pub(super) async fn next(&mut self) -> Signal {
        let any = self.streams.iter_mut().map(|(taken, stream)| {
            Box::pin(async move {
                stream.recv().await;
                *taken
            })
        });
        futures::future::select_all(any).await.0
    }
}
