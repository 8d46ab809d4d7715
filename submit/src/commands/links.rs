//! `covey links`: Slurm's command names on the search path, as links to this binary.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use thiserror::Error;

use crate::failure::{Failure, ended, print};
use crate::local::arguments::parsed;
use crate::local::process::own_program;
use crate::local::shell::search_path;

/// The names under which this binary is Slurm's command.
pub(crate) const LINKED: [&str; 14] = [
    "sbatch", "srun", "salloc", "squeue", "scancel", "sinfo", "scontrol", "sacct", "sacctmgr", "sshare", "sreport",
    "sstat", "sdiag", "sprio",
];

/// Makes links to this binary under the names of Slurm's commands.
///
/// Links to an earlier covey are replaced. Anything else of these names is left alone, and then no link is made at all.
#[derive(Debug, Parser)]
#[command(name = "covey links", after_help = "Example:\n  eval \"$(covey links ~/.covey/bin)\"; sinfo")]
pub(super) struct Args {
    /// The folder to put them into; made if missing
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

/// Why there are no links.
#[derive(Debug, Error)]
enum LinksError {
    #[error("cannot make the folder {}", dir.display())]
    Folder { dir: PathBuf, source: io::Error },
    #[error("{} in the way in {}: {}; choose another folder, or remove them", if names.len() == 1 { "a file is" } else { "files are" }, dir.display(), names.join(", "))]
    InTheWay { dir: PathBuf, names: Vec<&'static str> },
    #[error("cannot make the link {}", path.display())]
    Link { path: PathBuf, source: io::Error },
}

pub(crate) fn run(args: &[OsString]) -> ExitCode {
    ended(parsed::<Args>(args).and_then(|args| {
        let failed = |error: &dyn std::error::Error| Failure::chain("covey links: error: ", error);
        let program = own_program().map_err(|error| failed(&error))?;
        let dir = link(&args.dir, &program).map_err(|error| failed(&error))?;
        print(search_path(&dir))
    }))
}

/// Makes all links or, where something is in the way, none; gives the folder's absolute path.
fn link(dir: &Path, program: &Path) -> Result<PathBuf, LinksError> {
    let failed = |source| LinksError::Folder { dir: dir.to_owned(), source };
    fs::create_dir_all(dir).map_err(failed)?;
    let dir = fs::canonicalize(dir).map_err(failed)?;
    let names = LINKED.into_iter().filter(|name| !may_replace(&dir.join(name), program)).collect::<Vec<_>>();
    if !names.is_empty() {
        return Err(LinksError::InTheWay { dir, names });
    }
    for path in LINKED.map(|name| dir.join(name)) {
        replace(&path, program).map_err(|source| LinksError::Link { path, source })?;
    }
    Ok(dir)
}

/// True when there is nothing, or a link to a covey.
fn may_replace(path: &Path, program: &Path) -> bool {
    match fs::read_link(path) {
        Ok(target) => target == program || target.file_name().is_some_and(|name| name == "covey"),
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

/// Puts the new link in the place of an old one, so that the name is never missing.
fn replace(path: &Path, program: &Path) -> io::Result<()> {
    let fresh = path.with_extension(format!("{}.new", std::process::id()));
    symlink(program, &fresh)?;
    let renamed = fs::rename(&fresh, path);
    if renamed.is_err() {
        // The first failure is the one to tell.
        let _ = fs::remove_file(&fresh);
    }
    renamed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names_in(dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(dir).expect("there").map(|entry| entry.expect("readable").file_name());
        let mut names = entries.map(|name| name.into_string().expect("UTF-8")).collect::<Vec<_>>();
        names.sort_unstable();
        names
    }

    #[test]
    fn links_are_made_and_those_to_an_earlier_covey_replaced() {
        let folder = tempfile::tempdir().expect("a folder");
        let dir = folder.path().join("new/bin");
        for program in ["/old/covey", "/new/covey"] {
            let made = link(&dir, Path::new(program)).expect("nothing is in the way");
            assert_eq!(names_in(&made), {
                let mut names = LINKED;
                names.sort_unstable();
                names
            });
            assert_eq!(fs::read_link(made.join("squeue")).expect("a link"), Path::new(program));
        }
    }

    #[test]
    fn what_is_not_ours_stays_and_nothing_is_half_done() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("sbatch"), "Slurm's").expect("written");
        symlink("/usr/bin/true", folder.path().join("sinfo")).expect("linked");
        let refusal = link(folder.path(), Path::new("/new/covey")).expect_err("two are in the way");
        assert!(refusal.to_string().contains("sbatch, sinfo"), "{refusal}");
        assert_eq!(names_in(folder.path()), ["sbatch", "sinfo"]);
        assert!(matches!(link(Path::new("/proc/bin"), Path::new("/x")), Err(LinksError::Folder { .. })));
    }
}
