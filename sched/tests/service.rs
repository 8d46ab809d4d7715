//! Nodes that are taken out of service and come back, and partitions that are made, changed and deleted while jobs run.

mod rig;

use rig::{Rig, array, job, partition, wide};
use sched::ids::{AttemptKey, JobId, Timestamp};
use sched::mark::{NodesUpdate, Wish};
use sched::node::{MarkKind, Node, NodeWord};
use sched::partition::{Change, Members, Partition, PartitionState};
use sched::reason::{Ending, Exit, Reason, StopWhy};
use sched::reconcile::{Claim, How};
use sched::refusal::Refusal;
use sched::settings::ReturnToService;
use sched::spec::job::{JobDraft, Memory, Request};
use sched::step::{Answer, Input};
use sched::task::TaskState;
use sched::wake::next_wake;

const KILLED: How = How::Exited(Exit { code: 0, signal: 15 });

fn wish(rig: &mut Rig, names: &[&str], wish: Wish) -> Vec<Result<(), Refusal>> {
    let names = names.iter().map(|name| (*name).into()).collect();
    let update = NodesUpdate { names, wish, uid: 7, user: "root".into() };
    match rig.input(Input::UpdateNodes(update)) {
        Answer::Found(found) => found,
        other => panic!("an update is answered node by node: {other:?}"),
    }
}

fn mark(rig: &mut Rig, name: &str, kind: MarkKind) {
    let marked = wish(rig, &[name], Wish::Mark { kind, reason: "disk bad".into(), resume_after_s: None });
    assert_eq!(marked, [Ok(())]);
}

fn node<'a>(rig: &'a Rig, name: &str) -> &'a Node {
    rig.cluster.node_named(name).expect("it is there")
}

fn word(rig: &Rig, name: &str) -> (NodeWord, Option<MarkKind>) {
    let state = node(rig, name).state();
    (state.word, state.leaving)
}

fn key(job: u32, attempt: u32) -> AttemptKey {
    AttemptKey { job: JobId(job), index: 0, attempt }
}

fn reason(rig: &Rig, job: u32) -> Reason {
    rig.cluster.job(JobId(job)).expect("there").waiting_reason()
}

fn pass_s(rig: &mut Rig, seconds: u64) {
    rig.now = rig.now.plus_ms(seconds * 1000);
    rig.input(Input::Tick);
}

fn give_up(rig: &mut Rig, name: &str) {
    let id = node(rig, name).id;
    rig.input(Input::LinkLost { node: id });
    pass_s(rig, 300);
}

#[test]
fn a_draining_node_lets_its_tasks_finish_and_takes_no_more() {
    let mut rig = Rig::with_nodes(1, 2);
    rig.submit(array("0-2")).expect("accepted");
    rig.plan();
    mark(&mut rig, "n1", MarkKind::Drain);
    rig.plan();
    assert_eq!(word(&rig, "n1"), (NodeWord::Allocated, Some(MarkKind::Drain)));
    for key in rig.running() {
        rig.exit(key, 0);
    }
    rig.plan();
    assert_eq!(rig.running(), []);
    assert_eq!(word(&rig, "n1"), (NodeWord::Idle, Some(MarkKind::Drain)));
    assert_eq!(reason(&rig, 1), Reason::NodesUnavailable);
    assert_eq!(wish(&mut rig, &["n1"], Wish::Undrain), [Ok(())]);
    rig.plan();
    assert_eq!(rig.running().len(), 1);
}

#[test]
fn the_mark_says_who_why_and_when_and_outlives_restarts_of_the_node() {
    let mut rig = Rig::with_nodes(1, 2);
    mark(&mut rig, "n1", MarkKind::Drain);
    let said = node(&rig, "n1").mark.clone().expect("marked");
    assert_eq!((&*said.reason, said.uid, &*said.user, said.at), ("disk bad", 7, "root", rig.now));
    rig.now = rig.now.plus_ms(1000);
    assert_eq!(wish(&mut rig, &["n1"], Wish::Reason("new disk ordered".into())), [Ok(())]);
    rig.register("n1", 2, &[]);
    rig.register_with("n1", 2, 8, &[]);
    let id = node(&rig, "n1").id;
    rig.input(Input::Leave { node: id });
    rig.register("n1", 2, &[]);
    let said = node(&rig, "n1").mark.clone().expect("still marked");
    assert_eq!((said.kind, &*said.reason, said.at), (MarkKind::Drain, "new disk ordered", rig.now));
}

