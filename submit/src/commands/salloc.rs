//! `salloc`: holds nodes for as long as a command or a shell runs here.
//!
//! The command runs on this machine, with the variables of the job; what it starts with `srun` runs on the nodes. Start at [`run`].

use std::ffi::{OsStr, OsString};
use std::fmt::Write;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitCode, ExitStatus};
use std::time::Duration;

use clap::{Args, FromArgMatches};
use proto::v1::{self, Granted, Share};
use rustix::process::{Pid, Signal, kill_process};
use sched::resources::Cpus;
use sched::spec::hostlist;
use sched::spec::signal::Warning;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use crate::call::{block_on, connect};
use crate::commands::sbatch::options::Says::{self, Value};
use crate::commands::sbatch::options::from_variables;
use crate::failure::{Failure, Outcome, ended};
use crate::getopt;
use crate::hold::{Hold, News, Ungranted};
use crate::shape::Shape;
use crate::submitter::Submitter;
use crate::unbuilt;

const REFUSED: &str = "salloc: error: Job submit/allocate failed: ";

const EXAMPLES: &str = "\
Examples:
  salloc -N 2 -t 30 make check
  salloc -n 8 --mem-per-cpu=1G         a shell; srun in it runs on the nodes, exit gives them back";

/// Variables for options.
const VARIABLES: &[(&str, &str, Says)] = &[
    ("SALLOC_ACCOUNT", "--account", Value),
    ("SALLOC_CONSTRAINT", "--constraint", Value),
    ("SALLOC_EXCLUSIVE", "--exclusive", Says::Perhaps),
    ("SALLOC_GPUS", "--gpus", Value),
    ("SALLOC_GPUS_PER_NODE", "--gpus-per-node", Value),
    ("SALLOC_GPUS_PER_TASK", "--gpus-per-task", Value),
    ("SALLOC_GRES", "--gres", Value),
    ("SALLOC_IMMEDIATE", "--immediate", Says::Perhaps),
    ("SALLOC_KILL_CMD", "--kill-command", Says::Perhaps),
    ("SALLOC_MEM_PER_CPU", "--mem-per-cpu", Value),
    ("SALLOC_MEM_PER_NODE", "--mem", Value),
    ("SALLOC_PARTITION", "--partition", Value),
    ("SALLOC_QOS", "--qos", Value),
    ("SALLOC_RESERVATION", "--reservation", Value),
    ("SALLOC_SIGNAL", "--signal", Value),
    ("SALLOC_TIMELIMIT", "--time", Value),
    ("SALLOC_WCKEY", "--wckey", Value),
];

/// Everything that salloc can be told.
#[derive(Args, Clone, Debug, Default)]
struct Options {
    #[command(flatten)]
    shape: Shape,
    /// Signal the command when the job ends before it [default signal: TERM]
    #[arg(short = 'K', long, value_name = "SIGNAL", num_args = 0..=1, require_equals = true, default_missing_value = "TERM")]
    kill_command: Option<Warning>,
    /// Fail instead of waiting, after so many seconds if given
    #[arg(short = 'I', long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = "1")]
    immediate: Option<u64>,
    /// Leave the job without a command (not built: a job ends with its salloc)
    #[arg(long)]
    no_shell: bool,
    /// Ring the bell when the nodes are there
    #[arg(long, overrides_with = "no_bell")]
    bell: bool,
    /// Do not ring it
    #[arg(long, overrides_with = "bell")]
    no_bell: bool,
    /// Print nothing but errors
    #[arg(short = 'Q', long)]
    quiet: bool,
    /// Say more on stderr
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
    /// The command and its arguments [default: a shell]
    #[arg(value_name = "COMMAND", num_args = 0.., trailing_var_arg = true)]
    words: Vec<OsString>,
}

/// Runs the command.
pub(crate) fn run(args: &[OsString]) -> ExitCode {
    ended(serve(args).map(ExitCode::from).map_err(Failure::with_exit_of_environment))
}

fn serve(args: &[OsString]) -> Outcome<u8> {
    let submitter =
        Submitter::here().map_err(|error| Failure::chain("salloc: error: cannot find the current folder: ", &error))?;
    let options = read(args)?;
    let words = if options.words.is_empty() { vec![shell()] } else { options.words.clone() };
    let name = std::path::Path::new(&words[0]).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let name = if options.words.is_empty() { "interactive".into() } else { name };
    let work = v1::work::Kind::Allocation(v1::work::Allocation {});
    let spec = options.shape.spec(name, words[0].to_string_lossy().into_owned(), work, &submitter);
    let request_id = uuid::Uuid::new_v4().into_bytes().to_vec();
    let job = v1::AllocateJob { request_id, spec: Some(spec.clone()), environment: Vec::new() };
    block_on(async {
        let refused = |error| Failure::call("salloc", REFUSED, &error);
        let channel = connect(options.shape.connect_timeout).await.map_err(refused)?;
        let mut hold = Hold::start(channel, job);
        let granted = match wait(&mut hold, &options).await? {
            Ok(granted) => granted,
            Err(ungranted) => return Err(not_granted(hold, ungranted, &options).await),
        };
        say(&options, &format!("Granted job allocation {}", granted.job_id));
        if options.bell && !options.no_bell {
            eprint!("\x07");
        }
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).envs(variables(&granted, &spec, &submitter));
        if let Some(dir) = &options.shape.chdir {
            command.current_dir(submitter.absolute(dir));
        }
        let ran = attend(&mut hold, command, granted.job_id, &options).await;
        // In Slurm's order: before the nodes are given back.
        let ran = ran.inspect_err(|error| eprintln!("salloc: error: {}", unstarted(&words[0], error)));
        let code = *ran.as_ref().unwrap_or(&1);
        say(&options, &format!("Relinquishing job allocation {}", granted.job_id));
        hold.release(code).await;
        ran.map_err(|_| Failure::silent(1))
    })
}

