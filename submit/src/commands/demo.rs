//! `covey demo`: the whole road in one command, from an empty folder to gray pictures.
//!
//! It starts a cluster as `covey up` does, or takes one that is there, submits one map or array as `sbatch` does, and believes
//! nobody: every output is read again. What it started is stopped and what it made is removed, also when it is interrupted.
//! Start at [`convert`].

mod check;
mod job;
mod pictures;
mod progress;
mod report;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use blobs::{BlobError, BlobStore, StoreUrl};
use clap::Parser;
use proto::dial::dial;
use sched::spec::output_name::OutputName;
use tempfile::TempDir;

use super::blob::select::open;
use crate::call::{block_on, connect, unnamed};
use crate::failure::{Failure, Outcome, chain, ended, print};
use crate::local::arguments::parsed;
use crate::local::cluster::{Cluster, counted};
use crate::local::interrupt::Signals;
use crate::local::layout::Layout;
use crate::local::options::Asked;
use crate::local::shell::instructions;
use crate::submitter::Submitter;
use job::Work;
use pictures::Source;
use report::Report;

/// For controller and nodes to answer.
const START_PATIENCE: Duration = Duration::from_secs(60);

/// For a controller that has answered before.
const CALL_PATIENCE: Duration = Duration::from_secs(5);

/// Converts colour pictures to gray on a cluster of its own, and shows how long that takes.
///
/// Without --images it draws 49 pictures itself. Nothing of it stays, but for --keep, --dir, --store and --here.
#[derive(Debug, Parser)]
#[command(
    name = "covey demo",
    after_help = "Examples:\n  covey demo                                  49 made pictures on nine nodes\n  \
                  covey demo --images ~/photos --store ~/gray  your own, into ~/gray/output\n  \
                  covey demo --keep                           look around afterwards with squeue and sinfo\n  \
                  covey demo --here --from az://input/ --to az://output/    on the cluster that sbatch would use"
)]
pub(super) struct Args {
    /// A folder of pictures to take instead
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    #[command(flatten)]
    asked: Asked,
    /// Where input/ and output/ are, made if missing [default: blobs/ in the cluster's folder]
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// Take the cluster that is there, as sbatch finds it, instead of starting one
    #[arg(long, requires_all = ["from", "to"], conflicts_with_all = ["keep", "dir", "store"])]
    here: bool,
    /// With --here: where the pictures are put, and read
    #[arg(long, value_name = "URL", requires = "here")]
    from: Option<String>,
    /// With --here: where the outputs go
    #[arg(long, value_name = "URL", requires = "here")]
    to: Option<String>,
    /// With --here: let an array of this batch script convert, one picture a task, instead of the map; its arguments are the two URLs
    #[arg(long, value_name = "FILE", requires = "here")]
    script: Option<PathBuf>,
    /// How outputs are called: a template with {name}, {stem}, {ext}, {job}, {index}
    #[arg(long, value_name = "TEMPLATE", default_value = "{name}")]
    name: OutputName,
    /// Leave the cluster up
    #[arg(long)]
    keep: bool,
    /// The cluster's folder [default: a new one, removed afterwards]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub(crate) fn run(args: &[OsString]) -> ExitCode {
    ended(parsed::<Args>(args).and_then(|args| {
        // Before any thread runs: it sets the umask for an instant.
        let submitter = Submitter::here().map_err(|error| failed(&error))?;
        if args.here {
            return block_on(here(&args, &submitter));
        }
        // Removed after the runtime has gone, whose last writes could bring the folder back.
        let mut made = None;
        block_on(demo(&args, &submitter, &mut made))
    }))
}

async fn demo(args: &Args, submitter: &Submitter, made: &mut Option<TempDir>) -> Outcome<ExitCode> {
    let mut signals = Signals::listen()?;
    let dir = folder(args.dir.as_deref(), made)?;
    let layout = Layout::find(Some(&dir)).map_err(|error| failed(&error))?;
    let mut cluster = Cluster::prepare(layout, &args.asked).map_err(|error| failed(&error))?;
    let outcome = signals.stop(convert(&mut cluster, args, submitter)).await;
    if args.keep && outcome.is_ok() {
        made.take().map(TempDir::keep);
        print(format!("left up in {}\n{}", dir.display(), instructions(cluster.layout())))?;
    } else if let Err(error) = cluster.undo() {
        let line = format!("covey demo: error: {}", chain(&error));
        return Err(outcome.err().map_or_else(|| Failure::new(&line), |failure| failure.line(&line)));
    }
    end(&outcome?)
}

