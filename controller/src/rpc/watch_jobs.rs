//! `WatchJobs`: rows of jobs, now and at every change.
//!
//! A watcher holds the state that it has told last, and is told how the newest one differs as soon as it has read that: however slow it is, it costs
//! that one state and a page, and after [`READ_WAIT`] nothing. Nothing is remembered of a watcher that is gone.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use prost::Message;
use proto::error::{WireError, refused};
use proto::job_columns::Fields;
use proto::reason::ErrorReason;
use proto::v1;
use sched::changes::{JobChange, between, rows};
use sched::cluster::Cluster;
use sched::ids::JobId;
use sched::job::Job;
use sched::refusal::Refusal;
use sched::spec::index_set::IndexSet;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};
use tonic::{Request, Status};

use super::jobs::{Wanted, find};
use super::listing::{READ_WAIT, ending, slow_reader};
use super::rows::{Filter, RowMaker};
use super::watch::progress;
use super::{Answers, Desk, caller_uid, refuse};
use crate::budget::{Budget, Claim, Exhausted};
use crate::clock;
use crate::driver::Published;

/// Streams of one user.
const STREAMS_OF_ONE_MAX: usize = 64;
/// Streams of all users.
const STREAMS_MAX: usize = 512;
/// News that may wait for the watcher.
const NEWS_MAX: usize = 1;
/// Bytes of one of them on the wire, or a few more; in memory it is some four times as large.
const NEWS_BYTES: usize = 64 * 1024;
/// Rows that are made before it is seen how large the page has become.
const CHUNK_ROWS: u64 = 32;
/// From one change to the next at least: what happens between is told as one.
const PAUSE: Duration = Duration::from_millis(50);

/// The streams of each user.
static STREAMS: LazyLock<Arc<Budget<u32>>> = LazyLock::new(|| Budget::new(STREAMS_OF_ONE_MAX, STREAMS_MAX));

fn seat(uid: u32) -> Result<Claim<u32>, Status> {
    STREAMS.claim(uid, 1).map_err(|Exhausted { own, all }| {
        let detail = format!(
            "user {uid} watches by {own} streams and all users by {all}; at most {STREAMS_OF_ONE_MAX} and {STREAMS_MAX} may be"
        );
        refused(ErrorReason::TooManyStreams, "Resource temporarily unavailable", Some(&detail))
    })
}

/// What is watched.
struct Watched {
    jobs: v1::ListJobsRequest,
    /// Those that were named.
    wanted: Option<Wanted>,
    /// Only this user's.
    uid: Option<u32>,
    until_done: bool,
}

pub(super) async fn watch(
    desk: &Desk,
    request: Request<v1::WatchJobsRequest>,
) -> Result<Answers<v1::JobsNews>, Status> {
    let uid = caller_uid(&request)?;
    let seat = seat(uid)?;
    let request = request.into_inner();
    let cluster = desk.published.cluster();
    let (watched, unknown) = read(&cluster, request, uid)?;
    let (sender, news) = mpsc::channel(NEWS_MAX);
    let (end, ended) = oneshot::channel();
    let published = desk.published.clone();
    tokio::spawn(async move {
        let _seat = seat;
        // A watcher that has gone away hears nothing more.
        end.send(follow(Arc::new(watched), unknown, &published, &sender).await).ok();
    });
    Ok(ending(news, ended))
}

fn read(cluster: &Cluster, request: v1::WatchJobsRequest, uid: u32) -> Result<(Watched, Vec<String>), Status> {
    let jobs = request.jobs.unwrap_or_default();
    let unusable = [
        ("jobs.states", !jobs.states.is_empty()),
        ("jobs.nodes", !jobs.nodes.is_empty()),
        ("jobs.expected_starts", jobs.expected_starts),
        ("jobs.steps", jobs.steps),
    ];
    if let Some((field, _)) = unusable.into_iter().find(|(_, used)| *used) {
        return Err(WireError::Meaningless { field, value: "it is for listings alone".into() }.into());
    }
    let (wanted, unknown) = find(cluster, &jobs.ids)?;
    if wanted.as_ref().is_some_and(BTreeMap::is_empty) {
        return Err(refuse(&Refusal::UnknownJob));
    }
    if request.until_done && wanted.is_none() {
        return Err(WireError::Missing("jobs.ids").into());
    }
    let uid = Some(uid).filter(|_| request.mine);
    Ok((Watched { jobs, wanted, uid, until_done: request.until_done }, unknown))
}

async fn follow(
    watched: Arc<Watched>,
    unknown: Vec<String>,
    published: &Published,
    sender: &mpsc::Sender<Result<v1::JobsNews, Status>>,
) -> Result<(), Status> {
    let mut changes = published.changes();
    let (mut before, mut unknown) = (None::<Arc<Cluster>>, Some(unknown));
    loop {
        changes.borrow_and_update();
        let after = published.cluster();
        let (seen, since, what) = (after.clone(), before.take(), watched.clone());
        let mut told = beside(move || Telling::new(what, since.as_deref(), seen)).await?;
        loop {
            let room = match timeout(READ_WAIT, sender.reserve()).await {
                Ok(Ok(room)) => room,
                Ok(Err(_)) => return Ok(()),
                Err(_) => return Err(slow_reader()),
            };
            let (telling, news) = beside(move || {
                let news = told.next();
                (told, news)
            })
            .await?;
            told = telling;
            let Some(news) = news else { break };
            room.send(Ok(v1::JobsNews { unknown: unknown.take().unwrap_or_default(), ..news }));
        }
        if watched.until_done && watched.is_done(&after) {
            return Ok(());
        }
        before = Some(after);
        sleep(PAUSE).await;
        tokio::select! {
            changed = changes.changed() => if changed.is_err() { return Ok(()) },
            () = sender.closed() => return Ok(()),
        }
    }
}

