//! `sbatch`: submits a batch script, a wrapped command, a program, or a map over blobs.
//!
//! Options are read in `sbatch/options`, the script in `sbatch/script`; here they become a [`Submission`], which is
//! sent, and perhaps waited for. Start at [`run`].

pub(crate) mod options;
mod script;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use ops::Op;
use proto::v1;
use proto::v1::work::Kind;
use sched::spec::array::{ArraySpec, INDEX_MAX};

use crate::call::{CallError, Channel, block_on, client, connect};
use crate::failure::{BAD_OPTION, Failure, Outcome, ended};
use crate::mapping::{MapRequest, Mapping, NAME_DEFAULT};
use crate::send::{Submission, forecast, send};
use crate::submitter::Submitter;
use crate::users::{group_of, name_of_group, user_of};
use crate::wait::wait;
use options::Options;
use script::Script;

/// What a refused submit starts with.
const REFUSED: &str = "sbatch: error: Batch job submission failed: ";

/// Runs the command.
pub(crate) fn run(args: &[OsString]) -> ExitCode {
    ended(submit(args).map_err(Failure::with_exit_of_environment))
}

fn submit(args: &[OsString]) -> Outcome<ExitCode> {
    let submitter =
        Submitter::here().map_err(|error| Failure::chain("sbatch: error: cannot find the current folder: ", &error))?;
    let (options, script) = options::read(args, &submitter)?;
    let (ask, timeout_s) = (&options.ask, options.ask.shape.connect_timeout);
    block_on(async {
        let submission = submission(&options, script, &submitter).await?;
        let refused = |error| Failure::call("sbatch", REFUSED, &error);
        let channel = connect(timeout_s).await.map_err(refused)?;
        if let Some(names) = &options.clusters {
            check_cluster(&channel, names).await?;
        }
        if options.test_only {
            let reply = forecast(&channel, &submission, timeout_s).await;
            return tell_forecast(&reply.map_err(|error| Failure::call("sbatch", "allocation failure: ", &error))?);
        }
        let reply = send(&channel, &submission, timeout_s).await.map_err(refused)?;
        let job_id = reply.job_id;
        let cluster = options.clusters.as_ref().map(|_| reply.cluster.as_str());
        announce(job_id, cluster, ask.parsable, ask.quiet)?;
        if !ask.wait {
            return Ok(ExitCode::SUCCESS);
        }
        let last = wait(&channel, job_id, |_| ()).await.map_err(|error| waiting_failed("sbatch", job_id, &error))?;
        Ok(exit_status(&last))
    })
}

/// Refuses a list of clusters that this one is not on.
async fn check_cluster(channel: &Channel, names: &str) -> Outcome<()> {
    let described = client(channel).get_cluster(v1::GetClusterRequest {}).await;
    let own = described.map_err(|error| Failure::call("sbatch", REFUSED, &error.into()))?.into_inner().name;
    if names == "all" || names.split(',').any(|name| name == own) {
        return Ok(());
    }
    let refused = Failure::new(format_args!("sbatch: error: No cluster '{names}' known by database."));
    Err(refused.hint(Some(format!("this cluster is {own}"))))
}

/// What `--test-only` prints.
fn tell_forecast(reply: &v1::SubmitReply) -> Outcome<ExitCode> {
    let forecast = reply.forecast.clone().unwrap_or_default();
    let at = crate::show::time(forecast.start_ms).unwrap_or_else(|| "an unknown time".into());
    let nodes = crate::show::or_null(&forecast.nodes);
    eprintln!(
        "sbatch: Job {} to start at {at} using {} processors on nodes {nodes} in partition {}",
        reply.job_id, forecast.cpus, forecast.partition
    );
    Ok(ExitCode::SUCCESS)
}

/// Tells the id, which scripts read from stdout, and the cluster where it was asked for.
pub(crate) fn announce(job_id: u32, cluster: Option<&str>, parsable: bool, quiet: bool) -> Outcome<()> {
    let (after, on) = cluster.map_or_else(Default::default, |name| (format!(";{name}"), format!(" on cluster {name}")));
    let mut out = io::stdout().lock();
    match (quiet, parsable) {
        (true, _) => {}
        (false, true) => writeln!(out, "{job_id}{after}")?,
        (false, false) => writeln!(out, "Submitted batch job {job_id}{on}")?,
    }
    Ok(out.flush()?)
}

