//! Applied to steps, and to attempts that only wait for theirs.

use std::sync::Arc;

use crate::cluster::Cluster;
use crate::ids::{AttemptKey, JobId, NodeId, RequestId, StepKey, Timestamp};
use crate::index::Rows;
use crate::job::Job;
use crate::reason::{Outcome, Scope, StopWhy};
use crate::signals::{Sent, Signals};
use crate::spec::step::StepSpec;
use crate::steps::ends::together;
use crate::steps::{Part, Step, StepState};
use crate::task::{Task, TaskState, Usage, Verdict};

impl Cluster {
    /// Makes a fact about an attempt true, on which the limits of its steps depend.
    pub(super) fn with_limits(&mut self, attempt: AttemptKey, change: impl FnOnce(&mut Cluster)) {
        for limit in self.limits_of(attempt) {
            self.index.step_limits.remove(&limit);
        }
        change(self);
        let limits = self.limits_of(attempt);
        self.index.step_limits.extend(limits);
    }

    fn limits_of(&self, attempt: AttemptKey) -> Vec<(Timestamp, StepKey)> {
        let Some(job) = self.job(attempt.job) else { return Vec::new() };
        let Some(task) = job.tasks.get(&attempt.index) else { return Vec::new() };
        self.running_steps(attempt).filter_map(|key| Some((job.step(key)?.ends_by(task)?, key))).collect()
    }

    pub(super) fn step_created(
        &mut self,
        at: Timestamp,
        key: StepKey,
        request: RequestId,
        (spec, secret): (&Arc<StepSpec>, u128),
        parts: &Arc<[Part]>,
    ) {
        let left: Vec<NodeId> = parts.iter().map(|part| part.node).collect();
        self.index.step_requests.insert(request, key);
        self.index.running_steps.insert(key);
        self.index.step_parts.extend(left.iter().map(|node| (*node, key)));
        let task = self.jobs[&key.attempt.job].tasks.get(&key.attempt.index).expect("an attempt with steps has a row");
        let step = Step {
            attempt: key.attempt.attempt,
            request,
            name: spec.name.clone(),
            parts: parts.clone(),
            overlap: spec.overlap,
            started: at,
            time_limit: spec.time_limit,
            paused_ms: task.paused_ms,
            state: StepState::Running { spec: spec.clone(), secret, left, stop: None, so_far: None },
            signals: Signals::default(),
        };
        let limit = step.ends_by(task);
        self.index.step_limits.extend(limit.map(|limit| (limit, key)));
        let before = self.job_mut(key.attempt.job).steps.insert((key.attempt.index, key.step), Arc::new(step));
        assert!(before.is_none(), "step {key} was made twice");
    }

    /// A stop counts once; of a step that is over it means nothing.
    pub(super) fn step_stopped(&mut self, key: StepKey, why: StopWhy) {
        self.with_limits(key.attempt, |cluster| {
            if let StepState::Running { stop, .. } = &mut cluster.step_mut(key).state {
                stop.get_or_insert(why);
            }
        });
    }

    /// An attempt that has a newer run was not reached by it.
    pub(super) fn signalled(&mut self, key: AttemptKey, sent: Sent) {
        let task = self.job_mut(key.job).tasks.get_mut(&key.index).filter(|task| task.attempts == key.attempt);
        if let Some(task) = task.filter(|_| sent.scope != Scope::Steps) {
            task.signals.note(sent);
        }
    }

    pub(super) fn step_signalled(&mut self, key: StepKey, sent: Sent) {
        self.step_mut(key).signals.note(sent);
    }

    pub(super) fn step_part_ended(
        &mut self,
        at: Timestamp,
        key: StepKey,
        node: NodeId,
        outcome: &Outcome,
        usage: Usage,
    ) {
        self.with_limits(key.attempt, |cluster| {
            let gone = cluster.index.step_parts.remove(&(node, key)).is_some();
            assert!(gone, "the part of step {key} on node {} ended twice", node.0);
            let step = cluster.step_mut(key);
            let StepState::Running { left, so_far, .. } = &mut step.state else { panic!("step {key} ended twice") };
            left.retain(|other| *other != node);
            let (outcome, usage) = together(so_far.take(), outcome, usage);
            if left.is_empty() {
                (step.state, step.signals) = (StepState::Ended { at, outcome, usage }, Signals::default());
                cluster.index.running_steps.remove(&key);
            } else {
                *so_far = Some((outcome, usage));
            }
        });
    }

    /// The batch process of an attempt is over, and steps of it run: its node may forget it.
    pub(super) fn closing(&mut self, at: Timestamp, key: AttemptKey, verdict: &Verdict, age_ms: u64) {
        self.with_limits(key, |cluster| {
            cluster.change_job(at, key.job, Rows::Listed(&[key.index]), |job| {
                let task = job.tasks.get_mut(&key.index).expect("a task whose batch process ends has a row");
                close(task, at.minus_ms(age_ms), verdict);
            });
        });
    }

    /// Steps of a run that is past make room for those of the next.
    pub(super) fn drop_steps(&mut self, id: JobId, index: u32) {
        let keys: Vec<(u32, RequestId)> =
            self.jobs[&id].steps_of(index).map(|(number, step)| (number, step.request)).collect();
        for (number, request) in keys {
            self.index.step_requests.remove(&request);
            self.job_mut(id).steps.remove(&(index, number));
        }
    }

    fn job_mut(&mut self, id: JobId) -> &mut Job {
        Arc::make_mut(self.jobs.get_mut(&id).expect("a job with steps is there"))
    }

    fn step_mut(&mut self, key: StepKey) -> &mut Step {
        let step = self.job_mut(key.attempt.job).steps.get_mut(&(key.attempt.index, key.step));
        Arc::make_mut(step.expect("an event speaks of a step that is there"))
    }
}

fn close(task: &mut Task, ended: Timestamp, verdict: &Verdict) {
    let (since, shares) = match &task.state {
        TaskState::Running { since, shares } | TaskState::Finishing { since, shares, .. } => (*since, shares.clone()),
        TaskState::Suspended { since, shares, at, .. } => {
            task.paused_ms += ended.ms_since(*at);
            (*since, shares.clone())
        }
        TaskState::Pending { .. } | TaskState::Closing { .. } => panic!("a batch process ended that did not run"),
    };
    task.state = TaskState::Closing { since, shares, ended, verdict: verdict.clone() };
}
