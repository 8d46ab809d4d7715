//! Who may pass whom: jobs behind a blocked one start only where, by the time limits, that delays nobody above them.

mod rig;

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use rig::{Rig, array, job, partition, wide};
use sched::ids::{AttemptKey, JobId, NodeId, Timestamp};
use sched::job::Job;
use sched::node::Offer;
use sched::partition::{Members, Partition};
use sched::plan::{STARTS_MAX, expected_starts};
use sched::reason::Reason;
use sched::reconcile::How;
use sched::resources::{Amount, Cpus};
use sched::spec::duration::TimeLimit;
use sched::spec::gres::{Gres, GresAsk, Per};
use sched::spec::job::{JobDraft, Memory, Request};
use sched::step::Input;
use sched::task::TaskState;

fn minutes(count: u32) -> Option<TimeLimit> {
    Some(TimeLimit::Minutes(count.try_into().expect("a limit is not 0")))
}

/// A job of so many CPUs on one node for so many minutes.
fn sized(cpus: u32, limit: u32) -> JobDraft {
    JobDraft { time_limit: minutes(limit), ..wide(1, cpus) }
}

fn key(job: u32) -> AttemptKey {
    AttemptKey { job: JobId(job), index: 0, attempt: 1 }
}

fn submit(rig: &mut Rig, drafts: impl IntoIterator<Item = JobDraft>) {
    for draft in drafts {
        rig.submit(draft).expect("accepted");
    }
}

fn running(rig: &Rig) -> Vec<u32> {
    let mut jobs: Vec<u32> = rig.running().iter().map(|key| key.job.0).collect();
    jobs.sort_unstable();
    jobs
}

fn reason(rig: &Rig, job: u32) -> Reason {
    rig.cluster.job(JobId(job)).expect("there").reason
}

/// When each job is expected to start, in minutes from now, and the names of its nodes.
fn expected(rig: &Rig) -> Vec<(u32, u64, Vec<String>)> {
    let name = |node| rig.cluster.node(node).expect("there").name.to_string();
    let starts = expected_starts(&rig.cluster, rig.now, &rig.settings).into_iter();
    starts
        .map(|(job, (at, nodes))| (job.0.0, at.ms_since(rig.now) / 60_000, nodes.into_iter().map(name).collect()))
        .collect()
}

fn with_partitions(rig: &mut Rig, partitions: &[(&str, &[&str], u16)]) {
    let set = partitions.iter().map(|(name, nodes, tier)| Partition {
        nodes: Members::Listed(nodes.iter().map(|node| (*node).into()).collect()),
        default: false,
        tier: *tier,
        ..partition(name)
    });
    rig.input(Input::Partitions(set.collect()));
}

fn in_partition(name: &str, draft: JobDraft) -> JobDraft {
    JobDraft { partitions: vec![name.into()], ..draft }
}

#[test]
fn a_job_passes_when_it_ends_before_the_one_above_can_start() {
    let mut rig = Rig::with_nodes(1, 4);
    submit(&mut rig, [sized(3, 60), sized(4, 10), sized(1, 61), sized(1, 60)]);
    rig.plan();
    assert_eq!(running(&rig), [1, 4]);
    assert_eq!((reason(&rig, 2), reason(&rig, 3)), (Reason::Resources, Reason::Priority));
    assert_eq!(expected(&rig), [(2, 60, vec!["n1".into()]), (3, 70, vec!["n1".into()])]);
}

#[test]
fn a_job_passes_beside_the_one_above_on_what_that_leaves_of_its_node() {
    let mut rig = Rig::with_nodes(1, 4);
    submit(&mut rig, [sized(2, 60), sized(3, 60), sized(2, 999), sized(1, 999)]);
    rig.plan();
    assert_eq!(running(&rig), [1, 4], "the second starts beside the last, and the third would be in its way");
    rig.now = rig.now.plus_ms(3_600_000);
    rig.exit(key(1), 0);
    rig.plan();
    assert_eq!(running(&rig), [2, 4]);
}

