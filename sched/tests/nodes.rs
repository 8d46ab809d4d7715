//! What nodes tell and are told: why an attempt was stopped and how it then counts, and nodes that come back.

mod rig;

use rig::*;
use sched::event::{Effect, Event};
use sched::ids::{AttemptKey, JobId, NodeId};
use sched::reason::{Exit, StopWhy};
use sched::reconcile::{Claim, How};
use sched::spec::job::JobDraft;
use sched::step::{Answer, Input};

fn key(index: u32, attempt: u32) -> AttemptKey {
    AttemptKey { job: JobId(1), index, attempt }
}

/// A job that runs and is told to stop.
fn stopped(requeue: bool, why: StopWhy) -> Rig {
    let mut rig = Rig::with_nodes(1, 1);
    rig.submit(JobDraft { requeue, ..job() }).expect("accepted");
    rig.plan();
    let node = rig.node_of(key(0, 1));
    rig.apply(vec![Event::Stopped { key: key(0, 1), node, why }]);
    rig
}

/// The ways in which a process that was told to stop is seen to leave.
fn leavings() -> [How; 4] {
    let exit = |code, signal| How::Exited(Exit { code, signal });
    [exit(0, 0), exit(0, 15), How::TimedOut(Exit { code: 0, signal: 9 }), How::Lost]
}

#[test]
fn what_a_user_requeues_waits_again_however_it_left() {
    for (requeue, how) in [true, false].into_iter().flat_map(|requeue| leavings().map(|how| (requeue, how))) {
        let mut rig = stopped(requeue, StopWhy::Requeue);
        rig.end(key(0, 1), how);
        assert_eq!(rig.cluster.job(JobId(1)).expect("there").requeued.len(), 1, "{how:?}");
        rig.plan();
        assert_eq!(rig.running(), [key(0, 2)]);
    }
}

#[test]
fn what_ran_on_a_downed_node_waits_again_or_has_failed_with_it() {
    for how in leavings() {
        let mut rig = stopped(true, StopWhy::NodeDown);
        rig.end(key(0, 1), how);
        assert_eq!(rig.cluster.job(JobId(1)).expect("there").requeued.len(), 1, "{how:?}");
        let mut rig = stopped(false, StopWhy::NodeDown);
        rig.end(key(0, 1), how);
        let job = rig.cluster.job(JobId(1)).expect("there");
        assert_eq!((job.done.get(0).expect("done").outcome.reason(), job.tally.failed), ("NodeDown", 1), "{how:?}");
    }
}

#[test]
fn what_was_stopped_at_its_deadline_ends_so_and_is_not_tried_again() {
    for how in leavings() {
        let mut rig = stopped(true, StopWhy::Deadline);
        rig.end(key(0, 1), how);
        let job = rig.cluster.job(JobId(1)).expect("there");
        assert_eq!((job.done.get(0).expect("done").outcome.reason(), job.tally.failed), ("DeadLine", 1), "{how:?}");
    }
}

/// One node of one CPU whose task was given up with it, and that has come back with the task still running.
fn returned() -> (Rig, NodeId) {
    let mut rig = Rig::with_nodes(1, 1);
    rig.submit(job()).expect("accepted");
    rig.plan();
    let node = rig.node_of(key(0, 1));
    rig.input(Input::LinkLost { node });
    rig.now = rig.now.plus_ms(rig.settings.node_timeout_s * 1000);
    rig.input(Input::Tick);
    assert_eq!(rig.cluster.job(JobId(1)).expect("there").tally.failed, 1, "given up");
    rig.submit(job()).expect("accepted");
    let (_, answer) = rig.register("n1", 1, &[Claim { key: key(0, 1), end: None, heard: 0 }]);
    let Answer::Registered(_, missed) = answer else { panic!("registered") };
    assert_eq!(missed.kill, [key(0, 1)]);
    (rig, node)
}

#[test]
fn a_node_that_returns_gets_nothing_until_it_has_ended_what_nobody_wants() {
    let (mut rig, node) = returned();
    rig.plan();
    assert!(rig.running().is_empty());
    assert!(rig.cluster.is_completing(node));
    let end = vec![(key(0, 1), ended(How::Exited(Exit { code: 0, signal: 15 })))];
    rig.effects.clear();
    for _ in 0..2 {
        rig.input(Input::Ends { node, ends: end.clone(), steps: Vec::new() });
    }
    assert_eq!(rig.effects, [Effect::Forget { node, key: key(0, 1) }], "the node may drop its record");
    rig.plan();
    assert_eq!(rig.running(), [AttemptKey { job: JobId(2), ..key(0, 1) }]);
    assert_eq!(rig.cluster.job(JobId(1)).expect("there").tally.failed, 1, "it is not counted again");
}

#[test]
fn what_a_node_no_longer_claims_keeps_it_from_nothing() {
    let (mut rig, node) = returned();
    rig.input(Input::LinkLost { node });
    rig.register("n1", 1, &[Claim { key: key(0, 1), end: Some(ended(How::Lost)), heard: 0 }]);
    rig.plan();
    assert_eq!(rig.running().len(), 1);
}

#[test]
fn a_node_that_retires_keeps_what_it_runs_and_gets_nothing_new_until_it_comes_again() {
    let mut rig = Rig::with_nodes(1, 2);
    rig.submit(JobDraft { requeue: true, ..job() }).expect("accepted");
    rig.plan();
    let node = rig.node_of(key(0, 1));
    let offer = rig.cluster.node(node).expect("there").offer.clone();
    let register = |rig: &mut Rig, retiring: bool, claims: Vec<Claim>| {
        let offer = sched::node::Offer { retiring, ..offer.clone() };
        let name = rig.cluster.node(node).expect("there").name.clone();
        rig.input(Input::Register { name, offer, claims, steps: Vec::new() });
    };
    register(&mut rig, true, vec![Claim { key: key(0, 1), end: None, heard: 0 }]);
    rig.submit(job()).expect("accepted");
    rig.plan();
    assert_eq!(rig.running(), [key(0, 1)], "it takes no more");
    let state = rig.cluster.node(node).expect("there").state();
    assert_eq!((state.leaving, state.responds), (Some(sched::node::MarkKind::Drain), true));
    rig.end(key(0, 1), How::Lost);
    rig.plan();
    assert!(rig.running().is_empty(), "what it gave up waits for another");
    register(&mut rig, false, Vec::new());
    rig.plan();
    assert_eq!(rig.running().len(), 2, "used again without a hand");
}
