//! The options that say what a job is, for how long and on what it runs: the same for every command that makes one.
//!
//! Each value is read by the parser of `sched::spec` here at the door. Where a job runs is in `wishes`; what only batch jobs have
//! is in `ask`. Start at [`Shape`].

use clap::Args;
use proto::v1;
use sched::ids::Timestamp;
use sched::spec::begin::{self, BeginError};
use sched::spec::dependency::Dependency;
use sched::spec::duration::TimeLimit;
use sched::spec::job::COUNT_MAX;
use sched::spec::labels::MailTypes;
use sched::spec::rlimit::Propagate;
use sched::spec::signal::Warning;
use sched::spec::size::Mebibytes;

use crate::call::TIMEOUT_S_MAX;
use crate::failure::{Failure, Outcome};
use crate::submitter::Submitter;
use crate::wishes::Wishes;

/// What a job is asked to be.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Shape {
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
    /// The least time that would do; kept and shown, and never longer than --time
    #[arg(long, value_name = "TIME")]
    pub(crate) time_min: Option<TimeLimit>,
    /// Warn ahead of the time limit: SIGNAL or SIGNAL@SECONDS [default: 60] to the job's steps, B:SIGNAL to the script
    #[arg(long, value_name = "[B:]SIGNAL")]
    pub(crate) signal: Option<Warning>,
    /// Folder in which the job runs [default: this one]
    #[arg(short = 'D', long, value_name = "FOLDER")]
    pub(crate) chdir: Option<String>,
    /// Start after other jobs: afterok:ID[:ID..],afterany:ID,singleton..., or ? between for any of them
    #[arg(short, long, value_name = "LIST")]
    pub(crate) dependency: Option<Dependency>,
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
    /// Hold the job until it is released
    #[arg(short = 'H', long)]
    pub(crate) hold: bool,
    /// Account for which it counts
    #[arg(short = 'A', long, value_name = "NAME")]
    pub(crate) account: Option<String>,
    /// Quality of service
    #[arg(short, long, value_name = "NAME")]
    pub(crate) qos: Option<String>,
    /// Key under which accounting can find it
    #[arg(long, value_name = "KEY")]
    pub(crate) wckey: Option<String>,
    /// Only in this reservation
    #[arg(long, value_name = "NAME")]
    pub(crate) reservation: Option<String>,
    /// A remark
    #[arg(long, value_name = "TEXT")]
    pub(crate) comment: Option<String>,
    /// Another remark, for programs
    #[arg(long, value_name = "TEXT")]
    pub(crate) extra: Option<String>,
    /// Events of which a mail should tell: NONE, BEGIN, END, FAIL, REQUEUE, ALL, TIME_LIMIT_80...; kept and shown
    #[arg(long, value_name = "LIST")]
    pub(crate) mail_type: Option<MailTypes>,
    /// Whom the mail should reach [default: the submitter]
    #[arg(long, value_name = "USER")]
    pub(crate) mail_user: Option<String>,
    /// Limits of this shell that tasks get: ALL, NONE or names such as CORE,NOFILE [default: ALL]
    #[arg(long, value_name = "LIST", num_args = 0..=1, require_equals = true, default_missing_value = "ALL")]
    pub(crate) propagate: Option<Propagate>,
    /// Seconds to look for the controller (a Covey option)
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(..=i64::from(TIMEOUT_S_MAX)))]
    pub(crate) connect_timeout: Option<u32>,
}

/// A moment, by this machine's clock and zone.
fn begin(text: &str) -> Result<Timestamp, BeginError> {
    begin::read(text, &jiff::Zoned::now())
}

