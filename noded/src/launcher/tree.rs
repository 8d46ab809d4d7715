//! Whose process is it: the whole tree of a task, daemons that left it included.
//!
//! A process belongs to the attempt that its environment names; else to that of its session; else to the one it
//! belonged to when last seen; else to its parent's. What escapes: a process that cleared its environment, made a
//! session of its own and lost its parent before anybody looked. Only control groups hold that ([`Grip`](super::grip::Grip)
//! knows both).
//! A look reads all of `/proc` (tens of microseconds a process), so it is taken on a stop, and at an end only when
//! [`Trees::has_strangers`] says that something may be left over.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use nix::unistd::getpid;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::param::page_size;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use rustix::time::Timespec;
use sched::ids::JobId;
use serde::{Deserialize, Serialize};

use super::frame::RunKey;

/// The variable that names a process's attempt or step: `job_index_attempt` or `job_index_attempt_step`.
pub const ATTEMPT_VARIABLE: &str = "COVEY_ATTEMPT";

/// The variable that says by which launcher: other clusters on the machine count their jobs from 1, too.
pub const LAUNCHER_VARIABLE: &str = "COVEY_LAUNCHER";

/// A process for good: its number may be given out again, but not with the same start time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct ProcessIdent {
    pub(super) pid: i32,
    /// Clock ticks from boot to its start, as in `/proc/PID/stat`.
    pub(super) start_ticks: u64,
}

impl ProcessIdent {
    /// The process that has this number now.
    pub(super) fn of(pid: i32) -> Option<Self> {
        Stat::read(pid).map(|stat| stat.ident)
    }

    /// Sends a signal, but never to a process that got the number later.
    pub(super) fn signal(self, signal: Signal) {
        let Some(pidfd) = self.open() else { return };
        // It may be gone by now, or not ours to signal after a setuid; neither can be helped from here.
        let _ = pidfd_send_signal(pidfd, signal);
    }

    /// Waits until it has ended, or for `limit`.
    pub(super) fn wait_gone(self, limit: Duration) {
        if let Some(pidfd) = self.open() {
            let limit = Timespec { tv_sec: limit.as_secs().cast_signed(), tv_nsec: limit.subsec_nanos().into() };
            // An interrupted wait is a shorter wait.
            let _ = poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&limit));
        }
    }

    fn open(self) -> Option<std::os::fd::OwnedFd> {
        let pidfd = pidfd_open(Pid::from_raw(self.pid)?, PidfdFlags::empty()).ok()?;
        (Self::of(self.pid) == Some(self)).then_some(pidfd)
    }
}

/// Which process belongs to which attempt, as of the last look.
#[derive(Default)]
pub(super) struct Trees {
    launcher_id: String,
    owners: BTreeMap<ProcessIdent, RunKey>,
    /// What the processes of each attempt have in memory; pages that they share count for each.
    resident_bytes: BTreeMap<RunKey, u64>,
    /// Children of ours that belong to nobody; remembered, so that they cause no look each time.
    strays: BTreeMap<i32, ProcessIdent>,
}

impl Trees {
    pub(super) fn new(launcher_id: &str) -> Self {
        Self { launcher_id: launcher_id.to_owned(), ..Self::default() }
    }

    /// Looks at all processes of the machine. `mains` are the main processes by number, each the leader of a session.
    pub(super) fn look(&mut self, mains: &BTreeMap<i32, RunKey>) {
        let own_pid = getpid().as_raw();
        let processes: BTreeMap<i32, Stat> = all_pids()
            .filter(|&pid| pid != own_pid)
            .filter_map(|pid| Some((pid, Stat::read(pid)?)))
            .filter(|(_, stat)| !stat.gone)
            .collect();
        let mut found = BTreeMap::new();
        for &pid in processes.keys() {
            self.attribute(pid, &processes, mains, &mut found);
        }
        self.owners.clear();
        self.resident_bytes.clear();
        for stat in processes.values() {
            if let Some(key) = found.get(&stat.ident.pid).copied().flatten() {
                self.owners.insert(stat.ident, key);
                *self.resident_bytes.entry(key).or_default() += stat.resident_bytes;
            }
        }
        self.strays = processes
            .values()
            .filter(|stat| stat.parent == own_pid && !self.owners.contains_key(&stat.ident))
            .map(|stat| (stat.ident.pid, stat.ident))
            .collect();
    }