/// The same on a cluster that somebody else keeps up: nothing is started, stopped or removed.
async fn here(args: &Args, submitter: &Submitter) -> Outcome<ExitCode> {
    let (Some(from), Some(to)) = (&args.from, &args.to) else { unreachable!("clap asks for both with --here") };
    let mut signals = Signals::listen()?;
    let outcome = signals.stop(async {
        let source = source(args, submitter)?;
        let work = Work::of(args.script.as_deref(), submitter)?;
        let stores = Stores::between(from, to, &submitter.dir).map_err(|error| refused(&error))?;
        stores.make().await.map_err(|error| refused(&error))?;
        let channel = connect(None).await.map_err(|error| job::unanswered(&error))?;
        job::convert(&channel, source, &stores, &args.name, work, submitter).await
    });
    end(&outcome.await?)
}

/// The cluster's folder; a new one goes into `made`.
fn folder(given: Option<&Path>, made: &mut Option<TempDir>) -> Outcome<PathBuf> {
    if let Some(dir) = given {
        return Ok(dir.to_owned());
    }
    let fresh = tempfile::Builder::new().prefix("covey-demo-").tempdir();
    let fresh = fresh.map_err(|error| Failure::chain("covey demo: error: cannot make a temporary folder: ", &error))?;
    Ok(made.insert(fresh).path().to_owned())
}

/// The whole road, told line by line. What can be refused is looked at before anything is started.
async fn convert(cluster: &mut Cluster, args: &Args, submitter: &Submitter) -> Outcome<Report> {
    let source = source(args, submitter)?;
    let stores = Stores::open(args.store.as_deref(), cluster.layout(), &submitter.dir);
    let stores = stores.map_err(|error| refused(&error))?;
    stores.make().await.map_err(|error| refused(&error))?;

    let begun = Instant::now();
    cluster.start(START_PATIENCE).await.map_err(|error| failed(&error))?;
    let (nodes, seconds) = (counted(cluster.options().node_names().len()), begun.elapsed().as_secs_f64());
    print(format!("the controller and {nodes} are up after {seconds:.2} s\n"))?;

    let dialled = dial(&cluster.layout().endpoints(), CALL_PATIENCE).await;
    let channel = unnamed(dialled.map_err(|error| job::unanswered(&error.into()))?);
    job::convert(&channel, source, &stores, &args.name, Work::Map, submitter).await
}

fn source(args: &Args, submitter: &Submitter) -> Outcome<Source> {
    Source::find(args.images.as_deref().map(|dir| submitter.dir.join(dir)).as_deref())
}

/// Where pictures come from and go to.
struct Stores {
    input: BlobStore,
    output: BlobStore,
}

impl Stores {
    fn open(store: Option<&str>, layout: &Layout, cwd: &Path) -> Result<Stores, BlobError> {
        let own = layout.blobs();
        let base = StoreUrl::from_user(store.unwrap_or(&own.to_string_lossy()), cwd)?.without_pattern();
        Ok(Stores { input: open(&base.join("input")?)?, output: open(&base.join("output")?)? })
    }

    fn between(from: &str, to: &str, cwd: &Path) -> Result<Stores, BlobError> {
        let store = |url| open(&StoreUrl::from_user(url, cwd)?.without_pattern());
        Ok(Stores { input: store(from)?, output: store(to)? })
    }

    async fn make(&self) -> Result<(), BlobError> {
        self.input.make().await?;
        self.output.make().await
    }
}

/// The last words: what is wrong on stderr, then table and sum.
fn end(report: &Report) -> Outcome<ExitCode> {
    eprint!("{}", report.failures());
    print(format!("{}\n{}\n", report.table(), report.sum()))?;
    Ok(if report.is_whole() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn failed(error: &dyn std::error::Error) -> Failure {
    Failure::chain("covey demo: error: ", error)
}

fn refused(error: &BlobError) -> Failure {
    failed(error).hint(error.hint())
}
