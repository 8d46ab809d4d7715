//! One noded from start to stop: its main loop hears the controller, the launcher and the pipeline, lets the roster decide,
//! and carries out what it says.

mod error;
mod lease;
mod leave;
mod retire;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use blobs::{Courier, Environment};
use proto::endpoint::Endpoints;
use proto::link::{FromNode, Register, ToNode, Welcome};
use sched::ids::{AttemptKey, Name, StepKey};
use sched::node::Abilities;
use sched::reconcile::AttemptEnd;
use sched::resources::Amount;
use sched::spec::gres::Gres;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tonic::transport::Channel;
use tracing::{info, warn};

use crate::calls;
use crate::clock;
use crate::count::Registrations;
use crate::environment::NodeFacts;
use crate::hand::{self, Hand, Hello, Word, stop_why};
use crate::launch::LaunchRules;
use crate::launcher;
use crate::launcher::frame::{Request, RunKey};
use crate::link::{Heard, MESSAGES_MAX, keep_up};
use crate::meters::Meters;
use crate::output::Readers;
use crate::papers::{Applicant, Papers};
use crate::roster::{Act, Ends, Job, Roster, Seen, StepAct};
use crate::signals::{self, Signals};
use crate::signatures::Signatures;
use crate::stage::{Access, Moved, Pipeline, StoreAuth};
use crate::step::Steps;
pub use error::NodeError;
use lease::LeaseKeeping;
use retire::Retirement;

/// What the link may have said and nobody has heard yet.
const HEARD_MAX: usize = 256;

/// What a noded is started with.
#[derive(Clone, Debug)]
pub struct NodeSettings {
    /// The node's name.
    pub name: String,
    /// Where the controller is.
    pub controller: Endpoints,
    /// A file with a join token, for the first time over TLS.
    pub token_file: Option<PathBuf>,
    /// Where commands are heard, too, on a node over TLS.
    pub socket: Option<PathBuf>,
    /// The node's own folder.
    pub folder: PathBuf,
    /// This program, to start the launcher with.
    pub program: PathBuf,
    /// What tasks may hold.
    pub amount: Amount,
    /// What it is, in words that jobs ask for.
    pub features: Vec<Name>,
    /// What else it has.
    pub gres: Vec<Gres>,
    /// Where Prometheus may ask.
    pub metrics: Option<SocketAddr>,
    /// Who lets it at the blobs of cloud stores.
    pub store_auth: StoreAuth,
    /// Its own keys, where it is to use them.
    pub stores: Environment,
    /// How long what runs may go on once SIGTERM has come; none leaves it to the next noded.
    pub retire: Option<Duration>,
}

/// Runs a node until SIGTERM (its tasks go on under the launcher, for the next noded to adopt, or the node retires) or SIGINT (its
/// tasks are stopped and go elsewhere, and the node leaves the cluster).
///
/// # Errors
/// What keeps it from starting or going on.
pub fn run(settings: NodeSettings) -> Result<(), NodeError> {
    let Some(papers) = papers(&settings)? else { return Ok(()) };
    papers.iter().try_for_each(|papers| calls::open(&settings, papers.clone()))?;
    let stream = launcher::ensure(&settings.folder, &settings.program)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(NodeError::Runtime)?;
    let left = runtime.block_on(async {
        let meters = Arc::new(Meters::of(&settings.amount));
        if let Some(address) = settings.metrics {
            let listener = traces::scrape::listen(address).await.map_err(NodeError::Metrics)?;
            let meters = meters.clone();
            tokio::spawn(traces::scrape::serve(listener, move || meters.text()));
        }
        let hand = Hand::new(settings.folder.clone(), settings.program.clone(), stream)?;
        let signals = Signals::listen().map_err(NodeError::Runtime)?;
        Node::start(&settings, hand, meters, papers.clone()).await?.serve(papers, signals).await
    });
    // A conversion may still be computing; nobody wants its result.
    runtime.shutdown_background();
    left
}

