//! `covey up`: a controller and its nodes on this machine, in the background.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use sched::spec::hostlist;
use sched::spec::size::Mebibytes;

use crate::call::block_on;
use crate::failure::{Failure, Outcome, chain, ended, print};
use crate::local::arguments::parsed;
use crate::local::cluster::{Cluster, counted};
use crate::local::interrupt::Signals;
use crate::local::layout::Layout;
use crate::local::options::Asked;
use crate::local::shell::instructions;

/// Starts a cluster on this machine and returns when all its nodes are idle.
///
/// Everything that it keeps is in one folder: journal, sockets, logs and pid files. Where a part of the cluster died,
/// that part is started again with the options first given; what lives is left alone.
#[derive(Debug, Parser)]
#[command(
    name = "covey up",
    after_help = "Examples:\n  covey up                                   nine nodes, in ~/.covey\n  \
                  covey up --nodes 4 --cpus 2 --dir /tmp/c   four nodes of two CPUs, elsewhere\n  \
                  eval \"$(covey env)\"; covey squeue          talk to it"
)]
pub(super) struct Args {
    #[command(flatten)]
    asked: Asked,
    /// The cluster's folder [default: $COVEY_DIR, else ~/.covey]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Seconds to wait until all nodes answer
    #[arg(long, value_name = "S", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3600))]
    wait_timeout: u64,
}

pub(crate) fn run(args: &[OsString]) -> ExitCode {
    ended(parsed::<Args>(args).and_then(|args| block_on(up(&args))))
}

async fn up(args: &Args) -> Outcome<ExitCode> {
    let mut signals = Signals::listen()?;
    let layout = Layout::find(args.dir.as_deref()).map_err(|error| failed(&error))?;
    let mut cluster = Cluster::prepare(layout, &args.asked).map_err(|error| failed(&error))?;
    let patience = Duration::from_secs(args.wait_timeout);
    let started = signals.stop(async { cluster.start(patience).await.map_err(|error| failed(&error)) }).await;
    match started {
        Ok(()) => print(told(&cluster)),
        Err(failure) => match cluster.undo() {
            Ok(()) => Err(failure),
            Err(error) => Err(failure.line(format!("covey up: error: {}", chain(&error)))),
        },
    }
}

fn failed(error: &dyn std::error::Error) -> Failure {
    Failure::chain("covey up: error: ", error)
}

/// What is up now, and how to talk to it.
fn told(cluster: &Cluster) -> String {
    let (options, dir) = (cluster.options(), cluster.layout().dir().display());
    let names = options.node_names();
    let (nodes, names) = (counted(names.len()), hostlist::compress(names));
    let (cpus, memory) = (options.cpus, Mebibytes(options.memory_mib));
    let adopted = match cluster.started_and_adopted() {
        (_, 0) => String::new(),
        (started, adopted) => format!("started {started} of them; {adopted} ran already\n"),
    };
    let size = format!("{cpus} CPU{} and {memory} each", if cpus == 1 { "" } else { "s" });
    format!("up in {dir}: the controller and {nodes} ({names}), {size}\n{adopted}{}", instructions(cluster.layout()))
}
