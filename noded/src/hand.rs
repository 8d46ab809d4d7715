//! noded's hold on its launcher: sends what is asked, and takes a new connection when the old one breaks.

use std::path::PathBuf;

use sched::ids::{AttemptKey, StepKey};
use sched::node::{Abilities, Means};
use sched::reason::{Exit, Scope, StopWhy};
use sched::reconcile::How;
use sched::signals::Sent;
use sched::task::Usage;
use tokio::task::spawn_blocking;
use tracing::{error, info, warn};

use crate::clock;
use crate::launcher::frame::{self, AttemptStatus, Controller, Ending, Notice, RawStr, Request, RunKey};
use crate::launcher::wire::{FRAME_BYTES_MAX, FrameError};
use crate::launcher::{self, LauncherError, Link, LinkError, NoticeReceiver, RequestSender};
use crate::roster::Seen;

/// The connection to the launcher.
pub(crate) struct Hand {
    folder: PathBuf,
    program: PathBuf,
    requests: RequestSender,
    notices: NoticeReceiver,
    /// Whether the hello of this connection has been heard. Before it nothing is asked: the hello would not know of it, and
    /// what it does not know counts as never asked.
    greeted: bool,
}

/// What the launcher said, in the roster's words.
pub(crate) enum Word {
    /// Everything that it knows, after a connection. Another id means that its records are new.
    Hello(Box<Hello>),
    /// News of one attempt.
    Of(AttemptKey, Seen),
    /// News of one step's part.
    OfStep(StepKey, Seen),
}

/// What a launcher knows.
pub(crate) struct Hello {
    pub(crate) launcher_id: String,
    pub(crate) attempts: Vec<(AttemptKey, Seen)>,
    pub(crate) steps: Vec<(StepKey, Seen)>,
    pub(crate) abilities: Abilities,
    /// Until when its lease holds, and how long its processes then have from TERM to KILL.
    pub(crate) lease: (Option<u64>, u64),
}

impl Hand {
    /// Takes a connection that was made before the runtime.
    pub(crate) fn new(
        folder: PathBuf,
        program: PathBuf,
        stream: std::os::unix::net::UnixStream,
    ) -> Result<Hand, LinkError> {
        let (requests, notices) = Link::new(stream)?.into_split();
        Ok(Hand { folder, program, requests, notices, greeted: false })
    }

    /// The next words. A launcher that died is started again, and then says hello.
    pub(crate) async fn listen(&mut self) -> Result<Vec<Word>, LauncherError> {
        loop {
            match self.notices.receive().await {
                Ok(notices) => {
                    self.greeted |= notices.iter().any(|notice| matches!(notice, Notice::Hello { .. }));
                    return Ok(notices.into_iter().map(word).collect());
                }
                Err(error) => {
                    self.greeted = false;
                    warn!(error = &error as &dyn std::error::Error, "the launcher's connection broke");
                    self.connect_again().await?;
                }
            }
        }
    }

    /// Sends requests; what a broken connection swallows is asked again after the next hello. Answers the launches that are
    /// too long to be asked for at all, each with a note that says so.
    pub(crate) async fn ask(&mut self, requests: &[Request]) -> Vec<(RunKey, String)> {
        if requests.is_empty() || !self.greeted {
            return Vec::new();
        }
        let mut too_long = Vec::new();
        match self.requests.send(requests).await {
            // Nothing was sent: what fits goes out alone.
            Err(LinkError::Frame(_)) => {
                for request in requests {
                    match self.requests.send(std::slice::from_ref(request)).await {
                        Err(LinkError::Frame(error)) => too_long.extend(refusal(request, &error)),
                        sent => log(sent),
                    }
                }
            }
            sent => log(sent),
        }
        too_long
    }

    async fn connect_again(&mut self) -> Result<(), LauncherError> {
        let (folder, program) = (self.folder.clone(), self.program.clone());
        let connected = spawn_blocking(move || launcher::ensure(&folder, &program)).await;
        let stream = connected.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?;
        match Link::new(stream) {
            Ok(link) => (self.requests, self.notices) = link.into_split(),
            Err(error) => error!(error = &error as &dyn std::error::Error, "the launcher's socket cannot be used"),
        }
        Ok(())
    }
}

fn log(sent: Result<(), LinkError>) {
    if let Err(error) = sent {
        error!(error = &error as &dyn std::error::Error, "the launcher could not be asked");
    }
}

/// What to tell of a request that is too long; only launches can be.
fn refusal(request: &Request, error: &FrameError) -> Option<(RunKey, String)> {
    let Request::Launch(launch) = request else {
        error!(%error, "a request to the launcher is too long");
        return None;
    };
    let bytes = |text: &RawStr| text.as_os_str().len();
    let words: usize = launch.argv.iter().map(bytes).sum();
    let environment: usize = launch.env.iter().map(|(name, value)| bytes(name) + bytes(value)).sum();
    let note = format!(
        "it cannot be started: its command has {words} bytes and its environment {environment}, and together they must \
         stay below {FRAME_BYTES_MAX}; submit it with a smaller environment (--export=NONE) or shorter arguments"
    );
    Some((launch.key, note))
}

