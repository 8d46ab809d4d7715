//! The launcher: a small process of its own beside noded, which is the parent of the tasks.
//!
//! It starts tasks, keeps their claims, starts and ends on disk until they are forgotten, holds them to their limits and
//! ends whole process trees. It outlives noded, which connects again and learns from the hello what runs and what has ended.
//! It chooses nothing: noded says what to start and stop. It knows no controller, no blobs and no runtime.
//!
//! Start with [`frame`] for what is said, [`run`](run()) for the process, [`ensure`] and [`Link`] for noded's side.

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use thiserror::Error;

mod attempts;
mod client;
mod files;
pub mod frame;
mod grip;
mod groups;
mod identity;
mod latecomers;
mod link;
mod place;
mod records;
mod run;
pub(crate) mod spawn;
mod start;
mod task;
mod tree;
mod vfork;
mod watch;
pub mod wire;

pub use attempts::ATTEMPTS_MAX;
pub use groups::ENFORCEMENT_VARIABLE;
pub(crate) use identity::become_user;
pub use link::{Link, LinkError, NoticeReceiver, RequestSender};
pub use run::run;
pub use start::{ensure, stop};
pub use tree::{ATTEMPT_VARIABLE, LAUNCHER_VARIABLE};

use frame::RunKey;

/// Why there is no launcher, or why it had to give up.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LauncherError {
    /// The folder.
    #[error("cannot make or open the launcher's folder {}", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The lock file itself, not its holder.
    #[error("cannot lock {}", path.display())]
    Lock {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// There can be only one for a folder.
    #[error("a launcher already runs for {}; launcher.pid in it names the process", dir.display())]
    AlreadyRunning {
        /// The folder.
        dir: PathBuf,
    },
    /// Writing or reading the pid file.
    #[error("cannot use the pid file {}", path.display())]
    PidFile {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Reading or making the record file.
    #[error("cannot open the records {}", path.display())]
    OpenRecords {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The record file does not begin as ours do.
    #[error("{} is not a launcher's record file; move it away to begin with none", path.display())]
    ForeignRecords {
        /// Which.
        path: PathBuf,
    },
    /// Without the boot id nobody can tell whether a process is that of a record.
    #[error("cannot read {}; is /proc mounted?", path.display())]
    BootId {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// An earlier life's task does not die.
    #[error(
        "process {pid} of attempt {key}, left by an earlier launcher, survives SIGKILL; it probably waits for a disk"
    )]
    Unkillable {
        /// Whose.
        key: RunKey,
        /// Which process.
        pid: i32,
    },
    /// What an earlier life's task left in its control group does not die.
    #[error(
        "process {pid} in {}, left by an earlier launcher, survives SIGKILL; it probably waits for a disk", group.display()
    )]
    LeftInGroup {
        /// Which process.
        pid: i32,
        /// Where.
        group: PathBuf,
    },
    /// The socket.
    #[error("cannot listen on {}", path.display())]
    Listen {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It was called from a process that is not its own.
    #[error("the launcher needs a process with one thread, and this has {threads}; call it first thing in main")]
    NotAlone {
        /// How many it has.
        threads: usize,
    },
    /// A call that no healthy system refuses.
    #[error("the system call {call} failed")]
    System {
        /// Which.
        call: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The log of a launcher to be started.
    #[error("cannot open the launcher's log {}", path.display())]
    Log {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The program of a launcher to be started.
    #[error("cannot start {} as launcher", exe.display())]
    Start {
        /// Which program.
        exe: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It left before it answered.
    #[error("the launcher left at once ({status}); {} says why", log.display())]
    Died {
        /// Its log.
        log: PathBuf,
        /// How it left.
        status: ExitStatus,
    },
    /// It lives, or somebody holds its lock, but says nothing.
    #[error("the launcher of {} did not answer within {waited:?}; look at launcher.log and launcher.pid there", dir.display())]
    NoAnswer {
        /// The folder.
        dir: PathBuf,
        /// For how long.
        waited: Duration,
    },
    /// It could not be told to go, or stayed.
    #[error("cannot end the launcher, process {pid}")]
    Stop {
        /// The launcher.
        pid: i32,
        /// Why; a time-out if it stayed.
        #[source]
        source: io::Error,
    },
}
