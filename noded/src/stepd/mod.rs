//! `covey stepd`: the process that is one step on one node. It starts the step's tasks, carries their streams, tells their
//! ends, and leaves with the worst of them.
//!
//! The launcher starts it, holds it by the step's key and ends what it leaves behind. It reads its [`order`] from stdin, writes
//! the step's result to stdout, and finds on stderr what the launcher had to say about the step. While the controller is away
//! its tasks go on until their pipes are full. Start at [`run`]; [`voice`] keeps what was said, [`line`] sends it.

mod line;
mod order;
mod streams;
mod task;
mod voice;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::FromRawFd;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use nix::libc;
use proto::endpoint::Endpoints;
use proto::v1::step_said::Kind;
use proto::v1::{StepOutput, StepTaskEnded, StepTaskFailed};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use thiserror::Error;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

pub(crate) use order::{StepOrder, StepResult, Stream, TaskOrder};

use crate::launcher::become_user;
use crate::launcher::frame::Outcome;
use crate::launcher::spawn::{self, ENTRANCES_VARIABLE};
use crate::papers::{Carried, PapersError};
use line::{HEARD_MAX, Heard, keep_up};
use task::{Started, Starter};
use voice::Voice;

/// For srun to take what is left to be said, once the step was told to stop.
const LAST_WORDS_WAIT: Duration = Duration::from_secs(5);

