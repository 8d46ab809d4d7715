//! The modelled controller: what survives a kill (the journal), and a driver that does what the real one does in the same
//! order, as a value.
//!
//! It decides with the real `sched`; it has no scheduling of its own. Start at [`Desk::turn`].

mod brief;
pub(crate) mod journal;
mod links;
mod outgoing;
mod spoil;

use std::collections::{BTreeMap, VecDeque};

use proto::link::{FromNode, Register, ToNode};
use sched::cluster::Cluster;
use sched::depend::{follow, left_of};
use sched::event::{Effect, Event};
use sched::ids::{AttemptKey, NodeId, StepKey, Timestamp};
use sched::lease::keeps_its_name;
use sched::node::Health;
use sched::partition::Partition;
use sched::plan::{Planner, plan};
use sched::reconcile::{AttemptEnd, Reconciled};
use sched::settings::Settings;
use sched::step::{Answer, Input, decide};
use sched::wake::next_wake;

use crate::network::StreamId;
use crate::sabotage::Sabotage;
use journal::{Disk, Journal, Record};
use links::Links;

/// One call of a client, and its place in the list of tries.
pub(crate) type Ticket = u64;

/// Nothing was changed, and trying again later may help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unavailable;

/// What leaves the controller.
#[derive(Debug)]
pub(crate) enum Out {
    Say(StreamId, ToNode),
    HangUp(StreamId),
    Reply(Ticket, Result<Answer, Unavailable>),
}

/// Where a kill -9 meets a turn of the driver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Lives,
    DiesBeforeCommit,
    DiesAfterCommit,
}

/// The driver of a controller that lives.
pub(crate) struct Desk {
    cluster: Cluster,
    settings: Settings,
    partitions: Vec<Partition>,
    sabotage: Option<Sabotage>,
    epoch: u64,
    sequence: usize,
    /// The state of the last durable commit.
    published: Cluster,
    links: Links,
    streams: BTreeMap<StreamId, Stream>,
    mailbox: Vec<Letter>,
    planner: Planner,
    /// The last pass stopped at its bound.
    more: bool,
    broken: bool,
}

/// A stream as the service of links sees it.
#[derive(Debug, Default)]
struct Stream {
    /// Known once the node was welcomed.
    session: Option<(NodeId, u64)>,
    /// What was said before.
    early: Vec<FromNode>,
}

/// Something for the driver.
#[derive(Debug)]
enum Letter {
    Input { input: Input, ticket: Option<Ticket> },
    Register { register: Register, stream: StreamId },
    Ends { node: NodeId, session: u64, ends: Vec<(AttemptKey, AttemptEnd)>, steps: Vec<(StepKey, AttemptEnd)> },
    Closed { node: NodeId, session: u64, left: bool },
}

/// What one commit makes true, and who waits for it.
struct Batch {
    at: Timestamp,
    events: Vec<Event>,
    replies: Vec<(Ticket, Answer)>,
    registrations: Vec<(NodeId, Reconciled, StreamId)>,
    /// What leaves though no fact asks for it; only of a controller that is sabotaged.
    regardless: Vec<Effect>,
}

impl Batch {
    fn of(at: Timestamp) -> Batch {
        let (events, replies, registrations, regardless) = Default::default();
        Batch { at, events, replies, registrations, regardless }
    }
}

impl Desk {
    /// A controller that starts: it recovers, counts its epoch, and takes every node for silent.
    pub(crate) fn start(
        journal: &mut Journal,
        settings: Settings,
        partitions: Vec<Partition>,
        sabotage: Option<Sabotage>,
    ) -> Desk {
        journal.epoch += 1;
        let cluster = journal.recover();
        let mut desk = Desk {
            published: cluster.clone(),
            cluster,
            settings,
            partitions,
            sabotage,
            epoch: journal.epoch,
            sequence: journal.next_sequence(),
            links: Links::default(),
            streams: BTreeMap::new(),
            mailbox: Vec::new(),
            planner: Planner::default(),
            more: false,
            broken: false,
        };
        desk.begin();
        desk
    }

    /// The first letters: the partitions of the settings, and every node as not yet heard of.
    fn begin(&mut self) {
        let known = self.cluster.nodes().filter(|node| !matches!(node.health, Health::Down { .. }));
        let lost = known.map(|node| Input::LinkLost { node: node.id });
        let inputs = std::iter::once(Input::Partitions(self.partitions.clone())).chain(lost);
        let letters: Vec<Letter> = inputs.map(|input| Letter::Input { input, ticket: None }).collect();
        self.mailbox.splice(..0, letters);
    }

    /// The newest durable state, which is all that anybody outside may see.
    pub(crate) fn published(&self) -> &Cluster {
        &self.published
    }

    /// When time alone changes something.
    pub(crate) fn next_wake(&self) -> Option<Timestamp> {
        next_wake(&self.cluster, &self.settings_for(&Input::Tick))
    }

