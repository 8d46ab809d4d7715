//! What breaks, and how it comes back.

use super::traffic::MERCY_MS;
use super::{Happening, World};
use crate::controller::journal::Disk;
use crate::controller::{Desk, Fate};
use crate::draft;
use crate::network::{End, Message};
use crate::violation::Violation;

/// When an end of a stream finds out by itself that the other does not answer: keep-alive, in both directions.
const KEEP_ALIVE_MS: std::ops::RangeInclusive<u64> = 5_000..=30_000;
/// When it finds out by an answer of the machine between.
const RESET_MS: std::ops::RangeInclusive<u64> = 0..=3_000;

/// How long the tasks of a machine that goes for good outlive its noded.
const GONE_MS: u64 = 2_000;

/// One thing that breaks, or comes back.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// kill -9 of the controller: now, or at its next turn.
    KillController(Fate),
    StartController,
    /// kill -9 of noded alone; its tasks run on.
    KillNoded {
        node: usize,
    },
    StartNoded {
        node: usize,
    },
    /// kill -9 of the launcher and its tasks.
    KillLauncher {
        node: usize,
    },
    StartLauncher {
        node: usize,
    },
    /// The machine is off at once.
    PowerOff {
        node: usize,
    },
    /// It is on again, with an empty disk or its own.
    PowerOn {
        node: usize,
        wiped: bool,
    },
    /// The node stops its tasks and says goodbye.
    Leave {
        node: usize,
    },
    /// Nothing passes to these ends for a while.
    Cut {
        node: usize,
        to_node: bool,
        to_controller: bool,
        for_ms: u64,
    },
    /// The node's streams are reset on their way.
    Reset {
        node: usize,
    },
    /// The controller's disk fails for a while.
    Disk {
        lies: bool,
        for_ms: u64,
    },
    /// SIGSTOP of the controller, and SIGCONT after a while.
    StopController {
        for_ms: u64,
    },
    /// SIGSTOP of a noded, and SIGCONT after a while; its launcher and its tasks go on.
    StopNoded {
        node: usize,
        for_ms: u64,
    },
    /// SIGCONT of a noded that was stopped until then.
    ContinueNoded {
        node: usize,
        until_ms: u64,
    },
}

/// What breaks in a run, and how often.
#[derive(Clone, Debug, Default)]
pub(crate) struct Weather {
    /// The mean time between two faults; 0 is never.
    pub(crate) every_ms: u64,
    /// The kinds that happen; not empty where anything does.
    pub(crate) kinds: Vec<Kind>,
    /// Whether answers to clients are lost.
    pub(crate) loses_answers: bool,
    /// Whether nodes come back with an empty disk.
    pub(crate) wipes: bool,
}

/// The kinds of fault that chance draws from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Controller,
    BeforeCommit,
    AfterCommit,
    Noded,
    Launcher,
    Power,
    Leave,
    Cut,
    Reset,
    Disk,
    StopController,
    StopNoded,
}

impl Kind {
    pub(crate) const ALL: [Kind; 12] = [
        Kind::Controller,
        Kind::BeforeCommit,
        Kind::AfterCommit,
        Kind::Noded,
        Kind::Launcher,
        Kind::Power,
        Kind::Leave,
        Kind::Cut,
        Kind::Reset,
        Kind::Disk,
        Kind::StopController,
        Kind::StopNoded,
    ];
}

impl World {
    /// Something breaks, as chance has it.
    pub(super) fn trouble(&mut self) {
        if self.is_calm() || self.weather.every_ms == 0 {
            return;
        }
        let next_ms = self.chance.of(1..=self.weather.every_ms * 2);
        self.put(next_ms, Happening::Trouble);
        let kind = self.chance.pick(&self.weather.kinds);
        let fault = self.draw_fault(kind);
        self.put(0, Happening::Fault(fault));
    }

    fn draw_fault(&mut self, kind: Kind) -> Fault {
        let chance = &mut self.chance;
        let node = chance.below(self.nodes.len());
        let for_ms = chance.pick(&[50, 400, 3_000, 15_000, 60_000]);
        let for_ms = chance.of(1..=for_ms);
        match kind {
            Kind::Controller => Fault::KillController(Fate::Lives),
            Kind::BeforeCommit => Fault::KillController(Fate::DiesBeforeCommit),
            Kind::AfterCommit => Fault::KillController(Fate::DiesAfterCommit),
            Kind::Noded => Fault::KillNoded { node },
            Kind::Launcher => Fault::KillLauncher { node },
            Kind::Power => Fault::PowerOff { node },
            Kind::Leave => Fault::Leave { node },
            Kind::Cut => match chance.below(4) {
                0 => Fault::Cut { node, to_node: true, to_controller: false, for_ms },
                1 => Fault::Cut { node, to_node: false, to_controller: true, for_ms },
                _ => Fault::Cut { node, to_node: true, to_controller: true, for_ms },
            },
            Kind::Reset => Fault::Reset { node },
            Kind::Disk => Fault::Disk { lies: chance.one_in(2), for_ms },
            Kind::StopController => Fault::StopController { for_ms },
            Kind::StopNoded => Fault::StopNoded { node, for_ms: for_ms * 4 },
        }
    }

