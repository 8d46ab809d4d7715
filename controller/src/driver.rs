//! The only writer: drains the mailbox, decides and applies, commits once, and only then lets anything out.
//!
//! It runs on a thread of its own, because a commit waits for the disk. Queries read the snapshot that it publishes after
//! each commit ([`Published`]) and never hold it up. Start at [`Driver::run`].

mod batch;
mod commit;
mod letter;
mod outgoing;
mod retention;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use proto::link::ToNode;
use sched::cluster::Cluster;
use sched::depend::{follow, left_of};
use sched::event::Event;
use sched::ids::{BlobHash, NodeId};
use sched::near::{JOBS_TOGETHER, bring};
use sched::node::Health;
use sched::plan::Planner;
use sched::step::{Input, decide};
use sched::wake::next_wake;
use tokio::sync::watch;
use tracing::{error, info, warn};

use batch::Batch;

use crate::briefs::Briefs;
use crate::clock;
use crate::config::Config;
use crate::journal::Journal;
use crate::links::Links;
use crate::statistics::Statistics;

pub(crate) use commit::CHECKPOINT_RECORDS;
pub(crate) use letter::{Letter, Mailbox, Post, Reply, Session, Unavailable, mailbox};

/// Letters that are decided together at most: what one commit holds.
const BATCH_LETTERS_MAX: usize = 4_096;
/// Bytes of a record that letters may lead to together; well below what the journal takes.
const BATCH_BYTES_MAX: usize = 8 * 1024 * 1024;
/// The pause before the journal is tried again after a failed commit.
const REOPEN_PAUSE: Duration = Duration::from_millis(500);

/// What queries read: the state of the last durable commit.
pub(crate) struct Published {
    now: ArcSwap<Durable>,
    changes: watch::Sender<u64>,
    commits: AtomicU64,
    /// Somebody reads blobs of a state that may be over: none is dropped meanwhile.
    readers: Arc<()>,
    pub(crate) statistics: Statistics,
}

/// A durable state.
#[derive(Clone)]
pub(crate) struct Durable {
    pub(crate) cluster: Arc<Cluster>,
    /// The record that comes next.
    pub(crate) sequence: u64,
}