    pub(crate) fn has_letters(&self) -> bool {
        self.more || !self.mailbox.is_empty()
    }

    pub(crate) fn is_broken(&self) -> bool {
        self.broken
    }

    /// A client's call.
    pub(crate) fn ask(&mut self, input: Input, ticket: Ticket) {
        self.mailbox.push(Letter::Input { input, ticket: Some(ticket) });
    }

    /// What a stream brings. The first message is a registration; what comes before the welcome waits for it. A heartbeat is
    /// answered at once, while its link is held.
    pub(crate) fn hear(&mut self, stream: StreamId, said: FromNode) -> Option<Out> {
        if let FromNode::Register(register) = said {
            self.streams.insert(stream, Stream::default());
            self.mailbox.push(Letter::Register { register, stream });
            return None;
        }
        let heard = self.streams.get_mut(&stream)?;
        let Some((node, session)) = heard.session else {
            heard.early.push(said);
            return None;
        };
        match said {
            FromNode::Heartbeat { at_ms } => {
                let held = self.links.is_current(node, session);
                return held.then_some(Out::Say(stream, ToNode::Granted { at_ms }));
            }
            FromNode::Ends { attempts: ends, steps } => {
                self.mailbox.push(Letter::Ends { node, session, ends, steps });
            }
            FromNode::Leave => {
                self.streams.remove(&stream);
                self.mailbox.push(Letter::Closed { node, session, left: true });
            }
            FromNode::Register(_) => unreachable!("taken above"),
        }
        None
    }

    /// A stream has ended. One that had no welcome yet takes with it what it had said.
    pub(crate) fn stream_closed(&mut self, stream: StreamId) {
        if let Some(Stream { session: Some((node, session)), .. }) = self.streams.remove(&stream) {
            self.mailbox.push(Letter::Closed { node, session, left: false });
        }
    }

    /// One batch: decide and apply each letter, plan, commit all of it, and only then let out what follows.
    pub(crate) fn turn(&mut self, now: Timestamp, journal: &mut Journal, disk: Disk, fate: Fate) -> Vec<Out> {
        let mut outs = Vec::new();
        if self.broken && !self.mend(journal, disk, &mut outs) {
            self.refuse_letters(&mut outs);
            return outs;
        }
        let mut batch = Batch::of(now);
        for letter in std::mem::take(&mut self.mailbox) {
            self.take(letter, &mut batch, &mut outs);
        }
        self.decide(Input::Tick, &mut batch);
        if self.more || !batch.events.is_empty() {
            self.plan(&mut batch);
        }
        if fate == Fate::DiesBeforeCommit {
            self.leak(batch, &mut outs);
            return outs;
        }
        self.commit(batch, journal, disk, fate, &mut outs);
        outs
    }

    fn refuse_letters(&mut self, outs: &mut Vec<Out>) {
        for letter in std::mem::take(&mut self.mailbox) {
            match letter {
                Letter::Input { ticket: Some(ticket), .. } => outs.push(Out::Reply(ticket, Err(Unavailable))),
                Letter::Register { stream, .. } => {
                    self.streams.remove(&stream);
                    outs.push(Out::HangUp(stream));
                }
                Letter::Input { ticket: None, .. } | Letter::Ends { .. } | Letter::Closed { .. } => {}
            }
        }
    }

    fn take(&mut self, letter: Letter, batch: &mut Batch, outs: &mut Vec<Out>) {
        let unchecked = self.sabotage == Some(Sabotage::SessionsUnchecked);
        match letter {
            Letter::Input { input, ticket } => {
                let answer = self.decide(input.clone(), batch);
                self.resume_regardless(&input, &answer, batch);
                batch.replies.extend(ticket.map(|ticket| (ticket, answer)));
            }
            Letter::Register { register, stream } => self.register(register, stream, batch, outs),
            Letter::Ends { node, session, ends, steps } => {
                if unchecked || self.links.is_current(node, session) {
                    self.decide(Input::Ends { node, ends, steps }, batch);
                }
            }
            Letter::Closed { node, session, left } => {
                // Its successor may be waiting for this very commit.
                let succeeded = batch.registrations.iter().any(|(other, ..)| *other == node);
                let closed = self.links.close(node, session);
                outs.extend(closed.map(Out::HangUp));
                if unchecked || (closed.is_some() && !succeeded) {
                    self.decide(if left { Input::Leave { node } } else { Input::LinkLost { node } }, batch);
                }
            }
        }
    }

    fn register(&mut self, register: Register, stream: StreamId, batch: &mut Batch, outs: &mut Vec<Out>) {
        if !self.admits(&register) {
            self.streams.remove(&stream);
            return outs.push(Out::HangUp(stream));
        }
        let name = register.name.as_str().into();
        let (offer, claims, steps) = register.into_offer();
        let input = Input::Register { name, offer, claims, steps };
        if let Answer::Registered(node, missed) = self.decide(input, batch) {
            batch.registrations.push((node, missed, stream));
        }
    }

