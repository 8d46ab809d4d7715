//! Random inputs never break the books, and what is replayed or restored is what was.

mod rig;

use proptest::collection::vec;
use proptest::prelude::*;
use rig::{Rig, array, ended, job, wide};
use sched::cluster::Cluster;
use sched::hold::HoldVerb;
use sched::ids::Timestamp;
use sched::mark::{NodesUpdate, Wish};
use sched::node::{MarkKind, Offer};
use sched::partition::Change;
use sched::reason::Exit;
use sched::reconcile::{Claim, How};
use sched::requeue::Requeue;
use sched::resources::{Amount, Cpus};
use sched::revise::{self, LimitChange};
use sched::settings::Weights;
use sched::spec::duration::TimeLimit;
use sched::spec::gres::{Gres, GresAsk, Per};
use sched::spec::job::{JobDraft, Request};
use sched::spec::licenses::LicenseAsk;
use sched::spec::retry::Retry;
use sched::step::{Answer, Input};

/// One thing that happens; numbers choose among what is there.
#[derive(Clone, Debug)]
enum Act {
    Submit {
        cpus: u32,
        tasks: u32,
        throttle: u32,
    },
    Wide {
        processes: u32,
    },
    Wish {
        gres: usize,
        place: usize,
        processes: u32,
        exclusive: bool,
    },
    After {
        job: u32,
        kind: usize,
        tasks: u32,
        kill: bool,
    },
    Cancel {
        job: u32,
        index: Option<u32>,
    },
    End {
        which: usize,
        how: u8,
    },
    RepeatEnd {
        which: usize,
    },
    Register {
        node: u32,
        cpus: u32,
        fresh: bool,
        keep: usize,
        gres: usize,
    },
    Silence {
        node: u32,
    },
    Leave {
        node: u32,
    },
    Wait {
        seconds: u64,
    },
    Mark {
        node: u32,
        kind: usize,
        resume_after_s: Option<u64>,
    },
    Unmark {
        node: u32,
        drained: bool,
    },
    Partition {
        limits: usize,
    },
    /// A hold, release, requeue, suspend, resume or change of a job or a task.
    Treat {
        job: u32,
        index: Option<u32>,
        how: usize,
    },
    Fussy {
        retries: u32,
        minutes: u32,
        nice: i32,
        deadline: Option<u64>,
        hold: bool,
    },
    Plan,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => (1..4_u32, 1..20_u32, 0..4_u32).prop_map(|(cpus, tasks, throttle)| Act::Submit { cpus, tasks, throttle }),
        1 => (1..9_u32).prop_map(|processes| Act::Wide { processes }),
        3 => (0..GRES_ASKED.len(), 0..8_usize, 1..5_u32, any::<bool>())
            .prop_map(|(gres, place, processes, exclusive)| Act::Wish { gres, place, processes, exclusive }),
        2 => (1..40_u32, 0..7_usize, 0..9_u32, any::<bool>())
            .prop_map(|(job, kind, tasks, kill)| Act::After { job, kind, tasks, kill }),
        2 => (1..40_u32, proptest::option::of(0..20_u32)).prop_map(|(job, index)| Act::Cancel { job, index }),
        6 => (any::<usize>(), 0..5_u8).prop_map(|(which, how)| Act::End { which, how }),
        1 => any::<usize>().prop_map(|which| Act::RepeatEnd { which }),
        2 => (0..4_u32, 1..6_u32, any::<bool>(), any::<usize>(), 0..GRES_OFFERED.len())
            .prop_map(|(node, cpus, fresh, keep, gres)| Act::Register { node, cpus, fresh, keep, gres }),
        1 => (0..4_u32).prop_map(|node| Act::Silence { node }),
        1 => (0..4_u32).prop_map(|node| Act::Leave { node }),
        1 => (1..400_u64).prop_map(|seconds| Act::Wait { seconds }),
        1 => (0..4_u32, 0..3_usize, proptest::option::of(0..500_u64))
            .prop_map(|(node, kind, resume_after_s)| Act::Mark { node, kind, resume_after_s }),
        2 => (0..4_u32, any::<bool>()).prop_map(|(node, drained)| Act::Unmark { node, drained }),
        1 => (0..LIMITS.len()).prop_map(|limits| Act::Partition { limits }),
        5 => (1..40_u32, proptest::option::of(0..20_u32), 0..17_usize)
            .prop_map(|(job, index, how)| Act::Treat { job, index, how }),
        2 => (0..3_u32, 1..9_u32, -2..3_i32, proptest::option::of(0..30_u64), any::<bool>())
            .prop_map(|(retries, minutes, nice, deadline, hold)| Act::Fussy { retries, minutes, nice, deadline, hold }),
        6 => Just(Act::Plan),
    ]
}

