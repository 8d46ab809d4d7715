//! Whoever stands beside the cluster and believes nobody: it sees what machines really run, what the journal holds and what
//! clients were told, and says which promise was broken.

use std::collections::{BTreeMap, BTreeSet};

use sched::cluster::Cluster;
use sched::event::Event;
use sched::ids::{AttemptKey, JobId, NodeId, RequestId, Timestamp};
use sched::reason::{Ending, Exit, Outcome};
use sched::reconcile::How;
use sched::resources::{Amount, Cpus};

use crate::launcher::Fact;
use crate::ledger::Ledger;
use crate::node::Node;
use crate::order::Order;
use crate::post::Post;
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
    ledger: Ledger,
    post: Post,
    deadlines: BTreeMap<JobId, Timestamp>,
    /// Nodes that were given up and have not come back.
    down: BTreeSet<NodeId>,
    /// Attempts whose node was given up: they may run on there, and count for nothing elsewhere.
    given_up: BTreeSet<AttemptKey>,
    /// Attempts that were told to stop.
    stopped: BTreeSet<AttemptKey>,
    /// Attempts that have lent their CPUs to others: suspended, and not resumed since.
    lent: BTreeSet<AttemptKey>,
    /// Operations that stood still with their noded when it was given up, and that run elsewhere by now, or will.
    fenced: BTreeSet<AttemptKey>,
}

/// Something that runs.
#[derive(Debug)]
struct Live {
    attempt: u32,
    /// What it holds, by the names of nodes.
    shares: Vec<(String, Amount)>,
    /// A process, and no operation: an operation heeds no suspension, as it is short.
    process: bool,
    /// The process stands still.
    still: bool,
    /// Its lease is over, and its launcher has told it to end.
    leaves: bool,
}

impl Witness {
    /// What a machine did.
    pub(crate) fn on_fact(&mut self, node: &str, fact: Fact) -> Result<(), Violation> {
        match fact {
            Fact::Began { key, shares, process } => {
                if !self.begun.insert(key) {
                    return Err(Violation::BegunTwice(key));
                }
                let amount = |cpus: Cpus, memory_mib| Amount { cpus, memory_mib, ..Amount::default() };
                let shares = shares.into_iter().map(|share| (share.node, amount(share.cpus, share.memory_mib)));
                let live =
                    Live { attempt: key.attempt, shares: shares.collect(), process, still: false, leaves: false };
                if let Some(first) = self.live.insert((key.job, key.index), live) {
                    let first = AttemptKey { attempt: first.attempt, ..key };
                    return Err(Violation::LiveTwice { first, second: key, node: node.to_owned() });
                }
            }
            Fact::Stands { key, .. } if self.fenced.contains(&key) => {}
            Fact::Stands { key, still } => {
                self.live_mut(key).expect("only what runs is suspended").still = still;
            }
            Fact::Leaves { key } => {
                self.live_mut(key).expect("only what runs is told to end").leaves = true;
            }
            Fact::Signalled { key, number } => return self.post.on_reached(key, number),
            Fact::Over { key, how } => {
                if self.fenced.contains(&key) && matches!(how, How::Exited(Exit { code: 0, signal: 0 })) {
                    return Err(Violation::Unfenced(key));
                }
                self.over.insert(key, how);
                if !self.fenced.remove(&key) {
                    self.live.remove(&(key.job, key.index));
                }
            }
        }
        Ok(())
    }

