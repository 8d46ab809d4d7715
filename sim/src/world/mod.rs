//! A whole cluster as one value: controller, nodes, network and clients, moved through virtual time one happening at a time.
//!
//! Nothing here runs by itself. [`World::step`] takes the next thing off the agenda, lets it happen, and then everybody who
//! watches has a look. The same seed gives the same run, to the letter.

mod carry;
mod faults;
mod meddle;
mod traffic;

use sched::cluster::Cluster;
use sched::ids::Timestamp;
use sched::node::Health;
use sched::resources::{Amount, Cpus};
use sched::settings::Settings;
use sched::step::{Answer, Input};

use crate::agenda::Agenda;
use crate::chance::Chance;
use crate::clients::Clients;
use crate::controller::journal::{Disk, Journal};
use crate::controller::{Desk, Fate, Ticket, Unavailable};
use crate::launcher::{Request, Word};
use crate::network::{End, Latency, Network, StreamId};
use crate::node::Node;
use crate::sabotage::Sabotage;
use crate::story::Story;
use crate::violation::Violation;
use crate::witness::Witness;
use meddle::Meddler;

pub(crate) use faults::{Fault, Kind, Weather};

/// When the virtual clock starts.
const START: Timestamp = Timestamp(1_800_000_000_000);
/// Memory of a node for each of its CPUs.
const CPU_MEMORY_MIB: u64 = 1000;
/// After so many happenings a run counts as going in circles.
const STEPS_MAX: u64 = 1_000_000;
/// After the last fault, everything must have ended within this time.
const REST_MS_MAX: u64 = 4 * 60 * 60 * 1000;
/// After the last fault, every node is heard of again within this time.
const MEND_MS: u64 = 40_000;
/// How long an order takes at most from a fact to a process, when nothing is broken.
const DELAY_MS: u64 = 5_000;
/// The pause before a node dials again, and before a client tries again.
const AGAIN_MS: u64 = 100;
/// How long a client waits for an answer.
const PATIENCE_MS: u64 = 3_000;
/// The pause before the controller tries its disk again.
const REOPEN_MS: u64 = 500;

/// Something that will happen.
#[derive(Debug)]
pub(crate) enum Happening {
    /// A message comes to an end of a stream.
    Arrives { stream: StreamId, to: End },
    /// An end of a stream finds out that the other does not answer.
    Notices { stream: StreamId, end: End },
    /// A noded looks for the controller.
    Dials { node: usize, life: u64 },
    /// The launcher hears its noded.
    LauncherHears { node: usize, connection: u64, requests: Vec<Request> },
    /// A noded hears its launcher.
    NodedHears { node: usize, life: u64, words: Vec<Word> },
    /// Something on a node has come to its end.
    Clock { node: usize },
    /// The driver works through its mailbox.
    Turn,
    /// A client asks, for the first time or again.
    Asks { ticket: Ticket },
    /// The call reaches the controller.
    Asked { ticket: Ticket, input: Input },
    /// A client hears the answer.
    Answered { ticket: Ticket, answer: Result<Answer, Unavailable> },
    /// A client has waited long enough.
    LosesPatience { ticket: Ticket, tries: u32 },
    /// A client thinks of something.
    Traffic,
    /// Somebody does something to a job that is there.
    Meddling,
    /// Something breaks, as chance has it.
    Trouble,
    /// Something breaks, or is repaired.
    Fault(Fault),
    /// From here on nothing breaks, and what is broken is repaired.
    Calm,
    /// What would wait or run for ever is released and cancelled.
    Mercy,
}

/// What a world is made with.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) nodes: Vec<u32>,
    pub(crate) settings: Settings,
    pub(crate) latency: Latency,
    /// Between noded and its launcher: one for all messages keeps their order.
    pub(crate) socket_ms: u64,
    pub(crate) sabotage: Option<Sabotage>,
}

