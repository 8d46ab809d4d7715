//! What the launcher holds its tasks by: main processes, trees, and control groups where the node may make them.
//!
//! Does to an attempt or step what it is told and decides nothing. Trees know what was found at the last [`Grip::look`]; a
//! group knows at any time, also what has cut all its ties. The first of an attempt to start on this node, be it the batch
//! script or a step, opens the group that holds all of it; each step has one of its own in there. Its stepd is in neither: it
//! has to outlive the tasks, and is not theirs to pay for. Start with [`Grip::members`].

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io;
use std::time::Instant;

use rustix::process::Signal;

use super::frame::{Abilities, Limits, RunKey};
use super::groups::{Group, Groups, Inner};
use super::tree::{ProcessIdent, Trees, belongs};

/// Looks at a tree in which each finds processes that the one before did not: a tree that forks so fast is not stopped
/// whole without a freezer.
const STOP_ROUNDS_MAX: usize = 8;

/// Which processes of an attempt or step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whom {
    /// All of its own; of an attempt none of its steps.
    Tree,
    /// All of its own but the main process.
    Descendants,
}

/// How a process that is about to start enters its group.
#[derive(Default)]
pub(super) struct Entrances {
    /// The files to which it writes itself.
    pub(super) own: Vec<File>,
    /// Those to which the tasks of a stepd write themselves; opened here, as a stepd may be somebody else.
    pub(super) of_tasks: Vec<File>,
}

/// All processes of all attempts.
pub(super) struct Grip {
    trees: Trees,
    groups: Groups,
    /// By attempt.
    rooms: BTreeMap<RunKey, Room>,
    /// By step, with the kills for memory that its attempt had seen before.
    inner: BTreeMap<RunKey, (Inner, u64)>,
    /// The attempts and steps by main process.
    mains: BTreeMap<i32, RunKey>,
}

/// The group of an attempt.
struct Room {
    group: Group,
    /// The batch script and the steps that have not left it.
    users: BTreeSet<RunKey>,
}

impl Grip {
    pub(super) fn new(launcher_id: &str, groups: Groups) -> Self {
        let (rooms, inner, mains) = Default::default();
        Self { trees: Trees::new(launcher_id), groups, rooms, inner, mains }
    }

    /// What the limits of attempts mean here.
    pub(super) fn abilities(&self) -> Abilities {
        self.groups.abilities()
    }

    /// Makes a group for what is about to start, or finds the one that its attempt has. Without any it runs in no
    /// group: its memory has to be watched if [`Grip::limits_memory`] says so.
    pub(super) fn make_room(&mut self, key: RunKey, limits: &Limits) -> Entrances {
        self.enter(key, limits).unwrap_or_else(|error| {
            tracing::warn!(%key, %error, "no control group; only its memory is limited, by sampling");
            self.release(key, None);
            Entrances::default()
        })
    }

    fn enter(&mut self, key: RunKey, limits: &Limits) -> io::Result<Entrances> {
        if !self.rooms.contains_key(&key.whole()) {
            let Some(group) = self.groups.take(limits)? else { return Ok(Entrances::default()) };
            self.rooms.insert(key.whole(), Room { group, users: BTreeSet::new() });
        }
        let room = self.rooms.get_mut(&key.whole()).expect("it has been made");
        room.users.insert(key);
        let Some(step) = key.step else { return Ok(Entrances { own: room.group.entrances()?, of_tasks: Vec::new() }) };
        let inner = room.group.inner(step)?;
        let of_tasks = inner.entrances();
        self.inner.insert(key, (inner, room.group.oom_kills()));
        Ok(Entrances { own: Vec::new(), of_tasks: of_tasks? })
    }

    /// Whether the kernel holds an attempt to its memory limit.
    pub(super) fn limits_memory(&self, key: RunKey) -> bool {
        self.rooms.get(&key.whole()).is_some_and(|room| room.users.contains(&key) && room.group.limits_memory())
    }

    pub(super) fn on_started(&mut self, key: RunKey, main: i32) {
        self.mains.insert(main, key);
    }

    /// A child of ours was reaped; whose main process it was.
    pub(super) fn on_reaped(&mut self, pid: i32) -> Option<RunKey> {
        self.trees.reaped(pid);
        self.mains.get(&pid).copied()
    }

    /// Looks at all processes of the machine.
    pub(super) fn look(&mut self) {
        self.trees.look(&self.mains);
    }

    /// Whether something may be left over that the last look did not see.
    pub(super) fn has_strangers(&self) -> bool {
        self.trees.has_strangers(&self.mains)
    }

    /// Whether nothing of an attempt and its steps is known to be left; a stepd is not counted.
    pub(super) fn is_gone(&self, key: RunKey) -> bool {
        self.all(key).is_empty()
    }

    /// What an attempt with its steps, or a step, had in memory at the last look.
    pub(super) fn resident_bytes(&self, key: RunKey) -> u64 {
        self.trees.resident_bytes(key)
    }

