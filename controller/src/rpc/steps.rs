//! `RunStep`: an `srun` makes a step, or comes back to it, and from then on hears and feeds its tasks.

use std::sync::{Arc, PoisonError};

use proto::error::WireError;
use proto::spec::read_request_id;
use proto::v1;
use proto::v1::from_srun::Kind;
use sched::allow::Verb;
use sched::ids::{JobId, RequestId, StepKey};
use sched::reason::StopWhy;
use sched::refusal::Refusal;
use sched::select::Asker;
use sched::spec::signal::SIGNAL_MAX;
use sched::spec::step::StepSpec;
use sched::step::{Answer, Input};
use sched::steps::ask::{NewStep, StepWish, place};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Status, Streaming};
use tracing::debug;

use super::relay::{Line, Relay};
use super::{Answers, Desk, refuse, unavailable};
use crate::audit::recorded::Note;

/// Messages that are on their way to one `srun`; the rest waits in the step's window.
const SAID_MAX: usize = 16;
/// Steps that may wait for the CPUs of one job; a further one is refused.
const STEPS_WAITING_MAX: usize = 10_000;
/// KILL, which nothing stands against.
const KILL: i32 = 9;

type Said = mpsc::Sender<Result<v1::ToSrun, Status>>;

pub(super) async fn run(desk: &Desk, request: Request<Streaming<v1::FromSrun>>) -> Result<Answers<v1::ToSrun>, Status> {
    let asker = desk.rights.asker(&request)?;
    let note = Note::of(request.extensions());
    let mut heard = request.into_inner();
    let first = heard.message().await?.and_then(|message| message.kind).ok_or(WireError::Missing("kind"))?;
    let (said, answers) = mpsc::channel(SAID_MAX);
    let desk = desk.clone();
    match first {
        Kind::Create(create) => {
            let new = read_create(create, asker)?;
            note.what(new.job.to_string());
            let made = if has_queue(&desk.relay, new.job) { None } else { create_now(&desk, &new).await? };
            if let Some(key) = made {
                note.what(format!("{}.{}", new.job, key.step));
            }
            if made.is_none() && new.spec.immediate {
                return Err(refuse(&Refusal::StepBusy));
            }
            tokio::spawn(async move {
                let made = match made {
                    Some(key) => Ok(key),
                    None => wait(&desk, &new, &said).await,
                };
                match made {
                    Ok(key) => serve(&desk.relay, key, heard, said).await,
                    // Nobody hears it where the srun has gone away.
                    Err(status) => drop(said.send(Err(status)).await),
                }
            });
        }
        Kind::Attach(attach) => {
            // Nothing is made: it comes back to what there is.
            note.verb(Verb::Read);
            let request = read_request_id(&attach.request_id)?;
            let key = attached(&desk, request, JobId(attach.job_id), asker)?;
            tokio::spawn(async move { serve(&desk.relay, key, heard, said).await });
        }
        Kind::Input(_) | Kind::Signal(_) | Kind::Received(_) | Kind::Stop(_) => {
            return Err(WireError::Missing("create").into());
        }
    }
    Ok(Box::pin(ReceiverStream::new(answers)))
}

fn read_create(create: v1::CreateStep, asker: Asker) -> Result<NewStep, Status> {
    let request = read_request_id(&create.request_id)?;
    let spec: StepSpec = create.spec.ok_or(WireError::Missing("spec"))?.try_into()?;
    // What its stepds will show; nobody can guess it.
    let secret = uuid::Uuid::new_v4().as_u128();
    Ok(NewStep { request, job: JobId(create.job_id), spec: Arc::new(spec), secret, asker })
}

/// The step that this request made, for whoever may have made it.
fn attached(desk: &Desk, request: RequestId, job: JobId, asker: Asker) -> Result<StepKey, Status> {
    let cluster = desk.published.cluster();
    let key = cluster.step_of_request(request).ok_or_else(|| refuse(&Refusal::UnknownStep))?;
    let record = cluster.job(key.attempt.job).ok_or_else(|| refuse(&Refusal::UnknownJob))?;
    let id = record.tasks.get(&key.attempt.index).map(|task| task.id);
    let id = id.or_else(|| record.done.get(key.attempt.index).map(|done| done.id));
    if id != Some(job) {
        return Err(refuse(&Refusal::UnknownStep));
    }
    asker.may(Verb::StartStep, record).map(|()| key).map_err(|refusal| refuse(&refusal))
}

/// Makes the step, unless it has to wait.
async fn create_now(desk: &Desk, new: &NewStep) -> Result<Option<StepKey>, Status> {
    match desk.post.ask(Input::CreateStep(new.clone()), Vec::new()).await.map_err(unavailable)? {
        Answer::Step(key) => Ok(Some(key)),
        Answer::Refused(Refusal::StepBusy) => Ok(None),
        Answer::Refused(refusal) => Err(refuse(&refusal)),
        other => Err(Status::internal(format!("a step was answered with {other:?}"))),
    }
}