/// A cluster.
pub(crate) struct World {
    now_ms: u64,
    steps: u64,
    agenda: Agenda<Happening>,
    chance: Chance,
    pub(crate) settings: Settings,
    sabotage: Option<Sabotage>,
    network: Network,
    socket_ms: u64,
    journal: Journal,
    desk: Option<Desk>,
    /// What the last controller that died had committed.
    committed: Cluster,
    /// How many records of the journal have been witnessed.
    witnessed: usize,
    disk: (Disk, u64),
    /// What happens to the controller at its next turn.
    fate: Fate,
    turn_at_ms: Option<u64>,
    /// The controller's process stands still until then.
    still_until_ms: u64,
    nodes: Vec<Node>,
    clock_at_ms: Vec<Option<u64>>,
    /// A node that goes for good, and when.
    gone: Option<(usize, u64)>,
    clients: Clients,
    meddler: Meddler,
    weather: Weather,
    /// Since when nothing breaks any more.
    calm_since_ms: Option<u64>,
    witness: Witness,
    story: Story,
}

impl World {
    /// A cluster whose controller and nodes have just been started.
    pub(crate) fn new(plan: Plan, story: Story) -> World {
        let Plan { seed, nodes, settings, latency, socket_ms, sabotage } = plan;
        let make = |(i, cpus): (usize, &u32)| {
            let (cpus, memory_mib) = (Cpus::whole(*cpus), u64::from(*cpus) * CPU_MEMORY_MIB);
            let amount = Amount { cpus, memory_mib, ..Amount::default() };
            // Clocks of machines go as fast as they like, within a tenth.
            let rate = 900 + (seed.wrapping_mul(31) + i as u64 * 17) % 201;
            Node::new(format!("n{}", i + 1), amount, i as u128 + 1, rate, sabotage)
        };
        let nodes: Vec<Node> = nodes.iter().enumerate().map(make).collect();
        let mut world = World {
            now_ms: 0,
            steps: 0,
            agenda: Agenda::default(),
            chance: Chance::new(seed),
            settings,
            sabotage,
            network: Network::new(latency),
            socket_ms,
            journal: Journal::new(sabotage),
            desk: None,
            committed: Cluster::default(),
            witnessed: 0,
            disk: (Disk::Works, 0),
            fate: Fate::Lives,
            turn_at_ms: None,
            still_until_ms: 0,
            clock_at_ms: vec![None; nodes.len()],
            nodes,
            gone: None,
            clients: Clients::default(),
            meddler: Meddler::new(seed),
            weather: Weather::default(),
            calm_since_ms: None,
            witness: Witness::default(),
            story,
        };
        world.put(0, Happening::Fault(Fault::StartController));
        for node in 0..world.nodes.len() {
            world.put(1, Happening::Fault(Fault::StartNoded { node }));
        }
        world
    }

    /// What will break, and the machine that goes for good in the end.
    pub(crate) fn set_weather(&mut self, weather: Weather, gone: Option<usize>) {
        (self.weather, self.gone) = (weather, gone.map(|node| (node, u64::MAX)));
    }

    /// Lets one thing happen; false when nothing is left to happen.
    ///
    /// # Errors
    /// The first promise that is broken by it.
    pub(crate) fn step(&mut self) -> Result<bool, Violation> {
        let Some((at_ms, happening)) = self.agenda.pop() else { return Ok(false) };
        self.now_ms = at_ms;
        self.steps += 1;
        if self.steps > STEPS_MAX {
            return Err(Violation::Restless(self.steps));
        }
        self.happen(happening)?;
        self.watch()?;
        self.look_ahead();
        Ok(true)
    }

