//! Orders and notices in, acts out.

use bytes::Bytes;
use proto::link::MapUrls;
use sched::reason::Scope;
use sched::spec::duration::TimeLimit;
use sched::spec::job::{Files, Origin, Request, User};
use sched::spec::labels::Labels;

use super::*;

fn key(index: u32, attempt: u32) -> AttemptKey {
    AttemptKey { job: JobId(5), index, attempt }
}

pub(super) fn brief(work: Work, map: bool) -> Brief {
    let urls = MapUrls { from: "memory:///in/".into(), to: "memory:///out/".into(), output_name: "{name}".into() };
    Brief {
        job: JobId(5),
        name: "wrap".into(),
        user: User { uid: 0, gid: 0, name: "root".into(), group: "root".into() },
        request: Request::default(),
        work,
        map: map.then_some(urls),
        files: Files { work_dir: "/tmp".into(), stdin: None, stdout: None, stderr: None, append: false, umask: 0o022 },
        origin: Origin::default(),
        export: String::new(),
        environment: Bytes::new(),
        partition: "debug".into(),
        time_limit: TimeLimit::Unlimited,
        array: None,
        warning: None,
        labels: Labels::default(),
        dependency: String::new(),
        limits: Vec::new(),
        login_environment: false,
        requeue: true,
    }
}

pub(super) fn task(index: u32, attempt: u32) -> StartTask {
    StartTask { index, id: JobId(5), attempt, shares: Vec::new(), blob: Some("cat.png".into()) }
}

/// A roster that was told of a job and to start its task 0.
fn started(work: Work, map: bool) -> (Roster, Vec<Act>) {
    let mut roster = Roster::default();
    roster.on_order(Order::Job(Box::new(brief(work, map))));
    let acts = roster.on_order(Order::Start { job: JobId(5), tasks: vec![task(0, 1)] });
    (roster, acts)
}

pub(super) fn command() -> Work {
    Work::Command(vec!["true".into()])
}

const RUNS: Seen = Seen::Running { heard: 0 };

fn sent(number: u32) -> Sent {
    Sent { number, signal: 10, scope: Scope::Batch }
}

fn left(code: u8) -> Seen {
    Seen::Left { how: How::Exited(Exit { code, signal: 0 }), usage: Usage::default(), note: None, age_ms: 0 }
}

fn welcome(epoch: u64, kill: Vec<AttemptKey>, forget: Vec<AttemptKey>) -> Welcome {
    Welcome { epoch, session: 1, cluster: "c".into(), adopt: Vec::new(), kill, forget, kill_wait_s: 30, lease: None }
}

#[test]
fn an_attempt_is_launched_reported_and_dropped_once() {
    let (mut roster, acts) = started(command(), false);
    assert!(matches!(&acts[..], [Act::Launch(job)] if job.key() == key(0, 1)));
    let again = roster.on_order(Order::Start { job: JobId(5), tasks: vec![task(0, 1)] });
    assert!(again.is_empty(), "a repeated order starts nothing");
    let acts = roster.on_process(key(0, 1), left(3), 10);
    assert!(matches!(&acts[..], [Act::Report(_, end)] if end.how == How::Exited(Exit { code: 3, signal: 0 })));
    let again = roster.on_order(Order::Start { job: JobId(5), tasks: vec![task(0, 1)] });
    assert!(again.is_empty(), "nor after its end");
    assert_eq!(roster.on_order(Order::Forget(key(0, 1))), [Act::Drop(key(0, 1))]);
    assert!(roster.claims(20).is_empty());
}

#[test]
fn a_node_that_goes_stops_what_runs_to_start_again_elsewhere() {
    let (mut roster, _) = started(command(), false);
    assert_eq!(roster.retire(), [Act::Stop(key(0, 1), StopWhy::Requeue)]);
    let (how, usage) = (How::Lost, Usage::default());
    let acts = roster.on_process(key(0, 1), Seen::Left { how, usage, note: None, age_ms: 0 }, 10);
    assert!(matches!(&acts[..], [Act::Report(_, end)] if end.how == How::Lost));
    assert!(roster.retire().is_empty() && !roster.is_empty(), "its end is not counted yet");
    roster.on_order(Order::Forget(key(0, 1)));
    assert!(roster.is_empty());

    let (mut roster, _) = started(Work::Op("grayscale".into()), true);
    assert_eq!(roster.retire(), [Act::Abandon(key(0, 1))]);
    let acts = roster.on_moved(key(0, 1), AttemptEnd::terminated(), 10);
    assert!(matches!(&acts[..], [Act::Report(_, end)] if end.how == How::Lost), "{acts:?}");
    let (mut roster, _) = started(Work::Op("grayscale".into()), true);
    roster.retire();
    let done = AttemptEnd { how: How::Exited(Exit::default()), ..AttemptEnd::terminated() };
    let acts = roster.on_moved(key(0, 1), done, 10);
    assert!(matches!(&acts[..], [Act::Report(_, end)] if end.how != How::Lost), "it was done before: {acts:?}");
}