    /// Lets a fault happen, and puts on the agenda how it is repaired.
    pub(crate) fn fault(&mut self, fault: Fault) -> Result<(), Violation> {
        self.tell(|| format!("fault: {fault:?}"));
        match fault {
            Fault::KillController(Fate::Lives) => return self.kill_controller(),
            Fault::KillController(fate) => self.fate = fate,
            Fault::StartController => self.start_controller(),
            Fault::KillNoded { node } => {
                self.kill_noded(node);
                self.comes_back(8_000, Fault::StartNoded { node });
            }
            Fault::StartNoded { node } => self.start_noded(node),
            Fault::KillLauncher { node } if self.nodes[node].launcher.is_alive() => {
                self.nodes[node].launcher.die(self.now_ms);
                self.put(20, Happening::Fault(Fault::StartLauncher { node }));
            }
            Fault::StartLauncher { node } => self.start_launcher(node),
            Fault::PowerOff { node } if self.nodes[node].powered => self.power_off(node),
            Fault::PowerOn { node, wiped } => self.power_on(node, wiped),
            Fault::Leave { node } if self.nodes[node].noded.is_some() => {
                if let Some((stream, talks)) = self.nodes[node].leave(self.now_ms) {
                    self.say_goodbye(stream, talks);
                }
                self.comes_back(40_000, Fault::StartNoded { node });
            }
            Fault::KillLauncher { .. } | Fault::PowerOff { .. } | Fault::Leave { .. } => {}
            Fault::Cut { node, to_node, to_controller, for_ms } => self.cut(node, to_node, to_controller, for_ms),
            Fault::Reset { node } => self.reset(node),
            Fault::StopController { for_ms } => self.still_until_ms = self.now_ms + for_ms,
            Fault::StopNoded { node, for_ms } => {
                if self.nodes[node].noded.is_some() && self.nodes[node].still_until_ms.is_none() {
                    let until_ms = self.now_ms + for_ms;
                    self.nodes[node].stand(Some(until_ms), self.now_ms);
                    self.put(for_ms, Happening::Fault(Fault::ContinueNoded { node, until_ms }));
                }
            }
            Fault::ContinueNoded { node, until_ms } => {
                if self.nodes[node].still_until_ms == Some(until_ms) {
                    self.nodes[node].stand(None, self.now_ms);
                }
            }
            Fault::Disk { lies, for_ms } => {
                self.disk = (if lies { Disk::Lies } else { Disk::Refuses }, self.now_ms + for_ms);
            }
        }
        Ok(())
    }

    /// Until when something cannot happen because the process to which it would happen is stopped.
    pub(super) fn stands_still(&self, happening: &Happening) -> Option<u64> {
        let noded = |node: usize| self.nodes[node].still_until_ms;
        let controller = || Some(self.still_until_ms).filter(|until_ms| *until_ms > self.now_ms);
        match happening {
            Happening::Arrives { stream, to: End::Node } | Happening::Notices { stream, end: End::Node } => {
                self.network.node_of(*stream).and_then(noded)
            }
            Happening::Dials { node, .. } | Happening::NodedHears { node, .. } => noded(*node),
            Happening::Arrives { to: End::Controller, .. }
            | Happening::Notices { end: End::Controller, .. }
            | Happening::Asked { .. }
            | Happening::Turn => controller(),
            _ => None,
        }
    }

    /// Puts a repair on the agenda of a run that breaks things by chance; a script says itself when.
    fn comes_back(&mut self, within_ms: u64, repair: Fault) {
        if self.weather.every_ms > 0 {
            let in_ms = self.chance.of(1..=within_ms);
            self.put(in_ms, Happening::Fault(repair));
        }
    }

    pub(super) fn kill_controller(&mut self) -> Result<(), Violation> {
        let Some(desk) = self.desk.take() else { return Ok(()) };
        self.committed = desk.published().clone();
        (self.turn_at_ms, self.still_until_ms) = (None, 0);
        for node in 0..self.nodes.len() {
            for stream in self.network.streams_of(node) {
                self.network.stop_reading(stream, End::Controller);
                self.send(stream, End::Node, Message::Closed);
            }
        }
        self.comes_back(10_000, Fault::StartController);
        // What a failed commit had stored all the same was acknowledged to nobody; all else must be there.
        let recovered = self.journal.recover();
        let same = desk.is_broken() || format!("{recovered:?}") == format!("{:?}", self.committed);
        self.committed = recovered;
        if same { Ok(()) } else { Err(Violation::Recovery) }
    }

