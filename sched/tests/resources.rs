//! What a task may ask for beyond CPUs and memory: where it then runs, what it holds, and what is refused.

mod rig;

use rig::{Rig, array, job, partition, wide};
use sched::devices::Devices;
use sched::ids::{AttemptKey, JobId, NodeId};
use sched::node::{NodeWord, Offer};
use sched::partition::{Members, Partition};
use sched::reason::Reason;
use sched::refusal::Refusal;
use sched::resources::{Amount, Cpus, Share};
use sched::spec::gres::{Gres, GresAsk, Per};
use sched::spec::job::{JobDraft, Memory, Request, SpecError};
use sched::spec::licenses::LicenseAsk;
use sched::step::Input;
use sched::task::TaskState;

/// A node of so many CPUs with these features and gres.
fn join(rig: &mut Rig, name: &str, cpus: u32, features: &str, gres: &str) -> NodeId {
    let amount = Amount { cpus: Cpus::whole(cpus), memory_mib: u64::from(cpus) * 1000, ..Amount::default() };
    let features = features.split_whitespace().map(Into::into).collect();
    let offer = Offer { amount, spool: 7, features, ..Offer::default() };
    let gres = if gres.is_empty() { Vec::new() } else { Gres::list(gres).expect("gres of a node") };
    let claims = rig.cluster.node_named(name).map(|node| node.id).into_iter().flat_map(|id| {
        let keys: Vec<AttemptKey> = rig.cluster.attempts_on(id).collect();
        keys.into_iter().map(|key| sched::reconcile::Claim { key, end: None, heard: 0 })
    });
    let claims = claims.collect();
    rig.input(Input::Register { name: name.into(), offer: offer.with_gres(gres), claims, steps: Vec::new() });
    rig.cluster.node_named(name).expect("it has joined").id
}

fn asks(request: Request) -> JobDraft {
    JobDraft { request: request.into(), ..job() }
}

fn gres(text: &str) -> JobDraft {
    asks(Request { gres: GresAsk::list(text, Per::Node).expect("gres"), ..Request::default() })
}

fn constrained(text: &str, nodes: u32) -> JobDraft {
    let constraint = Some(text.parse().expect("a constraint"));
    asks(Request { constraint, nodes_min: nodes, nodes_max: Some(nodes), ..Request::default() })
}

fn named(nodes: &[&str], exclude: &[&str]) -> JobDraft {
    let names = |names: &[&str]| names.iter().map(|name| (*name).into()).collect();
    asks(Request { nodes: names(nodes), exclude: names(exclude), ..Request::default() })
}

/// What a job's only task holds: node, processes, CPUs and devices of each share; empty while it waits.
fn held(rig: &Rig, job: JobId) -> Vec<(String, u32, u32, String)> {
    let task = rig.cluster.job(job).expect("there").tasks.get(&0).map(|task| task.state.clone());
    let Some(TaskState::Running { shares, .. }) = task else { return Vec::new() };
    let name = |node| rig.cluster.node_name(node).expect("named").to_string();
    shares.iter().map(|s| (name(s.node), s.processes, s.amount.cpus.milli(), s.devices.to_string())).collect()
}

fn nodes(rig: &Rig, job: JobId) -> String {
    held(rig, job).into_iter().map(|(node, ..)| node).collect::<Vec<_>>().join(" ")
}

fn start(rig: &mut Rig, draft: JobDraft) -> JobId {
    let job = rig.submit(draft).expect("accepted");
    rig.plan();
    job
}

fn reason(rig: &Rig, job: JobId) -> Reason {
    rig.cluster.job(job).expect("there").reason
}

fn end(rig: &mut Rig, job: JobId) {
    let attempt = rig.cluster.job(job).expect("there").attempt_key(0).expect("it runs");
    rig.exit(attempt, 0);
}

#[test]
fn processes_per_node_bound_a_spread_and_multiply_the_nodes() {
    let mut rig = Rig::with_nodes(4, 8);
    let capped = Request { processes: Some(5), processes_per_node: Some(2), ..Request::default() };
    let job = start(&mut rig, asks(capped));
    let spread: Vec<u32> = held(&rig, job).iter().map(|share| share.1).collect();
    assert_eq!((nodes(&rig, job).as_str(), spread), ("n1 n2 n3", vec![2, 2, 1]));
    let each = Request { nodes_min: 2, nodes_max: Some(2), processes_per_node: Some(3), ..Request::default() };
    assert_eq!(each.process_count(), 6);
    let job = start(&mut rig, asks(each));
    assert_eq!(held(&rig, job).iter().map(|share| (share.1, share.2)).collect::<Vec<_>>(), [(3, 3000), (3, 3000)]);
}

