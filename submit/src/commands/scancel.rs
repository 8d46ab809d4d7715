//! `scancel`: ends jobs and tasks, by id or by filter.
//!
//! Who asks for ids that are unknown or have ended is left in peace, as Slurm does: only `-v` tells. Filters only narrow what is
//! named. `-i` asks before each job. Start at [`run`].

use std::ffi::OsString;
use std::io::{self, BufRead};
use std::process::ExitCode;

use clap::{Args, FromArgMatches};
use proto::v1::{CancelRequest, ControlScope, JobRow, JobState, ListJobsRequest, Phase, SignalRequest};
use sched::spec::array::JobRef;
use sched::spec::hostlist;
use sched::spec::signal::read_signal;

use super::squeue::load;
use crate::call::{CallError, Channel, block_on, client, connect};
use crate::failure::{Failure, Outcome, ended, print};
use crate::getopt;
use crate::users::user_name;

/// Refusals that need not be told: what was to end has ended, or never was.
const QUIET_REFUSALS: [&str; 2] = ["Invalid job id specified", "Job/step already completing or completed"];

/// The signal that is a plain cancel.
const KILL: i32 = 9;

const EXAMPLES: &str = "\
Examples:
  scancel 12 13_4 14_[0-5]       a job, a task, some tasks
  scancel --me -t pending        what waits of mine
  scancel -u ada -n train        all jobs of a user with a name
  scancel -b -s USR1 12          a signal to the batch script of a job that runs";

#[derive(Args, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of its own on the command line")]
struct Options {
    /// Only jobs with this name
    #[arg(short, long, value_name = "NAME", alias = "jobname")]
    name: Option<String>,
    /// Only jobs of this user
    #[arg(short, long, value_name = "USER")]
    user: Option<String>,
    /// Only my jobs
    #[arg(long)]
    me: bool,
    /// Only jobs of this partition
    #[arg(short, long, value_name = "PARTITION")]
    partition: Option<String>,
    /// Only what is PENDING, RUNNING (suspended or not), or SUSPENDED
    #[arg(short = 't', long, value_name = "STATE")]
    state: Option<String>,
    /// Say what is done
    #[arg(short, long)]
    verbose: bool,
    /// Do not speak of jobs that have ended
    #[arg(short = 'Q', long)]
    quiet: bool,
    /// With --signal: to the batch shell, its children and the steps; a plain cancel reaches all of them anyway
    #[arg(short, long)]
    full: bool,
    /// Through the controller, which is what happens anyway
    #[arg(long)]
    ctld: bool,
    /// Accepted for scripts' sake: there is one cluster
    #[arg(short = 'M', long, value_name = "NAMES")]
    clusters: Option<String>,
    /// Send a signal to the job's steps instead of ending it; with -b to the batch shell, with -f to all its processes; KILL ends it
    #[arg(short, long, value_name = "SIGNAL", value_parser = signal)]
    signal: Option<i32>,
    /// Only jobs of this account
    #[arg(short = 'A', long, value_name = "ACCOUNT")]
    account: Option<String>,
    /// With --signal: to the batch shell alone
    #[arg(short, long)]
    batch: bool,
    /// Accepted for scripts' sake: nothing is staged out that could be skipped
    #[arg(short = 'H', long)]
    hurry: bool,
    /// Ask before each job
    #[arg(short, long)]
    interactive: bool,
    /// Only what runs on one of these nodes, a hostlist
    #[arg(short = 'w', long, value_name = "LIST", value_parser = hosts)]
    nodelist: Option<String>,
    /// Only jobs of this quality of service
    #[arg(short, long, value_name = "QOS")]
    qos: Option<String>,
    /// Only jobs of this reservation
    #[arg(short = 'R', long, value_name = "NAME")]
    reservation: Option<String>,
    /// Only jobs with this key
    #[arg(long, value_name = "KEY")]
    wckey: Option<String>,
    /// Seconds to look for the controller (a Covey option)
    #[arg(long, value_name = "SECONDS")]
    connect_timeout: Option<u32>,
    /// Jobs and tasks: 12, 12_3, 12_[0-5]
    #[arg(value_name = "IDS")]
    ids: Vec<String>,
}

/// Runs the command.
pub(crate) fn run(args: &[OsString]) -> ExitCode {
    ended(cancel(args))
}

