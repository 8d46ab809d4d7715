//! A modelled machine with its noded: the real roster, and a shell that carries out what it says as `noded::node` does.

use std::collections::BTreeMap;

use noded::lease::Tenure;
use noded::roster::{Act, Job, Roster, Seen};
use proto::link::{FromNode, Register, ToNode};
use sched::ids::AttemptKey;
use sched::node::Abilities;
use sched::reconcile::AttemptEnd;
use sched::resources::Amount;

use crate::launcher::{Fact, Launcher, Request, Word};
use crate::network::StreamId;
use crate::pipeline::{Moved, Pipeline};
use crate::sabotage::Sabotage;

/// A machine.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) name: String,
    pub(crate) amount: Amount,
    pub(crate) powered: bool,
    pub(crate) launcher: Launcher,
    pub(crate) pipeline: Pipeline,
    pub(crate) noded: Option<Noded>,
    /// Counts the starts of noded.
    pub(crate) lives: u64,
    /// Counts the connections to the launcher; what was asked on an older one is lost.
    pub(crate) connections: u64,
    /// On disk: the number of its last registration.
    registration: u64,
    sabotage: Option<Sabotage>,
    /// How fast its clock goes, in thousandths of the controller's.
    rate: u64,
    /// Its noded stands still until then.
    pub(crate) still_until_ms: Option<u64>,
}

/// A noded that runs.
#[derive(Debug)]
pub(crate) struct Noded {
    pub(crate) life: u64,
    /// The connection to the launcher on which it has heard the hello: nothing is asked on another.
    greeted: u64,
    /// The spool that the launcher last spoke of; `None` before its first hello.
    spool: Option<u128>,
    roster: Roster,
    /// The stream on which it listens.
    pub(crate) stream: Option<StreamId>,
    /// Whether it still says anything there.
    talks: bool,
    kill_wait_ms: u64,
    tenure: Tenure,
    /// Its lease was over, and the link that was up then has not been made anew.
    deaf: bool,
    /// What its launcher was told of the lease last, on which connection.
    told: Option<(u64, Option<u64>, u64)>,
}

/// What a node wants of the world around it.
#[derive(Debug)]
pub(crate) enum Wish {
    Ask(Vec<Request>),
    Say(StreamId, Box<FromNode>),
    /// Say nothing more on this stream, but go on listening.
    FallSilent(StreamId),
    /// Look for the controller.
    Dial,
}

impl Node {
    pub(crate) fn new(name: String, amount: Amount, spool: u128, rate: u64, sabotage: Option<Sabotage>) -> Node {
        Node {
            name,
            amount,
            powered: true,
            launcher: Launcher::new(spool, sabotage),
            pipeline: Pipeline::default(),
            noded: None,
            lives: 0,
            connections: 0,
            registration: 0,
            sabotage,
            rate,
            still_until_ms: None,
        }
    }

    /// Starts noded, and the launcher where it does not run; the launcher's hello is on its way.
    pub(crate) fn start(&mut self, now_ms: u64) -> Word {
        self.lives += 1;
        self.noded = Some(Noded {
            life: self.lives,
            greeted: 0,
            spool: None,
            roster: Roster::default(),
            stream: None,
            talks: false,
            kill_wait_ms: 30_000,
            tenure: Tenure::default(),
            deaf: false,
            told: None,
        });
        self.reach_launcher(now_ms)
    }

    /// Connects to the launcher, which is started where it does not run.
    pub(crate) fn reach_launcher(&mut self, now_ms: u64) -> Word {
        self.launcher.start();
        self.connections += 1;
        self.launcher.greet(self.connections, now_ms)
    }

    /// noded is killed; answers the stream that it had.
    pub(crate) fn kill_noded(&mut self) -> Option<StreamId> {
        self.pipeline.die();
        self.still_until_ms = None;
        self.noded.take()?.stream
    }

    /// The power goes.
    pub(crate) fn power_off(&mut self, now_ms: u64) {
        self.powered = false;
        self.kill_noded();
        self.launcher.die(now_ms);
    }

