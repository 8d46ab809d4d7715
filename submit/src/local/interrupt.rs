//! Ctrl-C and SIGTERM while something is under way that has to be cleaned up.

use std::future::Future;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::{Failure, Outcome};

/// The exit code of a shell command that was ended by a signal is this and the signal's number.
const SIGNALLED: u8 = 128;

/// As soon as these exist, signals no longer end the process by themselves.
#[derive(Debug)]
pub(crate) struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// Takes over the signals; to be called before anything is made that has to be cleaned up.
    ///
    /// # Errors
    /// When the system refuses.
    pub(crate) fn listen() -> Outcome<Signals> {
        let listen =
            |kind| signal(kind).map_err(|error| Failure::chain("covey: error: cannot listen for signals: ", &error));
        Ok(Signals { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    /// Carries out `work`, and gives up on it at the first signal.
    ///
    /// # Errors
    /// What `work` fails with; for a signal, a failure with a shell's exit code for it (130 or 143).
    pub(crate) async fn stop<T>(&mut self, work: impl Future<Output = Outcome<T>>) -> Outcome<T> {
        tokio::select! {
            done = work => done,
            _ = self.interrupt.recv() => Err(given_up(SignalKind::interrupt())),
            _ = self.terminate.recv() => Err(given_up(SignalKind::terminate())),
        }
    }
}

fn given_up(kind: SignalKind) -> Failure {
    let number = u8::try_from(kind.as_raw_value()).expect("signals that people send are below 32");
    Failure::new("covey: interrupted").exit(SIGNALLED + number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_signal_ends_the_work_and_not_the_process() {
        // The only test that raises this one: handlers belong to the whole process.
        let mut signals = Signals::listen().expect("the system allows it");
        assert_eq!(signals.stop(async { Ok(5) }).await, Ok(5));
        rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TERM).expect("ours");
        let failure = signals.stop(std::future::pending::<Outcome<()>>()).await.expect_err("it was given up");
        assert_eq!(failure, Failure::new("covey: interrupted").exit(143));
    }
}
