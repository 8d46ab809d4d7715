//! What `covey why` says: one test for each kind of finding.

mod rig;

use rig::*;
use sched::event::Event;
use sched::ids::{AttemptKey, JobId, Timestamp};
use sched::mark::{NodesUpdate, Wish};
use sched::node::{MarkKind, Offer};
use sched::partition::{Members, Partition, PartitionState};
use sched::reason::StopWhy;
use sched::reconcile::How;
use sched::refusal::Refusal;
use sched::requeue::Requeue;
use sched::spec::duration::TimeLimit;
use sched::spec::gres::{Gres, GresAsk, Per};
use sched::spec::job::{JobDraft, Memory, Request};
use sched::spec::licenses::LicenseAsk;
use sched::spec::retry::Retry;
use sched::step::Input;
use sched::why::{Kind, LISTED_MAX, Why, explain};

fn why(rig: &Rig, target: &str) -> Why {
    let target = target.parse().expect("a job's name");
    explain(&rig.cluster, &rig.settings, rig.now, &target).expect("there is such a job")
}

/// The sentences of one kind.
fn said(rig: &Rig, target: &str, kind: Kind) -> Vec<String> {
    why(rig, target).findings.into_iter().filter(|finding| finding.kind == kind).map(|finding| finding.text).collect()
}

/// The moment of the first finding of a kind, in minutes from now.
fn at(rig: &Rig, target: &str, kind: Kind) -> u64 {
    let why = why(rig, target);
    let finding = why.findings.iter().find(|finding| finding.kind == kind).expect("there is one");
    assert!(finding.text.contains("{at}"), "{finding:?}");
    finding.at.expect("it has a time").ms_since(rig.now) / 60_000
}

fn head(rig: &Rig, target: &str) -> (String, &'static str, String) {
    let Why { label, state, reason, .. } = why(rig, target);
    (label, state, reason)
}

fn sized(cpus: u32, minutes: u32) -> JobDraft {
    let limit = TimeLimit::Minutes(minutes.try_into().expect("a limit is not 0"));
    JobDraft { time_limit: Some(limit), ..wide(1, cpus) }
}

fn submit(rig: &mut Rig, drafts: impl IntoIterator<Item = JobDraft>) {
    drafts.into_iter().for_each(|draft| assert!(rig.submit(draft).is_ok()));
    rig.plan();
}

fn waiting_for(dependency: &str) -> JobDraft {
    JobDraft { dependency: Some(dependency.parse().expect("a dependency")), ..job() }
}

fn key(job: u32, index: u32) -> AttemptKey {
    AttemptKey { job: JobId(job), index, attempt: 1 }
}

fn mark(rig: &mut Rig, node: &str, kind: MarkKind) {
    let wish = Wish::Mark { kind, reason: "new {at} disks".into(), resume_after_s: None };
    let update = NodesUpdate { names: vec![node.into()], wish, uid: 0, user: "root".into() };
    rig.ask(Input::UpdateNodes(update)).expect("the node is known");
}

#[test]
fn who_holds_it_and_how_it_is_released() {
    let mut rig = Rig::with_nodes(1, 1);
    submit(&mut rig, [JobDraft { hold: true, ..job() }]);
    assert_eq!(head(&rig, "1"), ("1".into(), "PENDING", "JobHeldUser".into()));
    assert_eq!(said(&rig, "1", Kind::Held), ["Its user holds it; scontrol release 1 lets it go."]);
    assert_eq!(said(&rig, "1", Kind::Expected), [""; 0], "nobody knows when it is released");
    rig.ask(Input::Hold { targets: targets("1"), verb: sched::hold::HoldVerb::Hold, asker: ROOT }).expect("it waits");
    assert!(said(&rig, "1", Kind::Held)[0].starts_with("An administrator holds it"));
}

#[test]
fn a_task_that_is_held_apart_says_so_and_the_others_do_not() {
    let mut rig = Rig::with_nodes(1, 1);
    rig.submit(array("0-3")).expect("accepted");
    rig.hold("1_2").expect("it waits");
    rig.plan();
    assert_eq!(head(&rig, "1_2"), ("1_2".into(), "PENDING", "JobHeldUser".into()));
    assert_eq!(said(&rig, "1_2", Kind::Held), ["Its user holds it; scontrol release 1_2 lets it go."]);
    assert_eq!(head(&rig, "1_3").2, "Resources");
    assert_eq!(
        said(&rig, "1", Kind::Tasks),
        ["Of its 4 tasks 3 wait, 1 run, 0 completed, 0 failed and 0 were cancelled."]
    );
}

