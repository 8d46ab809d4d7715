//! All attempts of this node's launcher: what was claimed, what runs, what has ended.
//!
//! Joins the deciding [`Task`] with records, files and the [`Grip`] on processes. Knows neither sockets nor the poll
//! loop, which calls it with what happened ([`Attempts::obey`], [`Attempts::reap`], [`Attempts::on_clock`]) and takes the
//! notices.

mod earlier_life;
mod lease;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;
use std::time::Instant;

use rustix::process::Signal;

use super::LauncherError;
use super::files;
use super::frame::{
    Abilities, AttemptStatus, Ending, Launch, Notice, Outcome, Request, RunAs, RunKey, StartStep, StopWhy, Usage,
};
use super::grip::{Grip, Whom};
use super::groups::Groups;
use super::identity::as_user;
use super::latecomers::Latecomers;
use super::records::{Known, Record, Records};
use super::spawn;
use super::task::{Due, Task};
use super::tree::{ProcessIdent, belongs};
use super::watch::Watch;
use crate::clock::wall_ms as now_ms;
use lease::Lease;

/// Attempts with a record. A launch beyond them is answered with `NotStarted` and leaves none: whoever launches has to
/// forget what has ended. With this many, all records fit one frame of notices.
pub const ATTEMPTS_MAX: usize = 16_384;

/// Ended children taken note of in one turn of the loop; the rest has its turn after the client's.
const REAPS_PER_TURN_MAX: usize = 256;

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// The attempts, their records and their processes.
pub(super) struct Attempts {
    records: Records,
    boot_id: String,
    /// What was started and has no recorded end.
    tasks: BTreeMap<RunKey, Task>,
    /// Those of them whose main process is gone.
    ending: BTreeSet<RunKey>,
    grip: Grip,
    watch: Watch,
    /// What was claimed and waits for a folder.
    late: Latecomers,
    lease: Lease,
    notices: Vec<Notice>,
}

impl Attempts {
    /// Reads the records in `dir`; what an earlier life left running is killed and lost.
    pub(super) fn open(dir: &Path) -> Result<Self, LauncherError> {
        let records = Records::open(dir)?;
        let read = fs::read_to_string(BOOT_ID);
        let boot_id = read.map_err(|source| LauncherError::BootId { path: BOOT_ID.into(), source })?.trim().to_owned();
        let grip = Grip::new(records.launcher_id(), Groups::open(dir, records.launcher_id())?);
        let (tasks, ending, watch, late, notices) = Default::default();
        let lease = Lease::none()?;
        let mut attempts = Self { records, boot_id, tasks, ending, grip, watch, late, lease, notices };
        attempts.end_earlier_life()?;
        Ok(attempts)
    }

    /// Does what noded asks for.
    pub(super) fn obey(&mut self, requests: impl IntoIterator<Item = Request>, now: Instant) {
        let mut due = Vec::new();
        let mut signals = Vec::new();
        for request in requests {
            let Some(request) = self.late.put_off(request) else { continue };
            match request {
                Request::Launch(launch) => self.launch(launch, now),
                Request::Stop { key, why, kill_wait_ms } => {
                    self.end_late(|owner| belongs(owner, key), why);
                    for (&key, task) in self.tasks.iter_mut().filter(|(owner, _)| belongs(**owner, key)) {
                        due.extend(task.on_stop(why, kill_wait_ms, now).map(|due| (key, due)));
                    }
                }
                Request::Signal { key, number, .. } if !self.hears(key, number) => {}
                Request::Signal { key, signal, whole_tree, .. } => match Signal::from_named_raw(signal) {
                    Some(signal) if whole_tree => {
                        signals.push((key, signal, if key.is_step() { Whom::Descendants } else { Whom::Tree }));
                    }
                    Some(signal) => self.signal_main(key, signal),
                    None => tracing::warn!(%key, signal, "passed over a signal without a name"),
                },
                Request::Suspend { key } => {
                    if self.tasks.get_mut(&key).is_some_and(|task| task.on_suspend(now)) {
                        self.grip.suspend(key);
                    }
                }
                Request::Resume { key } => self.resume(key, now),
                Request::Limit { key, time_limit_s } => {
                    for (&owner, task) in self.tasks.iter_mut().filter(|(owner, _)| belongs(**owner, key)) {
                        if owner == key { task.on_limit(time_limit_s) } else { task.on_job_limit(time_limit_s) }
                    }
                }
                Request::Lease { until_ms, kill_wait_ms } => self.lease.extend(until_ms, kill_wait_ms),
                Request::Forget { keys } => self.forget(keys),
            }
        }
        self.carry_out(due, signals, now);
    }

