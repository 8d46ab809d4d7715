//! Leases: what becomes of tasks whose node is cut off, and when.

mod rig;

use rig::{Rig, array, job, wide};
use sched::event::Event;
use sched::ids::{AttemptKey, JobId};
use sched::lease::{Lease, keeps_its_name};
use sched::mark::{NodesUpdate, Wish};
use sched::node::{Abilities, Health, MarkKind, Offer};
use sched::reason::{Ending, Reason};
use sched::reconcile::Claim;
use sched::resources::{Amount, Cpus};
use sched::revise::Change;
use sched::settings::Settings;
use sched::spec::job::JobDraft;
use sched::step::{Answer, Input};
use sched::terms::Hold;
use sched::wake::next_wake;

const SPOOL: u128 = 7;

/// Registers a node that keeps leases; answers the lease that it is told.
fn register(rig: &mut Rig, name: &str, cpus: u32, left_ms: u64, claims: &[Claim]) -> Option<Lease> {
    let offer = Offer {
        amount: Amount { cpus: Cpus::whole(cpus), memory_mib: u64::from(cpus) * 1000, ..Amount::default() },
        spool: SPOOL,
        abilities: Abilities { leases: true, ..Abilities::default() },
        lease_left_ms: left_ms,
        ..Offer::default()
    };
    match rig.input(Input::Register { name: name.into(), offer, claims: claims.to_vec(), steps: Vec::new() }) {
        Answer::Registered(_, missed) => missed.lease,
        other => panic!("a registration is answered: {other:?}"),
    }
}

/// A cluster of nodes that keep leases, and of one that does not where asked for.
fn leased(nodes: u32, cpus: u32) -> Rig {
    let mut rig = Rig::new();
    for i in 1..=nodes {
        register(&mut rig, &format!("n{i}"), cpus, 0, &[]).expect("a lease");
    }
    rig
}

fn lose(rig: &mut Rig, name: &str) {
    let node = rig.cluster.node_named(name).expect("there").id;
    rig.input(Input::LinkLost { node });
}

fn pass_ms(rig: &mut Rig, ms: u64) {
    rig.now = rig.now.plus_ms(ms);
    rig.input(Input::Tick);
}

fn is_down(rig: &Rig, name: &str) -> bool {
    matches!(rig.cluster.node_named(name).expect("there").health, Health::Down { .. })
}

fn key(job: u32, index: u32, attempt: u32) -> AttemptKey {
    AttemptKey { job: JobId(job), index, attempt }
}

#[test]
fn what_may_run_elsewhere_does_when_its_node_is_given_up() {
    let mut rig = leased(1, 4);
    rig.submit(array("0-1")).expect("accepted");
    rig.submit(JobDraft { requeue: false, ..job() }).expect("accepted");
    rig.plan();
    lose(&mut rig, "n1");
    register(&mut rig, "n2", 4, 0, &[]);
    pass_ms(&mut rig, 299_999);
    rig.plan();
    assert_eq!(rig.running().len(), 3, "nobody knows yet");
    pass_ms(&mut rig, 1);
    rig.plan();
    assert_eq!(rig.running(), [key(1, 0, 2), key(1, 1, 2)], "once each");
    assert_eq!(rig.cluster.job(JobId(2)).expect("there").done.get(0).expect("done").outcome.ending, Ending::NodeFail);
    // It comes back, and has ended what it must not run any more.
    register(
        &mut rig,
        "n1",
        4,
        0,
        &[Claim { key: key(1, 0, 1), end: Some(rig::ended(sched::reconcile::How::Lost)), heard: 0 }],
    );
    assert!(rig.cluster.node_named("n1").expect("there").takes_work());
}

#[test]
fn a_node_without_leases_is_given_up_as_one_that_may_still_run_everything() {
    let mut rig = Rig::with_nodes(1, 2);
    rig.submit(job()).expect("accepted");
    rig.plan();
    lose(&mut rig, "n1");
    pass_ms(&mut rig, 300_000);
    assert_eq!(rig.cluster.job(JobId(1)).expect("there").done.get(0).expect("done").outcome.ending, Ending::NodeFail);
}

#[test]
fn an_attempt_over_two_nodes_is_leased_only_if_both_keep_leases() {
    for with_lease in [true, false] {
        let mut rig = leased(1, 1);
        if with_lease {
            register(&mut rig, "n2", 1, 0, &[]);
        } else {
            rig.register("n2", 1, &[]);
        }
        rig.submit(wide(2, 1)).expect("accepted");
        rig.plan();
        assert_eq!(rig.cluster.job(JobId(1)).expect("there").tasks[&0].leased, with_lease);
        lose(&mut rig, "n1");
        pass_ms(&mut rig, 300_000);
        assert_eq!(rig.cluster.job(JobId(1)).expect("there").done.is_empty(), with_lease);
    }
}

#[test]
fn what_was_cancelled_is_cancelled_and_what_was_to_be_requeued_is() {
    let mut rig = leased(1, 4);
    for _ in 0..3 {
        rig.submit(job()).expect("accepted");
    }
    rig.plan();
    rig.cancel("1").expect("cancelled");
    rig.ask(Input::Requeue { targets: rig::targets("2"), how: Default::default(), asker: rig::ROOT }).expect("asked");
    lose(&mut rig, "n1");
    pass_ms(&mut rig, 300_000);
    let job = |id| rig.cluster.job(JobId(id)).expect("there");
    assert!(matches!(job(1).done.get(0).expect("done").outcome.ending, Ending::Cancelled(_)));
    assert!(job(2).done.is_empty() && job(2).requeued.contains(0) && job(3).requeued.contains(0));
}

