//! `UpdateNodes`: nodes out of service and back.

use proto::error::{WireError, refused};
use proto::reason::ErrorReason;
use proto::v1;
use sched::allow::Verb;
use sched::cluster::Cluster;
use sched::mark::{NodesUpdate, REASON_BYTES_MAX, Wish};
use sched::node::MarkKind;
use sched::spec::hostlist::HOSTS_MAX;
use sched::step::{Answer, Input};
use tonic::{Request, Status};

use super::{Desk, reasons, refusals, unavailable};
use crate::audit::recorded::Note;

/// The longest name of a user that is kept, in bytes.
const USER_BYTES_MAX: usize = 256;

pub(super) async fn update(
    desk: &Desk,
    request: Request<v1::UpdateNodesRequest>,
) -> Result<v1::UpdateNodesReply, Status> {
    let note = Note::of(request.extensions());
    let uid = desk.rights.asker_here(&request, Verb::UpdateNodes)?.uid;
    let request = request.into_inner();
    note.what(request.wish().as_str_name().trim_start_matches("NODE_WISH_").to_lowercase());
    let update = read(&desk.published.cluster(), request, uid)?;
    let names: Vec<String> = update.names.iter().map(ToString::to_string).collect();
    match desk.post.ask(Input::UpdateNodes(update), Vec::new()).await.map_err(unavailable)? {
        Answer::Found(found) => {
            note.found(&names, &found);
            let detail =
                |found: &Result<(), sched::refusal::Refusal>| found.as_ref().err().and_then(|why| why.detail());
            let details = found.iter().map(|found| detail(found).unwrap_or_default()).collect();
            Ok(v1::UpdateNodesReply { refusals: refusals(&found), details, reasons: reasons(&found) })
        }
        other => Err(Status::internal(format!("an update of nodes was answered with {other:?}"))),
    }
}

fn read(cluster: &Cluster, request: v1::UpdateNodesRequest, uid: u32) -> Result<NodesUpdate, Status> {
    let wish = read_wish(&request)?;
    if request.user.len() > USER_BYTES_MAX {
        return Err(WireError::Meaningless { field: "user", value: format!("{} bytes", request.user.len()) }.into());
    }
    let names = match request.names.as_slice() {
        [] => return Err(WireError::Missing("names").into()),
        [all] if all.eq_ignore_ascii_case("all") => cluster.nodes().map(|node| node.name.clone()).collect(),
        names if names.len() > HOSTS_MAX => {
            let value = format!("{} of them; at most {HOSTS_MAX}", names.len());
            return Err(WireError::Meaningless { field: "names", value }.into());
        }
        names => names.iter().map(|name| name.as_str().into()).collect(),
    };
    Ok(NodesUpdate { names, wish, uid, user: request.user.as_str().into() })
}

fn read_wish(request: &v1::UpdateNodesRequest) -> Result<Wish, Status> {
    let reason = request.reason.trim();
    if reason.len() > REASON_BYTES_MAX {
        let detail = format!("the reason is {} bytes long; at most {REASON_BYTES_MAX}", reason.len());
        return Err(refused(ErrorReason::FieldInvalid, "Reason is too long", Some(&detail)));
    }
    let kind = match request.wish() {
        v1::NodeWish::Drain => MarkKind::Drain,
        v1::NodeWish::Fail => MarkKind::Fail,
        v1::NodeWish::Down => MarkKind::Down,
        v1::NodeWish::Resume => return Ok(Wish::Resume),
        v1::NodeWish::Undrain => return Ok(Wish::Undrain),
        v1::NodeWish::Unspecified if reason.is_empty() => return Err(WireError::Missing("wish").into()),
        v1::NodeWish::Unspecified => return Ok(Wish::Reason(reason.into())),
    };
    if reason.is_empty() {
        let text = "You must specify a reason when DOWNING or DRAINING a node. Request denied";
        return Err(refused(ErrorReason::FieldMissing, text, None));
    }
    Ok(Wish::Mark { kind, reason: reason.into(), resume_after_s: request.resume_after_s })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(names: &[&str], wish: v1::NodeWish, reason: &str) -> v1::UpdateNodesRequest {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        v1::UpdateNodesRequest { names, wish: wish.into(), reason: reason.into(), ..Default::default() }
    }

    #[test]
    fn whoever_calls_has_to_give_names_and_a_reason() {
        let said = |request| read(&Cluster::default(), request, 0).map_err(|status| status.message().to_owned());
        let drain = said(request(&["n1"], v1::NodeWish::Drain, " disk bad ")).expect("good");
        let (kind, reason) = (MarkKind::Drain, "disk bad".into());
        assert_eq!(drain.wish, Wish::Mark { kind, reason, resume_after_s: None });
        for wish in [v1::NodeWish::Drain, v1::NodeWish::Down, v1::NodeWish::Fail] {
            let text = "You must specify a reason when DOWNING or DRAINING a node. Request denied";
            assert_eq!(said(request(&["n1"], wish, " ")), Err(text.into()));
        }
        assert!(said(request(&[], v1::NodeWish::Resume, "")).is_err());
        assert!(said(request(&["n1"], v1::NodeWish::Unspecified, "")).is_err());
        assert!(said(request(&["n1"], v1::NodeWish::Down, &"x".repeat(REASON_BYTES_MAX + 1))).is_err());
        assert_eq!(said(request(&["all"], v1::NodeWish::Resume, "")).expect("every node").names.len(), 0);
    }
}