#[test]
fn an_end_is_claimed_with_its_age_until_it_is_forgotten() {
    let (mut roster, _) = started(command(), false);
    roster.on_process(key(0, 1), left(0), 100);
    for now_ms in [150, 400] {
        let claims = roster.claims(now_ms);
        assert_eq!(claims[0].end.as_ref().map(|end| end.age_ms), Some(now_ms - 100));
    }
    let acts = roster.on_welcome(&welcome(1, vec![], vec![key(0, 1)]));
    assert_eq!(acts, Some(vec![Act::Drop(key(0, 1)), Act::DropJob(JobId(5))]));
}

#[test]
fn a_mapped_command_is_staged_launched_and_published() {
    let (mut roster, acts) = started(command(), true);
    assert!(matches!(&acts[..], [Act::Stage(_)]));
    assert!(matches!(&roster.on_staged(key(0, 1), None, 1)[..], [Act::Launch(_)]));
    assert!(matches!(&roster.on_process(key(0, 1), left(0), 2)[..], [Act::Publish(_)]));
    let usage = Usage { bytes_in: 7, bytes_out: 9, ..Usage::default() };
    let end = AttemptEnd { how: How::Exited(Exit::default()), age_ms: 0, usage, note: None };
    let acts = roster.on_moved(key(0, 1), end, 3);
    assert!(matches!(&acts[..], [Act::Report(_, end)] if end.usage.bytes_out == 9));
}

#[test]
fn a_mapped_command_that_fails_publishes_nothing() {
    let (mut roster, _) = started(command(), true);
    roster.on_staged(key(0, 1), None, 1);
    let acts = roster.on_process(key(0, 1), left(1), 2);
    let [Act::Report(_, end)] = &acts[..] else { panic!("a report: {acts:?}") };
    assert_eq!(end.note.as_deref(), Some("cat.png: the command left with exit code 1:0"));
}

#[test]
fn a_stop_goes_to_whoever_holds_the_attempt() {
    let (mut roster, _) = started(command(), false);
    let stop = Order::Stop { key: key(0, 1), why: StopWhy::Cancelled(0) };
    assert_eq!(roster.on_order(stop.clone()), [Act::Stop(key(0, 1), StopWhy::Cancelled(0))]);
    let (mut roster, acts) = started(Work::Op("grayscale".into()), true);
    assert!(matches!(&acts[..], [Act::Convert(_)]));
    assert_eq!(roster.on_order(stop.clone()), [Act::Abandon(key(0, 1))]);
    let (mut roster, _) = started(command(), true);
    roster.on_order(stop);
    let acts = roster.on_staged(key(0, 1), None, 1);
    assert!(matches!(&acts[..], [Act::Report(..)]), "what was stopped while it was staged is not launched: {acts:?}");
}

#[test]
fn what_nobody_wants_is_killed_and_its_end_reported_like_all_others() {
    let (mut roster, _) = started(command(), false);
    for session in 0..2 {
        let acts = roster.on_welcome(&welcome(1, vec![key(0, 1)], vec![])).expect("the first epoch");
        assert_eq!(acts, [Act::Stop(key(0, 1), StopWhy::Cancelled(0))]);
        assert_eq!(roster.claims(0), [Claim { key: key(0, 1), end: None, heard: 0 }], "session {session}");
    }
    let acts = roster.on_process(key(0, 1), left(0), 5);
    assert!(matches!(&acts[..], [Act::Report(known, _)] if *known == key(0, 1)), "{acts:?}");
    assert!(roster.claims(5)[0].end.is_some());
    assert_eq!(roster.on_order(Order::Forget(key(0, 1))), [Act::Drop(key(0, 1)), Act::DropJob(JobId(5))]);
    let acts = roster.on_welcome(&welcome(1, vec![key(0, 1)], vec![])).expect("the same epoch");
    assert!(matches!(&acts[..], [Act::Report(_, end)] if end.how == How::Lost), "one that is gone is not waited for");
}