    /// Does what has become due, and reports the attempts of which nothing is left.
    pub(super) fn on_clock(&mut self, now: Instant) {
        self.keep_lease(now);
        self.try_again(now);
        let due = self.tasks.iter_mut().filter_map(|(&key, task)| Some((key, task.on_clock(now)?))).collect();
        self.carry_out(due, Vec::new(), now);
        self.watch_memory(now);
        self.settle(now);
        self.grip.on_clock(now);
    }

    /// Takes note of ended children, ours and inherited; whether there may be more.
    pub(super) fn reap(&mut self, now: Instant) -> bool {
        for _ in 0..REAPS_PER_TURN_MAX {
            let Some(end) = spawn::reap() else {
                return false;
            };
            let Some(key) = self.grip.on_reaped(end.pid) else {
                continue;
            };
            if let Some(task) = self.tasks.get_mut(&key)
                && self.ending.insert(key)
            {
                task.on_main_gone(end, now_ms(), now);
                self.stop_steps(key, now);
            }
        }
        true
    }

    /// The batch script is gone, and with it the job's steps on this node have to go.
    fn stop_steps(&mut self, key: RunKey, now: Instant) {
        let Some(kill_wait_ms) = self.tasks.get(&key).map(Task::kill_wait_ms).filter(|_| !key.is_step()) else {
            return;
        };
        let steps: Vec<RunKey> = self.steps(key).collect();
        let stop = |key| Some((key, self.tasks.get_mut(&key)?.on_stop(StopWhy::Cancelled, kill_wait_ms, now)?));
        let due = steps.into_iter().filter_map(stop).collect();
        self.carry_out(due, Vec::new(), now);
    }

    /// Stops everything, because the launcher has to go.
    pub(super) fn stop_all(&mut self, kill_wait_ms: u64, now: Instant) {
        let why = StopWhy::Shutdown;
        self.end_late(|_| true, why);
        let stop = |(&key, task): (&RunKey, &mut Task)| Some((key, task.on_stop(why, kill_wait_ms, now)?));
        let due = self.tasks.iter_mut().filter_map(stop).collect();
        self.carry_out(due, Vec::new(), now);
    }

    /// Records as lost whatever did not end in time.
    pub(super) fn give_up(&mut self) {
        for (key, task) in std::mem::take(&mut self.tasks) {
            self.end(key, task.ending(now_ms()));
        }
    }

    /// What limits mean here.
    pub(super) fn abilities(&self) -> Abilities {
        self.grip.abilities()
    }

    /// The first notice of a connection.
    pub(super) fn hello(&self) -> Notice {
        let attempts = self.records.attempts().iter().map(|(&key, known)| (key, self.status(key, known))).collect();
        let launcher_id = self.records.launcher_id().to_owned();
        let (abilities, (lease_until_ms, lease_kill_wait_ms)) = (self.grip.abilities(), self.lease.told());
        Notice::Hello { launcher_id, attempts, abilities, lease_until_ms, lease_kill_wait_ms }
    }

    /// What has happened since the last call.
    pub(super) fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// When [`Attempts::on_clock`] has something to do.
    pub(super) fn next_wake(&self) -> Option<Instant> {
        let tasks = self.tasks.values().filter_map(Task::next_wake);
        tasks.chain(self.watch.next_wake()).chain(self.grip.next_wake()).chain(self.late.next_wake()).min()
    }

