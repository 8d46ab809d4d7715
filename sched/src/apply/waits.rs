//! Applied to what a job waits for: terms that are decided, as a whole or task by task.

use crate::depend::Waits;
use crate::ids::Timestamp;
use crate::job::Job;
use crate::spec::dependency::{After, Term};
use crate::spec::index_set::IndexSet;

/// A term is decided: one that is met is gone, and with any-of-them so are the others.
pub(super) fn settle(job: &mut Job, term: &Term, met: bool, at: Timestamp) {
    let Some(waits) = &mut job.waits else { return };
    if let (true, Term::On { what: After::Started { minutes: minutes @ 1.. }, .. }) = (met, term) {
        job.begin = job.begin.max(Some(at.plus_ms(u64::from(*minutes) * 60_000)));
    }
    match (met, waits.any) {
        (true, true) => waits.terms.clear(),
        (true, false) => waits.terms.retain(|wait| wait.term != *term),
        (false, _) => waits.terms.iter_mut().filter(|wait| wait.term == *term).for_each(|wait| wait.failed = true),
    }
    if waits.terms.is_empty() {
        job.waits = None;
    }
}

/// Tasks are decided: those that no other term keeps may start, and those that failed never will.
pub(super) fn settle_tasks(job: &mut Job, term: &Term, met: &IndexSet, failed: &IndexSet) {
    let Some(waits) = &mut job.waits else { return };
    for wait in waits.terms.iter_mut().filter(|wait| wait.term == *term) {
        wait.open.subtract(met);
        wait.open.subtract(failed);
    }
    let mut still = IndexSet::new();
    waits.terms.iter().for_each(|wait| still.union_with(&wait.open));
    waits.terms.retain(|wait| wait.term != *term || !wait.open.is_empty());
    if waits.terms.is_empty() {
        job.waits = None;
    }
    let mut never = failed.clone();
    never.intersect_with(&job.blocked);
    job.blocked.subtract(&never);
    job.hopeless.union_with(&never);
    let mut free = met.clone();
    free.intersect_with(&job.blocked);
    free.subtract(&still);
    job.blocked.subtract(&free);
    job.pending.union_with(&free);
}

/// The job waits for something else from now on.
pub(super) fn wait_for(job: &mut Job, waits: Option<Waits>) {
    for set in [std::mem::take(&mut job.blocked), std::mem::take(&mut job.hopeless)] {
        job.pending.union_with(&set);
    }
    for wait in waits.iter().flat_map(|waits| &waits.terms) {
        job.blocked.union_with(&wait.open);
    }
    job.pending.subtract(&job.blocked);
    job.waits = waits;
}
