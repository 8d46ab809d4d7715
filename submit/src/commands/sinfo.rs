//! `sinfo`: lists partitions and their nodes, those that would look the same on one line.
//!
//! The columns are in `sinfo/columns`, what shares a line is decided in `sinfo/group`. Start at [`run`].

mod columns;
mod group;
pub(crate) mod state;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, FromArgMatches};
use proto::v1::{ListNodesReply, ListNodesRequest, NodeRow};

use crate::call::{CallError, block_on, client, connect};
use crate::failure::{Failure, Outcome, ended};
use crate::getopt;
use crate::show::{date_line, items};
use crate::table::Format;
use columns::COLUMNS;
use group::{Line, Listing, lines};

/// What a refused listing starts with; Slurm prints it without the command's name.
const REFUSED: &str = "slurm_load_partitions: ";

const DEFAULT: &str = "%#P %.5a %.10l %.6D %.6t %N";
const SUMMARY: &str = "%#P %.5a %.10l %.16F  %N";
const LONG: &str = "%#P %.5a %.10l %.10s %.4r %.8h %.10g %.6D %.11T %.11i %N";
const BY_NODE: &str = "%#N %.6D %#P %6t";
const BY_NODE_LONG: &str = "%#N %.6D %#P %.11T %.4c %.8z %.6m %.8d %.6w %.8f %20E";
const REASONS: &str = "%20E %9u %19H %N";
const REASONS_LONG: &str = "%20E %12U %19H %6t %N";

const EXAMPLES: &str = "\
Examples:
  sinfo                                  partitions, and their nodes by state
  sinfo -N -l                            one line for every node
  sinfo -s                               one line for every partition
  sinfo -h -t idle -o '%N %c %m'         idle nodes for a script";

#[derive(Args, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of its own on the command line")]
struct Options {
    /// One line for every node
    #[arg(short = 'N', long = "Node")]
    node: bool,
    /// More columns
    #[arg(short, long)]
    long: bool,
    /// One line for every partition
    #[arg(short, long)]
    summarize: bool,
    /// Only nodes that are drained, down or failing, with the reason, who gave it and when
    #[arg(short = 'R', long)]
    list_reasons: bool,
    /// No line above the rows
    #[arg(short = 'h', long)]
    noheader: bool,
    /// Only these partitions
    #[arg(short, long, value_name = "LIST")]
    partition: Option<String>,
    /// Only these nodes
    #[arg(short, long, value_name = "NODES")]
    nodes: Option<String>,
    /// Only nodes in these states
    #[arg(short = 't', long, value_name = "STATES")]
    states: Option<String>,
    /// Only nodes that respond
    #[arg(short, long)]
    responding: bool,
    /// Only nodes that do not respond
    #[arg(short, long)]
    dead: bool,
    /// Columns, as in '%P %D %N'
    #[arg(short = 'o', long, value_name = "FORMAT")]
    format: Option<String>,
    /// Also hidden partitions
    #[arg(short, long)]
    all: bool,
    /// Nodes on one line are the same in every column
    #[arg(short, long)]
    exact: bool,
    /// Again, every so many seconds
    #[arg(short, long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    iterate: Option<u32>,
    /// Seconds to look for the controller (a Covey option)
    #[arg(long, value_name = "SECONDS")]
    connect_timeout: Option<u32>,
}

/// Runs the command.
pub(crate) fn run(args: &[OsString]) -> ExitCode {
    ended(list(args))
}

/// Its options.
pub(crate) fn command() -> clap::Command {
    let command = Options::augment_args(clap::Command::new("sinfo").about("List partitions and nodes"));
    getopt::conventions(command.after_help(EXAMPLES), None)
}

fn list(args: &[OsString]) -> Outcome<ExitCode> {
    let options =
        Options::from_arg_matches(&getopt::read(&mut command(), args)?).expect("the matches are of these options");
    let mut format = format(&options)?;
    let choice = Choice::read(&options)?;
    block_on(async {
        let refused = |error| Failure::call("sinfo", REFUSED, &error);
        let channel = connect(options.connect_timeout).await.map_err(refused)?;
        loop {
            let reply =
                client(&channel).list_nodes(ListNodesRequest {}).await.map_err(|e| refused(CallError::from(e)))?;
            let reply = reply.into_inner();
            let dated = (options.long || options.iterate.is_some()) && !options.noheader;
            let date = dated.then(|| date_line(reply.now_ms));
            let listing = choice.applied(reply);
            let lines = lines(&listing, &format, options.node, options.exact);
            format.fit(&lines);
            write_table(&format, date, !options.noheader, &lines)?;
            let Some(seconds) = options.iterate else { return Ok(ExitCode::SUCCESS) };
            tokio::time::sleep(Duration::from_secs(seconds.into())).await;
        }
    })
}

