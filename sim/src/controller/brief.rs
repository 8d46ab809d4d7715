//! What a node is told of a job and its tasks. Journal blobs are not modelled: scripts and environments are empty.

use bytes::Bytes;
use proto::link::{ArrayFacts, Brief, MapUrls, NodeShare, StartTask, Work};
use sched::cluster::Cluster;
use sched::event::Placement;
use sched::ids::Name;
use sched::job::Job;
use sched::resources::Share;
use sched::spec::job::Work as SpecWork;
use sched::terms::Terms;

/// The terms of a task that is being started, and its partition.
pub(super) fn terms_of<'a>(job: &'a Job, placement: &'a Placement) -> (&'a Terms, &'a Name) {
    let terms = job.tasks.get(&placement.index).map_or(&job.terms, |task| job.terms_of(task));
    (terms, placement.partition.as_ref().unwrap_or_else(|| terms.partition()))
}

pub(super) fn brief(job: &Job, first: &Placement) -> Brief {
    let (terms, partition) = terms_of(job, first);
    let spec = &terms.spec;
    let work = match &*spec.work {
        SpecWork::Script { arguments, .. } => Work::Script { text: Bytes::new(), arguments: arguments.clone() },
        SpecWork::Command(words) => Work::Command(words.clone()),
        SpecWork::Op(op) => Work::Op(op.clone()),
        SpecWork::Allocation => Work::Allocation,
    };
    let map = spec.map.as_ref().map(|map| MapUrls {
        from: map.from.clone(),
        to: map.to.clone(),
        output_name: map.output_name.clone(),
    });
    let array = spec.array.as_ref().map(|array| ArrayFacts {
        count: array.count(),
        min: array.min(),
        max: array.max(),
        step: array.step(),
    });
    Brief {
        job: job.id,
        name: spec.name.to_string(),
        user: (*spec.user).clone(),
        request: (*spec.request).clone(),
        work,
        map,
        files: (*spec.files).clone(),
        origin: (*spec.origin).clone(),
        export: spec.export.clone(),
        environment: Bytes::new(),
        partition: partition.to_string(),
        time_limit: terms.time_limit,
        warning: spec.warning,
        labels: (*spec.labels).clone(),
        dependency: spec.dependency.as_ref().map(ToString::to_string).unwrap_or_default(),
        limits: (*spec.limits).clone(),
        login_environment: spec.login_environment,
        requeue: spec.requeue,
        array,
    }
}

pub(super) fn tasks(cluster: &Cluster, job: &Job, placements: &[Placement]) -> Vec<StartTask> {
    let task = |placement: &Placement| StartTask {
        index: placement.index,
        id: placement.id,
        attempt: placement.attempt,
        shares: placement.shares.iter().filter_map(|share| node_share(cluster, share)).collect(),
        blob: job.terms.spec.map.as_ref().map(|_| format!("{}.png", placement.index)),
    };
    placements.iter().map(task).collect()
}

fn node_share(cluster: &Cluster, share: &Share) -> Option<NodeShare> {
    let node = cluster.node(share.node)?.name.to_string();
    let (cpus, memory_mib) = (share.amount.cpus, share.amount.memory_mib);
    Some(NodeShare { node, processes: share.processes, cpus, memory_mib, devices: share.devices })
}
