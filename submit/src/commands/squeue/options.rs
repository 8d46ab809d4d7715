//! squeue's options as typed, and what they mean together with the `SQUEUE_*` variables. Start at [`Asked`].

use clap::{Arg, Args};
use proto::job_columns::Fields;
use proto::v1::{JobRow, ListJobsRequest};
use sched::spec::array::{JobRef, LIST_BYTES_MAX};

use super::columns::{self, COLUMNS, Listed, Needs, Shown};
use super::states::Wanted;
use super::steps::{self, Named};
use super::{Head, fields};
use super::{order, steps::Line};
use crate::failure::{Failure, Outcome};
use crate::getopt;
use crate::json::Form;
use crate::show::items;
use crate::table::{Columns, Format};
use crate::users::user_name;

/// The table that nobody asked to be different.
pub(super) const DEFAULT: &str = "%.18i %.9P %.8j %.8u %.2t %.10M %.6D %R";
/// `--long`.
pub(super) const LONG: &str = "%.18i %.9P %.8j %.8u %.8T %.10M %.9l %.6D %R";
/// `--start`.
pub(super) const START: &str = "%.18i %.9P %.8j %.8u %.2t %.19S %.6D %20Y %R";
/// `--steps`.
pub(super) const STEPS: &str = "%.15i %.8j %.9P %.8u %.9M %N";
/// `--only-job-state`.
const STATE_ONLY: &str = "%.18i %.2t";

const EXAMPLES: &str = "\
Examples:
  squeue --me                            my jobs
  squeue -j 12,13_4 -t all               two of them, also when they have ended
  squeue -h -o '%i %t' -u ada            ids and states for a script
  squeue -O 'JobID:10,Name:.20,Reason:|' the same by names, with widths and signs behind them
  squeue -r -p short -i 5                every task, again every 5 seconds
  squeue -s                              the steps that run
  squeue --start                         when each job that waits should start; covey why JOB says why";

