//! What is where in a cluster's folder: the one place that spells its file names.
//!
//! Paths only, and the two questions whether the folder may be used and whether somebody else is changing it. What the
//! daemons write into their own folders below is theirs.

use std::env;
use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use proto::endpoint::Endpoints;
use thiserror::Error;

/// What tells a cluster's folder from one that is in use by something else: one of these is enough.
const MARKS: [&str; 6] = ["up.toml", "up.lock", "covey.toml", "controller.pid", "controller.sock", "journal"];

/// The folder of a cluster, absolute. It need not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layout {
    dir: PathBuf,
}

/// Why a folder cannot be a cluster's.
#[derive(Debug, Error)]
pub(crate) enum LayoutError {
    #[error("there is no folder for the cluster: give --dir DIR, or set COVEY_DIR or HOME")]
    NoFolder,
    #[error("{} cannot be a cluster's folder: its path holds {what}; choose another one", dir.display())]
    BadPath { dir: PathBuf, what: &'static str },
    #[error("cannot use {} as the cluster's folder", dir.display())]
    Create { dir: PathBuf, source: io::Error },
    #[error("{} is not empty and holds no cluster: give --dir a new or empty folder", dir.display())]
    Foreign { dir: PathBuf },
    #[error("cannot lock {}", path.display())]
    Lock { path: PathBuf, source: io::Error },
    #[error("another covey up, down or demo is at work in {}: wait until it is done", dir.display())]
    Busy { dir: PathBuf },
}

impl Layout {
    /// The folder that was `given`, else `$COVEY_DIR`, else `$HOME/.covey`.
    ///
    /// # Errors
    /// When none of them is known, or its path cannot be part of a controller's address.
    pub(crate) fn find(given: Option<&Path>) -> Result<Layout, LayoutError> {
        let named = |name| env::var_os(name).filter(|value| !value.is_empty());
        Layout::choose(given, named("COVEY_DIR"), named("HOME"))
    }

    fn choose(given: Option<&Path>, dir: Option<OsString>, home: Option<OsString>) -> Result<Layout, LayoutError> {
        let usual = || dir.map(PathBuf::from).or_else(|| Some(PathBuf::from(home?).join(".covey")));
        let chosen = given.map(Path::to_owned).or_else(usual).ok_or(LayoutError::NoFolder)?;
        let absolute = std::path::absolute(&chosen);
        let dir = absolute.map_err(|source| LayoutError::Create { dir: chosen, source })?;
        // Daemons print and compare the folder without links; one that is not there yet has none.
        let dir = fs::canonicalize(&dir).unwrap_or(dir);
        match fault_of(&dir) {
            Some(what) => Err(LayoutError::BadPath { dir, what }),
            None => Ok(Layout { dir }),
        }
    }

    /// Makes the folder if it is not there, and holds it against everybody else who starts or stops something in it.
    ///
    /// # Errors
    /// When it belongs to something else, cannot be written, or is held.
    pub(crate) fn claim(self) -> Result<(Layout, Claim), LayoutError> {
        let failed = |source| LayoutError::Create { dir: self.dir.clone(), source };
        DirBuilder::new().recursive(true).mode(0o755).create(&self.dir).map_err(failed)?;
        let dir = fs::canonicalize(&self.dir).map_err(failed)?;
        let foreign =
            fs::read_dir(&dir).map_err(failed)?.next().is_some() && !MARKS.iter().any(|m| dir.join(m).exists());
        if foreign {
            return Err(LayoutError::Foreign { dir });
        }
        let layout = Layout { dir };
        let claim = layout.lock()?;
        DirBuilder::new().recursive(true).mode(0o700).create(layout.dir.join("log")).map_err(failed)?;
        Ok((layout, claim))
    }

    /// Holds a folder that is there already.
    ///
    /// # Errors
    /// When it cannot be written, or is held.
    pub(crate) fn lock(&self) -> Result<Claim, LayoutError> {
        let path = self.dir.join("up.lock");
        let opened = File::options().write(true).create(true).truncate(false).open(&path);
        let file = opened.map_err(|source| LayoutError::Lock { path: path.clone(), source })?;
        match file.try_lock() {
            Ok(()) => Ok(Claim(file)),
            Err(TryLockError::WouldBlock) => Err(LayoutError::Busy { dir: self.dir.clone() }),
            Err(TryLockError::Error(source)) => Err(LayoutError::Lock { path, source }),
        }
    }

    /// The folder.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where the controller listens.
    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.join("controller.sock")
    }

    /// The socket as daemons and commands take it.
    pub(crate) fn endpoints(&self) -> Endpoints {
        Endpoints::socket(&self.socket())
    }

    /// The pid file of a daemon called `name`: `controller`, or a node's name.
    pub(crate) fn pid_file(&self, name: &str) -> PathBuf {
        self.dir.join(format!("{name}.pid"))
    }

    /// The folder of a node's launcher and its tasks.
    pub(crate) fn node_dir(&self, node: &str) -> PathBuf {
        self.dir.join("nodes").join(node)
    }

