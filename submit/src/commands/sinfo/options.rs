//! sinfo's options as typed, and what they mean together with the `SINFO_*` variables. Start at [`Asked`].

use clap::{Arg, Args};
use proto::v1::{ListNodesReply, NodeRow};

use super::columns::{ALL, COLUMNS};
use super::group::{Grouping, Line, Listing};
use super::state;
use crate::failure::{Failure, Outcome};
use crate::getopt;
use crate::json::Form;
use crate::show::items;
use crate::table::Format;

const DEFAULT: &str = "%#P %.5a %.10l %.6D %.6t %N";
const SUMMARY: &str = "%#P %.5a %.10l %.16F %N";
const LONG: &str = "%#P %.5a %.10l %.10s %.4r %.8h %.10g %.6D %.11T %.11i %N";
const BY_NODE: &str = "%#N %.6D %.#P %6t";
const BY_NODE_LONG: &str = "%#N %.6D %.#P %.11T %4c %.8z %.6m %.8d %.6w %.8f %20E";
const REASONS: &str = "%20E %9u %19H %N";
const REASONS_LONG: &str = "%20E %12U %19H %6t %N";

const EXAMPLES: &str = "\
Examples:
  sinfo                                  partitions, and their nodes by state
  sinfo -N -l                            one line for every node
  sinfo -s                               one line for every partition
  sinfo -R                               why nodes are out of service
  sinfo -t 'mix&~drain' -O NodeList:20,CPUsState
                                         nodes with something free, by names of columns
  sinfo -h -t idle -o '%N %c %m'         idle nodes for a script";

#[derive(Args, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of its own on the command line")]
pub(super) struct Options {
    /// Also hidden partitions
    #[arg(short, long, overrides_with = "hide")]
    all: bool,
    /// No hidden partitions, which is the default
    #[arg(long, overrides_with = "all")]
    hide: bool,
    /// Only this cluster, or all; its name stands above the table
    #[arg(short = 'M', long, value_name = "NAMES", alias = "cluster")]
    clusters: Option<String>,
    /// Only nodes that do not respond
    #[arg(short, long)]
    dead: bool,
    /// Nodes on one line are the same in every column
    #[arg(short, long)]
    exact: bool,
    /// Partitions of the federation: there is one cluster, and these are its partitions
    #[arg(long)]
    federation: bool,
    /// Partitions of this cluster alone, which is the default
    #[arg(long)]
    local: bool,
    /// Columns, as in '%P %D %N', or %all
    #[arg(short = 'o', long, value_name = "FORMAT")]
    format: Option<String>,
    /// Columns by their names, as in Partition:.12,NodeList,StateLong:|
    #[arg(short = 'O', long = "Format", value_name = "NAMES")]
    format_long: Option<String>,
    /// No line above the rows
    #[arg(short = 'h', long)]
    pub(super) noheader: bool,
    /// Again, every so many seconds, until interrupted
    #[arg(short, long, value_name = "SECONDS", allow_hyphen_values = true)]
    iterate: Option<String>,
    /// Nodes and partitions as JSON in the shape of Slurm's data parser; a version or list behind = may be given
    #[arg(long, value_name = "VERSION", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    json: Option<String>,
    /// The same as YAML
    #[arg(long, value_name = "VERSION", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    yaml: Option<String>,
    /// Only nodes that are drained, down or failing, with the reason, who gave it and when
    #[arg(short = 'R', long)]
    list_reasons: bool,
    /// More columns
    #[arg(short, long)]
    long: bool,
    /// Memory in megabytes, which it always is
    #[arg(long)]
    noconvert: bool,
    /// One line for every node
    #[arg(short = 'N', long = "Node")]
    node: bool,
    /// Only these nodes
    #[arg(short, long, value_name = "NODES")]
    nodes: Option<String>,
    /// Only these partitions
    #[arg(short, long, value_name = "LIST", alias = "partitions")]
    partition: Option<String>,
    /// Reservations instead of partitions: Covey has none yet, and says so
    #[arg(short = 'T', long)]
    pub(super) reservation: bool,
    /// Only nodes that respond
    #[arg(short, long)]
    responding: bool,
    /// Order of the lines: letters of columns, each perhaps with a -; #P is the order of the partitions
    #[arg(short = 'S', long, value_name = "KEYS")]
    sort: Option<String>,
    /// Only nodes in these states: a,b is any of them, a&b both, ~a not a
    #[arg(short = 't', long, value_name = "STATES")]
    states: Option<String>,
    /// One line for every partition
    #[arg(short, long)]
    summarize: bool,
    /// The date above the table
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Seconds to look for the controller (a Covey option)
    #[arg(long, value_name = "SECONDS")]
    pub(super) connect_timeout: Option<u32>,
}

pub(crate) fn command() -> clap::Command {
    let command = Options::augment_args(clap::Command::new("sinfo").about("List partitions and nodes"));
    // Slurm's does not look at words either.
    let words = Arg::new("words").num_args(0..).hide(true);
    getopt::conventions(command.arg(words).after_help(EXAMPLES), None)
}

