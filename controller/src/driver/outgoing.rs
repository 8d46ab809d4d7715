//! What leaves after a commit: welcomes and orders to nodes.

use std::collections::BTreeSet;

use proto::link::{Order, Register, ToNode, Welcome};
use sched::event::{Effect, Event, effects};
use sched::ids::{JobId, NodeId};
use sched::node::Offer;
use sched::step::{Answer, Input};
use tokio::sync::{mpsc, oneshot};
use tracing::{error, info};

use super::Driver;
use super::batch::{Batch, Registration};
use crate::links::Outbox;

impl Driver {
    pub(super) fn register(
        &mut self,
        register: Register,
        sender: mpsc::Sender<ToNode>,
        reply: oneshot::Sender<(NodeId, u64)>,
        batch: &mut Batch,
    ) {
        if register.epoch_seen > self.epoch {
            let (seen, own) = (register.epoch_seen, self.epoch);
            return error!(node = register.name, seen, own, "a node has obeyed a newer controller; it is not let in");
        }
        let offer = Offer { amount: register.amount, spool: register.spool, address: register.address };
        let input = Input::Register { name: register.name.into(), offer, claims: register.claims };
        if let Answer::Registered(node, missed) = self.decide(input, batch) {
            batch.registrations.push(Registration { node, missed, sender, reply });
        }
    }

    /// Lets out what durable events ask for. Nodes that registered hear their welcome first.
    pub(super) fn let_out(&mut self, events: &[Event], registrations: Vec<Registration>) {
        let mut outbox = Outbox::default();
        for registration in registrations {
            self.welcome(registration, &mut outbox);
        }
        let mut touched = BTreeSet::new();
        for event in events {
            if let Event::Ended { key, .. } = event {
                touched.insert(key.job);
            }
            if let Event::Cancelled { job, .. } = event {
                touched.insert(*job);
            }
            if let Some(effect) = effects(event) {
                self.order(effect, &mut outbox);
            }
        }
        for job in touched {
            self.release_job(job, &mut outbox);
        }
        outbox.send(&mut self.links);
    }

    fn welcome(&mut self, registration: Registration, outbox: &mut Outbox) {
        let Registration { node, missed, sender, reply } = registration;
        let session = self.links.open(node, sender);
        info!(
            node = self.node_name(node),
            session,
            adopt = missed.adopt.len(),
            kill = missed.kill.len(),
            forget = missed.forget.len(),
            again = missed.again.len(),
            "welcome"
        );
        let settings = &self.config.settings;
        let welcome = Welcome {
            epoch: self.epoch,
            session,
            cluster: settings.cluster_name.clone(),
            adopt: missed.adopt,
            kill: missed.kill,
            forget: missed.forget,
            kill_wait_s: settings.kill_wait_s,
        };
        // Told before the welcome leaves, so that reports of this session find their node.
        if reply.send((node, session)).is_err() {
            return;
        }
        self.links.send(node, ToNode::Welcome(welcome));
        for effect in missed.again {
            self.order(effect, outbox);
        }
    }

    fn order(&mut self, effect: Effect, outbox: &mut Outbox) {
        match effect {
            Effect::Start { node, job, placements } => {
                let Some(brief_first) = self.links.must_brief(node, job) else { return };
                let Some(record) = self.cluster.job(job).cloned() else { return };
                let tasks = self.briefs.tasks(&self.cluster, &record, &placements);
                match (tasks, self.briefs.brief(&record)) {
                    (Ok(tasks), Ok(brief)) => {
                        if brief_first {
                            outbox.add(node, Order::Job(Box::new((*brief).clone())));
                        }
                        outbox.add(node, Order::Start { job, tasks });
                    }
                    (Err(error), _) | (_, Err(error)) => {
                        error!(%job, error = &error as &dyn std::error::Error, "a job cannot be given to its node");
                    }
                }
            }
            Effect::Stop { node, key, why } => outbox.add(node, Order::Stop { key, why }),
            Effect::Forget { node, key } => outbox.add(node, Order::Forget(key)),
        }
    }

    /// Nodes may drop what they keep for a job that is done, and so may we.
    fn release_job(&mut self, job: JobId, outbox: &mut Outbox) {
        if self.cluster.job(job).is_none_or(|job| job.is_done()) {
            self.briefs.drop_job(job);
            for node in self.links.unbrief(job) {
                outbox.add(node, Order::JobGone(job));
            }
        }
    }
}
