//! What batch jobs have beside their shape: files, environment and how often they are tried; the same for `sbatch` and `covey map`.
//!
//! Start at [`Ask`]; the shape is in [`crate::shape`].

use clap::{Args, ValueEnum};
use proto::v1;
use sched::spec::inject::InjectedFailure;
use sched::spec::retry::{ExitCodes, RETRIES_MAX};

use crate::export;
use crate::failure::{BAD_OPTION, Failure, Outcome};
use crate::shape::Shape;
use crate::submitter::Submitter;

/// What a batch job is asked to be.
#[derive(Args, Clone, Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of its own on the command line")]
pub(crate) struct Ask {
    /// What it is, and on what it runs
    #[command(flatten)]
    pub(crate) shape: Shape,
    /// File for the output, a pattern such as out/%x-%j.log
    #[arg(short, long, value_name = "PATTERN")]
    pub(crate) output: Option<String>,
    /// File for the errors [default: the output's]
    #[arg(short, long, value_name = "PATTERN")]
    pub(crate) error: Option<String>,
    /// File to read from [default: nothing]
    #[arg(short, long, value_name = "PATTERN")]
    pub(crate) input: Option<String>,
    /// Whether output files that exist are emptied
    #[arg(long, value_name = "MODE")]
    pub(crate) open_mode: Option<OpenMode>,
    /// Variables that the job gets: ALL, NONE, NIL or NAME[=VALUE],...
    #[arg(long, value_name = "LIST")]
    pub(crate) export: Option<String>,
    /// Variables from a file, or from an open file descriptor: NAME=value records with NUL bytes or line ends between them
    #[arg(long, value_name = "FILE|FD")]
    pub(crate) export_file: Option<String>,
    /// Beneath these, what a login of the user sets on the node
    #[arg(long, value_name = "TIMEOUT][MODE", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub(crate) get_user_env: Option<String>,
    /// Whether a job whose dependency can never be met is cancelled
    #[arg(long, value_name = "yes|no", value_parser = ["yes", "no"])]
    pub(crate) kill_on_invalid_dep: Option<String>,
    /// Try a task that fails again, so often: after 1 s, 2 s, 4 s ... up to 5 minutes (a Covey option)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(..=i64::from(RETRIES_MAX)))]
    pub(crate) retries: Option<u32>,
    /// With --retries: after these exit codes only, such as 1,75-79,137, which is 128 and the signal (a Covey option)
    #[arg(long, value_name = "CODES", requires = "retries")]
    pub(crate) retry_on: Option<ExitCodes>,
    /// Count this share of the tasks that end well as failed, the same each time with the same seed: a rehearsal (a Covey option)
    #[arg(long, value_name = "SHARE[:SEED]")]
    pub(crate) inject_failure: Option<InjectedFailure>,
    /// Start again what was lost with its node, and let scontrol requeue it (the default)
    #[arg(long, overrides_with = "no_requeue")]
    pub(crate) requeue: bool,
    /// Never start a task twice, whoever asks
    #[arg(long, overrides_with = "requeue")]
    pub(crate) no_requeue: bool,
    /// Print the id alone
    #[arg(long)]
    pub(crate) parsable: bool,
    /// Stay until the job has ended, and exit as its worst task did
    #[arg(short = 'W', long)]
    pub(crate) wait: bool,
    /// Print nothing but errors
    #[arg(short = 'Q', long)]
    pub(crate) quiet: bool,
}

/// `--open-mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum OpenMode {
    /// Write behind what is there.
    #[value(alias = "a")]
    Append,
    /// Start empty.
    #[value(alias = "t")]
    Truncate,
}

impl Ask {
    /// The variables that the job gets; `--export-file` stands in for those of this process.
    pub(crate) fn environment(&self, command: &str, submitter: &Submitter) -> Outcome<Vec<u8>> {
        let export = self.export.as_deref();
        let Some(file) = &self.export_file else { return Ok(export::environment(export, std::env::vars_os())) };
        let variables = export::of_file(file, &submitter.dir).map_err(|error| {
            let text = format!("{command}: error: --export-file: cannot read {file}: ");
            Failure::chain(&text, &error).exit(BAD_OPTION)
        })?;
        Ok(export::environment(export, variables))
    }

    /// The variables that the tasks of a map get.
    pub(crate) fn environment_of_map(&self, command: &str, submitter: &Submitter) -> Outcome<Vec<u8>> {
        let environment = self.environment(command, submitter)?;
        Ok(export::without_store_keys(self.export.as_deref(), &environment))
    }

    /// The spec of a job that does `work`; `name` and `command` are what is shown for it.
    pub(crate) fn spec(
        &self,
        name: String,
        command: String,
        work: v1::work::Kind,
        submitter: &Submitter,
    ) -> v1::JobSpec {
        let pattern = |name: &Option<String>| match name.as_deref() {
            // The manual's word for no file at all.
            Some("none") => Some("/dev/null".to_owned()),
            name => name.map(str::to_owned),
        };
        let shape = self.shape.spec(name, command, work, submitter);
        let files = v1::Files {
            stdin: pattern(&self.input),
            stdout: pattern(&self.output),
            stderr: pattern(&self.error),
            append: self.open_mode == Some(OpenMode::Append),
            ..shape.files.clone().unwrap_or_default()
        };
        v1::JobSpec {
            files: Some(files),
            kill_on_invalid_dep: self.kill_on_invalid_dep.as_deref() == Some("yes"),
            requeue: !self.no_requeue,
            export: export::shown(self.export.as_deref()),
            login_environment: self.get_user_env.is_some() || export::is_login(self.export.as_deref()),
            retries: self.retries.unwrap_or(0),
            inject_failure: self.inject_failure.map(|inject| inject.to_string()).unwrap_or_default(),
            retry_on: self.retry_on.as_ref().map(ToString::to_string).unwrap_or_default(),
            ..shape
        }
    }
}

#[cfg(test)]
mod tests {
    use sched::spec::size::Mebibytes;

    use super::*;

    #[test]
    fn what_is_not_asked_for_is_left_to_the_cluster() {
        let work = || v1::work::Kind::Op("grayscale".into());
        let spec = Ask::default().spec("x".into(), String::new(), work(), &Submitter::ada());
        assert_eq!((spec.name.as_str(), spec.requeue, spec.time_limit_minutes), ("x", true, None));
        assert_eq!(spec.request, Some(v1::Request { nodes_min: 1, ..v1::Request::default() }));
        assert_eq!(spec.files.as_ref().map(|files| files.work_dir.as_str()), Some("/home/ada"));
        let shape = Shape { chdir: Some("/tmp".into()), mem: Some(Mebibytes(5)), ..Shape::default() };
        let ask = Ask { output: Some("none".into()), shape, ..Ask::default() };
        let spec = ask.spec("x".into(), String::new(), work(), &Submitter::ada());
        let files = spec.files.expect("there are always files");
        assert_eq!((files.work_dir.as_str(), files.stdout.as_deref()), ("/tmp", Some("/dev/null")));
        assert_eq!(spec.request.expect("and a shape").memory, Some(v1::request::Memory::MemoryPerNodeMib(5)));
    }
}
