//! `covey env`: the variables that make a shell talk to the cluster of a folder.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use crate::failure::{Failure, Outcome, ended, print};
use crate::local::arguments::parsed;
use crate::local::layout::Layout;
use crate::local::shell::{command, exports};

/// Prints the lines that make a shell talk to a cluster on this machine.
#[derive(Debug, Parser)]
#[command(name = "covey env", after_help = "Example:\n  eval \"$(covey env --dir /tmp/c)\"; covey sinfo")]
pub(super) struct Args {
    /// The cluster's folder [default: $COVEY_DIR, else ~/.covey]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(crate) fn run(args: &[OsString]) -> ExitCode {
    ended(parsed::<Args>(args).and_then(|args| print(lines(&args)?)))
}

fn lines(args: &Args) -> Outcome<String> {
    let layout = Layout::find(args.dir.as_deref()).map_err(|error| Failure::chain("covey env: error: ", &error))?;
    if !layout.socket().exists() {
        let dir = layout.dir().to_string_lossy();
        let hint = format!("start one: {}", command(&["up", "--dir", &dir]));
        return Err(Failure::new(format!("covey env: error: there is no cluster in {dir}")).hint(Some(hint)));
    }
    Ok(exports(&layout))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_a_controller_is_an_error_that_says_how_to_start_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let args = Args { dir: Some(folder.path().into()) };
        let text = lines(&args).expect_err("no socket").text();
        assert!(text.contains("there is no cluster in ") && text.contains("covey up --dir "), "{text}");
        std::fs::write(folder.path().join("controller.sock"), "").expect("written");
        assert!(lines(&args).expect("a socket").starts_with("export COVEY_DIR="));
    }
}
