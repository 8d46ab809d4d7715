//! The line to the controller: dialled, kept, and dialled again with all that was not confirmed.

use std::sync::Arc;
use std::time::Duration;

use proto::LINK_MESSAGE_BYTES_MAX;
use proto::dial::dial_trusting;
use proto::endpoint::Endpoints;
use proto::v1::from_stepd::Kind as Says;
use proto::v1::node_link_client::NodeLinkClient;
use proto::v1::to_stepd::Kind as Hears;
use proto::v1::{FromStepd, StepInput, StepdHello};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

use super::order::StepOrder;
use super::voice::Voice;
use crate::papers::Carried;

/// Messages on their way out; the rest waits in the [`Voice`].
const OUTGOING_MAX: usize = 8;
/// Input and signals that wait for the tasks. srun sends no more than that at a time; over it the stream is dropped.
pub(super) const HEARD_MAX: usize = 1_024;
/// From one try to the next: at first, and doubled up to the maximum.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(3);
/// How long one round of dialling goes on.
const DIAL_PATIENCE: Duration = Duration::from_secs(2);

/// What the tasks are to be given.
pub(super) enum Heard {
    Input(StepInput),
    Signal(u32),
}

/// Keeps the line up for as long as anybody listens.
pub(super) async fn keep_up(
    order: &StepOrder,
    endpoints: Endpoints,
    papers: Option<Carried>,
    voice: Arc<Voice>,
    heard: mpsc::Sender<Heard>,
) {
    let mut pause = PAUSE_MIN;
    let mut input_seen = 0;
    loop {
        // Papers that cannot be read now can be at the next try.
        let trust = papers.as_ref().and_then(|papers| papers.trust().ok());
        if let Ok(channel) = dial_trusting(&endpoints, trust.as_ref(), DIAL_PATIENCE).await {
            let client = NodeLinkClient::new(channel)
                .max_decoding_message_size(LINK_MESSAGE_BYTES_MAX)
                .max_encoding_message_size(LINK_MESSAGE_BYTES_MAX);
            match converse(client, order, &voice, &heard, &mut input_seen).await {
                Ok(Talked::Nobody) => return voice.detach(),
                Ok(Talked::Broke) => pause = PAUSE_MIN,
                Err(status) if is_final(&status) => return voice.detach(),
                Err(_) => {}
            }
        }
        tokio::time::sleep(pause).await;
        pause = PAUSE_MAX.min(pause * 2);
    }
}

/// How a stream ended.
enum Talked {
    Nobody,
    Broke,
}

/// The controller knows no such step, or does not believe us: it will not say anything else later.
fn is_final(status: &Status) -> bool {
    matches!(status.code(), Code::NotFound | Code::PermissionDenied | Code::Unauthenticated | Code::InvalidArgument)
}

async fn converse(
    mut client: NodeLinkClient<tonic::transport::Channel>,
    order: &StepOrder,
    voice: &Voice,
    heard: &mpsc::Sender<Heard>,
    input_seen: &mut u64,
) -> Result<Talked, Status> {
    let (outgoing, receiver) = mpsc::channel(OUTGOING_MAX);
    let hello = StepdHello { name: Some(order.name()), node: order.node.clone(), secret: order.secret.clone() };
    // There is room for the first message.
    outgoing.try_send(FromStepd { kind: Some(Says::Hello(hello)) }).ok();
    let mut incoming = client.serve_step(ReceiverStream::new(receiver)).await?.into_inner();
    let mut speaking = std::pin::pin!(speak(voice, outgoing));
    loop {
        let message = tokio::select! {
            message = incoming.message() => message,
            () = &mut speaking => return Ok(Talked::Broke),
        };
        let Ok(Some(message)) = message else {
            return match message {
                Err(status) if is_final(&status) => Err(status),
                _ => Ok(Talked::Broke),
            };
        };
        match message.kind {
            Some(Hears::Received(seq)) => voice.on_received(seq),
            Some(Hears::Detached(true)) => return Ok(Talked::Nobody),
            // Said again after a broken stream.
            Some(Hears::Input(input)) if input.seq <= *input_seen => {}
            Some(Hears::Input(input)) => {
                let seq = input.seq;
                if heard.try_send(Heard::Input(input)).is_err() {
                    return Ok(Talked::Broke);
                }
                *input_seen = seq;
            }
            Some(Hears::Signal(signal)) => drop(heard.try_send(Heard::Signal(signal))),
            Some(Hears::Detached(false)) | None => {}
        }
    }
}

/// Says everything that is not confirmed, in its order, and what comes after it.
async fn speak(voice: &Voice, outgoing: mpsc::Sender<FromStepd>) {
    let (mut seq, mut input) = (0, 0);
    loop {
        let received = voice.input_received();
        if received > input {
            input = received;
            if outgoing.send(FromStepd { kind: Some(Says::InputReceived(input)) }).await.is_err() {
                return;
            }
        }
        let Some(said) = voice.after(seq) else {
            voice.news().await;
            continue;
        };
        seq = said.seq;
        if outgoing.send(FromStepd { kind: Some(Says::Said(said)) }).await.is_err() {
            return;
        }
    }
}
