//! One started task: when it has to end, how far its ending has come, and what to report of it.
//!
//! Decides only, and is told the time; signals, files and records are the business of
//! [`Attempts`](super::attempts::Attempts).

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::files;
use super::frame::{Ending, JobTime, Launch, Outcome, RunAs, StopWhy, Warning};
use super::spawn::Reaped;

/// From one look for leftovers of an ended task to the next: at first, and doubled up to the maximum.
const SWEEP_WAIT_MIN: Duration = Duration::from_millis(20);
const SWEEP_WAIT_MAX: Duration = Duration::from_secs(1);

/// For a stepd to tell how its tasks were killed and to leave; then it is killed, too.
const STEPD_WAIT: Duration = Duration::from_secs(10);

/// A limit beyond this is none: a hundred years.
const TIME_LIMIT_S_MAX: u64 = 100 * 366 * 86_400;

/// A task whose program was started and whose end is not recorded yet.
pub(super) struct Task {
    pub(super) pid: i32,
    pub(super) stderr: PathBuf,
    /// Whose rights it takes to write there.
    pub(super) user: Option<RunAs>,
    pub(super) job_label: String,
    pub(super) node_name: String,
    /// It may run elsewhere once the node's lease is over.
    pub(super) leased: bool,
    /// The main process is a stepd.
    is_step: bool,
    started_ms: i64,
    kill_wait: Duration,
    /// Read only while nobody stops it.
    clock: Clock,
    /// How long it may run, in its own time.
    limit: Option<Duration>,
    /// Gone once it is sent.
    warning: Option<Warning>,
    /// Whose limit the warning is about, where that is not its own.
    job_time: Option<JobTime>,
    /// What the launcher itself has to watch over.
    memory_bytes_max: Option<u64>,
    /// How many of its processes were killed for their memory.
    oom_kills: u64,
    /// The highest number of a signal that it was sent.
    signals_heard: u32,
    stop: Stop,
    main: Main,
}

/// A task's own time, which stands still while it is suspended.
#[derive(Clone, Copy)]
enum Clock {
    /// It is what has passed since then.
    Runs { since: Instant },
    /// It has come so far.
    Stands { ran: Duration },
}

/// How far the launcher is with ending a task before its time.
#[derive(Clone, Copy)]
enum Stop {
    NotAsked,
    Terminated { why: StopWhy, kill_at: Instant },
    Killed { why: StopWhy, end_at: Option<Instant> },
}

/// The main process.
enum Main {
    Alive,
    /// Reaped, and what is left of the tree is looked for again at `sweep_at`.
    Gone {
        end: Reaped,
        ended_ms: i64,
        sweep_at: Instant,
        sweep_wait: Duration,
    },
}

/// What is due for a task.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Send the warning signal.
    Warn(Warning),
    /// Resume it if it is suspended, tell it why, then CONT and TERM to the whole tree.
    Terminate(StopWhy),
    /// KILL to the whole tree but the stepd of a step.
    Kill,
    /// KILL to that as well.
    End,
}

impl Task {
    pub(super) fn new(launch: &Launch, pid: i32, started_ms: i64, now: Instant) -> Self {
        let mut task = Self {
            pid,
            stderr: files::stderr_path(launch),
            user: launch.user.clone(),
            job_label: launch.job_label.clone(),
            node_name: launch.node_name.clone(),
            leased: launch.leased,
            is_step: launch.key.is_step(),
            started_ms,
            kill_wait: bounded(launch.kill_wait_ms),
            clock: Clock::Runs { since: now },
            limit: limit(launch.time_limit_s),
            warning: launch.warning,
            job_time: launch.job_time,
            memory_bytes_max: None,
            oom_kills: 0,
            signals_heard: 0,
            stop: Stop::NotAsked,
            main: Main::Alive,
        };
        // As where the attempt's own process is: a step that starts after the warning has missed it.
        if task.job_time.is_some() && task.warned_after() == Some(Duration::ZERO) {
            task.warning = None;
        }
        task
    }

