//! `covey man`: a page for each command, made from the same definitions as `--help`.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use clap_mangen::Man;
use thiserror::Error;

use super::definitions::{self, all};
use crate::failure::{Failure, ended, print};
use crate::local::arguments::parsed;

/// Writes a manual page for each command into a folder: covey-map.1, squeue.1 and so on.
#[derive(Debug, Parser)]
#[command(name = "covey man", after_help = "Example:\n  covey man ~/.local/share/man/man1; man squeue")]
pub(super) struct Args {
    /// The folder; made if missing
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

/// Why there are no pages.
#[derive(Debug, Error)]
#[error("cannot write {}", path.display())]
struct ManError {
    path: PathBuf,
    source: io::Error,
}

pub(crate) fn run(args: &[OsString], daemons: Vec<clap::Command>) -> ExitCode {
    ended(parsed::<Args>(args).and_then(|args| {
        let written = write(&args.dir, daemons);
        let count = written.map_err(|error| Failure::chain("covey man: error: ", &error))?;
        print(format_args!("{count} pages in {}\n", args.dir.display()))
    }))
}

/// Writes all pages; answers how many.
fn write(dir: &Path, daemons: Vec<clap::Command>) -> Result<usize, ManError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        |source| ManError { path, source }
    };
    fs::create_dir_all(dir).map_err(failed(dir))?;
    let mut commands = all(daemons);
    commands.push(("covey".into(), definitions::covey(commands.clone())));
    for (name, command) in &commands {
        let page = if definitions::is_slurms(name) || name == "covey" { name.clone() } else { format!("covey-{name}") };
        let path = dir.join(format!("{page}.1"));
        let mut text = Vec::new();
        Man::new(command.clone().name(page)).render(&mut text).map_err(failed(&path))?;
        fs::write(&path, as_typed(&String::from_utf8_lossy(&text))).map_err(failed(&path))?;
    }
    Ok(commands.len())
}

/// Leaves what stands below the options of `--help`, which is mostly examples in columns, in the lines in which it is written.
fn as_typed(page: &str) -> String {
    match page.split_once(".SH EXTRA\n") {
        None => page.to_owned(),
        Some((above, below)) => {
            let (notes, rest) = below.split_at(below.find(".SH ").unwrap_or(below.len()));
            format!("{above}.SH NOTES\n.nf\n{notes}.fi\n{rest}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_with_its_options() {
        let folder = tempfile::tempdir().expect("a folder");
        let dir = folder.path().join("man1");
        assert_eq!(write(&dir, Vec::new()).expect("written"), crate::COMMANDS.len() + 1);
        for name in crate::COMMANDS {
            let page = if definitions::is_slurms(name) { format!("{name}.1") } else { format!("covey-{name}.1") };
            let text = fs::read_to_string(dir.join(&page)).expect(&page);
            assert!(text.contains(".SH OPTIONS") || text.contains(".SH SUBCOMMANDS"), "{page}: {text}");
        }
        let squeue = fs::read_to_string(dir.join("squeue.1")).expect("a page");
        assert!(squeue.contains("noheader") && squeue.contains("No line above the rows"), "{squeue}");
        assert!(squeue.contains(".SH NOTES\n.nf\nExamples:\n") && squeue.contains("\n.fi\n.SH VERSION\n"), "{squeue}");
        assert!(write(Path::new("/proc/man1"), Vec::new()).expect_err("no folder").to_string().contains("/proc/man1"));
    }
}
