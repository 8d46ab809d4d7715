//! Where the launcher may make groups: below its own group, in the unified hierarchy or in those of version 1.
//!
//! Version 2 wants the processes out of a group whose controllers go to groups below it. They are moved aside only where
//! the group is a container's own root or was delegated by systemd; elsewhere they are somebody else's, and there is no
//! place in version 2.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use nix::libc;

use crate::launcher::frame::{Controller, Means};

/// Where processes are moved aside to.
const ASIDE: &str = "covey-daemons";

/// What systemd marks the groups with that it leaves to their service.
const DELEGATED: &str = "user.delegate";

/// The version of control groups that a hierarchy speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    One,
    Two,
}

/// A tree of groups and what it controls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hierarchy {
    pub(super) version: Version,
    /// The group below which ours are.
    pub(super) root: PathBuf,
    pub(super) controllers: Vec<Controller>,
}

/// Makes a group of that name wherever it can, for the others to be below it.
pub(super) fn find(name: &str) -> (Means, Vec<Hierarchy>) {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let found = hierarchies(&read("/proc/self/mountinfo"), &read("/proc/self/cgroup"));
    let (unified, separate): (Vec<_>, Vec<_>) = found.into_iter().partition(|found| found.version == Version::Two);
    let unified = unified.into_iter().find_map(|own| skip("cgroup2", prepare(own, name)).flatten());
    if let Some(hierarchy) = unified {
        return (Means::Cgroup2, vec![hierarchy]);
    }
    let separate = separate.into_iter().filter_map(|own| {
        let root = own.root.join(name);
        skip("cgroup1", make(&root)).map(|()| Hierarchy { root, ..own })
    });
    let separate: Vec<_> = separate.collect();
    (if separate.is_empty() { Means::Sampling } else { Means::Cgroup1 }, separate)
}

/// Each hierarchy with the caller's own group as its root; those of version 1 with what they control.
pub(super) fn hierarchies(mountinfo: &str, own: &str) -> Vec<Hierarchy> {
    let mut found: Vec<Hierarchy> = Vec::new();
    for line in mountinfo.lines() {
        let Some((mount, kind)) = line.split_once(" - ") else { continue };
        let (mount, kind): (Vec<&str>, Vec<&str>) = (mount.split(' ').collect(), kind.split(' ').collect());
        let (&[_, _, _, root, point, ..], &[kind, _, options]) = (&mount[..], &kind[..]) else { continue };
        let options: Vec<&str> = options.split(',').collect();
        let (version, controllers) = match kind {
            "cgroup" => (Version::One, options.iter().filter_map(|name| controller(name)).collect()),
            "cgroup2" => (Version::Two, Vec::new()),
            _ => continue,
        };
        let is_there = |other: &Hierarchy| other.version == version && other.controllers == controllers;
        if (version == Version::One && controllers.is_empty()) || found.iter().any(is_there) {
            continue;
        }
        let path = own.lines().find_map(|line| {
            let (names, path) = line.split_once(':')?.1.split_once(':')?;
            let is_it = match version {
                Version::One => names.split(',').any(|name| !name.is_empty() && options.contains(&name)),
                Version::Two => names.is_empty(),
            };
            is_it.then_some(path)
        });
        // What is mounted may be a part of the hierarchy that the caller is not in.
        if let Some(below) = path.and_then(|path| Path::new(path).strip_prefix(root).ok()) {
            found.push(Hierarchy { version, root: Path::new(point).join(below), controllers });
        }
    }
    found
}

/// What is in the unified hierarchy below the caller's own group; `None` if no controller is.
fn prepare(own: Hierarchy, name: &str) -> io::Result<Option<Hierarchy>> {
    // An earlier life, or the launcher of another node of this container, has moved us.
    let home = if own.root.ends_with(ASIDE) { own.root.parent().unwrap_or(&own.root) } else { &own.root };
    let offered = fs::read_to_string(home.join("cgroup.controllers"))?;
    let (names, mut controllers): (Vec<&str>, Vec<Controller>) =
        offered.split_ascii_whitespace().filter_map(|name| Some((name, controller(name)?))).unzip();
    if controllers.is_empty() {
        return Ok(None);
    }
    match enable(home, &names) {
        Err(error) if error.kind() == io::ErrorKind::ResourceBusy && is_ours(home) => {
            move_aside(home)?;
            enable(home, &names)?;
        }
        enabled => enabled?,
    }
    let root = home.join(name);
    make(&root)?;
    enable(&root, &names)?;
    controllers.push(Controller::Freezer);
    Ok(Some(Hierarchy { version: Version::Two, root, controllers }))
}