/// A variable of the environment; nothing where it is empty.
pub(super) type Variables<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The options, understood.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) format: Format<Line>,
    /// A document instead of a table.
    pub(super) form: Option<Form>,
    pub(super) grouping: Grouping,
    /// Letters by which lines are sorted; `None` for Slurm's usual order.
    pub(super) keys: Option<String>,
    /// Seconds between two listings; `None` for one listing alone.
    pub(super) every_s: Option<u32>,
    pub(super) dated: bool,
    pub(super) clusters: Vec<String>,
    choice: Choice,
}

impl Asked {
    /// Reads the options.
    ///
    /// # Errors
    /// The first value that means nothing, in Slurm's text.
    pub(super) fn of(options: &Options, variable: Variables<'_>) -> Outcome<Asked> {
        let every_s = options.iterate.as_deref().map(seconds).transpose()?;
        Ok(Asked {
            format: format(options, variable),
            form: Form::of("sinfo", options.json.as_deref(), options.yaml.as_deref())?,
            grouping: Grouping { by_node: options.node, exact: options.exact, skip_empty: options.list_reasons },
            keys: options.sort.clone().or_else(|| variable("SINFO_SORT")),
            every_s,
            dated: (options.long || options.verbose > 0 || every_s.is_some()) && !options.noheader,
            clusters: items(&options.clusters.clone().or_else(|| variable("SLURM_CLUSTERS")).unwrap_or_default()),
            choice: Choice::read(options, variable)?,
        })
    }

    /// What is to be shown of all there is.
    pub(super) fn applied(&self, reply: ListNodesReply) -> Listing {
        self.choice.applied(reply)
    }
}

/// The columns that were asked for. What is said on the command line, `-l` and its like included, comes before the
/// variable, as in Slurm.
fn format(options: &Options, variable: Variables<'_>) -> Format<Line> {
    if let Some(names) = &options.format_long {
        let all = names.eq_ignore_ascii_case("all");
        let (format, unknown) = if all { Format::letters(ALL, COLUMNS) } else { Format::names(names, COLUMNS) };
        for name in unknown {
            eprintln!("sinfo: error: Invalid job format specification: {name}");
        }
        return format;
    }
    let usual = match (options.summarize, options.node, options.list_reasons, options.long) {
        (true, ..) => SUMMARY,
        (_, true, _, false) => BY_NODE,
        (_, true, _, true) => BY_NODE_LONG,
        (_, _, true, false) => REASONS,
        (_, _, true, true) => REASONS_LONG,
        (.., true) => LONG,
        (.., false) => DEFAULT,
    };
    let variable = || variable("SINFO_FORMAT").filter(|_| usual == DEFAULT);
    let text = options.format.clone().or_else(variable);
    let text = text.as_deref().unwrap_or(usual);
    let (format, unknown) = Format::letters(if text.eq_ignore_ascii_case("%all") { ALL } else { text }, COLUMNS);
    for code in unknown {
        // Without the command's name, as Slurm prints it, and as there the listing goes on.
        eprintln!("Invalid node format specification: {code}");
    }
    format
}

fn seconds(text: &str) -> Outcome<u32> {
    let seconds = text.parse().ok().filter(|seconds| *seconds > 0);
    seconds.ok_or_else(|| Failure::new(format_args!("sinfo: error: Error: invalid entry for --iterate={text}")))
}

/// Which partitions and nodes to show.
#[derive(Debug)]
struct Choice {
    partitions: Vec<String>,
    nodes: Vec<String>,
    states: state::Asked,
    responds: Option<bool>,
    /// Only what is kept from work.
    out: bool,
    /// Hidden partitions, too.
    all: bool,
}

impl Choice {
    fn read(options: &Options, variable: Variables<'_>) -> Outcome<Choice> {
        let partitions = options.partition.clone().or_else(|| variable("SINFO_PARTITION"));
        let nodes = options.nodes.as_deref().unwrap_or_default();
        let nodes = sched::spec::hostlist::expand(nodes)
            .map_err(|error| Failure::new(format_args!("sinfo: error: Invalid node name {nodes}")).hint(Some(error)))?;
        let states = state::Asked::read(options.states.as_deref().unwrap_or_default()).map_err(|bad| {
            let known: Vec<&str> = state::every_word().collect();
            Failure::new(format_args!("sinfo: error: Bad state string: \"{bad}\""))
                .line(format_args!("sinfo: error: valid states: {}", known.join(",")))
        })?;
        let responds = match (options.responding, options.dead) {
            (true, false) => Some(true),
            (false, true) => Some(false),
            _ => None,
        };
        let out = options.list_reasons && states.is_empty();
        let all = !options.hide && (options.all || variable("SINFO_ALL").is_some());
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
        Listing { partitions, nodes, cluster: reply.cluster }
    }

    fn has_state(&self, node: &NodeRow) -> bool {
        self.states.takes(node)
            && (!self.out || state::is_out(node))
            && self.responds.is_none_or(|responds| responds == node.responds)
    }
}
