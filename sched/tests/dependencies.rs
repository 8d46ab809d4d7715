//! Jobs that wait for other jobs, and for a time.

mod rig;

use rig::{ADA, Rig, array, job};
use sched::event::Event;
use sched::ids::{AttemptKey, JobId};
use sched::reason::{Ending, Reason};
use sched::refusal::Refusal;
use sched::select::Selection;
use sched::spec::job::JobDraft;
use sched::step::Input;
use sched::wake::next_wake;

fn key(job: u32, index: u32) -> AttemptKey {
    AttemptKey { job: JobId(job), index, attempt: 1 }
}

fn after(text: &str) -> JobDraft {
    JobDraft { dependency: Some(text.parse().expect("a dependency")), ..job() }
}

fn array_after(list: &str, text: &str) -> JobDraft {
    JobDraft { dependency: Some(text.parse().expect("a dependency")), ..array(list) }
}

fn reason(rig: &Rig, job: u32) -> Reason {
    rig.cluster.job(JobId(job)).expect("there").waiting_reason()
}

fn runs(rig: &Rig, job: u32) -> bool {
    rig.running().iter().any(|key| key.job == JobId(job))
}

/// Job 1 ends with `code`; does job 2, which waits as `text` says, start or despair?
fn outcome_of(text: &str, code: u8) -> (bool, Reason) {
    let mut rig = Rig::with_nodes(1, 4);
    rig.submit(job()).expect("accepted");
    rig.submit(after(text)).expect("accepted");
    rig.plan();
    let waited = text.starts_with("after:") || reason(&rig, 2) == Reason::Dependency;
    assert!(waited, "{text}");
    rig.exit(key(1, 0), code);
    rig.plan();
    (runs(&rig, 2), reason(&rig, 2))
}

#[test]
fn each_type_waits_for_its_own_kind_of_end() {
    let never = Reason::DependencyNeverSatisfied;
    assert!(outcome_of("afterany:1", 1).0 && outcome_of("1", 1).0 && outcome_of("after:1", 1).0);
    assert!(outcome_of("afterok:1", 0).0 && outcome_of("afternotok:1", 3).0);
    assert_eq!(outcome_of("afterok:1", 3), (false, never));
    assert_eq!(outcome_of("afternotok:1", 0), (false, never));
    assert!(outcome_of("aftercorr:1", 0).0, "on a plain job it is afterok");
    assert!(outcome_of("afterok:1?afternotok:1", 3).0, "any of them is enough");
    assert_eq!(outcome_of("afterok:1,afternotok:1", 3), (false, never));
}

#[test]
fn after_waits_for_the_start_and_the_minutes_behind_it() {
    let mut rig = Rig::with_nodes(1, 2);
    rig.submit(JobDraft { hold: true, ..job() }).expect("accepted");
    rig.submit(after("after:1+2")).expect("accepted");
    rig.plan();
    assert_eq!(reason(&rig, 2), Reason::Dependency);
    rig.release("1").expect("it is there");
    rig.plan();
    assert_eq!(reason(&rig, 2), Reason::BeginTime);
    let wake = next_wake(&rig.cluster, &rig.settings).expect("a time");
    assert_eq!(wake.ms_since(rig.now), 120_000);
    rig.now = wake;
    rig.input(Input::Tick);
    rig.plan();
    assert!(runs(&rig, 2));
}

#[test]
fn a_begin_time_is_waited_for_and_one_that_has_passed_is_none() {
    let mut rig = Rig::with_nodes(1, 2);
    let begin = rig.now.plus_ms(5_000);
    rig.submit(JobDraft { begin: Some(begin), ..job() }).expect("accepted");
    rig.submit(JobDraft { begin: Some(rig.now.minus_ms(1)), ..job() }).expect("accepted");
    rig.plan();
    assert_eq!((reason(&rig, 1), runs(&rig, 2)), (Reason::BeginTime, true));
    rig.now = next_wake(&rig.cluster, &rig.settings).expect("the begin");
    assert_eq!(rig.now, begin);
    rig.input(Input::Tick);
    rig.plan();
    assert!(runs(&rig, 1));
}

