//! A crowd: thousands of nodes that come back at once, while many clients ask again and again. Memory stays bounded and submits quick.
//!
//! The nodes are streams of this process, by the real link code, in connections that hold as many as a server lets one have.
//! `COVEY_TEST_NIGHTLY` raises the numbers to 10,000 nodes and 1,000 clients.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use proto::dial::dial;
use proto::endpoint::Endpoints;
use proto::link::{FromNode, Register, ToNode};
use proto::v1::controller_client::ControllerClient;
use proto::v1::node_link_client::NodeLinkClient;
use proto::v1::{FromNode as FromNodeMessage, ListJobsRequest};
use sched::node::Abilities;
use sched::resources::{Amount, Cpus};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;

use crate::rig::{PATIENCE, Rig, rounds, wait_for};

/// Streams of one connection.
const STREAMS: usize = 100;
/// What the controller may take for all of them, in MiB: far more than it needs, and far less than a leak would.
const RESIDENT_MIB_MAX: u64 = 2_048;

struct Crowd {
    endpoints: Endpoints,
    /// Nodes that have heard a welcome of the controller that lives.
    welcomed: AtomicUsize,
    listings: AtomicUsize,
    over: AtomicBool,
}

impl Crowd {
    /// Some nodes of one connection, dialled again whenever it breaks.
    async fn nodes(self: Arc<Crowd>, first: usize) {
        while !self.over.load(Ordering::Relaxed) {
            let Ok(channel) = dial(&self.endpoints, PATIENCE).await else { continue };
            let mut nodes = JoinSet::new();
            for number in first..first + STREAMS {
                let (crowd, channel) = (self.clone(), channel.clone());
                nodes.spawn(async move { crowd.node(number, channel).await });
            }
            while nodes.join_next().await.is_some() {}
        }
    }

    /// One node: registers, and answers nothing but heartbeats until its stream breaks.
    async fn node(&self, number: usize, channel: Channel) {
        let (say, to_say) = mpsc::channel::<FromNodeMessage>(8);
        say.send(FromNode::Register(register(number)).into()).await.expect("there is room");
        let Ok(joined) = NodeLinkClient::new(channel).join(ReceiverStream::new(to_say)).await else { return };
        let mut heard = joined.into_inner();
        let mut counted = false;
        while let Some(Ok(message)) = heard.next().await {
            if let Ok(ToNode::Welcome(_)) = ToNode::try_from(message) {
                self.welcomed.fetch_add(1, Ordering::Relaxed);
                counted = true;
            }
        }
        if counted {
            self.welcomed.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// A client that lists all jobs, again and again.
    async fn client(self: Arc<Crowd>) {
        while !self.over.load(Ordering::Relaxed) {
            let Ok(channel) = dial(&self.endpoints, PATIENCE).await else { continue };
            let mut client = ControllerClient::new(channel);
            while !self.over.load(Ordering::Relaxed) {
                let Ok(pages) = client.list_jobs(ListJobsRequest::default()).await else { break };
                let mut pages = pages.into_inner();
                while let Ok(Some(_)) = pages.message().await {}
                self.listings.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        }
    }
}

fn register(number: usize) -> Register {
    static REGISTRATIONS: AtomicUsize = AtomicUsize::new(1);
    Register {
        name: format!("crowd{number}"),
        amount: Amount { cpus: Cpus::whole(1), memory_mib: 1_000, ..Amount::default() },
        spool: number as u128 + 1,
        address: "nowhere".into(),
        version: String::new(),
        epoch_seen: 0,
        claims: Vec::new(),
        step_claims: Vec::new(),
        registration: REGISTRATIONS.fetch_add(1, Ordering::Relaxed) as u64,
        lease_left_ms: 0,
        abilities: Abilities { leases: true, ..Abilities::default() },
        features: Vec::new(),
        gres: Vec::new(),
        retiring: false,
    }
}

#[test]
fn submits_stay_quick_and_memory_bounded_while_all_nodes_come_back_at_once() {
    let (nodes, clients) = (rounds(1_000, 10_000), rounds(100, 1_000));
    let mut rig = Rig::start_with(&[], "MaxConnections = 8192\n");
    let crowd = Arc::new(Crowd {
        endpoints: rig.endpoint().parse().expect("an address"),
        welcomed: AtomicUsize::new(0),
        listings: AtomicUsize::new(0),
        over: AtomicBool::new(false),
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("a runtime");
    for first in (0..nodes).step_by(STREAMS) {
        runtime.spawn(crowd.clone().nodes(first));
    }
    let all_in = || crowd.welcomed.load(Ordering::Relaxed) == nodes;
    wait_for("all nodes are in", all_in);
    for _ in 0..clients {
        runtime.spawn(crowd.clone().client());
    }
    wait_for("clients are answered", || crowd.listings.load(Ordering::Relaxed) > clients);
    rig.kill_controller();
    rig.start_controller();
    let begun = Instant::now();
    let mut submits = Vec::new();
    // Held, so that nothing is given to nodes that run nothing.
    while submits.len() < 20 || !all_in() {
        let asked = Instant::now();
        rig.submit(&["--hold", "--wrap", "true"]);
        submits.push(asked.elapsed());
        assert!(begun.elapsed() < PATIENCE * 4, "not all nodes come back");
    }
    let back = begun.elapsed();
    crowd.over.store(true, Ordering::Relaxed);
    let status = fs::read_to_string(format!("/proc/{}/status", rig.controller_pid())).expect("it lives");
    let resident = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("it has memory");
    let resident_mib = resident.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") / 1024;
    runtime.shutdown_background();
    submits.sort_unstable();
    let (median, worst) = (submits[submits.len() / 2], submits[submits.len() - 1]);
    println!(
        "{nodes} nodes back {back:.1?} after the start, {clients} clients; {} submits took {median:.0?}, at worst \
         {worst:.0?}; {resident_mib} MiB",
        submits.len()
    );
    assert!(resident_mib < RESIDENT_MIB_MAX, "{resident_mib} MiB");
    assert!(median < Duration::from_secs(1), "{median:?}");
}