    /// A machine that is off loses its disk.
    pub(crate) fn wipe(&mut self, spool: u128) {
        self.launcher.wipe(spool);
        self.pipeline.wipe();
        self.registration = 0;
    }

    /// What runs, beside whoever was told.
    pub(crate) fn take_facts(&mut self) -> Vec<Fact> {
        let mut facts = self.launcher.take_facts();
        facts.extend(self.pipeline.take_facts());
        facts
    }

    /// When something here has come to its end.
    pub(crate) fn next_due(&self) -> Option<u64> {
        let noded = self.noded.as_ref().filter(|_| self.still_until_ms.is_none());
        let lease = noded.and_then(|noded| noded.tenure.next_due()).map(|at_ms| self.world_ms(at_ms));
        self.launcher.next_due().into_iter().chain(self.pipeline.next_due()).chain(lease).min()
    }

    /// The time of this machine's clock.
    fn own_ms(&self, now_ms: u64) -> u64 {
        now_ms * self.rate / 1000
    }

    /// When this machine's clock comes to a time.
    fn world_ms(&self, own_ms: u64) -> u64 {
        (own_ms * 1000).div_ceil(self.rate)
    }

    /// noded is stopped in its tracks, or goes on; its launcher does all the time.
    pub(crate) fn stand(&mut self, until_ms: Option<u64>, now_ms: u64) {
        self.still_until_ms = until_ms;
        self.pipeline.stand(until_ms.is_some(), now_ms);
    }

    /// What noded does first, whatever wakes it.
    fn keep_lease(&mut self, now_ms: u64) -> Vec<Wish> {
        let (own_ms, forgets) = (self.own_ms(now_ms), self.sabotage == Some(Sabotage::ForgetsLease));
        let Some(noded) = &mut self.noded else { return Vec::new() };
        if noded.tenure.take_end(own_ms) && !forgets {
            noded.tenure.on_lost();
            noded.deaf = true;
            let hangs_up = noded.fall_silent();
            let acts = noded.roster.on_lease_over(now_ms);
            return hangs_up.into_iter().chain(self.carry_out(acts, now_ms)).collect();
        }
        let beat = noded.tenure.take_beat(own_ms) && noded.talks;
        let said = FromNode::Heartbeat { at_ms: own_ms };
        noded.stream.filter(|_| beat).map(|stream| Wish::Say(stream, Box::new(said))).into_iter().collect()
    }

    /// Tells the launcher of the lease, where it has not heard of it on this connection.
    fn pass_on_lease(&mut self) -> Option<Wish> {
        let (until_ms, kill_wait_ms) = self.noded.as_ref()?.tenure.held();
        let (until_ms, kill_wait_ms) = (until_ms.map(|at_ms| self.world_ms(at_ms)), self.world_ms(kill_wait_ms));
        let connection = self.connections;
        let noded = self.noded.as_mut().filter(|noded| noded.greeted == connection)?;
        let told = Some((connection, until_ms, kill_wait_ms));
        if noded.told == told || (noded.told.is_none() && until_ms.is_none()) {
            return None;
        }
        noded.told = told;
        Some(Wish::Ask(vec![Request::Lease { until_ms, kill_wait_ms }]))
    }