#[test]
fn a_stop_of_what_was_never_heard_of_is_answered_and_one_that_was_swallowed_is_asked_again() {
    let mut roster = Roster::default();
    let acts = roster.on_order(Order::Stop { key: key(7, 1), why: StopWhy::Cancelled(0) });
    assert!(matches!(&acts[..], [Act::Report(_, end)] if end.how == How::Lost));
    let (mut roster, _) = started(command(), false);
    for why in [StopWhy::Deadline, StopWhy::Cancelled(0)] {
        roster.on_order(Order::Stop { key: key(0, 1), why });
    }
    let acts = roster.on_launcher_hello(vec![(key(0, 1), RUNS)], false, 1, |_| None);
    assert_eq!(acts, [Act::Stop(key(0, 1), StopWhy::Deadline)], "with the reason that came first");
}

#[test]
fn how_an_attempt_goes_on_is_told_to_its_process_and_again_to_a_launcher_that_may_not_have_heard() {
    let (mut roster, _) = started(command(), false);
    let (key, limit) = (key(0, 1), TimeLimit::Unlimited);
    let told = [Act::Limit(key, limit), Act::Suspend(key)];
    for _ in 0..2 {
        assert_eq!(roster.on_order(Order::Limit { key, limit }), told[..1]);
        assert_eq!(roster.on_order(Order::Suspend(key)), told[1..]);
    }
    assert_eq!(roster.on_launcher_hello(vec![(key, RUNS)], false, 1, |_| None), told);
    let acts = roster.on_launcher_hello(Vec::new(), false, 1, |_| None);
    assert!(matches!(&acts[0], Act::Launch(_)) && acts[1..] == told, "{acts:?}");
    assert_eq!(roster.on_order(Order::Resume(key)), [Act::Resume(key)]);
    roster.on_order(Order::Stop { key, why: StopWhy::Requeue });
    for late in [Order::Suspend(key), Order::Limit { key, limit }, Order::Signal { key, sent: sent(1) }] {
        assert!(roster.on_order(late).is_empty(), "what is being ended is left alone");
    }
}

#[test]
fn a_signal_is_delivered_once_and_again_to_a_launcher_that_has_not_heard_it() {
    let (mut roster, _) = started(command(), false);
    let key = key(0, 1);
    let signal = |number| Order::Signal { key, sent: sent(number) };
    for number in [1, 2] {
        assert_eq!(roster.on_order(signal(number)), [Act::Signal(key, sent(number))]);
        assert_eq!(roster.on_order(signal(number)), [], "ordered again by a controller that did not know");
    }
    assert_eq!(roster.claims(0)[0].heard, 2);
    let hello =
        |roster: &mut Roster, heard| roster.on_launcher_hello(vec![(key, Seen::Running { heard })], false, 1, |_| None);
    assert_eq!(hello(&mut roster, 1), [Act::Signal(key, sent(2))]);
    assert_eq!(hello(&mut roster, 2), []);
    let acts = roster.on_launcher_hello(Vec::new(), false, 1, |_| None);
    assert!(matches!(&acts[..], [Act::Launch(_), Act::Signal(..), Act::Signal(..)]), "{acts:?}");
    // A noded that has just come up claims what its launcher says.
    let mut roster = Roster::default();
    assert_eq!(hello(&mut roster, 2), []);
    assert_eq!((roster.claims(0)[0].heard, roster.on_order(signal(2))), (2, vec![]));
    assert_eq!(roster.on_order(signal(3)), [Act::Signal(key, sent(3))]);
}

#[test]
fn what_has_no_process_yet_is_suspended_when_it_has_and_what_never_will_is_not() {
    let key = key(0, 1);
    let (mut roster, _) = started(command(), true);
    assert!(roster.on_order(Order::Suspend(key)).is_empty());
    assert!(roster.on_order(Order::Signal { key, sent: sent(1) }).is_empty());
    let acts = roster.on_staged(key, None, 1);
    assert!(matches!(&acts[..], [Act::Launch(_), Act::Suspend(_), Act::Signal(..)]), "{acts:?}");
    let (mut roster, _) = started(Work::Op("grayscale".into()), true);
    assert!(roster.on_order(Order::Suspend(key)).is_empty());
    assert!(Roster::default().on_order(Order::Resume(key)).is_empty(), "nor what was never heard of");
}

#[test]
fn what_was_to_stop_is_not_launched_by_a_launcher_that_had_not_heard_of_it() {
    let (mut roster, _) = started(command(), false);
    roster.on_order(Order::Stop { key: key(0, 1), why: StopWhy::Cancelled(0) });
    let acts = roster.on_launcher_hello(Vec::new(), false, 1, |_| None);
    assert!(matches!(&acts[..], [Act::Report(_, end)] if *end == AttemptEnd::terminated()), "{acts:?}");
}