    /// From TERM to KILL when it reaches its limit.
    pub(super) fn kill_wait_ms(&self) -> u64 {
        u64::try_from(self.kill_wait.as_millis()).unwrap_or(u64::MAX)
    }

    /// No control group holds it to its memory limit, so that the launcher has to.
    pub(super) fn watch_memory(&mut self, memory_mib: Option<u64>) {
        self.memory_bytes_max = memory_mib.map(|mib| mib.saturating_mul(1 << 20));
    }

    /// Whether the launcher has to look at its memory.
    pub(super) fn is_watched(&self) -> bool {
        self.memory_bytes_max.is_some()
    }

    /// Its memory was looked at. Over its limit, its tree is killed, and again if it is still there at the next look.
    pub(super) fn on_resident(&mut self, bytes: u64) -> Option<Due> {
        self.memory_bytes_max.filter(|&max| bytes > max).map(|_| {
            self.oom_kills = 1;
            Due::Kill
        })
    }

    /// The kernel has killed so many of its processes for their memory; how many were killed in all.
    pub(super) fn on_oom_kills(&mut self, count: u64) -> u64 {
        self.oom_kills += count;
        self.oom_kills
    }

    /// The highest number of a signal that it was sent.
    pub(super) fn signals_heard(&self) -> u32 {
        self.signals_heard
    }

    /// Somebody sends it a signal; whether it has not had that before. What is not counted, by the number 0, it may get again.
    pub(super) fn hears(&mut self, number: u32) -> bool {
        let is_new = number == 0 || number > self.signals_heard;
        self.signals_heard = self.signals_heard.max(number);
        is_new
    }

    /// Somebody wants it to stand still; whether it has to be made to.
    pub(super) fn on_suspend(&mut self, now: Instant) -> bool {
        match (self.clock, self.stop, &self.main) {
            (Clock::Runs { since }, Stop::NotAsked, Main::Alive) => {
                self.clock = Clock::Stands { ran: now.saturating_duration_since(since) };
                true
            }
            _ => false,
        }
    }

    /// Somebody wants it to go on; whether it has to be made to.
    pub(super) fn on_resume(&mut self, now: Instant) -> bool {
        match self.clock {
            Clock::Stands { ran } => {
                self.clock = Clock::Runs { since: now.checked_sub(ran).unwrap_or(now) };
                true
            }
            Clock::Runs { .. } => false,
        }
    }

    /// Whether it stands still.
    pub(super) fn is_suspended(&self) -> bool {
        matches!(self.clock, Clock::Stands { .. })
    }

    /// Somebody gives it another limit, counted from its start. A warning that was sent is not sent again.
    pub(super) fn on_limit(&mut self, time_limit_s: Option<u64>) {
        self.limit = limit(time_limit_s);
    }

    /// Somebody gives the attempt of this step another limit.
    pub(super) fn on_job_limit(&mut self, time_limit_s: Option<u64>) {
        self.job_time.iter_mut().for_each(|job| job.limit_s = time_limit_s);
    }

    /// Somebody wants it to end. A second wish can only bring the KILL forward.
    pub(super) fn on_stop(&mut self, why: StopWhy, kill_wait_ms: u64, now: Instant) -> Option<Due> {
        let asked_kill_at = now + bounded(kill_wait_ms);
        match (&mut self.stop, &self.main) {
            (Stop::NotAsked, Main::Alive) => {
                self.stop = Stop::Terminated { why, kill_at: asked_kill_at };
                Some(Due::Terminate(why))
            }
            (Stop::Terminated { kill_at, .. }, _) => {
                *kill_at = asked_kill_at.min(*kill_at);
                None
            }
            (Stop::NotAsked, Main::Gone { .. }) | (Stop::Killed { .. }, _) => None,
        }
    }

    /// Time has passed.
    pub(super) fn on_clock(&mut self, now: Instant) -> Option<Due> {
        match (self.stop, &self.main) {
            (Stop::NotAsked, Main::Alive) => self.on_own_clock(now),
            (Stop::Terminated { why, kill_at }, _) if kill_at <= now => {
                self.stop = Stop::Killed { why, end_at: self.is_step.then_some(now + STEPD_WAIT) };
                Some(Due::Kill)
            }
            (Stop::Killed { why, end_at: Some(end_at) }, Main::Alive) if end_at <= now => {
                self.stop = Stop::Killed { why, end_at: None };
                Some(Due::End)
            }
            _ => None,
        }
    }