#[derive(Args, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of its own on the command line")]
pub(super) struct Options {
    /// Only jobs of these accounts
    #[arg(short = 'A', long, value_name = "ACCOUNTS")]
    account: Option<String>,
    /// Also jobs of hidden partitions; those asked for by id or partition are shown anyway
    #[arg(short = 'a', long, overrides_with = "hide")]
    all: bool,
    /// No jobs of hidden partitions, which is the default
    #[arg(long, overrides_with = "all")]
    hide: bool,
    /// One row for every task of an array
    #[arg(short = 'r', long)]
    array: bool,
    /// One row for every waiting task that stands apart from its array, which Covey always does
    #[arg(long)]
    array_unique: bool,
    /// Only this cluster, or all; its name stands above the table
    #[arg(short = 'M', long, value_name = "NAMES", alias = "cluster")]
    pub(super) clusters: Option<String>,
    /// Jobs of the federation: there is one cluster, and these are its jobs
    #[arg(long)]
    federation: bool,
    /// Jobs of this cluster alone, which is the default
    #[arg(long)]
    local: bool,
    /// Also jobs of sibling clusters, of which there are none
    #[arg(long)]
    sibling: bool,
    /// Columns, as in '%.18i %j %T', or %all
    #[arg(short = 'o', long, value_name = "FORMAT")]
    format: Option<String>,
    /// Columns by their names, as in JobID:.10,Name,Reason:|
    #[arg(short = 'O', long = "Format", value_name = "NAMES")]
    format_long: Option<String>,
    /// No line above the rows
    #[arg(short = 'h', long)]
    pub(super) noheader: bool,
    /// Again, every so many seconds, until interrupted
    #[arg(short, long, value_name = "SECONDS", allow_hyphen_values = true)]
    iterate: Option<String>,
    /// Only these jobs and tasks, as in 12,13_4
    #[arg(short, long, value_name = "IDS", num_args = 0..=1, default_missing_value = "")]
    jobs: Option<String>,
    /// The jobs as JSON in the shape of Slurm's data parser; a version or list behind = is read and ignored
    #[arg(long, value_name = "VERSION", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    json: Option<String>,
    /// The same as YAML
    #[arg(long, value_name = "VERSION", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    yaml: Option<String>,
    /// Only jobs that hold or want one of these licenses
    #[arg(short = 'L', long, value_name = "LICENSES")]
    licenses: Option<String>,
    /// More columns
    #[arg(short, long)]
    long: bool,
    /// Only my jobs
    #[arg(long)]
    me: bool,
    /// Only jobs and steps with these names
    #[arg(short, long, value_name = "NAMES")]
    name: Option<String>,
    /// Only jobs of others
    #[arg(long)]
    notme: bool,
    /// Memory in megabytes, however much it is
    #[arg(long)]
    noconvert: bool,
    /// Only jobs on these nodes
    #[arg(short = 'w', long, value_name = "NODES")]
    nodelist: Option<String>,
    /// Ids and states alone
    #[arg(long)]
    only_job_state: bool,
    /// Only jobs of these partitions
    #[arg(short, long, value_name = "LIST", alias = "partitions")]
    partition: Option<String>,
    /// A job that waits for several partitions has a row for each
    #[arg(short = 'P', long)]
    priority: bool,
    /// Only jobs of these QOS
    #[arg(short, long, value_name = "LIST")]
    qos: Option<String>,
    /// Only jobs of this reservation
    #[arg(short = 'R', long, value_name = "NAMES")]
    reservation: Option<String>,
    /// Order of the rows: letters of columns, each perhaps with a -
    #[arg(short = 'S', long, value_name = "KEYS")]
    sort: Option<String>,
    /// When and where what waits should start, the earliest first
    #[arg(long)]
    start: bool,
    /// Only jobs in these states, short or long, or all
    #[arg(short = 't', long, value_name = "STATES")]
    states: Option<String>,
    /// Steps instead of jobs: all that run, or these, as in 12.0,13_4.batch
    #[arg(short, long, value_name = "STEPS", num_args = 0..=1, default_missing_value = "")]
    steps: Option<String>,
    /// Only jobs of these users, by name or number
    #[arg(short, long, value_name = "USERS", alias = "users")]
    user: Option<String>,
    /// The date above the table
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Seconds to look for the controller (a Covey option)
    #[arg(long, value_name = "SECONDS")]
    pub(super) connect_timeout: Option<u32>,
}

pub(crate) fn command() -> clap::Command {
    let command = Options::augment_args(clap::Command::new("squeue").about("List jobs and steps"));
    let words = Arg::new("words").num_args(0..).hide(true);
    getopt::conventions(command.arg(words).after_help(EXAMPLES), None)
}

/// What is listed, and how.
#[derive(Debug)]
pub(super) enum Table {
    /// With the keys as they were typed.
    Jobs {
        format: Format<Listed>,
        keys: Vec<order::Key>,
        sort: String,
    },
    Steps {
        format: Format<Line>,
        keys: String,
        named: Named,
    },
    Data(Form),
}

/// The options, understood.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) table: Table,
    pub(super) request: ListJobsRequest,
    pub(super) states: Wanted,
    /// Seconds between two listings; `None` for one listing alone.
    pub(super) every_s: Option<u32>,
    pub(super) dated: bool,
    pub(super) by_task: bool,
    pub(super) by_partition: bool,
    pub(super) noconvert: bool,
    pub(super) list_bytes_max: Option<usize>,
    pub(super) clusters: Vec<String>,
    licenses: Vec<String>,
    /// A user whose jobs are left out: `--notme`.
    pub(super) not_uid: Option<u32>,
}

/// A variable of the environment; nothing where it is empty.
pub(super) type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

