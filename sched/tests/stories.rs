//! What the core does, told as short stories: each submits, plans, ends and looks.

mod rig;

use rig::{Rig, array, ended, job, partition, wide};
use sched::cluster::Cluster;
use sched::event::Effect;
use sched::ids::{AttemptKey, JobId, RequestId};
use sched::node::{NodeWord, Offer};
use sched::partition::{Members, PartitionState};
use sched::reason::{Ending, Exit, Reason};
use sched::reconcile::{Claim, How};
use sched::refusal::Refusal;
use sched::resources::{Amount, Cpus};
use sched::spec::duration::TimeLimit;
use sched::spec::job::{JobDraft, Memory, Request};
use sched::step::{Answer, Input};
use sched::task::TaskState;
use sched::wake::next_wake;

fn key(job: u32, index: u32, attempt: u32) -> AttemptKey {
    AttemptKey { job: JobId(job), index, attempt }
}

#[test]
fn a_job_starts_runs_and_ends() {
    let mut rig = Rig::with_nodes(1, 2);
    let id = rig.submit(job()).expect("accepted");
    assert_eq!(id, JobId(1));
    rig.plan();
    assert_eq!(rig.running(), [key(1, 0, 1)]);
    assert_eq!(rig.cluster.node_named("n1").expect("n1").state().word, NodeWord::Mixed);
    rig.exit(key(1, 0, 1), 0);
    let done = &rig.cluster.job(id).expect("still visible").done.get(0).expect("done");
    assert_eq!(done.outcome.ending, Ending::Completed);
    assert_eq!(rig.cluster.node_named("n1").expect("n1").state().word, NodeWord::Idle);
}

#[test]
fn the_remainder_keeps_the_arrays_number_and_the_last_task_takes_it() {
    let mut rig = Rig::with_nodes(1, 8);
    rig.submit(array("1-3")).expect("accepted");
    rig.plan();
    let ids: Vec<_> = rig.cluster.job(JobId(1)).expect("there").tasks.values().map(|task| task.id.0).collect();
    assert_eq!(ids, [2, 3, 1]);
    assert_eq!(rig.submit(job()).expect("accepted"), JobId(4));
}

#[test]
fn the_throttle_holds_while_tasks_run() {
    let mut rig = Rig::with_nodes(4, 8);
    rig.submit(array("0-9%2")).expect("accepted");
    rig.plan();
    assert_eq!(rig.running().len(), 2);
    assert_eq!(rig.cluster.job(JobId(1)).expect("there").reason, Reason::JobArrayTaskLimit);
    rig.exit(key(1, 0, 1), 0);
    rig.plan();
    assert_eq!(rig.running(), [key(1, 1, 1), key(1, 2, 1)]);
}

#[test]
fn the_first_blocked_job_waits_for_resources_and_the_next_behind_it() {
    let mut rig = Rig::with_nodes(1, 4);
    for draft in [wide(1, 3), wide(1, 2), wide(1, 1)] {
        rig.submit(draft).expect("accepted");
    }
    rig.plan();
    let reason = |id| rig.cluster.job(JobId(id)).expect("there").reason;
    assert_eq!((reason(2), reason(3)), (Reason::Resources, Reason::Priority));
    assert_eq!(rig.running(), [key(1, 0, 1)]);
}

#[test]
fn wide_jobs_get_all_their_nodes_or_none() {
    let mut rig = Rig::with_nodes(3, 2);
    rig.submit(wide(5, 1)).expect("accepted");
    rig.submit(wide(2, 1)).expect("accepted");
    rig.plan();
    assert_eq!(rig.running(), [key(1, 0, 1)]);
    let first = rig.cluster.job(JobId(1)).expect("there").tasks[&0].clone();
    let TaskState::Running { shares, .. } = first.state else { panic!("it runs") };
    assert_eq!(shares.iter().map(|share| share.processes).collect::<Vec<_>>(), [2, 2, 1]);
    rig.exit(key(1, 0, 1), 0);
    rig.plan();
    assert_eq!(rig.running(), [key(2, 0, 1)]);
}