#[test]
fn a_whole_array_or_one_of_its_tasks_can_be_waited_for() {
    let mut rig = Rig::with_nodes(1, 8);
    rig.submit(array("0-2")).expect("accepted");
    rig.submit(after("afterok:1_1")).expect("accepted");
    rig.submit(after("afterany:1")).expect("accepted");
    rig.submit(after("afterok:1")).expect("accepted");
    rig.plan();
    rig.exit(key(1, 1), 0);
    rig.plan();
    assert!(runs(&rig, 2) && !runs(&rig, 3));
    rig.exit(key(1, 0), 0);
    rig.exit(key(1, 2), 9);
    rig.plan();
    assert_eq!((runs(&rig, 3), reason(&rig, 4)), (true, Reason::DependencyNeverSatisfied));
}

#[test]
fn aftercorr_goes_task_by_task_and_one_failure_stops_one_task() {
    let mut rig = Rig::with_nodes(1, 8);
    rig.submit(array("1-3")).expect("accepted");
    rig.submit(array_after("1-4", "aftercorr:1")).expect("accepted");
    rig.plan();
    assert_eq!(rig.running().len(), 4, "three of the first, and the fourth of the second, which has no counterpart");
    rig.exit(key(1, 3), 0);
    rig.exit(key(1, 2), 1);
    rig.plan();
    let second = rig.cluster.job(JobId(2)).expect("there");
    let states: Vec<bool> = (1..=4).map(|index| second.tasks.contains_key(&index)).collect();
    assert_eq!(states, [false, false, true, true]);
    assert_eq!((second.blocked.to_string(), second.hopeless.to_string()), ("1".into(), "2".into()));
    rig.exit(key(1, 1), 0);
    rig.plan();
    for index in [1, 3, 4] {
        rig.exit(key(2, index), 0);
    }
    assert_eq!(reason(&rig, 2), Reason::DependencyNeverSatisfied);
    rig.cancel("2").expect("there");
    assert!(rig.cluster.job(JobId(2)).expect("there").is_done());
}

#[test]
fn singletons_run_one_after_another_in_their_order() {
    let mut rig = Rig::with_nodes(1, 8);
    rig.submit(job()).expect("accepted");
    for _ in 0..2 {
        rig.submit(after("singleton")).expect("accepted");
    }
    rig.submit(JobDraft { name: "other".into(), ..after("singleton") }).expect("accepted");
    rig.plan();
    assert_eq!([1, 2, 3, 4].map(|job| runs(&rig, job)), [true, false, false, true]);
    rig.exit(key(1, 0), 5);
    rig.plan();
    assert_eq!([2, 3].map(|job| runs(&rig, job)), [true, false]);
    rig.exit(key(2, 0), 0);
    rig.plan();
    assert!(runs(&rig, 3));
}

#[test]
fn unknown_targets_are_refused_and_those_long_gone_have_ended() {
    let mut rig = Rig::with_nodes(1, 1);
    assert_eq!(rig.submit(after("afterok:7")), Err(Refusal::Dependency("afterok:7".into())));
    rig.submit(job()).expect("accepted");
    rig.plan();
    rig.exit(key(1, 0), 0);
    rig.now = next_wake(&rig.cluster, &rig.settings).expect("the job's age");
    rig.input(Input::Tick);
    assert_eq!(rig.submit(after("afterok:1")), Err(Refusal::Dependency("afterok:1".into())));
    let second = rig.submit(after("afterany:1")).expect("accepted");
    rig.plan();
    assert!(runs(&rig, second.0));
}

#[test]
fn what_can_never_be_is_cancelled_where_that_was_asked_for() {
    let mut rig = Rig::with_nodes(1, 2);
    rig.submit(job()).expect("accepted");
    rig.submit(JobDraft { kill_on_invalid_dep: true, ..after("afterok:1") }).expect("accepted");
    rig.submit(after("afternotok:2")).expect("accepted");
    rig.plan();
    rig.exit(key(1, 0), 1);
    rig.plan();
    let second = rig.cluster.job(JobId(2)).expect("there");
    assert_eq!((second.is_done(), second.tally.cancelled), (true, 1));
    assert!(runs(&rig, 3), "its end lets the next one go");
}

