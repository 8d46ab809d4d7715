//! `sbatch --test-only`: when and where a job would start, without submitting it.
//!
//! The job is put into a copy of the cluster, which shares its records with the original, and a pass is made there.

use std::sync::Arc;

use crate::cluster::Cluster;
use crate::event::Event;
use crate::ids::{JobId, Name, NodeId, RequestId, Timestamp};
use crate::plan::{expected_starts, plan};
use crate::refusal::Refusal;
use crate::settings::Settings;
use crate::spec::job::JobSpec;
use crate::submit::submit;

/// A start that nobody has asked for yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Rehearsal {
    /// The number that it would have.
    pub job: JobId,
    /// When; absent where nobody can tell yet.
    pub at: Option<Timestamp>,
    /// Where; empty where nobody can tell yet.
    pub nodes: Vec<NodeId>,
    /// On so many CPUs.
    pub cpus: u32,
    /// In which partition.
    pub partition: Name,
}

/// Says when and where a job would start, the first task of an array.
///
/// # Errors
/// What a submit would be refused with.
pub fn rehearse(
    cluster: &Cluster,
    settings: &Settings,
    now: Timestamp,
    request: RequestId,
    spec: Arc<JobSpec>,
) -> Result<Rehearsal, Refusal> {
    let (events, job) = submit(cluster, settings, now, request, spec)?;
    let mut stage = cluster.clone();
    events.iter().for_each(|event| stage.apply(now, event));
    let started = plan(&stage, now, settings).events.into_iter().find_map(|event| start_of(event, job));
    let record = stage.job(job).expect("it was just submitted");
    let (terms, asked) = (&record.terms, record.terms.spec.request.cpus().count());
    let partition = terms.partition().clone();
    if let Some((nodes, cpus)) = started {
        return Ok(Rehearsal { job, at: Some(now), nodes, cpus, partition });
    }
    let expected = expected_starts(&stage, now, settings).remove(&(job, None));
    let (at, nodes) = expected.map_or((terms.spec.begin, Vec::new()), |(at, nodes)| (Some(at), nodes));
    Ok(Rehearsal { job, at, nodes, cpus: asked, partition })
}

/// Where the job's first task starts, and with how many CPUs.
fn start_of(event: Event, wanted: JobId) -> Option<(Vec<NodeId>, u32)> {
    let Event::Started { job, placements } = event else { return None };
    let first = placements.first().filter(|_| job == wanted)?;
    let cpus = first.shares.iter().map(|share| share.amount.cpus.count()).sum();
    Some((first.shares.iter().map(|share| share.node).collect(), cpus))
}
