//! `ListJobs`: rows of the jobs that match, in pages, from the last durable state.

use std::collections::BTreeMap;

use prost::Message;
use proto::error::WireError;
use proto::job_columns::{Fields, Packer, field};
use proto::v1;
use sched::cluster::Cluster;
use sched::ids::JobId;
use sched::job::Job;
use sched::near::{JOBS_TOGETHER, bring};
use sched::select::resolve;
use sched::spec::array::TaskSelector;
use sched::spec::index_set::IndexSet;
use tonic::Status;

use super::listing::{Gone, Outlet, listing};
use super::rows::{Filter, RowMaker};
use super::why::{self, Starts};
use super::{Answers, Desk, read_targets};
use crate::clock;

/// Rows of one page, and their steps.
const PAGE_ROWS: usize = 1_000;
/// About how many bytes a page may have; one with a single row may have more. Well below what a message may.
const PAGE_BYTES: usize = 128 * 1024;
/// Values of a page in columns, most of which are a byte or two; a row of many fields is one of few that fit.
const PAGE_VALUES: usize = 64 * 1024;

/// The tasks wanted of each job; no set means all.
pub(super) type Wanted = BTreeMap<JobId, Option<IndexSet>>;

pub(super) async fn list(desk: &Desk, request: v1::ListJobsRequest, uid: u32) -> Result<Answers<v1::JobsPage>, Status> {
    let cluster = desk.published.cluster();
    let (wanted, unknown) = find(&cluster, &request.ids)?;
    // Programs ask again and again about jobs that run: those need no forecast.
    let waits = |id: &JobId| cluster.job(*id).is_some_and(|job| job.waiting_count() > 0);
    let asked = request.expected_starts && wanted.as_ref().is_none_or(|wanted| wanted.keys().any(waits));
    let starts = if asked { Some(why::starts(desk, cluster.clone()).await?) } else { None };
    let name = desk.config.load().settings.cluster_name.clone();
    Ok(listing(uid, move |outlet| {
        let mut pager = Pager::new(outlet, unknown).of(name).packed(Packer::new(&request.fields));
        make_rows(&cluster, &request, (wanted, starts), &mut pager).and_then(|()| pager.send())
    }))
}

fn make_rows(
    cluster: &Cluster,
    request: &v1::ListJobsRequest,
    (wanted, starts): (Option<Wanted>, Option<Starts>),
    pager: &mut Pager<'_>,
) -> Result<(), Gone> {
    let filter = Filter::new(request);
    let fields = if pager.packer.is_some() { Fields::of(&request.fields) } else { Fields::ALL };
    // The filter reads them, too.
    let fields = if request.nodes.is_empty() { fields } else { fields.with(field::NODES) };
    let maker = RowMaker { cluster, detail: request.detail, steps: request.steps, starts, fields };
    let mut visit = |job: &Job, tasks: Option<&IndexSet>| {
        let hidden = |name| cluster.partition(name).is_some_and(|partition| partition.hidden);
        let is_hidden = || job.terms.partitions.iter().all(|name| hidden(name));
        if !filter.lets_pass(job) || request.skip_hidden && is_hidden() {
            return Ok(());
        }
        maker.rows(job, tasks, request.ended, &mut |row| if filter.takes(&row) { pager.add(row) } else { Ok(()) })
    };
    match wanted {
        None => {
            let mut jobs = cluster.jobs();
            let mut next: Vec<&Job> = Vec::with_capacity(JOBS_TOGETHER);
            loop {
                next.clear();
                next.extend(jobs.by_ref().take(JOBS_TOGETHER).map(|job| &**job));
                if next.is_empty() {
                    return Ok(());
                }
                bring(&next);
                next.iter().try_for_each(|job| visit(job, None))?;
            }
        }
        Some(wanted) => wanted.iter().try_for_each(|(id, tasks)| match cluster.job(*id) {
            Some(job) => visit(job, tasks.as_ref()),
            None => Ok(()),
        }),
    }
}

/// Collects rows into pages, and hands over each when it is full.
pub(super) struct Pager<'a> {
    outlet: &'a mut Outlet<v1::JobsPage>,
    page: v1::JobsPage,
    /// Takes the rows where they travel in columns.
    packer: Option<Packer>,
    /// Its rows, and their steps.
    weight: usize,
    bytes: usize,
}

impl<'a> Pager<'a> {
    pub(super) fn new(outlet: &'a mut Outlet<v1::JobsPage>, unknown: Vec<String>) -> Pager<'a> {
        Pager {
            outlet,
            page: v1::JobsPage { unknown, now_ms: clock::now().0, ..v1::JobsPage::default() },
            packer: None,
            weight: 0,
            bytes: 0,
        }
    }

    /// Tells the cluster's name on the first page.
    pub(super) fn of(mut self, cluster: String) -> Pager<'a> {
        self.page.cluster = cluster;
        self
    }

    /// Packs the rows, where there is a packer.
    fn packed(mut self, packer: Option<Packer>) -> Pager<'a> {
        self.packer = packer;
        self
    }

    pub(super) fn add(&mut self, row: v1::JobRow) -> Result<(), Gone> {
        if let Some(packer) = &mut self.packer {
            packer.add(&row);
            let (values, bytes) = packer.size();
            return if values >= PAGE_VALUES || bytes >= PAGE_BYTES { self.send() } else { Ok(()) };
        }
        let bytes = row.encoded_len();
        if self.bytes + bytes > PAGE_BYTES && self.weight > 0 {
            self.send()?;
        }
        (self.weight, self.bytes) = (self.weight + 1 + row.steps.len(), self.bytes + bytes);
        self.page.rows.push(row);
        if self.weight >= PAGE_ROWS { self.send() } else { Ok(()) }
    }

    pub(super) fn send(&mut self) -> Result<(), Gone> {
        (self.weight, self.bytes) = (0, 0);
        self.page.columns = self.packer.as_mut().filter(|packer| packer.rows() > 0).map(Packer::take);
        self.outlet.put(Ok(std::mem::take(&mut self.page)))
    }

    /// Ends the listing with an error.
    pub(super) fn fail(&mut self, status: Status) -> Gone {
        self.outlet.put(Err(status)).ok();
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

#[cfg(test)]
mod tests;
