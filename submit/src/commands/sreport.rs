//! `sreport`: what was used of the cluster in a span of time, from the history of jobs.
//!
//! The figures are added up when they are asked for, and not by the hour. What nodes did is not kept: so the time that there was is that
//! of the CPUs that there are now, and how long nodes were down is not told. The words are read in `sreport/words`, the reports
//! made in `sreport/reports`.

mod reports;
#[cfg(test)]
mod tests;
mod words;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use clap::{Args, FromArgMatches};
use proto::v1::ListNodesRequest;

use super::sshare::check_cluster;
use crate::call::{block_on, client, connect};
use crate::failure::{Failure, Outcome, ended, print};
use crate::fields::{Style, StyleOptions};
use crate::getopt;
use crate::past::{cluster, fold};
use crate::show::items;
use reports::{Figures, Tres};
use words::{TimeFormat, Words};

const ABOUT: &str = "Report what was used of the cluster in a span of time

Reports: cluster Utilization, cluster AccountUtilizationByUser, cluster UserUtilizationByAccount, job SizesByAccount, \
user TopUsage. Conditions: start=TIME end=TIME [yesterday] accounts= users= clusters= partitions= format= grouping= \
topcount=, flatview, printjobcount, group, tree. All of them in any case, and cut short where they stay clear.";

const EXAMPLES: &str = "\
Examples:
  sreport cluster utilization start=2027-01-01 end=2027-02-01 -t hours
  sreport user top start=now-7days end=now
  sreport job sizesbyaccount grouping=8,64 flatview";

#[derive(Args, Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of its own on the command line")]
struct Options {
    /// A report and its conditions
    #[arg(value_name = "WORDS", num_args = 0..)]
    words: Vec<String>,
    /// Seconds, Minutes, Hours, Percent, SecPer, MinPer or HourPer [default: Minutes]
    #[arg(short = 't', value_name = "FORMAT")]
    time_format: Option<String>,
    /// Resources: cpu, mem, node, billing or ALL [default: cpu]
    #[arg(short = 'T', long, value_name = "LIST")]
    tres: Option<String>,
    /// Of all clusters: there is one
    #[arg(short, long = "all_clusters")]
    all_clusters: bool,
    /// Of these clusters, or all
    #[arg(short = 'M', long, value_name = "NAMES", alias = "cluster")]
    clusters: Option<String>,
    /// Of the federation: there is none, so that it is this cluster
    #[arg(long)]
    federation: bool,
    /// Of this cluster, which is the default
    #[arg(long)]
    local: bool,
    #[command(flatten)]
    style: StyleOptions,
    /// Only errors
    #[arg(short = 'Q', long)]
    quiet: bool,
    /// No effect
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Seconds to look for the controller (a Covey option)
    #[arg(long, value_name = "SECONDS")]
    connect_timeout: Option<u32>,
}

/// Its options.
pub(crate) fn command() -> clap::Command {
    let command = Options::augment_args(clap::Command::new("sreport")).about("Report what was used of the cluster");
    getopt::conventions(command.long_about(ABOUT).after_help(EXAMPLES), Some('h'))
}

/// What the options ask for, checked.
struct Asked {
    words: Words,
    time: TimeFormat,
    tres: Vec<Tres>,
    /// Resources were named, so that their names are shown.
    tres_named: bool,
    style: Style,
    heading: bool,
}

impl Asked {
    fn of(options: &Options, now: &jiff::Zoned) -> Outcome<Asked> {
        let variable = std::env::var("SREPORT_TRES").ok();
        let list = options.tres.clone().or(variable);
        let named = items(list.as_deref().unwrap_or_default());
        let tres = Tres::read(&named).ok_or_else(|| {
            Failure::new("sreport: fatal: No valid TRES given").hint(Some("cpu, mem, node and billing are counted"))
        })?;
        Ok(Asked {
            words: Words::read(&options.words, now)?,
            time: TimeFormat::read(options.time_format.as_deref())?,
            tres,
            tres_named: !named.is_empty(),
            style: options.style.style(None),
            heading: !options.style.noheader,
        })
    }
}

/// Runs the command.
pub(crate) fn run(args: &[OsString]) -> ExitCode {
    ended(report(args))
}

fn report(args: &[OsString]) -> Outcome<ExitCode> {
    let options =
        Options::from_arg_matches(&getopt::read(&mut command(), args)?).expect("the matches are of these options");
    match options.words.first().map(String::as_str) {
        Some("version") => return print(format_args!("slurm {}\n", getopt::SLURM_VERSION)),
        Some("help") => return print(command().render_long_help()),
        _ => {}
    }
    let asked = Asked::of(&options, &jiff::Zoned::now())?;
    block_on(async {
        let refused = |error| Failure::call("sreport", "sreport: error: ", &error);
        let channel = connect(options.connect_timeout).await.map_err(refused)?;
        let name = cluster(&channel).await.map_err(refused)?.name;
        let clusters = asked.words.clusters.join(",");
        check_cluster("sreport", options.clusters.as_deref().or(Some(&clusters)), &name)?;
        let nodes = client(&channel).list_nodes(ListNodesRequest {}).await.map_err(|status| refused(status.into()))?;
        let mut figures = Figures::new(name, &nodes.into_inner().nodes, &asked.words);
        fold(&channel, asked.words.span, |row, now_ms| figures.enter(row, now_ms)).await.map_err(refused)?;
        let mut out = std::io::BufWriter::new(std::io::stdout().lock());
        for line in figures.lines(&asked)? {
            writeln!(out, "{line}")?;
        }
        out.flush()?;
        Ok(ExitCode::SUCCESS)
    })
}
