//! Control groups of attempts: found, made, entered, emptied, used again and removed.
//!
//! One group for each attempt with limits, named by a number, under `covey-LAUNCHERID` below the launcher's own group, so
//! that whatever holds this launcher holds its tasks too. Not here: which attempt has which group, which is
//! [`Grip`](super::grip::Grip)'s. Start with [`Groups::take`]; [`place`] finds where, [`part`] touches the files.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::LauncherError;
use super::frame::{Abilities, Limits, Means};
use super::tree::ProcessIdent;

mod part;
mod place;
mod settings;

use part::Part;
use place::Hierarchy;

/// What the launcher is to enforce limits by: `sampling` keeps it from making control groups; unset, it makes them where
/// it may.
pub const ENFORCEMENT_VARIABLE: &str = "COVEY_ENFORCEMENT";

/// Empty groups kept for the next attempts with the same limits, as making one costs a third of a process start. With
/// more, the one that has waited longest is removed.
const IDLE_MAX: usize = 32;

/// A group to which more than this is still charged (files left in a tmpfs) is not used again.
const REUSE_BYTES_MAX: u64 = 4 << 20;

/// From one try to remove the groups that something is left in to the next.
const REMOVE_WAIT: Duration = Duration::from_millis(100);

/// For processes in groups of an earlier life to die of their KILL.
const ORPHANS_WAIT: Duration = Duration::from_secs(10);

/// In the launcher's folder: where it has made groups, a line for each hierarchy.
const ROOTS_FILE: &str = "groups";

/// Where the launcher makes groups, and those that no attempt has.
#[derive(Default)]
pub(super) struct Groups {
    means: Means,
    /// Each with the launcher's own folder, below which the groups are.
    hierarchies: Vec<Hierarchy>,
    number_next: u64,
    idle: Vec<Group>,
    leaving: Vec<Group>,
    /// When the leaving ones are tried again.
    remove_at: Option<Instant>,
}

/// The group of one attempt: a folder in each hierarchy, with the same processes in each.
pub(super) struct Group {
    limits: Limits,
    parts: Vec<Part>,
}

/// The group of a step inside that of its attempt, which limits it: a folder of its own only where processes are stopped
/// and killed.
pub(super) struct Inner {
    group: Group,
    /// As those of the attempt's group, in the hierarchies in which the step has none.
    entrances: Vec<PathBuf>,
}

impl Groups {
    /// Ends what groups of an earlier life hold, and finds where groups can be made. `dir` is the launcher's folder.
    pub(super) fn open(dir: &Path, launcher_id: &str) -> Result<Self, LauncherError> {
        let list = dir.join(ROOTS_FILE);
        let old_roots: Vec<PathBuf> =
            fs::read_to_string(&list).unwrap_or_default().lines().map(PathBuf::from).collect();
        end_earlier_life(&old_roots)?;
        if std::env::var(ENFORCEMENT_VARIABLE).is_ok_and(|means| means == "sampling") {
            return Ok(Self::default());
        }
        let (means, hierarchies) = place::find(&format!("covey-{launcher_id}"));
        let roots = hierarchies.iter().map(|hierarchy| format!("{}\n", hierarchy.root.display()));
        // The launcher masks nothing, so that the file's mode must be said.
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let noted = options.open(&list).and_then(|mut file| file.write_all(roots.collect::<String>().as_bytes()));
        if let Err(error) = noted {
            // A later life in another group of its own would not find them.
            tracing::warn!(path = %list.display(), %error, "limits are sampled: cannot note where control groups are");
            return Ok(Self::default());
        }
        Ok(Self { means, hierarchies, ..Self::default() })
    }

    /// What can be enforced.
    pub(super) fn abilities(&self) -> Abilities {
        let controllers = self.hierarchies.iter().flat_map(|hierarchy| hierarchy.controllers.iter().copied());
        Abilities { means: self.means, controllers: controllers.collect(), leases: true }
    }

    /// An empty group with these limits; none where none can be made or nothing is limited that a group could.
    pub(super) fn take(&mut self, limits: &Limits) -> io::Result<Option<Group>> {
        let limits = Limits { open_files_max: None, ..*limits };
        if self.hierarchies.is_empty() || limits == Limits::default() {
            return Ok(None);
        }
        if let Some(found) = self.idle.iter().rposition(|group| group.limits == limits) {
            return Ok(Some(self.idle.remove(found)));
        }
        self.number_next += 1;
        let mut group = Group { limits, parts: Vec::new() };
        for hierarchy in &self.hierarchies {
            let made = Part::make(hierarchy, self.number_next, &limits).map(|part| group.parts.push(part));
            if let Err(error) = made {
                self.leaving.push(group);
                self.remove_leaving(Instant::now());
                return Err(error);
            }
        }
        Ok(Some(group))
    }

