//! What people do to jobs and tasks: hold, release, requeue, suspend, resume, change; and deadlines, retries and priorities.

mod rig;

use std::num::NonZeroU32;
use std::sync::Arc;

use rig::{ADA, ROOT, Rig, array, job, partition, targets, wide};
use sched::event::Effect;
use sched::hold::HoldVerb;
use sched::ids::{AttemptKey, JobId, NodeId};
use sched::job::Job;
use sched::partition::{Members, Partition};
use sched::reason::{Ending, Exit, Reason, Scope};
use sched::reconcile::{AttemptEnd, Claim, How};
use sched::refusal::Refusal;
use sched::requeue::Requeue;
use sched::revise::{Change, LimitChange};
use sched::select::{Asker, Phase, Selection};
use sched::signals::Sent;
use sched::spec::duration::TimeLimit;
use sched::spec::job::{JobDraft, Memory};
use sched::spec::licenses::LicenseAsk;
use sched::spec::retry::Retry;
use sched::step::{Answer, Input};
use sched::task::TaskState;
use sched::terms::Hold;
use sched::wake::next_wake;

fn key(job: u32, index: u32, attempt: u32) -> AttemptKey {
    AttemptKey { job: JobId(job), index, attempt }
}

fn record(rig: &Rig, id: u32) -> Arc<Job> {
    rig.cluster.job(JobId(id)).expect("it is there").clone()
}

fn minutes(count: u32) -> TimeLimit {
    TimeLimit::Minutes(NonZeroU32::new(count).expect("a limit is not 0"))
}

fn requeue(rig: &mut Rig, names: &str, how: Requeue) -> Result<(), Refusal> {
    rig.ask(Input::Requeue { targets: targets(names), how, asker: ADA })
}

fn pause(rig: &mut Rig, names: &str, suspend: bool) -> Result<(), Refusal> {
    rig.ask(Input::Pause { targets: targets(names), suspend, asker: ROOT })
}

fn revise_as(rig: &mut Rig, asker: Asker, names: &str, changes: &[Change]) -> Result<(), Refusal> {
    rig.ask(Input::Revise { targets: targets(names), changes: changes.to_vec(), asker })
}

fn revise(rig: &mut Rig, names: &str, change: Change) -> Result<(), Refusal> {
    revise_as(rig, ROOT, names, &[change])
}

/// Moves time to the next moment at which something is due.
fn wake(rig: &mut Rig) {
    rig.now = next_wake(&rig.cluster, &rig.settings).expect("something is due");
    rig.input(Input::Tick);
    rig.plan();
}

#[test]
fn one_task_is_held_apart_from_its_array_and_released() {
    let mut rig = Rig::with_nodes(1, 4);
    rig.submit(array("0-3")).expect("accepted");
    rig.hold("1_2").expect("it waits");
    rig.plan();
    assert_eq!(rig.running(), [key(1, 0, 1), key(1, 1, 1), key(1, 3, 1)]);
    let held = record(&rig, 1).tasks[&2].clone();
    assert_eq!((held.id, record(&rig, 1).row_reason(&held)), (JobId(2), Reason::JobHeldUser));
    rig.release("2").expect("by its own number");
    rig.plan();
    assert_eq!(rig.running().len(), 4);
    assert_eq!(rig.release("1_7"), Err(Refusal::UnknownJob));
}

#[test]
fn a_held_task_counts_as_the_last_one_for_the_arrays_number() {
    let mut rig = Rig::with_nodes(1, 4);
    rig.submit(array("0-1")).expect("accepted");
    rig.hold("1_0 1_1").expect("they wait");
    let ids = [0, 1].map(|index| record(&rig, 1).tasks[&index].id.0);
    assert_eq!(ids, [2, 1], "the last to leave the remainder keeps its number");
    rig.release("1").expect("the whole array");
    rig.plan();
    assert_eq!(rig.running().len(), 2);
}

