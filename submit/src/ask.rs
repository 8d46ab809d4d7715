//! The options that shape a job, the same for `sbatch` and `covey map`, and the spec that they make.
//!
//! Each value is read by the parser of `sched::spec` here at the door. What only one of the two commands has is in its
//! own file. Start at [`Ask`].

use clap::{Args, ValueEnum};
use proto::v1;
use sched::ids::Timestamp;
use sched::spec::begin::{self, BeginError};
use sched::spec::dependency::Dependency;
use sched::spec::duration::TimeLimit;
use sched::spec::job::COUNT_MAX;
use sched::spec::retry::{ExitCodes, RETRIES_MAX};
use sched::spec::signal::Warning;
use sched::spec::size::Mebibytes;

use crate::call::TIMEOUT_S_MAX;
use crate::failure::{Failure, Outcome};
use crate::submitter::Submitter;
use crate::wishes::Wishes;

/// What a job is asked to be.
#[derive(Args, Clone, Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of its own on the command line")]
pub(crate) struct Ask {
    /// Name of the job [default: the script's or the command's]
    #[arg(short = 'J', long = "job-name", value_name = "NAME")]
    pub(crate) job_name: Option<String>,
    /// Partitions in which it may start, those of the highest tier first [default: the cluster's]
    #[arg(short, long, value_name = "LIST")]
    pub(crate) partition: Option<String>,
    /// Processes of each task of an array, or of the job
    #[arg(short = 'n', long, value_name = "N", value_parser = count)]
    pub(crate) ntasks: Option<u32>,
    /// CPUs for each process
    #[arg(short, long, value_name = "N", value_parser = count)]
    pub(crate) cpus_per_task: Option<u32>,
    /// Nodes
    #[arg(short = 'N', long, value_name = "MIN[-MAX]", value_parser = nodes)]
    pub(crate) nodes: Option<(u32, Option<u32>)>,
    /// Memory on each node, in MB or with K, M, G, T; 0 is all of it
    #[arg(long, value_name = "SIZE")]
    pub(crate) mem: Option<Mebibytes>,
    /// Memory for each CPU
    #[arg(long, value_name = "SIZE")]
    pub(crate) mem_per_cpu: Option<Mebibytes>,
    /// Where it runs, and what else it holds
    #[command(flatten)]
    pub(crate) wishes: Wishes,
    /// Time limit: M, M:S, H:M:S, D-H, D-H:M, D-H:M:S
    #[arg(short, long, value_name = "TIME")]
    pub(crate) time: Option<TimeLimit>,
    /// Warn ahead of the time limit: SIGNAL or SIGNAL@SECONDS [default: 60] to the job's steps, B:SIGNAL to the script
    #[arg(long, value_name = "[B:]SIGNAL")]
    pub(crate) signal: Option<Warning>,
    /// File for the output, a pattern such as out/%x-%j.log
    #[arg(short, long, value_name = "PATTERN")]
    pub(crate) output: Option<String>,
    /// File for the errors [default: the output's]
    #[arg(short, long, value_name = "PATTERN")]
    pub(crate) error: Option<String>,
    /// File to read from [default: nothing]
    #[arg(short, long, value_name = "PATTERN")]
    pub(crate) input: Option<String>,
    /// Folder in which the job runs [default: this one]
    #[arg(short = 'D', long, value_name = "FOLDER")]
    pub(crate) chdir: Option<String>,
    /// Variables that the job gets: ALL, NONE, NIL or NAME[=VALUE],...
    #[arg(long, value_name = "LIST")]
    pub(crate) export: Option<String>,
    /// Whether output files that exist are emptied
    #[arg(long, value_name = "MODE")]
    pub(crate) open_mode: Option<OpenMode>,
    /// Start after other jobs: afterok:ID[:ID..],afterany:ID,singleton..., or ? between for any of them
    #[arg(short, long, value_name = "LIST")]
    pub(crate) dependency: Option<Dependency>,
    /// Whether a job whose dependency can never be met is cancelled
    #[arg(long, value_name = "yes|no", value_parser = ["yes", "no"])]
    pub(crate) kill_on_invalid_dep: Option<String>,
    /// Start no earlier: now+1hour, 16:00, tomorrow, 2027-01-31T08:00
    #[arg(short, long, value_name = "TIME", value_parser = begin)]
    pub(crate) begin: Option<Timestamp>,
    /// To be done by then; what cannot be is ended with state DEADLINE
    #[arg(long, value_name = "TIME", value_parser = begin)]
    pub(crate) deadline: Option<Timestamp>,
    /// Go after others: so much is taken off the priority [default: 0, and 100 without N]; less than 0 goes before them
    #[arg(long, value_name = "N", num_args = 0..=1, require_equals = true, default_missing_value = "100", allow_negative_numbers = true)]
    pub(crate) nice: Option<i32>,
    /// A priority instead of a computed one (administrators); 0 holds the job
    #[arg(long, value_name = "N")]
    pub(crate) priority: Option<u32>,
    /// Try a task that fails again, so often: after 1 s, 2 s, 4 s ... up to 5 minutes (a Covey option)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(..=i64::from(RETRIES_MAX)))]
    pub(crate) retries: Option<u32>,
    /// With --retries: after these exit codes only, such as 1,75-79,137, which is 128 and the signal (a Covey option)
    #[arg(long, value_name = "CODES", requires = "retries")]
    pub(crate) retry_on: Option<ExitCodes>,
    /// A remark
    #[arg(long, value_name = "TEXT")]
    pub(crate) comment: Option<String>,
    /// Hold the job until it is released
    #[arg(short = 'H', long)]
    pub(crate) hold: bool,
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
    /// Seconds to look for the controller (a Covey option)
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(..=i64::from(TIMEOUT_S_MAX)))]
    pub(crate) connect_timeout: Option<u32>,
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