/// Keeps blobs from being dropped while it lives.
pub(crate) struct BlobsKept(#[expect(dead_code, reason = "that it is there is what counts")] Arc<()>);

impl Published {
    pub(crate) fn new(cluster: Cluster, sequence: u64) -> Published {
        let now = ArcSwap::from_pointee(Durable { cluster: Arc::new(cluster), sequence });
        let (changes, commits, statistics) = (watch::Sender::new(0), AtomicU64::new(0), Statistics::default());
        Published { now, changes, commits, readers: Arc::default(), statistics }
    }

    /// The newest durable state.
    pub(crate) fn cluster(&self) -> Arc<Cluster> {
        self.now.load().cluster.clone()
    }

    /// The newest durable state, and where in the journal it is.
    pub(crate) fn durable(&self) -> Durable {
        Durable::clone(&self.now.load())
    }

    /// From the next commit on no blob is dropped, until what this returns is.
    pub(crate) fn keep_blobs(&self) -> BlobsKept {
        BlobsKept(self.readers.clone())
    }

    fn blobs_are_kept(&self) -> bool {
        Arc::strong_count(&self.readers) > 1
    }

    /// Tells of every new state.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Shows what is durable now, and gives back what was: who drops it frees all that is no longer so.
    fn publish(&self, cluster: Cluster, sequence: u64) -> Arc<Durable> {
        let before = self.now.swap(Arc::new(Durable { cluster: Arc::new(cluster), sequence }));
        let commits = self.commits.fetch_add(1, Ordering::Relaxed) + 1;
        self.changes.send_replace(commits);
        before
    }
}

/// The next letters to decide together, bounded by the bytes that they lead to. None at all is a batch, too: time has passed.
fn next_batch(letters: &mut Vec<Letter>) -> Vec<Letter> {
    let mut bytes = 0;
    let mut fits = |letter: &Letter| {
        bytes += letter.weight();
        bytes <= BATCH_BYTES_MAX
    };
    let count = letters.iter().take_while(|letter| fits(letter)).count();
    letters.drain(..count.max(1).min(letters.len())).collect()
}

/// The writer and all that it holds.
pub(crate) struct Driver {
    cluster: Cluster,
    config: Config,
    journal: Arc<dyn Journal>,
    epoch: u64,
    sequence: u64,
    published: Arc<Published>,
    links: Links,
    briefs: Briefs,
    mailbox: Mailbox,
    checkpoints: commit::Checkpoints,
    retention: retention::Retention,
    planner: Planner,
    /// Blobs that would have been dropped while somebody read them.
    kept_back: Vec<BlobHash>,
    /// The last pass stopped at its bound, or was lost: another one may start more at once.
    more: bool,
    /// Set while the journal does not take commits.
    broken: bool,
}

impl Driver {
    /// A driver that goes on from a recovered state.
    pub(crate) fn new(
        cluster: Cluster,
        config: Config,
        journal: Arc<dyn Journal>,
        epoch: u64,
        published: Arc<Published>,
        mailbox: Mailbox,
    ) -> Driver {
        let sequence = journal.next_sequence();
        let briefs = Briefs::new(journal.clone());
        let checkpoints = commit::Checkpoints::new(journal.clone());
        let retention = retention::Retention::new(journal.clone(), &config.settings);
        let links = Links::default();
        Driver {
            cluster,
            config,
            journal,
            epoch,
            sequence,
            published,
            links,
            briefs,
            mailbox,
            checkpoints,
            retention,
            planner: Planner::default(),
            kept_back: Vec::new(),
            more: false,
            broken: false,
        }
    }

    /// Makes checkpoints more often than after [`CHECKPOINT_RECORDS`].
    pub(crate) fn checkpoint_after(mut self, records: u64) -> Driver {
        self.checkpoints.after(records);
        self
    }

    /// Works until every sender of letters is gone or a stop is asked for; then writes a last checkpoint.
    pub(crate) fn run(mut self) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let runtime = match runtime {
            Ok(runtime) => runtime,
            Err(source) => return error!(%source, "the driver cannot wait for letters"),
        };
        self.start();
        let mut letters = Vec::new();
        loop {
            let wait = self.wait();
            let open = runtime.block_on(self.mailbox.collect(&mut letters, BATCH_LETTERS_MAX, wait));
            let stop = letters.iter().any(|letter| matches!(letter, Letter::Stop));
            loop {
                let batch = next_batch(&mut letters);
                if self.broken && !self.mend() {
                    batch.into_iter().for_each(Letter::refuse);
                } else {
                    self.handle(batch);
                }
                if letters.is_empty() {
                    break;
                }
            }
            if stop || !open {
                break;
            }
        }
        self.retention.finish();
        self.checkpoints.finish(self.sequence, &self.cluster);
        info!(commits = self.sequence, "the driver has stopped");
    }

    /// The partitions of the settings, and nodes as not yet heard of since this start: the silence of each is counted from here,
    /// because nobody knows how long ago the last controller answered it.
    fn start(&mut self) {
        let partitions = self.config.partitions.clone();
        let mut inputs = vec![Input::Partitions(partitions)];
        let known = self.cluster.nodes().filter(|node| !matches!(node.health, Health::Down { .. }));
        inputs.extend(known.map(|node| Input::LinkLost { node: node.id }));
        self.handle(
            inputs.into_iter().map(|input| Letter::Input { input, blobs: Vec::new(), reply: Reply::none() }).collect(),
        );
    }

    /// How long the mailbox may stay empty before time alone changes something.
    fn wait(&self) -> Option<Duration> {
        if self.broken {
            return Some(REOPEN_PAUSE);
        }
        if self.more {
            return Some(Duration::ZERO);
        }
        let wake = next_wake(&self.cluster, &self.config.settings)?;
        Some(Duration::from_millis(wake.ms_since(clock::now())))
    }

    /// One batch: decide and apply each, plan, commit all of it, and let out what follows.
    fn handle(&mut self, letters: Vec<Letter>) {
        let mut batch = Batch::new(clock::now());
        for letter in letters {
            self.take(letter, &mut batch);
        }
        self.decide(Input::Tick, &mut batch);
        if self.more || !batch.events.is_empty() {
            let begun = Instant::now();
            let pass = self.planner.pass(&self.cluster, batch.at, &self.config.settings);
            self.published.statistics.note_pass(batch.at, begun.elapsed(), pass.scope);
            self.more = pass.more;
            for event in pass.events {
                self.apply(event, &mut batch);
            }
        }
        self.commit(batch);
    }

    fn take(&mut self, letter: Letter, batch: &mut Batch) {
        match letter {
            Letter::Input { input, blobs, reply } => {
                let answer = self.decide(input, batch);
                batch.blobs.extend(blobs);
                batch.replies.push((reply, answer));
            }
            Letter::Register { register, certificate, sender, reply } => {
                match self.admit(&register, certificate.as_deref()) {
                    Ok(()) => self.register(register, sender, reply, batch),
                    Err(why) => {
                        warn!(node = register.name, why, "a node is not let in");
                        // A node that has gone away in the meantime needs no answer.
                        reply.send(Err(why)).ok();
                    }
                }
            }
            Letter::Ends { node, session, ends, steps } => {
                if self.links.is_current(node, session) {
                    self.decide(Input::Ends { node, ends, steps }, batch);
                }
            }
            Letter::LinkClosed { node, session, left } => {
                // Its successor may be waiting for this very commit.
                let succeeded = batch.registrations.iter().any(|registration| registration.node == node);
                if self.links.close(node, session) && !succeeded {
                    let input = if left { Input::Leave { node } } else { Input::LinkLost { node } };
                    self.decide(input, batch);
                }
                self.count_links();
            }
            Letter::Order { node, order } => self.links.send(node, ToNode::Orders(vec![order])),
            Letter::Config(config) => {
                self.config = *config;
                // What waits may start under them.
                self.more = true;
            }
            Letter::Stop => {}
        }
    }

    fn decide(&mut self, input: Input, batch: &mut Batch) -> sched::step::Answer {
        let (events, answer) = decide(&self.cluster, &self.config.settings, batch.at, input);
        batch.events.reserve(events.len());
        let mut events = events.into_iter();
        while events.len() > 0 {
            let next: Vec<Event> = events.by_ref().take(JOBS_TOGETHER).collect();
            self.bring(&next);
            next.into_iter().for_each(|event| self.apply(event, batch));
        }
        answer
    }

    /// Brings the jobs of many ends from memory together.
    fn bring(&self, events: &[Event]) {
        if events.len() < 2 {
            return;
        }
        let ended = events.iter().filter_map(|event| match event {
            Event::Cancelled { job, .. } | Event::Expired { job, .. } | Event::Forgotten { job } => {
                self.cluster.job(*job).map(|job| &**job)
            }
            _ => None,
        });
        bring(&ended.collect::<Vec<_>>());
    }

    fn apply(&mut self, event: Event, batch: &mut Batch) {
        // What most events lead to is nothing.
        let (mut first, mut next) = (Some(event), VecDeque::new());
        while let Some(event) = first.take().or_else(|| next.pop_front()) {
            let Some(event) = left_of(&self.cluster, event) else { continue };
            batch.note_before(&self.cluster, &event);
            self.planner.note(&self.cluster, &event);
            self.cluster.apply(batch.at, &event);
            next.extend(follow(&self.cluster, &event));
            batch.events.push(event);
        }
    }

    fn count_links(&self) {
        self.published.statistics.meters.links_up.set(i64::try_from(self.links.count()).unwrap_or(i64::MAX));
    }

    /// The name of a node, for logs.
    fn node_name(&self, node: NodeId) -> String {
        self.cluster.node(node).map(|node| node.name.to_string()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