    /// Signals those that the last look has found and those that are in the group now.
    pub(super) fn signal(&self, key: RunKey, signal: Signal, whom: Whom) {
        for process in self.members(key) {
            if whom == Whom::Tree || self.mains.get(&process.pid) != Some(&key) {
                process.signal(signal);
            }
        }
    }

    /// Kills all of an attempt and of its steps, or all tasks of a step. A stepd lives on, to tell how its tasks have ended.
    pub(super) fn kill(&self, key: RunKey) {
        for process in self.all(key) {
            process.signal(Signal::KILL);
        }
        for (_, (inner, _)) in self.inner.iter().filter(|(owner, _)| belongs(**owner, key)) {
            inner.kill();
        }
        if let Some(room) = self.rooms.get(&key) {
            room.group.kill();
        }
    }

    /// Kills what is left of an attempt whose main process is gone, and leaves its steps alone; or what is left of a step.
    pub(super) fn kill_own(&self, key: RunKey) {
        let has_steps = self.inner.keys().any(|owner| owner.whole() == key);
        if has_steps { self.signal(key, Signal::KILL, Whom::Tree) } else { self.kill(key) }
    }

    /// Lets nothing of an attempt run.
    pub(super) fn suspend(&mut self, key: RunKey) {
        if self.rooms.get(&key).is_some_and(|room| room.group.freeze(true)) {
            return;
        }
        let mut stopped = BTreeSet::new();
        for _ in 0..STOP_ROUNDS_MAX {
            self.look();
            let count = stopped.len();
            for process in self.all(key) {
                if stopped.insert(process) {
                    process.signal(Signal::STOP);
                }
            }
            if stopped.len() == count {
                return;
            }
        }
    }

    /// Lets a suspended attempt run again.
    pub(super) fn resume(&mut self, key: RunKey) {
        if !self.rooms.get(&key).is_some_and(|room| room.group.freeze(false)) {
            self.look();
            for process in self.all(key) {
                process.signal(Signal::CONT);
            }
        }
    }

    /// Nothing of an attempt or step is left, or it has not come to run; how many processes in its group the kernel has killed
    /// for their memory while it was there. A second call changes nothing.
    pub(super) fn release(&mut self, key: RunKey, main: Option<i32>) -> u64 {
        // The number may be another task's by now.
        if let Some(main) = main.filter(|main| self.mains.get(main) == Some(&key)) {
            self.mains.remove(&main);
        }
        let mut before = 0;
        if let Some((inner, oom_kills)) = self.inner.remove(&key) {
            self.groups.remove_inner(inner);
            before = oom_kills;
        }
        let Some(room) = self.rooms.get_mut(&key.whole()) else { return 0 };
        let was_user = room.users.remove(&key);
        let oom_kills = if was_user { room.group.oom_kills() - before } else { 0 };
        if room.users.is_empty()
            && let Some(room) = self.rooms.remove(&key.whole())
        {
            self.groups.give_back(room.group);
        }
        oom_kills
    }

    /// Goes on with removing groups.
    pub(super) fn on_clock(&mut self, now: Instant) {
        self.groups.on_clock(now);
    }

    /// When [`Grip::on_clock`] has something to do.
    pub(super) fn next_wake(&self) -> Option<Instant> {
        self.groups.next_wake()
    }

    /// Removes all groups.
    pub(super) fn close(&mut self) {
        self.groups.close();
    }

    /// The processes of an attempt without those of its steps, or all of a step's.
    fn members(&self, key: RunKey) -> BTreeSet<ProcessIdent> {
        let mut own: BTreeSet<ProcessIdent> = self.trees.members(|owner| owner == key).collect();
        if key.is_step() {
            own.extend(self.inner.get(&key).map(|(inner, _)| inner.members()).unwrap_or_default());
        } else if let Some(room) = self.rooms.get(&key) {
            // Some hierarchies list the steps with it.
            let of_steps = self.of_steps(key);
            own.extend(room.group.members().into_iter().filter(|process| !of_steps.contains(process)));
        }
        own
    }

    /// The processes of an attempt and of its steps, or of a step; stepds that live are not among them.
    fn all(&self, key: RunKey) -> BTreeSet<ProcessIdent> {
        let is_stepd = |process: &ProcessIdent| self.mains.get(&process.pid).is_some_and(|main| main.is_step());
        self.members(key).into_iter().chain(self.of_steps(key)).filter(|process| !is_stepd(process)).collect()
    }

    fn of_steps(&self, key: RunKey) -> BTreeSet<ProcessIdent> {
        let is_step = |owner: RunKey| owner.is_step() && belongs(owner, key);
        let inner = self.inner.iter().filter(|(owner, _)| is_step(**owner)).flat_map(|(_, (inner, _))| inner.members());
        self.trees.members(is_step).chain(inner).collect()
    }
}
