//! Accounts, qos and other names of jobs; who may touch whose job; and starts that are only rehearsed.

#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

mod rig;

use std::sync::Arc;

use rig::{ADA, ROOT, Rig, array, job, targets, wide};
use sched::allow::{Denied, Role, Verb, What};
use sched::hold::HoldVerb;
use sched::ids::{JobId, RequestId};
use sched::reason::Scope;
use sched::refusal::Refusal;
use sched::rehearse::rehearse;
use sched::requeue::Requeue;
use sched::revise::Change;
use sched::select::{Asker, Selection};
use sched::spec::job::JobDraft;
use sched::spec::labels::Labels;
use sched::step::{Answer, Input};

const BOB: Asker = Asker { uid: 1001, role: Role::User };

fn labelled(account: &str, qos: &str) -> JobDraft {
    JobDraft { labels: Labels { account: account.into(), qos: qos.into(), ..Labels::default() }.into(), ..job() }
}

fn labels(rig: &Rig, id: u32) -> Labels {
    Labels::clone(&rig.cluster.job(JobId(id)).expect("it is there").terms.spec.labels)
}

/// Cancels what the filters let pass.
fn cancel(rig: &mut Rig, selection: Selection) -> Result<(), Refusal> {
    cancel_as(rig, ROOT, selection)
}

fn cancel_as(rig: &mut Rig, asker: Asker, selection: Selection) -> Result<(), Refusal> {
    match rig.input(Input::Cancel { selection, asker }) {
        Answer::Found(found) => found.into_iter().collect(),
        other => panic!("a cancel is answered: {other:?}"),
    }
}

fn pending(rig: &Rig) -> Vec<u32> {
    rig.cluster.jobs().filter(|job| !job.is_done()).map(|job| job.id.0).collect()
}

#[test]
fn filters_of_a_cancel_know_accounts_and_nodes() {
    let mut rig = Rig::with_nodes(2, 1);
    rig.submit(array("0-1")).expect("accepted");
    rig.plan();
    rig.submit(labelled("chem", "high")).expect("accepted");
    rig.submit(labelled("bio", "high")).expect("accepted");
    let named = |text: &str| Some(text.to_owned());
    cancel(&mut rig, Selection { account: named("chem"), qos: named("low"), ..Selection::default() }).unwrap();
    assert_eq!(pending(&rig), [1, 3, 4]);
    cancel(&mut rig, Selection { account: named("chem"), ..Selection::default() }).unwrap();
    assert_eq!(pending(&rig), [1, 4]);
    let before = rig.running().len();
    cancel(&mut rig, Selection { nodes: vec!["n2".into()], ..Selection::default() }).unwrap();
    let on_other = Selection { targets: targets("4"), nodes: vec!["n2".into()], ..Selection::default() };
    cancel(&mut rig, on_other).expect("it waits, and so runs nowhere");
    assert_eq!((before, pending(&rig)), (2, vec![1, 4]), "one task of the array goes on");
}

#[test]
fn only_its_user_and_operators_touch_a_job() {
    let mut rig = Rig::with_nodes(1, 1);
    rig.submit(JobDraft { hold: true, ..job() }).expect("accepted");
    let ask = |rig: &mut Rig, asker: Asker| -> Vec<Result<(), Refusal>> {
        let selection = || Selection { targets: targets("1"), ..Selection::default() };
        let inputs = [
            Input::Hold { targets: targets("1"), verb: HoldVerb::UserHold, asker },
            Input::Revise { targets: targets("1"), changes: vec![Change::Comment("x".into())], asker },
            Input::Requeue { targets: targets("1"), how: Requeue::default(), asker },
            Input::Signal { selection: selection(), signal: 10, scope: Scope::Full, asker },
            Input::Cancel { selection: selection(), asker },
        ];
        inputs.into_iter().map(|input| rig.ask(input)).collect()
    };
    let denied = [Verb::Hold, Verb::Update, Verb::Requeue, Verb::Signal, Verb::Cancel]
        .map(|verb| Err(Refusal::NotAllowed(Denied { verb, what: What::Anothers })));
    assert_eq!(ask(&mut rig, BOB), denied);
    cancel_as(&mut rig, BOB, Selection::default()).expect("a filter passes over it");
    assert_eq!(pending(&rig), [1]);
    let waits = Err(Refusal::StillPending);
    let done = [Ok(()), Ok(()), waits.clone(), waits, Ok(())];
    assert_eq!(ask(&mut rig, ADA), done);
    rig.submit(JobDraft { hold: true, ..job() }).expect("accepted");
    let operator = Asker { role: Role::Operator, ..BOB };
    cancel_as(&mut rig, operator, Selection::default()).expect("a filter means it");
    assert_eq!(pending(&rig), []);
}

#[test]
fn names_change_while_a_job_waits_and_runs() {
    let mut rig = Rig::with_nodes(1, 1);
    rig.submit(labelled("chem", "high")).expect("accepted");
    rig.plan();
    let revise = |rig: &mut Rig, asker, change: Change| {
        rig.ask(Input::Revise { targets: targets("1"), changes: vec![change], asker })
    };
    revise(&mut rig, ADA, Change::Account("bio".into())).expect("it runs, and names may change");
    revise(&mut rig, ADA, Change::MailType("END".parse().expect("an event"))).expect("likewise");
    revise(&mut rig, ROOT, Change::AdminComment("seen".into())).expect("likewise");
    let denied = Refusal::NotAllowed(Denied { verb: Verb::AdminComment, what: What::Own });
    assert_eq!(revise(&mut rig, ADA, Change::AdminComment("mine".into())), Err(denied));
    let labels = labels(&rig, 1);
    assert_eq!((&*labels.account, &*labels.qos, &*labels.admin_comment), ("bio", "high", "seen"));
    assert_eq!(revise(&mut rig, ADA, Change::Reservation("r".into())), Err(Refusal::NoLongerPending));
    let reserved = JobDraft { labels: Labels { reservation: "r".into(), ..Labels::default() }.into(), ..job() };
    assert_eq!(rig.submit(reserved), Err(Refusal::NoReservation("r".into())));
}

#[test]
fn a_rehearsal_tells_a_start_and_leaves_nothing_behind() {
    let mut rig = Rig::with_nodes(1, 2);
    let told = |rig: &Rig, draft: JobDraft| {
        let spec = Arc::new(draft.check().expect("in bounds"));
        rehearse(&rig.cluster, &rig.settings, rig.now, RequestId(99), spec)
    };
    let now = told(&rig, wide(2, 1)).expect("it could start");
    assert_eq!((now.job, now.at, now.cpus, now.nodes.len()), (JobId(1), Some(rig.now), 2, 1));
    assert!(rig.cluster.jobs().next().is_none(), "nothing was submitted");
    let limit = Some(sched::spec::duration::TimeLimit::Minutes(10.try_into().expect("not 0")));
    rig.submit(JobDraft { time_limit: limit, ..wide(2, 1) }).expect("accepted");
    rig.plan();
    let later = told(&rig, JobDraft { time_limit: limit, ..job() }).expect("it could start");
    assert!(later.at.is_some_and(|at| at.ms_since(rig.now) >= 600_000), "{later:?}");
    assert_eq!((later.job, later.nodes.len()), (JobId(2), 1));
    assert!(matches!(told(&rig, wide(9, 1)), Err(Refusal::NeverFits { .. })));
}
