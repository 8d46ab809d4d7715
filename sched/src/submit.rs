//! Accepting a job: the partition it goes to, the limit it gets, and every reason to refuse it.

use std::sync::Arc;

use crate::cluster::Cluster;
use crate::depend::target_of;
use crate::event::Event;
use crate::ids::{JobId, RequestId};
use crate::partition::{Partition, PartitionState};
use crate::plan::could_ever_start;
use crate::refusal::Refusal;
use crate::settings::Settings;
use crate::spec::dependency::{After, Term};
use crate::spec::job::JobSpec;
use crate::wishes;

/// The priority of every job until weights are set, as Slurm's multifactor plugin gives with none.
const PRIORITY: u32 = 1;

/// Accepts a job, or says why not. A request that was seen before answers with its job and makes no second one.
pub(crate) fn submit(
    cluster: &Cluster,
    settings: &Settings,
    request: RequestId,
    spec: Arc<JobSpec>,
) -> Result<(Vec<Event>, JobId), Refusal> {
    if let Some(job) = cluster.job_of_request(request) {
        return Ok((Vec::new(), job));
    }
    if cluster.job_count() >= settings.job_count_max {
        return Err(Refusal::TooManyJobs(settings.job_count_max));
    }
    if let Some(array) = &spec.array
        && array.max() >= settings.array_size_max
    {
        let index_max = settings.array_size_max.saturating_sub(1);
        return Err(Refusal::ArrayTooBig { index: array.max(), index_max });
    }
    check_dependency(cluster, &spec)?;
    let partition = choose_partition(cluster, &spec)?;
    wishes::check(cluster, settings, partition, &spec.request)?;
    if !could_ever_start(cluster, partition, &spec.request) {
        return Err(Refusal::NeverFits { detail: wishes::describe_misfit(cluster, partition, &spec.request) });
    }
    let job = cluster.id_after(cluster.last_job);
    let time_limit = partition.time_limit(spec.time_limit);
    let partition = partition.name.clone();
    Ok((vec![Event::Submitted { job, request, spec, partition, time_limit, priority: PRIORITY }], job))
}

fn choose_partition<'a>(cluster: &'a Cluster, spec: &JobSpec) -> Result<&'a Arc<Partition>, Refusal> {
    if let Some(unknown) = spec.partitions.iter().find(|name| cluster.partition(name).is_none()) {
        return Err(Refusal::UnknownPartition(unknown.to_string()));
    }
    let mut named: Vec<&Arc<Partition>> = spec.partitions.iter().filter_map(|name| cluster.partition(name)).collect();
    named.sort_by_key(|partition| std::cmp::Reverse(partition.tier));
    let partition =
        named.first().copied().or_else(|| cluster.default_partition()).ok_or(Refusal::NoDefaultPartition)?;
    match partition.state {
        PartitionState::Up | PartitionState::Down => Ok(partition),
        PartitionState::Drain | PartitionState::Inactive => Err(Refusal::PartitionClosed(partition.name.to_string())),
    }
}

/// A target that was never there is refused; one that is long gone counts as ended, which is all that some terms want.
fn check_dependency(cluster: &Cluster, spec: &JobSpec) -> Result<(), Refusal> {
    for term in spec.dependency.iter().flat_map(|dependency| &dependency.terms) {
        let Term::On { what, target } = term else { continue };
        let gone = JobId(target.job) <= cluster.last_job.unwrap_or(JobId(0));
        let enough = gone && matches!(what, After::Any | After::Started { .. });
        if target_of(cluster, term).is_none() && !enough {
            return Err(Refusal::Dependency(term.to_string()));
        }
    }
    Ok(())
}
