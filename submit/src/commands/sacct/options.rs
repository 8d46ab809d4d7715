//! The options of `sacct`, and what they ask for.

use clap::{ArgAction, Args};
use jiff::Zoned;
use proto::v1::{JobRow, JobState, ListHistoryRequest, ListJobsRequest};
use sched::spec::array::JobRef;
use sched::spec::hostlist;

use super::entry::{Entry, Shown};
use super::fields::{BRIEF, COMPLETION, DEFAULT, FIELDS, LONG, Value};
use super::filter::Filter;
use super::units::Unit;
use super::window::Window;
use crate::failure::{Failure, Outcome};
use crate::fields::{StyleOptions, Table};
use crate::getopt;
use crate::show::{FLAGS, STATES, items};
use crate::users::user_name;

const EXAMPLES: &str = "\
Examples:
  sacct -j 12                                  a job and its steps, whenever it ran
  sacct -X -n -P -j 12 -o State,ExitCode       one line for a script
  sacct -S now-2days -s F,TO,OOM               what went wrong lately
  sacct -j 7 -o jobid,elapsed,maxrss,nodelist%40";

#[derive(Args, Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of its own on the command line")]
pub(super) struct Options {
    /// Only these jobs, tasks and steps, as in 12,13_4,14.batch; may be repeated
    #[arg(short, long, value_name = "IDS", action = ArgAction::Append)]
    pub(super) jobs: Vec<String>,
    /// Only jobs with these names
    #[arg(long, value_name = "NAMES")]
    name: Option<String>,
    /// Only jobs in these states, short or long, during the time window
    #[arg(short, long, value_name = "STATES")]
    state: Option<String>,
    /// Only jobs of these partitions
    #[arg(short = 'r', long, value_name = "LIST")]
    partition: Option<String>,
    /// Only jobs of these users [default: mine; for root: everybody's]
    #[arg(short, long, value_name = "USERS", alias = "uid")]
    user: Option<String>,
    /// Jobs of all users
    #[arg(short = 'a', long)]
    allusers: bool,
    /// Only my jobs, also for root
    #[arg(long)]
    me: bool,
    /// Only jobs of these accounts
    #[arg(short = 'A', long, value_name = "LIST")]
    pub(super) accounts: Option<String>,
    /// Only jobs with these qualities of service
    #[arg(short, long, value_name = "LIST")]
    pub(super) qos: Option<String>,
    /// Only jobs with these wckeys
    #[arg(short = 'W', long, value_name = "LIST")]
    pub(super) wckeys: Option<String>,
    /// Only jobs of these groups, by name or number
    #[arg(short, long, value_name = "LIST", alias = "gid")]
    pub(super) group: Option<String>,
    /// Only jobs that these reasons keep, or kept
    #[arg(short = 'R', long, value_name = "LIST")]
    pub(super) reason: Option<String>,
    /// Only jobs that asked for all of these features
    #[arg(short = 'C', long, value_name = "LIST")]
    pub(super) constraints: Option<String>,
    /// Only jobs with so many nodes
    #[arg(short = 'i', long, value_name = "MIN[-MAX]")]
    pub(super) nnodes: Option<String>,
    /// Only jobs that got so many CPUs
    #[arg(short = 'I', long, value_name = "MIN[-MAX]")]
    pub(super) ncpus: Option<String>,
    /// Only jobs with this time limit; with -K: or a longer one
    #[arg(short = 'k', long, value_name = "TIME")]
    pub(super) timelimit_min: Option<String>,
    /// With -k: the longest time limit
    #[arg(short = 'K', long, value_name = "TIME")]
    pub(super) timelimit_max: Option<String>,
    /// Only jobs of these associations, by number; Covey's have no numbers, so that none matches
    #[arg(short = 'x', long, value_name = "IDS")]
    associations: Option<String>,
    /// Only jobs that ran on these nodes
    #[arg(short = 'N', long, value_name = "NODES")]
    nodelist: Option<String>,
    /// Start of the time window, as in 2027-01-31T08:00 or now-2days [default: midnight; with -j: 1970; with -s: now]
    #[arg(short = 'S', long, value_name = "TIME")]
    starttime: Option<String>,
    /// End of the time window [default: now; with -s and -S: the start]
    #[arg(short = 'E', long, value_name = "TIME")]
    endtime: Option<String>,
    /// Cut start and end to the time window
    #[arg(short = 'T', long)]
    truncate: bool,
    /// Only jobs and tasks, without their steps
    #[arg(short = 'X', long)]
    allocations: bool,
    /// One line for every task of an array that waits
    #[arg(long)]
    array: bool,
    /// Also the runs before the last of what was requeued or tried again
    #[arg(short = 'D', long)]
    duplicates: bool,
    /// Fields, as in jobid,state%20,nodelist%-30; -e lists them
    #[arg(short = 'o', long, value_name = "FIELDS", action = ArgAction::Append)]
    format: Vec<String>,
    /// Only JobID, State and ExitCode
    #[arg(short, long)]
    brief: bool,
    /// Many fields
    #[arg(short, long)]
    long: bool,
    /// What became of jobs, in the fields of Slurm's completion logs, without steps
    #[arg(short, long)]
    completion: bool,
    /// The script of each job; accounting keeps none, so that it prints NONE
    #[arg(short = 'B', long)]
    pub(super) batch_script: bool,
    /// The environment of each job; accounting keeps none, so that it prints NONE
    #[arg(long)]
    pub(super) env_vars: bool,
    /// List the fields
    #[arg(short = 'e', long)]
    pub(super) helpformat: bool,
    #[command(flatten)]
    style: StyleOptions,
    /// What stands between fields in place of the |
    #[arg(long, value_name = "TEXT")]
    delimiter: Option<String>,
    /// Sizes as they were counted
    #[arg(long)]
    noconvert: bool,
    /// Sizes in K, M, G, T or P
    #[arg(long, value_name = "UNIT")]
    units: Option<String>,
    /// Of these clusters, or all
    #[arg(short = 'M', long, value_name = "NAMES", alias = "cluster")]
    clusters: Option<String>,
    /// Of all clusters
    #[arg(short = 'L', long)]
    allclusters: bool,
    /// Of this cluster, which is the default
    #[arg(long)]
    local: bool,
    /// Of the federation: there is none, so that it is this cluster
    #[arg(long)]
    federation: bool,
    /// Uids as they are on this machine, which are those that Covey keeps
    #[arg(long)]
    use_local_uid: bool,
    /// All parts of heterogeneous jobs; Covey has no such jobs
    #[arg(long, value_name = "yes|no", num_args = 0..=1, require_equals = true, default_missing_value = "yes", value_parser = ["yes", "no"])]
    whole_hetjob: Option<String>,
    /// Ways in which jobs were started; not recorded, and no filter
    #[arg(short = 'F', long, value_name = "LIST", hide = true)]
    pub(super) flags: Option<String>,
    /// A file of job completions; there is none
    #[arg(short = 'f', long, value_name = "FILE", hide = true)]
    pub(super) file: Option<String>,
    /// Say which time window is used
    #[arg(short, long, action = ArgAction::Count)]
    verbose: u8,
    /// The jobs and their steps as JSON in the shape of Slurm's data parser
    #[arg(long, value_name = "VERSION", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub(super) json: Option<String>,
    /// The same as YAML
    #[arg(long, value_name = "VERSION", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub(super) yaml: Option<String>,
    /// Seconds to look for the controller (a Covey option)
    #[arg(long, value_name = "SECONDS")]
    pub(super) connect_timeout: Option<u32>,
}