    fn happen(&mut self, happening: Happening) -> Result<(), Violation> {
        if let Some(until_ms) = self.stands_still(&happening) {
            if matches!(happening, Happening::Turn) {
                if self.turn_at_ms != Some(self.now_ms) {
                    return Ok(());
                }
                self.turn_at_ms = Some(until_ms);
            }
            self.agenda.put(until_ms, happening);
            return Ok(());
        }
        match happening {
            Happening::Arrives { stream, to } => self.arrives(stream, to),
            Happening::Notices { stream, end } => self.notices(stream, end),
            Happening::Dials { node, life } => self.dials(node, life),
            Happening::LauncherHears { node, connection, requests } => {
                let words = self.nodes[node].launcher.obey(connection, requests, self.now_ms);
                self.send_words(node, words);
            }
            Happening::NodedHears { node, life, words } => {
                if self.lives(node, life) {
                    let wishes = self.nodes[node].on_words(words, self.now_ms);
                    self.grant(node, wishes);
                }
            }
            Happening::Clock { node } => {
                self.clock_at_ms[node] = None;
                let (words, wishes) = self.nodes[node].on_clock(self.now_ms);
                self.send_words(node, words);
                self.grant(node, wishes);
            }
            Happening::Turn => return self.turn(),
            Happening::Asks { ticket } => self.asks(ticket),
            Happening::Asked { ticket, input } => match &mut self.desk {
                Some(desk) => desk.ask(input, ticket),
                None => self.put(AGAIN_MS, Happening::Answered { ticket, answer: Err(Unavailable) }),
            },
            Happening::Answered { ticket, answer } => return self.answered(ticket, answer),
            Happening::LosesPatience { ticket, tries } => {
                if self.clients.waits(ticket, tries) {
                    self.asks(ticket);
                }
            }
            Happening::Traffic => self.traffic(),
            Happening::Meddling => self.meddle(),
            Happening::Trouble => self.trouble(),
            Happening::Fault(fault) => return self.fault(fault),
            Happening::Calm => self.calm_down(),
            Happening::Mercy => self.show_mercy(),
        }
        Ok(())
    }

    /// Everybody who watches has a look.
    fn watch(&mut self) -> Result<(), Violation> {
        let mut anything = false;
        for node in &mut self.nodes {
            for fact in node.take_facts() {
                anything = true;
                self.story.tell(self.now_ms, || format!("{}: {fact}", node.name));
                self.witness.on_fact(&node.name, fact)?;
            }
        }
        if anything {
            self.witness.check(self.published(), &self.nodes)?;
        }
        let Some(since_ms) = self.calm_since_ms else { return Ok(()) };
        // A machine that lost its disk comes back when it has been given up.
        let mend_ms = MEND_MS + self.settings.node_timeout_s * 1000;
        let (since, grace_ms) = (START.plus_ms(since_ms + mend_ms), self.settings.kill_wait_s * 1000 + DELAY_MS);
        self.witness.check_deadlines(self.now(), since, grace_ms)?;
        if self.now_ms > since_ms + mend_ms + DELAY_MS { self.witness.check_signals() } else { Ok(()) }
    }

    /// Puts on the agenda what time alone brings about.
    fn look_ahead(&mut self) {
        for node in 0..self.nodes.len() {
            let due = self.nodes[node].next_due().map(|at_ms| at_ms.max(self.now_ms));
            if due.is_some_and(|at_ms| self.clock_at_ms[node].is_none_or(|known_ms| at_ms < known_ms)) {
                self.clock_at_ms[node] = due;
                self.agenda.put(due.expect("just seen"), Happening::Clock { node });
            }
        }
        let Some(desk) = &self.desk else { return };
        let due = match (desk.is_broken(), desk.has_letters()) {
            (true, _) => Some(self.now_ms + REOPEN_MS),
            (false, true) => Some(self.now_ms + 1),
            (false, false) => desk.next_wake().map(|at| at.ms_since(START).max(self.now_ms + 1)),
        };
        // While its process stands still it has no turn.
        let due = due.map(|at_ms| at_ms.max(self.still_until_ms));
        if due.is_some_and(|at_ms| self.turn_at_ms.is_none_or(|known_ms| at_ms < known_ms)) {
            self.turn_at_ms = due;
            self.agenda.put(due.expect("just seen"), Happening::Turn);
        }
    }