/// What the node proves by who it is, joining where it has not: none where no controller is reached by TLS. Nothing at all when it
/// was told to go meanwhile.
#[expect(clippy::option_option, reason = "told to go, and in need of none, are two things")]
fn papers(settings: &NodeSettings) -> Result<Option<Option<Arc<Papers>>>, NodeError> {
    let Some(secure) = settings.controller.secure() else { return Ok(Some(None)) };
    let (folder, token_file) = (settings.folder.join("tls"), settings.token_file.clone());
    let applicant = Applicant { name: settings.name.clone(), controller: secure, token_file };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(NodeError::Runtime)?;
    let papers = runtime.block_on(async {
        let mut signals = Signals::listen().map_err(NodeError::Runtime)?;
        tokio::select! {
            papers = Papers::obtain(folder, applicant) => Ok(Some(Some(Arc::new(papers?)))),
            _ = signals.term.recv() => Ok(None),
            _ = signals.int.recv() => Ok(None),
        }
    });
    signals::hold().map_err(NodeError::Runtime)?;
    papers
}

/// What wakes the main loop.
enum Happened {
    Heard(Heard),
    Words(Vec<Word>),
    Moved(Moved),
    Retiring,
    Phase,
    Nothing,
}

struct Node {
    settings: NodeSettings,
    spool: u128,
    launcher_id: String,
    abilities: Abilities,
    registrations: Registrations,
    roster: Roster,
    rules: LaunchRules,
    steps: Steps,
    hand: Hand,
    pipeline: Pipeline,
    moved: mpsc::Receiver<Moved>,
    /// For the link, to tell the channel that it has.
    connected: watch::Sender<Option<Channel>>,
    /// Where reports go while the link is up.
    to_controller: Option<mpsc::Sender<FromNode>>,
    lease: LeaseKeeping,
    meters: Arc<Meters>,
    retirement: Retirement,
    readers: Readers,
}

impl Node {
    /// Hears the launcher's hello, and takes up what an earlier life left.
    async fn start(
        settings: &NodeSettings,
        mut hand: Hand,
        meters: Arc<Meters>,
        papers: Option<Arc<Papers>>,
    ) -> Result<Node, NodeError> {
        let (cpus, memory_bytes) = (settings.amount.cpus.count(), settings.amount.memory_mib << 20);
        let (connected, channels) = watch::channel(None);
        let access = Access {
            auth: settings.store_auth,
            environment: settings.stores.clone(),
            signatures: Signatures::over(channels),
            courier: Courier::new().map_err(NodeError::Courier)?,
        };
        let (pipeline, moved) = Pipeline::new(settings.folder.clone(), access, cpus as usize, memory_bytes)?;
        let rules = LaunchRules {
            scripts: settings.folder.join("jobs"),
            kill_wait_ms: 30_000,
            node: NodeFacts {
                name: settings.name.clone(),
                cluster: String::new(),
                controller: settings.controller.to_string(),
                calls: settings.controller.secure().map(|_| calls::socket_in(&settings.folder)),
                papers: settings.controller.secure().map(|_| settings.folder.join("tls")),
            },
        };
        let mut words = hand.listen().await?.into_iter();
        let Some(Word::Hello(hello)) = words.next() else {
            return Err(NodeError::NoHello(settings.folder.clone()));
        };
        let Hello { launcher_id, attempts, steps, abilities, lease } = *hello;
        let mut node = Node {
            settings: settings.clone(),
            spool: spool_of(&launcher_id),
            launcher_id,
            abilities,
            registrations: Registrations::of(&settings.folder),
            roster: Roster::default(),
            rules,
            steps: Steps::of(&settings.folder),
            hand,
            pipeline,
            moved,
            connected,
            to_controller: None,
            lease: LeaseKeeping::found(lease),
            meters,
            retirement: Retirement::with(settings.retire),
            readers: Readers::new(settings.name.clone(), settings.controller.clone(), papers),
        };
        let now_ms = clock::monotonic_ms();
        // Until the controller has said so, nobody knows whether what has ended meanwhile is still wanted.
        node.roster.on_lease_over(now_ms);
        let left = node.pipeline.left_behind();
        for key in left.operations {
            node.roster.on_lost_operation(key, now_ms);
        }
        let mut commands: BTreeMap<AttemptKey, Job> = left.commands.into_iter().map(|job| (job.key(), job)).collect();
        // The controller tells again of a command that the launcher never got to see.
        commands.retain(|key, _| {
            let known = attempts.iter().any(|(seen, _)| seen == key);
            if !known {
                node.pipeline.drop_attempt(*key);
            }
            known
        });
        let mut acts = node.roster.on_launcher_hello(attempts, false, now_ms, |key| commands.get(&key).cloned());
        acts.extend(node.on_steps_hello(steps, false, now_ms));
        let known: Vec<String> = node.roster.steps().map(Steps::name).collect();
        node.steps.forget_but(|name| known.iter().any(|known| known == name));
        node.rules.drop_jobs_but(|job| node.roster.has_attempts(job));
        node.carry_out(acts).await;
        info!(node = settings.name, live = node.roster.live_count(), "launcher adopted");
        Ok(node)
    }

