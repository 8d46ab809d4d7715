//! The link to a node: one stream each way. The first message must be a registration.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt};
use proto::error::WireError;
use proto::link::{FromNode, ToNode};
use proto::v1;
use proto::v1::node_link_server::NodeLink;
use sched::allow::Verb;
use sched::ids::{AttemptKey, NodeId};
use sched::lease::Lease;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Response, Status, Streaming};
use tracing::{debug, info, warn};

use crate::audit::recorded::Note;
use crate::audit::{Audit, Line, Outcome, Who};
use crate::driver::{Letter, Post, Published, Session};
use crate::links::NODE_MESSAGES_MAX;
use crate::rpc::caller::{Caller, speaks_for_itself};
use crate::rpc::output::{self, Readings};
use crate::rpc::relay::Relay;
use crate::rpc::rights::Rights;
use crate::rpc::serve_step;
use crate::rpc::sign_blob::Signatory;

/// Ends that are decided together at most.
const ENDS_MAX: usize = 4_096;

/// The service that nodes dial.
pub(crate) struct Links {
    pub(crate) post: Post,
    pub(crate) rights: Rights,
    pub(crate) published: Arc<Published>,
    pub(crate) audit: Audit,
    pub(crate) relay: Arc<Relay>,
    pub(crate) signatory: Arc<Signatory>,
    pub(crate) readings: Arc<Readings>,
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

    async fn sign_blob(&self, request: Request<v1::SignBlobRequest>) -> Result<Response<v1::SignBlobReply>, Status> {
        let node = match Caller::of(request.extensions()) {
            Caller::Node(certificate) => Some(certificate.name.clone()),
            // Over the socket nodes have no name to prove; who may be any node may ask for any attempt.
            _ => self.rights.asker_here(&request, Verb::BeNode).map(|_| None)?,
        };
        self.signatory.sign(request.into_inner(), node.as_deref()).await.map(Response::new)
    }

    type ServeOutputStream = Pin<Box<dyn Stream<Item = Result<v1::ToReader, Status>> + Send>>;

    async fn serve_output(
        &self,
        request: Request<Streaming<v1::FromReader>>,
    ) -> Result<Response<Self::ServeOutputStream>, Status> {
        output::serve(&self.readings, request).await.map(Response::new)
    }

    async fn join(&self, request: Request<Streaming<v1::FromNode>>) -> Result<Response<Self::JoinStream>, Status> {
        let certificate = match Caller::of(request.extensions()) {
            Caller::Node(certificate) => Some(certificate),
            // Whoever joins as a node is given the jobs of all users.
            _ => self.rights.asker_here(&request, Verb::BeNode).map(|_| None)?,
        };
        let (note, who) = (Note::of(request.extensions()), Who::of(request.extensions()));
        let mut said = request.into_inner();
        let first = said.message().await?.ok_or(WireError::Missing("register"))?;
        let FromNode::Register(register) = FromNode::try_from(first)? else {
            return Err(WireError::Missing("register").into());
        };
        let name = register.name.clone();
        note.what(name.as_str());
        let claimed: Vec<AttemptKey> = register.claims.iter().map(|claim| claim.key).collect();
        certificate.as_ref().map_or(Ok(()), |shown| speaks_for_itself(shown, &name))?;
        let (sender, orders) = mpsc::channel::<ToNode>(NODE_MESSAGES_MAX);
        let held = sender.downgrade();
        let (reply, registered) = oneshot::channel();
        let (tell, told) = oneshot::channel();
        let post = self.post.clone();
        let witness = Witness { published: self.published.clone(), audit: self.audit.clone(), who };
        // A task of its own: when the node goes away before it is answered, its end is still noticed.
        tokio::spawn(async move {
            let put = post.put(Letter::Register { register, certificate, sender, reply }).await;
            let answer = registered.await.ok().filter(|_| put);
            match answer {
                Some(Ok(session)) => {
                    info!(node = name, session = session.number, "link up");
                    tell.send(Ok(())).ok();
                    witness.look(session.node, claimed.into_iter());
                    listen(post, &witness, (&name, session), held, said).await;
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

/// Takes what the node says until its stream ends, or nothing has come for as long as its lease lasts. Its heartbeats are answered
/// here, and only while the driver holds the link: what comes after that is nobody's lease.
async fn listen(
    post: Post,
    witness: &Witness,
    (name, session): (&str, Session),
    held: mpsc::WeakSender<ToNode>,
    mut said: Streaming<v1::FromNode>,
) {
    let (node, number) = (session.node, session.number);
    let mut left = false;
    loop {
        let message = match next_message(&mut said, session.lease).await {
            Some(Ok(Some(message))) => FromNode::try_from(message),
            Some(Ok(None)) => break,
            Some(Err(status)) => {
                debug!(node = name, %status, "the link broke");
                witness.broken(&status);
                break;
            }
            None => {
                warn!(node = name, "the node has fallen silent; its link is dropped");
                break;
            }
        };
        let letter = match message {
            Ok(FromNode::Ends { attempts: mut ends, mut steps }) => {
                witness.look(node, ends.iter().map(|(key, _)| *key).chain(steps.iter().map(|(key, _)| key.attempt)));
                while ends.len() + steps.len() > ENDS_MAX {
                    let ends = ends.split_off(ends.len().saturating_sub(ENDS_MAX));
                    let steps = steps.split_off(steps.len().saturating_sub(ENDS_MAX - ends.len()));
                    post.put(Letter::Ends { node, session: number, ends, steps }).await;
                }
                Letter::Ends { node, session: number, ends, steps }
            }
            Ok(FromNode::Heartbeat { at_ms }) => {
                if let Some(sender) = held.upgrade() {
                    // A node that does not read hears no answer, which is all that it is owed.
                    sender.try_send(ToNode::Granted { at_ms }).ok();
                }
                continue;
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
    info!(node = name, session = number, left, "link down");
    post.put(Letter::LinkClosed { node, session: number, left }).await;
}

/// The next message; `None` where a node that has a lease has said nothing while that lasted.
async fn next_message(
    said: &mut Streaming<v1::FromNode>,
    lease: Option<Lease>,
) -> Option<Result<Option<v1::FromNode>, Status>> {
    match lease {
        Some(lease) => timeout(Duration::from_millis(lease.lasts_ms), said.message()).await.ok(),
        None => Some(said.message().await),
    }
}

/// Sees what a node says that is not its to say. The driver does not obey it; here it is put on record.
struct Witness {
    published: Arc<Published>,
    audit: Audit,
    who: Who,
}

impl Witness {
    /// Looks whether these ends are of the node's own attempts: one that another node holds never is.
    fn look(&self, node: NodeId, ends: impl Iterator<Item = AttemptKey>) {
        let cluster = self.published.cluster();
        for key in ends {
            let task = cluster.job(key.job).and_then(|job| job.tasks.get(&key.index));
            let shares = task.filter(|task| task.attempts == key.attempt).and_then(|task| task.state.shares());
            if shares.is_some_and(|shares| shares.iter().all(|share| share.node != node)) {
                self.refused(key.to_string(), "the attempt is of another node".into());
            }
        }
    }

    /// A message that was too large ends the link.
    fn broken(&self, status: &Status) {
        if status.code() == Code::OutOfRange {
            self.refused(String::new(), status.message().to_owned());
        }
    }

    fn refused(&self, what: String, why: String) {
        let (verb, who) = ("report".into(), self.who.clone());
        self.audit.add(Line { at_us: 0, outcome: Outcome::Refused, verb, who, what, why, times: 1 });
    }
}