    /// Whether nothing runs.
    pub(super) fn is_idle(&self) -> bool {
        self.tasks.is_empty() && self.late.is_empty()
    }

    /// Leaves nothing behind but the records.
    pub(super) fn close(mut self) {
        self.grip.close();
    }

    fn status(&self, key: RunKey, known: &Known) -> AttemptStatus {
        let task = self.tasks.get(&key);
        known.status(task.is_some_and(Task::is_suspended), task.map_or(0, Task::signals_heard))
    }

    /// Starts an attempt, unless there is a record of it.
    fn launch(&mut self, launch: Box<Launch>, now: Instant) {
        let key = launch.key;
        if let Some(known) = self.records.get(key) {
            self.notices.extend(notice(key, self.status(key, known)));
            return;
        }
        if let Err(error) = self.claim(key) {
            let outcome = files::not_started(StartStep::Claim, Path::new("records"), &error);
            self.notices.push(Notice::Ended { key, ending: never_ran(outcome) });
            return;
        }
        if launch.leased && self.lease.is_over() {
            return self.end(key, Ending { stopped: Some(StopWhy::NodeFailure), ..never_ran(Outcome::Lost) });
        }
        match self.start(&launch) {
            Ok(pid) => self.on_started(&launch, pid, now),
            Err(outcome) if files::lacks_folder(&outcome) => self.late.add(launch, outcome, now),
            Err(outcome) => self.end(key, never_ran(outcome)),
        }
    }

    /// Starts what has waited for its folder, if that is there now; what has waited long enough fails.
    fn try_again(&mut self, now: Instant) {
        for mut late in self.late.take_due(now) {
            let (key, tried) = (late.launch.key, self.start(&late.launch));
            match tried {
                Ok(pid) => {
                    self.on_started(&late.launch, pid, now);
                    self.obey(std::mem::take(&mut late.later), now);
                }
                Err(outcome) if late.may_wait(now) && files::lacks_folder(&outcome) => {
                    self.late.add_again(late, outcome, now);
                }
                Err(outcome) => self.end(key, never_ran(outcome)),
            }
        }
    }

    /// Ends what waits for its folder and was stopped before that came.
    fn end_late(&mut self, wanted: impl Fn(RunKey) -> bool, why: StopWhy) {
        for late in self.late.take_keys(wanted) {
            let outcome = if why == StopWhy::Shutdown { Outcome::Lost } else { late.outcome };
            self.end(late.launch.key, Ending { stopped: Some(why), ..never_ran(outcome) });
        }
    }

    /// Sees to it that nobody starts this attempt a second time.
    fn claim(&mut self, key: RunKey) -> io::Result<()> {
        if self.records.attempts().len() >= ATTEMPTS_MAX {
            return Err(io::Error::other(format!(
                "{ATTEMPTS_MAX} attempts are recorded; forget those that have ended"
            )));
        }
        self.records.append(&[Record::Claimed { key }]).inspect_err(|_| self.records.disclaim(key))
    }

    fn start(&mut self, launch: &Launch) -> Result<i32, Outcome> {
        let streams = files::open_streams(launch)?;
        let entrances = self.grip.make_room(launch.key, &launch.limits);
        spawn::start(launch, self.records.launcher_id(), streams, entrances).map_err(|error| {
            self.grip.release(launch.key, None);
            let program = launch.argv.first().map_or(Path::new(""), |program| program.as_path());
            tell(launch.user.as_ref(), || files::note_exec_failure(&files::stderr_path(launch), program, &error));
            files::not_started(StartStep::Exec, program, &error)
        })
    }

    fn on_started(&mut self, launch: &Launch, pid: i32, now: Instant) {
        let (key, at_ms) = (launch.key, now_ms());
        // It is our child and not reaped, so that it has a start time even if it has ended.
        let main = ProcessIdent::of(pid).unwrap_or(ProcessIdent { pid, start_ticks: 0 });
        self.record(Record::Started { key, main, boot_id: self.boot_id.clone(), at_ms });
        let mut task = Task::new(launch, pid, at_ms, now);
        if !self.grip.limits_memory(key) {
            task.watch_memory(launch.limits.memory_mib);
        }
        self.tasks.insert(key, task);
        self.grip.on_started(key, pid);
        self.notices.push(Notice::Started { key, pid, at_ms });
    }