/// The exit code of a command that waited for a job.
pub(crate) fn exit_status(last: &v1::Progress) -> ExitCode {
    ExitCode::from(u8::try_from(last.wait_status).unwrap_or(u8::MAX))
}

/// A wait that was given up; the job goes on.
pub(crate) fn waiting_failed(command: &str, job_id: u32, error: &CallError) -> Failure {
    Failure::call(command, &format!("{command}: error: Job {job_id} is submitted, but its end was not seen: "), error)
}

/// What is to be sent. There is a script unless an op or a program stands in for it.
async fn submission(options: &Options, script: Option<Script>, submitter: &Submitter) -> Outcome<Submission> {
    check_array(options)?;
    let ask = &options.ask;
    let (spec, text) = match script {
        Some(Script { text, name, command, arguments }) => {
            let work = Kind::Script(v1::work::Script { arguments });
            (ask.spec(name, command, work, submitter), Some(text))
        }
        None if options.exec => {
            let words = script::texts(&options.words)?;
            let name = words[0].rsplit('/').next().unwrap_or_default().to_owned();
            let command = words.join(" ");
            (ask.spec(name, command, Kind::Command(v1::work::Command { words }), submitter), None)
        }
        None => {
            let op = op(options.map_op.as_deref().unwrap_or_default())?;
            (ask.spec(op.to_string(), String::new(), Kind::Op(op.to_string()), submitter), None)
        }
    };
    let spec = v1::JobSpec { array: options.array.clone().unwrap_or_default(), ..spec };
    let spec = owned(spec, options)?;
    match map_request(options)? {
        None => {
            let environment = ask.environment("sbatch", submitter)?;
            Ok(Submission { spec, script: text, environment, manifest: Vec::new() })
        }
        Some(request) => {
            let environment = ask.environment_of_map("sbatch", submitter)?;
            let mapping = Mapping::prepare(request, &submitter.dir).await;
            Ok(mapping.map_err(|error| error.failure("sbatch"))?.submission(spec, text, environment))
        }
    }
}

/// The spec as another user's, where root says so.
fn owned(mut spec: v1::JobSpec, options: &Options) -> Outcome<v1::JobSpec> {
    let bad = |text: String| Failure::new(format_args!("sbatch: error: {text}")).exit(BAD_OPTION);
    for (option, given) in [("--uid", &options.uid), ("--gid", &options.gid)] {
        if given.is_some() && !rustix::process::getuid().is_root() {
            return Err(bad(format!("{option} only permitted by root user")));
        }
    }
    let user = spec.user.get_or_insert_default();
    if let Some(given) = &options.uid {
        let unknown = || bad(format!("Invalid --uid specification\nsbatch: error: there is no user {given}"));
        let (uid, gid, name) = user_of(given).ok_or_else(unknown)?;
        let group = name_of_group(gid);
        *user = v1::User { uid, gid, name, group };
    }
    if let Some(given) = &options.gid {
        let unknown = || bad(format!("Invalid --gid specification\nsbatch: error: there is no group {given}"));
        (user.gid, user.group) = group_of(given).ok_or_else(unknown)?;
    }
    Ok(spec)
}

/// The op of this name.
fn op(name: &str) -> Outcome<Op> {
    let refused = |error: &dyn std::error::Error| {
        Failure::new("sbatch: error: Invalid --map-op specification")
            .line(format_args!("sbatch: error: {error}"))
            .exit(BAD_OPTION)
    };
    let op: Op = name.parse().map_err(|error: ops::UnknownOp| refused(&error))?;
    op.built().map_err(|error| refused(&error))
}