/// Whether other steps of the job wait already.
fn has_queue(relay: &Relay, job: JobId) -> bool {
    relay.turns.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&job)
}

/// Waits for the CPUs of the job, in the order in which steps came, and makes the step then.
async fn wait(desk: &Desk, new: &NewStep, said: &Said) -> Result<StepKey, Status> {
    let why = refuse(&Refusal::StepBusy).message().to_owned();
    let waits = v1::ToSrun { kind: Some(v1::to_srun::Kind::Waits(why)) };
    let gone = || Status::cancelled("the step is no longer wanted");
    said.send(Ok(waits)).await.map_err(|_| gone())?;
    let queue = Queue::join(desk.relay.clone(), new.job)?;
    tokio::select! {
        made = queue.turn(desk, new) => made,
        () = said.closed() => Err(gone()),
    }
}

/// A place among the steps that wait for the CPUs of a job.
struct Queue {
    relay: Arc<Relay>,
    job: JobId,
    turns: Arc<tokio::sync::Mutex<()>>,
}

impl Queue {
    fn join(relay: Arc<Relay>, job: JobId) -> Result<Queue, Status> {
        let turns = {
            let mut all = relay.turns.lock().unwrap_or_else(PoisonError::into_inner);
            let turns = all.entry(job).or_default();
            if Arc::strong_count(turns) > STEPS_WAITING_MAX {
                return Err(refuse(&Refusal::StepBusy));
            }
            turns.clone()
        };
        Ok(Queue { relay, job, turns })
    }

    /// Turns are taken in the order in which they were asked for.
    async fn turn(&self, desk: &Desk, new: &NewStep) -> Result<StepKey, Status> {
        let _turn = self.turns.lock().await;
        let mut changes = desk.published.changes();
        loop {
            changes.borrow_and_update();
            // What the last durable state has no room for is not asked of the driver.
            if place(&desk.published.cluster(), new) != Err(Refusal::StepBusy)
                && let Some(key) = create_now(desk, new).await?
            {
                return Ok(key);
            }
            changes.changed().await.map_err(|_| Status::unavailable("the controller is stopping"))?;
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        let mut all = self.relay.turns.lock().unwrap_or_else(PoisonError::into_inner);
        // This one's, and the map's own.
        if Arc::strong_count(&self.turns) <= 2 {
            all.remove(&self.job);
        }
    }
}

/// Carries what the `srun` says and hears, until either side has ended.
async fn serve(relay: &Arc<Relay>, key: StepKey, heard: Streaming<v1::FromSrun>, said: Said) {
    let Some(line) = relay.line(key) else {
        return drop(said.send(Err(refuse(&Refusal::UnknownStep))).await);
    };
    let stream = line.change(|conduit| conduit.attach_srun());
    let tell = async {
        while let Some(message) = line.next_for_srun(stream).await {
            if said.send(Ok(message)).await.is_err() {
                break;
            }
        }
    };
    // One that says no more may still listen; one that has gone away does neither.
    let listen = async {
        hear(relay, &line, key, stream, heard).await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = tell => {}
        () = listen => {}
        () = said.closed() => {}
    }
    line.change(|conduit| conduit.detach_srun(stream, Instant::now()));
}

async fn hear(relay: &Relay, line: &Line, key: StepKey, stream: u64, mut heard: Streaming<v1::FromSrun>) {
    loop {
        let message = match heard.message().await {
            Ok(Some(message)) => message,
            Ok(None) => return,
            Err(status) => return debug!(step = %key, %status, "the stream of an srun broke"),
        };
        if !line.change(|conduit| conduit.is_of_srun(stream)) {
            return;
        }
        match message.kind {
            Some(Kind::Input(input)) => {
                let taken = line.change(|conduit| conduit.takes_input().then(|| conduit.input(input)));
                if taken.is_none() {
                    return debug!(step = %key, "an srun said more than may wait");
                }
            }
            Some(Kind::Received(received)) => {
                line.change(|conduit| conduit.received(&received.node, received.seq));
            }
            Some(Kind::Signal(signal)) if (1..=SIGNAL_MAX.unsigned_abs()).contains(&signal) => {
                line.change(|conduit| conduit.signal(signal));
            }
            Some(Kind::Stop(at_once)) => {
                let uid = relay.owner(key);
                relay.wish(key, StepWish::Stop(StopWhy::Cancelled(uid))).await;
                if at_once {
                    relay.wish(key, StepWish::Signal(KILL)).await;
                }
            }
            Some(Kind::Create(_) | Kind::Attach(_) | Kind::Signal(_)) | None => {
                return debug!(step = %key, "an srun said what means nothing");
            }
        }
    }
}

#[cfg(test)]
mod tests;