#[test]
fn what_no_node_could_ever_run_is_refused_with_the_numbers() {
    let mut rig = Rig::with_nodes(2, 2);
    let refused = rig.submit(wide(1, 3)).expect_err("too wide");
    assert_eq!(refused.to_string(), "Requested node configuration is not available");
    assert_eq!(
        refused.detail().expect("numbers"),
        "a task asks for 3 CPUs; partition debug has 2 nodes, the largest with 2 CPUs and 2000 MiB"
    );
    let request = Request { memory: Memory::PerNode(2001), ..Request::default() };
    assert!(matches!(rig.submit(JobDraft { request: request.into(), ..job() }), Err(Refusal::NeverFits { .. })));
    let pair = Request { nodes_min: 3, ..Request::default() };
    assert!(matches!(rig.submit(JobDraft { request: pair.into(), ..job() }), Err(Refusal::NeverFits { .. })));
}

#[test]
fn before_any_node_has_joined_jobs_are_accepted_and_wait() {
    let mut rig = Rig::new();
    rig.submit(wide(1, 64)).expect("accepted");
    rig.plan();
    assert_eq!(rig.cluster.job(JobId(1)).expect("there").reason, Reason::NodesUnavailable);
    rig.register("big", 64, &[]);
    rig.plan();
    assert_eq!(rig.running(), [key(1, 0, 1)]);
}

#[test]
fn memory_is_booked_as_asked_and_by_share_of_the_node_without_asking() {
    let mut rig = Rig::with_nodes(1, 4);
    rig.submit(job()).expect("accepted");
    let request = Request { memory: Memory::PerNode(3001), ..Request::default() };
    rig.submit(JobDraft { request: request.into(), ..job() }).expect("accepted");
    rig.plan();
    assert_eq!(rig.running(), [key(1, 0, 1)]);
    assert_eq!(rig.cluster.node_named("n1").expect("n1").held.memory_mib, 1000);
    assert_eq!(rig.cluster.job(JobId(2)).expect("there").reason, Reason::Resources);
}

#[test]
fn unknown_and_closed_partitions_refuse() {
    let mut rig = Rig::with_nodes(1, 1);
    let to = |name: &str| JobDraft { partitions: vec![name.into()], ..job() };
    assert_eq!(rig.submit(to("nope")), Err(Refusal::UnknownPartition("nope".into())));
    let mut closed = partition("debug");
    closed.state = PartitionState::Drain;
    rig.input(Input::Partitions(vec![closed.clone()]));
    assert_eq!(rig.submit(job()), Err(Refusal::PartitionClosed("debug".into())));
    closed.state = PartitionState::Down;
    rig.input(Input::Partitions(vec![closed]));
    rig.submit(job()).expect("a partition that is down takes jobs");
    rig.plan();
    assert_eq!(rig.cluster.job(JobId(1)).expect("there").reason, Reason::PartitionDown);
}

#[test]
fn a_partition_serves_its_own_nodes_and_its_own_time() {
    let mut rig = Rig::with_nodes(2, 1);
    let short = TimeLimit::Minutes(10.try_into().expect("not 0"));
    let mut small = partition("small");
    (small.nodes, small.default, small.time_max) = (Members::Listed(vec!["n2".into()]), false, short);
    rig.input(Input::Partitions(vec![partition("debug"), small]));
    let to_small = || JobDraft { partitions: vec!["small".into()], ..job() };
    rig.submit(to_small()).expect("accepted");
    rig.submit(JobDraft { time_limit: Some(TimeLimit::Unlimited), ..to_small() }).expect("accepted");
    rig.plan();
    let node = rig.node_of(key(1, 0, 1));
    assert_eq!(&*rig.cluster.node(node).expect("there").name, "n2");
    assert_eq!(rig.cluster.job(JobId(1)).expect("there").terms.time_limit, short);
    assert_eq!(rig.cluster.job(JobId(2)).expect("there").reason, Reason::PartitionTimeLimit);
}

#[test]
fn the_same_request_is_the_same_job() {
    let mut rig = Rig::with_nodes(1, 1);
    let first = rig.submit_as(RequestId(99), job()).expect("accepted");
    let again = rig.submit_as(RequestId(99), job()).expect("accepted");
    assert_eq!((first, again, rig.cluster.job_count()), (JobId(1), JobId(1), 1));
}