    /// What became durable.
    pub(crate) fn on_event(&mut self, event: &Event) -> Result<(), Violation> {
        self.order.on_event(event)?;
        self.post.on_event(event);
        match event {
            Event::Submitted { job, request, terms } => {
                self.submitted.insert(*job, *request);
                self.deadlines.extend(terms.spec.deadline.map(|deadline| (*job, deadline)));
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
        }?;
        self.ledger.on_event(event)
    }

    fn remember(&mut self, event: &Event) {
        match event {
            Event::Stopped { key, .. } => drop(self.stopped.insert(*key)),
            Event::Suspended { key, .. } => drop(self.lent.insert(*key)),
            Event::Resumed { key, .. } => drop(self.lent.remove(key)),
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
        let live = self.live.get(&(key.job, key.index)).filter(|live| live.attempt == key.attempt);
        if live.is_some_and(|live| !live.process && live.still && self.down.contains(&node)) {
            // An operation of a noded that was stopped is not dead: it only must not do anything more.
            self.live.remove(&(key.job, key.index));
            self.fenced.insert(key);
        } else if live.is_some() {
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
            None => Ok(()),
        }
    }

    /// Whether a state that holds all of the journal counts what the journal says.
    pub(crate) fn check_tallies(&self, cluster: &Cluster) -> Result<(), Violation> {
        self.ledger.check(cluster)
    }

    /// Nothing runs on after its deadline when it could long have been ended: `since` was the last moment of the time that is
    /// judged, from which on nothing was broken.
    pub(crate) fn check_deadlines(&self, now: Timestamp, since: Timestamp, grace_ms: u64) -> Result<(), Violation> {
        for (key, _) in self.running() {
            let Some(deadline) = self.deadlines.get(&key.job) else { continue };
            let late_ms = now.ms_since((*deadline).max(since).plus_ms(grace_ms));
            if late_ms > 0 {
                return Err(Violation::Late { key, late_ms });
            }
        }
        Ok(())
    }

    /// Whoever runs has got the signals that he was sent: asked when nothing has been broken for long enough.
    pub(crate) fn check_signals(&self) -> Result<(), Violation> {
        let ending = |key: &AttemptKey| self.stopped.contains(key) || self.given_up.contains(key);
        let heeds = |(key, live): &(AttemptKey, &Live)| live.process && !ending(key);
        self.running().filter(heeds).try_for_each(|(key, _)| self.post.check(key))
    }

    /// By the books, what is suspended holds no CPUs; and of processes alone, only what stands still holds none.
    fn check_node(&self, node: &Node) -> Result<(), Violation> {
        let by_books = self.held(node, |key, _, _| self.lent.contains(key));
        // An operation begins in noded itself, a moment before the launcher hears of what makes room for it; and on the nodes
        // beside its first nothing of an attempt runs.
        let in_fact = self.held(node, |key, live, first| {
            !live.process || !first || (self.lent.contains(key) && self.is_still(key, live))
        });
        let offered = node.amount;
        match [by_books, in_fact].into_iter().find(|held| !offered.covers(held)) {
            Some(held) => Err(Violation::OverCommitted { node: node.name.clone(), held, offered }),
            None => Ok(()),
        }
    }

    /// What is told to stop goes on for the short time that it takes to leave.
    fn is_still(&self, key: &AttemptKey, live: &Live) -> bool {
        live.still || live.leaves || self.stopped.contains(key) || self.given_up.contains(key)
    }

    /// What is held of a node by all that runs: by those that lend their CPUs, its other amounts alone.
    fn held(&self, node: &Node, lends: impl Fn(&AttemptKey, &Live, bool) -> bool) -> Amount {
        let mut held = Amount::default();
        for (key, live) in self.running() {
            // What a given-up attempt held beside its processes' node was given away with it: nothing runs there.
            let count = if self.given_up.contains(&key) { 1 } else { live.shares.len() };
            let here = live.shares.iter().take(count).enumerate().filter(|(_, (name, _))| *name == node.name);
            for (i, (_, amount)) in here {
                held += &if lends(&key, live, i == 0) { Amount { cpus: Cpus::default(), ..*amount } } else { *amount };
            }
        }
        held
    }

    /// What runs.
    fn running(&self) -> impl Iterator<Item = (AttemptKey, &Live)> {
        let key = |job, index, attempt| AttemptKey { job, index, attempt };
        self.live.iter().map(move |((job, index), live)| (key(*job, *index, live.attempt), live))
    }

    /// An attempt, while it runs.
    fn live_mut(&mut self, key: AttemptKey) -> Option<&mut Live> {
        self.live.get_mut(&(key.job, key.index)).filter(|live| live.attempt == key.attempt)
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
