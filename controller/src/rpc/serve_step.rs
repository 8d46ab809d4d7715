//! `ServeStep`: the stepd of one node's part of a step, which shows the secret of its order.

use std::sync::Arc;

use futures::stream;
use proto::error::WireError;
use proto::v1;
use proto::v1::from_stepd::Kind;
use sched::ids::StepKey;
use sched::steps::StepState;
use tonic::{Request, Status, Streaming};
use tracing::debug;

use super::Answers;
use super::caller::{Caller, speaks_for_itself};
use super::relay::{Line, Relay};

pub(super) async fn serve(
    relay: &Arc<Relay>,
    request: Request<Streaming<v1::FromStepd>>,
) -> Result<Answers<v1::ToStepd>, Status> {
    let caller = Caller::of(request.extensions());
    let mut heard = request.into_inner();
    let first = heard.message().await?.and_then(|message| message.kind);
    let Some(Kind::Hello(hello)) = first else { return Err(WireError::Missing("hello").into()) };
    if let Caller::Node(shown) = &caller {
        speaks_for_itself(shown, &hello.node)?;
    }
    let key: StepKey = hello.name.ok_or(WireError::Missing("name"))?.into();
    let unknown = || Status::not_found("no such step is to run there");
    if !relay.expects(key, &hello.node, &hello.secret) {
        return Err(unknown());
    }
    let line = relay.line(key).ok_or_else(unknown)?;
    let node = hello.node;
    let stream = line.change(|conduit| conduit.attach_node(&node)).ok_or_else(unknown)?;
    tokio::spawn(hear(line.clone(), key, node.clone(), stream, heard));
    let said = stream::unfold((line, node), move |(line, node)| async move {
        let message = line.next_for_node(&node, stream).await?;
        Some((Ok(message), (line, node)))
    });
    Ok(Box::pin(said))
}

/// Takes what a stepd says, as long as there is room for it.
async fn hear(line: Arc<Line>, key: StepKey, node: String, stream: u64, mut heard: Streaming<v1::FromStepd>) {
    loop {
        line.until(|conduit| conduit.takes_output(&node) || !conduit.is_of_node(&node, stream)).await;
        let message = match heard.message().await {
            Ok(Some(message)) => message,
            Ok(None) => break,
            Err(status) => {
                debug!(step = %key, node, %status, "the stream of a stepd broke");
                break;
            }
        };
        if !line.change(|conduit| conduit.is_of_node(&node, stream)) {
            break;
        }
        match message.kind {
            Some(Kind::Said(said)) => line.change(|conduit| conduit.say(&node, said)),
            Some(Kind::InputReceived(seq)) => line.change(|conduit| conduit.input_done(&node, seq)),
            Some(Kind::Hello(_)) | None => {
                debug!(step = %key, node, "a stepd said what means nothing");
                break;
            }
        }
    }
    line.change(|conduit| conduit.detach_node(&node, stream));
}

impl Relay {
    /// Whether a stepd that shows this secret belongs to a part of a step that has not ended.
    fn expects(&self, key: StepKey, node: &str, secret: &[u8]) -> bool {
        let cluster = self.cluster();
        let Some(step) = cluster.step(key) else { return false };
        let StepState::Running { secret: own, left, .. } = &step.state else { return false };
        let there = left.iter().any(|left| cluster.node_name(*left).is_some_and(|name| **name == *node));
        // As long for a wrong secret as for the right one.
        let own = own.to_be_bytes();
        let differing = own.iter().zip(secret).fold(0, |all, (own, shown)| all | (own ^ shown));
        there && secret.len() == own.len() && differing == 0
    }
}
