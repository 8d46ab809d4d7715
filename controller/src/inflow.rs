//! Messages that have begun to come and are not whole: how many bytes of them may wait in memory, and for how long.
//!
//! A message is kept until its last byte has come, and each call may have one of 16 MiB under way: without a bound, who begins many and ends none
//! would fill the memory. What is whole is bounded by what is done with it.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame};
use proto::error::refused;
use proto::reason::ErrorReason;
use tokio::time::{Sleep, sleep};
use tonic::Status;
use tonic::codegen::http::{Extensions, Request};
use tonic::transport::server::UdsConnectInfo;
use tower::{Layer, Service};

use crate::budget::{Budget, Claim};
use crate::tls::TlsPeer;

/// Bytes of messages under way of one user on this machine, of one address, or of one node.
const BYTES_OF_ONE_MAX: usize = 2 * proto::LINK_MESSAGE_BYTES_MAX;
/// And of all.
const BYTES_MAX: usize = 4 * proto::LINK_MESSAGE_BYTES_MAX;
/// So much of each message counts not, so that who fills the room with large ones does not keep out the small ones.
const BYTES_FREE: usize = 8 * 1024;
/// Calls of one user, address or node that have not said all that they have to say.
const CALLS_OF_ONE_MAX: usize = 16_384;
/// And of all.
const CALLS_MAX: usize = 65_536;
/// How long a message may take from its first byte to its last.
const MESSAGE_TIME: Duration = Duration::from_secs(60);

static CALLS: LazyLock<Arc<Budget<Whose>>> = LazyLock::new(|| Budget::new(CALLS_OF_ONE_MAX, CALLS_MAX));
static BYTES: LazyLock<Arc<Budget<Whose>>> = LazyLock::new(|| Budget::new(BYTES_OF_ONE_MAX, BYTES_MAX));

/// For whom messages count.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Whose {
    User(u32),
    Node(String),
    Address(IpAddr),
    Unknown,
}

impl Whose {
    fn of(extensions: &Extensions) -> Whose {
        if let Some(peer) = extensions.get::<TlsPeer>() {
            return match (&peer.node, peer.address) {
                (Some(node), _) => Whose::Node(node.name.clone()),
                (None, Some(address)) => Whose::Address(address.ip()),
                (None, None) => Whose::Unknown,
            };
        }
        let peer = extensions.get::<UdsConnectInfo>().and_then(|info| info.peer_cred);
        peer.map_or(Whose::Unknown, |peer| Whose::User(peer.uid()))
    }
}

/// Puts a [`Bounded`] around the services.
#[derive(Clone)]
pub(crate) struct BoundInflow;

impl<S> Layer<S> for BoundInflow {
    type Service = Bounded<S>;

    fn layer(&self, inner: S) -> Bounded<S> {
        Bounded(inner)
    }
}

/// A service whose messages are bounded on their way in.
#[derive(Clone)]
pub(crate) struct Bounded<S>(S);

impl<S, B> Service<Request<B>> for Bounded<S>
where
    S: Service<Request<tonic::body::Body>>,
    B: Body<Data = Bytes> + Send + Unpin + 'static,
    B::Error: Into<tonic::codegen::StdError>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> S::Future {
        let whose = Whose::of(request.extensions());
        let claim = BYTES.claim(whose.clone(), 0).expect("nothing is always allowed");
        // A call too many is refused by its own service, which cannot read it.
        let seat = CALLS.claim(whose, 1).ok();
        let measured = |body| Measured { body, frames: Frames::default(), claim, seat, until: None };
        self.0.call(request.map(|body| tonic::body::Body::new(measured(body))))
    }
}

/// A body of which is known how much of its current message has come.
struct Measured<B> {
    body: B,
    frames: Frames,
    claim: Claim<Whose>,
    /// Its place among the calls; none for one too many.
    seat: Option<Claim<Whose>>,
    /// When the message that has begun must have ended.
    until: Option<Pin<Box<Sleep>>>,
}

