//! An `srun`, a holder and stepds over loopback, against a controller whose node is played here.

use std::net::SocketAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use blobs::Environment;
use proto::link::{FromNode, Order, Register, StartStep, ToNode};
use proto::v1::controller_client::ControllerClient;
use proto::v1::controller_server::ControllerServer;
use proto::v1::node_link_client::NodeLinkClient;
use proto::v1::node_link_server::NodeLinkServer;
use proto::v1::to_srun::Kind as Heard;
use sched::allow::Roles;
use sched::cluster::Cluster;
use sched::ids::AttemptKey;
use sched::reason::{Exit, StopWhy};
use sched::reconcile::{AttemptEnd, How};
use sched::resources::{Amount, Cpus};
use sched::settings::Settings;
use sched::task::Usage;
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::transport::{Channel, Server};

use super::*;
use crate::audit::Audit;
use crate::config::{Config, ConfigFile};
use crate::driver::{Driver, Published, mailbox};
use crate::journal::MemoryJournal;
use crate::rpc::link::Links;
use crate::rpc::rights::Rights;
use crate::rpc::sign_blob::Signatory;

const REQUEST: [u8; 16] = [7; 16];

/// A controller, and a node with two CPUs as a test plays it.
struct Bench {
    address: SocketAddr,
    published: Arc<Published>,
    node: mpsc::Sender<v1::FromNode>,
    orders: tonic::Streaming<v1::ToNode>,
    waiting: Vec<Order>,
}

