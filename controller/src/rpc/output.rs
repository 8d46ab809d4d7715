//! `ReadOutput`: what a task has written, read by its node and passed on. Nothing of it is kept here.
//!
//! The node is ordered to read, and dials `ServeOutput` with the number of the reading, which nobody else knows ([`serve`]). Pieces
//! go through a channel of a few, so that a slow reader holds up his own node's stream and nothing else. Start at [`read`].

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{Stream, StreamExt, stream};
use proto::error::{WireError, refused};
use proto::link::{Order, ReadOutput};
use proto::reason::ErrorReason;
use proto::v1;
use proto::v1::from_reader::Kind;
use sched::allow::Verb;
use sched::ids::NodeId;
use sched::node::Health;
use sched::select::Asker;
use sched::spec::array::JobRef;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Status, Streaming};

use super::caller::{Caller, speaks_for_itself};
use super::{Answers, Desk, history, refuse};
use crate::driver::Letter;

/// Outputs that are read at the same time; one more is refused.
const READINGS_MAX: usize = 256;
/// Pieces on their way to one reader.
const PIECES_MAX: usize = 8;
/// How long a node may take to dial.
const DIAL_MAX: Duration = Duration::from_secs(10);

type Piece = Result<v1::OutputPiece, Status>;

/// What is being read.
#[derive(Default)]
pub(crate) struct Readings(Mutex<BTreeMap<u128, Reading>>);

/// One of them.
struct Reading {
    node: String,
    /// Until its node takes it up.
    waiting: Option<Waiting>,
}

/// What a node takes up by its stream.
struct Waiting {
    pieces: mpsc::Sender<Piece>,
    /// Nothing more is being written.
    complete: watch::Receiver<bool>,
    dialled: oneshot::Sender<()>,
}