/// Its options.
pub(crate) fn command() -> clap::Command {
    let command = Options::augment_args(clap::Command::new("scancel").about("End jobs and tasks")).after_help(EXAMPLES);
    getopt::conventions(command, None)
}

fn read(args: &[OsString]) -> Outcome<(Options, CancelRequest)> {
    let matches = getopt::read(&mut command(), args)?;
    let options = Options::from_arg_matches(&matches).expect("the matches are of these options");
    let request = request(&options)?;
    Ok((options, request))
}

fn cancel(args: &[OsString]) -> Outcome<ExitCode> {
    let (options, mut request) = read(args)?;
    let lost = |error: CallError| Failure::call("scancel", "scancel: error: ", &error);
    let filtered = is_filtered(&request);
    let refusals: Vec<String> = block_on(async {
        let channel = connect(options.connect_timeout).await.map_err(lost)?;
        if options.interactive || (options.verbose && request.ids.is_empty()) {
            let rows = matching(&channel, &request).await.map_err(lost)?;
            if rows.is_empty() && options.verbose {
                eprintln!("scancel: error: No active jobs match ALL job filters, including: {}", filters(&request));
            }
            if options.interactive {
                request.ids = agreed(&rows)?;
            }
            if rows.is_empty() || (options.interactive && request.ids.is_empty()) {
                return Ok(Vec::new());
            }
        }
        announce(&options, &request);
        ask(&channel, &options, request.clone()).await.map_err(lost)
    })?;
    let mut failed = false;
    for (id, refusal) in request.ids.iter().zip(&refusals).filter(|(_, refusal)| !refusal.is_empty()) {
        let (tell, fail) = weight(refusal, filtered || is_step(id), &options);
        // What has ended is as unknown to a signal as what never was.
        let refusal = if sent(&options).is_some() && has_ended(refusal) { QUIET_REFUSALS[0] } else { refusal };
        if tell {
            let what = if is_step(id) { "job step id" } else { "job id" };
            eprintln!("scancel: error: Kill job error on {what} {id}: {refusal}");
        }
        failed |= fail;
    }
    if failed { Err(Failure::silent(1)) } else { Ok(ExitCode::SUCCESS) }
}

/// What `-v` says before anything is done.
fn announce(options: &Options, request: &CancelRequest) {
    for id in request.ids.iter().filter(|_| options.verbose) {
        match sent(options) {
            None => eprintln!("scancel: Terminating {} {id}", if is_step(id) { "step" } else { "job" }),
            Some(signal) if is_step(id) => eprintln!("scancel: Signal {signal} to step {id}"),
            Some(signal) if options.batch => eprintln!("scancel: Signal {signal} to batch job {id}"),
            Some(signal) => eprintln!("scancel: Signal {signal} to job {id}"),
        }
    }
}

/// Ends what is named, or sends the signal; a refusal for each id, empty where there is none.
async fn ask(channel: &Channel, options: &Options, request: CancelRequest) -> Result<Vec<String>, CallError> {
    match sent(options) {
        None => Ok(client(channel).cancel(request).await?.into_inner().refusals),
        Some(signal) => {
            let request = signal_request(options, request, signal);
            let verdicts = client(channel).signal(request).await?.into_inner().verdicts;
            Ok(verdicts.into_iter().map(|verdict| verdict.refusal).collect())
        }
    }
}

/// The rows of what is named and let pass by the filters, without what has ended.
async fn matching(channel: &Channel, request: &CancelRequest) -> Result<Vec<JobRow>, CallError> {
    let one = |text: &String| Some(text.clone()).filter(|text| !text.is_empty()).into_iter().collect::<Vec<_>>();
    let states: &[JobState] = match request.phase() {
        Phase::Unspecified => &[JobState::Pending, JobState::Running, JobState::Suspended],
        Phase::Pending => &[JobState::Pending],
        Phase::Running => &[JobState::Running, JobState::Suspended],
        Phase::Suspended => &[JobState::Suspended],
    };
    let listing = ListJobsRequest {
        ids: request.ids.clone(),
        users: one(&request.user),
        names: one(&request.name),
        partitions: one(&request.partition),
        accounts: one(&request.account),
        qos: one(&request.qos),
        reservations: one(&request.reservation),
        nodes: hostlist::expand(&request.nodes).unwrap_or_default(),
        states: states.iter().map(|state| (*state).into()).collect(),
        ..ListJobsRequest::default()
    };
    let (rows, ..) = load(channel, &listing).await?;
    let wckey = &request.wckey;
    Ok(rows.into_iter().filter(|row| wckey.is_empty() || row.wckey == *wckey).collect())
}