    fn forget(&mut self, mut keys: Vec<RunKey>) {
        keys.retain(|&key| matches!(self.records.get(key), Some(Known::Ended(_))));
        if !keys.is_empty() {
            self.record(Record::Forgotten { keys });
        }
    }

    fn signal_main(&self, key: RunKey, signal: Signal) {
        let Some(task) = self.tasks.get(&key).filter(|_| !self.ending.contains(&key)) else {
            return;
        };
        // Not reaped yet, so that the number is its own.
        ProcessIdent::of(task.pid).inspect(|main| main.signal(signal));
    }

    fn resume(&mut self, key: RunKey, now: Instant) {
        if self.tasks.get_mut(&key).is_some_and(|task| task.on_resume(now)) {
            self.grip.resume(key);
        }
    }

    /// Whether a signal is new to what it is for, if that runs.
    fn hears(&mut self, key: RunKey, number: u32) -> bool {
        self.tasks.get_mut(&key).is_some_and(|task| task.hears(number))
    }

    /// The steps of an attempt that run here, or the step itself.
    fn steps(&self, key: RunKey) -> impl Iterator<Item = RunKey> + '_ {
        self.tasks.keys().copied().filter(move |owner| owner.is_step() && belongs(*owner, key))
    }

    /// Does what is due and sends signals; one look at the processes serves all of them.
    fn carry_out(&mut self, due: Vec<(RunKey, Due)>, mut signals: Vec<(RunKey, Signal, Whom)>, now: Instant) {
        signals.retain(|(key, ..)| self.tasks.contains_key(key));
        if due.is_empty() && signals.is_empty() {
            return;
        }
        self.grip.look();
        for (key, due) in due {
            match due {
                Due::Warn(warning) => match Signal::from_named_raw(warning.signal) {
                    Some(signal) if warning.batch_only => self.signal_main(key, signal),
                    Some(signal) => signals.extend(self.steps(key).map(|step| (step, signal, Whom::Descendants))),
                    None => tracing::warn!(%key, warning.signal, "passed over a warning signal without a name"),
                },
                Due::Terminate(why) => {
                    let task = &self.tasks[&key];
                    let what = if key.is_step() { "STEP" } else { "JOB" };
                    if why != StopWhy::Released {
                        tell(task.user.as_ref(), || {
                            files::note_stop(&task.stderr, what, &task.job_label, &task.node_name, why);
                        });
                    }
                    self.resume(key, now);
                    signals.extend([(key, Signal::CONT, Whom::Tree), (key, Signal::TERM, Whom::Tree)]);
                }
                Due::Kill => self.grip.kill(key),
                Due::End => self.grip.signal(key, Signal::KILL, Whom::Tree),
            }
        }
        for (key, signal, whom) in signals {
            self.grip.signal(key, signal, whom);
        }
    }

    /// Kills what takes more memory than it may, where no control group sees to that.
    fn watch_memory(&mut self, now: Instant) {
        if !self.watch.is_due(self.tasks.values().any(Task::is_watched), now) {
            return;
        }
        let begun = Instant::now();
        self.grip.look();
        for (&key, task) in &mut self.tasks {
            if task.on_resident(self.grip.resident_bytes(key)).is_some() {
                self.grip.kill(key);
            }
        }
        self.watch.on_looked(begun.elapsed(), now);
    }

    /// Kills what is left of tasks whose main process is gone, and reports those of which nothing is.
    ///
    /// Something that not even KILL ends (a disk that does not answer) holds up the report: the attempt is not over.
    fn settle(&mut self, now: Instant) {
        if self.ending.is_empty() {
            return;
        }
        let mut must_look = self.grip.has_strangers();
        if !must_look {
            self.conclude_gone();
        }
        for key in &self.ending {
            must_look |= self.tasks.get_mut(key).is_some_and(|task| task.take_sweep(now));
        }
        if self.ending.is_empty() || !must_look {
            return;
        }
        self.grip.look();
        self.conclude_gone();
        for key in &self.ending {
            if !self.tasks[key].gives_grace() {
                self.grip.kill_own(*key);
            }
        }
    }

    fn conclude_gone(&mut self) {
        for key in self.ending.clone() {
            let has_steps = !key.is_step() && self.steps(key).next().is_some();
            if !has_steps && self.grip.is_gone(key) {
                self.conclude(key);
            }
        }
    }

    /// Nothing of an attempt is left.
    fn conclude(&mut self, key: RunKey) {
        let Some(task) = self.tasks.get_mut(&key) else { return };
        let oom_kills = task.on_oom_kills(self.grip.release(key, Some(task.pid)));
        if oom_kills > 0 {
            let step = if key.is_step() { task.job_label.clone() } else { format!("{}.batch", task.job_label) };
            tell(task.user.as_ref(), || files::note_oom_kills(&task.stderr, &step, oom_kills));
        }
        let ending = task.ending(now_ms());
        self.end(key, ending);
    }

    /// An attempt is over: on record, and from here on only there.
    fn end(&mut self, key: RunKey, ending: Ending) {
        self.record(Record::Ended { key, ending: ending.clone() });
        self.ending.remove(&key);
        if let Some(task) = self.tasks.remove(&key) {
            self.grip.release(key, Some(task.pid));
        }
        self.notices.push(Notice::Ended { key, ending });
    }

    /// Keeps a fact that is true whether or not it can be written down.
    fn record(&mut self, record: Record) {
        if let Err(error) = self.records.append(&[record]) {
            tracing::error!(%error, "cannot write the records; a launcher started anew would not know what happened");
        }
    }
}