/// A moment, by this machine's clock and zone.
fn begin(text: &str) -> Result<Timestamp, BeginError> {
    begin::read(text, &jiff::Zoned::now())
}

impl Ask {
    /// The spec of a job that does `work`; `name` and `command` are what is shown for it.
    pub(crate) fn spec(
        &self,
        name: String,
        command: String,
        work: v1::work::Kind,
        submitter: &Submitter,
    ) -> v1::JobSpec {
        let (time_limit_minutes, time_unlimited) = match self.time {
            None => (None, false),
            Some(TimeLimit::Minutes(minutes)) => (Some(u64::from(minutes.get())), false),
            Some(TimeLimit::Unlimited) => (None, true),
        };
        v1::JobSpec {
            name: self.job_name.clone().unwrap_or(name),
            user: Some(submitter.user.clone()),
            dependency: self.dependency.as_ref().map(ToString::to_string).unwrap_or_default(),
            kill_on_invalid_dep: self.kill_on_invalid_dep.as_deref() == Some("yes"),
            begin_ms: self.begin.map_or(0, |begin| begin.0),
            partitions: self.partition.as_deref().map(crate::show::items).unwrap_or_default(),
            request: Some(self.request()),
            time_limit_minutes,
            time_unlimited,
            work: Some(v1::Work { kind: Some(work) }),
            files: Some(self.files(submitter)),
            requeue: !self.no_requeue,
            hold: self.hold || self.priority == Some(0),
            comment: self.comment.clone().unwrap_or_default(),
            export: self.export.clone().unwrap_or_default(),
            origin: Some(submitter.origin(command)),
            deadline_ms: self.deadline.map_or(0, |deadline| deadline.0),
            nice: self.nice.unwrap_or(0),
            priority: self.priority,
            retries: self.retries.unwrap_or(0),
            retry_on: self.retry_on.as_ref().map(ToString::to_string).unwrap_or_default(),
            signal: self.signal.map(|signal| signal.to_string()).unwrap_or_default(),
            ..v1::JobSpec::default()
        }
    }

    fn request(&self) -> v1::Request {
        use v1::request::Memory;
        let (nodes_min, nodes_max) = self.nodes.unwrap_or((1, None));
        let per_node = self.mem.map(|size| Memory::MemoryPerNodeMib(size.0));
        let per_cpu = self.mem_per_cpu.map(|size| Memory::MemoryPerCpuMib(size.0));
        let mut request = v1::Request {
            nodes_min,
            nodes_max,
            processes: self.ntasks,
            cpus_per_process: self.cpus_per_task,
            memory: per_node.or(per_cpu),
            ..v1::Request::default()
        };
        self.wishes.fill(&mut request);
        request
    }

