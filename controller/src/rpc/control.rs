//! Hold, release, requeue, suspend, resume, signal and update: from messages to inputs.

use proto::error::WireError;
use proto::reason::ErrorReason;
use proto::v1::job_change::Kind;
use proto::v1::{self, ControlReply, Verdict};
use sched::hold::HoldVerb;
use sched::ids::Timestamp;
use sched::reason::Scope;
use sched::refusal::Refusal;
use sched::requeue::Requeue;
use sched::revise::{Change, LimitChange};
use sched::spec::array::JobRef;
use sched::spec::gres::{GresAsk, Per};
use sched::spec::job::Memory;
use sched::spec::licenses::LicenseAsk;
use sched::step::{Answer, Input};
use sched::steps::ask::StepWish;
use tonic::{Request, Status};

use super::cancel::{describe, read_selection, split_steps, wish};
use super::{Desk, read_targets, unavailable};
use crate::audit::recorded::Note;

/// The most changes in one request; there are fewer keys.
const CHANGES_MAX: usize = 64;

pub(super) async fn hold(desk: &Desk, request: Request<v1::HoldRequest>) -> Result<ControlReply, Status> {
    let asker = desk.rights.asker(&request)?;
    let (note, request) = (Note::of(request.extensions()), request.into_inner());
    note.what(request.verb().as_str_name().trim_start_matches("HOLD_VERB_").to_lowercase());
    let verb = match request.verb() {
        v1::HoldVerb::Unspecified => return Err(WireError::Missing("verb").into()),
        v1::HoldVerb::Hold => HoldVerb::Hold,
        v1::HoldVerb::UserHold => HoldVerb::UserHold,
        v1::HoldVerb::Release => HoldVerb::Release,
    };
    ask(desk, &note, &request.ids, Input::Hold { targets: targets(&request.ids)?, verb, asker }).await
}

pub(super) async fn requeue(desk: &Desk, request: Request<v1::RequeueRequest>) -> Result<ControlReply, Status> {
    let asker = desk.rights.asker(&request)?;
    let (note, request) = (Note::of(request.extensions()), request.into_inner());
    let (hold, incomplete, special_exit) = (request.hold, request.incomplete, request.special_exit);
    let how = Requeue { hold, incomplete, special_exit };
    ask(desk, &note, &request.ids, Input::Requeue { targets: targets(&request.ids)?, how, asker }).await
}

pub(super) async fn suspend(desk: &Desk, request: Request<v1::SuspendRequest>) -> Result<ControlReply, Status> {
    let asker = desk.rights.asker(&request)?;
    let (note, request) = (Note::of(request.extensions()), request.into_inner());
    note.what(if request.suspend { "suspend" } else { "resume" });
    let input = Input::Pause { targets: targets(&request.ids)?, suspend: request.suspend, asker };
    ask(desk, &note, &request.ids, input).await
}

pub(super) async fn signal(desk: &Desk, request: Request<v1::SignalRequest>) -> Result<ControlReply, Status> {
    let asker = desk.rights.asker(&request)?;
    let (note, request) = (Note::of(request.extensions()), request.into_inner());
    let scope = match request.scope() {
        v1::ControlScope::Unspecified | v1::ControlScope::Steps => Scope::Steps,
        v1::ControlScope::Batch => Scope::Batch,
        v1::ControlScope::Full => Scope::Full,
    };
    let bad = WireError::Meaningless { field: "signal", value: request.signal.to_string() };
    let signal = i32::try_from(request.signal).ok().filter(|signal| (1..32).contains(signal)).ok_or(bad)?;
    let selection = request.selection.unwrap_or_default();
    note.what(format!("signal {signal} {}", describe(&selection)).trim_end());
    let ids = selection.ids.clone();
    let (named, rest) = split_steps(selection)?;
    let mut found = wish(desk, asker, named.targets(), StepWish::Signal(signal)).await?;
    if !named.are_all(&rest) {
        let input = Input::Signal { selection: read_selection(rest)?, signal, scope, asker };
        found = named.joined(found, ask_for(desk, input).await?);
    }
    note.found(&ids, &found);
    Ok(verdicts(found))
}

pub(super) async fn update(desk: &Desk, request: Request<v1::UpdateJobsRequest>) -> Result<ControlReply, Status> {
    let asker = desk.rights.asker(&request)?;
    let (note, request) = (Note::of(request.extensions()), request.into_inner());
    let targets = targets(&request.ids)?;
    if request.changes.is_empty() || request.changes.len() > CHANGES_MAX {
        return Err(WireError::Missing("changes").into());
    }
    let changes = request.changes.into_iter().map(read_change).collect::<Result<_, _>>()?;
    ask(desk, &note, &request.ids, Input::Revise { targets, changes, asker }).await
}