/// Why a command could not be started, in Slurm's words where it has any.
fn unstarted(program: &OsStr, error: &io::Error) -> String {
    let program = program.display();
    match error.kind() {
        io::ErrorKind::NotFound => format!("_fork_command: Unable to find command \"{program}\""),
        _ => format!("Unable to exec command \"{program}\": {error}"),
    }
}

/// Its options.
pub(crate) fn command() -> clap::Command {
    let command = Options::augment_args(clap::Command::new("salloc"))
        .about("Hold nodes for as long as a command runs")
        .override_usage("salloc [OPTIONS] [COMMAND [ARGUMENTS]...]")
        .after_help(EXAMPLES);
    getopt::conventions(command.args(unbuilt::arguments(unbuilt::SALLOC)), Some('h'))
}

fn read(args: &[OsString]) -> Outcome<Options> {
    let mut command = command();
    let typed = getopt::read(&mut command, args)?;
    let mut words = from_variables(VARIABLES, |name| std::env::var(name).ok());
    words.extend(args.iter().cloned());
    let matches = getopt::read(&mut command, &words)?;
    let options = Options::from_arg_matches(&matches).expect("the matches are of the same options");
    options.shape.check("salloc")?;
    if options.no_shell {
        let text = "salloc: error: --no-shell is not built in Covey: a job ends with its salloc; nothing was allocated";
        return Err(Failure::new(text));
    }
    if !options.quiet {
        let given = unbuilt::given(unbuilt::SALLOC, &typed);
        given.into_iter().for_each(|long| eprintln!("salloc: warning: {}", unbuilt::warning(long)));
    }
    Ok(options)
}

/// Waits for the nodes, and says so where it takes its time.
async fn wait(hold: &mut Hold, options: &Options) -> io::Result<Result<Granted, Ungranted>> {
    let (mut interrupt, mut term) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let stop = async {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = term.recv() => {}
            () = tokio::time::sleep(Duration::from_secs(options.immediate.unwrap_or(0))), if options.immediate.is_some() => {}
        }
    };
    let mut queued = false;
    let tell = |job: u32| {
        queued = true;
        say(options, &format!("Pending job allocation {job}"));
        say(options, &format!("job {job} queued and waiting for resources"));
    };
    let granted = hold.granted(tell, stop).await;
    if let (true, Ok(granted)) = (queued, &granted) {
        say(options, &format!("job {} has been allocated resources", granted.job_id));
    }
    Ok(granted)
}

async fn not_granted(hold: Hold, ungranted: Ungranted, options: &Options) -> Failure {
    match ungranted {
        Ungranted::Failed(error) => Failure::call("salloc", REFUSED, &error),
        Ungranted::Ended(Some(job), _) => Failure::new(format_args!("salloc: Job allocation {job} has been revoked.")),
        Ungranted::Ended(None, why) => Failure::new(format_args!("{REFUSED}{why}")),
        Ungranted::Stopped(job) => {
            hold.cancel().await;
            let busy = Failure::new("salloc: error: Unable to allocate resources: Requested nodes are busy");
            match job.filter(|_| options.immediate.is_none()) {
                Some(job) => Failure::new(format_args!("salloc: Job allocation {job} has been revoked.")),
                None => busy,
            }
        }
    }
}

/// Runs the command to its end; Ctrl-C is its business, and TERM and HUP are passed on to it.
async fn attend(hold: &mut Hold, mut command: Command, job: u32, options: &Options) -> io::Result<u8> {
    let mut passed_on = [signal(SignalKind::terminate())?, signal(SignalKind::hangup())?];
    // Taken, and not obeyed: whoever sits at the terminal means the command.
    let (_interrupt, _quit) = (signal(SignalKind::interrupt())?, signal(SignalKind::quit())?);
    let child = command.spawn()?;
    let pid = Pid::from_child(&child);
    let mut left = in_thread(child);
    let [term, hangup] = &mut passed_on;
    let mut revoked = false;
    loop {
        let sent = tokio::select! {
            status = &mut left => return Ok(exit_code(status.map_err(io::Error::other)??)),
            _ = term.recv() => Some(Signal::TERM),
            _ = hangup.recv() => Some(Signal::HUP),
            news = hold.next(), if !revoked => {
                revoked = matches!(news, News::Ended(_) | News::Failed(_));
                if revoked {
                    say(options, &format!("Job allocation {job} has been revoked."));
                }
                options.kill_command.as_ref().filter(|_| revoked).and_then(|kill| Signal::from_named_raw(kill.signal))
            }
        };
        // Gone is as good as signalled.
        sent.map(|signal| kill_process(pid, signal).ok());
    }
}