    /// Refuses what contradicts itself, in Slurm's words.
    pub(crate) fn check(&self, command: &str) -> Outcome<()> {
        if self.mem.is_none() || self.mem_per_cpu.is_none() {
            return Ok(());
        }
        let text = "fatal: --mem, --mem-per-cpu, and --mem-per-gpu are mutually exclusive.";
        Err(Failure::new(format_args!("{command}: {text}")))
    }

    fn files(&self, submitter: &Submitter) -> v1::Files {
        let pattern = |name: &Option<String>| match name.as_deref() {
            // The manual's word for no file at all.
            Some("none") => Some("/dev/null".to_owned()),
            name => name.map(str::to_owned),
        };
        v1::Files {
            work_dir: submitter.absolute(self.chdir.as_deref().unwrap_or_default()),
            stdin: pattern(&self.input),
            stdout: pattern(&self.output),
            stderr: pattern(&self.error),
            append: self.open_mode == Some(OpenMode::Append),
            umask: submitter.umask,
        }
    }
}

/// A number of processes, CPUs or nodes, with `k` for 1024 and `m` for 1024 times that.
pub(crate) fn count(text: &str) -> Result<u32, String> {
    let (digits, scale) = match text.char_indices().next_back() {
        Some((at, 'k' | 'K')) => (&text[..at], 1024),
        Some((at, 'm' | 'M')) => (&text[..at], 1024 * 1024),
        _ => (text, 1),
    };
    let number = digits.parse::<u32>().ok().and_then(|number| number.checked_mul(scale));
    let number = number.filter(|number| (1..=COUNT_MAX).contains(number));
    number.ok_or_else(|| format!("'{text}' is not a whole number from 1 to {COUNT_MAX}"))
}

fn nodes(text: &str) -> Result<(u32, Option<u32>), String> {
    let Some((min, max)) = text.split_once('-') else {
        let nodes = count(text)?;
        return Ok((nodes, Some(nodes)));
    };
    let (min, max) = (count(min)?, count(max)?);
    if min > max { Err(format!("'{text}' asks for at least {min} and at most {max}")) } else { Ok((min, Some(max))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_nodes_are_read_as_slurm_does() {
        assert_eq!(
            (count("12"), count("2k"), count("1M")),
            (Ok(12), Ok(2048), Err("'1M' is not a whole number from 1 to 1000000".into()))
        );
        for text in ["0", "", "-1", "x", "1x", "4294967296", "k"] {
            assert!(count(text).is_err(), "{text}");
        }
        assert_eq!((nodes("2"), nodes("2-4")), (Ok((2, Some(2))), Ok((2, Some(4)))));
        assert!(nodes("4-2").is_err() && nodes("2-").is_err());
    }

    #[test]
    fn what_is_not_asked_for_is_left_to_the_cluster() {
        let work = || v1::work::Kind::Op("grayscale".into());
        let spec = Ask::default().spec("x".into(), String::new(), work(), &Submitter::ada());
        assert_eq!((spec.name.as_str(), spec.requeue, spec.time_limit_minutes), ("x", true, None));
        assert_eq!(spec.request, Some(v1::Request { nodes_min: 1, ..v1::Request::default() }));
        assert_eq!(spec.files.as_ref().map(|files| files.work_dir.as_str()), Some("/home/ada"));
        let ask =
            Ask { chdir: Some("/tmp".into()), output: Some("none".into()), mem: Some(Mebibytes(5)), ..Ask::default() };
        let spec = ask.spec("x".into(), String::new(), work(), &Submitter::ada());
        let files = spec.files.expect("there are always files");
        assert_eq!((files.work_dir.as_str(), files.stdout.as_deref()), ("/tmp", Some("/dev/null")));
        assert_eq!(spec.request.expect("and a shape").memory, Some(v1::request::Memory::MemoryPerNodeMib(5)));
    }
}