#[test]
fn each_dependency_tells_how_the_other_job_stands() {
    let mut rig = Rig::with_nodes(1, 1);
    submit(&mut rig, [job(), array("0-1"), waiting_for("afterok:1,afterany:2,singleton")]);
    assert_eq!(head(&rig, "3").2, "Dependency");
    assert_eq!(
        said(&rig, "3", Kind::Dependency),
        [
            "It waits until 1 has ended well (afterok:1): 1 runs.",
            "It waits until 2 has ended (afterany:2): of its tasks 2 wait, 0 run, and 0 have not ended well.",
            "It waits (singleton) until job 1 of the same user and name has ended.",
        ]
    );
    rig.exit(key(1, 0), 3);
    assert_eq!(head(&rig, "3").2, "DependencyNeverSatisfied");
    let never = said(&rig, "3", Kind::Never);
    assert_eq!(never[0], "afterok:1 can never be met: 1 ended FAILED with exit code 3.");
    assert!(never[1].contains("scancel 3") && never[1].contains("jobid=3 dependency="), "{never:?}");
}

#[test]
fn a_long_list_of_dependencies_is_cut() {
    let mut rig = Rig::with_nodes(1, 1);
    let first = (0..LISTED_MAX as u32 + 3).map(|_| JobDraft { hold: true, ..job() });
    submit(&mut rig, first);
    submit(&mut rig, [waiting_for("afterany:1:2:3:4:5:6:7:8")]);
    let told = said(&rig, "9", Kind::Dependency);
    assert_eq!((told.len(), &*told[LISTED_MAX]), (LISTED_MAX + 1, "It waits for 3 dependency terms more."));
}

#[test]
fn tasks_that_wait_for_failed_counterparts_never_start() {
    let mut rig = Rig::with_nodes(1, 2);
    submit(&mut rig, [array("0-1"), JobDraft { array: array("0-1").array, ..waiting_for("aftercorr:1") }]);
    assert_eq!(head(&rig, "2_0").2, "Dependency");
    rig.exit(key(1, 0), 1);
    assert_eq!(head(&rig, "2_0").2, "DependencyNeverSatisfied");
    assert!(said(&rig, "2_0", Kind::Never)[0].ends_with("scancel 2_0."));
    assert!(said(&rig, "2", Kind::Never)[0].starts_with("1 of its tasks never start"));
    assert_eq!(said(&rig, "2_1", Kind::Never), [""; 0]);
}

#[test]
fn what_begins_later_says_when() {
    let mut rig = Rig::with_nodes(1, 1);
    let begin = Some(rig.now.plus_ms(30 * 60_000));
    submit(&mut rig, [JobDraft { begin, ..job() }]);
    assert_eq!((head(&rig, "1").2, at(&rig, "1", Kind::Begin)), ("BeginTime".into(), 30));
}

#[test]
fn a_retry_says_when_and_which_it_is() {
    let mut rig = Rig::with_nodes(1, 1);
    rig.settings.retry_wait_ms = 120_000;
    submit(&mut rig, [JobDraft { retry: Some(Retry { times: 3, on: None }), ..job() }]);
    rig.exit(key(1, 0), 1);
    assert_eq!(said(&rig, "1", Kind::Retry), ["It failed, and is tried again from {at} on: retry 1 of 3."]);
    assert_eq!(at(&rig, "1", Kind::Retry), 2);
}

#[test]
fn an_array_at_its_limit_says_how_many_run() {
    let mut rig = Rig::with_nodes(1, 4);
    submit(&mut rig, [array("0-9%2")]);
    assert_eq!(head(&rig, "1").2, "JobArrayTaskLimit");
    assert!(said(&rig, "1_5", Kind::Throttle)[0].starts_with("2 of its tasks run, as many as its array allows (%2)"));
}