#[test]
fn cancelling_ends_what_waits_at_once_and_stops_what_runs() {
    let mut rig = Rig::with_nodes(1, 1);
    rig.submit(array("0-9")).expect("accepted");
    rig.plan();
    rig.cancel("1_[4-5]").expect("there");
    assert_eq!(rig.cancel("1_4"), Err(Refusal::AlreadyDone), "it has ended");
    rig.cancel("1").expect("there");
    let waits = rig.cluster.job(JobId(1)).expect("there").pending_count();
    assert_eq!((waits, rig.running().len()), (0, 1));
    assert!(matches!(rig.effects.last(), Some(Effect::Stop { .. })));
    rig.end(key(1, 0, 1), How::Exited(Exit { code: 0, signal: 15 }));
    let job = rig.cluster.job(JobId(1)).expect("there");
    assert_eq!(job.done.get(0).expect("done").outcome.ending, Ending::Cancelled(1000));
    assert_eq!((job.tally.cancelled, job.is_done()), (10, true));
    assert_eq!(rig.cancel("1"), Err(Refusal::AlreadyDone));
    assert_eq!(rig.cancel("77"), Err(Refusal::UnknownJob));
}

#[test]
fn a_held_job_waits_until_it_is_released() {
    let mut rig = Rig::with_nodes(1, 1);
    rig.submit(JobDraft { hold: true, ..array("0-1") }).expect("accepted");
    rig.plan();
    assert_eq!(rig.cluster.job(JobId(1)).expect("there").reason, Reason::JobHeldUser);
    rig.release("1").expect("it is there");
    rig.plan();
    assert_eq!(rig.running(), [key(1, 0, 1)]);
    rig.hold("1").expect("it is there");
    rig.exit(key(1, 0, 1), 0);
    rig.plan();
    assert!(rig.running().is_empty(), "what waits is held, what ran was left alone");
    rig.cancel("1").expect("there");
    assert_eq!(rig.release("1"), Err(Refusal::HasFinished));
}

#[test]
fn a_split_task_is_found_by_its_own_number() {
    let mut rig = Rig::with_nodes(1, 2);
    rig.submit(array("5-9")).expect("accepted");
    rig.plan();
    rig.cancel("2").expect("the task with index 5 has number 2");
    assert_eq!(rig.effects.last(), Some(&stop_of(&rig, key(1, 5, 1))));
}

fn stop_of(rig: &Rig, key: AttemptKey) -> Effect {
    Effect::Stop { node: rig.node_of(key), key, why: sched::reason::StopWhy::Cancelled(1000) }
}

#[test]
fn ends_are_judged_by_how_and_why() {
    let mut rig = Rig::with_nodes(1, 4);
    rig.submit(array("0-3")).expect("accepted");
    rig.plan();
    rig.exit(key(1, 0, 1), 7);
    rig.end(key(1, 1, 1), How::Exited(Exit { code: 0, signal: 9 }));
    rig.end(key(1, 2, 1), How::TimedOut(Exit { code: 0, signal: 15 }));
    rig.end(key(1, 3, 1), How::NotStarted);
    let job = rig.cluster.job(JobId(1)).expect("there");
    let seen: Vec<_> =
        job.done.iter().map(|(_, done)| (done.outcome.exit.to_string(), done.outcome.reason())).collect();
    let seen: Vec<_> = seen.iter().map(|(exit, reason)| (exit.as_str(), *reason)).collect();
    let expected =
        [("7:0", "NonZeroExitCode"), ("0:9", "RaisedSignal"), ("0:15", "TimeLimit"), ("0:53", "JobLaunchFailure")];
    assert_eq!(seen, expected);
    assert_eq!((job.tally.failed, job.tally.wait_status), (4, 7));
}

