//! Asks the controller for signed URLs, over whatever connection the link has at the moment.
//!
//! While the controller is away this waits, as the ends of attempts do: whoever asks is given up with its attempt. What it says
//! no to stays refused.

use std::time::Duration;

use blobs::{SignedInput, SignedOutput, SignedRequest};
use proto::v1;
use proto::v1::node_link_client::NodeLinkClient;
use sched::ids::AttemptKey;
use thiserror::Error;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tonic::transport::Channel;
use tonic::{Code, Status};
use tracing::info;

/// How long one call may take, with what the controller asks of a store.
const CALL_MAX: Duration = Duration::from_secs(100);
/// The pause before a call is made again that the controller did not answer.
const PAUSE: Duration = Duration::from_millis(500);

/// Where signed URLs come from.
#[derive(Clone, Debug)]
pub struct Signatures(watch::Receiver<Option<Channel>>);

/// The controller signs nothing, and says why.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct Refused(String);

impl Signatures {
    /// They are asked for over the channel that is told here, once there is one.
    #[must_use]
    pub fn over(channels: watch::Receiver<Option<Channel>>) -> Signatures {
        Signatures(channels)
    }

    /// For reading the attempt's blob.
    ///
    /// # Errors
    /// The attempt is not this node's any more, or the controller has no keys for the store.
    pub async fn input(&self, key: AttemptKey) -> Result<SignedInput, Refused> {
        let v1::SignBlobReply { blob, head, get, .. } = self.ask(key, v1::BlobUse::Input).await?;
        match (head.map(read), get.map(read)) {
            (Some(head), Some(get)) => Ok(SignedInput { blob, head, get }),
            _ => Err(odd()),
        }
    }

    /// For putting the attempt's output.
    ///
    /// # Errors
    /// As [`input`](Self::input).
    pub async fn output(&self, key: AttemptKey) -> Result<SignedOutput, Refused> {
        let v1::SignBlobReply { blob, put, get, .. } = self.ask(key, v1::BlobUse::Output).await?;
        match (put.map(read), get.map(read)) {
            (Some(put), Some(get)) => Ok(SignedOutput { blob, put, get }),
            _ => Err(odd()),
        }
    }

    async fn ask(&self, key: AttemptKey, wanted: v1::BlobUse) -> Result<v1::SignBlobReply, Refused> {
        let mut channels = self.0.clone();
        loop {
            let channel = match channels.wait_for(Option::is_some).await {
                Ok(channel) => channel.clone().expect("it was waited for"),
                Err(_) => return Err(Refused("this noded is about to stop".into())),
            };
            let request = v1::SignBlobRequest { key: Some(key.into()), r#use: wanted.into() };
            let mut client = NodeLinkClient::new(channel);
            match timeout(CALL_MAX, client.sign_blob(request)).await {
                Ok(Ok(reply)) => return Ok(reply.into_inner()),
                Ok(Err(status)) if is_final(&status) => {
                    let detail = proto::error::detail(&status);
                    return Err(Refused(detail.unwrap_or_else(|| status.message().to_owned())));
                }
                Ok(Err(status)) => info!(attempt = %key, %status, "no signed URL yet"),
                Err(_) => info!(attempt = %key, "no signed URL in time"),
            }
            sleep(PAUSE).await;
        }
    }
}

/// Whether the controller has answered; else the connection has, or a controller that is busy.
fn is_final(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::FailedPrecondition
            | Code::PermissionDenied
            | Code::InvalidArgument
            | Code::NotFound
            | Code::Unimplemented
    )
}

fn read(signed: v1::SignedRequest) -> SignedRequest {
    SignedRequest::new(signed.url, signed.headers.into_iter().map(|header| (header.name, header.value)).collect())
}

fn odd() -> Refused {
    Refused("the controller has signed something else than it was asked for".into())
}