    /// Not one that comes late, nor a node that has obeyed a newer controller, nor one under the name of another that is connected and keeps other records.
    fn admits(&self, register: &Register) -> bool {
        let known = self.cluster.node_named(&register.name);
        if known.is_some_and(|node| register.registration <= node.offer.registration) {
            return false;
        }
        let other = known.filter(|node| node.offer.spool != register.spool);
        let live = |node: NodeId| self.links.stream(node).is_some_and(|stream| self.streams.contains_key(&stream));
        register.epoch_seen <= self.epoch
            && !other.is_some_and(|node| live(node.id) || keeps_its_name(&self.cluster, node))
    }

    fn decide(&mut self, input: Input, batch: &mut Batch) -> Answer {
        let (events, answer) = decide(&self.cluster, &self.settings_for(&input), batch.at, input);
        for event in events {
            self.apply(event, batch);
        }
        answer
    }

    fn apply(&mut self, event: Event, batch: &mut Batch) {
        let mut next = VecDeque::from([event]);
        while let Some(event) = next.pop_front() {
            let Some(mut event) = left_of(&self.cluster, event) else { continue };
            self.spoil(&mut event);
            self.planner.note(&self.cluster, &event);
            self.cluster.apply(batch.at, self.misread(&event).as_ref().unwrap_or(&event));
            next.extend(follow(&self.cluster, &event));
            next.extend(self.jump_to_conclusions(&event));
            if self.keeps(&event) {
                batch.events.push(event);
            }
        }
    }

    /// One scheduling pass, by the planner that remembers; one that knows nothing beforehand must decide the same.
    fn plan(&mut self, batch: &mut Batch) {
        let pass = self.planner.pass(&self.cluster, batch.at, &self.settings);
        let anew = plan(&self.cluster, batch.at, &self.settings);
        assert_eq!(pass, anew, "a planner that remembers decides as one that starts from nothing");
        self.more = pass.more;
        for event in pass.events {
            self.apply(event, batch);
        }
    }

    fn commit(&mut self, batch: Batch, journal: &mut Journal, disk: Disk, fate: Fate, outs: &mut Vec<Out>) {
        if !batch.events.is_empty() {
            let record = Record { at: batch.at, events: batch.events.clone() };
            if !journal.append(record.clone(), disk) {
                if self.sabotage == Some(Sabotage::StoresTwice) && disk == Disk::Lies {
                    journal.append(record, Disk::Works);
                }
                return self.fall_back(batch, outs);
            }
            self.sequence += 1;
            self.published = self.cluster.clone();
            journal.consider_checkpoint(&self.cluster);
        }
        if fate == Fate::Lives {
            self.let_out(batch, outs);
        }
    }

    /// Nothing of the batch has happened, and whoever waits is told. A node that was registering loses its stream.
    fn fall_back(&mut self, batch: Batch, outs: &mut Vec<Out>) {
        self.cluster = self.published.clone();
        self.planner.reset();
        (self.broken, self.more) = (true, true);
        outs.extend(batch.replies.into_iter().map(|(ticket, _)| Out::Reply(ticket, Err(Unavailable))));
        for (_, _, stream) in batch.registrations {
            self.streams.remove(&stream);
            outs.push(Out::HangUp(stream));
        }
    }

    /// Reads what the failed commit has stored after all, and lets every node come again: what nodes said meanwhile is lost.
    /// False while the disk still refuses.
    fn mend(&mut self, journal: &Journal, disk: Disk, outs: &mut Vec<Out>) -> bool {
        if disk != Disk::Works {
            return false;
        }
        let mut happened = Vec::new();
        for record in journal.read(self.sequence) {
            record.events.iter().for_each(|event| self.cluster.apply(record.at, event));
            happened.extend_from_slice(&record.events);
        }
        self.sequence = journal.next_sequence();
        self.published = self.cluster.clone();
        self.broken = false;
        self.let_out(Batch { events: happened, ..Batch::of(Timestamp(0)) }, outs);
        if self.sabotage != Some(Sabotage::KeepsLinksOverFailure) {
            outs.extend(self.links.cut_all().map(Out::HangUp));
            self.begin();
        }
        true
    }

    /// What a controller that is killed before its commit lets out: nothing, unless it is sabotaged.
    fn leak(&mut self, batch: Batch, outs: &mut Vec<Out>) {
        match self.sabotage {
            Some(Sabotage::RepliesEarly) => {
                outs.extend(batch.replies.into_iter().map(|(ticket, answer)| Out::Reply(ticket, Ok(answer))));
            }
            Some(Sabotage::OrdersEarly) => self.let_out(Batch { replies: Vec::new(), ..batch }, outs),
            _ => {}
        }
    }
}