fn format(options: &Options) -> Outcome<Format<Line>> {
    let default = match (options.list_reasons, options.summarize, options.node, options.long) {
        (true, .., false) => REASONS,
        (true, .., true) => REASONS_LONG,
        (_, true, ..) => SUMMARY,
        (.., true, false) => BY_NODE,
        (.., true, true) => BY_NODE_LONG,
        (.., false, true) => LONG,
        (.., false, false) => DEFAULT,
    };
    let plain = default == DEFAULT;
    let variable = || std::env::var("SINFO_FORMAT").ok().filter(|format| plain && !format.is_empty());
    let text = options.format.clone().or_else(variable).unwrap_or_else(|| default.to_owned());
    Format::parse(&text, COLUMNS)
        .map_err(|letter| Failure::new(format_args!("sinfo: error: Invalid node format specification: {letter}")))
}

/// Which partitions and nodes to show.
struct Choice {
    partitions: Vec<String>,
    nodes: Vec<String>,
    states: Vec<String>,
    responds: Option<bool>,
    /// Only what is kept from work.
    out: bool,
    /// Hidden partitions, too.
    all: bool,
}

impl Choice {
    fn read(options: &Options) -> Outcome<Choice> {
        let partitions = options.partition.clone().or_else(|| std::env::var("SINFO_PARTITION").ok());
        let nodes = options.nodes.as_deref().unwrap_or_default();
        let nodes = sched::spec::hostlist::expand(nodes)
            .map_err(|error| Failure::new(format_args!("sinfo: error: Invalid node name {nodes}")).hint(Some(error)))?;
        let states = items(&options.states.as_deref().unwrap_or_default().to_ascii_lowercase());
        if let Some(bad) = states.iter().find(|state| !state::is_known(state)) {
            return Err(Failure::new(format_args!("sinfo: error: Bad state string: \"{bad}\"")).line(
                "sinfo: error: Valid node states are: alloc, comp, down, drain, fail, idle, mix, and the others that Slurm documents",
            ));
        }
        let responds = match (options.responding, options.dead) {
            (true, false) => Some(true),
            (false, true) => Some(false),
            _ => None,
        };
        let out = options.list_reasons && states.is_empty();
        let all = options.all || std::env::var_os("SINFO_ALL").is_some();
        Ok(Choice { partitions: items(&partitions.unwrap_or_default()), nodes, states, responds, out, all })
    }

    fn applied(&self, reply: ListNodesReply) -> Listing {
        let one_of = |wanted: &[String], name: &String| wanted.is_empty() || wanted.contains(name);
        let mut partitions = reply.partitions;
        let unnamed = self.partitions.is_empty();
        partitions.retain(|partition| one_of(&self.partitions, &partition.name));
        partitions.retain(|partition| self.all || !unnamed || !partition.hidden);
        let mut nodes = reply.nodes;
        nodes.retain(|node| one_of(&self.nodes, &node.name) && self.has_state(node));
        let filtered = !self.nodes.is_empty() || !self.states.is_empty() || self.responds.is_some() || self.out;
        Listing { partitions, nodes, filtered }
    }

    fn has_state(&self, node: &NodeRow) -> bool {
        (self.states.is_empty() || self.states.iter().any(|word| state::is_meant(word, node)))
            && (!self.out || state::is_out(node))
            && self.responds.is_none_or(|responds| responds == node.responds)
    }
}

fn write_table(format: &Format<Line>, date: Option<String>, header: bool, lines: &[Line]) -> Outcome<()> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let header = header.then(|| format.header());
    for line in date.into_iter().chain(header).chain(lines.iter().map(|line| format.row(line))) {
        writeln!(out, "{line}")?;
    }
    Ok(out.flush()?)
}
