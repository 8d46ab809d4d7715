//! A step from its creation to its end: the stream to the controller, made anew when it breaks, and what comes in between.
//!
//! What a node says is numbered, and confirmed once it is written; what comes again is passed over. Start at [`Session::run`].

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use proto::v1::from_srun::Kind as Says;
use proto::v1::step_said::Kind as Said;
use proto::v1::to_srun::Kind as Hears;
use proto::v1::{AttachStep, CreateStep, FromSrun, StepCreated, StepEnded, StepReceived, StepSaid, ToSrun};
use rustix::process::Signal;
use sched::spec::pattern::PatternValues;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::SendError;
use tokio::time::{Instant, sleep_until};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};

use super::ends::Ends;
use super::input::Input;
use super::options::Options;
use super::printer::{Printer, not_open};
use super::signals::Signals;
use super::spec::{Plan, Source};
use super::writing::{Write, Written, write_all};
use crate::call::{CallError, Channel, client, is_lost};
use crate::failure::{Failure, Outcome, exit_of_environment};
use crate::submitter::Submitter;

/// How long a controller is waited for that has not made the step yet; afterwards as long as it takes.
const CREATE_WAIT: Duration = Duration::from_secs(30);
/// From one try to the next: at first, and doubled up to the maximum.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(3);
/// Two of Ctrl-C within this time end the step.
const ABORT_WAIT: Duration = Duration::from_secs(1);
/// Tasks that end badly within this time share a line.
const LINES_WAIT: Duration = Duration::from_millis(200);
/// What may wait for the thread that writes.
const WRITING_MAX: usize = 16;
/// What may wait for the controller; more is said when there is room.
const SAYING_MAX: usize = 64;
/// After the third Ctrl-C.
const FORCE_WAIT: Duration = Duration::from_secs(1);

/// A step and its srun.
pub(super) struct Session<'a> {
    channel: Channel,
    job: u32,
    options: &'a Options,
    plan: Plan,
    submitter: &'a Submitter,
    signals: Signals,
    request_id: Vec<u8>,
    waited: bool,
    input: Input,
    /// Of each node: what was taken from it, what is written, and what of that was confirmed on this stream.
    nodes: BTreeMap<String, Heard>,
    step: Option<Running>,
    interrupted: Option<Instant>,
    stop: Stop,
    lines_at: Option<Instant>,
    wait_until: Option<Instant>,
    ended: Option<StepEnded>,
    /// Why the step is ended that has just been made.
    failure: Option<Failure>,
}

#[derive(Default)]
struct Heard {
    taken: u64,
    written: u64,
    confirmed: u64,
}

impl Heard {
    fn is_unconfirmed(&self) -> bool {
        self.written > self.confirmed
    }
}

/// What there is once the step is made.
struct Running {
    ends: Ends,
    writing: Option<mpsc::Sender<Write>>,
    written: mpsc::UnboundedReceiver<Written>,
}

/// How far srun itself has gone in ending the step.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stop {
    NotAsked,
    Asked,
    Forced(Instant),
}

/// A stream to the controller.
struct Wire {
    say: mpsc::Sender<FromSrun>,
    hear: Streaming<ToSrun>,
}

impl Wire {
    /// Says something that is not lost with the stream, or is of no more use then.
    fn say(&self, kind: Says) -> bool {
        self.say.try_send(FromSrun { kind: Some(kind) }).is_ok()
    }
}