#[test]
fn memory_is_kept_for_the_job_above_as_cpus_are() {
    let mut rig = Rig::with_nodes(1, 4);
    let memory = |mib, limit| {
        let request = Request { memory: Memory::PerNode(mib), ..Request::default() };
        JobDraft { request: request.into(), time_limit: minutes(limit), ..job() }
    };
    submit(&mut rig, [memory(3000, 60), memory(3500, 10), memory(600, 61), memory(500, 61)]);
    rig.plan();
    assert_eq!(running(&rig), [1, 4]);
}

#[test]
fn nothing_without_a_limit_passes_and_what_has_none_is_passed_within_the_window_only() {
    let mut rig = Rig::with_nodes(1, 4);
    let day = 24 * 60;
    submit(&mut rig, [wide(1, 3), wide(1, 4), wide(1, 1), sized(1, day + 1), sized(1, day)]);
    rig.plan();
    assert_eq!(running(&rig), [1, 5]);
    assert_eq!(expected(&rig), [], "nobody knows when the first one ends");
}

#[test]
fn what_a_job_could_not_use_is_not_kept_for_it() {
    let mut rig = Rig::with_nodes(1, 2);
    rig.register("big", 8, &[]);
    submit(&mut rig, [wide(1, 8), wide(1, 8), wide(1, 2)]);
    rig.plan();
    assert_eq!(running(&rig), [1, 3]);
}

#[test]
fn partitions_that_share_nodes_keep_places_for_each_other_and_others_do_not() {
    let mut rig = Rig::with_nodes(3, 2);
    with_partitions(&mut rig, &[("high", &["n1", "n2"], 2), ("low", &["n1", "n2"], 1), ("apart", &["n3"], 1)]);
    submit(&mut rig, [in_partition("high", sized(1, 60)), in_partition("high", sized(2, 60))]);
    rig.plan();
    submit(
        &mut rig,
        [in_partition(
            "high",
            JobDraft { request: Request { nodes_min: 2, ..(*wide(4, 1).request).clone() }.into(), ..job() },
        )],
    );
    submit(&mut rig, [in_partition("low", sized(1, 90)), in_partition("apart", sized(1, 90))]);
    rig.plan();
    assert_eq!(running(&rig), [1, 2, 5]);
    assert_eq!((reason(&rig, 3), reason(&rig, 4)), (Reason::Resources, Reason::Resources));
    submit(&mut rig, [in_partition("low", sized(1, 60))]);
    rig.plan();
    assert_eq!(running(&rig), [1, 2, 5, 6]);
}

#[test]
fn the_depth_bounds_how_far_a_pass_looks_and_0_keeps_strict_order() {
    for (depth, started) in [(0, vec![1]), (1, vec![1]), (2, vec![1, 4])] {
        let mut rig = Rig::with_nodes(1, 4);
        rig.settings.backfill_jobs_max = depth;
        submit(&mut rig, [sized(3, 60), sized(4, 10), sized(1, 90), sized(1, 60)]);
        rig.plan();
        assert_eq!(running(&rig), started, "{depth} jobs deep");
    }
}

#[test]
fn what_should_have_ended_makes_no_room_for_others_to_slip_in() {
    let mut rig = Rig::with_nodes(1, 4);
    submit(&mut rig, [sized(3, 10), sized(4, 10)]);
    rig.plan();
    rig.now = rig.now.plus_ms(700_000);
    submit(&mut rig, [sized(1, 1)]);
    rig.plan();
    assert_eq!(running(&rig), [1]);
    assert_eq!(expected(&rig)[0], (2, 0, vec!["n1".into()]));
}

#[test]
fn a_pass_that_stops_at_its_bound_says_that_there_is_more() {
    let mut rig = Rig::with_nodes(1, 30_000);
    rig.unchecked = true;
    rig.submit(array("0-19999")).expect("accepted");
    rig.submit(job()).expect("accepted");
    assert!(rig.plan().more);
    assert_eq!(rig.running().len(), STARTS_MAX);
    assert!(rig.plan().more);
    let last = rig.plan();
    assert!(!last.more && last.events.len() == 1);
    assert_eq!(rig.plan(), sched::plan::Pass::default());
}

