//! What is on its way between an `srun` and the stepds of its step, as a value: windows of messages that the other side has not yet
//! received, and where each stream stands in them.
//!
//! A broken stream begins again at the front of its window, and both ends count a message once. Nothing is read while its window is
//! full, so an `srun` that does not read holds up its tasks, and not this process.

use std::collections::{BTreeMap, VecDeque};

use proto::v1;
use tokio::time::Instant;

/// About how many bytes of output a node's window holds; one message may pass it. Beyond, its stepd is not read.
pub(super) const OUTPUT_BYTES_MAX: usize = 1024 * 1024;
/// About how many bytes of input wait for the stepds: more than an `srun` has under way. One that says more loses its stream; it is
/// never left unread, because it also says what it has received, and how the step is to end.
pub(super) const INPUT_BYTES_MAX: usize = 2 * 1024 * 1024;
/// What a message weighs beside its bytes.
const MESSAGE_BYTES: usize = 256;
/// Signals that wait for one stepd; more are dropped, as the same signal sent twice at once is.
const SIGNALS_MAX: usize = 32;

/// Which of the streams that an end of a step has had; only the newest counts.
pub(in crate::rpc) type StreamId = u64;

/// What a stream is to do.
#[derive(Debug, PartialEq)]
pub(in crate::rpc) enum Next<M> {
    /// Say this.
    Say(M),
    /// Wait for a change.
    Wait,
    /// End: it was replaced, or all is said.
    End,
}

/// A step's streams and windows.
pub(in crate::rpc) struct Conduit {
    created: v1::StepCreated,
    nodes: BTreeMap<String, Side>,
    streams: StreamId,
    srun: Option<Srun>,
    /// Since when there is no `srun`.
    gone: Option<Instant>,
    input: VecDeque<v1::StepInput>,
    input_bytes: usize,
    input_seen: u64,
    /// How it ended; said when all output has gone before it.
    ended: Option<v1::StepEnded>,
    ended_said: bool,
    /// Nobody listens any more.
    detached: bool,
}

struct Srun {
    stream: StreamId,
    created_said: bool,
    input_said: u64,
}

/// The side of one node.
#[derive(Default)]
struct Side {
    stream: Option<StreamId>,
    window: VecDeque<v1::StepSaid>,
    bytes: usize,
    /// The last message that was taken in, and the last that the `srun` has received.
    seen: u64,
    received: u64,
    /// Up to where its window has been said to the `srun`, by seq.
    said: u64,
    /// Of the input: what it has written, and up to where it has been said to it.
    input_done: u64,
    input_said: u64,
    received_said: u64,
    signals: VecDeque<u32>,
    detached_said: bool,
    /// Its part has ended: it reads no more.
    over: bool,
    gets_input: bool,
}

impl Conduit {
    pub(in crate::rpc) fn new(created: v1::StepCreated, input_task: Option<u32>, now: Instant) -> Conduit {
        let gets = |share: &v1::StepShare| {
            input_task.is_none_or(|task| (share.first_task..share.first_task + share.tasks).contains(&task))
        };
        let side = |share: &v1::StepShare| Side { gets_input: gets(share), ..Side::default() };
        Conduit {
            nodes: created.shares.iter().map(|share| (share.node.clone(), side(share))).collect(),
            created,
            streams: 0,
            srun: None,
            gone: Some(now),
            input: VecDeque::new(),
            input_bytes: 0,
            input_seen: 0,
            ended: None,
            ended_said: false,
            detached: false,
        }
    }

    /// An `srun` begins, or begins again: all that it has not received is said to it.
    pub(in crate::rpc) fn attach_srun(&mut self) -> StreamId {
        self.streams += 1;
        self.srun = Some(Srun { stream: self.streams, created_said: false, input_said: 0 });
        (self.gone, self.ended_said) = (None, false);
        self.nodes.values_mut().for_each(|side| side.said = side.received);
        self.streams
    }

