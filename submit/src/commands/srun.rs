//! `srun`: runs a command as a step of the job that it is in, or of one that it asks for first.
//!
//! Options are read in `srun/options`, the step is made in `srun/spec`, and `srun/session` talks with the controller while it
//! runs. Start at [`run`].

mod ends;
mod input;
mod options;
mod printer;
mod session;
mod signals;
mod spec;
mod writing;

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use proto::v1;

use crate::call::{Channel, block_on, connect};
use crate::failure::{Failure, Outcome, ended, exit_of_environment};
use crate::hold::{Hold, Ungranted};
use crate::send::{Submission, forecast};
use crate::submitter::Submitter;
use options::Options;
pub(crate) use options::command;
use session::Session;
use signals::Signals;
use spec::{Plan, plan};

/// What a refused allocation starts with.
const REFUSED: &str = "srun: error: Unable to allocate resources: ";

/// Runs the command.
pub(crate) fn run(args: &[OsString]) -> ExitCode {
    ended(serve(args).map(ExitCode::from).map_err(Failure::with_exit_of_environment))
}

fn serve(args: &[OsString]) -> Outcome<u8> {
    let submitter =
        Submitter::here().map_err(|error| Failure::chain("srun: error: cannot find the current folder: ", &error))?;
    let (options, job) = options::read(args)?;
    if options.mpi.as_deref() == Some("list") {
        eprintln!("MPI plugin types are...\n\tnone\n\tpmi2\n\tpmix");
        return Ok(0);
    }
    check_mpi(options.mpi.as_deref())?;
    let plan = plan(&options, std::env::vars_os(), &submitter)?;
    let done = block_on(async {
        let channel = connect(options.shape.connect_timeout).await;
        let channel = channel.map_err(|error| Failure::call("srun", REFUSED, &error))?;
        match job {
            Some(job) => Session::new(channel, job, &options, plan, &submitter, Signals::listen()?).run().await,
            None => allocate(channel, &options, plan, &submitter).await,
        }
    });
    // A thread may still wait for input that nobody wants.
    done
}

/// Refuses a way to start MPI that Slurm would not know either: a typo is told at once.
fn check_mpi(given: Option<&str>) -> Outcome<()> {
    match given.filter(|name| !matches!(*name, "none" | "pmi2") && !name.starts_with("pmix")) {
        Some(name) => {
            Err(Failure::new(format_args!("srun: error: Invalid MPI type '{name}', --mpi=list for acceptable types")))
        }
        None => Ok(()),
    }
}

/// Outside of a job: asks for nodes, runs the step there, and gives them back.
async fn allocate(channel: Channel, options: &Options, plan: Plan, submitter: &Submitter) -> Outcome<u8> {
    let command = plan.spec.words[0].clone();
    let work = v1::work::Kind::Allocation(v1::work::Allocation {});
    let job = options.shape.spec(plan.spec.name.clone(), command, work, submitter);
    if options.test_only {
        return tell_forecast(&channel, job, options).await;
    }
    let request_id = uuid::Uuid::new_v4().into_bytes().to_vec();
    let environment = plan.spec.environment.clone();
    let mut hold = Hold::start(channel.clone(), v1::AllocateJob { request_id, spec: Some(job), environment });
    let mut signals = Signals::listen()?;
    let patience = patience(options)?;
    let mut queued = false;
    let tell = |id| {
        queued = true;
        say(options, &format!("job {id} queued and waiting for resources"));
    };
    let stop = async {
        tokio::select! {
            _ = signals.next() => {}
            () = tokio::time::sleep(patience.unwrap_or_default()), if patience.is_some() => {}
        }
    };
    let granted = match hold.granted(tell, stop).await {
        Ok(granted) => granted,
        Err(ungranted) => return Err(not_granted(hold, ungranted, patience.is_some()).await),
    };
    if queued {
        say(options, &format!("job {} has been allocated resources", granted.job_id));
    }
    let ran = Session::new(channel, granted.job_id, options, plan, submitter, signals).run().await;
    hold.release(ran.as_ref().map_or_else(Failure::code, |code| *code)).await;
    ran
}

/// How long nodes are waited for with `--immediate`: a second, where it does not say.
fn patience(options: &Options) -> Outcome<Option<Duration>> {
    let Some(given) = &options.immediate else { return Ok(None) };
    let seconds = if given.is_empty() { Ok(1) } else { given.parse::<u64>() };
    let wrong = |_| Failure::new(format_args!("srun: error: Invalid --immediate specification: {given}"));
    Ok(Some(Duration::from_secs(seconds.map_err(wrong)?)))
}

async fn not_granted(hold: Hold, ungranted: Ungranted, immediate: bool) -> Failure {
    match ungranted {
        Ungranted::Failed(error) => Failure::call("srun", REFUSED, &error),
        Ungranted::Ended(Some(job), _) => Failure::new(format_args!("srun: Job allocation {job} has been revoked")),
        Ungranted::Ended(None, why) => Failure::new(format_args!("{REFUSED}{why}")),
        Ungranted::Stopped(job) => {
            hold.cancel().await;
            let busy = Failure::new(format_args!("{REFUSED}Requested nodes are busy"));
            let revoked = job.map(|job| Failure::new(format_args!("srun: Job allocation {job} has been revoked")));
            match revoked {
                Some(revoked) if !immediate => revoked,
                _ => busy.exit(exit_of_environment("SLURM_EXIT_IMMEDIATE").unwrap_or(1)),
            }
        }
    }
}

/// `--test-only`.
async fn tell_forecast(channel: &Channel, spec: v1::JobSpec, options: &Options) -> Outcome<u8> {
    let submission = Submission { spec, ..Submission::default() };
    let reply = forecast(channel, &submission, options.shape.connect_timeout).await;
    let reply = reply.map_err(|error| Failure::call("srun", "srun: error: allocation failure: ", &error))?;
    let forecast = reply.forecast.unwrap_or_default();
    let at = crate::show::time(forecast.start_ms).unwrap_or_else(|| "an unknown time".into());
    let (job, nodes) = (reply.job_id, crate::show::or_null(&forecast.nodes));
    let place = format!("{} processors on nodes {nodes} in partition {}", forecast.cpus, forecast.partition);
    eprintln!("srun: Job {job} to start at {at} using {place}");
    Ok(0)
}

/// A word that is no error.
fn say(options: &Options, text: &str) {
    if !options.quiet {
        eprintln!("srun: {text}");
    }
}
