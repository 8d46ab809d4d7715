//! Cancel.

use proto::error::WireError;
use proto::request::read_names;
use proto::v1;
use sched::select::{Asker, Phase, Selection};
use sched::step::{Answer, Input};
use tonic::{Request, Status};

use super::{Desk, asker, read_targets, refusals, unavailable};

pub(super) async fn cancel(desk: &Desk, request: Request<v1::CancelRequest>) -> Result<v1::CancelReply, Status> {
    let asker = asker(&request)?;
    let selection = read_selection(request.into_inner(), asker)?;
    match desk.post.ask(Input::Cancel { selection, uid: asker.uid }, Vec::new()).await.map_err(unavailable)? {
        Answer::Found(found) => Ok(v1::CancelReply { refusals: refusals(found) }),
        other => Err(Status::internal(format!("a cancel was answered with {other:?}"))),
    }
}

pub(super) fn read_selection(request: v1::CancelRequest, asker: Asker) -> Result<Selection, WireError> {
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
        only_of: None,
    };
    if selection == Selection::default() {
        return Err(WireError::Missing("ids"));
    }
    Ok(Selection { only_of: Some(asker.uid).filter(|_| !asker.operator), ..selection })
}
