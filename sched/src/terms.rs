//! What holds for tasks that wait or run together: what was asked for, as it stands after every change since.
//!
//! A job has terms, and a task that was changed by itself has its own beside them ([`crate::task::Own`]). Terms say nothing of
//! how far anything is: that is [`crate::job`] and [`crate::task`].

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ids::{Name, Timestamp};
use crate::shared::Shared;
use crate::spec::duration::TimeLimit;
use crate::spec::job::JobSpec;

/// What was asked for, and what the controller made of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Terms {
    /// What was asked for.
    #[serde(with = "crate::shared::arc")]
    pub spec: Arc<JobSpec>,
    /// The partitions in which it may start, the one with the highest tier first; never empty.
    pub partitions: Shared<Vec<Name>>,
    /// The time limit of each attempt.
    pub time_limit: TimeLimit,
    /// Its place in the queue: higher goes first. Below 1 where nice says so; listings show at least 1.
    pub priority: i64,
    /// Whether a person has set the priority: then nothing computes it until it is released.
    pub fixed: bool,
    /// Counts the changes of a job's terms, so that a node can tell one brief of a job from another.
    pub revision: u32,
}

impl Terms {
    /// The same terms, with as much of them as may be kept once for them and for others. Users submit again and again what is nearly the
    /// same.
    pub(crate) fn beside(self: &Arc<Terms>, other: &Arc<Terms>) -> Arc<Terms> {
        if Arc::ptr_eq(self, other) || self == other {
            return other.clone();
        }
        let spec = if self.spec == other.spec {
            other.spec.clone()
        } else if self.spec.is_apart(&other.spec) {
            Arc::new(self.spec.beside(&other.spec))
        } else {
            self.spec.clone()
        };
        if Arc::ptr_eq(&spec, &self.spec) && !self.partitions.is_apart(&other.partitions) {
            return self.clone();
        }
        let mut terms = Terms { spec, ..Terms::clone(self) };
        terms.partitions.share_with(&other.partitions);
        Arc::new(terms)
    }

    /// The partition that listings name while nothing has started: the first.
    #[must_use]
    pub fn partition(&self) -> &Name {
        self.partitions.first().expect("a job waits in a partition")
    }

    /// Whether its steps get a signal ahead of the time limit.
    #[must_use]
    pub fn warns_steps(&self) -> bool {
        self.spec.warning.is_some_and(|warning| !warning.batch_only)
    }

    /// The last moment at which a task may start and still end before its deadline; `None` without one.
    #[must_use]
    pub fn start_by(&self) -> Option<Timestamp> {
        let needed_ms = self.time_limit.seconds().unwrap_or(0) * 1000;
        self.spec.deadline.map(|deadline| deadline.minus_ms(needed_ms))
    }
}

/// Who keeps tasks from starting.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Hold {
    /// Its user; who may release it, too.
    #[default]
    User,
    /// An administrator; only one may release it.
    Admin,
    /// Covey: it was requeued too often after failed launches.
    MaxRequeue,
    /// Whoever requeued it, in Slurm's state SPECIAL_EXIT.
    SpecialExit,
}