fn notice(key: RunKey, status: AttemptStatus) -> Option<Notice> {
    match status {
        AttemptStatus::Claimed => None,
        AttemptStatus::Running { pid, started_ms, .. } => Some(Notice::Started { key, pid, at_ms: started_ms }),
        AttemptStatus::Ended(ending) => Some(Notice::Ended { key, ending }),
    }
}

/// Writes into a task's files with the rights of its user.
fn tell(user: Option<&RunAs>, note: impl FnOnce()) {
    if let Err(error) = as_user(user, note) {
        tracing::warn!(%error, "nothing can be written as the user of a task");
    }
}

fn never_ran(outcome: Outcome) -> Ending {
    let at_ms = now_ms();
    Ending { outcome, stopped: None, started_ms: at_ms, ended_ms: at_ms, usage: Usage::default() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::launcher::wire;

    #[test]
    fn a_hello_with_the_most_and_the_longest_attempts_fits_a_frame() {
        let error = io::Error::from_raw_os_error(nix::libc::ENAMETOOLONG);
        let outcome = files::not_started(StartStep::OpenOutput, Path::new(&"x".repeat(4096)), &error);
        let ending = Ending { stopped: Some(StopWhy::NodeFailure), ..never_ran(outcome) };
        let key = RunKey { job: sched::ids::JobId(u32::MAX), index: u32::MAX, attempt: u32::MAX, step: Some(u32::MAX) };
        let attempts = vec![(key, AttemptStatus::Ended(ending)); ATTEMPTS_MAX];
        let (launcher_id, abilities) = ("x".repeat(36), Default::default());
        let (lease_until_ms, lease_kill_wait_ms) = (Some(u64::MAX), u64::MAX);
        let hello = Notice::Hello { launcher_id, attempts, abilities, lease_until_ms, lease_kill_wait_ms };
        let mut frame = Vec::new();
        wire::encode(&[hello], &mut frame).expect("one frame");
        assert!(frame.len() > wire::FRAME_BYTES_MAX / 2, "the bound is not needlessly low");
    }
}
