//! `ListJobs`: rows of the jobs that match, in pages, from the last durable state.

use std::collections::BTreeMap;

use proto::error::WireError;
use proto::v1;
use sched::cluster::Cluster;
use sched::ids::JobId;
use sched::job::Job;
use sched::select::resolve;
use sched::spec::array::TaskSelector;
use sched::spec::index_set::IndexSet;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::rows::{Filter, RowMaker};
use super::why::{self, Starts};
use super::{Answers, Desk, read_targets};
use crate::clock;

/// Pages that may wait for the caller.
pub(super) const PAGES_MAX: usize = 4;
/// Rows of one page, and their steps.
const PAGE_ROWS: usize = 1_000;

/// The tasks wanted of each job; no set means all.
pub(super) type Wanted = BTreeMap<JobId, Option<IndexSet>>;

pub(super) async fn list(desk: &Desk, request: v1::ListJobsRequest) -> Result<Answers<v1::JobsPage>, Status> {
    let cluster = desk.published.cluster();
    let (wanted, unknown) = find(&cluster, &request.ids)?;
    // Programs ask again and again about jobs that run: those need no forecast.
    let waits = |id: &JobId| cluster.job(*id).is_some_and(|job| job.waiting_count() > 0);
    let asked = request.expected_starts && wanted.as_ref().is_none_or(|wanted| wanted.keys().any(waits));
    let starts = if asked { Some(why::starts(desk, cluster.clone()).await?) } else { None };
    let (sender, pages) = mpsc::channel(PAGES_MAX);
    let name = desk.config.load().settings.cluster_name.clone();
    // Rows are made as fast as the caller reads them, and not on the threads that serve the others.
    tokio::task::spawn_blocking(move || {
        let mut pager = Pager::new(sender, unknown).of(name);
        // A caller that has gone away ends the listing.
        make_rows(&cluster, &request, (wanted, starts), &mut pager).and_then(|()| pager.send()).ok();
    });
    Ok(Box::pin(ReceiverStream::new(pages)))
}

fn make_rows(
    cluster: &Cluster,
    request: &v1::ListJobsRequest,
    (wanted, starts): (Option<Wanted>, Option<Starts>),
    pager: &mut Pager,
) -> Result<(), Gone> {
    let filter = Filter::new(request);
    let maker = RowMaker { cluster, detail: request.detail, steps: request.steps, starts };
    let mut visit = |job: &Job, tasks: Option<&IndexSet>| {
        let hidden = |name| cluster.partition(name).is_some_and(|partition| partition.hidden);
        let is_hidden = || job.terms.partitions.iter().all(|name| hidden(name));
        if !filter.lets_pass(job) || request.skip_hidden && is_hidden() {
            return Ok(());
        }
        maker.rows(job, tasks, request.ended, &mut |row| if filter.takes(&row) { pager.add(row) } else { Ok(()) })
    };
    match wanted {
        None => cluster.jobs().try_for_each(|job| visit(job, None)),
        Some(wanted) => wanted.iter().try_for_each(|(id, tasks)| match cluster.job(*id) {
            Some(job) => visit(job, tasks.as_ref()),
            None => Ok(()),
        }),
    }
}

/// Nobody reads the listing any more.
pub(crate) struct Gone;

/// Collects rows into pages, and sends each when it is full.
pub(super) struct Pager {
    sender: mpsc::Sender<Result<v1::JobsPage, Status>>,
    page: v1::JobsPage,
    /// Its rows, and their steps.
    weight: usize,
}

impl Pager {
    pub(super) fn new(sender: mpsc::Sender<Result<v1::JobsPage, Status>>, unknown: Vec<String>) -> Pager {
        Pager {
            sender,
            page: v1::JobsPage { rows: Vec::new(), unknown, now_ms: clock::now().0, cluster: String::new() },
            weight: 0,
        }
    }

    /// Tells the cluster's name on the first page.
    pub(super) fn of(mut self, cluster: String) -> Pager {
        self.page.cluster = cluster;
        self
    }

    pub(super) fn add(&mut self, row: v1::JobRow) -> Result<(), Gone> {
        self.weight += 1 + row.steps.len();
        self.page.rows.push(row);
        if self.weight >= PAGE_ROWS { self.send() } else { Ok(()) }
    }

    pub(super) fn send(&mut self) -> Result<(), Gone> {
        self.weight = 0;
        self.sender.blocking_send(Ok(std::mem::take(&mut self.page))).map_err(|_| Gone)
    }

    /// Ends the listing with an error.
    pub(super) fn fail(&mut self, status: Status) -> Gone {
        self.sender.blocking_send(Err(status)).ok();
        Gone
    }
}

/// The jobs and tasks that the ids name, and the ids that name none; no map when no id was given.
pub(super) fn find(cluster: &Cluster, ids: &[String]) -> Result<(Option<Wanted>, Vec<String>), WireError> {
    if ids.is_empty() {
        return Ok((None, Vec::new()));
    }
    let mut wanted = Wanted::new();
    let mut unknown = Vec::new();
    for (id, target) in ids.iter().zip(read_targets(ids)?) {
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
