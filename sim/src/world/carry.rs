//! What is said and heard: messages on streams, words between noded and launcher, calls and answers, and the driver's turns.

use proto::link::FromNode;
use sched::ids::JobId;
use sched::step::{Answer, Input};

use super::{AGAIN_MS, Happening, PATIENCE_MS, World};
use crate::controller::journal::Disk;
use crate::controller::{Fate, Out, Ticket, Unavailable};
use crate::launcher::Word;
use crate::network::{End, Message, StreamId};
use crate::node::Wish;
use crate::violation::Violation;

/// One answer in so many is lost while nothing is calm.
const LOST_ANSWERS: u64 = 12;

impl World {
    pub(super) fn send(&mut self, stream: StreamId, to: End, message: Message) {
        if let Some(at_ms) = self.network.send(stream, to, message, (self.now_ms, &mut self.chance)) {
            self.agenda.put(at_ms, Happening::Arrives { stream, to });
        }
    }

    pub(super) fn arrives(&mut self, stream: StreamId, to: End) {
        let message = match self.network.receive(stream, to, self.now_ms) {
            Err(until_ms) => return self.agenda.put(until_ms, Happening::Arrives { stream, to }),
            Ok(None) => return,
            Ok(Some(message)) => message,
        };
        match message {
            Message::Closed => self.notices(stream, to),
            Message::FromNode(said) => {
                if let FromNode::Register(register) = &*said {
                    let (name, claims) = (&register.name, register.claims.len());
                    self.story.tell(self.now_ms, || format!("controller: {name} registers with {claims} claims"));
                }
                let out = self.desk.as_mut().and_then(|desk| desk.hear(stream, *said));
                out.into_iter().for_each(|out| self.let_out(out));
            }
            Message::ToNode(said) => {
                if let Some(node) = self.listener(stream) {
                    let wishes = self.nodes[node].on_said(said, self.now_ms);
                    self.grant(node, wishes);
                }
            }
        }
    }

    /// An end of a stream finds that it has ended, and closes it on its own side.
    pub(super) fn notices(&mut self, stream: StreamId, end: End) {
        match end {
            End::Controller => {
                self.network.stop_reading(stream, End::Controller);
                self.send(stream, End::Node, Message::Closed);
                if let Some(desk) = &mut self.desk {
                    desk.stream_closed(stream);
                }
            }
            End::Node => {
                let Some(node) = self.listener(stream) else { return };
                self.network.stop_reading(stream, End::Node);
                self.send(stream, End::Controller, Message::Closed);
                let wishes = self.nodes[node].on_lost();
                self.grant(node, wishes);
            }
        }
    }

    /// The node that listens to this stream.
    fn listener(&self, stream: StreamId) -> Option<usize> {
        let listens = |node: &crate::node::Node| node.noded.as_ref().is_some_and(|noded| noded.stream == Some(stream));
        self.nodes.iter().position(listens)
    }

    pub(super) fn dials(&mut self, node: usize, life: u64) {
        let idle = |noded: &crate::node::Noded| noded.life == life && noded.stream.is_none();
        if !self.nodes[node].noded.as_ref().is_some_and(idle) {
            return;
        }
        let stream = if self.desk.is_some() { self.network.dial(node, self.now_ms) } else { None };
        let Some(stream) = stream else { return self.put(AGAIN_MS * 3, Happening::Dials { node, life }) };
        if let Some(register) = self.nodes[node].on_dialled(stream, self.now_ms) {
            self.send(stream, End::Controller, Message::FromNode(register.into()));
        }
    }

    /// Does what a node wants.
    pub(super) fn grant(&mut self, node: usize, wishes: Vec<Wish>) {
        let (life, connection) = (self.nodes[node].lives, self.nodes[node].connections);
        for wish in wishes {
            match wish {
                Wish::Dial => self.put(AGAIN_MS, Happening::Dials { node, life }),
                Wish::Say(stream, said) => self.send(stream, End::Controller, Message::FromNode(said)),
                Wish::FallSilent(stream) => self.send(stream, End::Controller, Message::Closed),
                Wish::Ask(requests) => {
                    self.put(self.socket_ms, Happening::LauncherHears { node, connection, requests });
                }
            }
        }
    }

    pub(super) fn send_words(&mut self, node: usize, words: Vec<Word>) {
        if !words.is_empty() {
            let life = self.nodes[node].lives;
            self.put(self.socket_ms, Happening::NodedHears { node, life, words });
        }
    }