    /// What its own time brings: first the warning, and at the next call the end.
    fn on_own_clock(&mut self, now: Instant) -> Option<Due> {
        let Clock::Runs { since } = self.clock else { return None };
        let ran = now.saturating_duration_since(since);
        if self.warned_after().is_some_and(|after| after <= ran) {
            return self.warning.take().map(Due::Warn);
        }
        if ran < self.limit? {
            return None;
        }
        self.stop = Stop::Terminated { why: StopWhy::TimeLimit, kill_at: now + self.kill_wait };
        Some(Due::Terminate(StopWhy::TimeLimit))
    }

    /// How long after its start the warning is due, in its own time.
    fn warned_after(&self) -> Option<Duration> {
        let before = Duration::from_secs(self.warning?.before_s);
        let limit = match self.job_time {
            Some(job) => limit(job.limit_s)?.saturating_sub(Duration::from_millis(job.ran_ms)),
            None => self.limit?,
        };
        Some(limit.saturating_sub(before))
    }

    /// The main process was reaped.
    pub(super) fn on_main_gone(&mut self, end: Reaped, ended_ms: i64, now: Instant) {
        self.main = Main::Gone { end, ended_ms, sweep_at: now, sweep_wait: SWEEP_WAIT_MIN };
    }

    /// Whether a look for leftovers is due; counts it as taken.
    pub(super) fn take_sweep(&mut self, now: Instant) -> bool {
        match &mut self.main {
            Main::Gone { sweep_at, sweep_wait, .. } if *sweep_at <= now => {
                *sweep_at = now + *sweep_wait;
                *sweep_wait = SWEEP_WAIT_MAX.min(2 * *sweep_wait);
                true
            }
            _ => false,
        }
    }

    /// Whether leftovers of the ended main process may still end by themselves, because TERM was sent to them as well.
    pub(super) fn gives_grace(&self) -> bool {
        matches!(self.stop, Stop::Terminated { .. })
    }

    /// When something will be due.
    pub(super) fn next_wake(&self) -> Option<Instant> {
        let by_stop = match (self.stop, &self.main) {
            (Stop::NotAsked, Main::Alive) => match self.clock {
                Clock::Runs { since } => {
                    self.warned_after().into_iter().chain(self.limit).min().map(|after| since + after)
                }
                Clock::Stands { .. } => None,
            },
            (Stop::Terminated { kill_at, .. }, _) => Some(kill_at),
            (Stop::Killed { end_at, .. }, Main::Alive) => end_at,
            (Stop::NotAsked, Main::Gone { .. }) | (Stop::Killed { .. }, Main::Gone { .. }) => None,
        };
        let by_sweep = match self.main {
            Main::Gone { sweep_at, .. } => Some(sweep_at),
            Main::Alive => None,
        };
        by_stop.into_iter().chain(by_sweep).min()
    }

    /// What to report once nothing of it is left; `now_ms` counts where the main process never came back.
    pub(super) fn ending(&self, now_ms: i64) -> Ending {
        let stopped = match self.stop {
            Stop::NotAsked => None,
            Stop::Terminated { why, .. } | Stop::Killed { why, .. } => Some(why),
        };
        let (outcome, usage, ended_ms) = match &self.main {
            Main::Alive => (Outcome::Lost, Default::default(), now_ms),
            Main::Gone { end, ended_ms, .. } => (end.outcome.clone(), end.usage, *ended_ms),
        };
        let outcome = if self.oom_kills > 0 { Outcome::OutOfMemory } else { outcome };
        // It was in nobody's way but the launcher's: whatever it made of the TERM says nothing about the job.
        let outcome = if stopped == Some(StopWhy::Shutdown) { Outcome::Lost } else { outcome };
        Ending { outcome, stopped, started_ms: self.started_ms, ended_ms, usage }
    }
}