async fn bench() -> Bench {
    let partition = sched::partition::Partition { default: true, ..sched::partition::Partition::new("debug".into()) };
    // The room on the machine's own disk is nothing to a journal in memory.
    let settings = Settings { free_disk_mib_min: 0, ..Settings::default() };
    let config =
        Config { settings, partitions: vec![partition], roles: Roles::default(), metrics: None, trust_nodes: false };
    let (post, mailbox) = mailbox();
    let (journal, published) = (Arc::new(MemoryJournal::default()), Arc::new(Published::new(Cluster::default(), 0)));
    let driver = Driver::new(Cluster::default(), config.clone(), journal.clone(), 1, published.clone(), mailbox);
    std::thread::spawn(move || driver.run());
    let relay = Relay::new(post.clone(), published.clone());
    let shared = Arc::new(ArcSwap::from_pointee(config));
    let (rights, audit) = (Rights::new(shared.clone()), Audit::unwritten());
    let links = Links {
        post: post.clone(),
        rights: rights.clone(),
        published: published.clone(),
        audit: audit.clone(),
        relay: relay.clone(),
        signatory: Arc::new(Signatory::new(published.clone(), journal.clone(), Environment::default())),
        readings: Arc::default(),
    };
    let desk = Desk {
        post,
        published: published.clone(),
        journal,
        config: shared,
        rights,
        audit,
        config_file: Arc::new(ConfigFile { path: "covey.toml".into(), asked: false }),
        plain_port: 0,
        epoch: 1,
        started_ms: 0,
        submit_bytes: crate::budget::Budget::new(1 << 20, 1 << 20),
        submit_rate: Arc::default(),
        relay,
        readings: Arc::default(),
        holders: Arc::default(),
        dir: std::path::Path::new("/").into(),
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let server = Server::builder().add_service(ControllerServer::new(desk)).add_service(NodeLinkServer::new(links));
    tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
    let (node, said) = mpsc::channel(16);
    let register = Register {
        name: "n1".into(),
        amount: Amount { cpus: Cpus::whole(2), memory_mib: 2000, ..Amount::default() },
        spool: 1,
        address: String::new(),
        version: String::new(),
        epoch_seen: 0,
        claims: Vec::new(),
        step_claims: Vec::new(),
        registration: 1,
        lease_left_ms: 0,
        abilities: Default::default(),
        features: Vec::new(),
        gres: Vec::new(),
        retiring: false,
    };
    node.send(FromNode::Register(register).into()).await.expect("room");
    let mut link = NodeLinkClient::new(channel(address).await);
    let orders = link.join(ReceiverStream::new(said)).await.expect("let in").into_inner();
    Bench { address, published, node, orders, waiting: Vec::new() }
}

async fn channel(address: SocketAddr) -> Channel {
    Channel::from_shared(format!("http://{address}")).expect("a url").connect().await.expect("it listens")
}

/// One end of a two-way call.
struct Call<Q, A> {
    say: mpsc::Sender<Q>,
    hear: tonic::Streaming<A>,
}

impl<Q, A> Call<Q, A> {
    async fn say(&self, message: Q) {
        self.say.send(message).await.expect("the call is open");
    }

    async fn hear(&mut self) -> A {
        self.hear.message().await.expect("no error").expect("something")
    }
}

fn srun_says(kind: Kind) -> v1::FromSrun {
    v1::FromSrun { kind: Some(kind) }
}

impl Bench {
    /// The next order of which something is wanted.
    async fn order<T>(&mut self, wanted: impl Fn(&Order) -> Option<T>) -> T {
        loop {
            let found = self.waiting.iter().position(|order| wanted(order).is_some());
            if let Some(at) = found {
                return wanted(&self.waiting.remove(at)).expect("it was wanted a moment ago");
            }
            let said = self.orders.message().await.expect("the link is up").expect("an order");
            if let ToNode::Orders(orders) = ToNode::try_from(said).expect("readable") {
                self.waiting.extend(orders);
            }
        }
    }

    async fn start_step(&mut self) -> StartStep {
        self.order(|order| if let Order::StartStep(start) = order { Some((**start).clone()) } else { None }).await
    }

    async fn allocate(&self) -> Call<v1::FromHolder, v1::ToHolder> {
        let files = v1::Files { work_dir: "/tmp".into(), ..v1::Files::default() };
        let user = v1::User { uid: 1000, gid: 1000, name: "ada".into(), group: "ada".into() };
        let work = v1::Work { kind: Some(v1::work::Kind::Allocation(v1::work::Allocation {})) };
        let request = v1::Request { processes: Some(2), ..v1::Request::default() };
        let spec = v1::JobSpec {
            name: "salloc".into(),
            user: Some(user),
            work: Some(work),
            files: Some(files),
            request: Some(request),
            ..v1::JobSpec::default()
        };
        let (say, said) = mpsc::channel(16);
        let first = v1::AllocateJob { request_id: REQUEST.to_vec(), spec: Some(spec), environment: b"A=1\0".to_vec() };
        say.send(v1::FromHolder { kind: Some(v1::from_holder::Kind::Allocate(first)) }).await.expect("room");
        let mut desk = ControllerClient::new(channel(self.address).await);
        let hear = desk.allocate(ReceiverStream::new(said)).await.expect("accepted").into_inner();
        Call { say, hear }
    }

    async fn srun(&self, first: Kind) -> Result<Call<v1::FromSrun, v1::ToSrun>, Status> {
        let (say, said) = mpsc::channel(16);
        say.send(srun_says(first)).await.expect("room");
        let mut desk = ControllerClient::new(channel(self.address).await);
        let hear = desk.run_step(ReceiverStream::new(said)).await?.into_inner();
        Ok(Call { say, hear })
    }

    async fn stepd(&self, start: &StartStep, secret: u128) -> Result<Call<v1::FromStepd, v1::ToStepd>, Status> {
        let (say, said) = mpsc::channel(16);
        let secret = secret.to_be_bytes().to_vec();
        let hello = v1::StepdHello { name: Some(start.key.into()), node: "n1".into(), secret };
        say.send(v1::FromStepd { kind: Some(v1::from_stepd::Kind::Hello(hello)) }).await.expect("room");
        let mut link = NodeLinkClient::new(channel(self.address).await);
        let hear = link.serve_step(ReceiverStream::new(said)).await?.into_inner();
        Ok(Call { say, hear })
    }

    async fn step_ends(&self, key: StepKey, code: u8) {
        let how = How::Exited(Exit { code, signal: 0 });
        let end = AttemptEnd { how, age_ms: 0, usage: Usage::default(), note: None };
        self.node.send(FromNode::Ends { attempts: Vec::new(), steps: vec![(key, end)] }.into()).await.expect("up");
    }

    async fn attempt_ends(&self, key: AttemptKey) {
        let how = How::Exited(Exit { code: 0, signal: 15 });
        let end = AttemptEnd { how, age_ms: 0, usage: Usage::default(), note: None };
        self.node.send(FromNode::Ends { attempts: vec![(key, end)], steps: Vec::new() }.into()).await.expect("up");
    }
}

fn create(request: u8, immediate: bool) -> Kind {
    let spec = v1::StepSpec {
        name: "cat".into(),
        words: vec!["cat".into()],
        work_dir: "/tmp".into(),
        immediate,
        ..v1::StepSpec::default()
    };
    Kind::Create(v1::CreateStep { request_id: vec![request; 16], job_id: 1, spec: Some(spec) })
}

fn attach(request: u8) -> Kind {
    Kind::Attach(v1::AttachStep { request_id: vec![request; 16], job_id: 1 })
}

fn output(seq: u64, text: &str) -> v1::FromStepd {
    let output = v1::StepOutput { task: 0, error: false, bytes: text.into() };
    let said = v1::StepSaid { seq, kind: Some(v1::step_said::Kind::Output(output)) };
    v1::FromStepd { kind: Some(v1::from_stepd::Kind::Said(said)) }
}

/// What an srun was told, in short.
fn told(said: v1::ToSrun) -> String {
    match said.kind.expect("something") {
        Heard::Waits(text) => text,
        Heard::Created(created) => format!("created {} {}", created.job_label, created.shares.len()),
        Heard::Said(said) => format!("{} {}", said.node, said.said.expect("something").seq),
        Heard::InputReceived(seq) => format!("input {seq}"),
        Heard::Ended(ended) => format!("{} {}", ended.state, ended.exit_code),
    }
}

/// An allocation that was granted.
async fn held() -> (Bench, Call<v1::FromHolder, v1::ToHolder>) {
    let bench = bench().await;
    let mut holder = bench.allocate().await;
    assert_eq!(holder.hear().await.kind, Some(v1::to_holder::Kind::Queued(1)));
    let Some(v1::to_holder::Kind::Granted(granted)) = holder.hear().await.kind else { panic!("it is granted") };
    assert_eq!((granted.job_id, &granted.shares[0].node[..], &granted.partition[..]), (1, "n1", "debug"));
    (bench, holder)
}

#[tokio::test]
async fn bytes_travel_both_ways_and_the_end_comes_last() {
    let (mut bench, _holder) = held().await;
    let mut srun = bench.srun(create(1, false)).await.expect("made");
    assert_eq!(told(srun.hear().await), "created 1 1");
    let start = bench.start_step().await;
    assert_eq!((start.shares[0].tasks, start.job.name.as_str(), start.task.id), (2, "salloc", JobId(1)));
    let refusal = bench.stepd(&start, start.secret ^ 1).await.err().expect("a wrong secret");
    assert_eq!(refusal.code(), tonic::Code::NotFound);
    let mut stepd = bench.stepd(&start, start.secret).await.expect("the right one");
    srun.say(srun_says(Kind::Input(v1::StepInput { seq: 1, bytes: b"hello".to_vec(), end: true }))).await;
    let Some(v1::to_stepd::Kind::Input(input)) = stepd.hear().await.kind else { panic!("input comes") };
    assert_eq!((&input.bytes[..], input.end), (&b"hello"[..], true));
    stepd.say(v1::FromStepd { kind: Some(v1::from_stepd::Kind::InputReceived(1)) }).await;
    assert_eq!(told(srun.hear().await), "input 1");
    stepd.say(output(1, "hello")).await;
    assert_eq!(told(srun.hear().await), "n1 1");
    // It comes back after its stream broke, and is told again what it has not received.
    drop(srun);
    let mut srun = bench.srun(attach(1)).await.expect("it is there");
    assert_eq!(told(srun.hear().await), "created 1 1");
    let mut heard = told(srun.hear().await);
    if heard == "input 1" {
        heard = told(srun.hear().await);
    }
    assert_eq!(heard, "n1 1");
    srun.say(srun_says(Kind::Received(v1::StepReceived { node: "n1".into(), seq: 1 }))).await;
    assert_eq!(stepd.hear().await.kind, Some(v1::to_stepd::Kind::Received(1)));
    srun.say(srun_says(Kind::Signal(10))).await;
    assert_eq!(stepd.hear().await.kind, Some(v1::to_stepd::Kind::Signal(10)));
    // What is still said when the end is durable comes before it.
    bench.step_ends(start.key, 3).await;
    bench.order(|order| (*order == Order::ForgetStep(start.key)).then_some(())).await;
    stepd.say(output(2, "bye")).await;
    // It says no more, and listens on.
    let Call { say, hear: _listens } = stepd;
    drop(say);
    assert_eq!(told(srun.hear().await), "n1 2");
    assert_eq!(told(srun.hear().await), "FAILED 3");
    assert!(srun.hear.message().await.expect("no error").is_none());
    let mut late = bench.srun(attach(1)).await.expect("it is remembered");
    assert_eq!(told(late.hear().await), "created 1 1");
    let last = loop {
        let heard = told(late.hear().await);
        if heard.starts_with("FAILED") {
            break heard;
        }
    };
    assert_eq!(last, "FAILED 3");
    assert!(bench.srun(attach(9)).await.is_err(), "a request that made nothing");
}

#[tokio::test]
async fn steps_wait_in_their_order_and_those_that_must_not_are_refused() {
    let (mut bench, _holder) = held().await;
    let mut first = bench.srun(create(1, false)).await.expect("made");
    assert_eq!(told(first.hear().await), "created 1 1");
    let start = bench.start_step().await;
    let refusal = bench.srun(create(2, true)).await.err().expect("refused");
    assert_eq!(refusal.message(), "Requested nodes are busy");
    let waits = "Requested nodes are busy";
    let mut second = bench.srun(create(3, false)).await.expect("it waits");
    assert_eq!(told(second.hear().await), waits);
    let mut third = bench.srun(create(4, false)).await.expect("it waits");
    assert_eq!(told(third.hear().await), waits);
    bench.step_ends(start.key, 0).await;
    assert_eq!(told(first.hear().await), "COMPLETED 0");
    assert_eq!(told(second.hear().await), "created 1 1");
    let start = bench.start_step().await;
    // One that is gone gives its place away.
    drop(third);
    let mut fourth = bench.srun(create(5, false)).await.expect("it waits");
    assert_eq!(told(fourth.hear().await), waits);
    second.say(srun_says(Kind::Stop(true))).await;
    let stop = Order::StopStep { key: start.key, why: StopWhy::Cancelled(0) };
    bench.order(|order| (*order == stop).then_some(())).await;
    bench
        .order(|order| {
            matches!(order, Order::SignalStep { key, sent } if (*key, sent.signal) == (start.key, 9)).then_some(())
        })
        .await;
    bench.step_ends(start.key, 0).await;
    assert_eq!(told(second.hear().await), "CANCELLED 0");
    assert_eq!(told(fourth.hear().await), "created 1 1");
}

#[tokio::test]
async fn a_holder_comes_back_to_its_job_and_releases_it() {
    let (mut bench, holder) = held().await;
    drop(holder);
    let mut holder = bench.allocate().await;
    assert_eq!(holder.hear().await.kind, Some(v1::to_holder::Kind::Queued(1)), "the same job");
    assert!(matches!(holder.hear().await.kind, Some(v1::to_holder::Kind::Granted(_))));
    holder.say(v1::FromHolder { kind: Some(v1::from_holder::Kind::Release(4)) }).await;
    let key = AttemptKey { job: JobId(1), index: 0, attempt: 1 };
    let stop = Order::Stop { key, why: StopWhy::Released(0) };
    bench.order(|order| (*order == stop).then_some(())).await;
    bench.attempt_ends(key).await;
    assert_eq!(holder.hear().await.kind, Some(v1::to_holder::Kind::Ended("FAILED".into())));
    let cluster = bench.published.cluster();
    assert_eq!(cluster.job(JobId(1)).expect("there").done.get(0).expect("done").outcome.exit.code, 4);
}
