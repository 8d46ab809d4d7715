//! Simulated nodes: a process that is many nodes at once, each with a connection and a stream of its own by the link code that is
//! shipped, and with the shipped lease. Only the launcher and the pipeline are missing: what is started has ended at once.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use noded::lease::Tenure;
use noded::link::{Heard, MESSAGES_MAX, keep_up};
use proto::endpoint::Endpoints;
use proto::link::{FromNode, Order, Register, ToNode, Welcome};
use rustix::time::{ClockId, clock_gettime};
use sched::ids::AttemptKey;
use sched::node::Abilities;
use sched::reason::Exit;
use sched::reconcile::{AttemptEnd, Claim, How};
use sched::resources::{Amount, Cpus};
use sched::task::Usage;
use tokio::sync::{mpsc, watch};

/// What the link tells a node that was not looked at yet.
const HEARD_MAX: usize = 64;
/// What this process prints once every node has been welcomed.
pub(crate) const READY: &str = "ready";

/// Which nodes.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Where the controller is
    #[arg(long, value_name = "URL")]
    controller: Endpoints,
    /// How many
    #[arg(long, value_name = "N")]
    count: u32,
    /// CPUs of each
    #[arg(long, value_name = "C")]
    cpus: u32,
    /// What they start ends only when it is stopped
    #[arg(long)]
    endless: bool,
}

/// Is these nodes until it is killed.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.context("cannot start a runtime")?.block_on(async {
        let (welcomed, all) = (Arc::new(AtomicU32::new(0)), arguments.count);
        for number in 0..all {
            let node = Node::new(number, arguments, welcomed.clone(), all);
            tokio::spawn(node.live(arguments.controller.clone()));
        }
        std::future::pending::<()>().await;
    });
    Ok(())
}

/// One of them.
struct Node {
    number: u32,
    cpus: u32,
    endless: bool,
    tenure: Tenure,
    to_controller: Option<mpsc::Sender<FromNode>>,
    epoch: u64,
    runs: BTreeSet<AttemptKey>,
    /// What has ended and is not forgotten yet.
    ended: BTreeMap<AttemptKey, How>,
    was_welcomed: bool,
    welcomed: Arc<AtomicU32>,
    all: u32,
}

impl Node {
    fn new(number: u32, arguments: &Arguments, welcomed: Arc<AtomicU32>, all: u32) -> Node {
        let &Arguments { cpus, endless, .. } = arguments;
        let (tenure, to_controller, runs, ended) = Default::default();
        Node { number, cpus, endless, tenure, to_controller, epoch: 0, runs, ended, was_welcomed: false, welcomed, all }
    }

    async fn live(mut self, endpoints: Endpoints) {
        let (hear, mut heard) = mpsc::channel(HEARD_MAX);
        let (connected, _) = watch::channel(None);
        tokio::spawn(keep_up(endpoints, None, hear, connected));
        loop {
            let due = self.tenure.next_due().map(|at_ms| Duration::from_millis(at_ms.saturating_sub(boot_ms())));
            tokio::select! {
                word = heard.recv() => match word {
                    Some(word) => self.on_heard(word).await,
                    None => return,
                },
                () = wait(due) => self.keep_lease().await,
            }
        }
    }

    async fn on_heard(&mut self, heard: Heard) {
        match heard {
            Heard::Dialled(answer) => {
                let (sender, receiver) = mpsc::channel(MESSAGES_MAX);
                self.to_controller = Some(sender);
                self.say(FromNode::Register(self.registration())).await;
                self.tenure.on_registered(boot_ms());
                // A link that is gone again asks anew.
                answer.send(receiver).ok();
            }
            Heard::Lost => {
                self.to_controller = None;
                self.tenure.on_lost();
            }
            Heard::Said(ToNode::Welcome(welcome)) => self.on_welcome(*welcome).await,
            Heard::Said(ToNode::Granted { at_ms }) => self.tenure.on_granted(at_ms),
            Heard::Said(ToNode::Orders(orders)) => {
                let ends = orders.into_iter().flat_map(|order| self.on_order(order)).collect();
                self.tell(ends).await;
            }
        }
    }

