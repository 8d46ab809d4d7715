//! The link to the controller: dials, registers, listens, and begins again when it breaks.
//!
//! It decides nothing. Whoever owns the [`Heard`] receiver answers [`Heard::Dialled`] with a stream of what to say, which
//! must begin with a registration: so nothing that is said can fall between a registration and its link.

use std::sync::Arc;
use std::time::Duration;

use proto::LINK_MESSAGE_BYTES_MAX;
use proto::dial::dial_trusting;
use proto::endpoint::Endpoints;
use proto::link::{FromNode, ToNode};
use proto::v1;
use proto::v1::node_link_client::NodeLinkClient;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Code;
use tonic::transport::Channel;
use tracing::{info, warn};

use crate::papers::Papers;

/// Messages to the controller that may wait; beyond that the link is dropped, and the next registration says it all.
pub const MESSAGES_MAX: usize = 1_024;
/// The pause before the controller is dialled again.
const PAUSE: Duration = Duration::from_millis(100);
/// The pause after a controller has said that it does not let this node in.
const REFUSED_PAUSE: Duration = Duration::from_secs(2);
/// How long one round of dialling goes on before it is logged.
const DIAL_PATIENCE: Duration = Duration::from_secs(10);

/// What the link tells its owner.
#[derive(Debug)]
pub enum Heard {
    /// The controller answers: what is there to say?
    Dialled(oneshot::Sender<mpsc::Receiver<FromNode>>),
    /// The controller said something.
    Said(ToNode),
    /// The link is gone; it is being dialled again.
    Lost,
}

/// Keeps the link up, by the papers where there are any, until the receiver of `heard` is dropped. Who calls the controller besides
/// uses the channel that `connected` tells.
pub async fn keep_up(
    endpoints: Endpoints,
    papers: Option<Arc<Papers>>,
    heard: mpsc::Sender<Heard>,
    connected: watch::Sender<Option<Channel>>,
) {
    while !heard.is_closed() {
        let mut pause = PAUSE;
        let trust = papers.as_ref().map(|papers| papers.trust());
        match dial_trusting(&endpoints, trust.as_ref(), DIAL_PATIENCE).await {
            Ok(channel) => {
                connected.send_replace(Some(channel.clone()));
                let client = NodeLinkClient::new(channel)
                    .max_decoding_message_size(LINK_MESSAGE_BYTES_MAX)
                    .max_encoding_message_size(LINK_MESSAGE_BYTES_MAX);
                match converse(client, &heard).await {
                    Err(status) if matches!(status.code(), Code::PermissionDenied | Code::AlreadyExists) => {
                        let why = proto::error::detail(&status).unwrap_or_else(|| status.message().to_owned());
                        warn!(why, "the controller does not let this node in");
                        pause = REFUSED_PAUSE;
                    }
                    Err(status) => info!(%status, "the link broke"),
                    Ok(()) => {}
                }
                connected.send_replace(None);
                if heard.send(Heard::Lost).await.is_err() {
                    return;
                }
            }
            Err(error) => warn!(error = &error as &dyn std::error::Error, "the controller does not answer"),
        }
        tokio::time::sleep(pause).await;
    }
}

async fn converse(mut client: NodeLinkClient<Channel>, heard: &mpsc::Sender<Heard>) -> Result<(), tonic::Status> {
    let (answer, to_say) = oneshot::channel();
    // An owner that is gone ends the loop in `keep_up`.
    heard.send(Heard::Dialled(answer)).await.ok();
    let Ok(to_say) = to_say.await else { return Ok(()) };
    let outgoing = ReceiverStream::new(to_say).map(v1::FromNode::from);
    let mut incoming = client.join(outgoing).await?.into_inner();
    while let Some(message) = incoming.message().await? {
        if heard.send(Heard::Said(message.try_into()?)).await.is_err() {
            break;
        }
    }
    Ok(())
}