#[test]
fn an_end_is_counted_once_and_only_from_its_own_node() {
    let mut rig = Rig::with_nodes(2, 1);
    rig.submit(job()).expect("accepted");
    rig.plan();
    let (own, other) = (rig.node_of(key(1, 0, 1)), rig.cluster.node_named("n2").expect("n2").id);
    assert_ne!(own, other);
    let end = vec![(key(1, 0, 1), ended(How::Exited(Exit::default())))];
    rig.input(Input::Ends { node: other, ends: end.clone(), steps: Vec::new() });
    assert_eq!(rig.running().len(), 1, "another node's word does not count");
    for _ in 0..2 {
        rig.input(Input::Ends { node: own, ends: end.clone(), steps: Vec::new() });
    }
    assert_eq!(rig.cluster.job(JobId(1)).expect("there").tally.total(), 1);
}

#[test]
fn a_lost_attempt_is_tried_again_under_the_same_number() {
    let mut rig = Rig::with_nodes(1, 1);
    rig.submit(array("0-1")).expect("accepted");
    rig.plan();
    rig.end(key(1, 0, 1), How::Lost);
    rig.plan();
    assert_eq!(rig.running(), [key(1, 0, 2)]);
    assert_eq!(rig.cluster.job(JobId(1)).expect("there").tasks[&0].id, JobId(2));
}

#[test]
fn a_job_that_must_not_run_twice_fails_with_its_node() {
    let mut rig = Rig::with_nodes(1, 1);
    rig.submit(JobDraft { requeue: false, ..job() }).expect("accepted");
    rig.plan();
    rig.end(key(1, 0, 1), How::Lost);
    assert_eq!(rig.cluster.job(JobId(1)).expect("there").done.get(0).expect("done").outcome.ending, Ending::NodeFail);
}

#[test]
fn a_node_that_comes_back_is_told_what_it_missed() {
    let mut rig = Rig::with_nodes(1, 8);
    rig.submit(array("0-4")).expect("accepted");
    rig.plan();
    rig.cancel("1_1").expect("there");
    let node = rig.cluster.node_named("n1").expect("n1").id;
    rig.input(Input::LinkLost { node });
    assert!(!rig.cluster.node(node).expect("there").state().responds);
    let claims = [
        Claim { key: key(1, 0, 1), end: None, heard: 0 },
        Claim { key: key(1, 1, 1), end: None, heard: 0 },
        Claim { key: key(1, 2, 1), end: Some(ended(How::Exited(Exit::default()))), heard: 0 },
        Claim { key: key(9, 0, 1), end: None, heard: 0 },
        Claim { key: key(9, 1, 1), end: Some(ended(How::Exited(Exit::default()))), heard: 0 },
    ];
    let (_, answer) = rig.register("n1", 8, &claims);
    let Answer::Registered(_, missed) = answer else { panic!("registered") };
    assert_eq!(missed.adopt, [key(1, 0, 1), key(1, 1, 1)]);
    assert_eq!((missed.kill, missed.forget), (vec![key(9, 0, 1)], vec![key(9, 1, 1)]));
    let again: Vec<u32> = missed
        .again
        .iter()
        .map(|order| match order {
            Effect::Start { placements, .. } => placements[0].index,
            Effect::Stop { key, .. } => 100 + key.index,
            other => panic!("nothing else was ordered: {other:?}"),
        })
        .collect();
    assert_eq!(again, [101, 3, 4], "the stop and the starts that it never heard");
    assert_eq!(rig.cluster.job(JobId(1)).expect("there").tally.completed, 1);
}

#[test]
fn a_node_with_a_new_spool_has_lost_what_it_ran() {
    let mut rig = Rig::with_nodes(1, 1);
    rig.submit(job()).expect("accepted");
    rig.plan();
    rig.register_with("n1", 1, 8, &[]);
    rig.plan();
    assert_eq!(rig.running(), [key(1, 0, 2)]);
}

