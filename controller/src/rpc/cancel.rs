//! Cancel: jobs and tasks, and steps by names such as `12.3`, `12_4.0` and `12.batch`.

use proto::error::WireError;
use proto::request::read_names;
use proto::v1;
use sched::reason::StopWhy;
use sched::refusal::Refusal;
use sched::select::{Asker, Phase, Selection};
use sched::step::{Answer, Input};
use sched::steps::ask::{StepSelector, StepTarget, StepWish};
use tonic::{Request, Status};

use super::{Desk, IDS_MAX, read_targets, reasons, refusals, unavailable};
use crate::audit::recorded::Note;

pub(super) async fn cancel(desk: &Desk, request: Request<v1::CancelRequest>) -> Result<v1::CancelReply, Status> {
    let asker = desk.rights.asker(&request)?;
    let (note, request) = (Note::of(request.extensions()), request.into_inner());
    note.what(describe(&request));
    let ids = request.ids.clone();
    let (named, request) = split_steps(request)?;
    let steps = wish(desk, asker, named.targets(), StepWish::Stop(StopWhy::Cancelled(asker.uid))).await?;
    let found = if named.are_all(&request) {
        steps
    } else {
        let selection = read_selection(request)?;
        match desk.post.ask(Input::Cancel { selection, asker }, Vec::new()).await.map_err(unavailable)? {
            Answer::Found(found) => named.joined(steps, found),
            other => return Err(Status::internal(format!("a cancel was answered with {other:?}"))),
        }
    };
    note.found(&ids, &found);
    Ok(answer(&found))
}

/// The filters of a request, for the audit log.
pub(super) fn describe(request: &v1::CancelRequest) -> String {
    let phase = if request.phase() == v1::Phase::Unspecified { "" } else { request.phase().as_str_name() };
    let filters = [
        ("user", request.user.as_str()),
        ("name", &request.name),
        ("partition", &request.partition),
        ("state", phase.trim_start_matches("PHASE_")),
        ("account", &request.account),
        ("qos", &request.qos),
        ("reservation", &request.reservation),
        ("wckey", &request.wckey),
        ("nodes", &request.nodes),
    ];
    let given = filters.into_iter().filter(|(_, value)| !value.is_empty());
    given.map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(" ")
}

fn answer(found: &[Found]) -> v1::CancelReply {
    v1::CancelReply { refusals: refusals(found), reasons: reasons(found) }
}

/// The steps that a request names, each with its place among the ids.
pub(super) struct NamedSteps(Vec<(usize, StepTarget)>);

impl NamedSteps {
    pub(super) fn targets(&self) -> Vec<StepTarget> {
        self.0.iter().map(|(_, target)| target.clone()).collect()
    }

    /// Whether the request names nothing else.
    pub(super) fn are_all(&self, rest: &v1::CancelRequest) -> bool {
        !self.0.is_empty() && rest.ids.is_empty()
    }

    /// What was found of steps and of the rest, in the order of the ids.
    pub(super) fn joined(&self, steps: Vec<Found>, mut rest: Vec<Found>) -> Vec<Found> {
        for ((place, _), found) in self.0.iter().zip(steps) {
            rest.insert((*place).min(rest.len()), found);
        }
        rest
    }
}

type Found = Result<(), Refusal>;

/// Takes the names of steps out of a request.
pub(super) fn split_steps(mut request: v1::CancelRequest) -> Result<(NamedSteps, v1::CancelRequest), WireError> {
    if request.ids.len() > IDS_MAX {
        let value = format!("{} of them; at most {IDS_MAX}", request.ids.len());
        return Err(WireError::Meaningless { field: "ids", value });
    }
    let mut steps = Vec::new();
    let mut rest = Vec::with_capacity(request.ids.len());
    for (place, id) in std::mem::take(&mut request.ids).into_iter().enumerate() {
        let Some((job, step)) = id.split_once('.') else {
            rest.push(id);
            continue;
        };
        let bad = || WireError::Meaningless { field: "ids", value: id.clone() };
        let step = match step {
            "batch" => StepSelector::Batch,
            number => StepSelector::Number(number.parse().map_err(|_| bad())?),
        };
        steps.push((place, StepTarget { job: job.parse().map_err(|_| bad())?, step }));
    }
    Ok((NamedSteps(steps), v1::CancelRequest { ids: rest, ..request }))
}

/// Asks something of steps.
pub(super) async fn wish(
    desk: &Desk,
    asker: Asker,
    targets: Vec<StepTarget>,
    wish: StepWish,
) -> Result<Vec<Found>, Status> {
    if targets.is_empty() {
        return Ok(Vec::new());
    }
    match desk.post.ask(Input::Steps { targets, wish, asker }, Vec::new()).await.map_err(unavailable)? {
        Answer::Found(found) => Ok(found),
        other => Err(Status::internal(format!("a wish for steps was answered with {other:?}"))),
    }
}

pub(super) fn read_selection(request: v1::CancelRequest) -> Result<Selection, WireError> {
    let phase = match request.phase() {
        v1::Phase::Unspecified => None,
        v1::Phase::Pending => Some(Phase::Pending),
        v1::Phase::Running => Some(Phase::Running),
        v1::Phase::Suspended => Some(Phase::Suspended),
    };
    let targets = read_targets(&request.ids)?;
    let given = |text: String| Some(text).filter(|text| !text.is_empty());
    let selection = Selection {
        targets,
        user: given(request.user),
        name: given(request.name),
        partition: given(request.partition),
        phase,
        account: given(request.account),
        qos: given(request.qos),
        reservation: given(request.reservation),
        wckey: given(request.wckey),
        nodes: read_names(&request.nodes)?,
    };
    if selection == Selection::default() { Err(WireError::Missing("ids")) } else { Ok(selection) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_told_from_jobs_and_answered_in_their_places() {
        let ids = ["5", "12.3", "6_[1-2]", "12_4.0", "12.batch"].map(str::to_owned).to_vec();
        let (named, rest) = split_steps(v1::CancelRequest { ids, ..Default::default() }).expect("sound");
        assert_eq!(rest.ids, ["5", "6_[1-2]"]);
        let steps: Vec<StepSelector> = named.targets().iter().map(|target| target.step).collect();
        assert_eq!(steps, [StepSelector::Number(3), StepSelector::Number(0), StepSelector::Batch]);
        let bad = || Err(Refusal::UnknownStep);
        let found = named.joined(vec![bad(), Ok(()), bad()], vec![Ok(()), Err(Refusal::UnknownJob)]);
        assert_eq!(found, [Ok(()), bad(), Err(Refusal::UnknownJob), Ok(()), bad()]);
        for id in ["12.", ".3", "12.x", "12.3.4", "x.0"] {
            assert!(split_steps(v1::CancelRequest { ids: vec![id.into()], ..Default::default() }).is_err(), "{id}");
        }
    }
}
