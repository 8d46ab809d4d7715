//! Whoever stands beside the cluster and believes nobody: it sees what machines really run, what the journal holds and what
//! clients were told, and says which promise was broken.

use std::collections::{BTreeMap, BTreeSet};

use sched::cluster::Cluster;
use sched::event::Event;
use sched::ids::{AttemptKey, JobId, NodeId, RequestId};
use sched::reason::{Ending, Outcome};
use sched::reconcile::How;
use sched::resources::{Amount, Cpus};

use crate::launcher::Fact;
use crate::node::Node;
use crate::order::Order;
use crate::violation::Violation;

/// What was seen so far.
#[derive(Debug, Default)]
pub(crate) struct Witness {
    begun: BTreeSet<AttemptKey>,
    live: BTreeMap<(JobId, u32), Live>,
    over: BTreeMap<AttemptKey, How>,
    acknowledged: BTreeMap<RequestId, JobId>,
    submitted: BTreeMap<JobId, RequestId>,
    forgotten: BTreeSet<JobId>,
    /// Who has which number: a task, or the job that has given it to no task.
    numbers: BTreeMap<JobId, (JobId, Option<u32>)>,
    closed: BTreeSet<AttemptKey>,
    order: Order,
    /// Nodes that were given up and have not come back.
    down: BTreeSet<NodeId>,
    /// Attempts whose node was given up: they may run on there, and count for nothing elsewhere.
    given_up: BTreeSet<AttemptKey>,
    /// Attempts that were told to stop: they no longer count against the limit of their array.
    stopped: BTreeSet<AttemptKey>,
}

/// Something that runs.
#[derive(Debug)]
struct Live {
    attempt: u32,
    /// What it holds, by the names of nodes.
    shares: Vec<(String, Amount)>,
}

impl Witness {
    /// What a machine did.
    pub(crate) fn on_fact(&mut self, node: &str, fact: Fact) -> Result<(), Violation> {
        match fact {
            Fact::Began { key, shares } => {
                if !self.begun.insert(key) {
                    return Err(Violation::BegunTwice(key));
                }
                let amount = |cpus: Cpus, memory_mib| Amount { cpus, memory_mib, ..Amount::default() };
                let shares = shares.into_iter().map(|share| (share.node, amount(share.cpus, share.memory_mib)));
                let live = Live { attempt: key.attempt, shares: shares.collect() };
                if let Some(first) = self.live.insert((key.job, key.index), live) {
                    let first = AttemptKey { attempt: first.attempt, ..key };
                    return Err(Violation::LiveTwice { first, second: key, node: node.to_owned() });
                }
            }
            Fact::Over { key, how } => {
                self.over.insert(key, how);
                self.live.remove(&(key.job, key.index));
            }
        }
        Ok(())
    }

    /// What became durable.
    pub(crate) fn on_event(&mut self, event: &Event) -> Result<(), Violation> {
        self.order.on_event(event)?;
        match event {
            Event::Submitted { job, request, .. } => {
                self.submitted.insert(*job, *request);
                self.number(*job, (*job, None))
            }
            Event::Started { job, placements } => {
                placements.iter().try_for_each(|placement| self.number(placement.id, (*job, Some(placement.index))))
            }
            Event::Ended { key, node, outcome, .. } => self.on_end(*key, *node, Some(outcome)),
            Event::Requeued { key, node, .. } => self.on_end(*key, *node, None),
            _ => {
                self.remember(event);
                Ok(())
            }
        }
    }

    fn remember(&mut self, event: &Event) {
        match event {
            Event::Stopped { key, .. } => drop(self.stopped.insert(*key)),
            Event::Forgotten { job } => drop(self.forgotten.insert(*job)),
            Event::NodeDown { node } => drop(self.down.insert(*node)),
            Event::NodeRegistered { node, .. } => drop(self.down.remove(node)),
            _ => {}
        }
    }

    /// A number is a job's, or a task's for all its attempts; one task may have its own job's.
    fn number(&mut self, number: JobId, owner: (JobId, Option<u32>)) -> Result<(), Violation> {
        match self.numbers.insert(number, owner) {
            None => Ok(()),
            Some(before) if before == owner && owner.1.is_some() => Ok(()),
            Some((job, None)) if job == owner.0 && owner.1.is_some() => Ok(()),
            Some(_) => Err(Violation::Reissued(number)),
        }
    }

