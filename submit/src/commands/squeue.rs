//! `squeue`: lists jobs as a table that a format string describes.
//!
//! The columns are in `squeue/columns`, the order of rows in `squeue/order`. `scontrol show job` prints everything
//! about a job instead. Start at [`run`].

pub(crate) mod columns;
mod order;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, FromArgMatches};
use proto::v1::{JobRow, JobState, ListJobsRequest};
use sched::spec::array::JobRef;

use crate::call::{CallError, block_on, client, connect};
use crate::failure::{Failure, Outcome, ended};
use crate::getopt;
use crate::show::{FLAGS, STATES, date_line, items};
use crate::submitter::user_name;
use crate::table::Format;
use columns::{COLUMNS, DETAIL_LETTERS, Listed, START_LETTERS, rows_of};

/// The table that nobody asked to be different.
const DEFAULT: &str = "%.18i %.9P %.8j %.8u %.2t %.10M %.6D %R";
/// `--long`.
const LONG: &str = "%.18i %.9P %.8j %.8u %.8T %.10M %.9l %.6D %R";
/// `--start`.
const START: &str = "%.18i %.9P %.8j %.8u %.2t %.19S %.6D %20Y %R";
/// What a refused listing starts with; Slurm prints it without the command's name.
const REFUSED: &str = "slurm_load_jobs error: ";
const EXAMPLES: &str = "\
Examples:
  squeue --me                            my jobs
  squeue -j 12,13_4 -t all               two of them, also when they have ended
  squeue -h -o '%i %t' -u ada            ids and states for a script
  squeue -r -p short -i 5                every task, again every 5 seconds
  squeue --start                         when each job that waits should start; covey why JOB says why";

#[derive(Args, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of its own on the command line")]
struct Options {
    /// Only these jobs and tasks, as in 12,13_4
    #[arg(short, long, value_name = "IDS", num_args = 0..=1, default_missing_value = "")]
    jobs: Option<String>,
    /// Only jobs of these users
    #[arg(short, long, value_name = "USERS", alias = "users")]
    user: Option<String>,
    /// Only my jobs
    #[arg(long)]
    me: bool,
    /// Only jobs with these names
    #[arg(short, long, value_name = "NAMES")]
    name: Option<String>,
    /// Only jobs of these partitions
    #[arg(short, long, value_name = "LIST", alias = "partitions")]
    partition: Option<String>,
    /// Only jobs on these nodes
    #[arg(short = 'w', long, value_name = "NODES")]
    nodelist: Option<String>,
    /// Only jobs in these states, short or long, or all
    #[arg(short = 't', long, value_name = "STATES")]
    states: Option<String>,
    /// One row for every task of an array
    #[arg(short = 'r', long)]
    array: bool,
    /// Columns, as in '%.18i %j %T'
    #[arg(short = 'o', long, value_name = "FORMAT")]
    format: Option<String>,
    /// Order of the rows: letters of columns, each perhaps with a -
    #[arg(short = 'S', long, value_name = "KEYS")]
    sort: Option<String>,
    /// More columns
    #[arg(short, long)]
    long: bool,
    /// When and where what waits should start, the earliest first
    #[arg(long)]
    start: bool,
    /// No line above the rows
    #[arg(short = 'h', long)]
    noheader: bool,
    /// Also jobs of hidden partitions; those asked for by id or partition are shown anyway
    #[arg(short = 'a', long)]
    all: bool,
    /// Again, every so many seconds
    #[arg(short, long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    iterate: Option<u32>,
    /// Seconds to look for the controller (a Covey option)
    #[arg(long, value_name = "SECONDS")]
    connect_timeout: Option<u32>,
}

/// Runs the command.
pub(crate) fn run(args: &[OsString]) -> ExitCode {
    ended(list(args))
}

/// Its options.
pub(crate) fn command() -> clap::Command {
    let command = Options::augment_args(clap::Command::new("squeue").about("List jobs")).after_help(EXAMPLES);
    getopt::conventions(command, None)
}