#[test]
fn an_exclusive_job_has_its_nodes_to_itself_and_memory_as_asked() {
    let mut rig = Rig::new();
    join(&mut rig, "n1", 4, "", "gpu:2");
    let memory = Memory::PerNode(100);
    let alone = || Request { exclusive: true, memory, ..Request::default() };
    let first = start(&mut rig, wide(1, 1));
    let second = start(&mut rig, asks(alone()));
    assert_eq!(reason(&rig, second), Reason::Resources);
    end(&mut rig, first);
    rig.plan();
    assert_eq!(held(&rig, second), [("n1".into(), 1, 4000, "0,1".into())]);
    let node = rig.cluster.node_named("n1").expect("there");
    assert_eq!((node.held.memory_mib, node.state().word), (100, NodeWord::Allocated));
    let third = start(&mut rig, asks(Request { memory, cpus_milli: Some(1), ..Request::default() }));
    assert_eq!(reason(&rig, third), Reason::Resources);
    assert!(rig.submit(asks(Request { gres: gres("gpu:3").request.gres.clone(), ..alone() })).is_err());
}

#[test]
fn a_node_list_is_had_whole_and_more_nodes_are_added() {
    let mut rig = Rig::with_nodes(4, 2);
    let job = start(&mut rig, named(&["n3"], &[]));
    assert_eq!(nodes(&rig, job), "n3");
    let two = start(&mut rig, named(&["n4", "n2"], &[]));
    assert_eq!(nodes(&rig, two), "n2 n4");
    let more = Request { processes: Some(3), nodes: vec!["n4".into()], ..Request::default() };
    let more = start(&mut rig, asks(more));
    assert_eq!(nodes(&rig, more), "n1 n4");
    let busy = start(&mut rig, named(&["n4"], &[]));
    assert_eq!(reason(&rig, busy), Reason::Resources);
    let node = rig.cluster.node_named("n4").expect("there").id;
    rig.input(Input::LinkLost { node });
    rig.plan();
    assert_eq!(reason(&rig, busy), Reason::ReqNodeNotAvail);
    let behind = start(&mut rig, job_on("n2"));
    assert_eq!(nodes(&rig, behind), "n2", "whoever waits for a lost node is in nobody's way");
}

/// What a pass finds out for a job that stays on one node is not meant for one that may have more.
#[test]
fn two_jobs_with_one_node_list_may_differ_in_how_many_nodes_they_take() {
    let mut rig = Rig::with_nodes(2, 2);
    rig.submit(named(&["n1"], &[])).expect("accepted");
    let wide = Request { processes: Some(2), nodes: vec!["n1".into()], ..Request::default() };
    let wide = start(&mut rig, asks(wide));
    assert_eq!(nodes(&rig, wide), "n1 n2");
}

fn job_on(node: &str) -> JobDraft {
    named(&[node], &[])
}

#[test]
fn excluded_nodes_are_not_used() {
    let mut rig = Rig::with_nodes(3, 1);
    let job = start(&mut rig, named(&[], &["n1", "n2"]));
    assert_eq!(nodes(&rig, job), "n3");
    let second = start(&mut rig, named(&[], &["n1", "n2"]));
    let third = start(&mut rig, wide(1, 1));
    assert_eq!((reason(&rig, second), nodes(&rig, third).as_str()), (Reason::Resources, "n1"));
    for (draft, text) in [
        (named(&["n9"], &[]), "--nodelist names n9: there is no such node"),
        (named(&[], &["n1", "x"]), "--exclude names x: there is no such node"),
    ] {
        let refusal = rig.submit(draft).expect_err("unknown");
        assert_eq!((refusal.to_string(), refusal.detail()), ("Invalid node name specified".into(), Some(text.into())));
    }
    let all = rig.submit(named(&["n1"], &["n1"])).expect_err("nothing is left");
    assert!(all.detail().expect("said").ends_with("; 0 of them are left by --nodelist, --exclude and --constraint"));
    rig.input(Input::Partitions(vec![
        partition("debug"),
        Partition { nodes: Members::Listed(vec!["n1".into()]), default: false, ..partition("one") },
    ]));
    let elsewhere = JobDraft { partitions: vec!["one".into()], ..named(&["n2"], &[]) };
    let refusal = rig.submit(elsewhere).expect_err("another partition's");
    assert_eq!(refusal.to_string(), "Requested nodes not in this partition");
}