/// What is done to a job or a task, by number.
fn treatment(name: &str, how: usize, now: Timestamp) -> Input {
    let named = rig::targets(name);
    let (asker, targets) = (if how.is_multiple_of(3) { rig::ADA } else { rig::ROOT }, named);
    let hold = |verb| Input::Hold { targets: targets.clone(), verb, asker };
    let requeue = |hold, incomplete| Input::Requeue {
        targets: targets.clone(),
        how: Requeue { hold, incomplete, ..Requeue::default() },
        asker,
    };
    let revise = |changes: Vec<revise::Change>| Input::Revise { targets: targets.clone(), changes, asker };
    match how {
        0 | 1 => hold(HoldVerb::Hold),
        2 => hold(HoldVerb::UserHold),
        3 | 4 => hold(HoldVerb::Release),
        5 => requeue(false, false),
        6 => requeue(true, false),
        7 => requeue(false, true),
        8 | 9 => Input::Pause { targets: targets.clone(), suspend: true, asker },
        10 | 11 => Input::Pause { targets: targets.clone(), suspend: false, asker },
        12 => revise(vec![revise::Change::CpusPerProcess(2), revise::Change::Nice(1)]),
        13 => revise(vec![revise::Change::TimeLimit(LimitChange::More(5))]),
        14 => revise(vec![revise::Change::Throttle(2), revise::Change::Priority(7)]),
        15 => revise(vec![revise::Change::Dependency(None), revise::Change::Begin(now.plus_ms(90_000))]),
        _ => revise(vec![revise::Change::Deadline(Some(now.plus_ms(300_000)))]),
    }
}

/// What is said of the only partition, one after the other.
const LIMITS: [(&str, &str); 6] = [
    ("MaxNodes", "1"),
    ("MaxNodes", "UNLIMITED"),
    ("DefMemPerCPU", "100"),
    ("DefMemPerCPU", "UNLIMITED"),
    ("State", "DOWN"),
    ("State", "UP"),
];

fn update_node(rig: &mut Rig, node: u32, wish: Wish) {
    let names = vec![format!("n{node}").as_str().into()];
    // Refused where there is no such node, or nothing to be done.
    let _answer = rig.input(Input::UpdateNodes(NodesUpdate { names, wish, uid: 0, user: "root".into() }));
}

/// What nodes have, and what jobs ask for.
const GRES_OFFERED: [&str; 5] = ["none", "gpu:2", "gpu:a:2,fpga:3,gpu:b:2", "fpga:1", "gpu:b:1,gpu:a:1"];
const GRES_ASKED: [&str; 6] = ["none", "gpu", "gpu:a", "gpu:b:2", "fpga:2,gpu:1", "gpu:a:1,gpu:b:1"];

/// A job with wishes: by number it is choosy about nodes, features, licenses, or takes a share of a CPU.
fn wish(gres: &str, place: usize, processes: u32, exclusive: bool) -> JobDraft {
    let per = [Per::Node, Per::Process, Per::Task][place % 3];
    let draft = array("0-2");
    let usual = Request { exclusive, gres: GresAsk::list(gres, per).expect("gres"), ..Request::default() };
    let usual = Request { processes: Some(processes), processes_per_node: (place > 4).then_some(2), ..usual };
    let constraint = |text: &str| Some(text.parse().expect("a constraint"));
    let licenses = |text| LicenseAsk::list(text).expect("licenses");
    let request = match place {
        0 => Request { nodes: vec!["n1".into()], ..usual },
        1 => Request { exclude: vec!["n2".into()], ..usual },
        2 => Request { constraint: constraint("[odd|even]"), ..usual },
        3 => Request { constraint: constraint("odd*1&even*1"), nodes_min: 2, ..usual },
        4 => Request { cpus_milli: Some(150), licenses: licenses("l"), ..usual },
        5 => Request { licenses: licenses("l:2,m:1"), ..usual },
        6 => Request { nodes: vec!["n1".into(), "n2".into()], constraint: constraint("odd|even"), ..usual },
        _ => usual,
    };
    JobDraft { request: request.into(), ..draft }
}

