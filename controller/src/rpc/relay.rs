//! The bytes of steps on their way: an `srun` on one side, a stepd for each node on the other, and for each step a [`Conduit`]
//! between them.
//!
//! A step's watcher reads its fate off the published state, so that `srun` hears of the end only when it is durable. Nothing here
//! decides: an `srun` that is gone for good leads to a stop, which the driver decides like any other.

mod conduit;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use proto::v1;
use sched::allow::Role;
use sched::cluster::Cluster;
use sched::ids::{JobId, NodeId, StepKey};
use sched::job::Job;
use sched::reason::{Ending, Outcome, StopWhy};
use sched::select::Asker;
use sched::spec::array::{JobRef, TaskSelector};
use sched::step::Input;
use sched::steps::ask::{StepSelector, StepTarget, StepWish};
use sched::steps::{Step, StepState};
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{info, warn};

use super::rows::state_of;
use crate::driver::{Post, Published};
use conduit::{Conduit, Next, StreamId};

/// How long a step goes on whose `srun` has gone away: so long it may take to come back after a broken stream.
const SRUN_GONE_MAX: Duration = Duration::from_secs(30);
/// How long the stepds of a step that has ended may take to say the rest.
const DRAIN_MAX: Duration = Duration::from_secs(5);
/// How long the streams of a step that is over are kept for an `srun` that has not heard of its end.
const OVER_MAX: Duration = Duration::from_secs(60);

/// All steps that have streams.
pub(crate) struct Relay {
    post: Post,
    published: Arc<Published>,
    lines: Mutex<BTreeMap<StepKey, Arc<Line>>>,
    /// For each job, the turns of the steps that wait for its CPUs.
    pub(super) turns: Mutex<BTreeMap<JobId, Arc<tokio::sync::Mutex<()>>>>,
}

/// A step's conduit, and who is told of its changes.
pub(super) struct Line {
    conduit: Mutex<Conduit>,
    changes: watch::Sender<()>,
}

impl Line {
    /// Changes the conduit, and wakes all that wait for it.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Conduit) -> T) -> T {
        let changed = change(&mut self.lock());
        self.changes.send_replace(());
        changed
    }

    fn lock(&self) -> MutexGuard<'_, Conduit> {
        // A panic between two changes leaves a conduit that is whole.
        self.conduit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a stream is to say next; `None` at its end.
    async fn next<M>(&self, mut next: impl FnMut(&mut Conduit) -> Next<M>) -> Option<M> {
        let mut changes = self.changes.subscribe();
        loop {
            changes.borrow_and_update();
            let found = next(&mut self.lock());
            match found {
                Next::Say(message) => return Some(message),
                Next::End => return None,
                Next::Wait => changes.changed().await.ok()?,
            }
        }
    }

    pub(super) async fn next_for_srun(&self, stream: StreamId) -> Option<v1::ToSrun> {
        self.next(|conduit| conduit.next_for_srun(stream)).await
    }

    pub(super) async fn next_for_node(&self, node: &str, stream: StreamId) -> Option<v1::ToStepd> {
        let message = self.next(|conduit| conduit.next_for_node(node, stream)).await;
        // What it has been told of makes room, and others may wait for that.
        self.changes.send_replace(());
        message
    }

    /// Waits until a condition holds.
    pub(super) async fn until(&self, holds: impl Fn(&Conduit) -> bool) {
        let mut changes = self.changes.subscribe();
        loop {
            changes.borrow_and_update();
            if holds(&self.lock()) {
                return;
            }
            if changes.changed().await.is_err() {
                return;
            }
        }
    }
}

impl Relay {
    pub(crate) fn new(post: Post, published: Arc<Published>) -> Arc<Relay> {
        Arc::new(Relay { post, published, lines: Mutex::default(), turns: Mutex::default() })
    }

    /// The line of a step that is remembered; it is watched from then on.
    pub(super) fn line(self: &Arc<Relay>, key: StepKey) -> Option<Arc<Line>> {
        let cluster = self.published.cluster();
        let job = cluster.job(key.attempt.job)?;
        let step = job.step(key)?;
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = lines.get(&key) {
            return Some(line.clone());
        }
        let input_task = match &step.state {
            StepState::Running { spec, .. } => spec.input_task,
            StepState::Ended { .. } => None,
        };
        let conduit = Conduit::new(created(&cluster, job, key, step), input_task, Instant::now());
        let line = Arc::new(Line { conduit: Mutex::new(conduit), changes: watch::Sender::new(()) });
        lines.insert(key, line.clone());
        tokio::spawn(self.clone().watch(key, line.clone()));
        Some(line)
    }

