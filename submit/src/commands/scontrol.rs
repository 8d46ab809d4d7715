//! `scontrol`: shows everything about jobs, nodes, partitions and settings, and works with host lists.
//!
//! Of the verbs that change something, those on jobs, nodes and partitions are built (`scontrol/control`, `scontrol/update*`); the
//! others are named and refused. The blocks are made in `scontrol/show_*`. Start at [`run`].

mod block;
mod control;
mod data;
mod show_job;
mod show_node;
mod show_partition;
#[cfg(test)]
mod tests;
mod update;
mod update_job;
mod update_node;
mod update_partition;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Args, FromArgMatches};
use proto::v1::{GetClusterReply, GetClusterRequest, ListJobsRequest, ListNodesReply, ListNodesRequest, PartitionRow};
use sched::spec::hostlist;
use tonic::Code;

use super::squeue::load;
use crate::call::{CallError, block_on, client, connect};
use crate::failure::{Failure, Outcome, ended, print};
use crate::getopt::{self, SLURM_VERSION};
use crate::json::Form;
use crate::show;
use block::Style;
use update::Verb;

const EXAMPLES: &str = "\
Commands (each may be shortened, as in: scontrol sh j 5):
  show job [ID]            everything about a job, a task (5_3), or all jobs
  show node [NAMES]        everything about nodes
  show partition [NAME]    everything about partitions
  show config              the controller's settings
  show hostnames [LIST]    a list such as n[1-3], one name a line
  show hostlist NAMES      the other way round; show hostlistsorted sorts
  hold IDS                 keep what waits from starting; IDS are jobs and tasks: 5 6_3 7_[0-5]
                           (uhold: an administrator's hold that the job's user may release)
  release IDS              let it start, and compute its priority anew
  requeue IDS              stop what runs and let it, and what is done, run again
                           (requeuehold: held; requeue incomplete IDS: not what is done)
  suspend IDS              stop what runs in its tracks: it keeps its memory and lends its CPUs
  resume IDS               let it go on, once its CPUs are free
  update jobid=IDS KEY=VALUE...
                           of whatever is not done: TimeLimit= (also += and -=), Priority= (0 holds),
                           Nice=, Deadline=, ArrayTaskThrottle=, Name=, Comment=, Requeue=0|1;
                           of what runs: EndTime=; of what waits: Partition=, Dependency=,
                           StartTime=, NumNodes=, NumTasks=, CPUsPerTask=, MinMemoryNode=,
                           MinMemoryCPU=, ReqNodeList=, ExcNodeList=, Features=, Gres=, Licenses=,
                           WorkDir=, StdIn=, StdOut=, StdErr=
  update nodename=NAMES state=DRAIN|DOWN|FAIL reason=TEXT [resumeafter=SECONDS]
                           no new work there; DOWN also stops what runs
  update nodename=NAMES state=RESUME|IDLE|UNDRAIN
                           back into service
  create partitionname=NAME [KEY=VALUE ...]
  update partitionname=NAME KEY=VALUE ...
  delete partitionname=NAME
                           keys: Nodes (none at first, or ALL), Default, State, MaxTime, DefaultTime,
                           MaxNodes, MinNodes, DefMemPerCPU, MaxMemPerCPU, PriorityTier,
                           PriorityJobFactor, Hidden
  ping                     is the controller there?
  version                  Slurm's release

What a command makes or changes outlives restarts, but for one thing: a partition that stands in
covey.toml gets back at each start of the controller what the file says, except its State once a
command has set it.";

/// Verbs of Slurm that change something.
const UNBUILT: [&str; 11] = [
    "cancel_reboot",
    "notify",
    "power",
    "reboot",
    "reconfigure",
    "setdebug",
    "shutdown",
    "takeover",
    "token",
    "top",
    "write",
];

#[derive(Args, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of its own on the command line")]
struct Options {
    /// One line for every record
    #[arg(short, long)]
    oneliner: bool,
    /// Also hidden partitions
    #[arg(short, long)]
    all: bool,
    /// More details: DerivedExitCode of jobs
    #[arg(short, long)]
    details: bool,
    /// No messages: the exit code alone tells what became of it
    #[arg(short = 'Q', long)]
    quiet: bool,
    /// Jobs, steps, nodes, partitions or the ping as JSON in the shape of Slurm's data parser
    #[arg(long, value_name = "VERSION", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    json: Option<String>,
    /// The same as YAML
    #[arg(long, value_name = "VERSION", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    yaml: Option<String>,
    /// Also nodes in state FUTURE, of which there are none
    #[arg(short = 'F', long)]
    future: bool,
    /// Seconds to look for the controller (a Covey option)
    #[arg(long, value_name = "SECONDS")]
    connect_timeout: Option<u32>,
    /// What to do, and with what
    #[arg(value_name = "COMMAND")]
    words: Vec<String>,
}