fn targets(ids: &[String]) -> Result<Vec<JobRef>, WireError> {
    let targets = read_targets(ids)?;
    if targets.is_empty() { Err(WireError::Missing("ids")) } else { Ok(targets) }
}

/// Asks for something to be done to each of these, and notes what became of it.
async fn ask(desk: &Desk, note: &Note, ids: &[String], input: Input) -> Result<ControlReply, Status> {
    let found = ask_for(desk, input).await?;
    note.found(ids, &found);
    Ok(verdicts(found))
}

fn verdicts(found: Vec<Result<(), Refusal>>) -> ControlReply {
    let verdict = |found: Result<(), Refusal>| match found {
        Ok(()) => Verdict::default(),
        Err(why) => Verdict {
            refusal: why.to_string(),
            detail: why.detail().unwrap_or_default(),
            reason: ErrorReason::of(&why).into(),
        },
    };
    ControlReply { verdicts: found.into_iter().map(verdict).collect() }
}

async fn ask_for(desk: &Desk, input: Input) -> Result<Vec<Result<(), Refusal>>, Status> {
    match desk.post.ask(input, Vec::new()).await.map_err(unavailable)? {
        Answer::Found(found) => Ok(found),
        other => Err(Status::internal(format!("a change of jobs was answered with {other:?}"))),
    }
}

fn read_change(change: v1::JobChange) -> Result<Change, WireError> {
    let given = |text: String| Some(text).filter(|text| !text.is_empty());
    Ok(match change.kind.ok_or(WireError::Missing("changes.kind"))? {
        Kind::TimeLimitMinutes(minutes) => Change::TimeLimit(LimitChange::To(Some(minutes).filter(|it| *it > 0))),
        Kind::TimeLimitMoreMinutes(minutes) => Change::TimeLimit(LimitChange::More(minutes)),
        Kind::TimeLimitLessMinutes(minutes) => Change::TimeLimit(LimitChange::Less(minutes)),
        Kind::EndMs(ms) => Change::EndTime(Timestamp(ms)),
        Kind::Priority(priority) => Change::Priority(priority),
        Kind::Nice(nice) => Change::Nice(nice),
        Kind::Throttle(throttle) => Change::Throttle(throttle),
        Kind::Requeue(requeue) => Change::Requeue(requeue),
        Kind::Comment(comment) => Change::Comment(comment),
        Kind::Name(name) => Change::Name(name),
        Kind::DeadlineMs(ms) => Change::Deadline(Some(Timestamp(ms)).filter(|at| at.0 != 0)),
        Kind::Partitions(names) => Change::Partitions(names.split(',').map(Into::into).collect()),
        Kind::Dependency(text) => Change::Dependency(proto::spec::read_dependency(&text)?),
        Kind::Nodes(range) => Change::Nodes { min: range.min, max: range.max },
        Kind::Processes(count) => Change::Processes(count),
        Kind::CpusPerProcess(count) => Change::CpusPerProcess(count),
        Kind::MemoryPerNodeMib(mib) => Change::Memory(Memory::PerNode(mib)),
        Kind::MemoryPerCpuMib(mib) => Change::Memory(Memory::PerCpu(mib)),
        Kind::NodeList(list) => Change::NodeList(proto::request::read_names(&list)?),
        Kind::Exclude(list) => Change::Exclude(proto::request::read_names(&list)?),
        Kind::Features(text) => Change::Features(given(text).map(|text| text.parse()).transpose()?),
        Kind::Gres(text) => Change::Gres(match given(text) {
            Some(text) => GresAsk::list(&text, Per::Node)?,
            None => Vec::new(),
        }),
        Kind::Licenses(text) => Change::Licenses(match given(text) {
            Some(text) => LicenseAsk::list(&text)?,
            None => Vec::new(),
        }),
        Kind::BeginMs(ms) => Change::Begin(Timestamp(ms)),
        Kind::WorkDir(dir) => Change::WorkDir(dir),
        Kind::Stdin(name) => Change::Stdin(given(name)),
        Kind::Stdout(name) => Change::Stdout(given(name)),
        Kind::Stderr(name) => Change::Stderr(given(name)),
        Kind::Account(name) => Change::Account(name),
        Kind::Qos(name) => Change::Qos(name),
        Kind::Wckey(name) => Change::Wckey(name),
        Kind::Reservation(name) => Change::Reservation(name),
        Kind::Extra(text) => Change::Extra(text),
        Kind::AdminComment(text) => Change::AdminComment(text),
        Kind::MailType(types) => Change::MailType(types.parse()?),
        Kind::MailUser(name) => Change::MailUser(name),
        Kind::TimeMinMinutes(minutes) => Change::TimeMin(proto::spec::read_time_limit(
            Some(u64::from(minutes)).filter(|minutes| *minutes > 0),
            false,
        )?),
        Kind::Exclusive(exclusive) => Change::Exclusive(exclusive),
    })
}