    pub(in crate::rpc) fn detach_srun(&mut self, stream: StreamId, now: Instant) {
        if self.srun.as_ref().is_some_and(|srun| srun.stream == stream) {
            (self.srun, self.gone) = (None, Some(now));
        }
    }

    /// A stepd begins, or begins again; `None` on a node that has no part of the step.
    pub(in crate::rpc) fn attach_node(&mut self, node: &str) -> Option<StreamId> {
        let side = self.nodes.get_mut(node)?;
        self.streams += 1;
        side.stream = Some(self.streams);
        (side.input_said, side.received_said, side.detached_said) = (side.input_done, 0, false);
        Some(self.streams)
    }

    pub(in crate::rpc) fn detach_node(&mut self, node: &str, stream: StreamId) {
        if let Some(side) = self.nodes.get_mut(node).filter(|side| side.stream == Some(stream)) {
            side.stream = None;
        }
    }

    /// Whether there is room for another message of a node. Where nobody listens there always is.
    pub(in crate::rpc) fn takes_output(&self, node: &str) -> bool {
        self.detached || self.nodes.get(node).is_none_or(|side| side.bytes < OUTPUT_BYTES_MAX)
    }

    /// Whether this is still the stream of that node.
    pub(in crate::rpc) fn is_of_node(&self, node: &str, stream: StreamId) -> bool {
        self.nodes.get(node).is_some_and(|side| side.stream == Some(stream))
    }

    pub(in crate::rpc) fn is_of_srun(&self, stream: StreamId) -> bool {
        self.srun.as_ref().is_some_and(|srun| srun.stream == stream)
    }

    /// A stepd says something; said again, it counts once.
    pub(in crate::rpc) fn say(&mut self, node: &str, said: v1::StepSaid) {
        let detached = self.detached;
        let Some(side) = self.nodes.get_mut(node).filter(|side| said.seq > side.seen) else { return };
        side.seen = said.seq;
        if detached {
            side.received = said.seq;
            return;
        }
        side.bytes += weight(&said);
        side.window.push_back(said);
    }

    /// The `srun` has all messages of a node up to this one.
    pub(in crate::rpc) fn received(&mut self, node: &str, seq: u64) {
        let Some(side) = self.nodes.get_mut(node) else { return };
        side.received = side.received.max(seq.min(side.seen));
        while let Some(said) = side.window.front().filter(|said| said.seq <= side.received) {
            side.bytes -= weight(said);
            side.window.pop_front();
        }
    }

    /// Whether there is room for more input.
    pub(in crate::rpc) fn takes_input(&self) -> bool {
        self.input_bytes < INPUT_BYTES_MAX
    }

    pub(in crate::rpc) fn input(&mut self, input: v1::StepInput) {
        if input.seq > self.input_seen {
            self.input_seen = input.seq;
            self.input_bytes += MESSAGE_BYTES + input.bytes.len();
            self.input.push_back(input);
            self.drop_input();
        }
    }

    /// A stepd has written all input up to this.
    pub(in crate::rpc) fn input_done(&mut self, node: &str, seq: u64) {
        if let Some(side) = self.nodes.get_mut(node) {
            side.input_done = side.input_done.max(seq);
        }
        self.drop_input();
    }

    /// What all that read have written; where nobody reads any more, all there is.
    fn input_written(&self) -> u64 {
        let readers = self.nodes.values().filter(|side| side.gets_input && !side.over);
        readers.map(|side| side.input_done).min().unwrap_or(self.input_seen)
    }

    fn drop_input(&mut self) {
        let written = self.input_written();
        while let Some(input) = self.input.front().filter(|input| input.seq <= written) {
            self.input_bytes -= MESSAGE_BYTES + input.bytes.len();
            self.input.pop_front();
        }
    }

    pub(in crate::rpc) fn signal(&mut self, signal: u32) {
        for side in self.nodes.values_mut().filter(|side| !side.over && side.signals.len() < SIGNALS_MAX) {
            side.signals.push_back(signal);
        }
    }

