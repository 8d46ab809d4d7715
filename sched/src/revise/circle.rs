//! Whether a dependency would close a circle. A submit cannot: nobody can wait for a number that is not given yet.

use std::collections::BTreeSet;

use crate::cluster::Cluster;
use crate::depend::target_of;
use crate::ids::JobId;
use crate::spec::dependency::Dependency;

/// Whether `job` would wait for itself, directly or through others, if it waited for this.
pub(super) fn closes(cluster: &Cluster, job: JobId, dependency: Option<&Dependency>) -> bool {
    let terms = dependency.iter().flat_map(|dependency| &dependency.terms);
    let mut next: Vec<JobId> = terms.filter_map(|term| target_of(cluster, term)).collect();
    let mut seen = BTreeSet::new();
    while let Some(target) = next.pop() {
        if target == job {
            return true;
        }
        if seen.insert(target)
            && let Some(record) = cluster.job(target)
        {
            next.extend(record.waits.iter().flat_map(|waits| &waits.terms).filter_map(|wait| wait.on));
        }
    }
    false
}
