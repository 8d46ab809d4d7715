//! `covey down`: stops the cluster of a folder.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use crate::failure::{Failure, Outcome, ended, print};
use crate::local::arguments::parsed;
use crate::local::cluster::{counted, stop_all};
use crate::local::daemon::Daemon;
use crate::local::layout::Layout;
use crate::local::process::Stopped;

/// Stops the controller and all nodes of a cluster on this machine. Their tasks are stopped, too.
///
/// Queue, ids and history stay in the folder: the next `covey up` goes on with them, and starts tasks again that ran.
#[derive(Debug, Parser)]
#[command(name = "covey down", after_help = "Examples:\n  covey down\n  covey down --dir /tmp/c --timeout 60")]
pub(super) struct Args {
    /// The cluster's folder [default: $COVEY_DIR, else ~/.covey]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Seconds to wait at each stage (nodes, tasks, controller) before what is left is killed
    #[arg(long, value_name = "S", default_value_t = 15, value_parser = clap::value_parser!(u64).range(0..=3600))]
    timeout: u64,
}

pub(crate) fn run(args: &[OsString]) -> ExitCode {
    ended(parsed::<Args>(args).and_then(|args| down(&args)))
}

fn down(args: &Args) -> Outcome<ExitCode> {
    let layout = Layout::find(args.dir.as_deref()).map_err(|error| Failure::chain("covey down: error: ", &error))?;
    let stopped = stop_all(&layout, Duration::from_secs(args.timeout));
    let stopped = stopped.map_err(|error| Failure::chain("covey down: error: ", &error))?;
    for killed in stopped.iter().filter(|stopped| stopped.killed) {
        eprintln!("covey down: {} did not go within {} s and was killed", killed.daemon, args.timeout);
    }
    print(format!("stopped {} in {}\n", told(&stopped), layout.dir().display()))
}

/// `the controller and 9 nodes`.
fn told(stopped: &[Stopped]) -> String {
    let count = |belongs: fn(&Daemon) -> bool| stopped.iter().filter(|stopped| belongs(&stopped.daemon)).count();
    let nodes = count(|daemon| matches!(daemon, Daemon::Noded(_)));
    let launchers = count(|daemon| matches!(daemon, Daemon::Launcher(_)));
    let controller = (count(|daemon| *daemon == Daemon::Controller) > 0).then(|| "the controller".to_owned());
    let nodes = match (nodes, launchers) {
        (0, 0) => None,
        (0, 1) => Some("1 launcher".into()),
        (0, launchers) => Some(format!("{launchers} launchers")),
        (nodes, _) => Some(counted(nodes)),
    };
    controller.into_iter().chain(nodes).collect::<Vec<_>>().join(" and ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_stopped_is_counted() {
        let node = |number| Daemon::Noded(format!("linux{number}"));
        let launcher = || Daemon::Launcher("linux0".into());
        for (daemons, expected) in [
            (vec![node(0), node(1), launcher(), Daemon::Controller], "the controller and 2 nodes"),
            (vec![node(0), launcher()], "1 node"),
            (vec![launcher()], "1 launcher"),
            (vec![Daemon::Controller], "the controller"),
        ] {
            let stopped = daemons.into_iter().map(|daemon| Stopped { daemon, killed: false }).collect::<Vec<_>>();
            assert_eq!(told(&stopped), expected);
        }
    }

    #[test]
    fn an_empty_folder_is_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        let args = Args { dir: Some(folder.path().into()), timeout: 1 };
        let failure = down(&args).expect_err("nothing is up");
        assert!(failure.text().starts_with("covey down: error: nothing is up in "), "{}", failure.text());
    }
}