    /// The parts of all nodes but these have ended.
    pub(in crate::rpc) fn left(&mut self, left: &[String]) {
        self.nodes.iter_mut().for_each(|(node, side)| side.over = !left.contains(node));
        self.drop_input();
    }

    pub(in crate::rpc) fn end(&mut self, ended: v1::StepEnded) {
        self.left(&[]);
        self.ended = Some(ended);
    }

    /// Nobody will come for what is said: it is dropped.
    pub(in crate::rpc) fn detach(&mut self) {
        self.detached = true;
        for side in self.nodes.values_mut() {
            (side.received, side.bytes) = (side.seen, 0);
            side.window.clear();
        }
    }

    /// Since when there has been no `srun`, where that is not settled.
    pub(in crate::rpc) fn gone_since(&self) -> Option<Instant> {
        self.gone.filter(|_| !self.detached)
    }

    /// All streams end.
    pub(in crate::rpc) fn hang_up(&mut self) {
        self.srun = None;
        self.nodes.values_mut().for_each(|side| side.stream = None);
    }

    /// Whether any stepd still talks.
    pub(in crate::rpc) fn has_stepd(&self) -> bool {
        self.nodes.values().any(|side| side.stream.is_some())
    }

    pub(in crate::rpc) fn has_said_the_end(&self) -> bool {
        self.ended_said
    }

    /// What the `srun` is to hear next.
    pub(in crate::rpc) fn next_for_srun(&mut self, stream: StreamId) -> Next<v1::ToSrun> {
        let written = self.input_written();
        let Some(srun) = self.srun.as_mut().filter(|srun| srun.stream == stream) else { return Next::End };
        let say = |kind| Next::Say(v1::ToSrun { kind: Some(kind) });
        if !srun.created_said {
            srun.created_said = true;
            return say(v1::to_srun::Kind::Created(self.created.clone()));
        }
        if written > srun.input_said {
            srun.input_said = written;
            return say(v1::to_srun::Kind::InputReceived(written));
        }
        for (node, side) in &mut self.nodes {
            if let Some(said) = side.window.iter().find(|said| said.seq > side.said) {
                side.said = said.seq;
                let said = v1::FromStepNode { node: node.clone(), said: Some(said.clone()) };
                return say(v1::to_srun::Kind::Said(said));
            }
        }
        match &self.ended {
            Some(_) if self.ended_said => Next::End,
            Some(ended) => {
                self.ended_said = true;
                say(v1::to_srun::Kind::Ended(ended.clone()))
            }
            None => Next::Wait,
        }
    }

    /// What the stepd of a node is to hear next.
    pub(in crate::rpc) fn next_for_node(&mut self, node: &str, stream: StreamId) -> Next<v1::ToStepd> {
        let Some(side) = self.nodes.get_mut(node).filter(|side| side.stream == Some(stream)) else { return Next::End };
        let say = |kind| Next::Say(v1::ToStepd { kind: Some(kind) });
        if self.detached && !side.detached_said {
            side.detached_said = true;
            return say(v1::to_stepd::Kind::Detached(true));
        }
        if side.received > side.received_said {
            side.received_said = side.received;
            return say(v1::to_stepd::Kind::Received(side.received));
        }
        if let Some(signal) = side.signals.pop_front() {
            return say(v1::to_stepd::Kind::Signal(signal));
        }
        let input = self.input.iter().find(|input| side.gets_input && input.seq > side.input_said);
        if let Some(input) = input {
            side.input_said = input.seq;
            return say(v1::to_stepd::Kind::Input(input.clone()));
        }
        Next::Wait
    }
}

fn weight(said: &v1::StepSaid) -> usize {
    let bytes = match &said.kind {
        Some(v1::step_said::Kind::Output(output)) => output.bytes.len(),
        Some(v1::step_said::Kind::TaskFailed(failed)) => failed.why.len(),
        Some(v1::step_said::Kind::Message(text)) => text.len(),
        Some(v1::step_said::Kind::TaskEnded(_)) | None => 0,
    };
    MESSAGE_BYTES + bytes
}

#[cfg(test)]
mod tests;