#[test]
fn what_several_reasons_end_at_once_ends_once() {
    let mut rig = Rig::with_nodes(1, 1);
    rig.submit(JobDraft { hold: true, ..job() }).expect("accepted");
    let deadline = Some(rig.now.plus_ms(60_000));
    let ends_with = |dependency: &str| JobDraft { kill_on_invalid_dep: true, ..after(dependency) };
    rig.submit(JobDraft { deadline, hold: true, ..job() }).expect("accepted");
    rig.submit(JobDraft { deadline, ..ends_with("afterok:2") }).expect("accepted");
    rig.submit(ends_with("afterok:2,afterok:1")).expect("accepted");
    // Its deadline, and that of what it waits for.
    rig.now = rig.now.plus_ms(60_001);
    rig.input(Input::Tick);
    let ends = |rig: &Rig, id| {
        let of_job = |event: &Event| match event {
            Event::Cancelled { job, .. } | Event::Expired { job, .. } => *job == JobId(id),
            _ => false,
        };
        rig.events.iter().filter(|(_, event)| of_job(event)).count()
    };
    assert_eq!([2, 3, 4].map(|id| ends(&rig, id)), [1, 1, 1]);
    // Whoever cancels it, and what it waits for.
    rig.submit(ends_with("afterok:1")).expect("accepted");
    rig.cancel("1").expect("there");
    assert_eq!([1, 5].map(|id| ends(&rig, id)), [1, 1]);
    rig.submit(JobDraft { hold: true, ..job() }).expect("accepted");
    rig.submit(ends_with("afterok:6")).expect("accepted");
    let targets = ["6", "7"].map(|target| target.parse().expect("a job's name")).to_vec();
    rig.input(Input::Cancel { selection: Selection { targets, ..Selection::default() }, asker: ADA });
    assert_eq!([6, 7].map(|id| ends(&rig, id)), [1, 1]);
}

#[test]
fn a_lost_attempt_does_not_count_as_an_end() {
    let mut rig = Rig::with_nodes(1, 2);
    rig.submit(job()).expect("accepted");
    rig.submit(after("afterany:1")).expect("accepted");
    rig.plan();
    rig.end(key(1, 0), sched::reconcile::How::Lost);
    assert_eq!(reason(&rig, 2), Reason::Dependency);
    rig.plan();
    rig.exit(AttemptKey { attempt: 2, ..key(1, 0) }, 0);
    rig.plan();
    assert!(runs(&rig, 2));
}

#[test]
fn a_chain_of_ten_thousand_jobs_unwinds_in_a_loop() {
    let mut rig = Rig::with_nodes(1, 1);
    rig.unchecked = true;
    rig.submit(job()).expect("accepted");
    for id in 1..10_000 {
        let draft = JobDraft { kill_on_invalid_dep: true, ..after(&format!("afterok:{id}")) };
        rig.submit(draft).expect("accepted");
    }
    rig.plan();
    rig.exit(key(1, 0), 1);
    rig.cluster.check().expect("every invariant holds");
    assert!(rig.cluster.jobs().all(|job| job.is_done()));
    let cancelled = |job: &std::sync::Arc<sched::job::Job>| job.ended_waiting.is_some();
    assert_eq!(rig.cluster.jobs().filter(|job| cancelled(job)).count(), 9_999);
    assert_eq!(rig.cluster.job(JobId(1)).expect("there").done.get(0).expect("done").outcome.ending, Ending::Failed);
}

#[test]
fn an_aftercorr_term_of_which_all_tasks_are_cancelled_keeps_nothing_else() {
    let mut rig = Rig::with_nodes(1, 4);
    rig.submit(array("0-1")).expect("accepted");
    let dependency = Some("aftercorr:1".parse().expect("a dependency"));
    rig.submit(JobDraft { dependency, ..array("0-2") }).expect("accepted");
    rig.plan();
    let free = AttemptKey { job: JobId(2), index: 2, attempt: 1 };
    assert!(rig.running().contains(&free), "task 2 has no counterpart");
    rig.exit(free, 3);
    rig.cancel("2_[0-1]").expect("they wait");
    let how = sched::requeue::Requeue::default();
    rig.ask(Input::Requeue { targets: rig::targets("2_2"), how, asker: rig::ROOT }).expect("it is done");
    rig.plan();
    assert!(rig.running().contains(&AttemptKey { attempt: 2, ..free }), "nothing keeps it any more");
}