impl Asked {
    /// Reads the options.
    ///
    /// # Errors
    /// The first value that means nothing, in Slurm's text.
    pub(super) fn of(options: &Options, variable: Variables<'_>) -> Outcome<Asked> {
        let states = states(options, variable)?;
        let licenses = items(&options.licenses.clone().or_else(|| variable("SQUEUE_LICENSES")).unwrap_or_default());
        let (mut table, needs) = table(options, variable)?;
        let mut request = request(options, variable, &states)?;
        request.detail = needs.detail || !licenses.is_empty();
        request.expected_starts = (needs.starts || options.start) && states.may_wait();
        if let Table::Steps { named, .. } = &mut table {
            named.called(std::mem::take(&mut request.names));
            request.steps = true;
            // Only the details tell batch scripts from other jobs.
            request.detail = true;
            request.expected_starts = false;
            request.ids.extend(named.jobs());
        }
        let every_s = options.iterate.as_deref().map(seconds).transpose()?;
        let mut asked = Asked {
            table,
            request,
            states,
            every_s,
            dated: (options.long || options.verbose > 0 || every_s.is_some()) && !options.noheader,
            by_task: options.array || variable("SQUEUE_ARRAY").is_some(),
            by_partition: options.priority || variable("SQUEUE_PRIORITY").is_some(),
            noconvert: options.noconvert,
            list_bytes_max: list_bytes_max(variable("SLURM_BITSTR_LEN").as_deref()),
            clusters: items(&options.clusters.clone().or_else(|| variable("SLURM_CLUSTERS")).unwrap_or_default()),
            licenses,
            not_uid: options.notme.then(|| rustix::process::getuid().as_raw()),
        };
        if let Table::Jobs { format, sort, .. } = &asked.table
            && !asked.request.detail
        {
            asked.request.fields = fields::of(format, sort, &asked).map_or_else(Vec::new, Fields::numbers);
        }
        Ok(asked)
    }

    /// What all rows of a listing are shown with.
    pub(super) fn shown(&self, head: &Head) -> Shown {
        Shown {
            now_ms: head.now_ms,
            cluster: head.cluster.clone(),
            noconvert: self.noconvert,
            list_bytes_max: self.list_bytes_max,
        }
    }

    /// Whether a row is wanted: what the controller has not looked at already.
    pub(super) fn keeps(&self, row: &JobRow) -> bool {
        let one_of = |wanted: &[String], name: &str| wanted.is_empty() || wanted.iter().any(|item| item == name);
        let licenses = || row.detail.as_ref().map_or("", |detail| detail.licenses.as_str());
        let wants = |license: &String| licenses().split(',').any(|held| held.split(':').next() == Some(license));
        let steps = matches!(self.table, Table::Steps { .. });
        (steps || self.states.keeps(row))
            && self.not_uid != Some(row.uid)
            && one_of(&self.request.accounts, &row.account)
            && one_of(&self.request.qos, &row.qos)
            && one_of(&self.request.reservations, &row.reservation)
            && (self.licenses.is_empty() || self.licenses.iter().any(wants))
    }
}

fn states(options: &Options, variable: Variables<'_>) -> Outcome<Wanted> {
    let usual = || if options.start { Some("PENDING".into()) } else { None };
    let list = options.states.clone().or_else(|| variable("SQUEUE_STATES")).or_else(usual);
    if options.steps.is_some() { Ok(Wanted::default()) } else { Wanted::read(&list.unwrap_or_default()) }
}

fn table(options: &Options, variable: Variables<'_>) -> Outcome<(Table, Needs)> {
    if let Some(form) = Form::of("squeue", options.json.as_deref(), options.yaml.as_deref())? {
        return Ok((Table::Data(form), Needs { detail: true, starts: true }));
    }
    let sort = options.sort.clone().or_else(|| variable("SQUEUE_SORT"));
    if let Some(list) = &options.steps {
        let (format, unknown) = format(options, variable, steps::COLUMNS, steps::ALL, STEPS);
        complain(&unknown, "Invalid job step format specification");
        let keys = sort.unwrap_or_else(|| steps::ORDER.into());
        return Ok((Table::Steps { format, keys, named: Named::read(list)? }, Needs::default()));
    }
    let usual = match (options.start, options.only_job_state, options.long) {
        (true, ..) => START,
        (false, true, _) => STATE_ONLY,
        (false, false, true) => LONG,
        (false, false, false) => DEFAULT,
    };
    let (format, unknown) = format(options, variable, COLUMNS, columns::ALL, usual);
    complain(&unknown, "Invalid job format specification");
    let sort = sort.unwrap_or_else(|| if options.start { "S" } else { order::DEFAULT }.into());
    let needs = Needs::of(&format).and_sort(&sort);
    let keys = order::keys(&sort)
        .map_err(|key| Failure::new(format_args!("squeue: error: Invalid sort specification: {key}")))?;
    Ok((Table::Jobs { format, keys, sort }, needs))
}