/// Does what takes a while beside the threads that serve others.
async fn beside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Status> {
    let broke = |_| refused(ErrorReason::Defect, "Unexpected message received", Some("the watch broke off"));
    tokio::task::spawn_blocking(work).await.map_err(broke)
}

impl Watched {
    /// Whether a job is watched; the tasks of it that are.
    fn takes(&self, job: &Job) -> bool {
        let named = self.wanted.as_ref().is_none_or(|wanted| wanted.contains_key(&job.id));
        named && self.uid.is_none_or(|uid| job.terms.spec.user.uid == uid) && Filter::new(&self.jobs).lets_pass(job)
    }

    /// The tasks of a job that are watched; all without a set.
    fn tasks(&self, job: JobId) -> Option<&IndexSet> {
        self.wanted.as_ref()?.get(&job)?.as_ref()
    }

    fn is_done(&self, cluster: &Cluster) -> bool {
        let open = |(id, tasks): (&JobId, &Option<IndexSet>)| {
            cluster.job(*id).is_some_and(|job| match tasks {
                None => !job.is_done(),
                Some(tasks) => tasks.iter().any(|index| job.waits_with(index) || job.tasks.contains_key(&index)),
            })
        };
        self.wanted.as_ref().is_some_and(|wanted| !wanted.iter().any(open))
    }
}

/// One state, as far as it was not told yet.
struct Telling {
    watched: Arc<Watched>,
    cluster: Arc<Cluster>,
    /// Jobs with the tasks whose rows are to be told, and whether anything was told of the job.
    left: VecDeque<(JobId, IndexSet, bool)>,
    forgotten: Vec<u32>,
    /// All of it was told.
    over: bool,
}

impl Telling {
    /// What differs from the state told before; all there is where there was none.
    fn new(watched: Arc<Watched>, before: Option<&Cluster>, cluster: Arc<Cluster>) -> Telling {
        let (mut left, mut forgotten) = (VecDeque::new(), Vec::new());
        let mut add = |job: &Job, mut rows: IndexSet| {
            if let Some(tasks) = watched.tasks(job.id) {
                rows.intersect_with(tasks);
            }
            left.push_back((job.id, rows, false));
        };
        match before {
            None => {
                let wanted = |job: &&Arc<Job>| {
                    let past = watched.wanted.is_some() || watched.jobs.ended || job.ended.is_none();
                    past && watched.takes(job)
                };
                cluster.jobs().filter(wanted).for_each(|job| add(job, rows(job)));
            }
            Some(before) => {
                for change in between(before, &cluster) {
                    match change {
                        JobChange::Now { job, rows } if watched.takes(job) => add(job, rows),
                        JobChange::Forgotten(id) if before.job(id).is_some_and(|job| watched.takes(job)) => {
                            forgotten.push(id.0);
                        }
                        JobChange::Now { .. } | JobChange::Forgotten(_) => {}
                    }
                }
            }
        }
        // A state in which nothing differs that is watched is no news; the first one always is.
        let over = before.is_some() && left.is_empty() && forgotten.is_empty();
        Telling { watched, cluster, left, forgotten, over }
    }

    /// The next page of it; none when all was told.
    fn next(&mut self) -> Option<v1::JobsNews> {
        if self.over {
            return None;
        }
        let mut news = v1::JobsNews { now_ms: clock::now().0, ..v1::JobsNews::default() };
        let mut bytes = 0;
        while bytes < NEWS_BYTES {
            let Some((id, mut rows, begun)) = self.left.pop_front() else { break };
            let Some(job) = self.cluster.job(id) else { continue };
            let now = rows.take_first(CHUNK_ROWS);
            let told = self.news_of(job, &now, begun);
            bytes += told.encoded_len();
            news.jobs.push(told);
            if !rows.is_empty() {
                self.left.push_front((id, rows, true));
            }
        }
        if self.left.is_empty() {
            news.forgotten = std::mem::take(&mut self.forgotten);
            (news.complete, self.over) = (true, true);
        }
        Some(news)
    }

    fn news_of(&self, job: &Job, tasks: &IndexSet, begun: bool) -> v1::JobNews {
        let jobs = &self.watched.jobs;
        let maker =
            RowMaker { cluster: &self.cluster, detail: jobs.detail, steps: false, starts: None, fields: Fields::ALL };
        let mut rows = Vec::new();
        if !begun {
            let mut add = |row| {
                rows.push(row);
                Ok(())
            };
            maker.remainder(job, self.watched.tasks(job.id), true, &mut add).ok();
        }
        rows.extend(tasks.iter().filter_map(|index| maker.row_of(job, index)));
        v1::JobNews { job_id: job.id.0, progress: Some(progress(job)), rows }
    }
}

#[cfg(test)]
mod tests;