/// Runs the command.
pub(crate) fn run(args: &[OsString]) -> ExitCode {
    ended(control(args))
}

fn command() -> clap::Command {
    let command = Options::augment_args(
        clap::Command::new("scontrol").about("Show everything about jobs, nodes and partitions, and change them"),
    );
    getopt::conventions(command.after_help(EXAMPLES), Some('h'))
}

fn control(args: &[OsString]) -> Outcome<ExitCode> {
    let options =
        Options::from_arg_matches(&getopt::read(&mut command(), args)?).expect("the matches are of these options");
    if let Some(form) = Form::of("scontrol", options.json.as_deref(), options.yaml.as_deref())? {
        return data::show(form, &options, args);
    }
    let outcome = obey(&options);
    if options.quiet { outcome.map_err(|failure| Failure::silent(failure.code())) } else { outcome }
}

fn obey(options: &Options) -> Outcome<ExitCode> {
    let words: Vec<&str> = options.words.iter().map(String::as_str).collect();
    let Some((verb, rest)) = words.split_first() else {
        return Err(Failure::new("scontrol: error: no command given").hint(Some("scontrol --help lists the commands")));
    };
    let verbs = ["show", "create", "delete", "update", "ping", "version"];
    let verbs: Vec<&str> = verbs.into_iter().chain(control::VERBS).collect();
    match keyword(verb, &verbs) {
        Some("show") => show_something(options, rest),
        Some(verb @ ("create" | "delete" | "update")) => {
            let verb = match verb {
                "create" => Verb::Create,
                "delete" => Verb::Delete,
                _ => Verb::Update,
            };
            block_on(update::change(verb, rest, options.connect_timeout))
        }
        Some("ping") => ping(options),
        Some("version") => print(format_args!("slurm {SLURM_VERSION}\n")),
        Some(verb) => block_on(control::run(verb, rest, options.connect_timeout)),
        None => match keyword(verb, &UNBUILT) {
            Some(verb) => Err(Failure::new(format_args!(
                "scontrol: error: {verb} is not built in Covey yet; nothing was changed"
            ))),
            None => Err(Failure::new(format_args!("invalid keyword: {verb}"))),
        },
    }
}

fn show_something(options: &Options, words: &[&str]) -> Outcome<ExitCode> {
    let Some((what, names)) = words.split_first() else {
        return Err(Failure::new("too few arguments for keyword:show"));
    };
    let known = ["jobs", "jobid", "nodes", "partitions", "config", "hostnames", "hostlist", "hostlistsorted"];
    let what_is_meant = keyword(what, &known);
    let names = names.join(",");
    // `show job=5` is as good as `show job 5`.
    let names = what.split_once('=').map_or(names, |(_, name)| name.to_owned());
    match what_is_meant {
        Some("jobs" | "jobid") => block_on(jobs(options, &names)),
        Some("nodes") => block_on(nodes(options, &names)),
        Some("partitions") => block_on(partitions(options, &names)),
        Some("config") => block_on(config(options)),
        Some("hostnames") => host_names(&names),
        Some(sorted @ ("hostlist" | "hostlistsorted")) => host_list(&names, sorted == "hostlistsorted"),
        _ => Err(Failure::new(format_args!("invalid entity:{what} for keyword:show"))),
    }
}

/// The keyword that a word begins, in any case; an exact one before a longer one.
fn keyword<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let word = word.split('=').next().unwrap_or_default().to_ascii_lowercase();
    let exact = known.iter().find(|keyword| **keyword == word);
    let begun = || known.iter().find(|keyword| !word.is_empty() && keyword.starts_with(&word));
    exact.or_else(begun).copied()
}

async fn jobs(options: &Options, ids: &str) -> Outcome<ExitCode> {
    let refused = |error: CallError| match error.code() {
        // What no JobRef can be made of is no job id either.
        Some(Code::InvalidArgument) => Failure::new("slurm_load_jobs error: Invalid job id specified"),
        _ => Failure::call("scontrol", "slurm_load_jobs error: ", &error),
    };
    let ids = show::items(ids);
    let channel = connect(options.connect_timeout).await.map_err(refused)?;
    let request = ListJobsRequest {
        ids: ids.clone(),
        ended: true,
        detail: true,
        expected_starts: true,
        ..ListJobsRequest::default()
    };
    let (rows, now_ms) = match load(&channel, &request).await {
        Err(CallError::Refused(status)) if status.code() == Code::NotFound && ids.iter().any(|id| id.contains('_')) => {
            return Err(Failure::new(format_args!("Job {} not found", ids.join(","))));
        }
        loaded => loaded.map_err(refused)?,
    };
    if rows.is_empty() {
        return match ids.as_slice() {
            [] => print("No jobs in the system\n"),
            ids => Err(Failure::new(format_args!("Job {} not found", ids.join(",")))),
        };
    }
    let style = Style::of(options.oneliner);
    print(rows.iter().map(|row| show_job::block(row, now_ms, options.details).text(style)).collect::<String>())
}