impl Readings {
    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<u128, Reading>> {
        // A map is whole after each of its changes.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes a reading off the list when its reader has gone, and ends what attends to it.
struct Listed {
    readings: Arc<Readings>,
    number: u128,
    _attended: oneshot::Sender<()>,
}

impl Drop for Listed {
    fn drop(&mut self) {
        self.readings.lock().remove(&self.number);
    }
}

pub(super) async fn read(
    desk: &Desk,
    asker: Asker,
    request: v1::ReadOutputRequest,
) -> Result<Answers<v1::OutputPiece>, Status> {
    let row = begun(desk, asker, &request).await?;
    let (node, name) = node_of(desk, &row, &request.node)?;
    let path = path_of(&row, request.errors)?;
    let number = uuid::Uuid::new_v4().as_u128();
    let (pieces, taken) = mpsc::channel(PIECES_MAX);
    let (complete, completed) = watch::channel(false);
    let (dialled, has_dialled) = oneshot::channel();
    let (attended, gone) = oneshot::channel();
    {
        let mut readings = desk.readings.lock();
        if readings.len() >= READINGS_MAX {
            let detail = format!("{READINGS_MAX} outputs are being read already; try again");
            return Err(refused(ErrorReason::Busy, "Resource temporarily unavailable", Some(&detail)));
        }
        let waiting = Waiting { pieces: pieces.clone(), complete: completed, dialled };
        readings.insert(number, Reading { node: name.clone(), waiting: Some(waiting) });
    }
    let listed = Listed { readings: desk.readings.clone(), number, _attended: attended };
    let order = ReadOutput { reading: number, uid: row.uid, gid: row.gid, path, follow: request.follow };
    desk.post.put(Letter::Order { node, order: Order::ReadOutput(order) }).await;
    let attended = attend(desk.clone(), row, pieces, (has_dialled, complete), name, request.follow);
    tokio::spawn(async move {
        tokio::select! {
            () = attended => {}
            // Whoever wanted to read has gone.
            _ = gone => {}
        }
    });
    let told = stream::unfold((ReceiverStream::new(taken), listed), |(mut taken, listed)| async move {
        taken.next().await.map(|piece| (piece, (taken, listed)))
    });
    Ok(Box::pin(told))
}

/// Says that a node stays away, and when nothing more is being written.
async fn attend(
    desk: Desk,
    row: v1::JobRow,
    pieces: mpsc::Sender<Piece>,
    (has_dialled, complete): (oneshot::Receiver<()>, watch::Sender<bool>),
    node: String,
    follow: bool,
) {
    if !matches!(tokio::time::timeout(DIAL_MAX, has_dialled).await, Ok(Ok(()))) {
        let detail = format!("node {node} does not answer; try again, or name another with --node if it has the file");
        // A reader that has gone needs no answer.
        pieces
            .send(Err(refused(ErrorReason::NodeSilent, "Communication connection failure", Some(&detail))))
            .await
            .ok();
        return;
    }
    // The serving stream has a sender of its own, and the reading ends with that.
    drop(pieces);
    let mut changes = desk.published.changes();
    while follow && is_writing(&desk, &row) {
        if changes.changed().await.is_err() {
            return;
        }
    }
    complete.send_replace(true);
}

/// Whether the run that writes it is still there.
fn is_writing(desk: &Desk, row: &v1::JobRow) -> bool {
    let cluster = desk.published.cluster();
    let (job, index) = match row.index {
        Some(index) if row.array_id != 0 => (row.array_id, index),
        _ => (row.id, 0),
    };
    let job = cluster.job(sched::ids::JobId(job));
    let task = job.and_then(|job| job.tasks.get(&index));
    task.is_some_and(|task| task.attempts == row.attempts && task.state.shares().is_some())
}

/// The row of the task that is meant, once it has begun to run.
async fn begun(desk: &Desk, asker: Asker, request: &v1::ReadOutputRequest) -> Result<v1::JobRow, Status> {
    let mut changes = desk.published.changes();
    loop {
        changes.borrow_and_update();
        let row = one_row(desk, &request.id, asker.uid).await?;
        asker.may_for(Verb::ReadOutput, row.uid).map_err(|refusal| refuse(&refusal))?;
        if !row.nodes.is_empty() {
            return Ok(row);
        }
        let pending = row.state() == v1::JobState::Pending;
        if !pending || !request.follow {
            let why = if pending { "it has not started yet: -f waits for it" } else { "it ended without having run" };
            return Err(refused(ErrorReason::NoOutput, "Job/step has no output", Some(why)));
        }
        if changes.changed().await.is_err() {
            return Err(Status::unavailable("the controller stops"));
        }
    }
}

/// The one task that an id means, in memory or in history.
async fn one_row(desk: &Desk, id: &str, uid: u32) -> Result<v1::JobRow, Status> {
    let bad_id =
        || refused(ErrorReason::FieldInvalid, "Invalid job id specified", Some(&format!("{id:?} is no job or task")));
    id.parse::<JobRef>().map_err(|_| bad_id())?;
    let jobs = v1::ListJobsRequest { ids: vec![id.to_owned()], ..v1::ListJobsRequest::default() };
    let asked = v1::ListHistoryRequest { jobs: Some(jobs), from_ms: 0, until_ms: i64::MAX, duplicates: false };
    let mut pages = history::list(desk, asked, uid)?;
    let mut found: Option<v1::JobRow> = None;
    while let Some(page) = pages.next().await {
        for row in page?.rows {
            if found.is_some() || !row.remainder.is_empty() {
                let detail = format!("job {id} has several tasks, each with its own output: name one, as in {id}_0");
                return Err(refused(ErrorReason::FieldInvalid, "Invalid job id specified", Some(&detail)));
            }
            found = Some(row);
        }
    }
    found.ok_or_else(|| refused(ErrorReason::UnknownJob, "Invalid job id specified", None))
}

/// The node to read on: the first of the task's, or the one that was named.
fn node_of(desk: &Desk, row: &v1::JobRow, named: &str) -> Result<(NodeId, String), Status> {
    let own = || sched::spec::hostlist::expand(&row.nodes).unwrap_or_default().into_iter().next().unwrap_or_default();
    let name = match (named.is_empty(), row.batch_host.is_empty()) {
        (false, _) => named.to_owned(),
        (true, false) => row.batch_host.clone(),
        (true, true) => own(),
    };
    let cluster = desk.published.cluster();
    let node = cluster.node_named(&name).filter(|node| matches!(node.health, Health::Up { .. }));
    let away = || {
        let detail = format!(
            "node {name}, where it was written, is not connected: --node NAME reads on another that has the file"
        );
        refused(ErrorReason::NodeAway, "Node not responding", Some(&detail))
    };
    Ok((node.ok_or_else(away)?.id, name))
}

fn path_of(row: &v1::JobRow, errors: bool) -> Result<String, Status> {
    let detail = row.detail.clone().unwrap_or_default();
    let path = if errors { detail.stderr } else { detail.stdout };
    if path.is_empty() || path == "/dev/null" {
        let why = "its output was not kept (an operation has none, and --output=none throws it away)";
        return Err(refused(ErrorReason::NoOutput, "Job/step has no output", Some(why)));
    }
    Ok(path)
}

/// `ServeOutput`: a node that reads what it was ordered to.
pub(super) async fn serve(
    readings: &Arc<Readings>,
    request: Request<Streaming<v1::FromReader>>,
) -> Result<Pin<Box<dyn Stream<Item = Result<v1::ToReader, Status>> + Send>>, Status> {
    let caller = Caller::of(request.extensions());
    let mut heard = request.into_inner();
    let first = heard.message().await?.and_then(|message| message.kind);
    let Some(Kind::Hello(hello)) = first else { return Err(WireError::Missing("hello").into()) };
    if let Caller::Node(shown) = &caller {
        speaks_for_itself(shown, &hello.node)?;
    }
    let bytes = <[u8; 16]>::try_from(&hello.reading[..]);
    let bytes = bytes.map_err(|_| WireError::Length { field: "reading", bytes: hello.reading.len(), wanted: 16 })?;
    let number = u128::from_be_bytes(bytes);
    let unknown = || Status::not_found("nobody reads that any more");
    let taken =
        readings.lock().get_mut(&number).filter(|reading| reading.node == hello.node).map(|it| it.waiting.take());
    // Once: a second stream with this number is nobody's.
    let Waiting { pieces, complete, dialled } = taken.flatten().ok_or_else(unknown)?;
    // It may have been waited for no longer.
    dialled.send(()).ok();
    let (over, ended) = watch::channel(());
    tokio::spawn(async move {
        pass_on(heard, pieces).await;
        drop(over);
    });
    let said = stream::unfold((complete, ended, false), |(mut complete, mut ended, told)| async move {
        if told {
            // Open until the node has said all.
            while ended.changed().await.is_ok() {}
            return None;
        }
        tokio::select! {
            waited = complete.wait_for(|complete| *complete) => waited.is_ok(),
            _ = ended.changed() => false,
        }
        .then_some((Ok(v1::ToReader { complete: true }), (complete, ended, true)))
    });
    Ok(Box::pin(said))
}

/// Passes pieces on as fast as the reader takes them.
async fn pass_on(mut heard: Streaming<v1::FromReader>, pieces: mpsc::Sender<Piece>) {
    loop {
        let message = tokio::select! {
            message = heard.message() => message,
            () = pieces.closed() => return,
        };
        let piece = match message {
            Ok(None) => return,
            Ok(Some(v1::FromReader { kind: Some(Kind::Data(data)) })) => Ok(v1::OutputPiece { data }),
            Ok(Some(v1::FromReader { kind: Some(Kind::Failed(why)) })) => {
                Err(refused(ErrorReason::NoOutput, "Job/step output cannot be read", Some(&why)))
            }
            Ok(Some(v1::FromReader { kind: Some(Kind::Hello(_)) | None })) => Err(WireError::Missing("data").into()),
            Err(_) => Err(refused(
                ErrorReason::NodeSilent,
                "Communication connection failure",
                Some("the node went away while it was read; try again"),
            )),
        };
        let failed = piece.is_err();
        if pieces.send(piece).await.is_err() || failed {
            return;
        }
    }
}
