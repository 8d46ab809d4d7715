//! Brings jobs from memory ahead of their use, for whoever goes over many of them.
//!
//! A job is some pieces that name each other and lie anywhere: one job after the other waits for each piece in turn, while a processor can
//! wait for many at a time. Nothing is decided or changed here. Start at [`bring`].

use crate::job::Job;

/// So many jobs are worth bringing together: more than that a processor's nearest cache does not hold.
pub const JOBS_TOGETHER: usize = 32;

/// Looks at the pieces of these jobs that listings read and that an end changes: all first pieces, then all second ones, and so on.
pub fn bring(jobs: &[&Job]) {
    let sum = |part: fn(&Job) -> usize| jobs.iter().map(|job| part(job)).fold(0, usize::wrapping_add);
    let own = sum(|job| {
        let parts = [
            job.has_remainder(),
            job.waits.is_some(),
            job.held.is_some(),
            job.tasks.is_empty(),
            job.requeued.is_empty(),
            job.done.is_empty(),
            job.ended.is_none(),
            job.steps.is_empty(),
        ];
        parts.into_iter().filter(|part| *part).count() + job.throttle.map_or(0, |_| 1)
    });
    let terms = sum(|job| usize::from(job.terms.fixed) + job.terms.partitions.len());
    let spec = sum(|job| {
        let spec = &job.terms.spec;
        spec.name.len() + usize::from(spec.array.is_some()) + spec.request.nodes_min as usize
    });
    let texts = sum(|job| {
        let spec = &job.terms.spec;
        let first = |text: &str| text.bytes().next().map_or(0, usize::from);
        first(&spec.name) + first(&spec.user.name) + first(job.terms.partition())
    });
    std::hint::black_box((own, terms, spec, texts));
}
