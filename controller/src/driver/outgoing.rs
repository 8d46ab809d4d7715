//! What leaves after a commit: welcomes and orders to nodes.

use std::collections::BTreeSet;

use proto::link::{Order, Register, StartStep, StepShare, ToNode, Welcome};
use proto::node_certificate::NodeCertificate;
use sched::event::{Effect, Event, Placement, effects};
use sched::ids::{AttemptKey, JobId, NodeId, StepKey};
use sched::job::Job;
use sched::lease::keeps_its_name;
use sched::members::Fact;
use sched::spec::step::StepSpec;
use sched::step::{Answer, Input};
use sched::steps::StepState;
use sched::task::TaskState;
use tokio::sync::mpsc;
use tracing::{error, info, warn};

use super::Driver;
use super::batch::{Batch, Registration};
use super::letter::{Registered, Session};
use crate::briefs::{BriefError, Edition};
use crate::links::Outbox;
use crate::rpc::caller::shut_out;

impl Driver {
    pub(super) fn register(
        &mut self,
        register: Register,
        sender: mpsc::Sender<ToNode>,
        reply: Registered,
        batch: &mut Batch,
    ) {
        let name = register.name.as_str().into();
        let (offer, claims, steps) = register.into_offer();
        let input = Input::Register { name, offer, claims, steps };
        if let Answer::Registered(node, missed) = self.decide(input, batch) {
            batch.registrations.push(Registration { node, missed, sender, reply });
        }
    }

    /// Whether a node may register: not when a later registration of it is known, because what this one claims has passed; not
    /// when it has obeyed a newer controller; and not under the name of one that is connected
    /// and keeps other records, because that one's tasks would be taken for lost while they run.
    pub(super) fn admit(&self, register: &Register, certificate: Option<&NodeCertificate>) -> Result<(), String> {
        // Between its call and this moment the node may have been shut out.
        let counts = |shown: &NodeCertificate| self.cluster.members().is_member(&shown.name, shown.key);
        if certificate.is_some_and(|shown| !counts(shown)) {
            return Err(shut_out(&register.name));
        }
        if register.epoch_seen > self.epoch {
            let (seen, own) = (register.epoch_seen, self.epoch);
            return Err(format!("it has obeyed a controller of epoch {seen}, and this one is of epoch {own}"));
        }
        let known = self.cluster.node_named(&register.name);
        if let Some(node) = known.filter(|node| register.registration <= node.offer.registration) {
            let (late, last) = (register.registration, node.offer.registration);
            return Err(format!(
                "its registration {late} comes after {last}: it was late, or the node's clock went back"
            ));
        }
        match known.filter(|node| node.offer.spool != register.spool) {
            Some(node) if self.links.is_live(node.id) => {
                Err(format!("a node named {} is connected already: give another --name", node.name))
            }
            Some(node) if keeps_its_name(&self.cluster, node) => Err(format!(
                "the node that was {0} before may still run tasks: it is let in when that is given up (SlurmdTimeout), or now \
                 if you know it dead: scontrol update nodename={0} state=down reason=replaced",
                node.name
            )),
            Some(_) | None => Ok(()),
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
            if let Event::Cancelled { job, .. } | Event::Expired { job, .. } = event {
                touched.insert(*job);
            }
            if let Event::Membership(Fact::Revoked { name, .. }) = event {
                self.shut_out(name);
            }
            for effect in effects(event) {
                self.order(effect, &mut outbox);
            }
        }
        for job in touched {
            self.release_job(job, &mut outbox);
        }
        outbox.send(&mut self.links);
    }

    /// Cuts a node's link. What it says over the broken one counts no more, because its session is gone.
    fn shut_out(&mut self, name: &str) {
        if let Some(node) = self.cluster.node_named(name) {
            warn!(node = name, "the node was revoked; its link is cut");
            self.links.cut(node.id);
        }
    }