#[test]
fn a_share_of_memory_that_is_rounded_down_never_takes_more_than_is_free() {
    let mut rig = Rig::new();
    let amount =
        sched::resources::Amount { cpus: sched::resources::Cpus::whole(7), memory_mib: 1000, ..Default::default() };
    let offer = sched::node::Offer { amount, spool: 1, ..Default::default() };
    rig.input(Input::Register { name: "n1".into(), offer, claims: Vec::new(), steps: Vec::new() });
    let request = Request { memory: Memory::PerNode(147), ..Request::default() };
    submit(&mut rig, [JobDraft { request: request.into(), ..job() }, wide(6, 1)]);
    rig.plan();
    assert_eq!(running(&rig), [1], "six processes of the other hold 857 MiB, and 853 are free");
}

/// A job of the random tests; `None` where no node could ever run it.
#[derive(Clone, Debug)]
struct Wish {
    processes: u32,
    cpus: u32,
    limit: u32,
    tasks: u32,
    partition: usize,
    memory: Option<u64>,
    /// What else it asks for, by number; most ask for nothing.
    more: u8,
    /// Minutes after the one before it.
    later: u64,
}

impl Wish {
    fn draft(&self, partitions: &[&str]) -> JobDraft {
        let mut draft = array(&format!("0-{}", self.tasks - 1));
        draft.request = wide(self.processes, self.cpus).request;
        draft.request.memory = self.memory.map_or(Memory::Default, Memory::PerNode);
        let gres = |text| GresAsk::list(text, Per::Node).expect("gres");
        match self.more {
            0 => draft.request.gres = gres("gpu:1"),
            1 => draft.request.gres = gres("gpu:a:1"),
            2 => draft.request.gres = GresAsk::gpus("1", Per::Process).expect("gpus"),
            3 => draft.request.exclusive = true,
            4 => draft.request.exclude = vec!["n2".into()],
            5 => draft.request.constraint = Some("[odd|even]".parse().expect("a constraint")),
            6 => draft.request.processes_per_node = Some(2),
            7 => draft.request.cpus_milli = draft.request.cpus_per_process.take().map(|cpus| cpus * 150),
            8 => draft.request.nodes = vec!["n3".into()],
            9 => {
                draft.request.constraint = Some("odd*1&even*1".parse().expect("a constraint"));
                draft.request.nodes_min = 2;
            }
            _ => {}
        }
        draft.time_limit = minutes(self.limit);
        draft.partitions = vec![partitions[self.partition % partitions.len()].into()];
        draft
    }
}

fn wish(processes: u32) -> impl Strategy<Value = Wish> {
    let memory = proptest::option::weighted(0.2, 1..4000_u64);
    (1..=processes, 1..5_u32, 1..30_u32, 1..4_u32, 0..3_usize, memory, 0..20_u8, 0..3_u64).prop_map(
        |(processes, cpus, limit, tasks, partition, memory, more, later)| Wish {
            processes,
            cpus,
            limit,
            tasks,
            partition,
            memory,
            more,
            later,
        },
    )
}

/// When each task of each wish started.
type Starts = BTreeMap<(usize, u32), Timestamp>;

/// A railway on which everything runs exactly to its limit.
struct Line<'a> {
    rig: Rig,
    partitions: &'a [&'a str],
    jobs: BTreeMap<JobId, usize>,
    starts: Starts,
    /// For the first task of each job, the first start that was expected.
    promised: BTreeMap<JobId, Timestamp>,
}

