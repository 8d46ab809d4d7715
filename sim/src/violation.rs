//! Every promise that a run can break. None of them is an error of the simulator.

use sched::check::Broken;
use sched::ids::{AttemptKey, JobId};
use sched::reason::Outcome;
use sched::reconcile::How;
use sched::resources::Amount;
use thiserror::Error;

/// A promise that was broken.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum Violation {
    /// An invariant of the books.
    #[error("the books of the controller are wrong")]
    Books(#[from] Broken),
    /// An attempt was begun a second time.
    #[error("attempt {0} was begun twice")]
    BegunTwice(AttemptKey),
    /// Two attempts of one task ran at once.
    #[error("attempt {second} began on {node} while {first} still ran")]
    LiveTwice {
        /// The one that ran.
        first: AttemptKey,
        /// The one that began.
        second: AttemptKey,
        /// Where it began.
        node: String,
    },
    /// A client was told of a job that is not there.
    #[error("job {0} was acknowledged and is missing")]
    Missing(JobId),
    /// A request made two jobs.
    #[error("one request was answered with job {0} and with job {1}")]
    TwoJobs(JobId, JobId),
    /// A node runs more than it offers.
    #[error("{node} runs tasks of {held:?}, and offers {offered:?}")]
    OverCommitted {
        /// The node.
        node: String,
        /// What its tasks hold.
        held: Amount,
        /// What it offers.
        offered: Amount,
    },
    /// More tasks of an array were started than its limit allows.
    #[error("{running} tasks of job {job} run after a start, and its limit is {limit}")]
    Throttle {
        /// The job.
        job: JobId,
        /// How many run.
        running: u32,
        /// How many may.
        limit: u32,
    },
    /// An end was counted a second time.
    #[error("the end of {0} was counted twice")]
    CountedTwice(AttemptKey),
    /// An end was counted while the attempt ran.
    #[error("{0} was counted as over while it ran")]
    CountedWhileLive(AttemptKey),
    /// An end is not as the machine saw it.
    #[error("{key} was counted as {counted:?}, and left as {seen:?}")]
    WrongEnd {
        /// The attempt.
        key: AttemptKey,
        /// What the controller made of it.
        counted: Outcome,
        /// What happened.
        seen: Option<How>,
    },
    /// A task was started before what it waits for.
    #[error("task {index} of job {job} was started, and what it waits for in job {on} has not come so far")]
    TooEarly {
        /// The job.
        job: JobId,
        /// The task.
        index: u32,
        /// The job that it waits for.
        on: JobId,
    },
    /// A task was counted as ended while its end stood in the books already.
    #[error("the end of task {index} of job {job} was counted twice")]
    EndedTwice {
        /// The job.
        job: JobId,
        /// The task.
        index: u32,
    },
    /// A task was started that had ended, and nobody had taken its end back.
    #[error("task {index} of job {job} was started after its end")]
    StartedAfterItsEnd {
        /// The job.
        job: JobId,
        /// The task.
        index: u32,
    },
    /// The books count more ends, or fewer, than there were.
    #[error("job {job} has {ended} ended tasks, and {counted} are counted")]
    Tally {
        /// The job.
        job: JobId,
        /// How many the books count.
        counted: u32,
        /// How many there are.
        ended: usize,
    },
    /// A task that fails was tried again too seldom, or too often.
    #[error("task {index} of job {job} was tried again {retried} times, and that is not what was asked for")]
    Retries {
        /// The job.
        job: JobId,
        /// The task.
        index: u32,
        /// How often it was tried again.
        retried: u32,
    },
    /// An attempt runs on after its job's deadline.
    #[error("{key} runs {late_ms} ms after it should have been ended for its deadline")]
    Late {
        /// The attempt.
        key: AttemptKey,
        /// How long after the last moment that delays excuse.
        late_ms: u64,
    },
    /// A signal reached an attempt a second time, or nobody had sent it.
    #[error("{key} was sent its signal {number} once, or never, and has got it more often")]
    SignalledTwice {
        /// The attempt.
        key: AttemptKey,
        /// Which of its signals.
        number: u32,
    },
    /// Nothing is in the way any more, and a signal has not come.
    #[error("{key} runs, and has not got its signal {number}")]
    SignalLost {
        /// The attempt.
        key: AttemptKey,
        /// Which of its signals.
        number: u32,
    },
    /// A number was given to two things.
    #[error("number {0} was given twice")]
    Reissued(JobId),
    /// A controller that came back knows something else than the one that died.
    #[error("what was recovered is not what was committed")]
    Recovery,
    /// An operation went on to its end though its node had been given up.
    #[error("{0} was finished after its node was given up and its task was to run elsewhere")]
    Unfenced(AttemptKey),
    /// Nothing is in the way any more, and something does not end.
    #[error("something waits for ever: {0}")]
    WaitsForEver(String),
    /// So many things happened that something must go in circles.
    #[error("{0} things happened, and there is no end to it")]
    Restless(u64),
    /// Part of the real code panicked.
    #[error("a panic: {0}")]
    Panic(String),
}