    /// The driver's turn, with whatever befalls it.
    pub(super) fn turn(&mut self) -> Result<(), Violation> {
        if self.turn_at_ms != Some(self.now_ms) {
            return Ok(());
        }
        self.turn_at_ms = None;
        let now = self.now();
        let disk = if self.now_ms < self.disk.1 { self.disk.0 } else { Disk::Works };
        let fate = std::mem::replace(&mut self.fate, Fate::Lives);
        let Some(desk) = &mut self.desk else { return Ok(()) };
        let outs = desk.turn(now, &mut self.journal, disk, fate);
        self.witness_journal()?;
        for out in outs {
            self.let_out(out);
        }
        if fate == Fate::Lives { Ok(()) } else { self.kill_controller() }
    }

    /// Reads what has become durable, whatever the controller thinks of it.
    fn witness_journal(&mut self) -> Result<(), Violation> {
        let records = self.journal.read(self.witnessed);
        if records.is_empty() {
            return Ok(());
        }
        for event in records.iter().flat_map(|record| &record.events) {
            self.story.tell(self.now_ms, || format!("controller: {event}"));
            self.witness.on_event(event)?;
        }
        self.witnessed += records.len();
        let cluster = self.published();
        cluster.check()?;
        cluster.check_commitments()?;
        self.witness.check_jobs(cluster)?;
        // A record that a failing disk has stored all the same is not published yet.
        let current = self.desk.as_ref().is_none_or(|desk| !desk.is_broken());
        if current { self.witness.check_tallies(cluster) } else { Ok(()) }
    }

    pub(super) fn let_out(&mut self, out: Out) {
        match out {
            Out::Say(stream, said) => self.send(stream, End::Node, Message::ToNode(said)),
            Out::HangUp(stream) => self.send(stream, End::Node, Message::Closed),
            Out::Reply(ticket, answer) => {
                if self.is_calm() || !self.weather.loses_answers || !self.chance.one_in(LOST_ANSWERS) {
                    let in_ms = self.network.latency.draw(&mut self.chance);
                    self.put(in_ms, Happening::Answered { ticket, answer });
                }
            }
        }
    }

    pub(super) fn asks(&mut self, ticket: Ticket) {
        let Some((input, tries)) = self.clients.ask(ticket) else { return };
        let in_ms = self.network.latency.draw(&mut self.chance);
        self.put(in_ms, Happening::Asked { ticket, input });
        self.put(PATIENCE_MS, Happening::LosesPatience { ticket, tries });
    }

    pub(super) fn answered(&mut self, ticket: Ticket, answer: Result<Answer, Unavailable>) -> Result<(), Violation> {
        let Ok(answer) = answer else {
            if self.clients.comes_again(ticket) {
                self.put(AGAIN_MS, Happening::Asks { ticket });
            }
            return Ok(());
        };
        let Some(input) = self.clients.answered(ticket) else { return Ok(()) };
        self.tell(|| format!("client: {}", describe(&answer)));
        match (input, answer) {
            (Input::Submit { request, .. }, Answer::Submitted(job)) => self.witness.on_answer(request, job),
            _ => Ok(()),
        }
    }

    /// A new client's call.
    pub(crate) fn call(&mut self, input: Input) {
        let ticket = self.clients.call(input);
        self.asks(ticket);
    }

    /// The jobs that are there and have not ended.
    pub(super) fn open_jobs(&self) -> Vec<JobId> {
        self.published().jobs().filter(|job| !job.is_done()).map(|job| job.id).collect()
    }

    /// A node says its last word.
    pub(super) fn say_goodbye(&mut self, stream: StreamId, talks: bool) {
        if talks {
            self.send(stream, End::Controller, Message::FromNode(FromNode::Leave.into()));
        }
        self.network.stop_reading(stream, End::Node);
        self.send(stream, End::Controller, Message::Closed);
    }
}

fn describe(answer: &Answer) -> String {
    match answer {
        Answer::Submitted(job) => format!("submitted batch job {job}"),
        Answer::Refused(refusal) => format!("refused: {refusal}"),
        Answer::Done => "done".to_owned(),
        Answer::Found(found) => {
            let refused = found.iter().filter_map(|found| found.as_ref().err());
            let refused: Vec<String> = refused.map(ToString::to_string).collect();
            if refused.is_empty() { "done".to_owned() } else { format!("refused: {}", refused.join("; ")) }
        }
        Answer::Registered(node, _) => format!("node {}", node.0),
        Answer::Token(token) => format!("join token {token}"),
        Answer::Step(key) => format!("step {key}"),
    }
}