impl<'a> Session<'a> {
    pub(super) fn new(
        channel: Channel,
        job: u32,
        options: &'a Options,
        plan: Plan,
        submitter: &'a Submitter,
        signals: Signals,
    ) -> Session<'a> {
        Session {
            channel,
            job,
            options,
            plan,
            submitter,
            signals,
            request_id: uuid::Uuid::new_v4().into_bytes().to_vec(),
            waited: false,
            input: Input::none(),
            nodes: BTreeMap::new(),
            step: None,
            interrupted: None,
            stop: Stop::NotAsked,
            lines_at: None,
            wait_until: None,
            ended: None,
            failure: None,
        }
    }

    /// Runs the step; what srun ends with.
    pub(super) async fn run(mut self) -> Outcome<u8> {
        let give_up_at = Instant::now() + CREATE_WAIT;
        let mut pause = PAUSE_MIN;
        while self.ended.is_none() {
            let (dialling, say) = self.dial();
            let mut dialling = std::pin::pin!(dialling);
            let dialled = loop {
                tokio::select! {
                    dialled = &mut dialling => break dialled,
                    signal = self.signals.next() => self.on_signal(signal, None)?,
                    () = force_at(self.stop) => return Ok(1),
                }
            };
            let broke = match dialled {
                Ok(hear) => {
                    pause = PAUSE_MIN;
                    self.talk(Wire { say, hear }).await?
                }
                Err(status) => Some(status),
            };
            let Some(status) = broke else { continue };
            if !is_lost(&status) || (self.step.is_none() && Instant::now() > give_up_at) {
                return Err(self.refused(status));
            }
            let until = Instant::now() + pause;
            pause = PAUSE_MAX.min(pause * 2);
            tokio::select! {
                () = sleep_until(until) => {}
                signal = self.signals.next() => self.on_signal(signal, None)?,
            }
        }
        self.finish().await
    }

    /// Asks for the step, or attaches to it again, with what may have been lost.
    fn dial(&self) -> (impl Future<Output = Result<Streaming<ToSrun>, Status>> + use<>, mpsc::Sender<FromSrun>) {
        let (say, said) = mpsc::channel(SAYING_MAX);
        let (request_id, job_id) = (self.request_id.clone(), self.job);
        let first = match &self.step {
            None => Says::Create(CreateStep { request_id, job_id, spec: Some(self.plan.spec.clone()) }),
            Some(_) => Says::Attach(AttachStep { request_id, job_id }),
        };
        let again = self.input.unreceived().map(Says::Input);
        for kind in std::iter::once(first).chain(again) {
            // There is room: less input is under way than fits.
            say.try_send(FromSrun { kind: Some(kind) }).ok();
        }
        let mut client = client(&self.channel).max_decoding_message_size(proto::LINK_MESSAGE_BYTES_MAX);
        let call = async move { Ok(client.run_step(ReceiverStream::new(said)).await?.into_inner()) };
        (call, say)
    }

    /// One stream: until the step has ended, or it breaks, and then by what.
    async fn talk(&mut self, mut wire: Wire) -> Outcome<Option<Status>> {
        self.nodes.values_mut().for_each(|heard| heard.confirmed = 0);
        let mut waiting: Option<Write> = None;
        loop {
            let writing = self.step.as_ref().and_then(|step| step.writing.clone());
            let timer = self.lines_at.into_iter().chain(self.wait_until).min();
            tokio::select! {
                message = wire.hear.message(), if waiting.is_none() => match message {
                    Ok(Some(message)) => waiting = self.on_message(message, &wire)?,
                    Ok(None) => return Ok(self.ended.is_none().then(|| Status::unavailable("the stream ended"))),
                    Err(status) => return Ok(Some(status)),
                },
                permit = reserve(writing), if waiting.is_some() => {
                    if let (Some(permit), Some(write)) = (permit, waiting.take()) {
                        permit.send(write);
                    }
                }
                Some(written) = written(&mut self.step) => match written {
                    Written::Upto(node, seq) => self.nodes.entry(node).or_default().written = seq,
                    // As under Slurm, what writes into a closed pipe ends: `srun yes | head -1`.
                    Written::Unread => drop(wire.say(Says::Signal(Signal::KILL.as_raw().unsigned_abs()))),
                },
                // A broken stream is noticed by whoever listens, and input is said again on the next one.
                Ok((permit, piece)) = async { Ok::<_, SendError<()>>((wire.say.reserve().await?, self.input.next().await)) },
                    if self.step.is_some() && self.input.has_room() =>
                {
                    permit.send(FromSrun { kind: Some(Says::Input(piece)) });
                }
                Ok(permit) = wire.say.reserve(), if self.nodes.values().any(Heard::is_unconfirmed) => {
                    self.confirm(permit);
                }
                signal = self.signals.next() => self.on_signal(signal, Some(&wire))?,
                () = sleep_until(timer.unwrap_or_else(Instant::now)), if timer.is_some() => self.on_timer(&wire),
                () = force_at(self.stop) => return Ok(None),
            }
            if self.ended.is_some() {
                return Ok(None);
            }
        }
    }

    /// Tells the controller what is written of one node's words.
    fn confirm(&mut self, permit: mpsc::Permit<'_, FromSrun>) {
        if let Some((node, heard)) = self.nodes.iter_mut().find(|(_, heard)| heard.is_unconfirmed()) {
            heard.confirmed = heard.written;
            let received = StepReceived { node: node.clone(), seq: heard.written };
            permit.send(FromSrun { kind: Some(Says::Received(received)) });
        }
    }

    /// What the controller says; what is to be written.
    fn on_message(&mut self, message: ToSrun, wire: &Wire) -> Outcome<Option<Write>> {
        match message.kind {
            Some(Hears::Waits(text)) => {
                let what = if self.waited { "still disabled" } else { "temporarily disabled" };
                self.waited = true;
                self.say(&format!("Job {} step creation {what}, retrying ({text})", self.job));
            }
            Some(Hears::Created(created)) if self.step.is_none() && self.failure.is_none() => {
                if let Err(failure) = self.on_created(&created) {
                    // Nobody would take what its tasks write.
                    self.failure = Some(failure);
                    wire.say(Says::Stop(true));
                }
            }
            Some(Hears::Said(said)) => {
                let node = said.node;
                let Some(said) = said.said else { return Ok(None) };
                let heard = self.nodes.entry(node.clone()).or_default();
                if said.seq <= heard.taken {
                    // A controller that was started anew does not know that it has come.
                    heard.confirmed = 0;
                    return Ok(None);
                }
                heard.taken = said.seq;
                if self.failure.is_some() {
                    heard.written = said.seq;
                    return Ok(None);
                }
                self.on_said(&node, &said, wire);
                return Ok(Some(Write { node, said }));
            }
            Some(Hears::InputReceived(seq)) => self.input.on_received(seq),
            Some(Hears::Ended(ended)) => self.ended = Some(ended),
            Some(Hears::Created(_)) | None => {}
        }
        Ok(None)
    }

    fn on_created(&mut self, created: &StepCreated) -> Outcome<()> {
        if self.waited {
            self.say(&format!("Step created for job {}", self.job));
        }
        let name = created.name.unwrap_or_default();
        let step = name.step.to_string();
        let label = format!("{}.{step}", created.job_label);
        if self.options.verbose > 0 {
            self.say(&format!("StepId={label} created"));
        }
        let dir = self.plan.spec.work_dir.clone();
        let values = PatternValues {
            job_id: self.job,
            array_job_id: name.job,
            array_index: created.job_label.contains('_').then_some(name.index),
            job_name: &self.plan.spec.name,
            host: &self.submitter.host,
            user: &self.submitter.user.name,
            step: &step,
            task_rank: 0,
            node_number: 0,
            restart_count: name.attempt.saturating_sub(1),
        };
        let tasks: u32 = created.shares.iter().map(|share| share.tasks).sum();
        let width = self.options.label.then(|| tasks.saturating_sub(1).to_string().len());
        let printer = Printer::open(&self.plan, &values, Path::new(&dir), width)?;
        self.input = match &self.plan.stdin {
            Source::Own => Input::own(),
            Source::Elsewhere => Input::none(),
            Source::File(pattern) => {
                let path = sched::spec::pattern::FileNamePattern::new(pattern.as_str()).path(&values, Path::new(&dir));
                Input::file(&path).map_err(|error| not_open("stdin", &error))?
            }
        };
        let (writing, writes) = mpsc::channel(WRITING_MAX);
        let (tell, written) = mpsc::unbounded_channel();
        std::thread::spawn(move || write_all(printer, writes, &tell));
        let ends = Ends::new(format!("StepId={label}"), created.shares.clone());
        self.step = Some(Running { ends, writing: Some(writing), written });
        Ok(())
    }

    /// What a node says, as far as it is no output.
    fn on_said(&mut self, node: &str, said: &StepSaid, wire: &Wire) {
        let Some(step) = &mut self.step else { return };
        let bad = match &said.kind {
            Some(Said::TaskEnded(end)) => step.ends.add(node, end),
            Some(Said::TaskFailed(failed)) => {
                step.ends.fail(failed.task);
                eprintln!("srun: error: task {} launch failed: {}", failed.task, failed.why);
                true
            }
            Some(Said::Message(_) | Said::Output(_)) | None => return,
        };
        let now = Instant::now();
        self.lines_at.get_or_insert(now + LINES_WAIT);
        if bad && self.options.kills_on_bad_exit() {
            self.terminate(wire);
        }
        let wait = self.options.wait.filter(|wait| *wait > 0).map(|wait| Duration::from_secs(wait.into()));
        if self.wait_until.is_none() && self.stop == Stop::NotAsked {
            self.wait_until = wait.map(|wait| now + wait);
        }
    }

    fn on_timer(&mut self, wire: &Wire) {
        let now = Instant::now();
        let Some(step) = &mut self.step else { return };
        if self.lines_at.is_some_and(|at| at <= now) {
            self.lines_at = None;
            step.ends.take_lines(None).iter().for_each(|line| eprintln!("{line}"));
        }
        if self.wait_until.is_some_and(|at| at <= now) {
            self.wait_until = None;
            if !step.ends.are_all() && step.ends.are_any() {
                let lines = step.ends.state_lines();
                self.say(&format!("First task exited {}s ago", self.options.wait.unwrap_or_default()));
                lines.iter().for_each(|line| eprintln!("{line}"));
                self.terminate(wire);
            }
        }
    }

    /// Ends the step, by srun's own wish.
    fn terminate(&mut self, wire: &Wire) {
        if self.stop == Stop::NotAsked {
            self.stop = Stop::Asked;
            let label = self.step.as_ref().map(|step| step.ends.label.clone()).unwrap_or_default();
            self.say(&format!("Terminating {label}"));
            wire.say(Says::Stop(false));
        }
    }

    /// A signal for srun; without a wire it reaches nobody but srun itself.
    fn on_signal(&mut self, signal: Signal, wire: Option<&Wire>) -> Outcome<()> {
        let Some(step) = &self.step else {
            wire.map(|wire| wire.say(Says::Stop(true)));
            eprintln!("srun: Cancelled pending step for job {}", self.job);
            return Err(Failure::silent(u8::try_from(128 + signal.as_raw()).unwrap_or(1)));
        };
        let label = step.ends.label.clone();
        let say = |kind| wire.is_some_and(|wire| wire.say(kind));
        let number = signal.as_raw().unsigned_abs();
        match (signal, self.stop) {
            (Signal::INT | Signal::QUIT, Stop::Forced(_)) => {}
            (Signal::INT | Signal::QUIT, Stop::Asked) => {
                eprintln!("srun: forcing job termination");
                say(Says::Stop(true));
                self.stop = Stop::Forced(Instant::now() + FORCE_WAIT);
            }
            (Signal::INT, Stop::NotAsked) => {
                let again = self.interrupted.is_some_and(|at| at.elapsed() <= ABORT_WAIT);
                self.interrupted = Some(Instant::now());
                if self.options.disable_status && !again {
                    say(Says::Signal(number));
                } else if again || self.options.quit_on_interrupt {
                    self.abort(&label, wire, number);
                } else {
                    eprintln!("srun: interrupt (one more within 1 sec to abort)");
                    step.ends.state_lines().iter().for_each(|line| eprintln!("{line}"));
                }
            }
            (Signal::QUIT, Stop::NotAsked) => self.abort(&label, wire, number),
            _ => drop(say(Says::Signal(number))),
        }
        Ok(())
    }

    fn abort(&mut self, label: &str, wire: Option<&Wire>, signal: u32) {
        self.stop = Stop::Asked;
        eprintln!("srun: sending Ctrl-C to {label}");
        eprintln!("srun: Job step aborted: Waiting up to 32 seconds for job step to finish.");
        if let Some(wire) = wire {
            wire.say(Says::Signal(signal));
            wire.say(Says::Stop(false));
        }
    }

    /// Waits until everything is written, and says how the tasks have ended.
    async fn finish(mut self) -> Outcome<u8> {
        if let Some(failure) = self.failure {
            return Err(failure);
        }
        let ended = self.ended.unwrap_or_default();
        let Some(mut step) = self.step.take() else {
            return Ok(u8::try_from(ended.exit_code).unwrap_or(1));
        };
        step.writing = None;
        loop {
            tokio::select! {
                written = step.written.recv() => if written.is_none() { break },
                signal = self.signals.next() => {
                    return Err(Failure::silent(u8::try_from(128 + signal.as_raw()).unwrap_or(1)));
                }
            }
        }
        step.ends.take_lines(Some(&ended.state)).iter().for_each(|line| eprintln!("{line}"));
        if matches!(ended.state.as_str(), "CANCELLED" | "TIMEOUT") {
            eprintln!("srun: Force Terminated {}", step.ends.label);
        }
        Ok(step.ends.status(&ended))
    }

    /// What a refusal is told as.
    fn refused(&self, status: Status) -> Failure {
        let error = CallError::from(status);
        if error.text() == "Invalid job id specified" && self.step.is_none() {
            let text = format!("srun: error: Unable to confirm allocation for job {}: {}", self.job, error.text());
            let why = "Check SLURM_JOB_ID environment variable. Expired or invalid job";
            return Failure::new(text).line(format_args!("srun: {why} {}", self.job));
        }
        let failure =
            Failure::call("srun", &format!("srun: error: Unable to create step for job {}: ", self.job), &error);
        match exit_of_environment("SLURM_EXIT_IMMEDIATE").filter(|_| self.options.immediate.is_some()) {
            Some(exit) => failure.exit(exit),
            None => failure,
        }
    }

    fn say(&self, text: &str) {
        super::say(self.options, text);
    }
}

async fn reserve(writing: Option<mpsc::Sender<Write>>) -> Option<mpsc::OwnedPermit<Write>> {
    writing?.reserve_owned().await.ok()
}

async fn written(step: &mut Option<Running>) -> Option<Written> {
    match step {
        Some(step) => step.written.recv().await,
        None => std::future::pending().await,
    }
}

async fn force_at(stop: Stop) {
    match stop {
        Stop::Forced(at) => sleep_until(at).await,
        Stop::NotAsked | Stop::Asked => std::future::pending().await,
    }
}
