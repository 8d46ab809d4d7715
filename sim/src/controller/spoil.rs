//! What a sabotaged controller does wrong with facts: it believes others than it keeps, or lets out others than it believes.

use sched::event::{Effect, Event};
use sched::ids::NodeId;
use sched::reason::{Ending, Exit, Outcome, StopWhy};
use sched::settings::Settings;
use sched::spec::array::JobRef;
use sched::step::{Answer, Input};
use sched::task::{TaskState, Usage};

use super::{Batch, Desk};
use crate::sabotage::Sabotage;

impl Desk {
    /// Makes another fact of one that is about to be applied and kept.
    pub(super) fn spoil(&self, event: &mut Event) {
        match (self.sabotage, &mut *event) {
            (Some(Sabotage::ForgetsExits), Event::Ended { outcome, .. }) => *outcome = Outcome::bare(Ending::Completed),
            (Some(Sabotage::ForgetsRetries), Event::Requeued { key, node, failed: true, .. }) => {
                // As most tasks leave that fail: only that it is counted is wrong.
                let exit = Exit { code: 3, signal: 0 };
                *event = ended(*key, *node, Outcome { exit, ..Outcome::bare(Ending::Failed) });
            }
            (Some(Sabotage::GivesUpEarly), Event::NodeRegistered { patience_ms, .. }) => *patience_ms = 0,
            _ => {}
        }
    }

    /// The settings by which it decides: one that gives nodes up early waits for a second.
    pub(super) fn settings_for(&self, input: &Input) -> Settings {
        let early = self.sabotage == Some(Sabotage::GivesUpEarly) && matches!(input, Input::Tick);
        Settings { node_timeout_s: if early { 1 } else { self.settings.node_timeout_s }, ..self.settings.clone() }
    }

    /// What it believes of a fact that it keeps as it is.
    pub(super) fn misread(&self, event: &Event) -> Option<Event> {
        match (self.sabotage?, event) {
            (Sabotage::ForgetsThrottles, Event::Throttled { job, .. }) => {
                Some(Event::Throttled { job: *job, throttle: None })
            }
            _ => None,
        }
    }

    /// Whether it believes a fact without keeping it.
    pub(super) fn keeps(&self, event: &Event) -> bool {
        self.sabotage != Some(Sabotage::ForgetsUndone) || !matches!(event, Event::Undone { .. })
    }

    /// What it takes for true because of a stop.
    pub(super) fn jump_to_conclusions(&self, event: &Event) -> Option<Event> {
        let Event::Stopped { key, node, why } = event else { return None };
        match self.sabotage? {
            Sabotage::CountsStopsAsEnds => Some(ended(*key, *node, Outcome::bare(Ending::Cancelled(0)))),
            Sabotage::RequeuesTheLiving if *why == StopWhy::Requeue => {
                Some(Event::Requeued { key: *key, node: *node, until: None, hold: None, failed: false })
            }
            _ => None,
        }
    }

    /// Whether it lets this out.
    pub(super) fn withholds(&self, effect: &Effect) -> bool {
        let late = matches!(effect, Effect::Stop { why: StopWhy::Deadline, .. });
        late && self.sabotage == Some(Sabotage::ForgetsDeadlines)
    }

    /// Whether it keeps this from a node that has missed it.
    pub(super) fn conceals(&self, effect: &Effect) -> bool {
        self.sabotage == Some(Sabotage::ForgetsSignals) && matches!(effect, Effect::Signal { .. })
    }

    /// Lets what it has just refused to resume go on all the same.
    pub(super) fn resume_regardless(&self, input: &Input, answer: &Answer, batch: &mut Batch) {
        let (Input::Pause { targets, suspend: false, .. }, Answer::Found(found)) = (input, answer) else { return };
        if self.sabotage != Some(Sabotage::ResumesRegardless) {
            return;
        }
        let refused = targets.iter().zip(found).filter(|(_, found)| found.is_err()).map(|(target, _)| target);
        batch.regardless.extend(refused.flat_map(|target| self.suspended(target)));
    }

    fn suspended(&self, target: &JobRef) -> Vec<Effect> {
        let Some(job) = self.cluster.job(sched::ids::JobId(target.job)) else { return Vec::new() };
        let resume = job.tasks.iter().filter_map(|(index, task)| match &task.state {
            TaskState::Suspended { full, .. } => {
                Some(Effect::Resume { node: full.first()?.node, key: job.attempt_key(*index)? })
            }
            TaskState::Running { .. }
            | TaskState::Finishing { .. }
            | TaskState::Closing { .. }
            | TaskState::Pending { .. } => None,
        });
        resume.collect()
    }
}

fn ended(key: sched::ids::AttemptKey, node: NodeId, outcome: Outcome) -> Event {
    Event::Ended { key, node, outcome, age_ms: 0, usage: Usage::default() }
}
