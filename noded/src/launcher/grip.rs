//! What the launcher holds its tasks by: main processes, trees, and control groups where the node may make them.
//!
//! Does to an attempt what it is told and decides nothing. Trees know what was found at the last [`Grip::look`]; a group
//! knows at any time, also what has cut all its ties. Start with [`Grip::members`].

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::time::Instant;

use rustix::process::Signal;

use super::frame::{Abilities, AttemptKey, Limits};
use super::groups::{Group, Groups};
use super::tree::{ProcessIdent, Trees};

/// Looks at a tree in which each finds processes that the one before did not: a tree that forks so fast is not stopped
/// whole without a freezer.
const STOP_ROUNDS_MAX: usize = 8;

/// Which processes of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whom {
    Tree,
    /// All but the main process.
    Descendants,
}

/// All processes of all attempts.
pub(super) struct Grip {
    trees: Trees,
    groups: Groups,
    held: BTreeMap<AttemptKey, Group>,
    /// The attempts by main process.
    mains: BTreeMap<i32, AttemptKey>,
}

impl Grip {
    pub(super) fn new(launcher_id: &str, groups: Groups) -> Self {
        Self { trees: Trees::new(launcher_id), groups, held: BTreeMap::new(), mains: BTreeMap::new() }
    }

    /// What the limits of attempts mean here.
    pub(super) fn abilities(&self) -> Abilities {
        self.groups.abilities()
    }

    /// Makes a group for an attempt that is about to start; the files by which it enters. Without any it runs in no
    /// group: its memory has to be watched if [`Grip::limits_memory`] says so.
    pub(super) fn make_room(&mut self, key: AttemptKey, limits: &Limits) -> Vec<File> {
        let entered = self.groups.take(limits).and_then(|group| {
            let Some(group) = group else { return Ok(Vec::new()) };
            let entrances = group.entrances();
            self.held.insert(key, group);
            entrances
        });
        entered.unwrap_or_else(|error| {
            tracing::warn!(%key, %error, "no control group; only its memory is limited, by sampling");
            self.release(key, None);
            Vec::new()
        })
    }

    /// Whether the kernel holds an attempt to its memory limit.
    pub(super) fn limits_memory(&self, key: AttemptKey) -> bool {
        self.held.get(&key).is_some_and(Group::limits_memory)
    }

    pub(super) fn on_started(&mut self, key: AttemptKey, main: i32) {
        self.mains.insert(main, key);
    }

    /// A child of ours was reaped; whose main process it was.
    pub(super) fn on_reaped(&mut self, pid: i32) -> Option<AttemptKey> {
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

    /// Whether nothing of an attempt is known to be left.
    pub(super) fn is_gone(&self, key: AttemptKey) -> bool {
        self.members(key).is_empty()
    }

    /// What an attempt had in memory at the last look.
    pub(super) fn resident_bytes(&self, key: AttemptKey) -> u64 {
        self.trees.resident_bytes(key)
    }

    /// Signals those that the last look has found and those that are in the group now.
    pub(super) fn signal(&self, key: AttemptKey, signal: Signal, whom: Whom) {
        for process in self.members(key) {
            if whom == Whom::Tree || self.mains.get(&process.pid) != Some(&key) {
                process.signal(signal);
            }
        }
    }

    pub(super) fn kill(&self, key: AttemptKey) {
        self.signal(key, Signal::KILL, Whom::Tree);
        if let Some(group) = self.held.get(&key) {
            group.kill();
        }
    }

    /// Lets nothing of an attempt run.
    pub(super) fn suspend(&mut self, key: AttemptKey) {
        if self.held.get(&key).is_some_and(|group| group.freeze(true)) {
            return;
        }
        let mut stopped = BTreeSet::new();
        for _ in 0..STOP_ROUNDS_MAX {
            self.look();
            let count = stopped.len();
            for process in self.members(key) {
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
    pub(super) fn resume(&mut self, key: AttemptKey) {
        if !self.held.get(&key).is_some_and(|group| group.freeze(false)) {
            self.look();
            self.signal(key, Signal::CONT, Whom::Tree);
        }
    }

    /// Nothing of an attempt is left, or it has not come to run; how many of its processes the kernel has killed for their
    /// memory. A second call changes nothing.
    pub(super) fn release(&mut self, key: AttemptKey, main: Option<i32>) -> u64 {
        // The number may be another task's by now.
        if let Some(main) = main.filter(|main| self.mains.get(main) == Some(&key)) {
            self.mains.remove(&main);
        }
        self.held.remove(&key).map_or(0, |group| self.groups.give_back(group))
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

    /// The processes of an attempt.
    fn members(&self, key: AttemptKey) -> BTreeSet<ProcessIdent> {
        let grouped = self.held.get(&key).map(Group::members).unwrap_or_default();
        self.trees.members(key).chain(grouped).collect()
    }
}