#[test]
fn a_task_that_loses_its_node_again_and_again_is_held() {
    let mut rig = leased(1, 1);
    rig.settings.requeues_max = 2;
    rig.submit(job()).expect("accepted");
    for attempt in 1..=3 {
        rig.plan();
        assert_eq!(rig.running(), [key(1, 0, attempt)]);
        lose(&mut rig, "n1");
        pass_ms(&mut rig, 300_000);
        register(&mut rig, "n1", 1, 0, &[]);
    }
    rig.plan();
    assert_eq!(rig.running(), []);
    let job = rig.cluster.job(JobId(1)).expect("there");
    assert_eq!(job.row_reason(&job.tasks[&0]), Reason::of_hold(Some(Hold::MaxRequeue)));
}

#[test]
fn a_promise_outlives_the_settings_that_it_was_given_under() {
    let mut rig = leased(1, 1);
    rig.submit(job()).expect("accepted");
    rig.plan();
    rig.settings = Settings { node_timeout_s: 30, ..rig.settings.clone() };
    lose(&mut rig, "n1");
    assert_eq!(next_wake(&rig.cluster, &rig.settings), Some(rig.now.plus_ms(300_000)));
    pass_ms(&mut rig, 299_999);
    assert!(!is_down(&rig, "n1"));
    pass_ms(&mut rig, 1);
    assert!(is_down(&rig, "n1"));
    // The next registration is told the new one; what it brings along from the old one still counts.
    assert_eq!(register(&mut rig, "n1", 1, 60_000, &[]), Lease::of(&rig.settings));
    lose(&mut rig, "n1");
    assert_eq!(next_wake(&rig.cluster, &rig.settings), Some(rig.now.plus_ms(80_000)));
    register(&mut rig, "n1", 1, 0, &[]);
    lose(&mut rig, "n1");
    assert_eq!(next_wake(&rig.cluster, &rig.settings), Some(rig.now.plus_ms(30_000)));
}

#[test]
fn a_controller_that_starts_counts_every_silence_anew() {
    let mut rig = leased(1, 1);
    lose(&mut rig, "n1");
    pass_ms(&mut rig, 200_000);
    // What the driver says of each node that is not down when it starts.
    lose(&mut rig, "n1");
    pass_ms(&mut rig, 299_999);
    assert!(!is_down(&rig, "n1"));
    pass_ms(&mut rig, 1);
    assert!(is_down(&rig, "n1"));
    lose(&mut rig, "n1");
    assert!(is_down(&rig, "n1"), "what was given up stays so");
}

#[test]
fn a_task_that_is_not_to_be_requeued_any_more_is_not_for_its_whole_attempt() {
    let requeue = |rig: &mut Rig, requeue| {
        let changes = vec![Change::Requeue(requeue)];
        rig.ask(Input::Revise { targets: rig::targets("1"), changes, asker: rig::ROOT }).expect("changed");
    };
    let mut rig = leased(1, 1);
    rig.submit(job()).expect("accepted");
    rig.plan();
    requeue(&mut rig, false);
    // Whether the node has heard of the first or the second word, it may let the task go on.
    requeue(&mut rig, true);
    lose(&mut rig, "n1");
    pass_ms(&mut rig, 300_000);
    assert_eq!(rig.cluster.job(JobId(1)).expect("there").done.get(0).expect("done").outcome.ending, Ending::NodeFail);
}

#[test]
fn a_name_is_free_when_what_ran_under_it_is_known_dead() {
    let keeps = |rig: &Rig| keeps_its_name(&rig.cluster, rig.cluster.node_named("n1").expect("there"));
    let mut rig = leased(1, 1);
    assert!(!keeps(&rig), "nothing runs there");
    rig.submit(job()).expect("accepted");
    rig.plan();
    lose(&mut rig, "n1");
    assert!(keeps(&rig));
    pass_ms(&mut rig, 299_999);
    assert!(keeps(&rig));
    pass_ms(&mut rig, 1);
    assert!(!keeps(&rig), "it was given up");
    let down = |rig: &mut Rig| {
        let wish = Wish::Mark { kind: MarkKind::Down, reason: "replaced".into(), resume_after_s: None };
        let update = NodesUpdate { names: vec!["n1".into()], wish, uid: 0, user: "root".into() };
        rig.input(Input::UpdateNodes(update));
    };
    let mut rig = leased(1, 1);
    rig.submit(job()).expect("accepted");
    rig.plan();
    lose(&mut rig, "n1");
    down(&mut rig);
    assert!(!keeps(&rig), "an administrator says so");
}

#[test]
fn an_old_journal_knows_no_leases() {
    let mut rig = Rig::with_nodes(1, 1);
    assert_eq!(rig.cluster.node_named("n1").expect("there").patience_ms, 0);
    let patience = |event: &Event| matches!(event, Event::NodeRegistered { patience_ms: 0, .. });
    assert!(rig.events.iter().any(|(_, event)| patience(event)));
    rig.submit(job()).expect("accepted");
    rig.plan();
    assert!(!rig.cluster.job(JobId(1)).expect("there").tasks[&0].leased);
}