    /// What the daemon called `name` prints itself, beside its log: mostly why it could not start.
    pub(crate) fn output(&self, name: &str) -> PathBuf {
        self.dir.join("log").join(format!("{name}.err"))
    }

    /// The options that the cluster was first started with.
    pub(crate) fn options(&self) -> PathBuf {
        self.dir.join("up.toml")
    }

    /// The embedded blob store.
    pub(crate) fn blobs(&self) -> PathBuf {
        self.dir.join("blobs")
    }

    /// The names of all nodes that have left a pid file or a folder here, sorted.
    pub(crate) fn nodes(&self) -> Vec<String> {
        let pids = names_in(&self.dir).filter_map(|name| name.strip_suffix(".pid").map(str::to_owned));
        let folders = names_in(&self.dir.join("nodes"));
        let mut nodes = pids.filter(|name| name != "controller").chain(folders).collect::<Vec<_>>();
        nodes.sort_unstable();
        nodes.dedup();
        nodes
    }
}

/// Held as long as this lives, and by nobody else.
#[derive(Debug)]
pub(crate) struct Claim(#[expect(dead_code, reason = "closing the file is what ends the lock")] File);

/// The readable names in a folder; one that is not there has none.
fn names_in(dir: &Path) -> impl Iterator<Item = String> + use<> {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().into_string().ok())
}

/// Why the path cannot stand in a list of addresses, if it cannot.
fn fault_of(dir: &Path) -> Option<&'static str> {
    match dir.to_str() {
        None => Some("characters that are not UTF-8"),
        Some(text) if text.contains(',') => Some("a comma, which divides addresses"),
        Some(text) if text.contains(char::is_control) => Some("a control character"),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(given: Option<&str>, dir: Option<&str>, home: Option<&str>) -> Result<PathBuf, LayoutError> {
        let layout = Layout::choose(given.map(Path::new), dir.map(Into::into), home.map(Into::into))?;
        Ok(layout.dir().to_owned())
    }

    #[test]
    fn an_option_comes_before_the_environment_and_that_before_home() {
        for (given, dir, home, expected) in [
            (Some("/nowhere/a"), Some("/nowhere/b"), Some("/nowhere/c"), "/nowhere/a"),
            (None, Some("/nowhere/b"), Some("/nowhere/c"), "/nowhere/b"),
            (None, None, Some("/nowhere/c"), "/nowhere/c/.covey"),
        ] {
            assert_eq!(chosen(given, dir, home).expect("a folder"), Path::new(expected));
        }
        assert!(matches!(chosen(None, None, None), Err(LayoutError::NoFolder)));
        assert!(chosen(Some("here"), None, None).expect("a folder").is_absolute());
    }

    #[test]
    fn a_path_that_no_address_can_hold_is_refused() {
        for bad in ["/nowhere/a,b", "/nowhere/a\nb"] {
            assert!(matches!(chosen(Some(bad), None, None), Err(LayoutError::BadPath { .. })), "{bad:?}");
        }
        let spaced = Layout::choose(Some(Path::new("/nowhere/a b")), None, None).expect("a blank is fine");
        let read = spaced.endpoints().to_string().parse::<Endpoints>();
        assert_eq!(read.expect("an address"), spaced.endpoints());
    }

    #[test]
    fn a_folder_in_use_by_something_else_is_left_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("thesis.tex"), "").expect("written");
        let claim = || Layout::find(Some(folder.path())).expect("a path").claim();
        assert!(matches!(claim(), Err(LayoutError::Foreign { .. })));
        assert_eq!(fs::read_dir(folder.path()).expect("there").count(), 1, "nothing was put into it");
        fs::write(folder.path().join("covey.toml"), "").expect("written");
        claim().expect("settings make it ours");
    }

    #[test]
    fn only_one_may_hold_a_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        let dir = folder.path().join("new/one");
        let claim = || Layout::find(Some(&dir)).expect("a path").claim();
        let (layout, held) = claim().expect("nobody else");
        assert!(matches!(claim(), Err(LayoutError::Busy { .. })));
        drop(held);
        assert_eq!(claim().expect("free again").0, layout);
        assert!(matches!(
            Layout::find(Some(Path::new("/proc/covey"))).expect("a path").claim(),
            Err(LayoutError::Create { .. })
        ));
    }

    #[test]
    fn nodes_are_found_by_what_they_leave() {
        let folder = tempfile::tempdir().expect("a folder");
        let layout = Layout::find(Some(folder.path())).expect("a path");
        assert!(layout.nodes().is_empty());
        for name in ["controller", "linux1", "linux0"] {
            fs::write(layout.pid_file(name), "1\n").expect("written");
        }
        fs::create_dir_all(layout.node_dir("linux0")).expect("made");
        fs::create_dir_all(layout.node_dir("spare")).expect("made");
        assert_eq!(layout.nodes(), ["linux0", "linux1", "spare"]);
    }
}
