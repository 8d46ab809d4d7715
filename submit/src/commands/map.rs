//! `covey map`: runs a command, or a built-in op, on every blob of a store.
//!
//! The same job as `sbatch --map-...` makes, for people who have a command rather than a script. What `--wait` shows is
//! in `map/progress`. Start at [`run`].

mod progress;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Args, FromArgMatches};
use ops::Op;
use proto::v1::work::{Command, Kind};
use proto::v1::{JobState, ListJobsRequest};

use super::sbatch::{announce, exit_status, waiting_failed};
use super::squeue::load;
use crate::ask::Ask;
use crate::call::{CallError, Channel, block_on, connect};
use crate::failure::{Failure, Outcome, ended};
use crate::getopt;
use crate::mapping::{MapRequest, Mapping, NAME_DEFAULT};
use crate::send::send;
use crate::submitter::Submitter;
use crate::wait::wait;
use progress::Shown;

/// How many failed tasks are told one by one; squeue lists the others.
const FAILED_TOLD_MAX: usize = 10;

const EXAMPLES: &str = "\
The command is run once for each blob, without a shell: {in} is the blob as a file, {out} is the file to write. An
output appears whole, after the command has ended with exit code 0.

Examples:
  covey map --from photos/ --to gray/ -- convert {in} -colorspace Gray {out}
  covey map --from 's3://bucket/in/*.csv' --to s3://bucket/out/ --name '{stem}.{job}{ext}' -- sort -o {out} {in}
  covey map --from az://input/ --to az://output/ --op grayscale --wait";

#[derive(Args, Debug)]
struct Options {
    /// The URL or folder whose blobs are read; its last part may be a glob
    #[arg(long, value_name = "URL", required = true)]
    from: String,
    /// The URL or folder in which the outputs appear
    #[arg(long, value_name = "URL", required = true)]
    to: String,
    /// Names of the outputs, of {name} {stem} {ext} {job} {index}
    #[arg(long, value_name = "TEMPLATE", default_value = NAME_DEFAULT)]
    name: String,
    /// A built-in operation instead of a command: grayscale, grayscale:lossless
    #[arg(long, value_name = "OP")]
    op: Option<Op>,
    /// At most so many tasks at a time; 0 is no limit
    #[arg(long, value_name = "N", default_value_t = 0)]
    throttle: u32,
    #[command(flatten)]
    ask: Ask,
    /// The command, with {in} and {out}
    #[arg(value_name = "COMMAND", num_args = 0.., trailing_var_arg = true)]
    words: Vec<String>,
}

/// Runs the command.
pub(crate) fn run(args: &[OsString]) -> ExitCode {
    ended(map(args))
}

/// Its options.
pub(crate) fn command() -> clap::Command {
    let command = Options::augment_args(clap::Command::new("covey map")).after_help(EXAMPLES);
    getopt::habits(command.about("Run a command or an op on every blob of a store"))
}

fn read(args: &[OsString]) -> Outcome<(Options, Kind)> {
    let options =
        Options::from_arg_matches(&getopt::read(&mut command(), args)?).expect("the matches are of these options");
    let work = work(&options)?;
    Ok((options, work))
}

/// What is run on each blob.
fn work(options: &Options) -> Outcome<Kind> {
    let refused = |text: &str| {
        let example = "write it as in: covey map --from photos/ --to gray/ -- convert {in} -colorspace Gray {out}";
        Err(Failure::new(format_args!("covey map: error: {text}")).hint(Some(example)))
    };
    let has = |place: &str| options.words.iter().any(|word| word.contains(place));
    match (options.op, options.words.as_slice()) {
        (Some(op), []) => match op.built() {
            Ok(op) => Ok(Kind::Op(op.name().into())),
            Err(error) => Err(Failure::new(format_args!("covey map: error: {error}"))),
        },
        (Some(_), _) => refused("give an --op or a command, not both"),
        (None, []) => refused("there is no command"),
        (None, _) if !has("{in}") => refused("the command has no {in}: it would not read its blob"),
        (None, _) if !has("{out}") => refused("the command has no {out}: it would write nothing that is kept"),
        (None, words) => Ok(Kind::Command(Command { words: words.to_vec() })),
    }
}

/// What the job is called: the op, or the program without its folder.
fn job_name(work: &Kind) -> String {
    let first = match work {
        Kind::Op(op) => op,
        Kind::Command(command) => command.words.first().expect("a command has a first word"),
        Kind::Script(_) | Kind::Allocation(_) => unreachable!("neither is a map's"),
    };
    first.rsplit('/').next().unwrap_or(first).to_owned()
}

