//! Each promise, broken on the smallest stage: what no defect of a whole run shows reliably is shown here.

use std::num::NonZeroU32;
use std::sync::Arc;

use proto::link::NodeShare;
use sched::event::Placement;
use sched::ids::Timestamp;
use sched::reason::Exit;
use sched::spec::array::{ArraySpec, INDEX_MAX, JobRef, TaskSelector};
use sched::spec::dependency::{After, Dependency, Term};
use sched::spec::duration::TimeLimit;
use sched::spec::job::JobDraft;
use sched::spec::retry::Retry;

use super::*;
use crate::draft;
use crate::task::Conduct;
use sched::terms::Terms;

fn key(index: u32, attempt: u32) -> AttemptKey {
    AttemptKey { job: JobId(1), index, attempt }
}

fn job() -> JobDraft {
    draft::job(Conduct { runs_ms: None, code: 0, stubborn: false })
}

fn submitted(job: u32, request: u128, draft: JobDraft) -> Event {
    let (spec, partitions) = (Arc::new(draft.check().expect("in bounds")), vec!["debug".into()]);
    let (time_limit, priority, fixed, revision) = (TimeLimit::Unlimited, 0, false, 0);
    let terms = Arc::new(Terms { spec, partitions: partitions.into(), time_limit, priority, fixed, revision });
    let request = RequestId(request);
    Event::Submitted { job: JobId(job), request, terms }
}

fn started(job: u32, index: u32, id: u32) -> Event {
    let placement = Placement { index, id: JobId(id), attempt: 1, shares: Arc::new([]), partition: None };
    Event::Started { job: JobId(job), placements: vec![placement] }
}

fn ended(key: AttemptKey, code: u8) -> Event {
    let exit = Exit { code, signal: 0 };
    let outcome = Outcome { exit, ..Outcome::bare(if code == 0 { Ending::Completed } else { Ending::Failed }) };
    Event::Ended { key, node: NodeId(1), outcome, age_ms: 0, usage: sched::task::Usage::default() }
}

fn began(witness: &mut Witness, key: AttemptKey) -> Result<(), Violation> {
    let share = NodeShare {
        node: "n1".into(),
        processes: 1,
        cpus: Cpus::whole(1),
        memory_mib: 10,
        devices: Default::default(),
    };
    witness.on_fact("n1", Fact::Began { key, shares: vec![share], process: true })
}

#[test]
fn an_attempt_begins_once_and_a_task_runs_once() {
    let mut witness = Witness::default();
    assert_eq!(began(&mut witness, key(0, 1)), Ok(()));
    let second = Violation::LiveTwice { first: key(0, 1), second: key(0, 2), node: "n1".into() };
    assert_eq!(began(&mut witness, key(0, 2)), Err(second));
    assert_eq!(began(&mut witness, key(0, 1)), Err(Violation::BegunTwice(key(0, 1))));
}

#[test]
fn a_node_runs_no_more_than_it_offers() {
    let mut witness = Witness::default();
    let amount = Amount { cpus: Cpus::whole(1), memory_mib: 100, ..Amount::default() };
    let nodes = [Node::new("n1".into(), amount, 1, 1000, None)];
    assert_eq!(began(&mut witness, key(0, 1)), Ok(()));
    assert_eq!(witness.check(&Cluster::default(), &nodes), Ok(()));
    assert_eq!(began(&mut witness, key(1, 1)), Ok(()));
    let over = witness.check(&Cluster::default(), &nodes);
    assert!(matches!(over, Err(Violation::OverCommitted { .. })), "{over:?}");
}

