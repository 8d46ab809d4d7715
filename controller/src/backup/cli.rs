//! `covey restore` and `covey fsck`: arguments, what is printed, and exit codes.

use std::env;
use std::error::Error;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use jiff::Timestamp;
use serde_json::json;

use super::BackupError;
use super::fsck::{self, Findings, Verdict};
use super::restore::{Contents, restore};
use crate::error_chain::chain;

/// Numbers of jobs that are left out after a restore: more than jobs came between two backups.
const SKIP_JOBS: u32 = 10_000;

/// fsck found damage with which a controller goes on.
const USABLE: u8 = 1;
/// fsck found damage that a controller refuses.
const DAMAGED: u8 = 4;
/// fsck could not look.
const UNSEEN: u8 = 8;

/// Makes a cluster's journal of a backup, in a folder that holds none.
///
/// The backup is read and checked to its end before anything is written. Jobs and history are as they were at its moment; what ran
/// then and has ended since is learnt from the nodes. TLS keys and settings are not in a backup: put the folder tls and covey.toml of
/// the old cluster into the new folder, or nodes and users must be let in anew.
#[derive(Debug, Parser)]
#[command(
    name = "covey restore",
    version,
    after_help = "Examples:\n  covey restore monday.bak --dir /var/lib/covey\n  \
                  mv D D.old; mkdir D; cp -a D.old/tls D.old/covey.toml D; covey restore monday.bak --dir D; covey up --dir D"
)]
struct Restore {
    /// What covey backup wrote.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The cluster's folder: new, empty, or with nothing but tls and covey.toml.
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// Leaves out so many numbers of jobs, so that no job gets the number of one that was submitted after the backup.
    #[arg(long, value_name = "N", default_value_t = SKIP_JOBS)]
    skip_jobs: u32,
    /// For programs: one JSON object.
    #[arg(long)]
    json: bool,
}

/// Looks whether the journal of a stopped controller, or a backup, is whole. Nothing is changed: what is looked at is a copy.
///
/// It says what is damaged, up to which record everything can be followed, and what to do.
#[derive(Debug, Parser)]
#[command(
    name = "covey fsck",
    version,
    after_help = "Exit codes: 0 all is whole; 1 something is damaged, and a controller goes on with it; 4 a controller refuses it;\n\
                  8 it could not be looked at (in use, not there, of a newer version, no room for the copy); 2 wrong arguments.\n\n\
                  Examples:\n  covey fsck /var/lib/covey\n  covey fsck /var/lib/covey --save rest.bak && covey restore rest.bak --dir NEW\n  \
                  covey fsck monday.bak --json"
)]
struct Fsck {
    /// The cluster's folder, or a backup.
    #[arg(value_name = "DIR|FILE")]
    path: PathBuf,
    /// Puts what is whole into a backup, for covey restore.
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    /// Where the copy is made; it takes as much room as the journal [default: the system's folder for temporary files].
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
    /// For programs: one JSON object.
    #[arg(long)]
    json: bool,
}

/// The definition of `covey restore`.
pub(crate) fn restore_command() -> clap::Command {
    <Restore as clap::CommandFactory>::command()
}

/// The definition of `covey fsck`.
pub(crate) fn fsck_command() -> clap::Command {
    <Fsck as clap::CommandFactory>::command()
}

/// Runs `covey restore`.
#[must_use]
pub fn run_restore(arguments: Vec<OsString>) -> ExitCode {
    let arguments: Restore = parsed("covey restore", arguments);
    match restore(&arguments.file, &arguments.dir, arguments.skip_jobs) {
        Ok(contents) => {
            println!("{}", restored(&arguments, &contents));
            ExitCode::SUCCESS
        }
        Err(error) => failed("covey restore", &error, ExitCode::FAILURE),
    }
}

/// Runs `covey fsck`.
#[must_use]
pub fn run_fsck(arguments: Vec<OsString>) -> ExitCode {
    let Fsck { path, save, scratch, json } = parsed("covey fsck", arguments);
    let found = if path.is_file() {
        fsck::backup(&path)
    } else {
        fsck::journal(&path, &scratch.unwrap_or_else(env::temp_dir), save.as_deref())
    };
    match found {
        Ok(findings) => {
            println!("{}", if json { json!(findings).to_string() } else { told(&findings) });
            match findings.verdict {
                Verdict::Whole => ExitCode::SUCCESS,
                Verdict::Usable => USABLE.into(),
                Verdict::Damaged => DAMAGED.into(),
            }
        }
        Err(error) => failed("covey fsck", &error, UNSEEN.into()),
    }
}

fn parsed<T: Parser>(name: &str, arguments: Vec<OsString>) -> T {
    T::try_parse_from(std::iter::once(OsString::from(name)).chain(arguments)).unwrap_or_else(|error| error.exit())
}

fn failed(name: &str, error: &BackupError, code: ExitCode) -> ExitCode {
    eprintln!("{name}: error: {}", chain(error as &dyn Error));
    code
}

fn restored(arguments: &Restore, contents: &Contents) -> String {
    let Contents { head, counts, cluster, missing } = contents;
    let next_job = cluster.next_job().0;
    if arguments.json {
        return json!({
            "dir": arguments.dir, "cluster": head.cluster, "at_ms": head.at_ms, "sequence": head.sequence, "jobs": counts.jobs,
            "nodes": counts.nodes, "blobs": counts.blobs, "history_rows": counts.history_rows, "next_job": next_job,
            "jobs_without_blobs": missing.values().map(|job| job.0).collect::<Vec<_>>(),
        })
        .to_string();
    }
    let at = Timestamp::from_millisecond(head.at_ms).map(|at| format!("{at:.0}")).unwrap_or_default();
    let keys = if arguments.dir.join("tls").exists() {
        ""
    } else {
        "\nTLS keys are not in a backup: without the old folder tls, nodes and users of --listen must be let in anew"
    };
    let lacking = if missing.is_empty() {
        String::new()
    } else {
        let jobs: std::collections::BTreeSet<String> = missing.values().map(ToString::to_string).collect();
        let jobs = jobs.into_iter().collect::<Vec<_>>().join(",");
        format!("\nthe backup lacks scripts or environments, and these jobs cannot start: {jobs}")
    };
    format!(
        "{} jobs, {} nodes and {} rows of history as of {at} are in {}; the next job gets number {next_job}{keys}{lacking}",
        counts.jobs,
        counts.nodes,
        counts.history_rows,
        arguments.dir.display(),
    )
}

fn told(findings: &Findings) -> String {
    let Findings { path, whole_to, jobs, nodes, blobs, history_rows, .. } = findings;
    let verdict = match findings.verdict {
        Verdict::Whole => "whole",
        Verdict::Usable => "usable, with damage",
        Verdict::Damaged => "damaged",
    };
    let mut lines = vec![format!("{path}: {verdict}")];
    lines.push(format!(
        "  all before record {whole_to} can be followed: {jobs} jobs, {nodes} nodes, {blobs} blobs; {history_rows} rows of history"
    ));
    for checkpoint in &findings.checkpoints {
        let state = if checkpoint.whole { "whole" } else { "damaged" };
        lines.push(format!("  checkpoint at record {}: {state}", checkpoint.sequence));
    }
    lines.extend(findings.problems.iter().map(|problem| format!("  problem: {problem}")));
    if findings.problems_left_out > 0 {
        lines.push(format!("  and {} more problems", findings.problems_left_out));
    }
    lines.push(format!("  what to do: {}", findings.advice));
    lines.join("\n")
}