    /// Runs until then, or until nothing is left to happen.
    ///
    /// # Errors
    /// The first promise that is broken.
    pub(crate) fn run_until(&mut self, until_ms: u64) -> Result<(), Violation> {
        while self.agenda.next_at().is_some_and(|at_ms| at_ms <= until_ms) {
            self.step()?;
        }
        self.now_ms = until_ms;
        Ok(())
    }

    /// Runs until everything has ended.
    ///
    /// # Errors
    /// The first promise that is broken; also when something waits for ever.
    pub(crate) fn run_to_rest(&mut self) -> Result<(), Violation> {
        while !self.is_calm() {
            self.step()?;
        }
        let until_ms = self.now_ms + REST_MS_MAX;
        while let Some(waiting) = self.restless() {
            if self.now_ms > until_ms || !self.step()? {
                return Err(Violation::WaitsForEver(waiting));
            }
        }
        Ok(())
    }

    /// What has not ended yet; `None` at rest.
    fn restless(&self) -> Option<String> {
        if self.clients.open_count() > 0 {
            return Some(format!("{} calls of clients", self.clients.open_count()));
        }
        let up = |node: &Node| {
            let known = self.published().node_named(&node.name);
            known.is_some_and(|node| matches!(node.health, Health::Up { .. }))
        };
        let should_be_up = |(i, _): &(usize, &Node)| self.gone.is_none_or(|(gone, _)| gone != *i);
        if let Some((_, node)) = self.nodes.iter().enumerate().filter(should_be_up).find(|(_, node)| !up(node)) {
            return Some(format!("{} to be up", node.name));
        }
        if let Some(job) = self.published().jobs().find(|job| !job.is_done()) {
            let (waiting, why) = (job.waiting_count(), job.waiting_reason());
            return Some(format!("job {} ({waiting} wait: {why}; {} run)", job.id, job.running_count()));
        }
        (!self.witness.is_quiet()).then(|| "something that nobody knows of to end".to_owned())
    }

    /// The newest durable state.
    #[must_use]
    pub(crate) fn published(&self) -> &Cluster {
        self.desk.as_ref().map_or(&self.committed, Desk::published)
    }

    /// The story so far.
    #[must_use]
    pub(crate) fn story(&self) -> &Story {
        &self.story
    }

    /// How many things have happened, and how many attempts were begun.
    #[must_use]
    pub(crate) fn counts(&self) -> (u64, usize) {
        (self.steps, self.witness.begun_count())
    }

    /// The time of the virtual clock.
    #[must_use]
    pub(crate) fn now_ms(&self) -> u64 {
        self.now_ms
    }

    /// The same, as the core is told it.
    pub(crate) fn now(&self) -> Timestamp {
        START.plus_ms(self.now_ms)
    }

    pub(crate) fn put(&mut self, in_ms: u64, happening: Happening) {
        self.agenda.put(self.now_ms + in_ms, happening);
    }

    fn tell(&mut self, line: impl FnOnce() -> String) {
        self.story.tell(self.now_ms, line);
    }

    fn lives(&self, node: usize, life: u64) -> bool {
        self.nodes[node].noded.as_ref().is_some_and(|noded| noded.life == life)
    }

    /// Whether nothing breaks any more.
    fn is_calm(&self) -> bool {
        self.calm_since_ms.is_some()
    }

    fn is_gone(&self, node: usize) -> bool {
        self.gone.is_some_and(|(gone, from_ms)| gone == node && from_ms <= self.now_ms)
    }
}

impl Plan {
    /// A calm cluster of equal nodes, for scripts.
    pub(crate) fn calm(nodes: u32, cpus: u32) -> Plan {
        Plan {
            seed: 0,
            nodes: vec![cpus; nodes as usize],
            settings: Settings { node_timeout_s: 60, ..Settings::default() },
            latency: Latency { ms_min: 1, ms_max: 1 },
            socket_ms: 1,
            sabotage: None,
        }
    }
}