async fn cluster(options: &Options) -> Result<ListNodesReply, CallError> {
    let channel = connect(options.connect_timeout).await?;
    Ok(client(&channel).list_nodes(ListNodesRequest {}).await?.into_inner())
}

async fn nodes(options: &Options, names: &str) -> Outcome<ExitCode> {
    let reply = cluster(options).await.map_err(|error| Failure::call("scontrol", "slurm_load_node error: ", &error))?;
    let wanted = expand(names)?;
    if let Some(name) = wanted.iter().find(|name| !reply.nodes.iter().any(|node| node.name == **name)) {
        return Err(Failure::new(format_args!("Node {name} not found")));
    }
    if reply.nodes.is_empty() {
        return print("No nodes in the system\n");
    }
    let shown = reply.nodes.iter().filter(|node| wanted.is_empty() || wanted.contains(&node.name));
    let style = Style::of(options.oneliner);
    print(shown.map(|node| show_node::node(node).text(style)).collect::<String>())
}

async fn partitions(options: &Options, names: &str) -> Outcome<ExitCode> {
    let reply =
        cluster(options).await.map_err(|error| Failure::call("scontrol", "slurm_load_partitions error: ", &error))?;
    let wanted = show::items(names);
    if let Some(name) = wanted.iter().find(|name| !reply.partitions.iter().any(|known| known.name == **name)) {
        return Err(Failure::new(format_args!("Partition {name} not found")));
    }
    let unasked = |partition: &PartitionRow| wanted.is_empty() && (options.all || !partition.hidden);
    let shown = reply.partitions.iter().filter(|partition| unasked(partition) || wanted.contains(&partition.name));
    let style = Style::of(options.oneliner);
    print(shown.map(|partition| show_partition::partition(partition, &reply.nodes).text(style)).collect::<String>())
}

async fn describe(options: &Options) -> Result<(GetClusterReply, i64), CallError> {
    let channel = connect(options.connect_timeout).await?;
    let reply = client(&channel).get_cluster(GetClusterRequest {}).await?.into_inner();
    Ok((reply, jiff::Timestamp::now().as_millisecond()))
}

async fn config(options: &Options) -> Outcome<ExitCode> {
    let refused = |error| Failure::call("scontrol", "slurm_load_ctl_conf error: ", &error);
    let (reply, now_ms) = describe(options).await.map_err(refused)?;
    print(config_text(&reply, now_ms))
}

fn config_text(reply: &GetClusterReply, now_ms: i64) -> String {
    let mut text = format!("Configuration data as of {}\n", show::time(now_ms).unwrap_or_default());
    for setting in &reply.settings {
        text += &format!("{:<23} = {}\n", setting.key, show::or_null(&setting.value));
    }
    text + &format!("\nSlurmctld(primary) at {} is UP\n", reply.host)
}

fn ping(options: &Options) -> Outcome<ExitCode> {
    block_on(async {
        match describe(options).await {
            Ok((reply, _)) => print(format_args!("Slurmctld(primary) at {} is UP\n", reply.host)),
            Err(error @ (CallError::Dial(_) | CallError::Lost(_))) => {
                let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
                print(format_args!("Slurmctld(primary) at {host} is DOWN\n"))?;
                Err(Failure::silent(1).hint(error.hint()))
            }
            Err(error) => Err(Failure::call("scontrol", "slurm_ping error: ", &error)),
        }
    })
}

fn expand(list: &str) -> Outcome<Vec<String>> {
    hostlist::expand(list).map_err(|error| Failure::new(format_args!("Invalid hostlist: {list}")).hint(Some(error)))
}

/// Without a list, the nodes of the job that this runs in.
fn host_names(list: &str) -> Outcome<ExitCode> {
    let own = || std::env::var("SLURM_JOB_NODELIST").unwrap_or_default();
    let list = if list.is_empty() { own() } else { list.to_owned() };
    print(expand(&list)?.iter().map(|name| format!("{name}\n")).collect::<String>())
}

fn host_list(names: &str, sorted: bool) -> Outcome<ExitCode> {
    let hosts = expand(names)?;
    let list = if sorted { hostlist::compress_sorted(&hosts) } else { hostlist::compress(&hosts) };
    print(format_args!("{list}\n"))
}
