//! `sacct`: what became of jobs, from their submit on and long after they are gone; what is in memory and what is history come
//! in one call.
//!
//! The fields are in `sacct/fields`, lines and widths in `crate::fields`, the time window in `sacct/window`. Start at [`run`].

mod data;
pub(crate) mod entry;
mod fields;
mod filter;
pub(super) mod options;
#[cfg(test)]
mod tests;
mod tres;
pub(crate) mod units;
pub(crate) mod window;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use clap::FromArgMatches;
use proto::v1::{GetClusterRequest, JobRow};

use crate::call::{CallError, Channel, block_on, client, connect};
use crate::failure::{Failure, Outcome, ended, print};
use crate::fields::overview;
use crate::getopt;
use crate::json::Form;
use crate::row::expanded;
use crate::show::items;
use entry::{Entry, Shown};
use options::{Asked, Options, command};

/// What a refused call starts with.
const REFUSED: &str = "sacct: error: ";

/// Runs the command.
pub(crate) fn run(args: &[OsString]) -> ExitCode {
    ended(account(args))
}

fn account(args: &[OsString]) -> Outcome<ExitCode> {
    let options =
        Options::from_arg_matches(&getopt::read(&mut command(), args)?).expect("the matches are of these options");
    if options.helpformat {
        return print(overview(fields::FIELDS, 4, 20));
    }
    let asked = Asked::of(&options, &jiff::Zoned::now())?;
    if options.file.is_some() {
        return Err(Failure::new(
            "sacct: error: there are no files of job completions: leave -f out, sacct has what became of all jobs",
        ));
    }
    if options.flags.is_some() {
        eprintln!("sacct: warning: -F is ignored: how jobs were started is not recorded");
    }
    if asked.verbose {
        eprintln!("{}", asked.window_text());
    }
    if options.batch_script || options.env_vars {
        return unkept(&options);
    }
    if let Some(form) = Form::of("sacct", options.json.as_deref(), options.yaml.as_deref())? {
        return block_on(data::show(form, &asked, options.connect_timeout, args));
    }
    block_on(async {
        let refused = |error| Failure::call("sacct", REFUSED, &error);
        let channel = connect(options.connect_timeout).await.map_err(refused)?;
        let cluster =
            if asked.needs_cluster() { cluster_name(&channel).await.map_err(refused)? } else { String::new() };
        asked.check_cluster(&cluster)?;
        let mut lines =
            if asked.nobody { Vec::new() } else { load(&channel, &asked, cluster).await.map_err(refused)? };
        lines.sort_by_key(|(key, _)| *key);
        let mut out = std::io::BufWriter::new(std::io::stdout().lock());
        for line in asked.heading().into_iter().chain(lines.into_iter().map(|(_, line)| line)) {
            writeln!(out, "{line}")?;
        }
        out.flush()?;
        Ok(ExitCode::SUCCESS)
    })
}

/// `--batch-script` and `--env-vars`: what Slurm prints where accounting keeps neither.
fn unkept(options: &Options) -> Outcome<ExitCode> {
    if options.jobs.is_empty() {
        return Err(Failure::new("sacct: error: This option requires a job list: give one with --jobs"));
    }
    let dashes = "-".repeat(80);
    for job in options.jobs.iter().flat_map(|list| items(list)) {
        let title = if options.batch_script { "Batch Script for" } else { "Environment used for" };
        let note = if options.batch_script { "" } else { " (must be batch to display)" };
        print(format_args!("{title} {job}{note}\n{dashes}\nNONE\n"))?;
    }
    eprintln!(
        "covey: hint: accounting keeps neither; while the job is known, scontrol write batch_script JOB has the script"
    );
    Ok(ExitCode::SUCCESS)
}

async fn cluster_name(channel: &Channel) -> Result<String, CallError> {
    Ok(client(channel).get_cluster(GetClusterRequest {}).await?.into_inner().name)
}

/// Where a line stands: by the number of the job, then by the index in it, the remainder of an array first.
type Place = (u32, u64);

/// The lines of all rows. Each row becomes its line at once, so that a long listing costs what it prints.
async fn load(channel: &Channel, asked: &Asked, cluster: String) -> Result<Vec<(Place, String)>, CallError> {
    let mut pages = client(channel).list_history(asked.request.clone()).await?.into_inner();
    let mut shown = Shown { cluster, ..asked.shown.clone() };
    let mut lines = Vec::new();
    while let Some(page) = pages.message().await? {
        shown.now_ms = shown.now_ms.max(page.now_ms);
        for row in page.rows {
            let rows = if asked.expand { expanded(row) } else { vec![row] };
            for row in &rows {
                add_lines(asked, &shown, row, &mut lines);
            }
        }
    }
    Ok(lines)
}

/// The line of a job or task, and those of its steps.
fn add_lines(asked: &Asked, shown: &Shown, row: &JobRow, lines: &mut Vec<(Place, String)>) {
    let job = if row.array_id == 0 { row.id } else { row.array_id };
    let place = (job, row.index.map_or(0, |index| u64::from(index) + 1));
    if !asked.filter.takes(row) {
        return;
    }
    let row = &asked.truncated(row);
    for entry in Entry::all(row, shown).filter(|entry| asked.steps.take(entry)) {
        lines.push((place, asked.table.line(|value| value(&entry))));
    }
}