    async fn serve(mut self, papers: Option<Arc<Papers>>, mut signals: Signals) -> Result<(), NodeError> {
        let (hears, mut heard) = mpsc::channel(HEARD_MAX);
        let link =
            tokio::spawn(keep_up(self.settings.controller.clone(), papers.clone(), hears, self.connected.clone()));
        let renewal = papers.map(|papers| tokio::spawn(async move { papers.keep_fresh().await }));
        loop {
            let happened = tokio::select! {
                Some(heard) = heard.recv() => Happened::Heard(heard),
                words = self.hand.listen() => Happened::Words(words?),
                Some(moved) = self.moved.recv() => Happened::Moved(moved),
                () = lease::wait(self.lease.next_due()) => Happened::Nothing,
                _ = signals.term.recv() => if self.retirement.begin() { Happened::Retiring } else { break },
                () = self.retirement.next_phase() => Happened::Phase,
                _ = signals.int.recv() => {
                    self.leave(&mut heard).await?;
                    break;
                }
            };
            // First of all: this process may have stood still for longer than its lease.
            let mut acts = self.keep_lease();
            acts.extend(match happened {
                Happened::Heard(heard) => self.on_heard(heard),
                Happened::Words(words) => self.on_words(words),
                Happened::Moved(moved) => self.on_moved(moved),
                Happened::Retiring => self.on_retiring(),
                Happened::Phase => self.on_phase(),
                Happened::Nothing => Vec::new(),
            });
            self.pass_on_lease().await;
            self.carry_out(acts).await;
            if self.retirement.is_over(self.roster.is_empty()) {
                self.leave(&mut heard).await?;
                break;
            }
            self.meters.link_up.set(self.to_controller.is_some().into());
            self.meters.attempts.set(i64::try_from(self.roster.live_count()).unwrap_or(i64::MAX));
        }
        info!("noded stops");
        link.abort();
        renewal.inspect(JoinHandle::abort);
        Ok(())
    }

    fn on_heard(&mut self, heard: Heard) -> Vec<Act> {
        match heard {
            Heard::Dialled(answer) => {
                let (sender, receiver) = mpsc::channel(MESSAGES_MAX);
                let register = FromNode::Register(self.registration());
                self.lease.on_registered();
                if sender.try_send(register).is_ok() && answer.send(receiver).is_ok() {
                    self.to_controller = Some(sender);
                }
                Vec::new()
            }
            Heard::Lost => {
                self.to_controller = None;
                self.lease.on_lost();
                Vec::new()
            }
            // Of a session whose lease is over.
            Heard::Said(_) if self.lease.is_deaf() => Vec::new(),
            Heard::Said(ToNode::Granted { at_ms }) => {
                self.lease.on_granted(at_ms);
                Vec::new()
            }
            Heard::Said(ToNode::Welcome(welcome)) => self.on_welcome(&welcome),
            Heard::Said(ToNode::Orders(orders)) => {
                orders.into_iter().flat_map(|order| self.roster.on_order(order)).collect()
            }
        }
    }

    fn registration(&mut self) -> Register {
        self.meters.registrations.inc();
        Register {
            name: self.settings.name.clone(),
            amount: self.settings.amount,
            spool: self.spool,
            address: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            epoch_seen: self.roster.epoch_seen(),
            claims: self.roster.claims(clock::monotonic_ms()),
            step_claims: self.roster.step_claims(clock::monotonic_ms()),
            registration: self.registrations.next(clock::wall_ms_unsigned()),
            lease_left_ms: self.lease.left_ms(),
            abilities: self.abilities,
            features: self.settings.features.clone(),
            gres: self.settings.gres.clone(),
            retiring: self.retirement.is_under_way(),
        }
    }

