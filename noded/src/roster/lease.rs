//! What the node's lease means for what noded does in its own process: it ends when the lease is over, and what has ended without one
//! waits for the controller's word.

use sched::ids::AttemptKey;
use sched::reconcile::AttemptEnd;

use super::{Act, Entry, Roster, State};

impl Roster {
    /// What has waited for the controller to want it still.
    pub(super) fn publish_after_all(&mut self, key: AttemptKey) -> Option<Act> {
        let entry = self.attempts.get_mut(&key)?;
        let State::Waiting { job, usage } = &entry.state else { return None };
        let (job, usage) = (job.clone(), *usage);
        entry.state = State::Publishing { usage };
        Some(Act::Publish(job))
    }

    /// The lease is over, or there was none so far. What this process does itself for tasks that may run elsewhere ends here, and publishes nothing more; to
    /// end their processes is the launcher's business.
    pub fn on_lease_over(&mut self, now_ms: u64) -> Vec<Act> {
        self.out_of_lease = true;
        let here = |entry: &Entry| match entry.state {
            State::Staging(_) | State::Converting | State::Publishing { .. } => entry.leased,
            State::Launched(_) | State::Waiting { .. } | State::Ended { .. } => false,
        };
        let keys: Vec<AttemptKey> =
            self.attempts.iter().filter(|(_, entry)| here(entry)).map(|(key, _)| *key).collect();
        let end = |key| std::iter::once(Act::Abandon(key)).chain(self.end(key, AttemptEnd::lost(), now_ms));
        keys.into_iter().flat_map(end).collect()
    }
}