/// Why a stepd cannot begin.
#[derive(Debug, Error)]
enum StepdError {
    #[error("cannot read the order")]
    Read(#[source] io::Error),
    #[error("the order is of another build")]
    Order(#[from] rmp_serde::decode::Error),
    #[error(transparent)]
    Endpoints(#[from] proto::endpoint::EndpointError),
    #[error(transparent)]
    Papers(#[from] PapersError),
    #[error("cannot become the user of the job")]
    User(#[source] io::Error),
    #[error("the operating system gives no runtime")]
    Runtime(#[source] io::Error),
}

/// Runs `covey stepd`; with `--hold` it only stands for an allocation, until it is ended.
#[must_use]
pub fn run(arguments: &[std::ffi::OsString]) -> ExitCode {
    if arguments.iter().any(|word| word == "--hold") {
        loop {
            nix::unistd::pause();
        }
    }
    match serve() {
        Ok(result) => {
            let bytes = rmp_serde::to_vec_named(&result).unwrap_or_default();
            // A result that cannot be written is made good by the exit code.
            io::stdout().write_all(&bytes).ok();
            ExitCode::from(result.status())
        }
        Err(error) => {
            let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}")).unwrap_or_default();
            eprintln!("slurmstepd: error: {error}{cause}");
            ExitCode::FAILURE
        }
    }
}

fn serve() -> Result<StepResult, StepdError> {
    let mut bytes = Vec::new();
    io::stdin().read_to_end(&mut bytes).map_err(StepdError::Read)?;
    let order = StepOrder::decode(&bytes)?;
    let endpoints: Endpoints = order.controller.parse()?;
    let papers =
        order.papers.as_ref().map(|folder| Carried::of(folder.as_os_str().as_ref(), &order.node)).transpose()?;
    let entrances = entrances();
    // What is opened here is not open to the user.
    let notes = File::open("/proc/self/fd/2").map_err(StepdError::Read)?;
    order.user.as_ref().map_or(Ok(()), become_user).map_err(StepdError::User)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(StepdError::Runtime)?;
    let result = runtime.block_on(async {
        let voice = Arc::new(Voice::new());
        let (hears, heard) = mpsc::channel(HEARD_MAX);
        let order = Arc::new(order);
        let line = tokio::spawn({
            let (order, voice) = (order.clone(), voice.clone());
            async move { keep_up(&order, endpoints, papers, voice, hears).await }
        });
        let mut step = Step::new(order, voice, notes).map_err(StepdError::Runtime)?;
        let result = step.serve(entrances, heard).await;
        line.abort();
        Ok(result)
    });
    runtime.shutdown_background();
    result
}

/// The descriptors that the launcher has left open for the tasks; no task inherits them.
fn entrances() -> Arc<[File]> {
    let numbers = std::env::var(ENTRANCES_VARIABLE).unwrap_or_default();
    let open = |number: &str| {
        let number = number.parse().ok()?;
        // SAFETY: the launcher has opened these for this process, and nobody else here owns them.
        #[allow(unsafe_code, reason = "a descriptor that was inherited has no other way into a value")]
        let file = unsafe { File::from_raw_fd(number) };
        rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::CLOEXEC).ok()?;
        Some(file)
    };
    numbers.split(',').filter_map(open).collect()
}

/// The tasks of a step, while they run.
struct Step {
    order: Arc<StepOrder>,
    voice: Arc<Voice>,
    result: StepResult,
    /// By pid.
    alive: BTreeMap<i32, Alive>,
    ended: signals::Ended,
    /// What carries the streams.
    streams: JoinSet<()>,
    /// The launcher's words, read as far as they were passed on.
    notes: File,
    told_to_stop: bool,
}

/// A task whose end is not known yet.
struct Alive {
    rank: u32,
    /// Tells its streams that nothing more comes but what is in the pipe.
    gone: watch::Sender<bool>,
    /// What reads its output.
    readers: JoinSet<()>,
}

mod signals {
    //! The signals that a stepd takes.

    use super::{SignalKind, io, signal};

    /// Children that end, and the wish that all do.
    pub(super) struct Ended {
        pub(super) child: tokio::signal::unix::Signal,
        pub(super) term: tokio::signal::unix::Signal,
    }

    impl Ended {
        pub(super) fn listen() -> io::Result<Ended> {
            Ok(Ended { child: signal(SignalKind::child())?, term: signal(SignalKind::terminate())? })
        }
    }
}

impl Step {
    fn new(order: Arc<StepOrder>, voice: Arc<Voice>, notes: File) -> io::Result<Step> {
        let (alive, streams, result) = (BTreeMap::new(), JoinSet::new(), StepResult::default());
        Ok(Step { order, voice, result, alive, ended: signals::Ended::listen()?, streams, notes, told_to_stop: false })
    }

    async fn serve(&mut self, entrances: Arc<[File]>, mut heard: mpsc::Receiver<Heard>) -> StepResult {
        let writers = self.start_all(entrances).await;
        let (input, inputs) = mpsc::channel(HEARD_MAX);
        let feeding = tokio::spawn(streams::feed(inputs, writers, self.voice.clone()));
        while !self.alive.is_empty() || !self.streams.is_empty() {
            tokio::select! {
                _ = self.ended.child.recv() => self.reap(),
                _ = self.ended.term.recv() => self.on_term().await,
                Some(_) = self.streams.join_next() => {}
                Some(heard) = heard.recv() => match heard {
                    // There is room: the line takes no more than fits.
                    Heard::Input(part) => drop(input.try_send(part)),
                    Heard::Signal(number) => self.signal(number),
                },
            }
        }
        feeding.abort();
        self.take_leave().await;
        self.result
    }

    /// Waits until srun has all that was said.
    async fn take_leave(&mut self) {
        let voice = self.voice.clone();
        let mut all_received = std::pin::pin!(voice.all_received());
        while !self.told_to_stop {
            tokio::select! {
                () = &mut all_received => return,
                _ = self.ended.term.recv() => self.on_term().await,
            }
        }
        // A step that is being ended is not held up by a controller that is away.
        tokio::time::timeout(LAST_WORDS_WAIT, all_received).await.ok();
    }

    /// Starts all tasks; gives the ends of those that read from srun.
    async fn start_all(&mut self, entrances: Arc<[File]>) -> Vec<io::PipeWriter> {
        let order = self.order.clone();
        let mut starter = Starter::new(&order, entrances);
        let mut writers = Vec::new();
        for (local, task) in order.tasks.iter().enumerate() {
            match starter.start(local, task) {
                Ok(started) => writers.extend(self.on_started(task.rank, started)),
                Err(failure) => self.on_failed(task.rank, failure).await,
            }
        }
        writers
    }

    fn on_started(&mut self, rank: u32, started: Started) -> Option<io::PipeWriter> {
        let Started { pid, stdin, stdout, stderr } = started;
        let (gone, is_gone) = watch::channel(false);
        let mut readers = JoinSet::new();
        for (pipe, error) in [(stdout, false), (stderr, true)] {
            if let Some(pipe) = pipe {
                let said = move |bytes| Kind::Output(StepOutput { task: rank, error, bytes });
                readers.spawn(streams::carry(pipe, said, self.voice.clone(), is_gone.clone()));
            }
        }
        self.alive.insert(pid, Alive { rank, gone, readers });
        stdin
    }

    async fn on_failed(&mut self, rank: u32, mut failure: task::StartFailure) {
        let exit_code = failure.exit_code();
        self.result.add(exit_code, 0);
        if let task::StartFailure::Stream { .. } = failure {
            self.voice.say(Kind::Message(failure.text())).await;
            return self.voice.say(Kind::TaskFailed(StepTaskFailed { task: rank, why: "I/O error".into() })).await;
        }
        if !failure.is_noted() {
            let bytes = (failure.text() + "\n").into_bytes();
            self.voice.say(Kind::Output(StepOutput { task: rank, error: true, bytes })).await;
        }
        self.voice
            .say(Kind::TaskEnded(StepTaskEnded { task: rank, exit_code: exit_code.into(), exit_signal: 0 }))
            .await;
    }

    /// Takes note of the tasks that have ended. What is left in the group of one ends with it: while it is not waited for, its
    /// number is nobody else's.
    fn reap(&mut self) {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        for &number in self.alive.keys() {
            let Some(pid) = Pid::from_raw(number) else { continue };
            if let Ok(Some(_)) = waitid(WaitId::Pid(pid), options) {
                kill_process_group(pid, Signal::KILL).ok();
            }
        }
        while let Some(end) = spawn::reap() {
            let Some(alive) = self.alive.remove(&end.pid) else { continue };
            let (code, signal) = match end.outcome {
                Outcome::Signalled { signal } => (0, u8::try_from(signal).unwrap_or(u8::MAX)),
                Outcome::Exited { code } => (u8::try_from(code).unwrap_or(u8::MAX), 0),
                Outcome::OutOfMemory | Outcome::NotStarted { .. } | Outcome::Lost => (1, 0),
            };
            self.result.add(code, signal);
            self.result.user_us += end.usage.user_us;
            self.result.system_us += end.usage.system_us;
            self.result.max_rss_kib = self.result.max_rss_kib.max(end.usage.max_rss_kib);
            let Alive { rank, gone, mut readers } = alive;
            let said = StepTaskEnded { task: rank, exit_code: code.into(), exit_signal: signal.into() };
            let voice = self.voice.clone();
            // Its end is told behind all that it has written.
            self.streams.spawn(async move {
                gone.send_replace(true);
                while readers.join_next().await.is_some() {}
                voice.say(Kind::TaskEnded(said)).await;
            });
            if self.order.kill_on_bad_exit && (code, signal) != (0, 0) {
                self.signal(libc::SIGTERM.unsigned_abs());
            }
        }
    }

    /// Signals the group of each task.
    fn signal(&self, number: u32) {
        let Some(signal) = i32::try_from(number).ok().and_then(Signal::from_named_raw) else { return };
        for pid in self.alive.keys().filter_map(|number| Pid::from_raw(*number)) {
            // One that has ended is not signalled, and that is all.
            kill_process_group(pid, signal).ok();
        }
    }

    /// The launcher ends the step, has told the tasks, and has left a word for srun.
    async fn on_term(&mut self) {
        self.told_to_stop = true;
        let mut text = Vec::new();
        // Words that cannot be read are said by nobody.
        self.notes.read_to_end(&mut text).ok();
        for line in String::from_utf8_lossy(&text).lines() {
            self.voice.say(Kind::Message(line.to_owned())).await;
        }
    }
}
