//! Accepting a job: the partition it goes to, the limit it gets, and every reason to refuse it.

use std::sync::Arc;

use crate::cluster::Cluster;
use crate::depend::target_of;
use crate::event::Event;
use crate::ids::{JobId, Name, RequestId, Timestamp};
use crate::partition::{Partition, PartitionState};
use crate::plan::could_ever_start;
use crate::priority::priority;
use crate::refusal::Refusal;
use crate::settings::Settings;
use crate::spec::dependency::{After, Term};
use crate::spec::job::JobSpec;
use crate::terms::Terms;
use crate::wishes;

/// Accepts a job, or says why not. A request that was seen before answers with its job and makes no second one.
pub(crate) fn submit(
    cluster: &Cluster,
    settings: &Settings,
    now: Timestamp,
    request: RequestId,
    spec: Arc<JobSpec>,
) -> Result<(Vec<Event>, JobId), Refusal> {
    if let Some(job) = cluster.job_of_request(request) {
        return Ok((Vec::new(), job));
    }
    if settings.root_jobs_disabled && spec.user.uid == 0 {
        return Err(Refusal::RootJobsDisabled);
    }
    if cluster.job_count() >= settings.job_count_max {
        return Err(Refusal::TooManyJobs(settings.job_count_max));
    }
    check_load(cluster, settings, &spec)?;
    if let Some(array) = &spec.array
        && array.max() >= settings.array_size_max
    {
        let index_max = settings.array_size_max.saturating_sub(1);
        return Err(Refusal::ArrayTooBig { index: array.max(), index_max });
    }
    check_dependency(cluster, &spec)?;
    let terms = terms(cluster, settings, now, spec)?;
    let job = cluster.id_after(cluster.last_job);
    // A commit of many submits says once what they have in common.
    let terms = cluster.index.newest.beside(&Arc::new(terms));
    Ok((vec![Event::Submitted { job, request, terms }], job))
}

/// What one user may have, whatever there is in all.
fn check_load(cluster: &Cluster, settings: &Settings, spec: &JobSpec) -> Result<(), Refusal> {
    let load = cluster.index.load_of(spec.user.uid);
    let user = || spec.user.name.to_string();
    if settings.user_jobs_max > 0 && load.open >= settings.user_jobs_max {
        return Err(Refusal::TooManyOfUser { user: user(), max: settings.user_jobs_max });
    }
    let bytes_max = settings.user_mib_max.saturating_mul(1024 * 1024);
    if bytes_max > 0 && load.bytes.saturating_add(spec.bytes) > bytes_max {
        return Err(Refusal::TooManyBytesOfUser { user: user(), bytes: load.bytes, mib_max: settings.user_mib_max });
    }
    Ok(())
}

/// What the controller makes of a spec: where it may start, for how long, and its place in the queue.
pub(crate) fn terms(
    cluster: &Cluster,
    settings: &Settings,
    now: Timestamp,
    spec: Arc<JobSpec>,
) -> Result<Terms, Refusal> {
    if !spec.labels.reservation.is_empty() {
        return Err(Refusal::NoReservation(spec.labels.reservation.clone()));
    }
    let partitions = choose_partitions(cluster, &spec)?;
    let serves = |partition: &Partition| {
        wishes::check(cluster, settings, partition, &spec.request)?;
        if could_ever_start(cluster, partition, &spec.request) {
            return Ok(());
        }
        Err(Refusal::NeverFits { detail: wishes::describe_misfit(cluster, partition, &spec.request) })
    };
    let refusals: Vec<Refusal> = partitions.iter().filter_map(|partition| serves(partition).err()).collect();
    if refusals.len() == partitions.len() {
        return Err(refusals.into_iter().next().expect("a job names a partition, or gets one"));
    }
    let time_limit = partitions[0].time_limit(spec.time_limit);
    let names: Vec<Name> = partitions.into_iter().map(|partition| partition.name.clone()).collect();
    let (fixed, given) = (spec.priority.is_some(), i64::from(spec.priority.unwrap_or(0)));
    let mut terms = Terms { spec, partitions: names.into(), time_limit, priority: given, fixed, revision: 0 };
    if let Some(start_by) = terms.start_by().filter(|start_by| *start_by < now) {
        return Err(Refusal::DeadlineTooSoon { late_s: now.ms_since(start_by).div_ceil(1000) });
    }
    terms.priority = priority(cluster, &settings.weights, &terms, 0);
    Ok(terms)
}

/// The partitions that are named, or else the default one, without those that take no jobs now; the highest tier first.
fn choose_partitions<'a>(cluster: &'a Cluster, spec: &JobSpec) -> Result<Vec<&'a Arc<Partition>>, Refusal> {
    if let Some(unknown) = spec.partitions.iter().find(|name| cluster.partition(name).is_none()) {
        return Err(Refusal::UnknownPartition(unknown.to_string()));
    }
    let mut named: Vec<&Arc<Partition>> = spec.partitions.iter().filter_map(|name| cluster.partition(name)).collect();
    if named.is_empty() {
        named.push(cluster.default_partition().ok_or(Refusal::NoDefaultPartition)?);
    }
    named.sort_by_key(|partition| (std::cmp::Reverse(partition.tier), partition.name.clone()));
    named.dedup_by(|one, other| one.name == other.name);
    let first = named[0].name.clone();
    named.retain(|partition| matches!(partition.state, PartitionState::Up | PartitionState::Down));
    if named.is_empty() { Err(Refusal::PartitionClosed(first.to_string())) } else { Ok(named) }
}

/// A target that was never there is refused; one that is long gone counts as ended, which is all that some terms want.
pub(crate) fn check_dependency(cluster: &Cluster, spec: &JobSpec) -> Result<(), Refusal> {
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