/// One pass; where a node is over-committed already, only that it gets nothing more.
fn pass(rig: &mut Rig) {
    let over_before = rig.cluster.check_commitments().is_err();
    if over_before {
        // A node came back smaller than what runs on it: the pass must still give it nothing more.
        let held: Vec<_> = rig.cluster.nodes().map(|node| (node.id, node.held)).collect();
        let events = sched::plan::plan(&rig.cluster, rig.now, &rig.settings).events;
        let mut after = rig.cluster.clone();
        events.iter().for_each(|event| after.apply(rig.now, event));
        for (id, before) in held {
            let node = after.node(id).expect("nodes stay");
            // Also of a node that offers none of its gres for now, nothing is held that it never had.
            let had = node.offer.clone().with_gres(node.offer.gres.clone()).amount;
            assert!(node.held == before || had.covers(&node.held));
        }
    } else {
        rig.plan();
    }
}

fn perform(rig: &mut Rig, act: &Act) {
    match act {
        Act::Submit { cpus, tasks, throttle } => {
            let list = if *throttle == 0 { format!("0-{tasks}") } else { format!("0-{tasks}%{throttle}") };
            let mut draft = array(&list);
            draft.request.cpus_per_process = Some(*cpus);
            // Refused where no node is wide enough: that is an answer, too.
            let _refused = rig.submit(draft).err();
        }
        Act::Wide { processes } => {
            let _refused = rig.submit(wide(*processes, 1)).err();
            let _refused = rig.submit(job()).err();
        }
        Act::Wish { gres, place, processes, exclusive } => {
            let draft = wish(GRES_ASKED[*gres], *place, *processes, *exclusive);
            // What cannot be divided, and what no node has, is refused.
            if draft.clone().check().is_ok() {
                let _refused = rig.submit(draft).err();
            }
        }
        Act::After { job, kind, tasks, kill } => {
            let kinds = ["after", "afterany", "afterok", "afternotok", "aftercorr", "aftercorr", "singleton"];
            let text = if *kind == 6 { "singleton".to_owned() } else { format!("{}:{job}", kinds[*kind]) };
            let dependency = Some(text.parse().expect("a dependency"));
            let draft = JobDraft { dependency, kill_on_invalid_dep: *kill, ..array(&format!("0-{tasks}")) };
            // Refused where the target is unknown.
            let _refused = rig.submit(draft).err();
        }
        Act::Cancel { job, index } => {
            let target = index.map_or(job.to_string(), |index| format!("{job}_{index}"));
            let _unknown = rig.cancel(&target).err();
        }
        Act::End { which, how } => {
            let running = rig.running();
            if let Some(key) = running.get(which % running.len().max(1)).copied() {
                let exit = |code, signal| Exit { code, signal };
                let ways = [
                    How::Exited(exit(0, 0)),
                    How::Exited(exit(3, 0)),
                    How::TimedOut(exit(0, 15)),
                    How::NotStarted,
                    How::Lost,
                ];
                rig.end(key, ways[usize::from(*how)]);
            }
        }
        Act::RepeatEnd { which } => {
            let keys: Vec<_> = rig.started.iter().copied().collect();
            let nodes: Vec<_> = rig.cluster.nodes().map(|node| node.id).collect();
            if let (Some(key), Some(node)) = (keys.get(which % keys.len().max(1)), nodes.first()) {
                let ends = vec![(*key, ended(How::Exited(Exit::default())))];
                rig.input(Input::Ends { node: *node, ends, steps: Vec::new() });
            }
        }
        Act::Register { node, cpus, fresh, keep, gres } => {
            let name = format!("n{node}");
            let known = rig.cluster.node_named(&name).map(|node| (node.id, node.offer.spool));
            let mut claims = Vec::new();
            if let Some((id, _)) = known {
                claims = rig.cluster.attempts_on(id).map(|key| Claim { key, end: None, heard: 0 }).collect();
                claims.truncate(keep % (claims.len() + 1));
            }
            let spool = known.map_or(1, |(_, spool)| spool + u128::from(*fresh));
            let amount = Amount { cpus: Cpus::whole(*cpus), memory_mib: u64::from(*cpus) * 1000, ..Amount::default() };
            let features = vec![if node % 2 == 0 { "even".into() } else { "odd".into() }];
            let gres = GRES_OFFERED[*gres];
            let gres = if gres == "none" { Vec::new() } else { Gres::list(gres).expect("gres of a node") };
            let offer = Offer { amount, spool, features, ..Offer::default() }.with_gres(gres);
            rig.input(Input::Register { name: name.as_str().into(), offer, claims, steps: Vec::new() });
        }
        Act::Silence { node } | Act::Leave { node } => {
            let Some(id) = rig.cluster.node_named(&format!("n{node}")).map(|node| node.id) else { return };
            let left = matches!(act, Act::Leave { .. });
            rig.input(if left { Input::Leave { node: id } } else { Input::LinkLost { node: id } });
        }
        Act::Wait { seconds } => {
            rig.now = rig.now.plus_ms(seconds * 1000);
            rig.input(Input::Tick);
        }
        Act::Mark { node, kind, resume_after_s } => {
            let kind = [MarkKind::Drain, MarkKind::Fail, MarkKind::Down][*kind];
            update_node(rig, *node, Wish::Mark { kind, reason: "odd".into(), resume_after_s: *resume_after_s });
        }
        Act::Unmark { node, drained } => {
            update_node(rig, *node, if *drained { Wish::Undrain } else { Wish::Resume });
        }
        Act::Partition { limits } => {
            let mut change = Change::default();
            change.set(LIMITS[*limits].0, LIMITS[*limits].1).expect("a good value");
            assert_eq!(rig.input(Input::UpdatePartition { name: "debug".into(), change }), Answer::Done);
        }
        Act::Treat { job, index, how } => {
            let target = index.map_or(job.to_string(), |index| format!("{job}_{index}"));
            // Refused where there is no such thing, or it does not stand so.
            let _answer = rig.input(treatment(&target, *how, rig.now));
        }
        Act::Fussy { retries, minutes, nice, deadline, hold } => {
            let retry = (*retries > 0).then_some(Retry { times: *retries, on: None });
            let time_limit = std::num::NonZeroU32::new(*minutes).map(TimeLimit::Minutes);
            let deadline = deadline.map(|minutes| rig.now.plus_ms(minutes * 60_000));
            let draft = JobDraft { retry, time_limit, deadline, nice: *nice, hold: *hold, ..array("0-4%3") };
            // Refused where it could not end before its deadline.
            let _refused = rig.submit(draft).err();
        }
        Act::Plan => pass(rig),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    /// The rig checks every invariant after every input; at the end the journal's view must be the same.
    #[test]
    fn no_input_breaks_the_books(acts in vec(act(), 1..120)) {
        let mut rig = Rig::with_nodes(2, 4);
        rig.settings.drain_after_failures = 2;
        rig.settings.weights = Weights { age: 1_000, age_s_max: 600, size: 100, ..Weights::default() };
        rig.settings.licenses.extend([("l".into(), 3), ("m".into(), 1)]);
        for act in &acts {
            perform(&mut rig, act);
        }
        let mut replayed = Cluster::default();
        for (at, event) in &rig.events {
            let packed = rmp_serde::to_vec(event).expect("an event can be packed");
            let event = rmp_serde::from_slice(&packed).expect("and unpacked");
            replayed.apply(*at, &event);
        }
        prop_assert_eq!(format!("{:?}", &replayed), format!("{:?}", &rig.cluster));
        let packed = rmp_serde::to_vec(&rig.cluster).expect("a cluster can be packed");
        let restored: Cluster = rmp_serde::from_slice(&packed).expect("and unpacked");
        prop_assert_eq!(format!("{:?}", restored.restored()), format!("{:?}", &rig.cluster));
    }

    /// Whatever fits starts: after a pass, no waiting job of the head of the queue fits a node that is up.
    #[test]
    fn what_fits_does_not_wait(cpus in vec(1..5_u32, 1..30), nodes in 1..4_u32) {
        let mut rig = Rig::with_nodes(nodes, 4);
        for each in cpus {
            rig.submit(wide(1, each)).expect("fits a node");
        }
        while rig.cluster.jobs().any(|job| !job.is_done()) {
            rig.plan();
            let running = rig.running();
            prop_assert!(!running.is_empty(), "something waits for ever");
            rig.exit(running[0], 0);
            rig.now = Timestamp(rig.now.0 + 1);
        }
    }
}