    async fn on_welcome(&mut self, welcome: Welcome) {
        self.epoch = welcome.epoch;
        self.tenure.on_welcome(welcome.lease);
        self.ended.retain(|key, _| !welcome.forget.contains(key));
        let ends = welcome.kill.into_iter().filter_map(|key| self.end_running(key)).collect();
        self.tell(ends).await;
        if !std::mem::replace(&mut self.was_welcomed, true)
            && self.welcomed.fetch_add(1, Ordering::Relaxed) + 1 == self.all
        {
            let mut out = std::io::stdout().lock();
            // Whoever has started this process and is gone does not wait for it either.
            writeln!(out, "{READY}").and_then(|()| out.flush()).ok();
        }
    }

    /// Obeys; what has ended by it.
    fn on_order(&mut self, order: Order) -> Vec<AttemptKey> {
        match order {
            Order::Start { job, tasks } => {
                let keys = tasks.into_iter().map(|task| AttemptKey::from((job, task.index, task.attempt)));
                if self.endless {
                    self.runs.extend(keys);
                    return Vec::new();
                }
                let ends: Vec<AttemptKey> = keys.collect();
                self.ended.extend(ends.iter().map(|key| (*key, How::Exited(Exit::default()))));
                ends
            }
            Order::Stop { key, .. } => self.end_running(key).into_iter().collect(),
            Order::Forget(key) => {
                self.ended.remove(&key);
                Vec::new()
            }
            // No processes, no steps, no output: nothing of these can be carried out, or has to be.
            Order::Job(_)
            | Order::JobGone(_)
            | Order::Suspend(_)
            | Order::Resume(_)
            | Order::Limit { .. }
            | Order::Signal { .. }
            | Order::StartStep(_)
            | Order::StopStep { .. }
            | Order::SignalStep { .. }
            | Order::ForgetStep(_)
            | Order::ReadOutput(_) => Vec::new(),
        }
    }

    fn end_running(&mut self, key: AttemptKey) -> Option<AttemptKey> {
        self.runs.remove(&key).then(|| {
            self.ended.insert(key, How::Exited(Exit { code: 0, signal: 15 }));
            key
        })
    }

    /// Reports ends.
    async fn tell(&mut self, keys: Vec<AttemptKey>) {
        let end = |key: AttemptKey| Some((key, attempt_end(*self.ended.get(&key)?)));
        let attempts: Vec<_> = keys.into_iter().filter_map(end).collect();
        if !attempts.is_empty() {
            self.say(FromNode::Ends { attempts, steps: Vec::new() }).await;
        }
    }

    /// Nothing is lost by a link that is gone: the next registration says it all.
    async fn say(&self, word: FromNode) {
        if let Some(sender) = &self.to_controller {
            sender.send(word).await.ok();
        }
    }

    async fn keep_lease(&mut self) {
        let now_ms = boot_ms();
        if self.tenure.take_end(now_ms) {
            self.to_controller = None;
            self.tenure.on_lost();
        } else if self.tenure.take_beat(now_ms) {
            self.say(FromNode::Heartbeat { at_ms: now_ms }).await;
        }
    }

    fn registration(&self) -> Register {
        let running = self.runs.iter().map(|key| Claim { key: *key, end: None, heard: 0 });
        let ended = self.ended.iter().map(|(key, how)| Claim { key: *key, end: Some(attempt_end(*how)), heard: 0 });
        let cpus = Cpus::whole(self.cpus);
        Register {
            name: format!("sim{}", self.number),
            amount: Amount { cpus, memory_mib: 1 << 20, ..Amount::default() },
            spool: u128::from(self.number) + 1,
            address: "localhost".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            epoch_seen: self.epoch,
            claims: running.chain(ended).collect(),
            step_claims: Vec::new(),
            registration: boot_ms(),
            lease_left_ms: self.tenure.left_ms(boot_ms()),
            abilities: Abilities { leases: true, ..Abilities::default() },
            features: Vec::new(),
            gres: Vec::new(),
            retiring: false,
        }
    }
}

fn attempt_end(how: How) -> AttemptEnd {
    AttemptEnd { how, age_ms: 0, usage: Usage::default(), note: None }
}

/// Waits so long; without a time, for ever.
async fn wait(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}

/// Milliseconds since the machine's start, also while it sleeps: what leases go by.
fn boot_ms() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    now.tv_sec.cast_unsigned() * 1_000 + now.tv_nsec.cast_unsigned() / 1_000_000
}
