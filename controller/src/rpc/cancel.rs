//! Cancel.

use proto::error::WireError;
use proto::v1;
use sched::select::{Phase, Selection};
use sched::step::{Answer, Input};
use tonic::{Request, Status};

use super::{Desk, NOBODY_UID, allowed, read_targets, refusals, unavailable};

pub(super) async fn cancel(desk: &Desk, request: Request<v1::CancelRequest>) -> Result<v1::CancelReply, Status> {
    let uid = allowed(&request)?.map_or(NOBODY_UID, |(uid, _)| uid);
    let selection = read_selection(request.into_inner())?;
    match desk.post.ask(Input::Cancel { selection, uid }, Vec::new()).await.map_err(unavailable)? {
        Answer::Found(found) => Ok(v1::CancelReply { refusals: refusals(found) }),
        other => Err(Status::internal(format!("a cancel was answered with {other:?}"))),
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
    let (user, name, partition) = (given(request.user), given(request.name), given(request.partition));
    if targets.is_empty() && user.is_none() && name.is_none() && partition.is_none() && phase.is_none() {
        return Err(WireError::Missing("ids"));
    }
    Ok(Selection { targets, user, name, partition, phase })
}