fn in_thread(mut child: Child) -> oneshot::Receiver<io::Result<ExitStatus>> {
    let (tell, left) = oneshot::channel();
    std::thread::spawn(move || tell.send(child.wait()));
    left
}

fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}

fn shell() -> OsString {
    std::env::var_os("SHELL").filter(|shell| !shell.is_empty()).unwrap_or_else(|| "/bin/sh".into())
}

/// What the command is told of its job.
fn variables(granted: &Granted, spec: &v1::JobSpec, submitter: &Submitter) -> Vec<(&'static str, String)> {
    let shares = &granted.shares;
    let nodes = hostlist::compress(shares.iter().map(|share| share.node.as_str()));
    let (id, count) = (granted.job_id.to_string(), shares.len().to_string());
    let mut all = vec![
        ("SLURM_JOB_ID", id.clone()),
        ("SLURM_JOBID", id),
        ("SLURM_JOB_NAME", spec.name.clone()),
        ("SLURM_JOB_NODELIST", nodes.clone()),
        ("SLURM_NODELIST", nodes),
        ("SLURM_JOB_NUM_NODES", count.clone()),
        ("SLURM_NNODES", count),
        ("SLURM_JOB_PARTITION", granted.partition.clone()),
        ("SLURM_JOB_CPUS_PER_NODE", runs(shares, |share| Cpus::from_milli(share.cpus_milli).count())),
        ("SLURM_TASKS_PER_NODE", runs(shares, |share| share.processes)),
        ("SLURM_SUBMIT_DIR", submitter.absolute("")),
        ("SLURM_SUBMIT_HOST", submitter.host.clone()),
    ];
    let request = spec.request.clone().unwrap_or_default();
    if request.processes.is_some() || request.processes_per_node.is_some() {
        let processes = shares.iter().map(|share| share.processes).sum::<u32>().to_string();
        all.extend([("SLURM_NTASKS", processes.clone()), ("SLURM_NPROCS", processes)]);
    }
    all.extend(request.cpus_per_process.map(|cpus| ("SLURM_CPUS_PER_TASK", cpus.to_string())));
    all.extend(request.processes_per_node.map(|each| ("SLURM_NTASKS_PER_NODE", each.to_string())));
    all
}

/// Slurm's short form of equal numbers on neighbouring nodes: `2(x3),1`.
fn runs(shares: &[Share], number: impl Fn(&Share) -> u32) -> String {
    let mut text = String::new();
    for run in shares.chunk_by(|a, b| number(a) == number(b)) {
        let comma = if text.is_empty() { "" } else { "," };
        let times = if run.len() > 1 { format!("(x{})", run.len()) } else { String::new() };
        // Writing to a string cannot fail.
        let _ok = write!(text, "{comma}{}{times}", number(&run[0]));
    }
    text
}

fn say(options: &Options, text: &str) {
    if !options.quiet {
        eprintln!("salloc: {text}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_told_of_its_job() {
        let share = |node: &str, cpus_milli| Share { node: node.into(), processes: 2, cpus_milli, ..Share::default() };
        let shares = vec![share("n1", 2_000), share("n2", 2_000), share("n3", 1_000)];
        let granted = Granted { job_id: 7, shares, partition: "debug".into() };
        let request = v1::Request { processes: Some(6), ..v1::Request::default() };
        let spec = v1::JobSpec { request: Some(request), name: "bash".into(), ..v1::JobSpec::default() };
        let all = variables(&granted, &spec, &Submitter::ada());
        let value = |name| all.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str());
        assert_eq!((value("SLURM_JOB_ID"), value("SLURM_NTASKS")), (Some("7"), Some("6")));
        assert_eq!((value("SLURM_JOB_CPUS_PER_NODE"), value("SLURM_TASKS_PER_NODE")), (Some("2(x2),1"), Some("2(x3)")));
        assert_eq!((value("SLURM_NODELIST"), value("SLURM_CPUS_PER_TASK")), (Some("n[1-3]"), None));
    }

    #[test]
    fn options_are_those_of_salloc() {
        let words = |words: &[&str]| words.iter().map(OsString::from).collect::<Vec<_>>();
        let options = read(&words(&["-N", "2", "-K", "-I", "make", "-j"])).expect("understood");
        assert_eq!((options.words.len(), options.immediate), (2, Some(1)));
        assert_eq!(options.kill_command.map(|kill| kill.signal), Some(15));
        assert!(read(&words(&["--no-shell"])).expect_err("not built").text().contains("--no-shell"));
    }
}
