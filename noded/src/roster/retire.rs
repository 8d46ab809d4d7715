//! What a roster has to say to a node that goes for good.

use sched::ids::{AttemptKey, StepKey};
use sched::reason::StopWhy;

use super::{Act, Roster};

impl Roster {
    /// Whether nothing is left here that the controller has not counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.attempts.is_empty() && self.steps.keys().next().is_none()
    }

    /// Stops all that still runs, because this node goes: it starts again elsewhere, where it may.
    pub fn retire(&mut self) -> Vec<Act> {
        let attempts: Vec<AttemptKey> = self.attempts.keys().copied().collect();
        let steps: Vec<StepKey> = self.steps.keys().collect();
        let mut acts: Vec<Act> = attempts.into_iter().filter_map(|key| self.stop(key, StopWhy::Requeue)).collect();
        acts.extend(steps.into_iter().filter_map(|key| self.steps.stop(key, StopWhy::Requeue)).map(Act::Step));
        acts
    }
}