#[test]
fn a_silent_node_is_given_up_after_its_timeout_and_its_late_claims_are_killed() {
    let mut rig = Rig::with_nodes(2, 1);
    rig.submit(array("0-1")).expect("accepted");
    rig.plan();
    let node = rig.cluster.node_named("n1").expect("n1").id;
    rig.input(Input::LinkLost { node });
    let wake = next_wake(&rig.cluster, &rig.settings).expect("the timeout");
    assert_eq!(wake.ms_since(rig.now), 300_000);
    rig.now = wake;
    rig.input(Input::Tick);
    assert_eq!(rig.cluster.node(node).expect("there").state().word, NodeWord::Down);
    assert_eq!(rig.cluster.job(JobId(1)).expect("there").done.get(0).expect("done").outcome.ending, Ending::NodeFail);
    let (_, answer) = rig.register("n1", 1, &[Claim { key: key(1, 0, 1), end: None, heard: 0 }]);
    let Answer::Registered(_, missed) = answer else { panic!("registered") };
    assert_eq!(missed.kill, [key(1, 0, 1)]);
}

#[test]
fn a_node_that_leaves_frees_its_name_and_its_tasks_go_elsewhere() {
    let mut rig = Rig::with_nodes(1, 1);
    rig.submit(job()).expect("accepted");
    rig.plan();
    let node = rig.cluster.node_named("n1").expect("n1").id;
    rig.input(Input::Leave { node });
    assert!(rig.cluster.node_named("n1").is_none());
    rig.register("n2", 1, &[]);
    rig.plan();
    assert_eq!(rig.running(), [key(1, 0, 2)]);
}

#[test]
fn done_jobs_are_forgotten_when_they_are_old_enough() {
    let mut rig = Rig::with_nodes(1, 1);
    rig.submit(array("0-1")).expect("accepted");
    for index in 0..2 {
        rig.plan();
        rig.exit(key(1, index, 1), 0);
    }
    rig.now = next_wake(&rig.cluster, &rig.settings).expect("the job's age");
    rig.input(Input::Tick);
    assert_eq!((rig.cluster.job_count(), rig.cluster.task_of(JobId(2))), (0, None));
    assert_eq!(rig.submit(job()).expect("accepted"), JobId(3), "numbers do not come again");
}

#[test]
fn a_million_waiting_tasks_are_one_small_record() {
    let mut rig = Rig::with_nodes(9, 1);
    rig.submit(array("0-999999")).expect("accepted");
    rig.plan();
    let job = rig.cluster.job(JobId(1)).expect("there");
    assert_eq!((job.pending.len(), job.tasks.len()), (999_991, 9));
    assert!(job.pending.size_bytes() < 4096, "{} bytes", job.pending.size_bytes());
}

#[test]
fn nodes_are_listed_with_numbers_counted_as_numbers() {
    let mut rig = Rig::new();
    for name in ["linux10", "linux2", "alpha", "linux0"] {
        rig.register(name, 1, &[]);
    }
    let names: Vec<_> = rig.cluster.nodes().map(|node| node.name.to_string()).collect();
    assert_eq!(names, ["alpha", "linux0", "linux2", "linux10"]);
}

#[test]
fn shares_of_memory_that_round_up_together_never_take_more_than_there_is() {
    let mut rig = Rig::new();
    let amount = Amount { cpus: Cpus::whole(4), memory_mib: 4095, ..Amount::default() };
    let offer = Offer { amount, spool: 7, ..Default::default() };
    rig.input(Input::Register { name: "n1".into(), offer, claims: Vec::new(), steps: Vec::new() });
    let request = Request { memory: Memory::PerNode(1025), ..Request::default() };
    rig.submit(JobDraft { request: request.into(), ..job() }).expect("accepted");
    rig.plan();
    rig.submit(wide(3, 1)).expect("accepted");
    rig.plan();
    assert_eq!(rig.running(), [key(1, 0, 1)], "three shares are 3071 MiB, and 3070 are free");
}

#[test]
fn numbers_that_are_left_out_are_given_to_nobody_and_begin_anew_after_the_last() {
    let mut cluster = Cluster::default();
    cluster.skip_job_numbers(0);
    assert_eq!(cluster.next_job(), JobId::FIRST);
    cluster.skip_job_numbers(1_000);
    assert_eq!(cluster.next_job(), JobId(1_001));
    cluster.skip_job_numbers(JobId::LAST.0 - 1_000);
    assert_eq!(cluster.next_job(), JobId::FIRST);
    cluster.skip_job_numbers(5);
    assert_eq!(cluster.next_job(), JobId(6));
}
