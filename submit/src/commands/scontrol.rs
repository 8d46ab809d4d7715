//! `scontrol`: shows everything about jobs, steps, nodes, partitions and settings, changes them, and works with host lists.
//!
//! What is shown is chosen in `scontrol/show`, the blocks are made in `scontrol/show_*`, and each verb that changes something has a
//! file; verbs that Covey has nothing for are named and refused. Without a verb it reads commands, line by line
//! (`scontrol/interactive`). Start at [`run`], then [`obey`].

mod block;
mod control;
mod data;
mod errors;
mod hosts;
mod interactive;
mod pids;
mod script;
mod show;
mod show_job;
mod show_node;
mod show_partition;
mod show_step;
#[cfg(test)]
mod tests;
mod token;
mod top;
mod update;
mod update_job;
mod update_node;
mod update_partition;
mod wait;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{ArgAction, Args, FromArgMatches};
use proto::v1::{GetClusterReply, GetClusterRequest, ReconfigureRequest};
use sched::spec::hostlist;

use crate::call::{CallError, block_on, client, connect};
use crate::failure::{Failure, Outcome, ended, print};
use crate::getopt::{self, SLURM_VERSION};
use crate::json::Form;
use update::Verb;

const EXAMPLES: &str = "\
Commands (each may be shortened, as in: scontrol sh j 5; without one they are read from stdin):
  show job [ID]            everything about a job, a task (5_3), or all jobs
  show step [ID[.STEP]]    the steps that run
  show node [NAMES]        everything about nodes
  show partition [NAME]    everything about partitions
  show config              the controller's settings
  show hostnames [LIST]    a list such as n[1-3], one name a line
  show hostlist NAMES      the other way round; show hostlistsorted sorts
  show licenses, reservations, daemons, aliases, topology, assoc_mgr
  completing               the jobs that are going away, and where
  hold IDS                 keep what waits from starting; IDS are jobs and tasks: 5 6_3 7_[0-5],
                           or jobname=NAME
                           (uhold: an administrator's hold that the job's user may release)
  release IDS              let it start, and compute its priority anew
  requeue IDS              stop what runs and let it, and what is done, run again
                           (requeuehold: held, with State=SpecialExit as SPECIAL_EXIT;
                           requeue incomplete IDS: not what is done)
  suspend IDS              stop what runs in its tracks: it keeps its memory and lends its CPUs
  resume IDS               let it go on, once its CPUs are free
  top IDS                  put these before the other waiting jobs of their user and partition
  update jobid=IDS KEY=VALUE...
                           of whatever is not done: TimeLimit= (also += and -=), TimeMin=,
                           Priority= (0 holds), Nice=, Deadline=, ArrayTaskThrottle=, JobName=,
                           Account=, QOS=, WCKey=, Requeue=0|1, Comment=, AdminComment=, Extra=,
                           MailType=, MailUser=;
                           of what runs: EndTime=; of what waits: Partition=, Dependency=,
                           StartTime=, NumNodes=, NumTasks=, CPUsPerTask=, MinMemoryNode=,
                           MinMemoryCPU=, OverSubscribe=YES|NO, ReqNodeList=, ExcNodeList=,
                           Features=, Gres=, Licenses=, ReservationName=, WorkDir=, StdIn=,
                           StdOut=, StdErr=
  update nodename=NAMES state=DRAIN|DOWN|FAIL reason=TEXT [resumeafter=SECONDS]
                           no new work there; DOWN also stops what runs
  update nodename=NAMES state=RESUME|IDLE|UNDRAIN
                           back into service
  create partitionname=NAME [KEY=VALUE ...]
  update partitionname=NAME KEY=VALUE ...
  delete partitionname=NAME
                           keys: Nodes (none at first, or ALL), Default, State, MaxTime,
                           DefaultTime, MaxNodes, MinNodes, DefMemPerCPU, MaxMemPerCPU,
                           PriorityTier, PriorityJobFactor, Hidden
  write batch_script ID [FILE|-]
                           the script of a job, into slurm-ID.sh, a file, or to stdout
  wait_job ID              until a job has started
  listpids [ID[.STEP]]     the processes of jobs on this machine
  errnumstr NUMBER         Slurm's text for an error number
  ping                     is the controller there?
  token [lifespan=SECONDS] [username=USER]
                           a token for calls from elsewhere, as SLURM_JWT=TOKEN, good for 1800 s
  reconfigure              the controller reads covey.toml again
  version                  Slurm's release

What a command makes or changes outlives restarts, but for one thing: a partition that stands in
covey.toml gets back at each start of the controller what the file says, except its State once a
command has set it.

Examples:
  scontrol show job 12                                 everything about a job
  scontrol -o show nodes                               all nodes, each on one line
  scontrol update jobid=12 timelimit+=30               half an hour more
  scontrol update nodename=n[1-3] state=drain reason='new disks'
  scontrol show hostnames 'n[1-3]'                     n1, n2 and n3 on lines of their own";