#[test]
fn partitions_say_what_they_allow() {
    let mut rig = Rig::with_nodes(1, 4);
    let limits = Partition {
        time_max: TimeLimit::Minutes(10.try_into().expect("not 0")),
        nodes_max: Some(1),
        memory_per_cpu_mib_max: Some(500),
        ..partition("debug")
    };
    submit(&mut rig, [JobDraft { hold: true, ..sized(1, 60) }]);
    let two = Request { nodes_min: 2, nodes_max: Some(2), ..Request::default() };
    let large = Request { memory: Memory::PerCpu(900), ..Request::default() };
    rig.register("n2", 4, &[]);
    submit(&mut rig, [two, large].map(|request| JobDraft { request: request.into(), hold: true, ..sized(1, 5) }));
    rig.input(Input::Partitions(vec![limits.clone()]));
    (1..=3).for_each(|job| rig.release(&job.to_string()).expect("it waits"));
    rig.plan();
    let first = |job: &str| said(&rig, job, Kind::Partition).remove(0);
    assert_eq!(first("1"), "Its time limit is 01:00:00, and partition debug gives 00:10:00 at most.");
    assert_eq!(first("2"), "It asks for 2 nodes, and partition debug gives 1 at most.");
    assert_eq!(first("3"), "It asks for 900 MiB for each CPU, and partition debug gives 500 MiB for each CPU at most.");
    rig.input(Input::Partitions(vec![Partition { state: PartitionState::Down, ..limits }]));
    assert_eq!(said(&rig, "3", Kind::Partition)[0], "Partition debug starts nothing while its state is DOWN.");
}

#[test]
fn what_is_missing_is_told_node_by_node_with_who_has_it_and_the_expected_start() {
    let mut rig = Rig::with_nodes(3, 4);
    submit(&mut rig, [sized(3, 60), sized(4, 10), sized(4, 120), sized(4, 5), sized(2, 5)]);
    assert_eq!(head(&rig, "4"), ("4".into(), "PENDING", "Resources".into()));
    let request = said(&rig, "4", Kind::Request);
    assert_eq!(
        request,
        [
            "It asks for 4 CPUs and the share of the memory that goes with it on one node; of the 3 nodes of debug 3 are large enough, and none has that free."
        ]
    );
    let nodes = said(&rig, "4", Kind::Node);
    assert_eq!(nodes[0], "n1 has 1 CPU and 1000 MiB free: 3 CPUs and 3000 MiB missing.");
    assert_eq!(
        said(&rig, "4", Kind::Holder),
        ["On n1 job 1 of ada holds 3 CPUs and 3000 MiB until {at} at the latest."]
    );
    assert_eq!(at(&rig, "4", Kind::Holder), 60);
    assert_eq!(said(&rig, "4", Kind::Ahead), ["Nothing is ahead of it in the queue."]);
    assert_eq!(at(&rig, "4", Kind::Expected), 10);
    let expected = why(&rig, "4").findings.into_iter().find(|finding| finding.kind == Kind::Expected);
    assert_eq!(expected.expect("it is told").nodes, ["n2".into()]);
    assert_eq!(head(&rig, "5").2, "Priority");
    assert_eq!(said(&rig, "5", Kind::Ahead), ["Ahead of it in the queue: 4."]);
}

#[test]
fn what_has_no_limit_makes_the_start_unknown() {
    let mut rig = Rig::with_nodes(1, 1);
    submit(&mut rig, [job(), job()]);
    assert_eq!(said(&rig, "2", Kind::Holder), ["On n1 job 1 of ada holds 1 CPU and 1000 MiB without a time limit."]);
    assert!(said(&rig, "2", Kind::Expected)[0].starts_with("Expected start: unknown"));
}

#[test]
fn processes_over_several_nodes_say_how_many_have_room() {
    let mut rig = Rig::with_nodes(2, 2);
    submit(&mut rig, [sized(1, 60), wide(4, 1)]);
    assert!(
        said(&rig, "2", Kind::Request)[0].ends_with("the 2 nodes of debug have room for 3 of these processes now.")
    );
    assert!(said(&rig, "2", Kind::Node)[0].ends_with("room for 2 of its 4 processes."));
}

#[test]
fn long_lists_of_nodes_and_holders_are_cut() {
    let mut rig = Rig::with_nodes(9, 9);
    submit(&mut rig, (0..81).map(|_| sized(1, 60)));
    submit(&mut rig, [sized(9, 60)]);
    let nodes = said(&rig, "82", Kind::Node);
    assert_eq!((nodes.len(), &*nodes[LISTED_MAX]), (LISTED_MAX + 1, "4 more of its nodes have no more of it free."));
    let holders = said(&rig, "82", Kind::Holder);
    assert_eq!((holders.len(), &*holders[LISTED_MAX]), (LISTED_MAX + 1, "4 more hold the rest of n1."));
}