#[test]
fn what_an_administrator_holds_its_user_cannot_release() {
    let mut rig = Rig::with_nodes(1, 1);
    rig.submit(job()).expect("accepted");
    let ask = |rig: &mut Rig, verb, asker| rig.ask(Input::Hold { targets: targets("1"), verb, asker });
    ask(&mut rig, HoldVerb::Hold, ROOT).expect("it waits");
    assert_eq!(record(&rig, 1).waiting_reason(), Reason::JobHeldAdmin);
    assert!(matches!(ask(&mut rig, HoldVerb::Release, ADA), Err(Refusal::NotAllowed(_))));
    ask(&mut rig, HoldVerb::Release, ROOT).expect("an administrator may");
    ask(&mut rig, HoldVerb::Hold, ADA).expect("her own");
    assert_eq!(record(&rig, 1).waiting_reason(), Reason::JobHeldUser);
    ask(&mut rig, HoldVerb::Release, ADA).expect("her own");
}

#[test]
fn a_requeued_task_is_stopped_and_starts_again_under_its_number() {
    let mut rig = Rig::with_nodes(1, 1);
    rig.submit(job()).expect("accepted");
    rig.plan();
    requeue(&mut rig, "1", Requeue::default()).expect("it runs");
    assert!(matches!(rig.effects.last(), Some(Effect::Stop { .. })));
    rig.now = rig.now.plus_ms(5_000);
    rig.end(key(1, 0, 1), How::Exited(Exit { code: 0, signal: 15 }));
    assert_eq!((record(&rig, 1).submitted, record(&rig, 1).eligible), (rig.now, Some(rig.now)), "its wait begins anew");
    rig.plan();
    assert_eq!(rig.running(), [key(1, 0, 2)], "at once");
    rig.exit(key(1, 0, 2), 3);
    assert_eq!(record(&rig, 1).tally.failed, 1);
    requeue(&mut rig, "1", Requeue::default()).expect("what is done may run again, too");
    assert_eq!((record(&rig, 1).tally.failed, record(&rig, 1).is_done()), (0, false));
    rig.plan();
    rig.exit(key(1, 0, 3), 0);
    assert_eq!(record(&rig, 1).tally.completed, 1);
}

#[test]
fn what_was_given_up_with_its_node_is_not_run_elsewhere_before_that_is_back() {
    let mut rig = Rig::with_nodes(2, 1);
    rig.submit(job()).expect("accepted");
    rig.plan();
    rig.input(Input::LinkLost { node: NodeId(1) });
    wake(&mut rig);
    assert_eq!(record(&rig, 1).done.get(0).expect("done").outcome.ending, Ending::NodeFail);
    let refused = Err(Refusal::MayStillRun { node: "n1".into() });
    assert_eq!(requeue(&mut rig, "1", Requeue::default()), refused);
    rig.register("n1", 1, &[Claim { key: key(1, 0, 1), end: None, heard: 0 }]);
    assert_eq!(requeue(&mut rig, "1", Requeue::default()), refused, "it still runs there");
    rig.input(Input::Ends { node: NodeId(1), ends: vec![(key(1, 0, 1), AttemptEnd::lost())], steps: Vec::new() });
    requeue(&mut rig, "1", Requeue::default()).expect("it is known dead");
    rig.plan();
    assert_eq!(rig.running(), [key(1, 0, 2)]);
}

#[test]
fn requeue_refuses_what_waits_and_what_its_user_forbade() {
    let mut rig = Rig::with_nodes(1, 1);
    rig.submit(JobDraft { requeue: false, ..job() }).expect("accepted");
    rig.submit(job()).expect("accepted");
    rig.plan();
    assert_eq!(requeue(&mut rig, "1", Requeue::default()), Err(Refusal::NotRequeueable));
    assert_eq!(requeue(&mut rig, "2", Requeue::default()), Err(Refusal::StillPending));
    assert_eq!(requeue(&mut rig, "9", Requeue::default()), Err(Refusal::UnknownJob));
}

#[test]
fn requeuehold_holds_the_next_attempt_only_of_what_it_names() {
    let mut rig = Rig::with_nodes(1, 2);
    rig.submit(array("0-3")).expect("accepted");
    rig.plan();
    requeue(&mut rig, "1_0", Requeue { hold: true, ..Requeue::default() }).expect("it runs");
    rig.exit(key(1, 0, 1), 0);
    rig.exit(key(1, 1, 1), 0);
    rig.plan();
    assert_eq!(rig.running(), [key(1, 2, 1), key(1, 3, 1)], "task 0 waits, held");
    let row = record(&rig, 1).tasks[&0].clone();
    assert_eq!(record(&rig, 1).row_reason(&row), Reason::JobHeldUser);
    rig.exit(key(1, 2, 1), 0);
    rig.release("1").expect("the whole array");
    rig.plan();
    assert_eq!(rig.running(), [key(1, 0, 2), key(1, 3, 1)]);
}