#[test]
fn taking_a_node_down_stops_its_tasks_and_requeues_those_that_may_be() {
    let mut rig = Rig::with_nodes(1, 4);
    rig.submit(job()).expect("accepted");
    rig.submit(JobDraft { requeue: false, ..job() }).expect("accepted");
    rig.plan();
    mark(&mut rig, "n1", MarkKind::Down);
    assert_eq!(word(&rig, "n1"), (NodeWord::Down, None));
    let id = node(&rig, "n1").id;
    assert!(rig.cluster.is_completing(id));
    for key in [key(1, 1), key(2, 1)] {
        assert!(rig.effects.contains(&sched::event::Effect::Stop { node: id, key, why: StopWhy::NodeDown }));
    }
    // One of them catches the signal and leaves well; that is no success all the same.
    rig.exit(key(1, 1), 0);
    rig.end(key(2, 1), KILLED);
    let second = rig.cluster.job(JobId(2)).expect("there");
    assert_eq!(second.done.get(0).expect("done").outcome.ending, Ending::NodeFail);
    rig.plan();
    assert_eq!((rig.running().len(), reason(&rig, 1)), (0, Reason::NodesUnavailable));
    assert_eq!(wish(&mut rig, &["n1"], Wish::Resume), [Ok(())]);
    rig.plan();
    assert_eq!(rig.running(), [key(1, 2)]);
}

#[test]
fn a_job_over_two_nodes_stops_when_either_is_taken_down() {
    let mut rig = Rig::with_nodes(2, 1);
    rig.submit(wide(2, 1)).expect("accepted");
    rig.plan();
    mark(&mut rig, "n2", MarkKind::Down);
    let state = &rig.cluster.job(JobId(1)).expect("there").tasks[&0].state;
    assert!(matches!(state, TaskState::Finishing { why: StopWhy::NodeDown, .. }), "{state:?}");
    let (n1, n2) = (node(&rig, "n1").id, node(&rig, "n2").id);
    assert!(rig.cluster.is_completing(n1) && rig.cluster.is_completing(n2));
}

#[test]
fn a_stop_that_a_silent_node_missed_is_told_when_it_returns() {
    let mut rig = Rig::with_nodes(1, 2);
    rig.submit(job()).expect("accepted");
    rig.plan();
    let id = node(&rig, "n1").id;
    rig.input(Input::LinkLost { node: id });
    mark(&mut rig, "n1", MarkKind::Down);
    let (_, answer) = rig.register("n1", 2, &[Claim { key: key(1, 1), end: None, heard: 0 }]);
    let Answer::Registered(_, missed) = answer else { panic!("it is registered") };
    let stop = sched::event::Effect::Stop { node: id, key: key(1, 1), why: StopWhy::NodeDown };
    assert_eq!(missed.again, [stop]);
}

#[test]
fn what_cannot_be_done_to_a_node_is_refused_in_slurms_words() {
    let mut rig = Rig::with_nodes(2, 1);
    let refused = wish(&mut rig, &["n1", "nosuch"], Wish::Resume);
    let texts: Vec<String> = refused.into_iter().map(|found| found.expect_err("refused").to_string()).collect();
    assert_eq!(texts, ["Invalid node state specified", "Invalid node name specified"]);
    for idle in [Wish::Undrain, Wish::Reason("why".into())] {
        assert!(matches!(wish(&mut rig, &["n1"], idle)[..], [Err(Refusal::NodeState(_))]));
    }
    mark(&mut rig, "n1", MarkKind::Down);
    assert!(wish(&mut rig, &["n1"], Wish::Undrain)[0].is_err(), "undrain leaves what is down");
}