    fn welcome(&mut self, registration: Registration, outbox: &mut Outbox) {
        let Registration { node, missed, sender, reply } = registration;
        let session = self.links.open(node, sender);
        let lease = missed.lease;
        self.count_links();
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
            lease,
        };
        // The task that listens to the node holds the other end until the node is gone, and then says so.
        reply.send(Ok(Session { node, number: session, lease })).ok();
        self.links.send(node, ToNode::Welcome(welcome.into()));
        for effect in missed.again {
            self.order(effect, outbox);
        }
    }

    fn order(&mut self, effect: Effect, outbox: &mut Outbox) {
        match effect {
            Effect::Start { node, job, placements } => {
                let Some(record) = self.cluster.job(job).cloned() else { return };
                // Tasks with the same terms and the same partition share what their node is told of the job.
                for group in placements.chunk_by(|a, b| Edition::of(&record, a) == Edition::of(&record, b)) {
                    if let Err(error) = self.give(node, &record, group, outbox) {
                        error!(%job, error = &error as &dyn std::error::Error, "a job cannot be given to its node");
                    }
                }
            }
            Effect::Stop { node, key, why } => outbox.add(node, Order::Stop { key, why }),
            Effect::Forget { node, key } => outbox.add(node, Order::Forget(key)),
            Effect::Suspend { node, key } => outbox.add(node, Order::Suspend(key)),
            Effect::Resume { node, key } => outbox.add(node, Order::Resume(key)),
            Effect::Limit { node, key, limit } => outbox.add(node, Order::Limit { key, limit }),
            Effect::Signal { node, key, sent } => outbox.add(node, Order::Signal { key, sent }),
            Effect::StartStep { node, key } => {
                if let Err(error) = self.give_step(node, key, outbox) {
                    error!(%key, error = &error as &dyn std::error::Error, "a step cannot be given to its node");
                }
            }
            Effect::StopStep { node, key, why } => outbox.add(node, Order::StopStep { key, why }),
            Effect::SignalStep { node, key, sent } => outbox.add(node, Order::SignalStep { key, sent }),
            Effect::ForgetStep { node, key } => outbox.add(node, Order::ForgetStep(key)),
        }
    }

    fn give(
        &mut self,
        node: NodeId,
        job: &Job,
        placements: &[Placement],
        outbox: &mut Outbox,
    ) -> Result<(), BriefError> {
        let Some(first) = placements.first() else { return Ok(()) };
        let edition = Edition::of(job, first);
        let Some(must_brief) = self.links.must_brief(node, job.id, &edition) else { return Ok(()) };
        let tasks = self.briefs.tasks(&self.cluster, job, first, placements)?;
        if must_brief {
            let brief = self.briefs.brief(&self.cluster, job, first)?;
            self.links.briefed(node, job.id, edition);
            outbox.add(node, Order::Job(Box::new((*brief).clone())));
        }
        outbox.add(node, Order::Start { job: job.id, tasks });
        Ok(())
    }

    /// A part of a step; of one that has ended meanwhile there is nothing to give.
    fn give_step(&mut self, node: NodeId, key: StepKey, outbox: &mut Outbox) -> Result<(), BriefError> {
        let Some(job) = self.cluster.job(key.attempt.job).cloned() else { return Ok(()) };
        let Some(step) = job.step(key).filter(|step| step.left().contains(&node)) else { return Ok(()) };
        let (StepState::Running { spec, secret, .. }, Some(task)) = (&step.state, job.tasks.get(&key.attempt.index))
        else {
            return Ok(());
        };
        let shares = match &task.state {
            TaskState::Suspended { full, .. } => Some(full),
            state => state.shares(),
        };
        let Some(shares) = shares.cloned() else { return Ok(()) };
        let job_ran_ms = step.job_ran_ms(task);
        let AttemptKey { index, attempt, .. } = key.attempt;
        let placement = Placement { index, id: task.id, attempt, shares, partition: task.partition.clone() };
        let brief = self.briefs.brief(&self.cluster, &job, &placement)?.light();
        let mut tasks = self.briefs.tasks(&self.cluster, &job, &placement, std::slice::from_ref(&placement))?;
        let Some(task) = tasks.pop() else { return Ok(()) };
        let shares = step.parts.iter().filter_map(|part| {
            let node = self.cluster.node_name(part.node)?.to_string();
            Some(StepShare { node, first_task: part.first_task, tasks: part.tasks, cpus: part.cpus })
        });
        let (spec, shares, secret) = (StepSpec::clone(spec), shares.collect(), *secret);
        let start = StartStep { key, spec, shares, secret, job: brief, task, job_ran_ms };
        outbox.add(node, Order::StartStep(Box::new(start)));
        Ok(())
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
