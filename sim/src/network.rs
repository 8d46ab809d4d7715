//! Streams between nodes and the controller, as TCP gives them: what is said arrives in order, late, or not at all, and each
//! end learns in its own time that the other is gone.
//!
//! So messages are never repeated or mixed up within a stream; but those of an old stream may arrive long after a newer one
//! was made. It knows no meaning of a message.

use std::collections::{BTreeMap, VecDeque};

use proto::link::{FromNode, ToNode};

use crate::chance::Chance;

/// A stream. Never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct StreamId(pub(crate) u64);

/// An end of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Node,
    Controller,
}

/// What travels.
#[derive(Clone, Debug)]
pub(crate) enum Message {
    FromNode(Box<FromNode>),
    ToNode(ToNode),
    /// The other end was closed.
    Closed,
}

/// How fast messages are.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Latency {
    pub(crate) ms_min: u64,
    pub(crate) ms_max: u64,
}

impl Latency {
    pub(crate) fn draw(self, chance: &mut Chance) -> u64 {
        chance.of(self.ms_min..=self.ms_max)
    }
}

/// All streams, and what keeps messages from passing.
#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) latency: Latency,
    streams: BTreeMap<StreamId, Stream>,
    /// Until when nothing passes from a node, and to it.
    cuts: BTreeMap<usize, Cut>,
    made: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Cut {
    from_node_until_ms: u64,
    to_node_until_ms: u64,
}

#[derive(Debug)]
struct Stream {
    node: usize,
    to_node: Way,
    to_controller: Way,
    /// Nothing more gets in: a machine between the ends has dropped it.
    broken: bool,
}

/// One direction of a stream.
#[derive(Debug, Default)]
struct Way {
    under_way: VecDeque<Message>,
    last_ms: u64,
    /// Nobody reads any more.
    deaf: bool,
}

impl Network {
    pub(crate) fn new(latency: Latency) -> Network {
        Network { latency, streams: BTreeMap::new(), cuts: BTreeMap::new(), made: 0 }
    }

    /// A new stream; `None` while the path is cut either way.
    pub(crate) fn dial(&mut self, node: usize, now_ms: u64) -> Option<StreamId> {
        if self.cut_until_ms(node, End::Node) > now_ms || self.cut_until_ms(node, End::Controller) > now_ms {
            return None;
        }
        self.made += 1;
        let (to_node, to_controller) = Default::default();
        self.streams.insert(StreamId(self.made), Stream { node, to_node, to_controller, broken: false });
        Some(StreamId(self.made))
    }

    /// Sends to an end; answers when it should arrive, `None` when it never will.
    pub(crate) fn send(&mut self, id: StreamId, to: End, message: Message, now: (u64, &mut Chance)) -> Option<u64> {
        let (now_ms, chance) = now;
        let latency_ms = self.latency.draw(chance);
        let stream = self.streams.get_mut(&id).filter(|stream| !stream.broken)?;
        let way = stream.way(to);
        way.under_way.push_back(message);
        way.last_ms = way.last_ms.max(now_ms + latency_ms);
        Some(way.last_ms)
    }

    /// The next message of a stream for this end, now that its time has come; `Err` says until when the path is cut.
    pub(crate) fn receive(&mut self, id: StreamId, to: End, now_ms: u64) -> Result<Option<Message>, u64> {
        let Some(node) = self.node_of(id) else { return Ok(None) };
        let until_ms = self.cut_until_ms(node, to);
        if until_ms > now_ms {
            return Err(until_ms);
        }
        let way = self.streams.get_mut(&id).expect("its node was found").way(to);
        Ok(way.under_way.pop_front().filter(|_| !way.deaf))
    }

    /// An end no longer reads. What it said before is still under way.
    pub(crate) fn stop_reading(&mut self, id: StreamId, end: End) {
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.way(end).deaf = true;
            if stream.to_node.deaf && stream.to_controller.deaf {
                self.streams.remove(&id);
            }
        }
    }

    /// A machine is gone: what it had said and nobody has heard is gone, too.
    pub(crate) fn lose_machine(&mut self, node: usize) {
        for stream in self.streams.values_mut().filter(|stream| stream.node == node) {
            stream.to_controller.under_way.clear();
            stream.to_node.deaf = true;
        }
    }

    /// Breaks a stream: of what is under way, only the first so many messages each way arrive.
    pub(crate) fn tear(&mut self, id: StreamId, arrive: usize) {
        if let Some(stream) = self.streams.get_mut(&id) {
            stream.broken = true;
            stream.to_node.under_way.truncate(arrive);
            stream.to_controller.under_way.truncate(arrive);
        }
    }

    /// Lets nothing pass to this end of a node's path until then.
    pub(crate) fn cut(&mut self, node: usize, to: End, until_ms: u64) {
        let cut = self.cuts.entry(node).or_default();
        match to {
            End::Node => cut.to_node_until_ms = until_ms,
            End::Controller => cut.from_node_until_ms = until_ms,
        }
    }

    /// Lets everything pass from now on.
    pub(crate) fn heal(&mut self) {
        self.cuts.clear();
    }

    /// The streams of a node that some end still reads.
    pub(crate) fn streams_of(&self, node: usize) -> Vec<StreamId> {
        self.streams.iter().filter(|(_, stream)| stream.node == node).map(|(id, _)| *id).collect()
    }

    pub(crate) fn node_of(&self, id: StreamId) -> Option<usize> {
        self.streams.get(&id).map(|stream| stream.node)
    }

    fn cut_until_ms(&self, node: usize, to: End) -> u64 {
        let cut = self.cuts.get(&node).copied().unwrap_or_default();
        match to {
            End::Node => cut.to_node_until_ms,
            End::Controller => cut.from_node_until_ms,
        }
    }
}

impl Stream {
    fn way(&mut self, to: End) -> &mut Way {
        match to {
            End::Node => &mut self.to_node,
            End::Controller => &mut self.to_controller,
        }
    }
}