#[test]
fn nodes_that_take_no_work_say_why() {
    let mut rig = Rig::with_nodes(3, 2);
    mark(&mut rig, "n2", MarkKind::Drain);
    let n3 = rig.cluster.node_named("n3").expect("there").id;
    rig.input(Input::LinkLost { node: n3 });
    rig.register("n4", 1, &[]);
    submit(&mut rig, [wide(1, 2), wide(1, 2)]);
    let told = said(&rig, "2", Kind::Unavailable);
    assert_eq!(told, ["n2 was drained at {at} by root: new {at} disks.", "n3 has not answered since {at}."]);
    assert_eq!(said(&rig, "2", Kind::Node)[1], "Too small for it, were they empty: n4.");
    mark(&mut rig, "n1", MarkKind::Down);
    rig.plan();
    assert!(said(&rig, "2", Kind::Request)[0].ends_with("of the nodes of debug none that takes work is large enough."));
    mark(&mut rig, "n4", MarkKind::Fail);
    assert!(said(&rig, "2", Kind::Request)[0].ends_with("none of the 4 nodes of debug takes work now."));
    assert_eq!(said(&rig, "2", Kind::Expected), ["Expected start: unknown, until nodes that can run it are back."]);
}

#[test]
fn other_partitions_nodes_and_queues_do_not_matter() {
    let mut rig = Rig::with_nodes(2, 1);
    let on = |name: &str, node: &str| Partition {
        nodes: Members::Listed(vec![node.into()]),
        default: false,
        ..partition(name)
    };
    rig.input(Input::Partitions(vec![on("a", "n1"), on("b", "n2")]));
    let of = |name: &str| JobDraft { partitions: vec![name.into()], ..sized(1, 60) };
    submit(&mut rig, [of("a"), of("a"), of("b"), of("b")]);
    assert_eq!(said(&rig, "4", Kind::Ahead), ["Nothing is ahead of it in the queue."]);
    assert!(said(&rig, "4", Kind::Holder)[0].starts_with("On n2 job 3"));
}

#[test]
fn a_deadline_says_by_when_it_has_to_start() {
    let mut rig = Rig::new();
    let deadline = Some(rig.now.plus_ms(90 * 60_000));
    submit(&mut rig, [JobDraft { deadline, ..sized(1, 60) }]);
    assert_eq!(at(&rig, "1", Kind::Deadline), 30);
    assert!(said(&rig, "1", Kind::Request)[0].ends_with("partition debug has no nodes (yet)."));
}

#[test]
fn what_runs_or_is_on_its_way_out_says_where_and_until_when() {
    let mut rig = Rig::with_nodes(1, 2);
    submit(&mut rig, [sized(1, 60), job()]);
    assert_eq!(head(&rig, "1"), ("1".into(), "RUNNING", "None".into()));
    assert_eq!(said(&rig, "1", Kind::Placed), ["It runs on n1 since {at}."]);
    assert_eq!((at(&rig, "1", Kind::Placed), at(&rig, "1", Kind::Limit)), (0, 60));
    assert_eq!(said(&rig, "2", Kind::Limit), ["It has no time limit."]);
    rig.ask(Input::Pause { targets: targets("1"), suspend: true, asker: ROOT }).expect("it runs");
    assert_eq!(head(&rig, "1").1, "SUSPENDED");
    assert!(said(&rig, "1", Kind::Placed)[0].contains("scontrol resume 1"));
    let node = rig.node_of(key(2, 0));
    rig.apply(vec![Event::Stopped { key: key(2, 0), node, why: StopWhy::Cancelled(1000) }]);
    assert_eq!(head(&rig, "2").1, "COMPLETING");
    assert!(said(&rig, "2", Kind::Placed)[0].ends_with("it was stopped because uid 1000 cancelled it."));
}

