//! `scancel`: ends jobs and tasks, by id or by filter.
//!
//! Who asks for ids that are unknown or have ended is left in peace, as Slurm does: only `-v` tells. Filters that are
//! not built are refused, because passing over one would end too much. Start at [`run`].

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Args, FromArgMatches};
use proto::v1::{CancelRequest, ControlScope, Phase, SignalRequest};
use sched::spec::array::JobRef;
use sched::spec::signal::read_signal;

use crate::call::{CallError, block_on, client, connect};
use crate::failure::{Failure, Outcome, ended};
use crate::getopt;
use crate::submitter::user_name;

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
    /// Accepted for one cluster's sake
    #[arg(short = 'M', long, value_name = "NAMES", hide = true)]
    clusters: Option<String>,
    /// Send a signal to the job's steps instead of ending it; with -b to the batch shell, with -f to all its processes; KILL ends it
    #[arg(short, long, value_name = "SIGNAL", value_parser = signal)]
    signal: Option<i32>,
    #[arg(short = 'A', long, hide = true)]
    account: Option<String>,
    /// With --signal: to the batch shell alone
    #[arg(short, long)]
    batch: bool,
    #[arg(long, hide = true)]
    hurry: bool,
    #[arg(short, long, hide = true)]
    interactive: bool,
    #[arg(short = 'w', long, hide = true)]
    nodelist: Option<String>,
    #[arg(short, long, hide = true)]
    qos: Option<String>,
    #[arg(short = 'R', long, hide = true)]
    reservation: Option<String>,
    #[arg(long, hide = true)]
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
    refuse_unbuilt(&options)?;
    let request = request(&options)?;
    Ok((options, request))
}

fn cancel(args: &[OsString]) -> Outcome<ExitCode> {
    let (options, request) = read(args)?;
    if options.verbose {
        request.ids.iter().for_each(|id| match options.signal.filter(|signal| *signal != KILL) {
            None => eprintln!("scancel: Terminating job {id}"),
            Some(signal) if options.batch => eprintln!("scancel: Signal {signal} to batch job {id}"),
            Some(signal) => eprintln!("scancel: Signal {signal} to job {id}"),
        });
    }
    let (ids, filtered) = (request.ids.clone(), is_filtered(&request));
    let refusals = block_on(async {
        let channel = connect(options.connect_timeout).await?;
        match options.signal.filter(|signal| *signal != KILL) {
            None => Ok(client(&channel).cancel(request).await?.into_inner().refusals),
            Some(signal) => {
                let request = signal_request(&options, request, signal);
                let verdicts = client(&channel).signal(request).await?.into_inner().verdicts;
                Ok(verdicts.into_iter().map(|verdict| verdict.refusal).collect())
            }
        }
    });
    let refusals: Vec<String> =
        refusals.map_err(|error: CallError| Failure::call("scancel", "scancel: error: ", &error))?;
    let mut failed = false;
    for (id, refusal) in ids.iter().zip(&refusals).filter(|(_, refusal)| !refusal.is_empty()) {
        let (tell, fail) = weight(refusal, filtered, &options);
        if tell {
            eprintln!("scancel: error: Kill job error on job id {id}: {refusal}");
        }
        failed |= fail;
    }
    if failed { Err(Failure::silent(1)) } else { Ok(ExitCode::SUCCESS) }
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

/// Whether a refusal is told, and whether it makes the command fail.
fn weight(refusal: &str, filtered: bool, options: &Options) -> (bool, bool) {
    let has_ended = refusal == QUIET_REFUSALS[1];
    let is_quiet = QUIET_REFUSALS.contains(&refusal);
    let fails = !is_quiet || (filtered && !has_ended);
    ((fails || options.verbose) && !(options.quiet && has_ended), fails)
}

fn is_filtered(request: &CancelRequest) -> bool {
    let filters = [&request.user, &request.name, &request.partition];
    filters.iter().any(|filter| !filter.is_empty()) || request.phase() != Phase::Unspecified
}

fn request(options: &Options) -> Outcome<CancelRequest> {
    let refused = |text: String| Failure::new(format!("scancel: error: {text}"));
    for id in &options.ids {
        let read = id.parse::<JobRef>();
        read.map_err(|error| refused(format!("Invalid job id {id}")).hint(Some(error)))?;
    }
    let mine = || rustix::process::getuid().as_raw().to_string();
    let user = options.user.clone().or_else(|| options.me.then(mine));
    let user =
        user.map(|user| user_name(&user).ok_or_else(|| refused(format!("Invalid user name: {user}")))).transpose()?;
    let phase = match options.state.as_deref().map(str::to_ascii_uppercase).as_deref() {
        None => Phase::Unspecified,
        Some("PENDING" | "PD") => Phase::Pending,
        Some("RUNNING" | "R") => Phase::Running,
        Some("SUSPENDED" | "S") => Phase::Suspended,
        Some(other) => {
            let text = format!(
                "Invalid job state specified: {other}\nscancel: error: Valid job states are PENDING, RUNNING and SUSPENDED"
            );
            return Err(refused(text));
        }
    };
    let request = CancelRequest {
        ids: options.ids.clone(),
        user: user.unwrap_or_default(),
        name: options.name.clone().unwrap_or_default(),
        partition: options.partition.clone().unwrap_or_default(),
        phase: phase.into(),
        ..CancelRequest::default()
    };
    if request.ids.is_empty() && !is_filtered(&request) {
        return Err(refused("No job identification provided".into()));
    }
    Ok(request)
}

fn refuse_unbuilt(options: &Options) -> Outcome<()> {
    let unbuilt = [
        ("--account", options.account.is_some()),
        ("--hurry", options.hurry),
        ("--interactive", options.interactive),
        ("--nodelist", options.nodelist.is_some()),
        ("--qos", options.qos.is_some()),
        ("--reservation", options.reservation.is_some()),
        ("--wckey", options.wckey.is_some()),
    ];
    match unbuilt.iter().find(|(_, given)| *given) {
        None => Ok(()),
        Some((option, _)) => {
            Err(Failure::new(format_args!("scancel: error: {option} is not built in Covey yet; nothing was cancelled")))
        }
    }
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
        assert!(parsed(&["5", "--signal", "KILL", "--clusters=all"]).is_ok());
        for (words, text) in [
            (&[][..], "scancel: error: No job identification provided\n"),
            (&["-v"], "scancel: error: No job identification provided\n"),
            (&["abc"], "scancel: error: Invalid job id abc\n"),
            (&["5", "-t", "DONE"], "scancel: error: Invalid job state specified: DONE\n"),
            (&["-q", "long"], "scancel: error: --qos is not built in Covey yet; nothing was cancelled\n"),
        ] {
            let failure = parsed(words).expect_err(text);
            assert!(failure.starts_with(text), "{failure}");
        }
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