#[test]
fn special_exit_is_a_hold_of_its_own_that_a_release_ends() {
    let mut rig = Rig::with_nodes(1, 1);
    rig.submit(job()).expect("accepted");
    rig.plan();
    let how = Requeue { hold: true, special_exit: true, ..Requeue::default() };
    requeue(&mut rig, "1", how).expect("it runs");
    rig.exit(key(1, 0, 1), 0);
    rig.plan();
    let row = record(&rig, 1).tasks[&0].clone();
    assert_eq!(row.own.as_ref().and_then(|own| own.held), Some(Hold::SpecialExit));
    assert_eq!((record(&rig, 1).row_reason(&row), rig.running()), (Reason::JobHeldUser, vec![]));
    rig.release("1").expect("it waits");
    rig.plan();
    assert_eq!(rig.running(), [key(1, 0, 2)]);
}

#[test]
fn incomplete_leaves_alone_what_is_done() {
    let mut rig = Rig::with_nodes(1, 1);
    rig.submit(array("0-1")).expect("accepted");
    rig.plan();
    rig.exit(key(1, 0, 1), 1);
    rig.plan();
    requeue(&mut rig, "1", Requeue { incomplete: true, ..Requeue::default() }).expect("task 1 runs");
    rig.exit(key(1, 1, 1), 0);
    assert_eq!((record(&rig, 1).tally.failed, record(&rig, 1).waiting_count()), (1, 1));
}

#[test]
fn what_is_suspended_lends_its_cpus_and_not_its_memory() {
    let mut rig = Rig::with_nodes(1, 2);
    rig.submit(wide(1, 2)).expect("accepted");
    rig.plan();
    pause(&mut rig, "1", true).expect("it runs");
    assert!(matches!(rig.effects.last(), Some(Effect::Suspend { .. })));
    let small = |mib| {
        let mut draft = job();
        draft.request.memory = Memory::PerNode(mib);
        draft
    };
    rig.submit(small(1)).expect("accepted");
    rig.plan();
    assert_eq!(rig.running(), [key(1, 0, 1)], "all memory of the node is the first one's");
    pause(&mut rig, "1", false).expect("its CPUs are free");
    rig.exit(key(1, 0, 1), 0);

    let mut rig = Rig::with_nodes(1, 2);
    let mut half = wide(1, 2);
    half.request.memory = Memory::PerNode(1000);
    rig.submit(half).expect("accepted");
    rig.submit(small(10)).expect("accepted");
    rig.plan();
    rig.now = rig.now.plus_ms(5_000);
    pause(&mut rig, "1", true).expect("it runs");
    rig.plan();
    assert_eq!(rig.running(), [key(1, 0, 1), key(2, 0, 1)]);
    let busy = pause(&mut rig, "1", false);
    assert_eq!(busy, Err(Refusal::CpusInUse { node: "n1".into() }), "nothing is ever held twice");
    rig.now = rig.now.plus_ms(60_000);
    rig.exit(key(2, 0, 1), 0);
    pause(&mut rig, "1", false).expect("its CPUs are free");
    assert!(matches!(rig.effects.last(), Some(Effect::Resume { .. })));
    assert_eq!(record(&rig, 1).tasks[&0].paused_ms, 60_000);
    assert_eq!(pause(&mut rig, "1", false), Err(Refusal::NotSuspended));
    pause(&mut rig, "1", true).expect("again");
    rig.cancel("1").expect("what is suspended can be cancelled");
    rig.exit(key(1, 0, 1), 0);
    assert_eq!(record(&rig, 1).done.get(0).expect("done").outcome.ending, Ending::Cancelled(1000));
}

#[test]
fn a_node_is_told_again_of_a_limit_that_was_changed_while_it_stood_still() {
    let mut rig = Rig::with_nodes(1, 1);
    rig.submit(job()).expect("accepted");
    rig.plan();
    pause(&mut rig, "1", true).expect("it runs");
    revise(&mut rig, "1", Change::TimeLimit(LimitChange::To(Some(9)))).expect("it is not done");
    let (node, answer) = rig.register("n1", 1, &[Claim { key: key(1, 0, 1), end: None, heard: 0 }]);
    let Answer::Registered(_, missed) = answer else { panic!("registered") };
    let key = key(1, 0, 1);
    let orders = [Effect::Suspend { node, key }, Effect::Limit { node, key, limit: minutes(9) }];
    assert_eq!(missed.again, orders);
}