    /// An attempt is over by the books: with its task, or (without an outcome) to be tried again.
    fn on_end(&mut self, key: AttemptKey, node: NodeId, outcome: Option<&Outcome>) -> Result<(), Violation> {
        if !self.closed.insert(key) {
            return Err(Violation::CountedTwice(key));
        }
        if outcome.is_some() && self.down.contains(&node) {
            self.given_up.insert(key);
            return Ok(());
        }
        if self.live.get(&(key.job, key.index)).is_some_and(|live| live.attempt == key.attempt) {
            return Err(Violation::CountedWhileLive(key));
        }
        let Some(outcome) = outcome else { return Ok(()) };
        let seen = self.over.get(&key).copied();
        let right = match outcome.ending {
            Ending::Completed | Ending::Failed => seen == Some(How::Exited(outcome.exit)),
            Ending::Timeout => seen == Some(How::TimedOut(outcome.exit)),
            // How a cancelled or lost attempt left is for nobody to say: its record may be lost, too.
            Ending::Cancelled(_) | Ending::Deadline | Ending::NodeFail => true,
            Ending::LaunchFailed | Ending::OutOfMemory => false,
        };
        let counted = outcome.clone();
        if right { Ok(()) } else { Err(Violation::WrongEnd { key, counted, seen }) }
    }

    /// What a client was told.
    pub(crate) fn on_answer(&mut self, request: RequestId, job: JobId) -> Result<(), Violation> {
        if self.submitted.get(&job) != Some(&request) {
            return Err(Violation::Missing(job));
        }
        match self.acknowledged.insert(request, job) {
            Some(before) if before != job => Err(Violation::TwoJobs(before, job)),
            _ => Ok(()),
        }
    }

    /// What must be so at every moment.
    pub(crate) fn check(&self, cluster: &Cluster, nodes: &[Node]) -> Result<(), Violation> {
        self.check_jobs(cluster)?;
        nodes.iter().try_for_each(|node| self.check_node(node))
    }

    /// What must be so of the books after each change.
    pub(crate) fn check_jobs(&self, cluster: &Cluster) -> Result<(), Violation> {
        let there = |job: &JobId| cluster.job(*job).is_some() || self.forgotten.contains(job);
        match self.acknowledged.values().find(|job| !there(job)) {
            Some(job) => Err(Violation::Missing(*job)),
            None => cluster.jobs().filter(|job| job.is_array()).try_for_each(|job| {
                let limit = job.terms.spec.array.as_ref().and_then(|array| array.throttle());
                limit.map_or(Ok(()), |limit| self.check_throttle(job.id, limit.get()))
            }),
        }
    }

    fn check_throttle(&self, job: JobId, limit: u32) -> Result<(), Violation> {
        let passed = |key: &AttemptKey| self.stopped.contains(key) || self.given_up.contains(key);
        let counts = |(key, _): &(AttemptKey, &Live)| key.job == job && !passed(key);
        let running = self.running().filter(counts).count();
        let running = u32::try_from(running).expect("a run has few tasks");
        if running > limit { Err(Violation::Throttle { job, running, limit }) } else { Ok(()) }
    }

    fn check_node(&self, node: &Node) -> Result<(), Violation> {
        let mut held = Amount::default();
        for (key, live) in self.running() {
            // What a given-up attempt held beside its processes' node was given away with it: nothing runs there.
            let count = if self.given_up.contains(&key) { 1 } else { live.shares.len() };
            let here = live.shares.iter().take(count).filter(|(name, _)| *name == node.name);
            here.for_each(|(_, amount)| held += amount);
        }
        if node.amount.covers(&held) {
            return Ok(());
        }
        Err(Violation::OverCommitted { node: node.name.clone(), held, offered: node.amount })
    }

    /// What runs.
    fn running(&self) -> impl Iterator<Item = (AttemptKey, &Live)> {
        let key = |job, index, attempt| AttemptKey { job, index, attempt };
        self.live.iter().map(move |((job, index), live)| (key(*job, *index, live.attempt), live))
    }

    /// Whether nothing runs.
    pub(crate) fn is_quiet(&self) -> bool {
        self.live.is_empty()
    }

    /// How many attempts were begun.
    pub(crate) fn begun_count(&self) -> usize {
        self.begun.len()
    }
}

#[cfg(test)]
mod tests;