    /// The launcher's words.
    pub(crate) fn on_words(&mut self, words: Vec<Word>, now_ms: u64) -> Vec<Wish> {
        let mut wishes = self.keep_lease(now_ms);
        for word in words {
            let Some(noded) = &mut self.noded else { return wishes };
            if let Word::Hello { connection, .. } = &word {
                noded.greeted = noded.greeted.max(*connection);
            }
            let acts = match word {
                Word::Of(key, seen) => noded.roster.on_process(key, seen, now_ms),
                Word::Hello { connection, .. } if connection != self.connections => continue,
                Word::Hello { spool, attempts, .. } if noded.spool.is_none() => {
                    let (until_ms, kill_wait_ms) = self.launcher.lease();
                    let own_ms = |at_ms: u64| at_ms * self.rate / 1000;
                    noded.tenure.on_found(until_ms.map(own_ms), own_ms(kill_wait_ms));
                    noded.roster.on_lease_over(now_ms);
                    noded.spool = Some(spool);
                    wishes.push(Wish::Dial);
                    let commands = self.take_up(&attempts, now_ms);
                    let noded = self.noded.as_mut().expect("it was there a moment ago");
                    noded.roster.on_launcher_hello(attempts, false, now_ms, |key| commands.get(&key).cloned())
                }
                Word::Hello { spool, attempts, .. } => {
                    let fresh = noded.spool != Some(spool);
                    if fresh {
                        noded.spool = Some(spool);
                        wishes.extend(noded.fall_silent());
                    }
                    noded.roster.on_launcher_hello(attempts, fresh, now_ms, |_| None)
                }
            };
            wishes.extend(self.pass_on_lease());
            wishes.extend(self.carry_out(acts, now_ms));
        }
        wishes
    }

    /// Takes up what an earlier life left in the pipeline; answers the mapped commands that the launcher got to see.
    fn take_up(&mut self, seen: &[(AttemptKey, Seen)], now_ms: u64) -> BTreeMap<AttemptKey, Job> {
        let (operations, mut commands) = self.pipeline.left_behind();
        let noded = self.noded.as_mut().expect("a noded hears its launcher");
        operations.into_iter().for_each(|key| noded.roster.on_lost_operation(key, now_ms));
        commands.retain(|key, _| {
            let known = seen.iter().any(|(other, _)| other == key);
            if !known {
                self.pipeline.drop_attempt(*key);
            }
            known
        });
        commands
    }

    /// The stream is up: the registration, which must be said first.
    pub(crate) fn on_dialled(&mut self, stream: StreamId, now_ms: u64) -> Option<FromNode> {
        let forgets = self.sabotage == Some(Sabotage::ForgetsClaims);
        let own_ms = self.own_ms(now_ms);
        let noded = self.noded.as_mut()?;
        let lease_left_ms = noded.tenure.left_ms(own_ms);
        noded.tenure.on_registered(own_ms);
        noded.deaf = false;
        self.registration = now_ms.max(self.registration + 1);
        (noded.stream, noded.talks) = (Some(stream), true);
        let spool = noded.spool.expect("it dials after the launcher's hello");
        let claims = if forgets { Vec::new() } else { noded.roster.claims(now_ms) };
        Some(FromNode::Register(Register {
            name: self.name.clone(),
            amount: self.amount,
            spool: if forgets { u128::from(now_ms) } else { spool },
            address: String::new(),
            version: String::new(),
            epoch_seen: noded.roster.epoch_seen(),
            claims,
            step_claims: Vec::new(),
            registration: self.registration,
            lease_left_ms,
            abilities: Abilities { leases: true, ..Abilities::default() },
            features: Vec::new(),
            gres: Vec::new(),
            retiring: false,
        }))
    }

    /// The controller said something.
    pub(crate) fn on_said(&mut self, said: ToNode, now_ms: u64) -> Vec<Wish> {
        let mut wishes = self.keep_lease(now_ms);
        let Some(noded) = self.noded.as_mut().filter(|noded| !noded.deaf) else { return wishes };
        let acts = match said {
            ToNode::Welcome(welcome) => {
                noded.kill_wait_ms = welcome.kill_wait_s * 1000;
                if let Some(acts) = noded.roster.on_welcome(&welcome) {
                    noded.tenure.on_welcome(welcome.lease);
                    acts
                } else {
                    wishes.extend(noded.fall_silent());
                    Vec::new()
                }
            }
            ToNode::Granted { at_ms } => {
                noded.tenure.on_granted(at_ms);
                Vec::new()
            }
            ToNode::Orders(orders) => orders.into_iter().flat_map(|order| noded.roster.on_order(order)).collect(),
        };
        wishes.extend(self.keep_lease(now_ms));
        wishes.extend(self.pass_on_lease());
        wishes.extend(self.carry_out(acts, now_ms));
        wishes
    }