#[test]
fn what_is_named_twice_is_changed_once() {
    let mut rig = Rig::with_nodes(1, 2);
    rig.submit(array("0-1")).expect("accepted");
    rig.plan();
    pause(&mut rig, "1_0 1 1_0", true).expect("both run");
    pause(&mut rig, "1 1_1", false).expect("both are suspended");
    for index in 0..2 {
        rig.exit(key(1, index, 1), 0);
    }
    requeue(&mut rig, "1_1 1 1_0", Requeue::default()).expect("both are done");
    rig.plan();
    assert_eq!((rig.running(), record(&rig, 1).tally.total()), (vec![key(1, 0, 2), key(1, 1, 2)], 0));
}

#[test]
fn nothing_goes_on_while_its_node_does_not_answer() {
    let mut rig = Rig::with_nodes(1, 1);
    rig.submit(job()).expect("accepted");
    rig.plan();
    pause(&mut rig, "1", true).expect("it runs");
    let node = rig.node_of(key(1, 0, 1));
    rig.input(Input::LinkLost { node });
    assert_eq!(pause(&mut rig, "1", false), Err(Refusal::NodeAway { node: "n1".into() }));
    rig.register("n1", 1, &[Claim { key: key(1, 0, 1), end: None, heard: 0 }]);
    pause(&mut rig, "1", false).expect("it answers again");
}

#[test]
fn users_cannot_suspend_and_what_waits_cannot_be_suspended() {
    let mut rig = Rig::with_nodes(1, 1);
    rig.submit(JobDraft { hold: true, ..job() }).expect("accepted");
    assert_eq!(pause(&mut rig, "1", true), Err(Refusal::StillPending));
    let refused = rig.ask(Input::Pause { targets: targets("1"), suspend: true, asker: ADA });
    assert!(matches!(refused, Err(Refusal::NotAllowed(_))));
}

#[test]
fn a_change_of_shape_holds_for_what_waits_and_leaves_alone_what_runs() {
    let mut rig = Rig::with_nodes(1, 4);
    rig.submit(JobDraft { request: wide(1, 2).request, ..array("0-5") }).expect("accepted");
    rig.plan();
    assert_eq!(rig.running().len(), 2);
    revise(&mut rig, "1", Change::CpusPerProcess(4)).expect("four tasks wait");
    let held = |rig: &Rig, index: u32| match &record(rig, 1).tasks[&index].state {
        TaskState::Running { shares, .. } => shares[0].amount.cpus.count(),
        other => panic!("{other:?}"),
    };
    assert_eq!(record(&rig, 1).terms_of(&record(&rig, 1).tasks[&0]).spec.request.cpus_per_process, Some(2));
    rig.exit(key(1, 0, 1), 0);
    rig.plan();
    assert_eq!(rig.running(), [key(1, 1, 1)], "the next one asks for four CPUs");
    rig.exit(key(1, 1, 1), 0);
    rig.plan();
    assert_eq!((rig.running(), held(&rig, 2)), (vec![key(1, 2, 1)], 4));
    assert!(matches!(revise(&mut rig, "1", Change::CpusPerProcess(9)), Err(Refusal::NeverFits { .. })));
}

#[test]
fn several_changes_are_judged_together() {
    let mut rig = Rig::with_nodes(3, 2);
    let mut draft = wide(3, 2);
    draft.request.nodes_min = 3;
    rig.submit(JobDraft { hold: true, ..draft }).expect("accepted");
    let narrow = [Change::Nodes { min: 1, max: Some(1) }, Change::Processes(1), Change::CpusPerProcess(1)];
    assert!(matches!(revise_as(&mut rig, ROOT, "1", &narrow[..1]), Err(Refusal::NeverFits { .. })));
    revise_as(&mut rig, ROOT, "1", &narrow).expect("together they ask for little");
    rig.release("1").expect("it waits");
    rig.plan();
    assert_eq!(rig.running(), [key(1, 0, 1)]);
}