pub(in crate::commands) fn command() -> clap::Command {
    let command =
        Options::augment_args(clap::Command::new("sacct")).about("Show what became of jobs, also long after their end");
    getopt::conventions(command.after_help(EXAMPLES), Some('h'))
}

/// What the options ask for, checked.
pub(super) struct Asked {
    pub(super) request: ListHistoryRequest,
    pub(super) table: Table<Value>,
    pub(super) shown: Shown,
    pub(super) filter: Filter,
    /// The window is to be told.
    pub(super) verbose: bool,
    pub(super) steps: Steps,
    pub(super) expand: bool,
    /// Nothing can match.
    pub(super) nobody: bool,
    window: Window,
    truncate: bool,
    noheader: bool,
    clusters: Vec<String>,
}

impl Asked {
    /// Reads the options, seen from `now`.
    ///
    /// # Errors
    /// The first value that means nothing, in Slurm's text where it has one.
    pub(super) fn of(options: &Options, now: &Zoned) -> Outcome<Asked> {
        let given = |text: &Option<String>| items(text.as_deref().unwrap_or_default());
        let states = states(&given(&options.state))?;
        let (ids, steps) = Steps::read(&options.jobs, options.allocations || options.completion)?;
        let window = Window::of(
            options.starttime.as_deref(),
            options.endtime.as_deref(),
            !ids.is_empty(),
            !states.is_empty(),
            now,
        )?;
        let users = users(options)?;
        let nodes = options.nodelist.as_deref().unwrap_or_default();
        let nodes = hostlist::expand(nodes)
            .map_err(|error| Failure::new(format_args!("sacct: error: Invalid node name {nodes}")).hint(Some(error)))?;
        let jobs = ListJobsRequest {
            ids,
            names: given(&options.name),
            partitions: given(&options.partition),
            states: states.into_iter().map(i32::from).collect(),
            nodes,
            ended: true,
            detail: true,
            steps: true,
            users: users.clone().unwrap_or_default(),
            ..ListJobsRequest::default()
        };
        let unit = options
            .units
            .as_deref()
            .map(str::parse)
            .transpose()
            .map_err(|()| Failure::new("sacct: error: Invalid units type: give K, M, G, T or P"))?;
        let unit = unit.unwrap_or(if options.noconvert { Unit::Counted } else { Unit::Exact });
        Ok(Asked {
            request: ListHistoryRequest {
                jobs: Some(jobs),
                from_ms: window.from_ms,
                until_ms: window.until_ms,
                duplicates: options.duplicates,
            },
            table: table(options)?,
            shown: Shown { unit, list_bytes: list_bytes(), ..Shown::default() },
            filter: Filter::of(options)?,
            verbose: options.verbose > 0,
            steps,
            expand: options.array,
            nobody: options.associations.is_some() || users.is_some_and(|users| users.is_empty()),
            window,
            truncate: options.truncate,
            noheader: options.style.noheader,
            clusters: given(&options.clusters),
        })
    }

