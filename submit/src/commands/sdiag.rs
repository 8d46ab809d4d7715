//! `sdiag`: what the controller has done since its figures were last reset, in Slurm's layout, whose labels exporters look for.
//!
//! One pass of Covey does what Slurm's main and backfill schedulers do, so both parts show its figures. The calls are Covey's own,
//! in their alphabetical order by number. Start at [`text`].

#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::ffi::OsString;
use std::fmt::Write;
use std::process::ExitCode;

use clap::{Args, FromArgMatches};
use proto::v1::{CallCount, GetStatisticsReply, GetStatisticsRequest, Passes};

use crate::call::{CallError, block_on, client, connect};
use crate::failure::{Failure, Outcome, ended, print};
use crate::getopt;
use crate::json::{Form, Meta, statistics};
use crate::past::cluster;
use crate::show::date_line;

const EXAMPLES: &str = "\
Examples:
  sdiag                    all figures
  sdiag -t                 the calls that took the most time first
  sdiag --reset            start them anew
  sdiag --json             for a program

Times are microseconds. The figures of the scheduler also start anew at midnight UTC.";
/// How `Data since` shows a moment that never was.
const NEVER: &str = "N/A";

#[derive(Args, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of its own on the command line")]
struct Options {
    /// All figures (the default)
    #[arg(short, long)]
    all: bool,
    /// Start the figures anew
    #[arg(short, long)]
    reset: bool,
    /// Calls by their numbers, and users by theirs
    #[arg(short = 'i', long)]
    sort_by_id: bool,
    /// Calls that took the most time together first
    #[arg(short = 't', long)]
    sort_by_time: bool,
    /// Calls that took the most time each first
    #[arg(short = 'T', long)]
    sort_by_time2: bool,
    /// Write JSON of Slurm's data parser (v0.0.43); "list" prints the versions
    #[arg(long, value_name = "VERSION", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    json: Option<String>,
    /// The same as YAML
    #[arg(long, value_name = "VERSION", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    yaml: Option<String>,
    /// Accepted: there is one cluster
    #[arg(short = 'M', long, value_name = "NAME", hide = true)]
    cluster: Option<String>,
    /// Seconds to look for the controller (a Covey option)
    #[arg(long, value_name = "SECONDS")]
    connect_timeout: Option<u32>,
}

/// What comes first among the calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Count,
    Id,
    Total,
    Average,
}

/// Runs the command.
pub(crate) fn run(args: &[OsString]) -> ExitCode {
    ended(tell(args))
}

/// Its options.
pub(crate) fn command() -> clap::Command {
    let command =
        Options::augment_args(clap::Command::new("sdiag").about("What the controller has done, and how fast"));
    getopt::conventions(command.after_help(EXAMPLES), Some('h'))
}

fn tell(args: &[OsString]) -> Outcome<ExitCode> {
    let options =
        Options::from_arg_matches(&getopt::read(&mut command(), args)?).expect("the matches are of these options");
    let order = match options {
        Options { sort_by_id: true, .. } => Order::Id,
        Options { sort_by_time: true, .. } => Order::Total,
        Options { sort_by_time2: true, .. } => Order::Average,
        _ => Order::Count,
    };
    let form = Form::of("sdiag", options.json.as_deref(), options.yaml.as_deref())?;
    let answer = block_on(async {
        let channel = connect(options.connect_timeout).await?;
        let reply = client(&channel).get_statistics(GetStatisticsRequest { reset: options.reset }).await?.into_inner();
        // Only documents name the cluster.
        let about = if form.is_some() { cluster(&channel).await?.name } else { String::new() };
        Ok((reply, about))
    });
    let (reply, about) = answer.map_err(|error: CallError| Failure::call("sdiag", "slurm_get_statistics: ", &error))?;
    if let Some(form) = form {
        return form.print(&statistics::document(&reply, &Meta::here("sdiag", args, &about)));
    }
    print(if options.reset { "Reset scheduling statistics\n".to_owned() } else { text(&reply, order) })
}

/// The whole report.
fn text(reply: &GetStatisticsReply, order: Order) -> String {
    let line = "*".repeat(55);
    let mut text =
        format!("{line}\nsdiag output at {}\nData since      {}\n{line}\n", at(reply.now_ms), at(reply.since_ms));
    let mut add = |line: String| text += &(line + "\n");
    // Covey keeps no queue of calls for another try, and no records for a database.
    add(format!("Server thread count:  {}", reply.calls_open));
    add("Agent queue size:     0\nAgent count:          0\nAgent thread count:   0\nDBD Agent queue size: 0\n".into());
    add(format!("Jobs submitted: {}", reply.submitted));
    add(format!("Jobs started:   {}", reply.started));
    add(format!("Jobs completed: {}", reply.completed));
    add(format!("Jobs canceled:  {}", reply.cancelled));
    add(format!("Jobs failed:    {}\n", reply.failed));
    add(format!("Job states ts:  {}", at(reply.now_ms)));
    add(format!("Jobs pending:   {}", reply.pending));
    add(format!("Jobs running:   {}\n", reply.running));
    passes(&mut text, reply.passes.unwrap_or_default(), reply);
    calls(&mut text, reply, order);
    text
}