#[test]
fn constraints_choose_nodes_by_their_features() {
    let mut rig = Rig::new();
    for (name, features) in [("n1", "slow"), ("n2", "fast rack1"), ("n3", "fast rack2"), ("n4", "fast rack2 ssd")] {
        join(&mut rig, name, 2, features, "");
    }
    for (text, count, expected) in [
        ("fast", 1, "n2"),
        ("fast&ssd", 1, "n4"),
        ("ssd|slow", 2, "n1 n4"),
        ("[rack1|rack2]", 2, "n3 n4"),
        ("[rack1|slow|rack2]&fast", 2, "n3 n4"),
        ("fast&(ssd|rack1)", 2, "n2 n4"),
        ("ssd*1", 3, "n1 n2 n4"),
        ("[(rack1|ssd)*2&slow*1]", 3, "n1 n2 n4"),
        ("fast*1&ssd*1", 2, "n2 n4"),
        ("rack2*2", 2, "n3 n4"),
    ] {
        let job = start(&mut rig, constrained(text, count));
        assert_eq!(nodes(&rig, job), expected, "{text}");
        end(&mut rig, job);
    }
    let refusal = rig.submit(constrained("fast&quick", 1)).expect_err("no node has it");
    assert_eq!(refusal.to_string(), "Invalid feature specification");
    let detail = "--constraint names quick, which no node has; known are: fast, rack1, rack2, slow, ssd";
    assert_eq!(refusal.detail().as_deref(), Some(detail));
    for (text, count) in [("slow&ssd", 1), ("[rack1|slow]", 2), ("rack1*2", 2), ("ssd*1&(ssd&fast)*1", 2)] {
        assert!(matches!(rig.submit(constrained(text, count)), Err(Refusal::NeverFits { .. })), "{text}");
    }
    let few = constrained("fast*2", 1).check().expect_err("counts are for several nodes");
    assert_eq!(few, SpecError::NodesCounted { counted: 2, nodes: 1 });
}

/// A node that several parts could count is given to the one that needs it.
#[test]
fn counted_features_share_nodes_out_so_that_all_are_served() {
    let mut rig = Rig::new();
    join(&mut rig, "n1", 2, "a b", "");
    join(&mut rig, "n2", 2, "a", "");
    let job = start(&mut rig, constrained("a*1&b*1", 2));
    assert_eq!(nodes(&rig, job), "n1 n2");
}

#[test]
fn gpus_are_held_by_type_and_number_and_never_twice() {
    let mut rig = Rig::new();
    join(&mut rig, "n1", 8, "", "gpu:a100:2,fpga:1,gpu:v100:2");
    let first = start(&mut rig, gres("gpu:1"));
    let typed = start(&mut rig, gres("gpu:v100:2"));
    let any = start(&mut rig, gres("gpu:1"));
    let none = start(&mut rig, gres("gpu:1"));
    let devices = |rig: &Rig, job| held(rig, job).first().map(|share| share.3.clone());
    assert_eq!(devices(&rig, first).as_deref(), Some("0"));
    assert_eq!(devices(&rig, typed).as_deref(), Some("2,3"));
    assert_eq!(devices(&rig, any).as_deref(), Some("1"));
    assert_eq!((devices(&rig, none), reason(&rig, none)), (None, Reason::Resources));
    end(&mut rig, first);
    rig.plan();
    assert_eq!(devices(&rig, none).as_deref(), Some("0"));
    let node = rig.cluster.node_named("n1").expect("there");
    assert_eq!((node.devices, node.held.gres.at(0), node.held.gres.at(2)), (Devices::from_bits(0b1111), 2, 2));
    let across = rig.submit(gres("gpu:a100:1,gpu:v100:1,fpga:1")).expect("could be");
    rig.plan();
    assert_eq!(reason(&rig, across), Reason::Resources);
    for job in [typed, any] {
        end(&mut rig, job);
    }
    rig.plan();
    assert_eq!(devices(&rig, across).as_deref(), Some("1,2"));
}