/// Reads the array, so that a mistake in it costs no listing and no call.
fn check_array(options: &Options) -> Outcome<()> {
    let Some(array) = &options.array else { return Ok(()) };
    let read = ArraySpec::parse(array, INDEX_MAX).map(drop);
    read.map_err(|error| {
        Failure::new(format_args!("sbatch: error: {error}"))
            .line(format_args!("{REFUSED}Invalid job array specification"))
    })
}

/// The map that the options ask for, if they do.
fn map_request(options: &Options) -> Outcome<Option<MapRequest<'_>>> {
    let refused = |text: &str| Err(Failure::new(format_args!("sbatch: error: {text}")));
    let (from, to) = match (&options.map_from, &options.map_to) {
        (Some(from), Some(to)) => (from, to),
        (Some(_), None) => return refused("--map-from needs --map-to: the URL under which the outputs appear"),
        (None, Some(_)) => return refused("--map-to needs --map-from: the URL whose blobs are read"),
        (None, None) if options.map_op.is_some() => {
            return refused("--map-op needs blobs to work on: give --map-from and --map-to");
        }
        (None, None) => return Ok(None),
    };
    if options.array.is_some() {
        return refused("a map makes its own tasks, one a blob: --array cannot be given with --map-from");
    }
    let name = options.map_name.as_deref().unwrap_or(NAME_DEFAULT);
    Ok(Some(MapRequest { from, to, name, throttle: options.map_throttle.unwrap_or(0) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_script_becomes_a_submission() {
        let options = Options { array: Some("0-3%2".into()), ..Options::default() };
        let script = Script { arguments: vec!["x".into()], ..Script::wrapped("true") };
        let submission = submission(&options, Some(script.clone()), &Submitter::ada()).await.expect("all is well");
        let spec = submission.spec;
        assert_eq!((spec.name.as_str(), spec.array.as_str(), spec.map), ("wrap", "0-3%2", None));
        assert_eq!(submission.script, Some(script.text));
        let work = v1::work::Script { arguments: vec!["x".into()] };
        assert_eq!(spec.work, Some(v1::Work { kind: Some(Kind::Script(work)) }));
    }

    #[tokio::test]
    async fn a_program_becomes_a_submission_without_a_script() {
        let words = vec!["/bin/echo".into(), "a b".into()];
        let options = Options { exec: true, words, ..Options::default() };
        let submission = submission(&options, None, &Submitter::ada()).await.expect("all is well");
        assert_eq!((submission.spec.name.as_str(), submission.script), ("echo", None));
        let command = v1::work::Command { words: vec!["/bin/echo".into(), "a b".into()] };
        assert_eq!(submission.spec.work, Some(v1::Work { kind: Some(Kind::Command(command)) }));
    }

    #[tokio::test]
    async fn what_cannot_be_is_refused_before_any_call() {
        let given = |text: &str| Some(text.to_owned());
        let map = || Options { map_from: given("in"), map_to: given("out"), ..Options::default() };
        for (options, text) in [
            (Options { array: given("3-1"), ..map() }, "Invalid job array specification"),
            (Options { array: given("0-3"), ..map() }, "--array cannot be given with --map-from"),
            (Options { map_to: None, ..map() }, "--map-from needs --map-to"),
            (Options { map_from: None, ..map() }, "--map-to needs --map-from"),
            (Options { map_op: given("grayscale"), ..Options::default() }, "give --map-from and --map-to"),
            (Options { map_op: given("sepia"), ..map() }, "unknown op \"sepia\": known are grayscale"),
            (map(), "/home/ada/in/ does not exist"),
        ] {
            let script = options.map_op.is_none().then(|| Script::wrapped("true"));
            let refusal = submission(&options, script, &Submitter::ada()).await.expect_err(text).text();
            assert!(refusal.starts_with("sbatch: error: ") && refusal.contains(text), "{refusal}");
        }
    }

    #[cfg(not(feature = "turbojpeg"))]
    #[test]
    fn an_op_that_this_build_is_without_is_refused_with_the_fix() {
        let refusal = op("grayscale:lossless").expect_err("it was left out").text();
        assert!(refusal.contains("build it with --features turbojpeg"), "{refusal}");
    }
}
