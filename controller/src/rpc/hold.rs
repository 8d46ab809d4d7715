//! Hold, and release.

use proto::error::WireError;
use proto::v1;
use sched::step::{Answer, Input};
use tonic::Status;

use super::{Desk, read_targets, refusals, unavailable};

pub(super) async fn hold(desk: &Desk, request: v1::HoldRequest) -> Result<v1::HoldReply, Status> {
    let targets = read_targets(&request.ids)?;
    if targets.is_empty() {
        return Err(WireError::Missing("ids").into());
    }
    match desk.post.ask(Input::Hold { targets, hold: request.hold }, Vec::new()).await.map_err(unavailable)? {
        Answer::Found(found) => Ok(v1::HoldReply { refusals: refusals(found) }),
        other => Err(Status::internal(format!("a hold was answered with {other:?}"))),
    }
}
