//! What leaves after a commit, in the driver's order: replies, welcomes, and one message of orders for each node.

use std::collections::{BTreeMap, BTreeSet};

use proto::link::{Order, ToNode, Welcome};
use sched::event::{Effect, Event, Placement, effects};
use sched::ids::{JobId, NodeId};
use sched::reconcile::Reconciled;

use super::brief::{brief, tasks, terms_of};
use super::{Batch, Desk, Letter, Out};
use crate::network::StreamId;
use crate::sabotage::Sabotage;

/// Orders by node.
type Outbox = BTreeMap<NodeId, Vec<Order>>;

impl Desk {
    pub(super) fn let_out(&mut self, batch: Batch, outs: &mut Vec<Out>) {
        outs.extend(batch.replies.into_iter().map(|(ticket, answer)| Out::Reply(ticket, Ok(answer))));
        let mut outbox = Outbox::new();
        for (node, missed, stream) in batch.registrations {
            self.welcome(node, missed, stream, &mut outbox, outs);
        }
        let mut touched = BTreeSet::new();
        for event in &batch.events {
            match event {
                Event::Ended { key, .. } => drop(touched.insert(key.job)),
                Event::Cancelled { job, .. } | Event::Expired { job, .. } => drop(touched.insert(*job)),
                _ => {}
            }
            for effect in effects(event) {
                if !self.withholds(&effect) {
                    self.order(effect, &mut outbox);
                }
            }
        }
        batch.regardless.into_iter().for_each(|effect| self.order(effect, &mut outbox));
        for job in touched {
            self.release_job(job, &mut outbox);
        }
        outs.extend(self.post(outbox));
    }

    fn post(&self, outbox: Outbox) -> impl Iterator<Item = Out> {
        let said = |(node, orders)| Some(Out::Say(self.links.stream(node)?, ToNode::Orders(orders)));
        outbox.into_iter().filter_map(said)
    }

    fn welcome(
        &mut self,
        node: NodeId,
        missed: Reconciled,
        stream: StreamId,
        outbox: &mut Outbox,
        outs: &mut Vec<Out>,
    ) {
        let (session, replaced) = self.links.open(node, stream);
        outs.extend(replaced.map(Out::HangUp));
        let Some(heard) = self.streams.get_mut(&stream) else {
            // The stream broke before its welcome, and nobody else will ever say that this session is lost.
            if self.sabotage != Some(Sabotage::WelcomesTheDead) {
                self.mailbox.push(Letter::Closed { node, session, left: false });
            }
            return;
        };
        heard.session = Some((node, session));
        let early = std::mem::take(&mut heard.early);
        let welcome = Welcome {
            epoch: self.epoch,
            session,
            cluster: self.settings.cluster_name.clone(),
            adopt: missed.adopt,
            kill: missed.kill,
            forget: missed.forget,
            kill_wait_s: self.settings.kill_wait_s,
            lease: missed.lease,
        };
        outs.push(Out::Say(stream, ToNode::Welcome(welcome.into())));
        for effect in missed.again {
            if !self.conceals(&effect) {
                self.order(effect, outbox);
            }
        }
        for said in early {
            outs.extend(self.hear(stream, said));
        }
    }

    fn order(&mut self, effect: Effect, outbox: &mut Outbox) {
        match effect {
            Effect::Start { node, job, placements } => {
                let Some(record) = self.cluster.job(job) else { return };
                let edition = |placement: &Placement| {
                    let (terms, partition) = terms_of(record, placement);
                    (terms.revision, partition.clone())
                };
                for group in placements.chunk_by(|a, b| edition(a) == edition(b)) {
                    let Some(brief_first) = self.links.must_brief(node, job, edition(&group[0])) else { return };
                    let orders = outbox.entry(node).or_default();
                    orders.extend(brief_first.then(|| Order::Job(Box::new(brief(record, &group[0])))));
                    orders.push(Order::Start { job, tasks: tasks(&self.cluster, record, group) });
                }
            }
            Effect::Stop { node, key, why } => outbox.entry(node).or_default().push(Order::Stop { key, why }),
            Effect::Forget { node, key } => outbox.entry(node).or_default().push(Order::Forget(key)),
            Effect::Suspend { node, key } => outbox.entry(node).or_default().push(Order::Suspend(key)),
            Effect::Resume { node, key } => outbox.entry(node).or_default().push(Order::Resume(key)),
            Effect::Limit { node, key, limit } => outbox.entry(node).or_default().push(Order::Limit { key, limit }),
            Effect::Signal { node, key, sent } => outbox.entry(node).or_default().push(Order::Signal { key, sent }),
            Effect::StopStep { node, key, why } => outbox.entry(node).or_default().push(Order::StopStep { key, why }),
            Effect::SignalStep { node, key, sent } => {
                outbox.entry(node).or_default().push(Order::SignalStep { key, sent });
            }
            Effect::ForgetStep { node, key } => outbox.entry(node).or_default().push(Order::ForgetStep(key)),
            Effect::StartStep { key, .. } => unreachable!("nobody in the model asks for the step {key}"),
        }
    }

    fn release_job(&mut self, job: JobId, outbox: &mut Outbox) {
        if self.cluster.job(job).is_none_or(|job| job.is_done()) {
            for node in self.links.unbrief(job) {
                outbox.entry(node).or_default().push(Order::JobGone(job));
            }
        }
    }
}