#[test]
fn chosen_nodes_and_licenses_can_be_changed() {
    let mut rig = Rig::with_nodes(2, 1);
    rig.settings.licenses.insert("solver".into(), 1);
    rig.submit(JobDraft { hold: true, ..job() }).expect("accepted");
    revise(&mut rig, "1", Change::NodeList(vec!["n2".into()])).expect("it waits");
    revise(&mut rig, "1", Change::Licenses(LicenseAsk::list("solver").expect("licenses"))).expect("there is one");
    let unknown = revise(&mut rig, "1", Change::NodeList(vec!["n7".into()]));
    assert!(matches!(unknown, Err(Refusal::NoSuchNode { .. })), "{unknown:?}");
    assert!(revise(&mut rig, "1", Change::Features(Some("fast".parse().expect("a word")))).is_err());
    rig.release("1").expect("it waits");
    rig.plan();
    let n2 = rig.cluster.node_named("n2").expect("n2").id;
    assert_eq!(rig.node_of(key(1, 0, 1)), n2);
    assert_eq!(revise(&mut rig, "1", Change::Licenses(Vec::new())), Err(Refusal::NoLongerPending));
    rig.exit(key(1, 0, 1), 0);
}

#[test]
fn one_task_of_an_array_can_have_other_terms() {
    let mut rig = Rig::with_nodes(1, 4);
    rig.submit(JobDraft { hold: true, ..array("0-3") }).expect("accepted");
    revise(&mut rig, "1_1", Change::CpusPerProcess(4)).expect("it waits");
    rig.release("1").expect("the whole array");
    rig.plan();
    assert_eq!(rig.running(), [key(1, 0, 1), key(1, 2, 1), key(1, 3, 1)]);
    for index in [0, 2, 3] {
        rig.exit(key(1, index, 1), 0);
    }
    rig.plan();
    assert_eq!(rig.running(), [key(1, 1, 1)]);
    assert_eq!(record(&rig, 1).terms.spec.request.cpus_per_process, None);
}

#[test]
fn limits_of_what_runs_may_be_lowered_by_users_and_raised_by_administrators() {
    let mut rig = Rig::with_nodes(1, 1);
    rig.submit(JobDraft { time_limit: Some(minutes(60)), ..job() }).expect("accepted");
    rig.plan();
    let more = Change::TimeLimit(LimitChange::More(30));
    assert!(matches!(revise_as(&mut rig, ADA, "1", std::slice::from_ref(&more)), Err(Refusal::NotAllowed(_))));
    revise_as(&mut rig, ADA, "1", &[Change::TimeLimit(LimitChange::Less(30))]).expect("less is allowed");
    assert!(matches!(rig.effects.last(), Some(Effect::Limit { limit, .. }) if *limit == minutes(30)));
    revise(&mut rig, "1", more).expect("an administrator may");
    assert_eq!(record(&rig, 1).terms.time_limit, minutes(60));
    let end = rig.now.plus_ms(5 * 60_000);
    revise(&mut rig, "1", Change::EndTime(end)).expect("it runs");
    assert_eq!(record(&rig, 1).terms.time_limit, minutes(5));
    assert_eq!(revise(&mut rig, "1", Change::CpusPerProcess(1)), Err(Refusal::NoLongerPending));
}

#[test]
fn the_throttle_can_be_changed_while_tasks_run() {
    let mut rig = Rig::with_nodes(1, 8);
    rig.submit(array("0-9%3")).expect("accepted");
    rig.plan();
    assert_eq!(rig.running().len(), 3);
    revise(&mut rig, "1", Change::Throttle(5)).expect("an array");
    rig.plan();
    assert_eq!(rig.running().len(), 5);
    revise(&mut rig, "1", Change::Throttle(2)).expect("an array");
    for index in 0..3 {
        rig.exit(key(1, index, 1), 0);
        rig.plan();
    }
    assert_eq!(rig.running().len(), 2, "nothing starts until fewer run than may");
    revise(&mut rig, "1", Change::Throttle(0)).expect("an array");
    rig.plan();
    assert_eq!(rig.running().len(), 7);
}