#[test]
fn totals_and_counts_for_each_process_follow_the_processes() {
    let mut rig = Rig::new();
    for name in ["n1", "n2"] {
        join(&mut rig, name, 4, "", "gpu:4");
    }
    let gpus = |per, count: u32, request: Request| {
        asks(Request { gres: GresAsk::gpus(&count.to_string(), per).expect("gpus"), ..request })
    };
    let shape = |rig: &mut Rig, draft| {
        let job = start(rig, draft);
        let shares: Vec<(u32, String)> = held(rig, job).into_iter().map(|share| (share.1, share.3)).collect();
        end(rig, job);
        shares
    };
    let share = |processes, devices: &str| (processes, devices.to_owned());
    let six = || Request { processes: Some(6), ..Request::default() };
    assert_eq!(shape(&mut rig, gpus(Per::Process, 1, six())), [share(4, "0,1,2,3"), share(2, "0,1")]);
    assert_eq!(shape(&mut rig, gpus(Per::Task, 6, six())), [share(4, "0,1,2,3"), share(2, "0,1")]);
    let two = Request { nodes_min: 2, nodes_max: Some(2), processes: Some(5), ..Request::default() };
    assert_eq!(shape(&mut rig, gpus(Per::Task, 4, two.clone())), [share(4, "0,1"), share(1, "0,1")]);
    let three = Request { processes: Some(2), ..Request::default() };
    assert_eq!(
        shape(&mut rig, gpus(Per::Task, 3, three)),
        [share(2, "0,1,2")],
        "what cannot be divided stays together"
    );
    let undivided = gpus(Per::Task, 3, two).check().expect_err("3 on two nodes");
    assert!(undivided.to_string().contains("use --gpus-per-task or --gpus-per-node"), "{undivided}");
    let many = rig.submit(gpus(Per::Node, 5, Request::default())).expect_err("no node has five");
    let detail = many.detail().expect("said");
    assert!(detail.contains("gpu:5 on each node") && detail.contains("at most 4 of gpu on a node"), "{detail}");
    let unknown = rig.submit(gres("gpu:h100:1")).expect_err("no such type");
    assert_eq!(unknown.to_string(), "Invalid generic resource (gres) specification");
    assert_eq!(unknown.detail().as_deref(), Some("no node has gpu:h100; known are: gpu"));
}

#[test]
fn gpus_are_kept_for_the_job_above_as_cpus_are() {
    let mut rig = Rig::new();
    join(&mut rig, "n1", 8, "", "gpu:2");
    let limited = |text: &str, minutes: u32| {
        let limit = sched::spec::duration::TimeLimit::Minutes(minutes.try_into().expect("not 0"));
        JobDraft { time_limit: Some(limit), ..gres(text) }
    };
    let first = start(&mut rig, limited("gpu:1", 60));
    let both = start(&mut rig, limited("gpu:2", 10));
    let long = start(&mut rig, limited("gpu:1", 61));
    let short = start(&mut rig, limited("gpu:1", 60));
    let cpu_only = start(&mut rig, limited("none", 90));
    assert!(held(&rig, both).is_empty() && held(&rig, long).is_empty());
    let running = [first, short, cpu_only].map(|job| nodes(&rig, job));
    assert_eq!(running, ["n1", "n1", "n1"]);
}

#[test]
fn a_node_whose_gres_changed_offers_none_until_those_held_are_back() {
    let mut rig = Rig::new();
    join(&mut rig, "n1", 8, "", "gpu:2");
    let first = start(&mut rig, gres("gpu:1"));
    join(&mut rig, "n1", 8, "", "gpu:a100:1,gpu:v100:3");
    assert_eq!(nodes(&rig, first), "n1");
    let second = start(&mut rig, gres("gpu:a100:1"));
    assert_eq!(reason(&rig, second), Reason::NodesUnavailable);
    end(&mut rig, first);
    rig.plan();
    assert_eq!(held(&rig, second)[0].3, "0");
    join(&mut rig, "n1", 8, "", "gpu:a100:1,gpu:v100:3");
    let third = start(&mut rig, gres("gpu:v100:3"));
    assert_eq!(held(&rig, third)[0].3, "1,2,3", "the same gres again changes nothing");
}

