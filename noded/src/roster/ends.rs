//! How attempts end by noded's own doing.

use sched::reason::Exit;
use sched::reconcile::{AttemptEnd, How};
use sched::task::Usage;

/// Ends that noded itself brings about.
pub trait Ends {
    /// Stopped by TERM before a process of its own had begun, or outside one.
    fn terminated() -> Self;
    /// Failed with exit code 1, and says why.
    fn failed(note: String) -> Self;
}

impl Ends for AttemptEnd {
    fn terminated() -> AttemptEnd {
        let how = How::Exited(Exit { code: 0, signal: 15 });
        AttemptEnd { how, age_ms: 0, usage: Usage::default(), note: None }
    }

    fn failed(note: String) -> AttemptEnd {
        let how = How::Exited(Exit { code: 1, signal: 0 });
        AttemptEnd { how, age_ms: 0, usage: Usage::default(), note: Some(note) }
    }
}