#[test]
fn a_dependency_can_be_changed_and_a_circle_is_refused() {
    let mut rig = Rig::with_nodes(1, 1);
    let after = |text: &str| Change::Dependency(Some(text.parse().expect("a dependency")));
    let waits = |on: &str| JobDraft { dependency: Some(format!("afterok:{on}").parse().expect("one")), ..job() };
    rig.submit(JobDraft { hold: true, ..job() }).expect("accepted");
    rig.submit(waits("1")).expect("accepted");
    rig.submit(waits("2")).expect("accepted");
    assert_eq!(revise(&mut rig, "1", after("afterok:3")), Err(Refusal::CircularDependency));
    assert_eq!(revise(&mut rig, "1", after("afterany:1")), Err(Refusal::CircularDependency));
    assert!(matches!(revise(&mut rig, "1", after("afterok:77")), Err(Refusal::Dependency(_))));
    revise(&mut rig, "3", Change::Dependency(None)).expect("nothing clears it");
    rig.plan();
    assert_eq!(rig.running(), [key(3, 0, 1)]);
    revise(&mut rig, "2", after("afterok:3")).expect("no circle");
    rig.exit(key(3, 0, 1), 0);
    rig.plan();
    assert_eq!(rig.running(), [key(2, 0, 1)]);
}

#[test]
fn nice_and_priority_order_the_queue() {
    let mut rig = Rig::new();
    for nice in [0, 100, -100] {
        rig.submit(JobDraft { nice, ..job() }).expect("accepted");
    }
    rig.submit(JobDraft { priority: Some(7), ..job() }).expect("accepted");
    revise(&mut rig, "1", Change::Priority(50)).expect("an administrator may");
    assert!(matches!(revise_as(&mut rig, ADA, "1", &[Change::Priority(60)]), Err(Refusal::NotAllowed(_))));
    rig.register("n1", 1, &[]);
    let mut order = Vec::new();
    for _ in 0..4 {
        rig.plan();
        let next = rig.running()[0];
        order.push(next.job.0);
        rig.exit(next, 0);
    }
    assert_eq!(order, [3, 1, 4, 2]);
}

#[test]
fn a_priority_of_0_holds_and_any_other_releases() {
    let mut rig = Rig::with_nodes(1, 1);
    rig.submit(JobDraft { hold: true, ..job() }).expect("accepted");
    rig.submit(array("0-1")).expect("accepted");
    revise(&mut rig, "2", Change::Priority(0)).expect("it waits");
    assert_eq!(record(&rig, 2).waiting_reason(), Reason::JobHeldAdmin);
    let by_user = revise_as(&mut rig, ADA, "2", &[Change::Priority(1)]);
    assert!(matches!(by_user, Err(Refusal::NotAllowed(_))), "an administrator held it");
    rig.plan();
    assert!(rig.running().is_empty());
    revise(&mut rig, "1", Change::Priority(7)).expect("it waits");
    revise(&mut rig, "2_1", Change::Priority(9)).expect("it waits");
    let row = record(&rig, 2).tasks[&1].clone();
    assert_eq!((record(&rig, 1).terms.priority, record(&rig, 2).terms_of(&row).priority), (7, 9));
    rig.plan();
    assert_eq!(rig.running(), [key(2, 1, 1)]);
    rig.exit(key(2, 1, 1), 0);
    rig.plan();
    assert_eq!((rig.running(), record(&rig, 2).waiting_count()), (vec![key(1, 0, 1)], 1), "task 0 is held still");
}

#[test]
fn priorities_grow_with_age_and_size_by_their_weights() {
    let mut rig = Rig::with_nodes(1, 4);
    rig.settings.weights.size = 1000;
    rig.submit(wide(1, 4)).expect("accepted");
    rig.plan();
    rig.submit(wide(1, 1)).expect("accepted");
    rig.submit(wide(1, 4)).expect("accepted");
    let priority = |rig: &Rig, id| record(rig, id).terms.priority;
    assert_eq!((priority(&rig, 2), priority(&rig, 3)), (625, 1000), "the mean of its share of nodes and of CPUs");
    rig.settings.weights.age = 10_000;
    rig.settings.weights.age_s_max = 3600;
    let submitted = rig.now;
    rig.now = rig.now.plus_ms(1_800_000);
    rig.input(Input::Tick);
    assert_eq!(priority(&rig, 2), 5625);
    assert_eq!(next_wake(&rig.cluster, &rig.settings), Some(rig.now.plus_ms(300_000)), "every PriorityCalcPeriod");
    rig.now = submitted.plus_ms(36_000_000);
    rig.input(Input::Tick);
    assert_eq!(priority(&rig, 2), 10_625, "and no more beyond PriorityMaxAge");
}

