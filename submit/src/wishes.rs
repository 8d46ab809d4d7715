//! The options that say on which nodes a job runs and what else it holds there, for `sbatch` and `covey map` alike.
//!
//! Each is read here at the door and stays as typed; the controller says whether there are such nodes. Start at [`Wishes`].

use std::fs;

use clap::Args;
use proto::v1;
use sched::resources::Cpus;
use sched::spec::constraint::Constraint;
use sched::spec::gres::{GresAsk, GresError, Per};
use sched::spec::hostlist;
use sched::spec::job::NODES_NAMED_MAX;
use sched::spec::licenses::{LicenseAsk, LicenseError};

use crate::shape::count;

/// The largest file that names nodes, in bytes.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Where a job is to run, and what it is to hold beside CPUs and memory.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Wishes {
    /// At most so many processes on a node; without --ntasks, so many on each
    #[arg(long, alias = "tasks-per-node", value_name = "N", value_parser = count)]
    pub(crate) ntasks_per_node: Option<u32>,
    /// A share of a CPU for each process, such as 0.15, instead of whole ones (a Covey option)
    #[arg(long, value_name = "C")]
    pub(crate) cpus: Option<Cpus>,
    /// Whole nodes: nothing else runs beside the job (=user and =mcs mean the same)
    #[arg(long, value_name = "user|mcs", num_args = 0..=1, require_equals = true, default_missing_value = "",
          value_parser = ["", "user", "mcs"], hide_possible_values = true)]
    pub(crate) exclusive: Option<String>,
    /// At least these nodes, such as n[1-3],n7, or a file of them if there is a / in it
    #[arg(short = 'w', long, value_name = "LIST", value_parser = hosts)]
    pub(crate) nodelist: Option<String>,
    /// At least the nodes named in this file
    #[arg(short = 'F', long, value_name = "FILE", value_parser = hosts_in, conflicts_with = "nodelist")]
    pub(crate) nodefile: Option<String>,
    /// None of these nodes
    #[arg(short = 'x', long, value_name = "LIST", value_parser = hosts)]
    pub(crate) exclude: Option<String>,
    /// Only nodes with these features: a&b, a|b, [a|b] for one of them on all nodes, a*2 for so many nodes
    #[arg(short = 'C', long, value_name = "FEATURES")]
    pub(crate) constraint: Option<Constraint>,
    /// On each node, NAME[:TYPE][:COUNT],... such as gpu:a100:2
    #[arg(long, value_name = "LIST", value_parser = per_node)]
    pub(crate) gres: Option<Asks>,
    /// GPUs on all nodes together, [TYPE:]COUNT
    #[arg(short = 'G', long, value_name = "COUNT", value_parser = gpus_in_all)]
    pub(crate) gpus: Option<Asks>,
    /// GPUs on each node, [TYPE:]COUNT
    #[arg(long, value_name = "COUNT", value_parser = gpus_per_node)]
    pub(crate) gpus_per_node: Option<Asks>,
    /// GPUs for each process, [TYPE:]COUNT
    #[arg(long, value_name = "COUNT", value_parser = gpus_per_task)]
    pub(crate) gpus_per_task: Option<Asks>,
    /// Licenses of the cluster that each task holds while it runs, NAME[:COUNT],...; of alternatives with | the first
    #[arg(short = 'L', long, value_name = "LIST", value_parser = licenses)]
    pub(crate) licenses: Option<Licenses>,
}

/// What one option asks for.
#[derive(Clone, Debug)]
pub(crate) struct Asks(Vec<GresAsk>);

/// What `--licenses` asks for.
#[derive(Clone, Debug)]
pub(crate) struct Licenses {
    asks: Vec<LicenseAsk>,
    /// Whether there were others to choose from.
    chosen: bool,
}

