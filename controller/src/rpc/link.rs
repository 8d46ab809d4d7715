//! The link to a node: one stream each way. The first message must be a registration.

use std::pin::Pin;
use std::sync::Arc;

use futures::{Stream, StreamExt};
use proto::error::WireError;
use proto::link::{FromNode, ToNode};
use proto::v1;
use proto::v1::node_link_server::NodeLink;
use sched::ids::NodeId;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use tracing::{debug, info, warn};

use crate::driver::{Letter, Post};
use crate::links::NODE_MESSAGES_MAX;
use crate::rpc::administrator;
use crate::rpc::caller::{Caller, speaks_for_itself};
use crate::rpc::relay::Relay;
use crate::rpc::serve_step;

/// Ends that are decided together at most.
const ENDS_MAX: usize = 4_096;

/// The service that nodes dial.
pub(crate) struct Links {
    pub(crate) post: Post,
    pub(crate) relay: Arc<Relay>,
}

#[tonic::async_trait]
impl NodeLink for Links {
    type JoinStream = Pin<Box<dyn Stream<Item = Result<v1::ToNode, Status>> + Send>>;
    type ServeStepStream = Pin<Box<dyn Stream<Item = Result<v1::ToStepd, Status>> + Send>>;

    async fn serve_step(
        &self,
        request: Request<Streaming<v1::FromStepd>>,
    ) -> Result<Response<Self::ServeStepStream>, Status> {
        serve_step::serve(&self.relay, request).await.map(Response::new)
    }

    async fn join(&self, request: Request<Streaming<v1::FromNode>>) -> Result<Response<Self::JoinStream>, Status> {
        let certificate = match Caller::of(request.extensions()) {
            Caller::Node(certificate) => Some(certificate),
            // Whoever joins as a node is given the jobs of all users.
            _ => administrator(&request).map(|_| None)?,
        };
        let mut said = request.into_inner();
        let first = said.message().await?.ok_or(WireError::Missing("register"))?;
        let FromNode::Register(register) = FromNode::try_from(first)? else {
            return Err(WireError::Missing("register").into());
        };
        let name = register.name.clone();
        certificate.as_ref().map_or(Ok(()), |shown| speaks_for_itself(shown, &name))?;
        let (sender, orders) = mpsc::channel::<ToNode>(NODE_MESSAGES_MAX);
        let (reply, registered) = oneshot::channel();
        let (tell, told) = oneshot::channel();
        let post = self.post.clone();
        // A task of its own: when the node goes away before it is answered, its end is still noticed.
        tokio::spawn(async move {
            let put = post.put(Letter::Register { register, certificate, sender, reply }).await;
            let answer = registered.await.ok().filter(|_| put);
            match answer {
                Some(Ok((node, session))) => {
                    info!(node = name, session, "link up");
                    tell.send(Ok(())).ok();
                    listen(post, name, node, session, said).await;
                }
                Some(Err(why)) => drop(tell.send(Err(Status::already_exists(why)))),
                None => drop(tell),
            }
        });
        told.await.map_err(|_| Status::unavailable("the registration was not kept; come again"))??;
        let orders = ReceiverStream::new(orders).map(|message| Ok(message.into()));
        Ok(Response::new(Box::pin(orders)))
    }
}

/// Takes what the node says until its stream ends.
async fn listen(post: Post, name: String, node: NodeId, session: u64, mut said: Streaming<v1::FromNode>) {
    let mut left = false;
    loop {
        let message = match said.message().await {
            Ok(Some(message)) => FromNode::try_from(message),
            Ok(None) => break,
            Err(status) => {
                debug!(node = name, %status, "the link broke");
                break;
            }
        };
        let letter = match message {
            Ok(FromNode::Ends { attempts: mut ends, mut steps }) => {
                while ends.len() + steps.len() > ENDS_MAX {
                    let ends = ends.split_off(ends.len().saturating_sub(ENDS_MAX));
                    let steps = steps.split_off(steps.len().saturating_sub(ENDS_MAX - ends.len()));
                    post.put(Letter::Ends { node, session, ends, steps }).await;
                }
                Letter::Ends { node, session, ends, steps }
            }
            Ok(FromNode::Leave) => {
                left = true;
                break;
            }
            Ok(FromNode::Register(_)) => {
                warn!(node = name, "a second registration on one stream");
                break;
            }
            Err(error) => {
                warn!(node = name, error = &error as &dyn std::error::Error, "the node said what means nothing");
                break;
            }
        };
        if !post.put(letter).await {
            return;
        }
    }
    info!(node = name, session, left, "link down");
    post.put(Letter::LinkClosed { node, session, left }).await;
}