fn map(args: &[OsString]) -> Outcome<ExitCode> {
    let (options, work) = read(args)?;
    let submitter =
        Submitter::here().map_err(|e| Failure::chain("covey map: error: cannot find the current folder: ", &e))?;
    let ask = &options.ask;
    ask.shape.check("covey map")?;
    let spec = ask.spec(job_name(&work), shell_words::join(&options.words), work, &submitter);
    let environment = ask.environment_of_map("covey map", &submitter)?;
    ask.shape.warnings().iter().filter(|_| !ask.quiet).for_each(|text| eprintln!("covey map: warning: {text}"));
    let request = MapRequest { from: &options.from, to: &options.to, name: &options.name, throttle: options.throttle };
    block_on(async {
        let mapping = Mapping::prepare(request, &submitter.dir).await.map_err(|error| error.failure("covey map"))?;
        let submission = mapping.submission(spec, None, environment);
        let refused = |error| Failure::call("covey map", "covey map: error: Batch job submission failed: ", &error);
        let channel = connect(ask.shape.connect_timeout).await.map_err(refused)?;
        let job_id = send(&channel, &submission, ask.shape.connect_timeout).await.map_err(refused)?.job_id;
        announce(job_id, None, ask.parsable, ask.quiet)?;
        if !ask.wait {
            return Ok(ExitCode::SUCCESS);
        }
        let mut shown = Shown::new(ask.quiet);
        let last = wait(&channel, job_id, |progress| shown.update(progress)).await;
        let last = last.map_err(|error| waiting_failed("covey map", job_id, &error))?;
        shown.end(&last);
        if last.failed > 0 {
            let told = tell_failed(&channel, job_id).await;
            told.map_err(|error| Failure::call("covey map", "slurm_load_jobs error: ", &error))?;
        }
        Ok(exit_status(&last))
    })
}

/// Says which tasks failed, and why.
async fn tell_failed(channel: &Channel, job_id: u32) -> Result<(), CallError> {
    let failed = [JobState::Failed, JobState::Timeout, JobState::NodeFail, JobState::OutOfMemory, JobState::Deadline]
        .map(i32::from);
    let request = ListJobsRequest {
        ids: vec![job_id.to_string()],
        states: failed.to_vec(),
        ended: true,
        ..ListJobsRequest::default()
    };
    let (rows, _) = load(channel, &request).await?;
    for row in rows.iter().take(FAILED_TOLD_MAX) {
        let index = row.index.unwrap_or(0);
        let why = if row.note.is_empty() { &row.reason } else { &row.note };
        let exit = format!("exit code {}:{}", row.exit_code, row.exit_signal);
        eprintln!("covey map: error: task {job_id}_{index}: {why} ({exit})");
    }
    if rows.len() > FAILED_TOLD_MAX {
        eprintln!("covey: hint: squeue -r -j {job_id} -t failed,timeout,node_fail lists all {}", rows.len());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Result<(Options, Kind), String> {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        read(&words).map_err(|failure| failure.text())
    }

    #[test]
    fn a_command_or_an_op_becomes_work() {
        let (options, work) =
            parsed(&["--from", "a", "--to=b", "-c2", "-J", "x", "--", "/usr/bin/convert", "{in}", "-n", "png:{out}"])
                .expect("a command");
        assert_eq!((options.ask.shape.cpus_per_task, options.name.as_str()), (Some(2), "{name}"));
        assert_eq!(job_name(&work), "convert");
        let words = ["/usr/bin/convert", "{in}", "-n", "png:{out}"].map(String::from).to_vec();
        assert_eq!(work, Kind::Command(Command { words }));
        let (options, work) =
            parsed(&["--from=a", "--to=b", "--op=grayscale", "--throttle", "3", "-W"]).expect("an op");
        assert_eq!((job_name(&work).as_str(), options.throttle, options.ask.wait), ("grayscale", 3, true));
    }

    #[test]
    fn what_is_missing_is_named_with_an_example() {
        let urls = ["--from=a", "--to=b"];
        for (words, text) in [
            (vec!["--to=b", "--op=grayscale"], "covey map: error: --from <URL> must be given\n"),
            (
                [&urls[..], &[]].concat(),
                "covey map: error: there is no command\ncovey: hint: write it as in: covey map",
            ),
            ([&urls[..], &["--", "cp", "{out}"]].concat(), "covey map: error: the command has no {in}: "),
            ([&urls[..], &["--", "cp", "{in}"]].concat(), "covey map: error: the command has no {out}: "),
            ([&urls[..], &["--op=grayscale", "cp", "{in}"]].concat(), "covey map: error: give an --op or a command"),
            (
                [&urls[..], &["--op=sepia"]].concat(),
                "covey map: error: Invalid --op specification\ncovey map: error: unknown op \"sepia\": known are grayscale, grayscale:lossless\n",
            ),
            ([&urls[..], &["--bogus"]].concat(), "covey map: unrecognized option '--bogus'\nTry \"covey map --help\""),
        ] {
            let failure = parsed(&words).map(|_| ()).expect_err(text);
            assert!(failure.starts_with(text), "{failure}");
        }
    }
}