impl Wishes {
    /// What is taken and not done: one line for each.
    pub(crate) fn warnings(&self) -> impl Iterator<Item = &'static str> {
        let chosen = self.licenses.as_ref().is_some_and(|licenses| licenses.chosen);
        chosen.then_some("of alternatives in --licenses Covey takes the first").into_iter()
    }

    /// Puts the wishes into a request.
    pub(crate) fn fill(&self, request: &mut v1::Request) {
        let text = |list: &Option<String>| list.clone().unwrap_or_default();
        request.processes_per_node = self.ntasks_per_node;
        request.cpus_milli = self.cpus.map(Cpus::milli);
        request.exclusive = self.exclusive.is_some();
        request.nodes = text(if self.nodefile.is_some() { &self.nodefile } else { &self.nodelist });
        request.exclude = text(&self.exclude);
        request.constraint = self.constraint.as_ref().map(ToString::to_string).unwrap_or_default();
        let asks = [&self.gres, &self.gpus, &self.gpus_per_node, &self.gpus_per_task];
        request.gres = asks.into_iter().flatten().flat_map(|asks| asks.0.clone()).map(Into::into).collect();
        request.licenses = self.licenses.iter().flat_map(|licenses| licenses.asks.clone()).map(Into::into).collect();
    }
}

/// A hostlist, or the words of a file, in short form.
fn hosts(text: &str) -> Result<String, String> {
    let list = if text.contains('/') { &read_file(text)? } else { text };
    let hosts = hostlist::expand(list).map_err(|error| error.to_string())?;
    match hosts.len() {
        0 => Err(format!("'{text}' names no node")),
        count if count > NODES_NAMED_MAX => {
            Err(format!("'{text}' names {count} nodes; at most {NODES_NAMED_MAX} are allowed"))
        }
        _ => Ok(hostlist::compress_sorted(hosts)),
    }
}

/// The words of a file in the short form of a hostlist.
fn hosts_in(path: &str) -> Result<String, String> {
    hosts(&read_file(path)?.split_whitespace().collect::<Vec<_>>().join(","))
}

fn read_file(path: &str) -> Result<String, String> {
    let unreadable = |error: std::io::Error| format!("cannot read the nodes in {path}: {error}");
    let bytes = fs::metadata(path).map_err(unreadable)?.len();
    if bytes > FILE_BYTES_MAX {
        return Err(format!("{path} is {bytes} bytes long; a list of nodes has at most {FILE_BYTES_MAX}"));
    }
    fs::read_to_string(path).map_err(unreadable)
}

fn per_node(text: &str) -> Result<Asks, GresError> {
    GresAsk::list(text, Per::Node).map(Asks)
}

fn gpus_in_all(text: &str) -> Result<Asks, GresError> {
    GresAsk::gpus(text, Per::Task).map(Asks)
}

fn gpus_per_node(text: &str) -> Result<Asks, GresError> {
    GresAsk::gpus(text, Per::Node).map(Asks)
}

fn gpus_per_task(text: &str) -> Result<Asks, GresError> {
    GresAsk::gpus(text, Per::Process).map(Asks)
}

pub(crate) fn licenses(text: &str) -> Result<Licenses, LicenseError> {
    // Alternatives are not weighed: the first is taken.
    let (first, chosen) = text.split_once('|').map_or((text, false), |(first, _)| (first, true));
    Ok(Licenses { asks: LicenseAsk::list(first)?, chosen })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_nodes_come_from_words_and_from_files() {
        assert_eq!(hosts("n[1-2],m3").as_deref(), Ok("m3,n[1-2]"));
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("nodes");
        fs::write(&file, "n2\nn[3-4]\n").expect("written");
        assert_eq!(hosts(file.to_str().expect("UTF-8")).as_deref(), Ok("n[2-4]"));
        assert!(hosts("/nonexistent/nodes").expect_err("no file").starts_with("cannot read the nodes in /nonexistent"));
        assert!(hosts("n[1-").is_err() && hosts(",").is_err() && hosts("n[1-10001]").is_err());
    }

    #[test]
    fn all_wishes_reach_the_request() {
        let wishes = Wishes {
            gres: Some(per_node("fpga:2").expect("good")),
            gpus_per_task: Some(gpus_per_task("a100:1").expect("good")),
            licenses: Some(licenses("matlab:2").expect("good")),
            exclusive: Some(String::new()),
            cpus: Some("0.15".parse().expect("good")),
            ..Wishes::default()
        };
        let mut request = v1::Request::default();
        wishes.fill(&mut request);
        let asks: Vec<_> = request.gres.iter().map(|ask| (ask.name.as_str(), ask.kind.as_str(), ask.per())).collect();
        assert_eq!(asks, [("fpga", "", v1::Per::Node), ("gpu", "a100", v1::Per::Process)]);
        assert_eq!((request.exclusive, request.cpus_milli, request.licenses.len()), (true, Some(150), 1));
    }
}