#[test]
fn a_mark_with_an_end_clears_itself() {
    let mut rig = Rig::with_nodes(1, 1);
    let drain = Wish::Mark { kind: MarkKind::Drain, reason: "reboot".into(), resume_after_s: Some(60) };
    wish(&mut rig, &["n1"], drain);
    assert_eq!(next_wake(&rig.cluster, &rig.settings), Some(rig.now.plus_ms(60_000)));
    pass_s(&mut rig, 59);
    assert!(node(&rig, "n1").mark.is_some());
    pass_s(&mut rig, 1);
    assert!(node(&rig, "n1").takes_work());
    assert_eq!(next_wake(&rig.cluster, &rig.settings), None);
}

#[test]
fn return_to_service_has_slurms_three_meanings() {
    use ReturnToService::{Always, FromSilence, Never};
    for (setting, from_silence, from_down) in [(Never, false, false), (FromSilence, true, false), (Always, true, true)]
    {
        let mut rig = Rig::with_nodes(3, 1);
        rig.settings.return_to_service = setting;
        mark(&mut rig, "n2", MarkKind::Down);
        mark(&mut rig, "n3", MarkKind::Drain);
        for name in ["n1", "n2", "n3"] {
            give_up(&mut rig, name);
            assert_eq!(word(&rig, name).0, NodeWord::Down);
            rig.register(name, 1, &[]);
        }
        let ready = ["n1", "n2", "n3"].map(|name| node(&rig, name).takes_work());
        assert_eq!(ready, [from_silence, from_down, false], "{setting:?}");
        if setting == Never {
            assert_eq!(&*node(&rig, "n1").mark.as_ref().expect("still down").reason, "Not responding");
        }
    }
}

#[test]
fn a_node_that_was_given_up_is_waited_for_again_when_it_is_resumed() {
    let mut rig = Rig::with_nodes(1, 1);
    give_up(&mut rig, "n1");
    assert_eq!(wish(&mut rig, &["n1"], Wish::Resume), [Ok(())]);
    let state = node(&rig, "n1").state();
    assert_eq!((state.word, state.responds), (NodeWord::Idle, false));
    pass_s(&mut rig, 300);
    assert_eq!(word(&rig, "n1").0, NodeWord::Down);
}

fn named(name: &str) -> JobDraft {
    JobDraft { name: name.into(), ..job() }
}

/// Submits, starts and ends one task after so many milliseconds.
fn fail(rig: &mut Rig, draft: JobDraft, after_ms: u64, how: How) {
    rig.submit(draft).expect("accepted");
    rig.plan();
    let key = *rig.running().first().expect("it runs");
    rig.now = Timestamp(rig.now.0 + i64::try_from(after_ms).expect("short"));
    rig.end(key, how);
}

const NOT_FOUND: How = How::Exited(Exit { code: 127, signal: 0 });

#[test]
fn different_jobs_that_fail_at_once_in_a_row_drain_the_node() {
    let mut rig = Rig::with_nodes(1, 1);
    rig.settings.drain_after_failures = 3;
    fail(&mut rig, named("a"), 10, How::NotStarted);
    fail(&mut rig, named("b"), 10, NOT_FOUND);
    fail(&mut rig, named("b"), 10, NOT_FOUND);
    assert!(node(&rig, "n1").takes_work());
    fail(&mut rig, named("c"), 2_000, NOT_FOUND);
    let mark = node(&rig, "n1").mark.clone().expect("drained");
    assert_eq!(mark.kind, MarkKind::Drain);
    let reason = "3 jobs in a row failed within 2 s of their start; the last was 4 with exit 127";
    assert_eq!(&*mark.reason, reason);
    assert_eq!(wish(&mut rig, &["n1"], Wish::Resume), [Ok(())]);
    fail(&mut rig, named("d"), 10, NOT_FOUND);
    assert!(node(&rig, "n1").takes_work(), "a resume begins a new run");
}