    pub(super) fn needs_cluster(&self) -> bool {
        !self.clusters.is_empty() || self.table.has("Cluster")
    }

    /// Refuses clusters that this is not.
    pub(super) fn check_cluster(&self, own: &str) -> Outcome<()> {
        match self.clusters.iter().find(|name| *name != own && *name != "all") {
            None => Ok(()),
            Some(other) => Err(Failure::new(format_args!(
                "sacct: error: '{other}' can't be reached now, or it is an invalid entry for --cluster"
            ))
            .hint(Some(format_args!("this cluster is called {own}")))),
        }
    }

    /// The lines above the rows.
    pub(super) fn heading(&self) -> Vec<String> {
        if self.noheader { Vec::new() } else { self.table.heading() }
    }

    /// What `-v` says of the time window.
    pub(super) fn window_text(&self) -> String {
        let at = |ms: i64| crate::show::time(ms).unwrap_or_else(|| "the beginning".into());
        let until = if self.window.until_ms == i64::MAX { "now".into() } else { at(self.window.until_ms) };
        format!("sacct: Jobs eligible from {} to {until}", at(self.window.from_ms))
    }

    /// The row as far as it lies in the window, where that was asked for.
    pub(super) fn truncated(&self, row: &JobRow) -> JobRow {
        if self.truncate { self.window.truncated(row) } else { row.clone() }
    }
}