/// Verbs of Slurm that Covey has nothing for, and what there is instead.
const UNBUILT: [(&str, &str); 15] = [
    ("abort", "stop the controller with SIGTERM; tasks go on running"),
    ("cancel_reboot", "Covey reboots no nodes"),
    ("fsdampeningfactor", "Covey has no fair-share factor"),
    ("notify", "a job's output files belong to the job alone"),
    ("pidinfo", "scontrol listpids shows the processes of jobs on this machine"),
    ("power", "Covey switches no nodes on or off"),
    ("reboot", "drain the node, reboot it yourself, and resume it"),
    ("schedloglevel", "set COVEY_LOG=sched=debug where the controller is started"),
    ("setdebug", "set COVEY_LOG=debug where the controller is started"),
    ("setdebugflags", "set COVEY_LOG=TARGET=LEVEL where the controller is started"),
    ("shutdown", "stop the controller with SIGTERM, or the whole cluster of covey up with covey down"),
    ("takeover", "one controller runs for each cluster"),
    ("!!", "it repeats a command between commands: call scontrol without one"),
    ("exit", "it ends what scontrol without a command begins"),
    ("quit", "it ends what scontrol without a command begins"),
];

/// Every other verb, in the order in which a beginning of several is understood.
const VERBS: [&str; 30] = [
    "show",
    "update",
    "create",
    "delete",
    "hold",
    "release",
    "requeue",
    "requeuehold",
    "suspend",
    "resume",
    "ping",
    "version",
    "completing",
    "errnumstr",
    "listpids",
    "reconfigure",
    "token",
    "top",
    "uhold",
    "wait_job",
    "write",
    "help",
    "all",
    "cluster",
    "details",
    "hide",
    "oneliner",
    "quiet",
    "verbose",
    "holdu",
];

#[derive(Args, Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of its own on the command line")]
struct Options {
    /// One line for every record
    #[arg(short, long)]
    oneliner: bool,
    /// Also hidden partitions (SCONTROL_ALL)
    #[arg(short, long)]
    all: bool,
    /// Without hidden partitions (the default)
    #[arg(long)]
    hide: bool,
    /// More details of jobs; given twice, also what they hold on each node
    #[arg(short, long, action = ArgAction::Count)]
    details: u8,
    /// No messages: the exit code alone tells what became of it
    #[arg(short = 'Q', long)]
    quiet: bool,
    /// Accepted: nothing more is told
    #[arg(short, long, hide = true, action = ArgAction::Count)]
    verbose: u8,
    /// The cluster's name (SLURM_CLUSTERS): there is one
    #[arg(short = 'M', long, value_name = "NAME", alias = "cluster")]
    clusters: Option<String>,
    /// Change jobs as this user, which can only be the caller
    #[arg(short = 'u', long, value_name = "USER")]
    uid: Option<String>,
    /// Accepted: there is one cluster
    #[arg(long, hide = true)]
    local: bool,
    /// Accepted: there is one cluster
    #[arg(long, hide = true)]
    federation: bool,
    /// Accepted: there is one cluster
    #[arg(long, hide = true)]
    sibling: bool,
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

/// Its options.
pub(crate) fn command() -> clap::Command {
    let command = Options::augment_args(
        clap::Command::new("scontrol").about("Show everything about jobs, nodes and partitions, and change them"),
    );
    getopt::conventions(command.after_help(EXAMPLES), Some('h'))
}

fn control(args: &[OsString]) -> Outcome<ExitCode> {
    let mut options =
        Options::from_arg_matches(&getopt::read(&mut command(), args)?).expect("the matches are of these options");
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    options.all |= variable("SCONTROL_ALL").is_some() && !options.hide;
    options.clusters = options.clusters.or_else(|| variable("SLURM_CLUSTERS"));
    check_user(options.uid.as_deref())?;
    if let Some(form) = Form::of("scontrol", options.json.as_deref(), options.yaml.as_deref())? {
        return data::show(form, &options, args);
    }
    let words = std::mem::take(&mut options.words);
    if words.is_empty() { interactive::run(options) } else { told(&mut options, &words) }
}

/// Does one command; with `-Q` its exit code alone tells what became of it.
fn told(options: &mut Options, words: &[String]) -> Outcome<ExitCode> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let outcome = obey(options, &words);
    if options.quiet { outcome.map_err(|failure| Failure::silent(failure.code())) } else { outcome }
}

/// Another user's name or number is refused: whoever asks is who the kernel says.
fn check_user(user: Option<&str>) -> Outcome<()> {
    let Some(user) = user else { return Ok(()) };
    let own = rustix::process::getuid().as_raw();
    if user == own.to_string() || crate::users::name_of_user(own) == user {
        return Ok(());
    }
    Err(Failure::new(format_args!("scontrol: error: cannot act as user {user}"))
        .hint(Some("the controller asks the kernel who calls: become that user first")))
}