#[test]
fn one_users_broken_script_drains_nothing_and_a_success_ends_the_run() {
    let mut rig = Rig::with_nodes(1, 1);
    rig.settings.drain_after_failures = 2;
    for _ in 0..100 {
        fail(&mut rig, named("broken"), 1, NOT_FOUND);
    }
    fail(&mut rig, named("slow"), 2_001, NOT_FOUND);
    fail(&mut rig, named("late"), 10, How::TimedOut(Exit { code: 0, signal: 15 }));
    assert_eq!(node(&rig, "n1").failures.count(), 1);
    fail(&mut rig, named("good"), 10, How::Exited(Exit::default()));
    fail(&mut rig, named("other"), 10, NOT_FOUND);
    assert!(node(&rig, "n1").takes_work());
    rig.settings.drain_after_failures = 0;
    fail(&mut rig, named("third"), 10, NOT_FOUND);
    assert!(node(&rig, "n1").takes_work(), "0 is off");
}

fn change(words: &str) -> Change {
    let mut change = Change::default();
    for word in words.split_whitespace() {
        let (key, value) = word.split_once('=').expect("Key=value");
        change.set(key, value).expect("a good value");
    }
    change
}

fn create(rig: &mut Rig, name: &str, words: &str) -> Answer {
    rig.input(Input::CreatePartition { name: name.into(), change: change(words) })
}

fn update(rig: &mut Rig, name: &str, words: &str) -> Answer {
    rig.input(Input::UpdatePartition { name: name.into(), change: change(words) })
}

fn refused(answer: &Answer) -> String {
    let Answer::Refused(refusal) = answer else { panic!("it is refused: {answer:?}") };
    refusal.to_string()
}

fn to(name: &str) -> JobDraft {
    JobDraft { partitions: vec![name.into()], ..job() }
}

fn defaults(rig: &Rig) -> Vec<String> {
    rig.cluster.partitions().filter(|partition| partition.default).map(|partition| partition.name.to_string()).collect()
}

#[test]
fn a_partition_is_made_used_and_deleted() {
    let mut rig = Rig::with_nodes(2, 1);
    assert_eq!(create(&mut rig, "fast", "nodes=n2 prioritytier=5"), Answer::Done);
    assert_eq!(refused(&create(&mut rig, "fast", "")), "Invalid partition name specified");
    for bad in ["", "a b", "a,b", "*"] {
        assert!(matches!(create(&mut rig, bad, ""), Answer::Refused(Refusal::PartitionChange(_))), "{bad:?}");
    }
    rig.submit(to("fast")).expect("accepted");
    rig.plan();
    assert_eq!(rig.node_of(key(1, 1)), node(&rig, "n2").id);
    let delete = || Input::DeletePartition { name: "fast".into() };
    assert_eq!(refused(&rig.input(delete())), "Partition is in use");
    rig.exit(key(1, 1), 0);
    assert_eq!(rig.input(delete()), Answer::Done);
    assert_eq!(refused(&rig.input(delete())), "Invalid partition name specified");
    assert_eq!(rig.submit(to("fast")), Err(Refusal::UnknownPartition("fast".into())));
}

#[test]
fn there_is_always_one_default() {
    let mut rig = Rig::with_nodes(1, 1);
    create(&mut rig, "b", "Nodes=ALL Default=YES");
    assert_eq!(defaults(&rig), ["b"]);
    assert!(matches!(update(&mut rig, "b", "Default=NO"), Answer::Refused(Refusal::TheDefault(_))));
    let delete = rig.input(Input::DeletePartition { name: "b".into() });
    assert!(matches!(delete, Answer::Refused(Refusal::TheDefault(_))));
    update(&mut rig, "debug", "Default=YES");
    assert_eq!(defaults(&rig), ["debug"]);
}

