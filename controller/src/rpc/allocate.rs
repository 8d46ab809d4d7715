//! `Allocate`: a job that runs nothing by itself is held by a stream, and ends when its holder is done with it or gone.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use proto::error::WireError;
use proto::spec::{Parts, read_request_id, read_spec};
use proto::v1;
use proto::v1::from_holder::Kind;
use sched::allow::Role;
use sched::cluster::Cluster;
use sched::ids::JobId;
use sched::job::Job;
use sched::reason::Ending;
use sched::select::{Asker, Selection};
use sched::spec::array::{JobRef, TaskSelector};
use sched::spec::job::Work;
use sched::step::{Answer, Input};
use sched::task::TaskState;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Status, Streaming};
use tracing::{info, warn};

use super::relay::state_word;
use super::rights::served;
use super::submit::leaves_room;
use super::{Answers, Desk, owner, refuse, unavailable};
use crate::audit::recorded::Note;
use crate::clock;
use crate::driver::{Post, Published};
use crate::journal::hash_of;

/// How long an allocation is kept whose holder has gone away: so long it may take to come back after a broken stream.
const HOLDER_GONE_MAX: Duration = Duration::from_secs(30);
/// Messages that are on their way to one holder; there are three.
const SAID_MAX: usize = 4;

/// Which stream of each allocation is the newest.
#[derive(Default)]
pub(crate) struct Holders(Mutex<BTreeMap<JobId, u64>>);

impl Holders {
    /// A holder comes, or comes back.
    fn attach(&self, job: JobId) -> u64 {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let stream = all.entry(job).or_default();
        *stream += 1;
        *stream
    }

    fn is_newest(&self, job: JobId, stream: u64) -> bool {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(&job).copied().unwrap_or(0) == stream
    }

    fn forget(&self, job: JobId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&job);
    }
}

/// What allocations are watched with.
#[derive(Clone)]
pub(crate) struct Watcher {
    pub(crate) post: Post,
    pub(crate) published: Arc<Published>,
    pub(crate) holders: Arc<Holders>,
}

impl Watcher {
    /// After a start every allocation waits for its holder to come back.
    pub(crate) fn wait_for_all(&self) {
        let cluster = self.published.cluster();
        let held = cluster.jobs().filter(|job| *job.terms.spec.work == Work::Allocation && !job.is_done());
        held.for_each(|job| drop(tokio::spawn(self.clone().wait_for(job.id, 0))));
    }

    /// Cancels a job whose holder has not come back in time since this stream of it.
    async fn wait_for(self, job: JobId, stream: u64) {
        tokio::time::sleep(HOLDER_GONE_MAX).await;
        if !self.holders.is_newest(job, stream) {
            return;
        }
        if self.published.cluster().job(job).is_some_and(|job| !job.is_done()) {
            info!(%job, "its holder is gone, so it is cancelled");
            self.cancel(job).await;
        }
        self.holders.forget(job);
    }

    async fn cancel(&self, job: JobId) {
        let uid = self.published.cluster().job(job).map_or(0, |job| job.terms.spec.user.uid);
        let targets = vec![JobRef { job: job.0, tasks: TaskSelector::All }];
        let selection = Selection { targets, ..Selection::default() };
        self.ask(Input::Cancel { selection, asker: Asker { uid, role: Role::User } }).await;
    }

    async fn ask(&self, input: Input) {
        if let Err(error) = self.post.ask(input, Vec::new()).await {
            warn!(%error, "a wish of a holder was not kept");
        }
    }
}

pub(super) async fn allocate(
    desk: &Desk,
    request: Request<Streaming<v1::FromHolder>>,
) -> Result<Answers<v1::ToHolder>, Status> {
    let note = Note::of(request.extensions());
    let (peer, asker) = (served(&request)?, desk.rights.asker(&request)?);
    let mut heard = request.into_inner();
    let first = heard.message().await?.and_then(|message| message.kind);
    let Some(Kind::Allocate(wanted)) = first else { return Err(WireError::Missing("allocate").into()) };
    let job = submit(desk, wanted, peer, asker).await?;
    note.what(job.to_string());
    let watcher = Watcher { post: desk.post.clone(), published: desk.published.clone(), holders: desk.holders.clone() };
    let (said, answers) = mpsc::channel(SAID_MAX);
    let stream = desk.holders.attach(job);
    tokio::spawn(async move {
        let ended = tokio::select! {
            ended = tell(&watcher, job, &said) => ended,
            () = hear(&watcher, job, heard) => false,
            () = said.closed() => false,
        };
        if ended {
            watcher.holders.forget(job);
        } else if watcher.holders.is_newest(job, stream) {
            watcher.wait_for(job, stream).await;
        }
    });
    Ok(Box::pin(ReceiverStream::new(answers)))
}