impl<'a> Line<'a> {
    fn new(rig: Rig, partitions: &'a [&'a str]) -> Line<'a> {
        let (jobs, starts, promised) = Default::default();
        Line { rig, partitions, jobs, starts, promised }
    }

    /// Lets the wishes come and go.
    fn run(mut self, wishes: &[Wish]) -> Line<'a> {
        let mut at = self.rig.now;
        for (number, wish) in wishes.iter().enumerate() {
            at = at.plus_ms(wish.later * 60_000);
            self.run_until(at);
            if let Ok(id) = self.rig.submit(wish.draft(self.partitions)) {
                self.jobs.insert(id, number);
            }
            if wishes.get(number + 1).is_none_or(|next| next.later > 0) {
                self.pass();
            }
        }
        self.run_until(Timestamp(i64::MAX));
        assert!(self.rig.cluster.jobs().all(|job| job.is_done()), "something waits for ever");
        self
    }

    fn run_until(&mut self, until: Timestamp) {
        while let Some(end) = self.ends().into_values().min().filter(|end| *end <= until) {
            self.rig.now = end;
            for (key, _) in self.ends().into_iter().filter(|(_, at)| *at == end) {
                self.rig.exit(key, 0);
            }
            self.pass();
        }
        if until.0 != i64::MAX {
            self.rig.now = until;
        }
    }

    fn pass(&mut self) {
        self.rig.plan();
        for (key, _) in self.ends() {
            self.starts.entry((self.jobs[&key.job], key.index)).or_insert(self.rig.now);
        }
        let expected = expected_starts(&self.rig.cluster, self.rig.now, &self.rig.settings).into_iter();
        for ((job, _), (at, _)) in expected.filter(|((job, _), _)| !self.starts.contains_key(&(self.jobs[job], 0))) {
            let first = *self.promised.entry(job).or_insert(at);
            assert!(at <= first, "job {job} was expected at {first:?}, and now at {at:?}");
        }
    }

    fn ends(&self) -> BTreeMap<AttemptKey, Timestamp> {
        let end = |key: AttemptKey| {
            let job = self.rig.cluster.job(key.job).expect("there");
            let TaskState::Running { since, .. } = job.tasks[&key.index].state else { panic!("nothing is stopped") };
            (key, since.plus_ms(job.terms.time_limit.seconds().expect("every wish has a limit") * 1000))
        };
        self.rig.running().into_iter().map(end).collect()
    }
}

/// Joins nodes `n0`.. of these sizes, with features and gres of their own.
fn join_mixed(rig: &mut Rig, sizes: &[u32]) {
    for (at, cpus) in sizes.iter().enumerate() {
        let amount = Amount { cpus: Cpus::whole(*cpus), memory_mib: u64::from(*cpus) * 1000, ..Amount::default() };
        let features = vec![if at % 2 == 0 { "even".into() } else { "odd".into() }];
        let gres = ["", "gpu:b:2,gpu:a:2", "gpu:a:1"][at % 3];
        let offer = Offer { amount, spool: 7, features, ..Offer::default() };
        let offer = offer.with_gres(Gres::list(gres).expect("gres of a node"));
        rig.input(Input::Register {
            name: format!("n{at}").as_str().into(),
            offer,
            claims: Vec::new(),
            steps: Vec::new(),
        });
    }
}

fn mixed_nodes(sizes: &[u32]) -> Rig {
    let mut rig = Rig::new();
    join_mixed(&mut rig, sizes);
    let (left, right) = (["n0", "n1", "n2", "n3"], ["n2", "n3", "n4"]);
    with_partitions(&mut rig, &[("left", &left, 1), ("right", &right, 1), ("far", &["n5"], 1)]);
    rig
}