#[test]
fn limits_hold_for_what_starts_later_and_what_waits_says_which() {
    let mut rig = Rig::with_nodes(3, 2);
    rig.submit(wide(6, 1)).expect("accepted");
    rig.plan();
    update(&mut rig, "debug", "MaxNodes=2 MaxMemPerCPU=500");
    rig.plan();
    assert_eq!(rig.running(), [key(1, 1)], "what runs is left alone");
    rig.exit(key(1, 1), 0);
    let draft = |request: Request| JobDraft { request: request.into(), ..job() };
    rig.submit(draft(Request { nodes_min: 3, ..Request::default() })).expect("accepted");
    rig.submit(draft(Request { memory: Memory::PerCpu(501), ..Request::default() })).expect("accepted");
    rig.submit(draft(Request { memory: Memory::PerNode(501), ..Request::default() })).expect("accepted");
    rig.submit(wide(4, 1)).expect("accepted");
    rig.plan();
    assert_eq!(
        [2, 3, 4].map(|job| reason(&rig, job)),
        [Reason::PartitionNodeLimit, Reason::MaxMemPerLimit, Reason::MaxMemPerLimit]
    );
    assert_eq!(rig.running(), [key(5, 1)], "they hold up nobody");
    update(&mut rig, "debug", "MaxNodes=unlimited MaxMemPerCPU=unlimited");
    rig.exit(key(5, 1), 0);
    rig.plan();
    assert_eq!(rig.running().len(), 3, "what waited for a limit starts once that is lifted");
}

#[test]
fn a_partition_fills_in_what_a_job_leaves_open() {
    let mut rig = Rig::with_nodes(3, 4);
    update(&mut rig, "debug", "MinNodes=2 MaxNodes=2 DefMemPerCPU=100");
    rig.submit(wide(6, 1)).expect("accepted");
    rig.submit(JobDraft { request: Request { nodes_max: Some(1), ..Request::default() }.into(), ..job() })
        .expect("accepted");
    rig.plan();
    let TaskState::Running { shares, .. } = &rig.cluster.job(JobId(1)).expect("there").tasks[&0].state else {
        panic!("it runs")
    };
    let held: Vec<_> = shares.iter().map(|share| (share.processes, share.amount.memory_mib)).collect();
    assert_eq!(held, [(4, 400), (2, 200)]);
    assert_eq!(reason(&rig, 2), Reason::PartitionNodeLimit);
}

#[test]
fn the_settings_give_back_what_they_name_but_its_state_and_leave_what_commands_made() {
    let mut rig = Rig::with_nodes(1, 1);
    let from_file =
        || vec![Partition { tier: 3, ..partition("debug") }, Partition { default: false, ..partition("old") }];
    rig.input(Input::Partitions(from_file()));
    create(&mut rig, "made", "Nodes=n1 MaxNodes=1 Default=YES");
    update(&mut rig, "debug", "PriorityTier=9 State=DRAIN");
    update(&mut rig, "made", "PriorityTier=7");
    rig.input(Input::DeletePartition { name: "old".into() });
    rig.input(Input::Partitions(from_file()));
    let known = |name: &str| rig.cluster.partition(name).expect("there");
    assert_eq!((known("debug").tier, known("debug").state), (3, PartitionState::Drain));
    assert_eq!((known("made").tier, known("made").nodes_max), (7, Some(1)));
    assert_eq!(known("made").nodes, Members::Listed(vec!["n1".into()]));
    assert_eq!(known("old").tier, 1, "a table that stands there still makes it anew");
    assert_eq!(defaults(&rig), ["debug"], "the settings choose the default");
    rig.input(Input::Partitions(vec![partition("debug")]));
    let names: Vec<_> = rig.cluster.partitions().map(|partition| partition.name.to_string()).collect();
    assert_eq!(names, ["debug", "made"]);
}

#[test]
fn a_partition_that_is_taken_down_keeps_what_waits_and_says_so() {
    let mut rig = Rig::with_nodes(1, 1);
    update(&mut rig, "debug", "State=DOWN");
    rig.submit(job()).expect("accepted");
    rig.plan();
    assert_eq!(reason(&rig, 1), Reason::PartitionDown);
    update(&mut rig, "debug", "State=INACTIVE");
    assert_eq!(rig.submit(job()), Err(Refusal::PartitionClosed("debug".into())));
    rig.plan();
    assert_eq!(reason(&rig, 1), Reason::PartitionInactive);
    update(&mut rig, "debug", "State=UP");
    rig.plan();
    assert_eq!(rig.running(), [key(1, 1)]);
}
