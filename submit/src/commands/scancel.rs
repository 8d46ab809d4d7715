//! `scancel`: ends jobs and tasks, by id or by filter.
//!
//! Who asks for ids that are unknown or have ended is left in peace, as Slurm does: only `-v` tells. Filters that are
//! not built are refused, because passing over one would end too much. Start at [`run`].

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{Args, FromArgMatches};
use proto::v1::{CancelRequest, Phase};
use sched::spec::array::JobRef;

use crate::call::{CallError, block_on, client, connect};
use crate::failure::{Failure, Outcome, ended};
use crate::getopt;
use crate::submitter::user_name;

/// Refusals that need not be told: what was to end has ended, or never was.
const QUIET_REFUSALS: [&str; 2] = ["Invalid job id specified", "Job/step already completing or completed"];

const EXAMPLES: &str = "\
Examples:
  scancel 12 13_4 14_[0-5]       a job, a task, some tasks
  scancel --me -t pending        what waits of mine
  scancel -u ada -n train        all jobs of a user with a name";

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
    /// Only what is PENDING, or RUNNING
    #[arg(short = 't', long, value_name = "STATE")]
    state: Option<String>,
    /// Say what is done
    #[arg(short, long)]
    verbose: bool,
    /// Do not speak of jobs that have ended
    #[arg(short = 'Q', long)]
    quiet: bool,
    /// The whole job with its batch script, which is what happens anyway
    #[arg(short, long)]
    full: bool,
    /// Through the controller, which is what happens anyway
    #[arg(long)]
    ctld: bool,
    /// Accepted for one cluster's sake
    #[arg(short = 'M', long, value_name = "NAMES", hide = true)]
    clusters: Option<String>,
    /// The signal; Covey knows KILL alone, which is a plain cancel
    #[arg(short, long, value_name = "SIGNAL", hide = true)]
    signal: Option<String>,
    #[arg(short = 'A', long, hide = true)]
    account: Option<String>,
    #[arg(short, long, hide = true)]
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

fn read(args: &[OsString]) -> Outcome<(Options, CancelRequest)> {
    let command = Options::augment_args(clap::Command::new("scancel").about("End jobs and tasks")).after_help(EXAMPLES);
    let matches = getopt::read(&mut getopt::conventions(command, None), args)?;
    let options = Options::from_arg_matches(&matches).expect("the matches are of these options");
    refuse_unbuilt(&options)?;
    let request = request(&options)?;
    Ok((options, request))
}

fn cancel(args: &[OsString]) -> Outcome<ExitCode> {
    let (options, request) = read(args)?;
    if options.verbose {
        request.ids.iter().for_each(|id| eprintln!("scancel: Terminating job {id}"));
    }
    let (ids, filtered) = (request.ids.clone(), is_filtered(&request));
    let reply = block_on(async {
        let channel = connect(options.connect_timeout).await?;
        Ok(client(&channel).cancel(request).await?.into_inner())
    });
    let reply = reply.map_err(|error: CallError| Failure::call("scancel", "scancel: error: ", &error))?;
    let mut failed = false;
    for (id, refusal) in ids.iter().zip(&reply.refusals).filter(|(_, refusal)| !refusal.is_empty()) {
        let (tell, fail) = weight(refusal, filtered, &options);
        if tell {
            eprintln!("scancel: error: Kill job error on job id {id}: {refusal}");
        }
        failed |= fail;
    }
    if failed { Err(Failure::silent(1)) } else { Ok(ExitCode::SUCCESS) }
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
        Some(other) => {
            let text = format!(
                "Invalid job state specified: {other}\nscancel: error: Valid job states are PENDING and RUNNING"
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
    };
    if request.ids.is_empty() && !is_filtered(&request) {
        return Err(refused("No job identification provided".into()));
    }
    Ok(request)
}

fn refuse_unbuilt(options: &Options) -> Outcome<()> {
    let is_kill = |signal: &String| matches!(signal.to_ascii_uppercase().as_str(), "KILL" | "SIGKILL" | "9");
    let unbuilt = [
        ("--signal", options.signal.as_ref().is_some_and(|signal| !is_kill(signal))),
        ("--account", options.account.is_some()),
        ("--batch", options.batch),
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
            (&["5", "--signal=USR1"], "scancel: error: --signal is not built in Covey yet; nothing was cancelled\n"),
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