#[test]
fn what_cannot_meet_its_deadline_ends_by_it() {
    let mut rig = Rig::with_nodes(1, 1);
    let by = |rig: &Rig, minutes: u64| Some(rig.now.plus_ms(minutes * 60_000));
    let draft = |deadline, limit| JobDraft { deadline, time_limit: Some(minutes(limit)), ..job() };
    let refused = rig.submit(draft(by(&rig, 5), 10));
    assert!(matches!(refused, Err(Refusal::DeadlineTooSoon { late_s: 300 })));
    rig.submit(JobDraft { deadline: by(&rig, 20), ..job() }).expect("accepted");
    rig.submit(draft(by(&rig, 15), 10)).expect("accepted");
    rig.plan();
    assert_eq!(rig.running(), [key(1, 0, 1)]);
    wake(&mut rig);
    let late = record(&rig, 2);
    assert_eq!((late.is_done(), late.ended_waiting.as_ref().map(|ended| ended.ending)), (true, Some(Ending::Deadline)));
    rig.now = record(&rig, 1).submitted.plus_ms(20 * 60_000 + 1);
    rig.input(Input::Tick);
    assert!(matches!(rig.effects.last(), Some(Effect::Stop { .. })), "what runs is stopped");
    rig.end(key(1, 0, 1), How::Exited(Exit { code: 0, signal: 15 }));
    assert_eq!(record(&rig, 1).done.get(0).expect("done").outcome.ending, Ending::Deadline);
}

#[test]
fn a_task_that_fails_is_tried_again_later_each_time_and_then_fails() {
    let mut rig = Rig::with_nodes(1, 2);
    let retry = Some(Retry { times: 2, on: Some("3".parse().expect("a code")) });
    rig.submit(JobDraft { retry: retry.clone(), ..array("0-1") }).expect("accepted");
    rig.plan();
    rig.exit(key(1, 1, 1), 4);
    assert_eq!(record(&rig, 1).tally.failed, 1, "not one of its codes");
    let mut waits = Vec::new();
    for attempt in 1..=2 {
        let failed = rig.now;
        rig.exit(key(1, 0, attempt), 3);
        let row = record(&rig, 1).tasks[&0].clone();
        assert_eq!(record(&rig, 1).row_reason(&row), Reason::BeginTime);
        rig.plan();
        assert!(rig.running().is_empty());
        wake(&mut rig);
        waits.push(rig.now.ms_since(failed));
    }
    assert_eq!(waits, [1_000, 2_000]);
    rig.exit(key(1, 0, 3), 3);
    assert_eq!((record(&rig, 1).tally.failed, record(&rig, 1).is_done()), (2, true));
}

#[test]
fn what_is_lost_too_often_is_held() {
    let mut rig = Rig::with_nodes(1, 1);
    rig.settings.requeues_max = 2;
    rig.submit(job()).expect("accepted");
    for attempt in 1..=3 {
        rig.plan();
        rig.end(key(1, 0, attempt), How::Lost);
    }
    rig.plan();
    let row = record(&rig, 1).tasks[&0].clone();
    assert_eq!((rig.running(), record(&rig, 1).row_reason(&row)), (Vec::new(), Reason::JobHoldMaxRequeue));
    rig.release("1").expect("a person may let it go");
    rig.plan();
    assert_eq!(rig.running(), [key(1, 0, 4)]);
}

#[test]
fn a_job_starts_in_any_of_its_partitions_and_first_in_the_one_of_the_highest_tier() {
    let mut rig = Rig::with_nodes(2, 1);
    let listed = |name: &str, node: &str, tier| Partition {
        nodes: Members::Listed(vec![node.into()]),
        tier,
        default: false,
        ..partition(name)
    };
    rig.input(Input::Partitions(vec![listed("low", "n1", 1), listed("high", "n2", 2)]));
    let both = || JobDraft { partitions: vec!["low".into(), "high".into()], ..array("0-2") };
    rig.submit(both()).expect("accepted");
    rig.plan();
    let of = |rig: &Rig, index: u32| record(rig, 1).partition_of(&record(rig, 1).tasks[&index]).to_string();
    assert_eq!((of(&rig, 0), of(&rig, 1)), ("high".into(), "low".into()));
    assert_eq!(record(&rig, 1).terms.partition().to_string(), "high");
    assert_eq!(record(&rig, 1).reason, Reason::Resources);
    rig.exit(key(1, 1, 1), 0);
    rig.plan();
    assert_eq!(of(&rig, 2), "low");
}