#[test]
fn what_has_ended_says_how() {
    let mut rig = Rig::with_nodes(1, 4);
    submit(&mut rig, [job(), array("0-2"), JobDraft { hold: true, ..job() }]);
    rig.now = rig.now.plus_ms(61_000);
    rig.exit(key(1, 0), 3);
    assert_eq!(head(&rig, "1"), ("1".into(), "FAILED", "NonZeroExitCode".into()));
    assert_eq!(said(&rig, "1", Kind::Ended), ["It ended at {at}: FAILED with exit code 3."]);
    assert_eq!(said(&rig, "1", Kind::Placed), ["It ran on n1 from {at} on, for 1:01."]);
    rig.exit(key(2, 0), 0);
    rig.end(key(2, 1), How::OutOfMemory);
    assert_eq!(head(&rig, "2").1, "RUNNING");
    assert_eq!(said(&rig, "2", Kind::Placed), ["2_2 runs on n1 since {at}."]);
    assert_eq!(said(&rig, "2", Kind::Ended), ["2_1 ended at {at}: OUT_OF_MEMORY."]);
    rig.exit(key(2, 2), 0);
    assert_eq!((head(&rig, "2").1, head(&rig, "2_0").1), ("FAILED", "COMPLETED"));
    rig.cancel("3").expect("it waits");
    assert_eq!(head(&rig, "3").1, "CANCELLED");
    assert_eq!(said(&rig, "3", Kind::Ended), ["It ended at {at}: CANCELLED by uid 1000. It never started."]);
}

#[test]
fn what_was_requeued_and_waits_again_says_why_as_the_rest_does() {
    let mut rig = Rig::with_nodes(1, 1);
    submit(&mut rig, [sized(1, 60)]);
    let how = Requeue { hold: true, ..Requeue::default() };
    rig.ask(Input::Requeue { targets: targets("1"), how, asker: rig::ROOT }).expect("it runs");
    rig.exit(key(1, 0), 0);
    assert_eq!(head(&rig, "1"), ("1".into(), "PENDING", "JobHeldUser".into()));
    assert_eq!(said(&rig, "1", Kind::Held).len(), 1);
}

#[test]
fn what_is_not_there_is_refused() {
    let rig = Rig::with_nodes(1, 1);
    let explained = explain(&rig.cluster, &rig.settings, Timestamp(0), &targets("7")[0]);
    assert_eq!(explained.err(), Some(Refusal::UnknownJob));
}

#[test]
fn gres_licenses_and_chosen_nodes_are_spoken_of() {
    let mut rig = Rig::with_nodes(2, 8);
    rig.settings.licenses.insert("solver".into(), 1);
    let amount = rig.cluster.node_named("n1").expect("n1").offer.amount;
    let offer = Offer { amount, spool: 9, ..Offer::default() };
    let offer = offer.with_gres(Gres::list("gpu:2").expect("gres of a node"));
    rig.input(Input::Register { name: "gpus".into(), offer, claims: Vec::new(), steps: Vec::new() });
    let asks = |gres: &str, licenses: &str| {
        let gres = GresAsk::list(gres, Per::Node).expect("gres");
        let licenses = LicenseAsk::list(licenses).expect("licenses");
        JobDraft { request: Request { gres, licenses, ..Request::default() }.into(), ..job() }
    };
    let none = |gres| JobDraft {
        request: Request { licenses: Vec::new(), ..(*asks(gres, "solver").request).clone() }.into(),
        ..job()
    };
    submit(&mut rig, [none("gpu:2"), none("gpu:1")]);
    let node = &said(&rig, "2", Kind::Node);
    assert!(node[0].starts_with("gpus has ") && node[0].ends_with(": some of gpu:1 is in use."), "{node:?}");
    assert_eq!(node[1], "Too small for it, were they empty: n1, n2.");
    rig.cancel("2").expect("it waits");

    submit(&mut rig, [asks("none", "solver"), asks("none", "solver")]);
    let request = said(&rig, "4", Kind::Request);
    assert_eq!(request[0], "It asks for 1 of the licenses solver; 1 of 1 are held.");

    let picky = Request { nodes: vec!["n1".into()], ..(*wide(1, 8).request).clone() };
    let picky = JobDraft { request: picky.into(), ..job() };
    submit(&mut rig, [picky.clone(), picky]);
    let request = said(&rig, "6", Kind::Request);
    assert_eq!(request[1], "It leaves out 2 nodes of debug (--nodelist, --exclude, --constraint).");
}