/// Both parts about scheduling.
fn passes(text: &mut String, passes: Passes, reply: &GetStatisticsReply) {
    let mean = |total: u64| total / passes.count.max(1);
    let minutes = u64::try_from((reply.now_ms - reply.since_ms) / 60_000).unwrap_or(0).max(1);
    let mut add = |line: String| *text += &(line + "\n");
    add("Main schedule statistics (microseconds):".into());
    add(format!("\tLast cycle:   {}", passes.last_us));
    add(format!("\tMax cycle:    {}", passes.max_us));
    add(format!("\tTotal cycles: {}", passes.count));
    if passes.count > 0 {
        add(format!("\tMean cycle:   {}", mean(passes.total_us)));
        add(format!("\tMean depth cycle:  {}", mean(passes.total_depth)));
    }
    add(format!("\tCycles per minute: {}", passes.count / minutes));
    add(format!("\tLast queue length: {}\n", passes.last_queue));
    add("Backfilling stats".into());
    add(format!("\tTotal backfilled jobs (since last slurm start): {}", passes.backfilled_ever));
    add(format!("\tTotal backfilled jobs (since last stats cycle start): {}", passes.backfilled));
    add("\tTotal backfilled heterogeneous job components: 0".into());
    add(format!("\tTotal cycles: {}", passes.count));
    add(format!("\tLast cycle when: {}", at(passes.last_ms)));
    add(format!("\tLast cycle: {}", passes.last_us));
    add(format!("\tMax cycle:  {}", passes.max_us));
    if passes.count > 0 {
        add(format!("\tMean cycle: {}", mean(passes.total_us)));
    }
    add(format!("\tLast depth cycle: {}", passes.last_depth));
    add(format!("\tLast depth cycle (try sched): {}", passes.last_depth));
    if passes.count > 0 {
        add(format!("\tDepth Mean: {}", mean(passes.total_depth)));
        add(format!("\tDepth Mean (try depth): {}", mean(passes.total_depth)));
    }
    add(format!("\tLast queue length: {}", passes.last_queue));
    if passes.count > 0 {
        add(format!("\tQueue length mean: {}", mean(passes.total_queue)));
    }
}

/// The parts about calls.
fn calls(text: &mut String, reply: &GetStatisticsReply, order: Order) {
    let mean = |call: &CallCount| call.total_us / call.count.max(1);
    let sorted = |calls: &[CallCount]| {
        let mut numbered: Vec<(u32, CallCount)> = (1..).zip(calls.iter().cloned()).collect();
        numbered.sort_by_key(|(number, call)| match order {
            Order::Id => (Reverse(0), *number),
            Order::Count => (Reverse(call.count), *number),
            Order::Total => (Reverse(call.total_us), *number),
            Order::Average => (Reverse(mean(call)), *number),
        });
        numbered
    };
    let figures = |call: &CallCount| {
        format!(" count:{:<6} ave_time:{:<6} total_time:{}\n", call.count, mean(call), call.total_us)
    };
    *text += "\nRemote Procedure Call statistics by message type\n";
    for (number, call) in sorted(&reply.by_method) {
        // Writing to a string does not fail.
        write!(text, "\t{:<40}({number:>5}){}", upper(&call.name), figures(&call)).ok();
    }
    *text += "\nRemote Procedure Call statistics by user\n";
    for (_, call) in sorted(&reply.by_user) {
        write!(text, "\t{:<16}({:>8}){}", call.name, call.uid, figures(&call)).ok();
    }
    *text += "\nPending RPC statistics\n\tNo pending RPCs\n";
}

/// `ListJobs` as Slurm writes its message types: `LIST_JOBS`.
fn upper(name: &str) -> String {
    let mut text = String::new();
    for (at, letter) in name.chars().enumerate() {
        if letter.is_ascii_uppercase() && at > 0 {
            text.push('_');
        }
        text.push(letter.to_ascii_uppercase());
    }
    text
}

/// `Fri Nov 20 13:38:00 2026 (1795203336)`.
fn at(ms: i64) -> String {
    if ms == 0 { NEVER.into() } else { format!("{} ({})", date_line(ms), ms / 1000) }
}