#[test]
fn why_a_job_of_two_partitions_waits_does_not_depend_on_how_far_a_pass_looks() {
    let mut rig = Rig::with_nodes(1, 4);
    rig.input(Input::Partitions(vec![partition("low"), Partition { tier: 2, default: false, ..partition("high") }]));
    let ask = |cpus, mib, names: &[&str]| {
        let mut draft = wide(1, cpus);
        draft.request.memory = Memory::PerNode(mib);
        draft.partitions = names.iter().map(|name| (*name).into()).collect();
        draft
    };
    let (high, both): (&[&str], &[&str]) = (&["high"], &["high", "low"]);
    for draft in [ask(3, 3500, high), ask(2, 10, high), ask(2, 10, both), ask(1, 2000, high)] {
        rig.submit(draft).expect("accepted");
        rig.plan();
    }
    // While the last one waits, a job in its partition might ask for one CPU, which is free.
    assert_eq!(record(&rig, 3).reason, Reason::Resources);
    rig.cancel("4").expect("it waits");
    rig.plan();
    assert_eq!(record(&rig, 3).reason, Reason::Resources);
}

#[test]
fn a_job_waits_behind_its_partitions_only() {
    let mut rig = Rig::with_nodes(1, 1);
    let closed = Partition { state: sched::partition::PartitionState::Down, default: false, ..partition("closed") };
    rig.input(Input::Partitions(vec![partition("debug"), closed]));
    rig.submit(JobDraft { partitions: vec!["closed".into(), "debug".into()], ..job() }).expect("accepted");
    rig.submit(JobDraft { partitions: vec!["closed".into()], ..job() }).expect("accepted");
    rig.plan();
    assert_eq!((rig.running(), record(&rig, 2).reason), (vec![key(1, 0, 1)], Reason::PartitionDown));
}

#[test]
fn only_what_is_suspended_can_be_cancelled() {
    let mut rig = Rig::with_nodes(1, 2);
    rig.submit(array("0-2")).expect("accepted");
    rig.plan();
    pause(&mut rig, "1_0", true).expect("it runs");
    let selection = Selection { phase: Some(Phase::Suspended), ..Selection::default() };
    rig.ask(Input::Cancel { selection, asker: ADA }).ok();
    rig.exit(key(1, 0, 1), 0);
    let left = record(&rig, 1);
    assert_eq!((left.tally.cancelled, left.running_count(), left.waiting_count()), (1, 1, 1));
}

#[test]
fn a_signal_goes_to_what_runs() {
    let mut rig = Rig::with_nodes(1, 1);
    rig.submit(array("0-1")).expect("accepted");
    rig.plan();
    let ask = |rig: &mut Rig, name: &str| {
        let selection = Selection { targets: targets(name), ..Selection::default() };
        rig.ask(Input::Signal { selection, signal: 10, scope: Scope::Batch, asker: ADA })
    };
    let twice = Selection { targets: [targets("1"), targets("1_0")].concat(), ..Selection::default() };
    let count = rig.effects.len();
    rig.ask(Input::Signal { selection: twice, signal: 12, scope: Scope::Batch, asker: ADA }).expect("task 0 runs");
    assert_eq!(rig.effects.len(), count + 1, "named twice and signalled once");
    ask(&mut rig, "1").expect("task 0 runs");
    assert!(matches!(rig.effects.last(), Some(Effect::Signal { sent: Sent { signal: 10, number: 2, .. }, .. })));
    assert_eq!(ask(&mut rig, "1_1"), Err(Refusal::StillPending));
    pause(&mut rig, "1_0", true).expect("it runs");
    assert_eq!(ask(&mut rig, "1_0"), Err(Refusal::NotRunning));
    pause(&mut rig, "1_0", false).expect("its CPU is free");
    rig.exit(key(1, 0, 1), 0);
    assert_eq!(ask(&mut rig, "1_0"), Err(Refusal::AlreadyDone), "though another task waits");
    assert_eq!(pause(&mut rig, "1_0", true), Err(Refusal::AlreadyDone));
}