fn list(args: &[OsString]) -> Outcome<ExitCode> {
    let options =
        Options::from_arg_matches(&getopt::read(&mut command(), args)?).expect("the matches are of these options");
    let format = format(&options)?;
    let keys = options
        .sort
        .clone()
        .or_else(|| variable("SQUEUE_SORT"))
        .unwrap_or_else(|| if options.start { "S" } else { order::DEFAULT }.into());
    let keys = order::keys(&keys)
        .map_err(|key| Failure::new(format_args!("squeue: error: Invalid sort specification: {key}")))?;
    let states = if options.start {
        Wanted::read("PENDING")?
    } else {
        Wanted::read(&options.states.clone().or_else(|| variable("SQUEUE_STATES")).unwrap_or_default())?
    };
    let detail = format.columns().any(|column| DETAIL_LETTERS.contains(&column.letter));
    let shows_starts = format.columns().any(|column| START_LETTERS.contains(&column.letter));
    let expected_starts = (shows_starts || options.start) && states.may_wait();
    let request = ListJobsRequest { detail, expected_starts, ..request(&options, &states)? };
    let expand = options.array || variable("SQUEUE_ARRAY").is_some();
    block_on(async {
        let refused = |error| Failure::call("squeue", REFUSED, &error);
        let channel = connect(options.connect_timeout).await.map_err(refused)?;
        loop {
            let (mut rows, now_ms) = load(&channel, &request).await.map_err(refused)?;
            rows.retain(|row| states.keeps(row));
            order::sort(&mut rows, &keys);
            let dated = (options.long || options.iterate.is_some()) && !options.noheader;
            let heading = dated.then(|| date_line(now_ms));
            let rows = rows.into_iter().flat_map(|row| rows_of(row, now_ms, expand));
            write_table(&format, heading, !options.noheader, rows)?;
            let Some(seconds) = options.iterate else { return Ok(ExitCode::SUCCESS) };
            tokio::time::sleep(Duration::from_secs(seconds.into())).await;
        }
    })
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn format(options: &Options) -> Outcome<Format<Listed>> {
    let variable = || variable("SQUEUE_FORMAT").filter(|_| !options.long && !options.start);
    let default = || match (options.start, options.long) {
        (true, _) => START.into(),
        (false, true) => LONG.into(),
        (false, false) => DEFAULT.into(),
    };
    let text = options.format.clone().or_else(variable).unwrap_or_else(default);
    Format::parse(&text, COLUMNS)
        .map_err(|letter| Failure::new(format_args!("squeue: error: Invalid job format specification: {letter}")))
}

fn request(options: &Options, states: &Wanted) -> Outcome<ListJobsRequest> {
    let given = |option: &Option<String>, name: &str| option.clone().or_else(|| variable(name)).unwrap_or_default();
    let mut users = items(&given(&options.user, "SQUEUE_USERS"));
    if options.me {
        users.push(rustix::process::getuid().as_raw().to_string());
    }
    for user in &mut users {
        match user_name(user) {
            Some(name) => *user = name,
            // Slurm goes on and lists nobody's jobs, with exit code 0.
            None => eprintln!("squeue: error: Invalid user: {user}"),
        }
    }
    let ids = items(options.jobs.as_deref().unwrap_or_default());
    for id in &ids {
        let read = id.parse::<JobRef>();
        read.map_err(|error| Failure::new(format_args!("squeue: error: Invalid job id: {id}")).hint(Some(error)))?;
    }
    let nodes = options.nodelist.as_deref().unwrap_or_default();
    let nodes = sched::spec::hostlist::expand(nodes)
        .map_err(|error| Failure::new(format_args!("squeue: error: Invalid node name {nodes}")).hint(Some(error)))?;
    let partitions = items(&given(&options.partition, "SQUEUE_PARTITION"));
    let all = options.all || variable("SQUEUE_ALL").is_some();
    Ok(ListJobsRequest {
        ended: states.has_ended(),
        skip_hidden: !all && ids.is_empty() && partitions.is_empty(),
        ids,
        users,
        names: items(&given(&options.name, "SQUEUE_NAMES")),
        partitions,
        nodes,
        ..ListJobsRequest::default()
    })
}

/// The states that were asked for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wanted {
    /// Whether there is a choice at all; without one, the controller lists what has not ended.
    chosen: bool,
    states: Vec<JobState>,
    completing: bool,
}

impl Wanted {
    /// Reads a list such as `pd,RUNNING,cg`, or `all`.
    fn read(list: &str) -> Outcome<Wanted> {
        let items = items(list);
        let mut wanted = Wanted { chosen: !items.is_empty(), ..Wanted::default() };
        for item in items {
            let is = |name: &str| name.eq_ignore_ascii_case(&item);
            if is("all") {
                let states = STATES.iter().map(|(state, ..)| *state).collect();
                return Ok(Wanted { chosen: true, states, completing: true });
            }
            let state = STATES.iter().find(|(_, long, short)| is(long) || is(short));
            let flag = FLAGS.iter().any(|(long, short)| is(long) || is(short));
            match state {
                Some((state, ..)) => wanted.states.push(*state),
                None if flag => wanted.completing |= is("COMPLETING") || is("CG"),
                None => return Err(bad_state(&item)),
            }
        }
        Ok(wanted)
    }

    fn has_ended(&self) -> bool {
        self.states.iter().any(|state| !matches!(state, JobState::Pending | JobState::Running | JobState::Suspended))
    }

    fn may_wait(&self) -> bool {
        !self.chosen || self.states.contains(&JobState::Pending)
    }

    fn keeps(&self, row: &JobRow) -> bool {
        !self.chosen || self.states.contains(&row.state()) || (self.completing && row.completing)
    }
}

fn bad_state(item: &str) -> Failure {
    let known = STATES.map(|(_, long, _)| long).join(",");
    Failure::new(format_args!("squeue: error: Invalid job state specified: {item}"))
        .line(format_args!("squeue: error: Valid job states include: {known}"))
}

/// All rows, and the controller's time. A single id that no job has is an error, as in Slurm; of several, some may be
/// gone.
pub(crate) async fn load(
    channel: &tonic::transport::Channel,
    request: &ListJobsRequest,
) -> Result<(Vec<JobRow>, i64), CallError> {
    let mut pages = client(channel).list_jobs(request.clone()).await?.into_inner();
    let (mut rows, mut now_ms) = (Vec::new(), 0);
    while let Some(page) = pages.message().await? {
        if request.ids.len() == 1 && !page.unknown.is_empty() {
            return Err(CallError::Refused(tonic::Status::not_found("Invalid job id specified")));
        }
        now_ms = now_ms.max(page.now_ms);
        rows.extend(page.rows);
    }
    Ok((rows, now_ms))
}

fn write_table(
    format: &Format<Listed>,
    date: Option<String>,
    header: bool,
    rows: impl Iterator<Item = Listed>,
) -> Outcome<()> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for line in date.into_iter().chain(header.then(|| format.header())) {
        writeln!(out, "{line}")?;
    }
    for row in rows {
        writeln!(out, "{}", format.row(&row))?;
    }
    Ok(out.flush()?)
}