impl Shape {
    /// The spec of a job that does `work`, with the shape alone; `name` and `command` are what is shown for it.
    pub(crate) fn spec(
        &self,
        name: String,
        command: String,
        work: v1::work::Kind,
        submitter: &Submitter,
    ) -> v1::JobSpec {
        let minutes = |limit: Option<TimeLimit>| match limit {
            Some(TimeLimit::Minutes(minutes)) => Some(u64::from(minutes.get())),
            Some(TimeLimit::Unlimited) | None => None,
        };
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        v1::JobSpec {
            name: self.job_name.clone().unwrap_or(name),
            user: Some(submitter.user.clone()),
            dependency: self.dependency.as_ref().map(ToString::to_string).unwrap_or_default(),
            begin_ms: self.begin.map_or(0, |begin| begin.0),
            partitions: self.partition.as_deref().map(crate::show::items).unwrap_or_default(),
            request: Some(self.request()),
            time_limit_minutes: minutes(self.time),
            time_unlimited: self.time == Some(TimeLimit::Unlimited),
            time_min_minutes: minutes(self.time_min),
            work: Some(v1::Work { kind: Some(work) }),
            files: Some(v1::Files {
                work_dir: submitter.absolute(self.chdir.as_deref().unwrap_or_default()),
                umask: submitter.umask,
                ..v1::Files::default()
            }),
            hold: self.hold || self.priority == Some(0),
            origin: Some(submitter.origin(command)),
            deadline_ms: self.deadline.map_or(0, |deadline| deadline.0),
            nice: self.nice.unwrap_or(0),
            priority: self.priority,
            signal: self.signal.map(|signal| signal.to_string()).unwrap_or_default(),
            account: text(&self.account),
            qos: text(&self.qos),
            wckey: text(&self.wckey),
            reservation: text(&self.reservation),
            comment: text(&self.comment),
            extra: text(&self.extra),
            mail_type: self.mail_type.filter(|types| !types.is_none()).map(|it| it.to_string()).unwrap_or_default(),
            mail_user: text(&self.mail_user),
            limits: submitter.limits(self.propagate.as_ref()),
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

    /// What is taken and not done: one line for each, for stderr.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let mail = self.mail_type.is_some_and(|types| !types.is_none()) || self.mail_user.is_some();
        let mail = mail.then_some("--mail-type and --mail-user are kept and shown; Covey sends no mail");
        self.wishes.warnings().chain(mail).map(str::to_owned).collect()
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

/// `MIN-MAX`; one number alone is both.
pub(crate) fn range(text: &str) -> Result<(u32, u32), String> {
    let (min, max) = text.split_once('-').unwrap_or((text, text));
    let (min, max) = (count(min)?, count(max)?);
    if min > max { Err(format!("'{text}' asks for at least {min} and at most {max}")) } else { Ok((min, max)) }
}

fn nodes(text: &str) -> Result<(u32, Option<u32>), String> {
    range(text).map(|(min, max)| (min, Some(max)))
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
    fn names_and_remarks_reach_the_spec() {
        let text = |text: &str| Some(text.to_owned());
        let shape = Shape {
            account: text("acct"),
            qos: text("high"),
            wckey: text("w"),
            mail_type: Some("fail,end".parse().expect("events")),
            propagate: Some("CORE".parse().expect("a limit")),
            ..Shape::default()
        };
        let spec = shape.spec("x".into(), String::new(), v1::work::Kind::Op("x".into()), &Submitter::ada());
        assert_eq!((spec.account.as_str(), spec.qos.as_str(), spec.wckey.as_str()), ("acct", "high", "w"));
        assert_eq!((spec.mail_type.as_str(), spec.limits.len()), ("END,FAIL", 1));
        assert!(spec.limits[0].asked && spec.limits[0].name == "CORE");
        assert_eq!(shape.warnings().len(), 1);
        let wishes =
            Wishes { licenses: Some(crate::wishes::licenses("a:2|b").expect("alternatives")), ..Wishes::default() };
        let chosen = Shape { wishes, ..Shape::default() };
        assert_eq!((chosen.request().licenses.len(), chosen.warnings().len()), (1, 1));
    }
}