    /// Removes the group of a step; what is still in it is killed.
    pub(super) fn remove_inner(&mut self, inner: Inner) {
        if !inner.group.remove() {
            inner.group.kill();
            self.leaving.push(inner.group);
            self.remove_leaving(Instant::now());
        }
    }

    /// Takes back a group that was found empty; how many of its processes were killed for their memory. Another attempt
    /// gets it only if it would inherit neither such kills nor memory.
    pub(super) fn give_back(&mut self, group: Group) -> u64 {
        let oom_kills = group.oom_kills();
        if oom_kills == 0 && group.memory_bytes() <= REUSE_BYTES_MAX {
            self.idle.push(group);
            if self.idle.len() > IDLE_MAX {
                self.leaving.push(self.idle.remove(0));
            }
        } else {
            self.leaving.push(group);
        }
        if !self.leaving.is_empty() {
            self.remove_leaving(Instant::now());
        }
        oom_kills
    }

    /// Tries again to remove what could not be removed.
    pub(super) fn on_clock(&mut self, now: Instant) {
        if self.remove_at.is_some_and(|at| at <= now) {
            self.remove_leaving(now);
        }
    }

    /// When [`Groups::on_clock`] has something to do.
    pub(super) fn next_wake(&self) -> Option<Instant> {
        self.remove_at
    }

    /// Removes everything, as far as nothing is left in it; the rest is for the next life.
    pub(super) fn close(&mut self) {
        self.leaving.append(&mut self.idle);
        self.remove_leaving(Instant::now());
        for hierarchy in &self.hierarchies {
            remove(&hierarchy.root);
        }
    }

    fn remove_leaving(&mut self, now: Instant) {
        self.leaving.retain(|group| {
            let is_gone = group.remove();
            if !is_gone {
                group.kill();
            }
            !is_gone
        });
        self.remove_at = (!self.leaving.is_empty()).then(|| now + REMOVE_WAIT);
    }
}

impl Group {
    /// Open files to which a process writes `0` to enter.
    pub(super) fn entrances(&self) -> io::Result<Vec<File>> {
        self.parts.iter().map(Part::entrance).collect()
    }

    /// Makes the group of a step in it.
    pub(super) fn inner(&self, step: u32) -> io::Result<Inner> {
        let mut inner = Inner { group: Group { limits: Limits::default(), parts: Vec::new() }, entrances: Vec::new() };
        for part in &self.parts {
            if part.can_freeze() {
                let own = part.inner(step)?;
                inner.entrances.push(own.entrance_path());
                inner.group.parts.push(own);
            } else {
                inner.entrances.push(part.entrance_path());
            }
        }
        Ok(inner)
    }

    /// What lives in it. Dead processes that only wait for their parent to take note are not listed.
    pub(super) fn members(&self) -> Vec<ProcessIdent> {
        self.parts.first().map(Part::members).unwrap_or_default()
    }

    /// Whether the group itself sees to the memory limit.
    pub(super) fn limits_memory(&self) -> bool {
        self.parts.iter().any(Part::limits_memory)
    }

    /// How many of its processes were killed for their memory.
    pub(super) fn oom_kills(&self) -> u64 {
        self.parts.iter().filter_map(Part::oom_kills).sum()
    }

    /// Lets nothing in it run, or lets it run again; whether it can.
    pub(super) fn freeze(&self, frozen: bool) -> bool {
        self.parts.iter().any(|part| part.freeze(frozen))
    }

    /// Kills all that is in it. What was being forked right then may be left, and falls to the next call.
    pub(super) fn kill(&self) {
        if self.parts.iter().any(Part::kill_at_once) {
            return;
        }
        // Frozen first, as otherwise a tree that forks faster than it is read would escape.
        self.freeze(true);
        self.parts.iter().for_each(Part::kill_members);
        self.freeze(false);
    }

    /// What is charged to it.
    fn memory_bytes(&self) -> u64 {
        self.parts.iter().filter_map(Part::memory_bytes).sum()
    }

    /// Whether all of it is gone.
    fn remove(&self) -> bool {
        self.parts.iter().filter(|part| !remove(part.dir())).count() == 0
    }
}

impl Inner {
    /// Open files to which a process writes `0` to enter.
    pub(super) fn entrances(&self) -> io::Result<Vec<File>> {
        self.entrances.iter().map(|path| File::options().write(true).open(path)).collect()
    }

