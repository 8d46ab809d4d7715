//! `covey chaos`: a rehearsal of failures on a cluster of `covey up`: kills what it is told to under load, and counts what became of
//! the load.
//!
//! It believes nobody: what the tasks write down themselves is held against what the controller says. Start at [`rehearse`].

mod load;
mod report;
mod strike;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use sched::spec::inject::InjectedFailure;
use tokio::time::Instant;

use super::tokens::seconds;
use crate::call::block_on;
use crate::failure::{Failure, Outcome, ended, print};
use crate::local::arguments::parsed;
use crate::local::daemon::Daemon;
use crate::local::interrupt::Signals;
use crate::local::layout::Layout;
use crate::submitter::Submitter;
use load::Load;
use report::Report;

/// The most kills of one kind: each waits for the last one's damage to be mended.
const KILLS_MAX: i64 = 10_000;

/// Rehearses failures on a cluster of covey up, and reports what was lost, what ran twice, and how long it took to recover.
///
/// While jobs of its own are submitted all the time, it kills the controller and nodes (noded, launcher and all) with SIGKILL, starts
/// them again, and lets tasks fail. What else runs in the cluster suffers, too. It exits with 1 if anything acknowledged was lost or
/// any task ran twice.
#[derive(Debug, Parser)]
#[command(
    name = "covey chaos",
    after_help = "Examples:\n  covey up --nodes 3 && covey chaos --kill-controller 3 --for 30s\n  \
                  covey chaos --kill-node 1 --kill-controller 3 --error-rate 0.2 --seed 7 --for 60s\n  \
                  covey chaos --kill-node 5 --json | jq .recovery_ms"
)]
pub(super) struct Args {
    /// How often to kill a node
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=KILLS_MAX))]
    kill_node: u32,
    /// How often to kill the controller
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=KILLS_MAX))]
    kill_controller: u32,
    /// The share of the tasks that fails on purpose, such as 0.2
    #[arg(long, value_name = "SHARE")]
    error_rate: Option<InjectedFailure>,
    /// What decides what is killed when, and which tasks fail: the same seed, the same rehearsal
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// For how long jobs are submitted: 60s, 5m
    #[arg(long = "for", value_name = "TIME", default_value = "60s", value_parser = seconds)]
    lasts_s: u64,
    /// Seconds that the jobs may take to end after that
    #[arg(long, value_name = "S", default_value_t = 600)]
    wait_timeout: u64,
    /// The report as one JSON object
    #[arg(long)]
    json: bool,
    /// The cluster's folder [default: $COVEY_DIR, else ~/.covey]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(crate) fn run(args: &[OsString]) -> ExitCode {
    ended(parsed::<Args>(args).and_then(|args| {
        // Before any thread runs: it sets the umask for an instant.
        let submitter = Submitter::here().map_err(|error| failed(&error))?;
        block_on(async {
            let mut signals = Signals::listen()?;
            let report = signals.stop(rehearse(&args, &submitter)).await?;
            print(if args.json { report.json() } else { report.text() })?;
            Ok(if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
        })
    }))
}

/// Submits and strikes side by side, lets everything end, and looks at what became of it.
async fn rehearse(args: &Args, submitter: &Submitter) -> Outcome<Report> {
    let layout = Layout::find(args.dir.as_deref()).map_err(|error| failed(&error))?;
    if Daemon::Controller.find(&layout).is_none() {
        let text = format!("covey chaos: error: nothing is up in {}", layout.dir().display());
        return Err(Failure::new(text).hint(Some("start a cluster with covey up")));
    }
    let inject = args.error_rate.map(|rate| rate.with_seed(args.seed));
    let mut load = Load::prepare(&layout, inject, submitter).map_err(|error| failed(&error))?;
    let lasts = Duration::from_secs(args.lasts_s);
    let until = Instant::now() + lasts;
    let strikes = strike::planned(&layout, args.seed, (args.kill_controller, args.kill_node), lasts);
    let (mended, ()) = tokio::join!(strike::carry_out(&layout, strikes, Instant::now()), load.submit_until(until));
    let mended = mended?;
    let found = load.settle(Duration::from_secs(args.wait_timeout)).await?;
    let report = Report { seed: args.seed, lasts_s: args.lasts_s, inject, mended, found };
    if report.is_good() {
        load.clear();
    }
    Ok(report)
}

fn failed(error: &dyn std::error::Error) -> Failure {
    Failure::chain("covey chaos: error: ", error)
}