fn obey(options: &mut Options, words: &[&str]) -> Outcome<ExitCode> {
    let Some((word, rest)) = words.split_first() else { return Ok(ExitCode::SUCCESS) };
    let Some(verb) = keyword(word, &VERBS) else { return Err(refused(word)) };
    let timeout = options.connect_timeout;
    if let Some(name) = options.clusters.as_deref() {
        block_on(check_cluster(name, timeout))?;
    }
    match verb {
        "show" => show::show(options, rest),
        "create" => block_on(update::change(Verb::Create, rest, timeout)),
        "delete" => block_on(update::change(Verb::Delete, rest, timeout)),
        "update" => block_on(update::change(Verb::Update, rest, timeout)),
        "write" => script::write(rest, timeout),
        "top" => block_on(top::top(rest, timeout)),
        "wait_job" => block_on(wait::wait_job(rest, timeout)),
        "listpids" => pids::list(rest),
        "errnumstr" => errors::text(rest),
        "completing" => alone(verb, rest).and_then(|()| block_on(show_step::completing(timeout))),
        "ping" => alone(verb, rest).and_then(|()| ping(timeout)),
        "token" => block_on(token::token(timeout, rest)),
        "reconfigure" => alone(verb, rest).and_then(|()| block_on(reconfigure(timeout))),
        "version" => print(format_args!("slurm {SLURM_VERSION}\n")),
        "help" => print(format_args!("{}\n", command().render_long_help())),
        "holdu" => block_on(control::run("uhold", rest, timeout)),
        verb if control::VERBS.contains(&verb) => block_on(control::run(verb, rest, timeout)),
        "cluster" => {
            options.clusters = rest.first().map(|name| (*name).to_owned());
            Ok(ExitCode::SUCCESS)
        }
        switch @ ("all" | "details" | "hide" | "oneliner" | "quiet" | "verbose") => {
            turn(options, switch);
            Ok(ExitCode::SUCCESS)
        }
        _ => Err(refused(word)),
    }
}

/// Sets an option for the commands that follow.
fn turn(options: &mut Options, switch: &str) {
    match switch {
        "all" => options.all = true,
        "hide" => options.all = false,
        "details" => options.details = options.details.max(1),
        "oneliner" => options.oneliner = true,
        "quiet" => options.quiet = true,
        _ => options.verbose = options.verbose.max(1),
    }
}

/// What a verb is answered with that does nothing here.
fn refused(word: &str) -> Failure {
    let verbs = UNBUILT.map(|(verb, _)| verb);
    match keyword(word, &verbs).and_then(|verb| UNBUILT.iter().find(|(known, _)| *known == verb)) {
        Some((verb, instead)) => {
            Failure::new(format_args!("scontrol: error: {verb} is not built in Covey; nothing was changed"))
                .hint(Some(instead))
        }
        None => Failure::new(format_args!("invalid keyword: {word}")),
    }
}

/// Refuses words after a verb that takes none.
fn alone(verb: &str, rest: &[&str]) -> Outcome<()> {
    if rest.is_empty() { Ok(()) } else { Err(Failure::new(format_args!("too many arguments for keyword:{verb}"))) }
}

/// The keyword that a word begins, in any case; an exact one before a longer one.
fn keyword<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let word = word.split('=').next().unwrap_or_default().to_ascii_lowercase();
    let exact = known.iter().find(|keyword| **keyword == word);
    let begun = || known.iter().find(|keyword| !word.is_empty() && keyword.starts_with(&word));
    exact.or_else(begun).copied()
}

async fn describe(timeout: Option<u32>) -> Result<GetClusterReply, CallError> {
    let channel = connect(timeout).await?;
    Ok(client(&channel).get_cluster(GetClusterRequest {}).await?.into_inner())
}

async fn check_cluster(name: &str, timeout: Option<u32>) -> Outcome<()> {
    let reply = describe(timeout).await;
    let reply = reply.map_err(|error| Failure::call("scontrol", "slurm_load_ctl_conf error: ", &error))?;
    if name == reply.name || name == "all" {
        return Ok(());
    }
    Err(Failure::new(format_args!(
        "scontrol: error: '{name}' can't be reached now, or it is an invalid entry for --cluster.  Use 'sacctmgr list \
         clusters' to see available clusters."
    )))
}

async fn reconfigure(timeout: Option<u32>) -> Outcome<ExitCode> {
    let told = async {
        let channel = connect(timeout).await?;
        Ok(client(&channel).reconfigure(ReconfigureRequest {}).await?.into_inner())
    };
    let reply =
        told.await.map_err(|error: CallError| Failure::call("scontrol", "slurm_reconfigure error: ", &error))?;
    if !reply.kept.is_empty() {
        let keys = reply.kept.join(", ");
        eprintln!("scontrol: warning: a restart of the controller is needed for {keys}; all else holds from now on");
    }
    Ok(ExitCode::SUCCESS)
}

fn ping(timeout: Option<u32>) -> Outcome<ExitCode> {
    block_on(async {
        match describe(timeout).await {
            Ok(reply) => print(format_args!("Slurmctld(primary) at {} is UP\n", reply.host)),
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