/// The job of this request, made once.
async fn submit(desk: &Desk, wanted: v1::AllocateJob, peer: Option<(u32, u32)>, asker: Asker) -> Result<JobId, Status> {
    let config = desk.config.load_full();
    let settings = &config.settings;
    let request = read_request_id(&wanted.request_id)?;
    if let Some(job) = desk.published.cluster().job_of_request(request) {
        return Ok(job);
    }
    desk.submit_rate.take(asker.uid, settings.submit_rate_max, clock::now())?;
    let mut spec = wanted.spec.ok_or(WireError::Missing("spec"))?;
    owner::settle(&mut spec, peer, asker)?;
    let environment = Bytes::from(wanted.environment);
    super::submit::bounded("the environment", environment.len(), settings.environment_bytes_max)?;
    let bytes = environment.len() as u64;
    let parts = Parts { script: None, environment: hash_of(&environment), manifest: None, bytes };
    let spec = read_spec(spec, parts, settings.array_size_max.saturating_sub(1))?;
    if *spec.work != Work::Allocation {
        return Err(WireError::Meaningless { field: "work", value: "something to run".into() }.into());
    }
    let free = desk.journal.free_bytes().map_err(|error| super::submit::full(&error.to_string()))?;
    leaves_room(free, environment.len() as u64, settings, &desk.dir)?;
    let blobs = vec![(parts.environment, environment)];
    let input = Input::Submit { request, spec: Arc::new(spec) };
    match desk.post.ask(input, blobs).await.map_err(unavailable)? {
        Answer::Submitted(job) => Ok(job),
        Answer::Refused(refusal) => Err(refuse(&refusal)),
        other => Err(Status::internal(format!("an allocation was answered with {other:?}"))),
    }
}

/// Tells the holder how far its job is; true when it was told of the end.
async fn tell(watcher: &Watcher, job: JobId, said: &mpsc::Sender<Result<v1::ToHolder, Status>>) -> bool {
    let mut changes = watcher.published.changes();
    let mut next = Some(v1::to_holder::Kind::Queued(job.0));
    let mut granted = false;
    loop {
        changes.borrow_and_update();
        let cluster = watcher.published.cluster();
        for kind in next.take().into_iter().chain(news(&cluster, job, &mut granted)) {
            let ended = matches!(kind, v1::to_holder::Kind::Ended(_));
            if said.send(Ok(v1::ToHolder { kind: Some(kind) })).await.is_err() {
                return false;
            }
            if ended {
                return true;
            }
        }
        drop(cluster);
        if changes.changed().await.is_err() {
            return false;
        }
    }
}

/// What has become of the job since it was last looked at.
fn news(cluster: &Cluster, id: JobId, granted: &mut bool) -> Option<v1::to_holder::Kind> {
    let Some(job) = cluster.job(id) else { return Some(v1::to_holder::Kind::Ended("COMPLETED".into())) };
    if job.is_done() {
        let waited = || job.ended_waiting.as_ref().map(|ended| ended.ending);
        let ending = job.done.get(0).map(|done| done.outcome.ending).or_else(waited);
        return Some(v1::to_holder::Kind::Ended(state_word(ending.unwrap_or(Ending::Completed))));
    }
    let found = if *granted { None } else { grant(cluster, job) };
    *granted |= found.is_some();
    found.map(v1::to_holder::Kind::Granted)
}

fn grant(cluster: &Cluster, job: &Job) -> Option<v1::Granted> {
    let task = job.tasks.get(&0)?;
    let TaskState::Running { shares, .. } = &task.state else { return None };
    let share = |share: &sched::resources::Share| v1::Share {
        node: cluster.node_name(share.node).map(ToString::to_string).unwrap_or_default(),
        processes: share.processes,
        cpus_milli: share.amount.cpus.milli(),
        memory_mib: share.amount.memory_mib,
        devices: share.devices.bits(),
    };
    let shares = shares.iter().map(share).collect();
    Some(v1::Granted { job_id: task.id.0, shares, partition: job.partition_of(task).to_string() })
}

/// Takes what the holder says. It ends when the holder's stream breaks; one that has said all it wants only listens on.
async fn hear(watcher: &Watcher, job: JobId, mut heard: Streaming<v1::FromHolder>) {
    let mut settled = false;
    loop {
        match heard.message().await {
            Ok(Some(v1::FromHolder { kind: Some(Kind::Release(code)) })) => {
                let code = u8::try_from(code).unwrap_or(u8::MAX);
                watcher.ask(Input::Release { job, code }).await;
                settled = true;
            }
            Ok(Some(v1::FromHolder { kind: Some(Kind::Cancel(_)) })) => {
                watcher.cancel(job).await;
                settled = true;
            }
            Ok(Some(v1::FromHolder { kind: Some(Kind::Allocate(_)) | None })) => {}
            Ok(None) if settled => std::future::pending().await,
            Ok(None) | Err(_) => return,
        }
    }
}