    fn start_controller(&mut self) {
        if self.desk.is_none() {
            self.desk = Some(Desk::start(&mut self.journal, self.settings.clone(), draft::partitions(), self.sabotage));
        }
    }

    fn kill_noded(&mut self, node: usize) {
        if let Some(stream) = self.nodes[node].kill_noded() {
            self.network.stop_reading(stream, End::Node);
            self.send(stream, End::Controller, Message::Closed);
        }
        if self.chance.one_in(2) {
            self.nodes[node].launcher.hang_up();
        }
    }

    fn start_noded(&mut self, node: usize) {
        if self.nodes[node].powered && self.nodes[node].noded.is_none() && !self.is_gone(node) {
            let hello = self.nodes[node].start(self.now_ms);
            self.send_words(node, vec![hello]);
        }
    }

    fn start_launcher(&mut self, node: usize) {
        let there = &mut self.nodes[node];
        if there.noded.is_some() && !there.launcher.is_alive() {
            let hello = there.reach_launcher(self.now_ms);
            self.send_words(node, vec![hello]);
        }
    }

    fn power_off(&mut self, node: usize) {
        self.nodes[node].power_off(self.now_ms);
        for stream in self.network.streams_of(node) {
            let in_ms = self.chance.of(KEEP_ALIVE_MS);
            self.put(in_ms, Happening::Notices { stream, end: End::Controller });
        }
        self.network.lose_machine(node);
        let wiped = self.weather.wipes && self.chance.one_in(2);
        self.comes_back(90_000, Fault::PowerOn { node, wiped });
    }

    fn power_on(&mut self, node: usize, wiped: bool) {
        if self.is_gone(node) || self.nodes[node].powered {
            return;
        }
        self.nodes[node].powered = true;
        if wiped {
            let spool = u128::from(self.now_ms) + 1_000;
            self.nodes[node].wipe(spool);
        }
        self.start_noded(node);
    }

    fn cut(&mut self, node: usize, to_node: bool, to_controller: bool, for_ms: u64) {
        let until_ms = self.now_ms + for_ms;
        for (end, cut) in [(End::Node, to_node), (End::Controller, to_controller)] {
            if cut {
                self.network.cut(node, end, until_ms);
            }
            for stream in self.network.streams_of(node) {
                let in_ms = self.chance.of(KEEP_ALIVE_MS);
                if in_ms < for_ms {
                    self.put(in_ms, Happening::Notices { stream, end });
                }
            }
        }
    }

    fn reset(&mut self, node: usize) {
        for stream in self.network.streams_of(node) {
            let arrive = self.chance.below(3);
            self.network.tear(stream, arrive);
            for end in [End::Node, End::Controller] {
                let in_ms = self.chance.of(RESET_MS);
                self.put(in_ms, Happening::Notices { stream, end });
            }
        }
    }

    /// From here on nothing breaks, and what is broken is repaired; but one machine may be gone for good.
    pub(super) fn calm_down(&mut self) {
        self.tell(|| "calm".to_owned());
        // Who stands still goes on when the time has come, and not before what came to it meanwhile.
        let stopped_until_ms = self.nodes.iter().filter_map(|node| node.still_until_ms).max().unwrap_or(0);
        self.calm_since_ms = Some(self.now_ms.max(self.still_until_ms).max(stopped_until_ms));
        self.network.heal();
        (self.disk.1, self.fate) = (0, Fate::Lives);
        self.clients.give_up_changes();
        self.put(1, Happening::Fault(Fault::StartController));
        for node in 0..self.nodes.len() {
            self.put(1, Happening::Fault(Fault::PowerOn { node, wiped: false }));
            self.put(2, Happening::Fault(Fault::StartNoded { node }));
            self.put(3, Happening::Fault(Fault::StartLauncher { node }));
        }
        if let Some((node, _)) = self.gone {
            // It goes just as it comes back, so that its last word may be a registration.
            let in_ms = self.chance.of(100..=1_500);
            self.gone = Some((node, self.now_ms + in_ms));
            self.put(4, Happening::Fault(Fault::Reset { node }));
            self.put(in_ms, Happening::Fault(Fault::KillNoded { node }));
            self.put(in_ms + GONE_MS, Happening::Fault(Fault::PowerOff { node }));
        }
        self.put(MERCY_MS, Happening::Mercy);
    }
}