#[test]
fn an_older_controller_is_not_obeyed() {
    let mut roster = Roster::default();
    assert!(roster.on_welcome(&welcome(3, vec![], vec![])).is_some());
    assert!(roster.on_welcome(&welcome(2, vec![], vec![])).is_none());
    assert_eq!(roster.epoch_seen(), 3);
}

#[test]
fn a_launcher_that_did_not_hear_is_asked_again_and_one_without_records_has_lost() {
    let (mut roster, _) = started(command(), false);
    let acts = roster.on_launcher_hello(Vec::new(), false, 1, |_| None);
    assert!(matches!(&acts[..], [Act::Launch(_)]));
    let acts = roster.on_launcher_hello(Vec::new(), true, 1, |_| None);
    assert!(matches!(&acts[..], [Act::Report(_, end)] if end.how == How::Lost));
}

#[test]
fn a_new_noded_adopts_what_its_launcher_has_and_publishes_what_was_staged() {
    let mut roster = Roster::default();
    let staged = Job { brief: Arc::new(brief(command(), true)), task: Arc::new(task(1, 1)) };
    let seen = vec![(key(0, 1), RUNS), (key(1, 1), left(0)), (key(2, 1), left(4))];
    let acts = roster.on_launcher_hello(seen, false, 0, |key| (key.index == 1).then(|| staged.clone()));
    assert!(matches!(&acts[..], [Act::Publish(job), Act::Report(..)] if job.key() == key(1, 1)));
    let ended: Vec<bool> = roster.claims(0).iter().map(|claim| claim.end.is_some()).collect();
    assert_eq!(ended, [false, false, true]);
}

#[test]
fn an_operation_that_was_under_way_when_noded_died_is_lost() {
    let mut roster = Roster::default();
    roster.on_lost_operation(key(0, 1), 0);
    assert_eq!(roster.claims(0)[0].end.as_ref().map(|end| end.how), Some(How::Lost));
    roster.on_order(Order::Job(Box::new(brief(Work::Op("grayscale".into()), true))));
    assert!(roster.on_order(Order::Start { job: JobId(5), tasks: vec![task(0, 1)] }).is_empty());
    assert_eq!(roster.on_order(Order::Start { job: JobId(5), tasks: vec![task(0, 2)] }).len(), 1);
}

#[test]
fn what_ends_well_without_a_lease_is_published_only_if_it_is_still_wanted() {
    for wanted in [true, false] {
        let mut roster = Roster::default();
        let staged = Job { brief: Arc::new(brief(command(), true)), task: Arc::new(task(1, 1)) };
        roster.on_lease_over(0);
        let acts = roster.on_launcher_hello(vec![(key(1, 1), left(0))], false, 0, |_| Some(staged.clone()));
        assert_eq!((acts, roster.claims(0)[0].end.clone()), (Vec::new(), None), "it goes on as far as anybody is told");
        let word = if wanted {
            Welcome { adopt: vec![key(1, 1)], ..welcome(1, vec![], vec![]) }
        } else {
            welcome(1, vec![key(1, 1)], vec![])
        };
        match &roster.on_welcome(&word).expect("of this epoch")[..] {
            [Act::Publish(job)] => assert!(wanted && job.key() == key(1, 1)),
            [Act::Report(reported, _)] => assert!(!wanted && *reported == key(1, 1)),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn what_noded_does_itself_ends_with_the_lease_unless_it_is_never_run_again() {
    for requeue in [true, false] {
        let mut roster = Roster::default();
        let op = Brief { requeue, ..brief(Work::Op("grayscale".into()), true) };
        roster.on_order(Order::Job(Box::new(op)));
        roster.on_order(Order::Start { job: JobId(5), tasks: vec![task(0, 1)] });
        let acts = roster.on_lease_over(3);
        let gives_up = matches!(&acts[..], [Act::Abandon(_), Act::Report(_, end)] if end.how == How::Lost);
        assert_eq!((gives_up, acts.is_empty()), (requeue, !requeue), "{acts:?}");
        // Its result comes all the same, and is nobody's any more.
        let done = AttemptEnd { how: How::Exited(Exit::default()), ..AttemptEnd::lost() };
        assert_eq!(roster.on_moved(key(0, 1), done, 4).is_empty(), requeue);
    }
}