    fn on_welcome(&mut self, welcome: &Welcome) -> Vec<Act> {
        let (epoch, session) = (welcome.epoch, welcome.session);
        info!(epoch, session, adopt = welcome.adopt.len(), kill = welcome.kill.len(), "welcome");
        self.rules.node.cluster.clone_from(&welcome.cluster);
        self.rules.kill_wait_ms = welcome.kill_wait_s * 1000;
        if let Some(acts) = self.roster.on_welcome(welcome) {
            self.lease.on_welcome(welcome.lease);
            return acts;
        }
        warn!(epoch, "an older controller; its link is dropped");
        self.to_controller = None;
        Vec::new()
    }

    fn on_words(&mut self, words: Vec<Word>) -> Vec<Act> {
        let now_ms = clock::monotonic_ms();
        let mut acts = Vec::new();
        for word in words {
            acts.extend(match word {
                Word::Of(key, seen) => self.roster.on_process(key, seen, now_ms),
                Word::OfStep(key, seen) => {
                    let seen = self.steps.told(key, seen);
                    self.roster.on_step(key, seen, now_ms)
                }
                Word::Hello(hello) => {
                    let Hello { launcher_id, attempts, steps, abilities, .. } = *hello;
                    self.lease.on_launcher_hello();
                    let fresh = launcher_id != self.launcher_id;
                    if fresh {
                        warn!("the launcher has lost its records");
                        (self.spool, self.launcher_id) = (spool_of(&launcher_id), launcher_id);
                    }
                    if fresh || abilities != self.abilities {
                        // The controller must hear of it: the link is made anew.
                        self.abilities = abilities;
                        self.to_controller = None;
                    }
                    let mut acts = self.roster.on_launcher_hello(attempts, fresh, now_ms, |_| None);
                    acts.extend(self.on_steps_hello(steps, fresh, now_ms));
                    acts
                }
            });
        }
        acts
    }

    fn on_steps_hello(&mut self, seen: Vec<(StepKey, Seen)>, fresh: bool, now_ms: u64) -> Vec<Act> {
        let told = seen.into_iter().map(|(key, seen)| (key, self.steps.told(key, seen))).collect();
        self.roster.on_steps_hello(told, fresh, now_ms)
    }

    fn on_moved(&mut self, moved: Moved) -> Vec<Act> {
        let now_ms = clock::monotonic_ms();
        match moved {
            Moved::Staged(key, end) => self.roster.on_staged(key, end, now_ms),
            Moved::Done(key, end) => self.roster.on_moved(key, end, now_ms),
        }
    }

    /// Does what the roster wants; what follows from a failure is done, too.
    async fn carry_out(&mut self, mut acts: Vec<Act>) {
        while !acts.is_empty() {
            let mut failed = Vec::new();
            let requests = self.begin(acts, &mut failed);
            failed.extend(self.hand.ask(&requests).await);
            let now_ms = clock::monotonic_ms();
            let end = |(key, note): (RunKey, String)| match key.step_key() {
                Some(step) => self.roster.on_unlaunched_step(step, AttemptEnd::failed(note), now_ms),
                None => self.roster.on_unlaunched(key.attempt(), AttemptEnd::failed(note), now_ms),
            };
            acts = failed.into_iter().flat_map(end).collect();
        }
    }