/// The jobs for which the person at the terminal says yes.
fn agreed(rows: &[JobRow]) -> Outcome<Vec<String>> {
    let mut ids = Vec::new();
    for row in rows {
        print(format_args!("Cancel job_id={} name={} partition={} [y/n]? ", label(row), row.name, row.partition))?;
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer)?;
        if answer.trim_start().starts_with(['y', 'Y']) {
            ids.push(label(row));
        }
    }
    Ok(ids)
}

/// How a row is named in a request.
fn label(row: &JobRow) -> String {
    match (row.array_id, row.index) {
        (0, _) => row.id.to_string(),
        (array, Some(index)) => format!("{array}_{index}"),
        (array, None) => format!("{array}_[{}]", row.remainder),
    }
}

fn signal_request(options: &Options, selection: CancelRequest, signal: i32) -> SignalRequest {
    let scope = match (options.batch, options.full) {
        (_, true) => ControlScope::Full,
        (true, false) => ControlScope::Batch,
        (false, false) => ControlScope::Steps,
    };
    SignalRequest { selection: Some(selection), signal: signal.unsigned_abs(), scope: scope.into() }
}

fn signal(text: &str) -> Result<i32, String> {
    read_signal(text)
        .ok_or_else(|| format!("'{text}' is no signal: write a name such as USR1, or a number from 1 to 31"))
}

/// The signal that is to be sent; none where the job is to end.
fn sent(options: &Options) -> Option<i32> {
    options.signal.filter(|signal| *signal != KILL)
}

/// Whether a refusal is told, and whether it makes the command fail. As in Slurm, a job that is not there is a failure for a
/// signal and none for a cancel, unless that is `strict`: with filters, or of a step.
fn weight(refusal: &str, strict: bool, options: &Options) -> (bool, bool) {
    let is_quiet = sent(options).is_none() && QUIET_REFUSALS.contains(&refusal);
    let fails = !is_quiet || (strict && !has_ended(refusal));
    ((fails || options.verbose) && !(options.quiet && has_ended(refusal)), fails)
}

fn has_ended(refusal: &str) -> bool {
    refusal == QUIET_REFUSALS[1]
}

fn is_filtered(request: &CancelRequest) -> bool {
    !filters(request).is_empty()
}

fn request(options: &Options) -> Outcome<CancelRequest> {
    let refused = |text: String| Failure::new(format!("scancel: error: {text}"));
    for id in &options.ids {
        let job = if is_step(id) { id.rsplit_once('.').map_or(id.as_str(), |(job, _)| job) } else { id };
        let read = job.parse::<JobRef>();
        read.map_err(|error| refused(format!("Invalid job id {id}")).hint(Some(error)))?;
    }
    let mine = || rustix::process::getuid().as_raw().to_string();
    let user = options.user.clone().or_else(|| options.me.then(mine));
    let user =
        user.map(|user| user_name(&user).ok_or_else(|| refused(format!("Invalid user name: {user}")))).transpose()?;
    let state = options.state.as_deref().unwrap_or_default();
    let phase = match state.to_ascii_uppercase().as_str() {
        "" => Phase::Unspecified,
        "PENDING" | "PD" => Phase::Pending,
        "RUNNING" | "R" => Phase::Running,
        "SUSPENDED" | "S" => Phase::Suspended,
        // Slurm prints these without its name.
        _ => {
            return Err(Failure::new(format_args!("Invalid job state specified: {state}"))
                .line("Valid job states are PENDING, RUNNING, and SUSPENDED"));
        }
    };
    let request = CancelRequest {
        ids: options.ids.clone(),
        user: user.unwrap_or_default(),
        name: options.name.clone().unwrap_or_default(),
        partition: options.partition.clone().unwrap_or_default(),
        phase: phase.into(),
        account: options.account.clone().unwrap_or_default(),
        qos: options.qos.clone().unwrap_or_default(),
        reservation: options.reservation.clone().unwrap_or_default(),
        wckey: options.wckey.clone().unwrap_or_default(),
        nodes: options.nodelist.clone().unwrap_or_default(),
    };
    if request.ids.is_empty() && !is_filtered(&request) {
        return Err(refused("No job identification provided".into()));
    }
    Ok(request)
}