/// A limit that a clock can be set to.
fn limit(time_limit_s: Option<u64>) -> Option<Duration> {
    time_limit_s.filter(|&limit_s| limit_s <= TIME_LIMIT_S_MAX).map(Duration::from_secs)
}

/// A wait that a clock can be set to.
fn bounded(wait_ms: u64) -> Duration {
    Duration::from_millis(wait_ms).min(Duration::from_secs(TIME_LIMIT_S_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::launcher::frame::{FileSpec, Limits, RunKey, Usage};

    fn task(now: Instant) -> Task {
        changed(now, |launch| launch)
    }

    fn changed(now: Instant, change: impl FnOnce(Launch) -> Launch) -> Task {
        let launch = Launch {
            key: RunKey { job: sched::ids::JobId(1), index: 0, attempt: 1, step: None },
            argv: vec!["/bin/true".into()],
            env: Vec::new(),
            cwd: "/".into(),
            stdin: None,
            stdout: FileSpec { path: "/dev/null".into(), append: false },
            stderr: None,
            umask: 0o022,
            time_limit_s: Some(10),
            kill_wait_ms: 3_000,
            job_label: "1".to_owned(),
            node_name: "n1".to_owned(),
            limits: Limits::default(),
            warning: Some(WARNING),
            user: None,
            soft_limits: Vec::new(),
            job_time: None,
            leased: false,
        };
        Task::new(&change(launch), 42, 5, now)
    }

    const WARNING: Warning = Warning { signal: 10, before_s: 4, batch_only: true };

    fn seconds(count: u64) -> Duration {
        Duration::from_secs(count)
    }

    fn killed() -> Reaped {
        Reaped { pid: 42, outcome: Outcome::Signalled { signal: 9 }, usage: Usage::default() }
    }

    #[test]
    fn the_limit_warns_and_terminates_once_and_kills_after_the_wait() {
        let start = Instant::now();
        let mut task = task(start);
        assert_eq!(task.next_wake(), Some(start + seconds(6)));
        assert_eq!(task.on_clock(start + seconds(5)), None);
        assert_eq!(task.on_clock(start + seconds(6)), Some(Due::Warn(WARNING)));
        assert_eq!(task.on_clock(start + seconds(9)), None);
        assert_eq!(task.next_wake(), Some(start + seconds(10)));
        assert_eq!(task.on_clock(start + seconds(10)), Some(Due::Terminate(StopWhy::TimeLimit)));
        assert_eq!(task.next_wake(), Some(start + seconds(13)));
        assert_eq!(task.on_clock(start + seconds(12)), None);
        assert_eq!(task.on_clock(start + seconds(13)), Some(Due::Kill));
        assert_eq!((task.on_clock(start + seconds(99)), task.next_wake()), (None, None));
        task.on_main_gone(killed(), 7, start + seconds(13));
        let ending = task.ending(9);
        assert_eq!((ending.stopped, ending.ended_ms), (Some(StopWhy::TimeLimit), 7));
    }

    #[test]
    fn the_time_of_a_suspended_task_stands_still() {
        let start = Instant::now();
        let mut task = task(start);
        assert!(task.on_suspend(start + seconds(2)) && !task.on_suspend(start + seconds(3)));
        assert_eq!((task.on_clock(start + seconds(99)), task.next_wake()), (None, None));
        assert!(task.on_resume(start + seconds(100)) && !task.on_resume(start + seconds(100)));
        assert_eq!(task.next_wake(), Some(start + seconds(104)), "the warning");
        assert_eq!(task.on_clock(start + seconds(104)), Some(Due::Warn(WARNING)));
        assert_eq!(task.next_wake(), Some(start + seconds(108)), "the limit");
        assert_eq!(task.on_stop(StopWhy::Cancelled, 0, start + seconds(105)), Some(Due::Terminate(StopWhy::Cancelled)));
        assert!(!task.on_suspend(start + seconds(105)), "what is being ended is not held up");
    }

    #[test]
    fn a_step_is_warned_by_the_limit_of_its_job() {
        let start = Instant::now();
        let step = |ran_ms| {
            let job_time = Some(JobTime { ran_ms, limit_s: Some(60) });
            changed(start, |launch| Launch { time_limit_s: None, job_time, ..launch })
        };
        let mut task = step(50_000);
        assert_eq!((task.on_clock(start + seconds(5)), task.next_wake()), (None, Some(start + seconds(6))));
        assert_eq!(task.on_clock(start + seconds(6)), Some(Due::Warn(WARNING)));
        assert_eq!((task.on_clock(start + seconds(99)), task.next_wake()), (None, None));
        let mut moved = step(50_000);
        moved.on_job_limit(Some(120));
        assert_eq!(moved.next_wake(), Some(start + seconds(66)), "the warning moves with the job's limit");
        assert_eq!(step(56_000).next_wake(), None, "it has missed the warning");
    }

    #[test]
    fn a_new_limit_counts_from_the_start_and_may_have_passed_already() {
        let start = Instant::now();
        let mut task = task(start);
        task.on_limit(Some(60));
        assert_eq!(task.next_wake(), Some(start + seconds(56)), "the warning moves with it");
        assert!(task.on_suspend(start + seconds(5)));
        task.on_limit(Some(20));
        assert!(task.on_resume(start + seconds(100)));
        assert_eq!(task.on_clock(start + seconds(111)), Some(Due::Warn(WARNING)), "after 16 s of its own time");
        task.on_limit(Some(50));
        assert_eq!((task.on_clock(start + seconds(142)), task.next_wake()), (None, Some(start + seconds(145))));
        task.on_limit(None);
        assert_eq!((task.on_clock(start + seconds(9_999)), task.next_wake()), (None, None));
        task.on_limit(Some(1));
        assert_eq!(task.on_clock(start + seconds(200)), Some(Due::Terminate(StopWhy::TimeLimit)));
        task.on_limit(None);
        assert_eq!(task.on_clock(start + seconds(203)), Some(Due::Kill), "what is being ended has no other limit");
    }

    #[test]
    fn a_watched_task_over_its_memory_is_killed_and_ends_so() {
        let start = Instant::now();
        let mut task = task(start);
        assert!(task.on_resident(u64::MAX).is_none() && !task.is_watched());
        task.watch_memory(Some(1));
        assert_eq!((task.is_watched(), task.on_resident(1 << 20)), (true, None));
        assert_eq!(task.on_resident((1 << 20) + 1), Some(Due::Kill));
        task.on_main_gone(killed(), 7, start);
        assert_eq!((task.on_oom_kills(0), task.ending(9).outcome), (1, Outcome::OutOfMemory));
    }

    #[test]
    fn a_second_stop_only_brings_the_kill_forward() {
        let start = Instant::now();
        let mut task = task(start);
        assert_eq!(task.on_stop(StopWhy::Cancelled, 5_000, start), Some(Due::Terminate(StopWhy::Cancelled)));
        assert_eq!(task.on_stop(StopWhy::Requeue, 60_000, start), None);
        assert_eq!(task.next_wake(), Some(start + seconds(5)));
        assert_eq!(task.on_stop(StopWhy::Requeue, 1_000, start), None);
        assert_eq!(task.on_clock(start + seconds(1)), Some(Due::Kill));
        assert_eq!(task.ending(0).stopped, Some(StopWhy::Cancelled));
    }

    #[test]
    fn an_ended_task_is_neither_stopped_nor_timed_out() {
        let start = Instant::now();
        let mut task = task(start);
        task.on_main_gone(killed(), 7, start);
        assert_eq!(task.on_stop(StopWhy::Cancelled, 0, start), None);
        assert_eq!(task.on_clock(start + seconds(60)), None);
        assert_eq!(task.ending(9).stopped, None);
        assert!(task.take_sweep(start) && !task.take_sweep(start) && task.take_sweep(start + SWEEP_WAIT_MIN));
    }

    #[test]
    fn what_a_shutdown_ended_is_lost() {
        let start = Instant::now();
        let mut task = task(start);
        task.on_stop(StopWhy::Shutdown, 0, start);
        task.on_main_gone(killed(), 7, start);
        assert_eq!(task.ending(9).outcome, Outcome::Lost);
    }
}