/// Lets the groups below `dir` have these controllers.
fn enable(dir: &Path, names: &[&str]) -> io::Result<()> {
    let wanted: String = names.iter().map(|name| format!("+{name} ")).collect();
    fs::write(dir.join("cgroup.subtree_control"), wanted)
}

/// Whether all that is in the group is for its own processes to arrange.
fn is_ours(dir: &Path) -> bool {
    let is_container_root =
        fs::read_to_string("/proc/self/cgroup").is_ok_and(|own| own.lines().any(|line| line == "0::/"));
    is_container_root || rustix::fs::getxattr(dir, DELEGATED, &mut [0_u8; 8]).is_ok()
}

fn move_aside(dir: &Path) -> io::Result<()> {
    let aside = dir.join(ASIDE);
    make(&aside)?;
    for pid in fs::read_to_string(dir.join("cgroup.procs"))?.lines() {
        match fs::write(aside.join("cgroup.procs"), pid) {
            // It has ended in between.
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
            moved => moved?,
        }
    }
    Ok(())
}

fn make(dir: &Path) -> io::Result<()> {
    match fs::create_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// The kernel's name of what we use.
fn controller(name: &str) -> Option<Controller> {
    match name {
        "memory" => Some(Controller::Memory),
        "cpu" => Some(Controller::Cpu),
        "pids" => Some(Controller::Processes),
        "freezer" => Some(Controller::Freezer),
        _ => None,
    }
}

/// Says why one way is not open: there is always another.
fn skip<T>(way: &str, found: io::Result<T>) -> Option<T> {
    found.inspect_err(|error| tracing::info!(way, %error, "no control groups there")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(mountinfo: &str, own: &str) -> Vec<(PathBuf, Vec<Controller>)> {
        let found = hierarchies(mountinfo, own).into_iter();
        found.map(|hierarchy| (hierarchy.root, hierarchy.controllers)).collect()
    }

    #[test]
    fn hierarchies_of_version_1_are_found_with_our_own_group_in_each() {
        let mountinfo = "23 1 0:22 / /proc rw - proc proc rw\n\
            33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct\n\
            34 31 0:31 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n\
            35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
            36 31 0:32 / /mnt/memory rw - cgroup cgroup rw,memory\n\
            41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let own = "4:memory:/a/b\n3:cpuset:/\n1:cpu,cpuacct:/\n0::/c\n";
        assert_eq!(
            found(mountinfo, own),
            [
                ("/sys/fs/cgroup/cpu,cpuacct".into(), vec![Controller::Cpu]),
                ("/sys/fs/cgroup/memory/a/b".into(), vec![Controller::Memory]),
                ("/sys/fs/cgroup/unified/c".into(), vec![]),
            ]
        );
    }

    #[test]
    fn a_container_sees_its_own_part_only() {
        let mountinfo = "35 31 0:32 /docker/ab /sys/fs/cgroup/memory ro,nosuid - cgroup cgroup rw,memory\n\
            36 31 0:33 /docker/other /sys/fs/cgroup/pids ro,nosuid - cgroup cgroup rw,pids\n";
        let own = "4:memory:/docker/ab\n8:pids:/docker/ab\n";
        assert_eq!(found(mountinfo, own), [("/sys/fs/cgroup/memory/".into(), vec![Controller::Memory])]);
        let unified = "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup rw,nsdelegate\n";
        assert_eq!(found(unified, "0::/\n"), [("/sys/fs/cgroup/".into(), vec![])]);
        assert!(found("", own).is_empty());
    }

    /// A stand-in for the unified hierarchy, whose files are but files.
    #[test]
    fn controllers_of_version_2_are_passed_down_twice() {
        let dir = tempfile::tempdir().expect("a folder");
        let home = dir.path().to_owned();
        fs::write(home.join("cgroup.controllers"), "cpuset cpu io memory pids\n").expect("write");
        for own in [home.clone(), home.join(ASIDE)] {
            let own = Hierarchy { version: Version::Two, root: own, controllers: Vec::new() };
            let ours = prepare(own, "ours").expect("writable").expect("controllers are offered");
            let all = vec![Controller::Cpu, Controller::Memory, Controller::Processes, Controller::Freezer];
            assert_eq!((ours.root, ours.controllers), (home.join("ours"), all));
        }
        for folder in [home.clone(), home.join("ours")] {
            let passed = fs::read_to_string(folder.join("cgroup.subtree_control")).expect("written");
            assert_eq!(passed, "+cpu +memory +pids ");
        }
        fs::write(home.join("cgroup.controllers"), "cpuset io\n").expect("write");
        let own = Hierarchy { version: Version::Two, root: home, controllers: Vec::new() };
        assert_eq!(prepare(own, "ours").expect("readable"), None);
    }
}