impl<B> Body for Measured<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<tonic::codegen::StdError>,
{
    type Data = Bytes;
    type Error = tonic::codegen::StdError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = &mut *self;
        if this.seat.is_none() {
            return Poll::Ready(Some(Err(too_many().into())));
        }
        let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) else {
            let Some(until) = &mut this.until else { return Poll::Pending };
            ready!(until.as_mut().poll(context));
            return Poll::Ready(Some(Err(too_slow().into())));
        };
        if let Some(Ok(data)) = frame.as_ref().map(|frame| frame.as_ref().map(Frame::data_ref))
            && let Some(data) = data
        {
            let begun = this.frames.pass(data);
            if this.claim.resize(begun.saturating_sub(BYTES_FREE)).is_err() {
                return Poll::Ready(Some(Err(too_much().into())));
            }
            match (begun, &this.until) {
                (0, _) => this.until = None,
                (_, None) => this.until = Some(Box::pin(sleep(MESSAGE_TIME))),
                (_, Some(_)) => {}
            }
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}

fn too_slow() -> Status {
    let detail = format!("a message was not whole {} s after it had begun", MESSAGE_TIME.as_secs());
    refused(ErrorReason::TooSlow, "Resource temporarily unavailable", Some(&detail))
}

fn too_many() -> Status {
    let detail =
        format!("{CALLS_OF_ONE_MAX} calls from here are under way, or {CALLS_MAX} from all: make fewer at a time");
    refused(ErrorReason::Busy, "Resource temporarily unavailable", Some(&detail))
}

fn too_much() -> Status {
    let detail = format!(
        "more than {BYTES_OF_ONE_MAX} bytes of messages that are not whole are on their way from here, or {BYTES_MAX} from all: send fewer at a time"
    );
    refused(ErrorReason::Busy, "Resource temporarily unavailable", Some(&detail))
}

/// Where messages begin and end in a stream of gRPC's frames: a byte, a length of four, and so many bytes.
#[derive(Default)]
struct Frames {
    head: [u8; 5],
    /// How much of the head has come.
    known: usize,
    /// How much of the message is missing.
    missing: usize,
    /// How much of it has come.
    begun: usize,
}

impl Frames {
    /// Takes note of what has come; answers how many bytes there are of a message that is not whole.
    fn pass(&mut self, mut data: &[u8]) -> usize {
        while !data.is_empty() {
            if self.missing == 0 && self.known < self.head.len() {
                let part = data.len().min(self.head.len() - self.known);
                self.head[self.known..self.known + part].copy_from_slice(&data[..part]);
                (self.known, data) = (self.known + part, &data[part..]);
                if self.known == self.head.len() {
                    let [_, a, b, c, d] = self.head;
                    self.missing = u32::from_be_bytes([a, b, c, d]) as usize;
                    (self.known, self.begun) = (0, 0);
                }
            } else {
                let part = data.len().min(self.missing);
                (self.missing, self.begun, data) = (self.missing - part, self.begun + part, &data[part..]);
            }
            if self.missing == 0 {
                self.begun = 0;
            }
        }
        self.begun + self.known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_told_apart_however_they_are_cut() {
        let mut stream = Vec::new();
        for length in [0_usize, 1, 300, 7] {
            stream.push(0);
            stream.extend(u32::try_from(length).expect("short").to_be_bytes());
            stream.extend(vec![9; length]);
        }
        for size in [1, 2, 3, 5, 6, 100, 1_000] {
            let mut frames = Frames::default();
            let begun: Vec<usize> = stream.chunks(size).map(|piece| frames.pass(piece)).collect();
            assert_eq!(begun.last(), Some(&0), "pieces of {size}: all are whole");
            assert!(begun.iter().all(|begun| *begun <= 300), "{begun:?}");
        }
        let mut frames = Frames::default();
        assert_eq!((frames.pass(&stream[..20]), frames.pass(&stream[20..21])), (4, 5));
    }
}