/// Whether it names a step, which stands behind its job.
fn is_step(id: &str) -> bool {
    id.rsplit_once('.').is_some_and(|(_, step)| step == "batch" || step.parse::<u32>().is_ok())
}

/// The hostlist, once it has been read.
fn hosts(text: &str) -> Result<String, String> {
    hostlist::expand(text).map(|_| text.to_owned()).map_err(|error| error.to_string())
}

/// The filters that were given, as `-v` shows them where no job matches.
fn filters(request: &CancelRequest) -> String {
    let state = match request.phase() {
        Phase::Unspecified => "",
        Phase::Pending => "PENDING",
        Phase::Running => "RUNNING",
        Phase::Suspended => "SUSPENDED",
    };
    let all = [
        ("account", request.account.as_str()),
        ("job_name", &request.name),
        ("nodelist", &request.nodes),
        ("partition", &request.partition),
        ("qos", &request.qos),
        ("reservation", &request.reservation),
        ("state", state),
        ("user_name", &request.user),
        ("wckey", &request.wckey),
    ];
    let given = all.iter().filter(|(_, value)| !value.is_empty());
    given.map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Result<CancelRequest, String> {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        read(&words).map(|(_, request)| request).map_err(|failure| failure.text())
    }

    #[test]
    fn ids_and_filters_become_a_request() {
        let request = parsed(&["12", "-n", "x", "13_[0-5]", "-t", "pending", "-uroot"]).expect("all is well");
        assert_eq!(
            (request.ids.as_slice(), request.phase()),
            (["12".to_owned(), "13_[0-5]".to_owned()].as_slice(), Phase::Pending)
        );
        assert_eq!((request.name.as_str(), request.user.as_str()), ("x", "root"));
        assert!(parsed(&["--me"]).is_ok_and(|request| !request.user.is_empty()));
        assert!(parsed(&["5", "--signal", "KILL", "--clusters=all", "-H", "--ctld", "-f"]).is_ok());
        let request =
            parsed(&["-A", "chem", "-q", "high", "-R", "r", "--wckey=w", "-w", "n[1-2]"]).expect("all is well");
        assert_eq!(filters(&request), "account=chem nodelist=n[1-2] qos=high reservation=r wckey=w");
        for (words, text) in [
            (&[][..], "scancel: error: No job identification provided\n"),
            (&["-v"], "scancel: error: No job identification provided\n"),
            (&["abc"], "scancel: error: Invalid job id abc\n"),
            (
                &["5", "-t", "Done"],
                "Invalid job state specified: Done\nValid job states are PENDING, RUNNING, and SUSPENDED\n",
            ),
            (&["-w", "n[1-"], "scancel: error: Invalid --nodelist specification\n"),
        ] {
            let failure = parsed(words).expect_err(text);
            assert!(failure.starts_with(text), "{failure}");
        }
    }

    #[test]
    fn rows_are_named_as_requests_name_them() {
        let row = |array_id, index, remainder: &str| JobRow {
            id: 7,
            array_id,
            index,
            remainder: remainder.into(),
            ..JobRow::default()
        };
        assert_eq!(label(&row(0, None, "")), "7");
        assert_eq!((label(&row(5, Some(3), "")), label(&row(5, None, "4-9"))), ("5_3".into(), "5_[4-9]".into()));
    }

    #[test]
    fn an_unknown_id_is_silent_unless_somebody_wants_to_know() {
        let weighed = |words: &[&str], refusal: &str| {
            let words: Vec<OsString> = words.iter().map(OsString::from).collect();
            let (options, request) = read(&words).expect("all is well");
            weight(refusal, is_filtered(&request), &options)
        };
        let [unknown, done] = QUIET_REFUSALS;
        assert_eq!(weighed(&["5"], unknown), (false, false));
        assert_eq!(weighed(&["5", "-v"], unknown), (true, false));
        assert_eq!(weighed(&["5", "-n", "x"], unknown), (true, true));
        assert_eq!(weighed(&["5"], done), (false, false));
        assert_eq!(weighed(&["5", "-v", "-Q"], done), (false, false));
        assert_eq!(weighed(&["5"], "Access/permission denied"), (true, true));
    }
}