/// The columns that were asked for. What is said on the command line, `-l` and its like included, comes before the
/// variables, as in Slurm.
fn format<R>(
    options: &Options,
    variable: Variables<'_>,
    columns: Columns<R>,
    all: &str,
    usual: &str,
) -> (Format<R>, Vec<String>) {
    let typed = options.format.is_some() || options.format_long.is_some();
    let variable = |name| variable(name).filter(|_| !typed && usual == DEFAULT);
    if let Some(names) = options.format_long.clone().or_else(|| variable("SQUEUE_FORMAT2")) {
        return Format::names(&names, columns);
    }
    let text = options.format.clone().or_else(|| variable("SQUEUE_FORMAT"));
    let text = text.as_deref().unwrap_or(usual);
    Format::letters(if text.eq_ignore_ascii_case("%all") { all } else { text }, columns)
}

/// As in Slurm, a listing goes on without what it does not know.
fn complain(unknown: &[String], text: &str) {
    for code in unknown {
        eprintln!("squeue: error: {text}: {code}");
    }
}

fn seconds(text: &str) -> Outcome<u32> {
    let seconds = text.parse().ok().filter(|seconds| *seconds > 0);
    seconds.ok_or_else(|| Failure::new(format_args!("squeue: error: --iterate={text}")).line(""))
}

/// 0 for the whole list; what is no number counts as unsaid.
fn list_bytes_max(text: Option<&str>) -> Option<usize> {
    match text.and_then(|text| text.parse().ok()) {
        Some(0) => None,
        bytes => Some(bytes.unwrap_or(LIST_BYTES_MAX)),
    }
}

fn request(options: &Options, variable: Variables<'_>, states: &Wanted) -> Outcome<ListJobsRequest> {
    let given =
        |option: &Option<String>, name: &str| items(&option.clone().or_else(|| variable(name)).unwrap_or_default());
    let ids = items(options.jobs.as_deref().unwrap_or_default());
    for id in &ids {
        let read = id.parse::<JobRef>();
        read.map_err(|error| Failure::new(format_args!("squeue: error: Invalid job id: {id}")).hint(Some(error)))?;
    }
    let nodes = options.nodelist.as_deref().unwrap_or_default();
    let nodes = sched::spec::hostlist::expand(nodes)
        .map_err(|error| Failure::new(format_args!("squeue: error: Invalid node name {nodes}")).hint(Some(error)))?;
    let partitions = given(&options.partition, "SQUEUE_PARTITION");
    let all = !options.hide && (options.all || variable("SQUEUE_ALL").is_some());
    Ok(ListJobsRequest {
        ended: states.has_ended(),
        skip_hidden: !all && ids.is_empty() && partitions.is_empty(),
        ids,
        users: users(given(&options.user, "SQUEUE_USERS"), options.me),
        names: given(&options.name, "SQUEUE_NAMES"),
        partitions,
        nodes,
        accounts: given(&options.account, "SQUEUE_ACCOUNT"),
        qos: given(&options.qos, "SQUEUE_QOS"),
        reservations: items(options.reservation.as_deref().unwrap_or_default()),
        ..ListJobsRequest::default()
    })
}

/// Slurm goes on for a user whom nobody knows, lists nobody's jobs, and ends with exit code 0.
fn users(mut users: Vec<String>, me: bool) -> Vec<String> {
    if me {
        users.push(rustix::process::getuid().as_raw().to_string());
    }
    for user in &mut users {
        match user_name(user) {
            Some(name) => *user = name,
            None => eprintln!("squeue: error: Invalid user: {user}\n"),
        }
    }
    users
}