const PARTITIONS: [&str; 3] = ["left", "right", "far"];

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    /// On one node, where it cannot matter which node a job gets, backfill makes no job at all later than strict order does.
    #[test]
    fn on_one_node_nothing_is_later_than_in_strict_order(wishes in vec(wish(1), 1..25), cpus in 4..9_u32) {
        let run = |depth| {
            let mut rig = Rig::with_nodes(1, cpus);
            rig.settings.backfill_jobs_max = depth;
            Line::new(rig, &["debug"]).run(&wishes).starts
        };
        let (strict, filled) = (run(0), run(500));
        for (task, at) in &strict {
            prop_assert!(filled[task] <= *at, "{:?}: {:?} instead of {:?}", task, filled[task], at);
        }
    }

    /// A job starts when it would start if nothing below it had ever been submitted; so backfill delays nobody above.
    #[test]
    fn nothing_below_delays_a_job(wishes in vec(wish(6), 2..16), sizes in vec(2..7_u32, 6), cut in any::<usize>()) {
        let count = 1 + cut % (wishes.len() - 1);
        let all = Line::new(mixed_nodes(&sizes), &PARTITIONS).run(&wishes);
        let above = Line::new(mixed_nodes(&sizes), &PARTITIONS).run(&wishes[..count]);
        for (task, at) in &above.starts {
            prop_assert_eq!(all.starts[task], *at, "{:?}", task);
        }
    }

    /// Nothing starts later than it was first expected to: `Line::pass` asserts it of every pass, this of the start itself.
    #[test]
    fn what_was_expected_is_kept(wishes in vec(wish(6), 2..16), sizes in vec(2..7_u32, 6)) {
        let line = Line::new(mixed_nodes(&sizes), &PARTITIONS).run(&wishes);
        for (job, number) in &line.jobs {
            let first = line.starts[&(*number, 0)];
            let promised = line.promised.get(job);
            prop_assert!(promised.is_none_or(|promised| first <= *promised));
        }
    }
    /// With ends that come early, the first in line never waits longer than it was told to.
    #[test]
    fn the_first_in_line_is_never_put_off(wishes in vec(wish(3), 2..16), ends in vec(any::<usize>(), 60)) {
        let mut rig = Rig::new();
        join_mixed(&mut rig, &[4, 4, 4, 4]);
        // What no node could ever run is refused.
        wishes.iter().for_each(|wish| drop(rig.submit(wish.draft(&["debug"]))));
        let mut told: BTreeMap<JobId, Timestamp> = BTreeMap::new();
        for end in ends {
            rig.plan();
            let waits = |job: &&Arc<Job>| job.reason == Reason::Resources && job.pending_count() > 0;
            if let Some(first) = rig.cluster.jobs().find(waits).filter(|job| job.tasks.is_empty()) {
                let expected = expected_starts(&rig.cluster, rig.now, &rig.settings)[&(first.id, None)].0;
                prop_assert!(expected <= *told.entry(first.id).or_insert(expected));
            }
            let running = rig.running();
            if let Some(key) = running.get(end % running.len().max(1)) {
                rig.exit(*key, 0);
                rig.now = rig.now.plus_ms(500);
            }
        }
    }

    /// `Rig::plan` compares a planner that remembers with one that does not; here while all kinds of things happen.
    #[test]
    fn what_a_planner_remembers_changes_nothing(wishes in vec((wish(4), 0..12_u8, any::<usize>()), 1..60)) {
        let mut rig = mixed_nodes(&[4, 2, 6, 4, 2, 4]);
        for (wish, act, which) in wishes {
            let running = rig.running();
            let key = running.get(which % running.len().max(1)).copied();
            let target = (1 + which % 20).to_string();
            match (act, key) {
                (0..5, _) => drop(rig.submit(wish.draft(&PARTITIONS))),
                (5..8, Some(key)) => rig.exit(key, 0),
                (8, Some(key)) => rig.end(key, How::Lost),
                (9, _) => drop(rig.cancel(&target)),
                (10, _) if which % 2 == 0 => drop(rig.hold(&target)),
                (10, _) => drop(rig.release(&target)),
                (11, _) if which % 3 == 0 => drop(rig.register("n3", 4, &[])),
                (11, _) => drop(rig.input(Input::LinkLost { node: NodeId(4) })),
                _ => rig.now = rig.now.plus_ms(wish.later * 60_000),
            }
            if which % 4 > 0 {
                rig.plan();
            }
        }
    }
}