#[test]
fn licenses_are_counted_over_the_cluster_and_hold_up_nobody_behind() {
    let mut rig = Rig::with_nodes(2, 8);
    rig.settings.licenses.insert("matlab".into(), 3);
    let licensed = |text: &str, draft: JobDraft| {
        let licenses = LicenseAsk::list(text).expect("licenses");
        JobDraft { request: Request { licenses, ..(*draft.request).clone() }.into(), ..draft }
    };
    let tasks = start(&mut rig, licensed("matlab:2", array("0-2")));
    assert_eq!((rig.running().len(), reason(&rig, tasks)), (1, Reason::Licenses));
    let waits = start(&mut rig, licensed("matlab:2", job()));
    let one = start(&mut rig, licensed("matlab", job()));
    let free = start(&mut rig, job());
    assert_eq!(reason(&rig, waits), Reason::Licenses);
    assert_eq!((nodes(&rig, one).as_str(), nodes(&rig, free).as_str()), ("n1", "n1"));
    assert_eq!(rig.cluster.licenses_held("matlab"), 3);
    end(&mut rig, tasks);
    rig.plan();
    assert_eq!((rig.cluster.licenses_held("matlab"), reason(&rig, tasks)), (3, Reason::Licenses));
    for (text, detail) in [
        ("matlab:4", "--licenses asks for matlab:4; the cluster has: matlab:3"),
        ("ansys", "--licenses asks for ansys:1; the cluster has: matlab:3"),
    ] {
        let refusal = rig.submit(licensed(text, job())).expect_err("more than there is");
        assert_eq!(refusal.to_string(), "Invalid license specification");
        assert_eq!(refusal.detail().as_deref(), Some(detail));
    }
}

#[test]
fn a_share_of_a_cpu_is_held_exactly() {
    let mut rig = Rig::with_nodes(1, 1);
    let share = |milli| asks(Request { cpus_milli: Some(milli), ..Request::default() });
    for _ in 0..6 {
        rig.submit(share(150)).expect("accepted");
    }
    let last = start(&mut rig, share(100));
    assert_eq!((rig.running().len(), nodes(&rig, last).as_str()), (7, "n1"));
    let node = rig.cluster.node_named("n1").expect("there");
    assert_eq!((node.held.cpus, node.state().word), (Cpus::whole(1), NodeWord::Allocated));
    let both = Request { cpus_milli: Some(1), cpus_per_process: Some(1), ..Request::default() };
    assert_eq!(asks(both).check().expect_err("one of them"), SpecError::CpusTwice);
    assert_eq!(share(0).check().expect_err("nothing"), SpecError::Cpus);
}

fn pack(value: &impl serde::Serialize) -> Vec<u8> {
    rmp_serde::to_vec(value).expect("packed")
}

/// Journals from before gres: what is missing at the end of an array is nothing.
#[test]
fn amounts_and_offers_of_old_journals_are_read() {
    let old = (2000_u32, 512_u64);
    let amount = Amount { cpus: Cpus::whole(2), memory_mib: 512, ..Amount::default() };
    let bytes = pack(&old);
    assert_eq!(rmp_serde::from_slice::<Amount>(&bytes).expect("read"), amount);
    assert_eq!(pack(&amount), bytes, "who has no gres takes no more room than before");
    let share: Share = rmp_serde::from_slice(&pack(&(7_u32, 1_u32, old))).expect("read");
    assert_eq!(share, Share { node: NodeId(7), processes: 1, amount, devices: Devices::default() });
    let offer: Offer = rmp_serde::from_slice(&pack(&(old, 5_u128, "here"))).expect("read");
    assert_eq!(offer, Offer { amount, spool: 5, address: "here".into(), ..Offer::default() });
    let request = (1_u32, None::<u32>, Some(2_u32), None::<u32>, "Default");
    let request: Request = rmp_serde::from_slice(&pack(&request)).expect("read");
    assert_eq!(request, Request { processes: Some(2), ..Request::default() });
}

#[test]
fn before_any_node_has_joined_every_feature_and_gres_may_yet_come() {
    let mut rig = Rig::new();
    rig.submit(constrained("fast", 1)).expect("accepted");
    rig.submit(gres("gpu:1")).expect("accepted");
    join(&mut rig, "n1", 4, "fast", "gpu:1");
    rig.plan();
    assert_eq!(rig.running().len(), 2);
}
