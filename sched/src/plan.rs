//! One scheduling pass: which waiting tasks start where, and why the others do not.
//!
//! It reads the cluster and answers with events; it changes nothing. Jobs are tried in the order of the queue. Once a job of a
//! partition waits for resources, those behind it start only where that delays nobody above them ([`crate::backfill`]).
//! [`plan`] knows nothing beforehand; a [`Planner`] gives the same answers and remembers what has not changed in between.

use std::collections::BTreeMap;

use crate::cluster::Cluster;
use crate::ids::{JobId, NodeId, Timestamp};
use crate::settings::Settings;

pub(crate) use crate::place::could_ever_start;
pub use crate::planner::{Pass, Planner, Scope};
pub use crate::walk::STARTS_MAX;

/// Decides what starts now.
#[must_use]
pub fn plan(cluster: &Cluster, now: Timestamp, settings: &Settings) -> Pass {
    Planner::default().pass(cluster, now, settings)
}

/// When and where what waits is expected to start, by the time limits of what runs: of the tasks of a job that wait together the
/// first, and each that stands for itself. Only those
/// have an answer that a pass looks at and that can start within its window ([`crate::backfill`]).
#[must_use]
pub fn expected_starts(
    cluster: &Cluster,
    now: Timestamp,
    settings: &Settings,
) -> BTreeMap<(JobId, Option<u32>), (Timestamp, Vec<NodeId>)> {
    Planner::default().expected_starts(cluster, now, settings)
}