/// A stop's reason in the launcher's words.
pub(crate) fn stop_why(why: StopWhy) -> frame::StopWhy {
    match why {
        StopWhy::Cancelled(_) | StopWhy::JobOver => frame::StopWhy::Cancelled,
        StopWhy::Released(_) => frame::StopWhy::Released,
        StopWhy::TimeLimit => frame::StopWhy::TimeLimit,
        StopWhy::Requeue => frame::StopWhy::Requeue,
        StopWhy::NodeDown => frame::StopWhy::NodeFailure,
        StopWhy::Deadline => frame::StopWhy::Deadline,
    }
}

/// A signal in the launcher's words; `None` where it is for steps, which have orders of their own.
pub(crate) fn signal(key: AttemptKey, sent: Sent) -> Option<Request> {
    let ask = |whole_tree| Request::Signal { key: key.into(), signal: sent.signal, whole_tree, number: sent.number };
    match sent.scope {
        Scope::Steps => None,
        Scope::Batch => Some(ask(false)),
        Scope::Full => Some(ask(true)),
    }
}

fn word(notice: Notice) -> Word {
    match notice {
        Notice::Hello { launcher_id, attempts, abilities, lease_until_ms, lease_kill_wait_ms } => {
            info!(limits_by = %abilities, "the launcher says hello");
            let (mut of_attempts, mut steps) = (Vec::new(), Vec::new());
            for (key, status) in attempts {
                let seen = match status {
                    AttemptStatus::Claimed => Seen::Running { heard: 0 },
                    AttemptStatus::Running { signals_heard, .. } => Seen::Running { heard: signals_heard },
                    AttemptStatus::Ended(ending) => left(&ending),
                };
                match key.step_key() {
                    Some(key) => steps.push((key, seen)),
                    None => of_attempts.push((key.attempt(), seen)),
                }
            }
            let (attempts, abilities) = (of_attempts, able(&abilities));
            let lease = (lease_until_ms, lease_kill_wait_ms);
            Word::Hello(Box::new(Hello { launcher_id, attempts, steps, abilities, lease }))
        }
        Notice::Started { key, .. } => of(key, Seen::Running { heard: 0 }),
        Notice::Ended { key, ending } => of(key, left(&ending)),
    }
}

fn of(key: RunKey, seen: Seen) -> Word {
    key.step_key().map_or_else(|| Word::Of(key.attempt(), seen.clone()), |step| Word::OfStep(step, seen.clone()))
}

/// What the launcher is able to do, in the words of the core.
fn able(abilities: &frame::Abilities) -> Abilities {
    let by_group = |controller| abilities.controllers.contains(&controller);
    let means = match abilities.means {
        frame::Means::Cgroup2 => Means::Cgroup2,
        frame::Means::Cgroup1 => Means::Cgroup1,
        frame::Means::Sampling => Means::Sampling,
    };
    // Where no group holds memory, it is sampled; open files are the business of each process.
    let (cpus, processes) = (by_group(Controller::Cpu), by_group(Controller::Processes));
    Abilities { means, memory: true, cpus, processes, open_files: true, leases: abilities.leases }
}

fn left(ending: &Ending) -> Seen {
    let exit = match &ending.outcome {
        frame::Outcome::Exited { code } => Exit { code: u8::try_from(*code).unwrap_or(u8::MAX), signal: 0 },
        frame::Outcome::Signalled { signal } => Exit { code: 0, signal: u8::try_from(*signal).unwrap_or(u8::MAX) },
        frame::Outcome::OutOfMemory | frame::Outcome::NotStarted { .. } | frame::Outcome::Lost => Exit::default(),
    };
    let (how, note) = match (&ending.outcome, ending.stopped) {
        (frame::Outcome::NotStarted { step, path, error }, _) => {
            (How::NotStarted, Some(format!("{path}: {error} ({step})")))
        }
        (frame::Outcome::Lost, _) => (How::Lost, None),
        (_, Some(frame::StopWhy::TimeLimit | frame::StopWhy::Deadline)) => (How::TimedOut(exit), None),
        (_, Some(frame::StopWhy::Requeue | frame::StopWhy::NodeFailure | frame::StopWhy::Preemption)) => {
            (How::Lost, None)
        }
        (frame::Outcome::OutOfMemory, _) => (How::OutOfMemory, None),
        (_, Some(frame::StopWhy::Cancelled | frame::StopWhy::Shutdown | frame::StopWhy::Released) | None) => {
            (How::Exited(exit), None)
        }
    };
    let usage = Usage {
        user_us: ending.usage.user_us,
        system_us: ending.usage.system_us,
        rss_kib_max: ending.usage.max_rss_kib,
        ..Usage::default()
    };
    Seen::Left { how, usage, note, age_ms: clock::ms_since_wall(ending.ended_ms) }
}

#[cfg(test)]
mod tests;