    /// The processes of the owners that are wanted, as of the last look.
    pub(super) fn members<'a>(
        &'a self,
        is_wanted: impl Fn(RunKey) -> bool + 'a,
    ) -> impl Iterator<Item = ProcessIdent> + 'a {
        self.owners.iter().filter(move |(_, owner)| is_wanted(**owner)).map(|(ident, _)| *ident)
    }

    /// What all processes of an attempt and its steps, or of a step, together had in memory at the last look.
    pub(super) fn resident_bytes(&self, key: RunKey) -> u64 {
        self.resident_bytes.iter().filter(|(owner, _)| belongs(**owner, key)).map(|(_, bytes)| bytes).sum()
    }

    /// A child of ours was reaped; its number may be given out again from now on.
    pub(super) fn reaped(&mut self, pid: i32) {
        self.strays.remove(&pid);
        let number = ProcessIdent { pid, start_ticks: 0 }..=ProcessIdent { pid, start_ticks: u64::MAX };
        let ident = self.owners.range(number).next().map(|(ident, _)| *ident);
        ident.map(|ident| self.owners.remove(&ident));
    }

    /// Whether this process has children that are neither main processes nor known from the last look.
    ///
    /// Whatever is left of a task whose main process is gone hangs below such a child, as we are the subreaper; so
    /// reading one short list tells for all tasks that there is nothing to clear away.
    pub(super) fn has_strangers(&self, mains: &BTreeMap<i32, RunKey>) -> bool {
        // Kernels without CONFIG_PROC_CHILDREN have no list: there, each end costs a look.
        let Ok(children) = fs::read_to_string("/proc/thread-self/children") else {
            return true;
        };
        children.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).any(|pid: i32| {
            let number = ProcessIdent { pid, start_ticks: 0 }..=ProcessIdent { pid, start_ticks: u64::MAX };
            !mains.contains_key(&pid) && !self.strays.contains_key(&pid) && self.owners.range(number).next().is_none()
        })
    }

    /// Finds the owner of a process and of its ancestors on the way, each only once.
    fn attribute(
        &self,
        pid: i32,
        processes: &BTreeMap<i32, Stat>,
        mains: &BTreeMap<i32, RunKey>,
        found: &mut BTreeMap<i32, Option<RunKey>>,
    ) {
        let (mut lineage, mut current) = (Vec::new(), pid);
        let owner = loop {
            if let Some(owner) = found.get(&current) {
                break *owner;
            }
            let Some(stat) = processes.get(&current) else {
                break None;
            };
            // Taken before the parent's answer is known: a circle in a list that was read bit by bit must end.
            found.insert(current, None);
            lineage.push(current);
            let named = || named_attempt(current, &self.launcher_id);
            let by_session = || mains.get(&stat.session).copied();
            let as_before = || self.owners.get(&stat.ident).copied();
            if let Some(owner) = named().or_else(by_session).or_else(as_before) {
                break Some(owner);
            }
            current = stat.parent;
        };
        found.extend(lineage.into_iter().map(|pid| (pid, owner)));
    }
}

/// Kills the trees of attempts that are not ours to wait for, until nothing of them is left.
///
/// `mains` are those main processes that are alive still. Returns what survived `limit`.
pub(super) fn kill_until_gone(
    launcher_id: &str,
    mains: &BTreeMap<i32, RunKey>,
    is_wanted: impl Fn(RunKey) -> bool,
    limit: Duration,
) -> Option<(RunKey, i32)> {
    let deadline = Instant::now() + limit;
    let mut trees = Trees::new(launcher_id);
    loop {
        trees.look(mains);
        let alive: Vec<_> = trees.owners.iter().filter(|(_, key)| is_wanted(**key)).collect();
        let (ident, key) = alive.first()?;
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Some((**key, ident.pid));
        }
        for (ident, _) in &alive {
            ident.signal(Signal::KILL);
        }
        // One of them is as good as all: the next round looks at the rest.
        ident.wait_gone(left);
    }
}

/// What `/proc/PID/stat` says of a process.
struct Stat {
    ident: ProcessIdent,
    parent: i32,
    session: i32,
    resident_bytes: u64,
    /// Dead and only waiting for its parent to take note.
    gone: bool,
}

impl Stat {
    fn read(pid: i32) -> Option<Self> {
        // The name in parentheses may itself hold blanks, parentheses and bytes that are no UTF-8.
        let content = fs::read(format!("/proc/{pid}/stat")).ok()?;
        let after_name = content.iter().rposition(|&byte| byte == b')')? + 1;
        let fields: Vec<&str> = str::from_utf8(&content[after_name..]).ok()?.split_ascii_whitespace().collect();
        // proc_pid_stat(5) counts from 1 and the state is its field 3.
        let field = |number: usize| fields.get(number - 3).copied();
        let threads: u32 = field(20)?.parse().ok()?;
        Some(Self {
            ident: ProcessIdent { pid, start_ticks: field(22)?.parse().ok()? },
            parent: field(4)?.parse().ok()?,
            session: field(6)?.parse().ok()?,
            resident_bytes: field(24)?.parse::<u64>().ok()? * page_size() as u64,
            // A main thread may end before the others: such a process is shown as a zombie and lives.
            gone: matches!(field(3)?, "Z" | "X") && threads <= 1,
        })
    }
}

/// Whether `owner` is `key`, or a step of it.
pub(super) fn belongs(owner: RunKey, key: RunKey) -> bool {
    owner == key || owner.whole() == key
}

fn all_pids() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// The attempt that a process's environment names, if it is one of this launcher's.
fn named_attempt(pid: i32, launcher_id: &str) -> Option<RunKey> {
    let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let value = |name: &str| {
        let mut variables = environment.split(|&byte| byte == 0);
        variables.find_map(|text| text.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
    };
    if value(LAUNCHER_VARIABLE)? != launcher_id.as_bytes() {
        return None;
    }
    let mut numbers = str::from_utf8(value(ATTEMPT_VARIABLE)?).ok()?.split('_').map(str::parse::<u32>);
    let mut next = || numbers.next()?.ok();
    Some(RunKey { job: JobId(next()?), index: next()?, attempt: next()?, step: next() })
}