    /// What lives in it.
    pub(super) fn members(&self) -> Vec<ProcessIdent> {
        self.group.members()
    }

    /// Kills all that is in it.
    pub(super) fn kill(&self) {
        self.group.kill();
    }
}

/// Whether the folder of a group is gone; the kernel refuses while a process or another group is in it.
fn remove(dir: &Path) -> bool {
    fs::remove_dir(dir).map_or_else(|error| error.kind() == io::ErrorKind::NotFound, |()| true)
}

/// The groups in a group.
fn inner_dirs(dir: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path())
}

/// Kills whatever an earlier life has left in its groups, and removes them.
fn end_earlier_life(roots: &[PathBuf]) -> Result<(), LauncherError> {
    let deadline = Instant::now() + ORPHANS_WAIT;
    let entries = roots.iter().flat_map(|root| fs::read_dir(root).into_iter().flatten().flatten());
    let dirs = entries.map(|entry| entry.path()).filter(|path| path.is_dir());
    // Those of steps before those that they are in.
    let parts: Vec<Part> = dirs.flat_map(|dir| inner_dirs(&dir).chain([dir])).map(Part::found).collect();
    // All of them first: what is frozen in one hierarchy does not die of a KILL in another.
    for part in &parts {
        part.freeze(false);
    }
    for part in parts {
        let (dir, group) = (part.dir().to_owned(), Group { limits: Limits::default(), parts: vec![part] });
        while let Some(process) = group.members().first() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(LauncherError::LeftInGroup { pid: process.pid, group: dir });
            }
            group.kill();
            process.wait_gone(left);
        }
        group.remove();
    }
    for root in roots {
        remove(root);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;
    use std::process::Command;

    use super::place::{Version, hierarchies};
    use super::*;
    use crate::launcher::frame::Controller;

    /// Version 2 may have no controllers on a machine that gives them to version 1, but it freezes and kills all the same.
    #[test]
    fn a_group_of_version_2_freezes_and_dies_at_once() {
        let read = |path| fs::read_to_string(path).expect("Linux");
        let found = hierarchies(&read("/proc/self/mountinfo"), &read("/proc/self/cgroup"));
        let unified = found.into_iter().find(|own| own.version == Version::Two);
        let Some((own, root)) =
            unified.map(|own| (own.clone(), own.root.join(format!("covey-{}", uuid::Uuid::new_v4()))))
        else {
            return println!("not tested: no version 2 here");
        };
        if let Err(error) = fs::create_dir(&root) {
            return println!("not tested: {}: {error}", root.display());
        }
        let hierarchy = Hierarchy { root: root.clone(), controllers: vec![Controller::Freezer], ..own };
        let mut groups = Groups { means: Means::Cgroup2, hierarchies: vec![hierarchy], ..Groups::default() };
        let limits = Limits { cpus_milli: Some(1_000), ..Limits::default() };
        let group = groups.take(&limits).expect("a folder").expect("limits are asked for");
        let mut child = Command::new("sleep").arg("100").spawn().expect("coreutils");
        fs::write(root.join("1/cgroup.procs"), child.id().to_string()).expect("it enters");
        assert_eq!(group.members().first().map(|process| process.pid), Some(child.id().cast_signed()));
        assert!(group.freeze(true));
        assert!(!group.remove(), "something is in it");
        group.kill();
        assert_eq!(child.wait().expect("our child").signal(), Some(9));
        assert!(group.members().is_empty());
        group.freeze(false);
        groups.give_back(group);
        groups.close();
        assert!(!root.exists());
    }

    #[test]
    fn empty_groups_are_kept_for_the_same_limits_up_to_a_number() {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().to_owned();
        let hierarchy = Hierarchy { version: Version::One, root: root.clone(), controllers: vec![Controller::Freezer] };
        let mut groups = Groups { means: Means::Cgroup1, hierarchies: vec![hierarchy], ..Groups::default() };
        let limits = |processes| Limits { processes_max: Some(processes), ..Limits::default() };
        assert!(groups.take(&Limits { open_files_max: Some(9), ..Limits::default() }).expect("none needed").is_none());
        let taken: Vec<_> = (0..40).map(|n| groups.take(&limits(n)).expect("a folder").expect("a group")).collect();
        for group in taken {
            assert_eq!(groups.give_back(group), 0);
        }
        assert_eq!(fs::read_dir(&root).expect("the root").count(), IDLE_MAX);
        let again = groups.take(&limits(39)).expect("an idle one").expect("a group");
        assert_eq!(again.parts[0].dir(), root.join("40"));
        groups.give_back(again);
        groups.close();
        assert!(!root.exists());
    }
}