#[test]
fn an_array_starts_no_more_than_its_limit_and_what_stops_does_not_count() {
    let mut witness = Witness::default();
    let two = NonZeroU32::new(2).expect("two");
    let array = ArraySpec::counted(two, Some(NonZeroU32::MIN), INDEX_MAX).expect("few");
    let draft = || JobDraft { array: Some(array.clone()), ..job() };
    for id in [1, 4] {
        assert_eq!(witness.on_event(&submitted(id, u128::from(id), draft())), Ok(()));
        assert_eq!(witness.on_event(&started(id, 0, id + 1)), Ok(()));
    }
    assert_eq!(witness.on_event(&started(1, 1, 3)), Err(Violation::Throttle { job: JobId(1), running: 2, limit: 1 }));
    let (key, why) = (AttemptKey { job: JobId(4), ..key(0, 1) }, sched::reason::StopWhy::Cancelled(0));
    assert_eq!(witness.on_event(&Event::Stopped { key, node: NodeId(1), why }), Ok(()));
    assert_eq!(witness.on_event(&started(4, 1, 6)), Ok(()));
    let throttled = |throttle| Event::Throttled { job: JobId(4), throttle: NonZeroU32::new(throttle) };
    assert_eq!(witness.on_event(&throttled(1)), Ok(()), "it may be lowered while more run");
}

#[test]
fn what_is_suspended_lends_its_cpus_when_it_stands_still() {
    let mut witness = Witness::default();
    let amount = Amount { cpus: Cpus::whole(1), memory_mib: 100, ..Amount::default() };
    let nodes = [Node::new("n1".into(), amount, 1, 1000, None)];
    let (lends, other) = (key(0, 1), key(1, 1));
    let over = |witness: &Witness| witness.check(&Cluster::default(), &nodes).is_err();
    assert_eq!(began(&mut witness, lends), Ok(()));
    assert_eq!(witness.on_event(&Event::Suspended { key: lends, node: NodeId(1) }), Ok(()));
    assert_eq!(began(&mut witness, other), Ok(()));
    assert!(over(&witness), "it still runs");
    assert_eq!(witness.on_fact("n1", Fact::Stands { key: lends, still: true }), Ok(()));
    assert!(!over(&witness));
    assert_eq!(witness.on_event(&Event::Resumed { key: lends, node: NodeId(1) }), Ok(()));
    assert!(over(&witness), "its CPUs are still the other's");
}

#[test]
fn a_task_ends_once_until_its_end_is_taken_back() {
    let mut witness = Witness::default();
    let how = How::Exited(Exit::default());
    assert_eq!(witness.on_event(&submitted(1, 1, job())), Ok(()));
    for attempt in 1..=2 {
        assert_eq!(witness.on_event(&started(1, 0, 1)), Ok(()));
        assert_eq!(witness.on_fact("n1", Fact::Over { key: key(0, attempt), how }), Ok(()));
        assert_eq!(witness.on_event(&ended(key(0, attempt), 0)), Ok(()));
        assert_eq!(witness.on_event(&started(1, 0, 1)), Err(Violation::StartedAfterItsEnd { job: JobId(1), index: 0 }));
        assert_eq!(witness.on_event(&Event::Undone { job: JobId(1), tasks: 0.into(), hold: None }), Ok(()));
    }
    let expired = Event::Expired { job: JobId(1), tasks: 0.into() };
    assert_eq!(witness.on_event(&expired), Ok(()));
    assert_eq!(witness.on_event(&expired), Err(Violation::EndedTwice { job: JobId(1), index: 0 }));
}

#[test]
fn a_failure_is_counted_after_its_last_retry_and_not_before() {
    let mut witness = Witness::default();
    let retry = Some(Retry { times: 1, on: None });
    let how = How::Exited(Exit { code: 3, signal: 0 });
    let again = |key| Event::Requeued { key, node: NodeId(1), until: None, hold: None, failed: true };
    let wrong = |retried| Err(Violation::Retries { job: JobId(1), index: 0, retried });
    assert_eq!(witness.on_event(&submitted(1, 1, JobDraft { retry, ..job() })), Ok(()));
    for attempt in 1..=4 {
        assert_eq!(witness.on_fact("n1", Fact::Over { key: key(0, attempt), how }), Ok(()));
    }
    assert_eq!(witness.on_event(&ended(key(0, 1), 3)), wrong(0));
    assert_eq!(witness.on_event(&again(key(0, 2))), Ok(()));
    assert_eq!(witness.on_event(&ended(key(0, 3), 3)), Ok(()));
    assert_eq!(witness.on_event(&again(key(0, 4))), wrong(2));
}