    /// The stream is gone.
    pub(crate) fn on_lost(&mut self) -> Vec<Wish> {
        if let Some(noded) = &mut self.noded {
            (noded.stream, noded.talks) = (None, false);
            noded.tenure.on_lost();
        }
        vec![Wish::Dial]
    }

    /// Time has passed: processes have left, blobs have arrived. The launcher's words travel like all others.
    pub(crate) fn on_clock(&mut self, now_ms: u64) -> (Vec<Word>, Vec<Wish>) {
        let words = self.launcher.on_clock(now_ms);
        if self.still_until_ms.is_some() {
            return (words, Vec::new());
        }
        let mut wishes = self.keep_lease(now_ms);
        for moved in self.pipeline.on_clock(now_ms) {
            let Some(noded) = &mut self.noded else { break };
            let acts = match moved {
                Moved::Staged(key, end) => noded.roster.on_staged(key, end, now_ms),
                Moved::Done(key, end) => noded.roster.on_moved(key, end, now_ms),
            };
            wishes.extend(self.carry_out(acts, now_ms));
        }
        (words, wishes)
    }

    fn carry_out(&mut self, acts: Vec<Act>, now_ms: u64) -> Vec<Wish> {
        let kill_wait_ms = self.noded.as_ref().map_or(0, |noded| noded.kill_wait_ms);
        let mut requests = Vec::new();
        let mut ends: Vec<(AttemptKey, AttemptEnd)> = Vec::new();
        let mut forget = Vec::new();
        for act in acts {
            match act {
                Act::Launch(job) => requests.push(Request::Launch(job)),
                Act::Convert(job) => self.pipeline.convert(&job, now_ms),
                Act::Stage(job) => self.pipeline.stage(job, now_ms),
                Act::Publish(job) => self.pipeline.publish(&job, now_ms),
                Act::Stop(key, why) => requests.push(Request::Stop { key, why, kill_wait_ms }),
                Act::Suspend(key) => requests.push(Request::Suspend(key)),
                Act::Resume(key) => requests.push(Request::Resume(key)),
                Act::Limit(key, limit) => requests.push(Request::Limit { key, limit_s: limit.seconds() }),
                Act::Signal(key, sent) => requests.push(Request::Signal { key, sent }),
                Act::Step(_) => unreachable!("the model starts no steps"),
                Act::Abandon(key) => self.pipeline.abandon(key, now_ms),
                Act::Report(key, end) => ends.push((key, end)),
                Act::Drop(key) => {
                    self.pipeline.drop_attempt(key);
                    forget.push(key);
                }
                Act::DropJob(_) | Act::Read(_) => {}
            }
        }
        if !forget.is_empty() {
            requests.push(Request::Forget(forget));
        }
        let noded = self.noded.as_ref().filter(|noded| noded.talks && !ends.is_empty());
        let report = noded
            .and_then(|noded| noded.stream)
            .map(|stream| Wish::Say(stream, Box::new(FromNode::Ends { attempts: ends, steps: Vec::new() })));
        // What is not asked now is asked again after the hello.
        let greeted = self.noded.as_ref().is_some_and(|noded| noded.greeted == self.connections);
        let hasty = matches!(self.sabotage, Some(Sabotage::AsksBeforeHello | Sabotage::LaunchesAgain));
        let ask = ((greeted || hasty) && !requests.is_empty()).then_some(Wish::Ask(requests));
        report.into_iter().chain(ask).collect()
    }

    /// Stops all tasks, and noded is gone; answers its stream, and whether it can say goodbye there.
    pub(crate) fn leave(&mut self, now_ms: u64) -> Option<(StreamId, bool)> {
        self.launcher.kill_all(now_ms);
        self.launcher.die(now_ms);
        let talks = self.noded.as_ref().is_some_and(|noded| noded.talks);
        self.kill_noded().map(|stream| (stream, talks))
    }
}

impl Noded {
    fn fall_silent(&mut self) -> Option<Wish> {
        std::mem::take(&mut self.talks).then_some(())?;
        self.stream.map(Wish::FallSilent)
    }
}
