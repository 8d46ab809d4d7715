//! `ListJobs`: rows of the jobs that match, in pages, from the last durable state.

use std::collections::BTreeMap;

use futures::stream;
use proto::error::WireError;
use proto::v1;
use sched::cluster::Cluster;
use sched::job::Job;
use sched::select::resolve;
use sched::spec::array::{JobRef, TaskSelector};
use sched::spec::index_set::IndexSet;
use tonic::Status;

use super::rows::{Filter, RowMaker};
use super::{Answers, Desk};
use crate::clock;

/// Rows of one page.
const PAGE_ROWS: usize = 1_000;

/// The tasks wanted of each job; no set means all.
type Wanted = BTreeMap<sched::ids::JobId, Option<IndexSet>>;

pub(super) fn list(desk: &Desk, request: v1::ListJobsRequest) -> Result<Answers<v1::JobsPage>, Status> {
    let cluster = desk.published.cluster();
    let now = clock::now();
    let (wanted, unknown) = find(&cluster, &request.ids)?;
    let filter = Filter::new(&request);
    let maker = RowMaker { cluster: &cluster, detail: request.detail };
    let mut pages = vec![v1::JobsPage { rows: Vec::new(), unknown, now_ms: now.0 }];
    let mut add = |row: v1::JobRow| {
        if pages.last().is_none_or(|page| page.rows.len() >= PAGE_ROWS) {
            pages.push(v1::JobsPage::default());
        }
        if let Some(page) = pages.last_mut() {
            page.rows.push(row);
        }
    };
    let mut visit = |job: &Job, tasks: Option<&IndexSet>| {
        if filter.lets_pass(job) {
            maker.rows(job, tasks, request.ended, &mut |row| {
                if filter.takes(&row) {
                    add(row);
                }
            });
        }
    };
    match wanted {
        None => cluster.jobs().for_each(|job| visit(job, None)),
        Some(wanted) => {
            for (id, tasks) in &wanted {
                if let Some(job) = cluster.job(*id) {
                    visit(job, tasks.as_ref());
                }
            }
        }
    }
    Ok(Box::pin(stream::iter(pages.into_iter().map(Ok))))
}

/// The jobs and tasks that the ids name, and the ids that name none; no map when no id was given.
fn find(cluster: &Cluster, ids: &[String]) -> Result<(Option<Wanted>, Vec<String>), WireError> {
    if ids.is_empty() {
        return Ok((None, Vec::new()));
    }
    let mut wanted = Wanted::new();
    let mut unknown = Vec::new();
    for id in ids {
        let target: JobRef = id.parse().map_err(|_| WireError::Meaningless { field: "ids", value: id.clone() })?;
        match resolve(cluster, &target) {
            Ok((job, tasks)) => {
                let all = target.tasks == TaskSelector::All && tasks.is_none();
                let entry = wanted.entry(job.id).or_insert_with(|| Some(IndexSet::new()));
                match (entry.as_mut(), tasks) {
                    (Some(before), Some(tasks)) if !all => before.union_with(&tasks),
                    _ => *entry = None,
                }
            }
            Err(_) => unknown.push(id.clone()),
        }
    }
    Ok((Some(wanted), unknown))
}