/// The users whose jobs are meant, by name; no list means everybody. An empty list is of users that there are not.
fn users(options: &Options) -> Outcome<Option<Vec<String>>> {
    let own = rustix::process::getuid().as_raw();
    let list = match &options.user {
        Some(list) => items(list),
        None if options.me => vec![own.to_string()],
        None if options.allusers || own == 0 => return Ok(None),
        None => vec![own.to_string()],
    };
    let known = |user: &String| {
        user_name(user).ok_or_else(|| Failure::new(format_args!("sacct: error: Invalid user id: {user}")))
    };
    list.iter().map(known).collect::<Outcome<_>>().map(Some)
}

/// More of Slurm's states that no job of Covey has.
const NO_STATES: [(&str, &str); 2] = [("RESIZING", "RS"), ("REVOKED", "RV")];

fn states(items: &[String]) -> Outcome<Vec<JobState>> {
    let mut states = Vec::new();
    for item in items {
        let is = |name: &str| name.eq_ignore_ascii_case(item);
        match STATES.iter().find(|(_, long, short)| is(long) || is(short)) {
            Some((state, ..)) => states.push(*state),
            // A state that no job of Covey has filters all the same.
            None if FLAGS.iter().chain(&NO_STATES).any(|(long, short)| is(long) || is(short)) => {
                states.push(JobState::Unspecified);
            }
            None => return Err(Failure::new(format_args!("sacct: error: Invalid job state specified: {item}"))),
        }
    }
    Ok(states)
}

/// `SLURM_BITSTR_LEN`: how long the list of an array's tasks may be, in bytes; 0 for any length.
fn list_bytes() -> Option<usize> {
    std::env::var("SLURM_BITSTR_LEN").ok()?.parse().ok()
}

fn table(options: &Options) -> Outcome<Table<Value>> {
    let style = options.style.style(options.delimiter.as_deref());
    let variable = || std::env::var("SACCT_FORMAT").ok().filter(|fields| !fields.is_empty());
    let fields = match &options.format[..] {
        _ if options.brief => BRIEF.to_owned(),
        [] if options.long => LONG.to_owned(),
        [] if options.completion => COMPLETION.to_owned(),
        [] => variable().unwrap_or_else(|| DEFAULT.to_owned()),
        given => given.join(","),
    };
    Table::parse(&fields, FIELDS, style)
        .map_err(|field| Failure::new(format_args!("sacct: error: Invalid field requested: \"{field}\"")))
}

/// Which of the entries of a row are wanted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Steps {
    allocations: bool,
    /// The jobs of which only steps were named: each with the step.
    named: Vec<(String, String)>,
    /// The jobs that were named whole.
    whole: Vec<String>,
}

impl Steps {
    /// Reads all of `-j`; answers the jobs without their steps.
    fn read(lists: &[String], allocations: bool) -> Outcome<(Vec<String>, Steps)> {
        let mut ids = Vec::new();
        let mut steps = Steps { allocations, ..Steps::default() };
        for item in lists.iter().flat_map(|list| items(list)) {
            let (job, step) = item.split_once('.').map_or((&item[..], None), |(job, step)| (job, Some(step)));
            let read = job.parse::<JobRef>();
            read.map_err(|error| {
                Failure::new(format_args!("sacct: fatal: Bad job/step specified: {item}")).hint(Some(error))
            })?;
            match step {
                Some(step) => steps.named.push((job.to_owned(), step.to_owned())),
                None => steps.whole.push(job.to_owned()),
            }
            ids.push(job.to_owned());
        }
        Ok((ids, steps))
    }

    pub(super) fn take(&self, entry: &Entry<'_>) -> bool {
        let step_name = entry.step_name();
        let is_step = step_name.is_some();
        if self.allocations {
            return !is_step;
        }
        let mine = |job: &str| entry.is_of(job);
        let mut named = self.named.iter().filter(|(job, _)| mine(job)).peekable();
        if named.peek().is_none() || self.whole.iter().any(|job| mine(job)) {
            return true;
        }
        named.any(|(_, step)| step_name.as_ref() == Some(step))
    }
}