    /// Begins what is to be done here; answers what the launcher is to be asked, and says what failed at once.
    fn begin(&mut self, acts: Vec<Act>, failed: &mut Vec<(RunKey, String)>) -> Vec<Request> {
        let mut requests = Vec::new();
        let mut ends: Vec<(AttemptKey, AttemptEnd)> = Vec::new();
        let mut step_ends: Vec<(StepKey, AttemptEnd)> = Vec::new();
        let mut forget = Vec::new();
        for act in acts {
            match act {
                Act::Launch(job) => match self.launch(&job) {
                    Ok(request) => requests.push(request),
                    Err(error) => {
                        failed.push((job.key().into(), format!("it cannot be started on this node: {error}")))
                    }
                },
                Act::Convert(job) => {
                    info!(attempt = %job.key(), blob = job.task.blob, "convert");
                    self.meters.converted.inc();
                    self.pipeline.convert(job);
                }
                Act::Stage(job) => self.pipeline.stage(job),
                Act::Publish(job) => self.pipeline.publish(job),
                Act::Stop(key, why) => {
                    info!(attempt = %key, ?why, "stop");
                    let kill_wait_ms = self.rules.kill_wait_ms;
                    requests.push(Request::Stop { key: key.into(), why: stop_why(why), kill_wait_ms });
                }
                Act::Suspend(key) => requests.push(Request::Suspend { key: key.into() }),
                Act::Resume(key) => requests.push(Request::Resume { key: key.into() }),
                Act::Limit(key, limit) => {
                    requests.push(Request::Limit { key: key.into(), time_limit_s: limit.seconds() })
                }
                Act::Signal(key, sent) => requests.extend(hand::signal(key, sent)),
                Act::Abandon(key) => self.pipeline.abandon(key),
                Act::Report(key, end) => ends.push((key, end)),
                Act::Drop(key) => {
                    self.pipeline.drop_attempt(key);
                    forget.push(key.into());
                }
                Act::DropJob(job) => self.rules.drop_job(job),
                Act::Read(read) => self.readers.read(read),
                Act::Step(StepAct::Report(key, end)) => step_ends.push((key, end)),
                Act::Step(StepAct::Drop(key)) => {
                    self.steps.forget(key);
                    forget.push(key.into());
                }
                Act::Step(act) => requests.extend(self.step(act, failed)),
            }
        }
        if !forget.is_empty() {
            requests.push(Request::Forget { keys: forget });
        }
        self.report(ends, step_ends);
        requests
    }

    /// What the launcher is to be asked for a step.
    fn step(&self, act: StepAct, failed: &mut Vec<(RunKey, String)>) -> Option<Request> {
        let kill_wait_ms = self.rules.kill_wait_ms;
        match act {
            StepAct::Launch(start) => {
                info!(step = %start.key, "launch");
                let launch = self.steps.launch(&start, &self.rules.node, kill_wait_ms, clock::wall_s());
                let note = |error| (start.key.into(), format!("the step cannot be started on this node: {error}"));
                launch.map_err(|error| failed.push(note(error))).ok().map(|launch| Request::Launch(Box::new(launch)))
            }
            StepAct::Stop(key, why) => {
                info!(step = %key, ?why, "stop");
                Some(Request::Stop { key: key.into(), why: stop_why(why), kill_wait_ms })
            }
            StepAct::Signal(key, sent) => {
                let (key, signal, number) = (key.into(), sent.signal, sent.number);
                Some(Request::Signal { key, signal, whole_tree: true, number })
            }
            StepAct::Report(..) | StepAct::Drop(_) => None,
        }
    }

    fn launch(&self, job: &Job) -> io::Result<Request> {
        let staged = self.pipeline.work_folder(job);
        let login = self.pipeline.login(job);
        let login = login.as_ref().map_or(&[][..], |variables| variables.as_slice());
        let launch = self.rules.launch(job, staged.as_ref(), login, clock::wall_s())?;
        info!(attempt = %job.key(), "launch");
        self.meters.launched.inc();
        Ok(Request::Launch(Box::new(launch)))
    }

    /// Tells the controller, if it listens; the next registration says it again.
    fn report(&mut self, ends: Vec<(AttemptKey, AttemptEnd)>, steps: Vec<(StepKey, AttemptEnd)>) {
        if ends.is_empty() && steps.is_empty() {
            return;
        }
        for (key, end) in &ends {
            info!(attempt = %key, how = ?end.how, note = end.note, "ended");
            self.meters.end(end);
        }
        if let Some(sender) = &self.to_controller
            && sender.try_send(FromNode::Ends { attempts: ends, steps }).is_err()
        {
            warn!("the controller does not take reports; its link is dropped");
            self.to_controller = None;
        }
    }
}

/// The launcher's records are the node's memory: their id is the spool's.
fn spool_of(launcher_id: &str) -> u128 {
    launcher_id.parse::<uuid::Uuid>().map_or(0, |id| id.as_u128())
}