    /// Follows a step to its end, and drops its line then.
    async fn watch(self: Arc<Relay>, key: StepKey, line: Arc<Line>) {
        let mut changes = self.published.changes();
        let mut last = None;
        loop {
            changes.borrow_and_update();
            let cluster = self.published.cluster();
            let Some(step) = cluster.step(key) else { break };
            if let StepState::Ended { outcome, .. } = &step.state {
                self.end(&line, ended(outcome)).await;
                break;
            }
            let left: Vec<String> = step.left().iter().map(|node| name(&cluster, *node)).collect();
            if last.as_ref() != Some(&left) {
                line.change(|conduit| conduit.left(&left));
                last = Some(left);
            }
            let stopped = step.stopped().is_some();
            drop(cluster);
            let gone = line.lock().gone_since();
            let due = gone.map(|gone| if stopped { gone } else { gone + SRUN_GONE_MAX });
            if due.is_some_and(|due| due <= Instant::now()) {
                self.give_up(key, &line, stopped).await;
                continue;
            }
            let due = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    // It may go away at any time.
                    None => line.until(|conduit| conduit.gone_since().is_some()).await,
                }
            };
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { break },
                () = due => {}
            }
        }
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).remove(&key);
        line.change(|conduit| conduit.hang_up());
    }

    /// The `srun` of a step is gone for good: nobody will read what its tasks write, and they are stopped, as under Slurm.
    async fn give_up(&self, key: StepKey, line: &Line, stopped: bool) {
        line.change(Conduit::detach);
        if stopped {
            return;
        }
        info!(step = %key, "its srun is gone, so it is stopped");
        self.wish(key, StepWish::Stop(StopWhy::Cancelled(self.owner(key)))).await;
    }

    /// The user of a step's job.
    pub(super) fn owner(&self, key: StepKey) -> u32 {
        self.cluster().job(key.attempt.job).map_or(0, |job| job.terms.spec.user.uid)
    }

    pub(super) fn cluster(&self) -> Arc<Cluster> {
        self.published.cluster()
    }

    /// Asks the driver for something that nobody waits for.
    pub(super) async fn wish(&self, key: StepKey, wish: StepWish) {
        let tasks = match self.published.cluster().job(key.attempt.job) {
            Some(job) if job.is_array() => TaskSelector::One(key.attempt.index),
            _ => TaskSelector::All,
        };
        let job = JobRef { job: key.attempt.job.0, tasks };
        let targets = vec![StepTarget { job, step: StepSelector::Number(key.step) }];
        let asker = Asker { uid: self.owner(key), role: Role::User };
        if let Err(error) = self.post.ask(Input::Steps { targets, wish, asker }, Vec::new()).await {
            warn!(step = %key, %error, "a wish for a step was not kept");
        }
    }

    /// Lets what is still on its way arrive, and the end after it.
    async fn end(&self, line: &Line, ended: v1::StepEnded) {
        line.change(|conduit| conduit.left(&[]));
        // A stepd leaves when all that it said has been received.
        tokio::time::timeout(DRAIN_MAX, line.until(|conduit| !conduit.has_stepd())).await.ok();
        line.change(|conduit| conduit.end(ended));
        tokio::time::timeout(OVER_MAX, line.until(Conduit::has_said_the_end)).await.ok();
    }
}

/// Where a step runs, for its `srun`.
fn created(cluster: &Cluster, job: &Job, key: StepKey, step: &Step) -> v1::StepCreated {
    let share = |part: &sched::steps::Part| v1::StepShare {
        node: name(cluster, part.node),
        first_task: part.first_task,
        tasks: part.tasks,
        cpus_milli: part.cpus.milli(),
    };
    v1::StepCreated {
        name: Some(key.into()),
        job_label: job.label(key.attempt.index),
        shares: step.parts.iter().map(share).collect(),
    }
}

fn name(cluster: &Cluster, node: NodeId) -> String {
    cluster.node_name(node).map(ToString::to_string).unwrap_or_default()
}

fn ended(outcome: &Outcome) -> v1::StepEnded {
    v1::StepEnded {
        exit_code: outcome.exit.code.into(),
        exit_signal: outcome.exit.signal.into(),
        state: state_word(outcome.ending),
    }
}

/// Slurm's word for an end.
pub(super) fn state_word(ending: Ending) -> String {
    let state = state_of(&Outcome::bare(ending)).as_str_name();
    state.trim_start_matches("JOB_STATE_").to_owned()
}