#[test]
fn nothing_runs_on_after_its_deadline_and_what_delays_excuse() {
    let mut witness = Witness::default();
    let deadline = Some(Timestamp(100_000));
    assert_eq!(witness.on_event(&submitted(1, 1, JobDraft { deadline, ..job() })), Ok(()));
    assert_eq!(began(&mut witness, key(0, 1)), Ok(()));
    let late = |since, now| witness.check_deadlines(Timestamp(now), Timestamp(since), 5_000);
    assert_eq!(late(0, 105_000), Ok(()));
    assert_eq!(late(0, 105_007), Err(Violation::Late { key: key(0, 1), late_ms: 7 }));
    assert_eq!(late(200_000, 205_000), Ok(()), "trouble excuses");
}

#[test]
fn an_end_is_counted_once_and_as_it_was() {
    let mut witness = Witness::default();
    assert_eq!(began(&mut witness, key(0, 1)), Ok(()));
    assert_eq!(witness.on_event(&ended(key(0, 1), 0)), Err(Violation::CountedWhileLive(key(0, 1))));
    let how = How::Exited(Exit { code: 3, signal: 0 });
    for (index, code) in [(1, 3), (2, 0)] {
        assert_eq!(began(&mut witness, key(index, 1)), Ok(()));
        assert_eq!(witness.on_fact("n1", Fact::Over { key: key(index, 1), how }), Ok(()));
        let counted = witness.on_event(&ended(key(index, 1), code));
        assert_eq!(counted.is_ok(), code == 3, "{counted:?}");
    }
    assert_eq!(witness.on_event(&ended(key(1, 1), 3)), Err(Violation::CountedTwice(key(1, 1))));
}

#[test]
fn an_answer_names_a_job_that_is_durable_and_always_the_same() {
    let mut witness = Witness::default();
    assert_eq!(witness.on_answer(RequestId(1), JobId(1)), Err(Violation::Missing(JobId(1))));
    for id in [1, 2] {
        assert_eq!(witness.on_event(&submitted(id, 1, job())), Ok(()));
    }
    assert_eq!(witness.on_answer(RequestId(1), JobId(1)), Ok(()));
    assert_eq!(witness.on_answer(RequestId(1), JobId(2)), Err(Violation::TwoJobs(JobId(1), JobId(2))));
    assert_eq!(witness.check(&Cluster::default(), &[]), Err(Violation::Missing(JobId(2))));
}

#[test]
fn a_number_is_given_once() {
    let mut witness = Witness::default();
    assert_eq!(witness.on_event(&submitted(1, 1, job())), Ok(()));
    assert_eq!(witness.on_event(&started(1, 0, 2)), Ok(()));
    assert_eq!(witness.on_event(&started(1, 0, 2)), Ok(()), "a task keeps its number");
    assert_eq!(witness.on_event(&started(1, 1, 1)), Ok(()), "the last task takes the job's own");
    assert_eq!(witness.on_event(&started(1, 2, 2)), Err(Violation::Reissued(JobId(2))));
    assert_eq!(witness.on_event(&submitted(2, 2, job())), Err(Violation::Reissued(JobId(2))));
}

#[test]
fn nothing_starts_before_what_it_waits_for() {
    let mut witness = Witness::default();
    let target = JobRef { job: 1, tasks: TaskSelector::All };
    let dependency = Dependency { any: false, terms: vec![Term::On { what: After::Ok, target }] };
    assert_eq!(witness.on_event(&submitted(1, 1, job())), Ok(()));
    assert_eq!(witness.on_event(&submitted(2, 2, JobDraft { dependency: Some(dependency), ..job() })), Ok(()));
    let early = Violation::TooEarly { job: JobId(2), index: 0, on: JobId(1) };
    assert_eq!(witness.on_event(&started(2, 0, 2)), Err(early));
    let how = How::Exited(Exit::default());
    assert_eq!(witness.on_fact("n1", Fact::Over { key: key(0, 1), how }), Ok(()));
    assert_eq!(witness.on_event(&ended(key(0, 1), 0)), Ok(()));
    assert_eq!(witness.on_event(&started(2, 0, 2)), Ok(()));
}
