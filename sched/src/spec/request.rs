//! The shape of one task: how many processes, on what, and where. A part of a [`crate::spec::job::JobDraft`].
//!
//! What so many processes of it hold on a given node is computed in [`crate::measure`].

use serde::{Deserialize, Serialize};

use crate::ids::Name;
use crate::resources::Cpus;
use crate::spec::constraint::Constraint;
use crate::spec::gres::{GresAsk, Per};
use crate::spec::job::{COUNT_MAX, NODES_NAMED_MAX, SpecError, count, text};
use crate::spec::licenses::LicenseAsk;

/// The shape of one task: how many processes, CPUs and nodes, and how much memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// `--nodes`, the least.
    pub nodes_min: u32,
    /// `--nodes`, the most; `None` leaves it to the scheduler.
    pub nodes_max: Option<u32>,
    /// `--ntasks`; `None` means one for each node.
    pub processes: Option<u32>,
    /// `--cpus-per-task`; `None` means one, and then the job's environment does not speak of it.
    pub cpus_per_process: Option<u32>,
    /// `--mem` or `--mem-per-cpu`.
    pub memory: Memory,
    /// `--ntasks-per-node`: the most processes on a node; where `--ntasks` is not given, how many each node has.
    #[serde(default)]
    pub processes_per_node: Option<u32>,
    /// `--cpus`: the CPUs of one process in thousandths, instead of `--cpus-per-task`.
    #[serde(default)]
    pub cpus_milli: Option<u32>,
    /// `--exclusive`: nothing else runs on its nodes.
    #[serde(default)]
    pub exclusive: bool,
    /// `--nodelist`: it gets at least these nodes.
    #[serde(default)]
    pub nodes: Vec<Name>,
    /// `--exclude`: it gets none of these nodes.
    #[serde(default)]
    pub exclude: Vec<Name>,
    /// `--constraint`.
    #[serde(default)]
    pub constraint: Option<Constraint>,
    /// `--gres`, `--gpus` and their kin.
    #[serde(default)]
    pub gres: Vec<GresAsk>,
    /// `--licenses`: what each task holds while it runs.
    #[serde(default)]
    pub licenses: Vec<LicenseAsk>,
}

/// How much memory a task asks for, in MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Memory {
    /// The node's memory divided by its CPUs, for each CPU.
    Default,
    /// So much on each node; 0 is all of the node's.
    PerNode(u64),
    /// So much for each CPU.
    PerCpu(u64),
}

impl Default for Request {
    /// One process on one CPU of one node, with its share of the node's memory.
    fn default() -> Request {
        Request {
            nodes_min: 1,
            nodes_max: None,
            processes: None,
            cpus_per_process: None,
            memory: Memory::Default,
            processes_per_node: None,
            cpus_milli: None,
            exclusive: false,
            nodes: Vec::new(),
            exclude: Vec::new(),
            constraint: None,
            gres: Vec::new(),
            licenses: Vec::new(),
        }
    }
}

impl Request {
    /// How many processes a task has.
    #[must_use]
    pub fn process_count(&self) -> u32 {
        let each = self.processes_per_node.unwrap_or(1);
        self.processes.unwrap_or_else(|| self.nodes_min.saturating_mul(each)).max(self.nodes_min)
    }

    /// The CPUs of one process.
    #[must_use]
    pub fn process_cpus(&self) -> Cpus {
        self.cpus_milli.map_or_else(|| Cpus::whole(self.cpus_per_process.unwrap_or(1)), Cpus::from_milli)
    }

    /// The CPUs that one task takes over all its nodes.
    #[must_use]
    pub fn cpus(&self) -> Cpus {
        self.process_cpus().times(self.process_count())
    }

    /// How many of a gres so many processes hold on one node. What is asked for all nodes together goes with the processes, else
    /// with the nodes, where it can be divided among them; what cannot stays on one node.
    #[must_use]
    pub fn gres_on_node(&self, ask: &GresAsk, processes: u32) -> u32 {
        match ask.per {
            Per::Node => ask.count,
            Per::Process => ask.count.saturating_mul(processes),
            Per::Task if ask.count.is_multiple_of(self.process_count()) => {
                (ask.count / self.process_count()).saturating_mul(processes)
            }
            Per::Task if self.divides_by_nodes(ask) => ask.count / self.nodes_min,
            Per::Task => ask.count,
        }
    }

    /// Whether a total cannot be divided, so that all of it must be on one node.
    #[must_use]
    pub fn keeps_together(&self, ask: &GresAsk) -> bool {
        ask.per == Per::Task && !ask.count.is_multiple_of(self.process_count()) && !self.divides_by_nodes(ask)
    }

    fn divides_by_nodes(&self, ask: &GresAsk) -> bool {
        self.nodes_max == Some(self.nodes_min) && ask.count.is_multiple_of(self.nodes_min)
    }

    /// Whether it says which nodes of a partition will do.
    #[must_use]
    pub fn is_choosy(&self) -> bool {
        !self.nodes.is_empty() || !self.exclude.is_empty() || self.constraint.is_some()
    }

    /// Whether both will have the same nodes, as far as they say which, and both may or may not have several.
    pub(crate) fn chooses_as(&self, other: &Request) -> bool {
        self.nodes == other.nodes
            && self.exclude == other.exclude
            && self.constraint == other.constraint
            && self.may_spread() == other.may_spread()
    }

    /// Checks what can be judged without the cluster, and puts names in order.
    pub(crate) fn check(&mut self) -> Result<(), SpecError> {
        for (field, names) in [("--nodelist", &mut self.nodes), ("--exclude", &mut self.exclude)] {
            names.sort_unstable();
            names.dedup();
            if names.len() > NODES_NAMED_MAX {
                return Err(SpecError::NodesNamed { field, count: names.len() });
            }
            names.iter().try_for_each(|name| text(field, name))?;
        }
        // As many nodes as are named, where that is more than was asked for.
        let named = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
        if let Some(max) = self.nodes_max.filter(|max| *max < named) {
            return Err(SpecError::NodeList { named, max });
        }
        self.nodes_min = self.nodes_min.max(named);
        count("--nodes", self.nodes_min)?;
        count("--ntasks-per-node", self.processes_per_node.unwrap_or(1))?;
        count("--ntasks", self.process_count())?;
        count("--cpus-per-task", self.cpus_per_process.unwrap_or(1))?;
        if let Some(max) = self.nodes_max.filter(|max| *max < self.nodes_min) {
            return Err(SpecError::Nodes { min: self.nodes_min, max });
        }
        if let Some(milli) = self.cpus_milli {
            let both = self.cpus_per_process.is_some();
            let fits = (1..=COUNT_MAX.saturating_mul(1000)).contains(&milli);
            match (fits, both) {
                (_, true) => return Err(SpecError::CpusTwice),
                (false, false) => return Err(SpecError::Cpus),
                (true, false) => {}
            }
        }
        let counted = self.constraint.as_ref().map_or(0, Constraint::nodes_counted);
        if counted > self.nodes_min {
            return Err(SpecError::NodesCounted { counted, nodes: self.nodes_min });
        }
        GresAsk::check(&self.gres)?;
        LicenseAsk::check(&self.licenses)?;
        match self.gres.iter().find(|ask| self.nodes_min > 1 && self.keeps_together(ask)) {
            Some(ask) => Err(SpecError::Undivided { count: ask.count, processes: self.process_count() }),
            None => Ok(()),
        }
    }
}
