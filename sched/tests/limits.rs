//! Limits that keep one user from taking everything.

mod rig;

use rig::{Rig, array, job};
use sched::allow::Role;
use sched::refusal::Refusal;
use sched::select::{Asker, Selection};
use sched::settings::Settings;
use sched::spec::job::{JobDraft, User};
use sched::step::Input;

#[test]
fn a_user_has_so_many_jobs_at_a_time_and_others_have_theirs() {
    let mut rig = Rig::with_nodes(1, 2);
    rig.settings = Settings { user_jobs_max: 2, ..Settings::default() };
    let of = |uid: u32| JobDraft {
        user: User { uid, name: format!("u{uid}").into(), ..(*job().user).clone() }.into(),
        ..job()
    };
    let first = rig.submit(of(1)).expect("the first");
    rig.submit(JobDraft { name: "other".into(), ..of(1) }).expect("the second, under another name");
    let refused = rig.submit(of(1)).expect_err("a third");
    assert_eq!(refused, Refusal::TooManyOfUser { user: "u1".into(), max: 2 });
    assert!(refused.detail().is_some_and(|detail| detail.contains("2 jobs of user u1")), "{refused:?}");
    for uid in [0, 2, u32::MAX] {
        rig.submit(of(uid)).expect("another user's");
    }
    let targets = vec![first.to_string().parse().expect("a job's name")];
    let selection = Selection { targets, ..Selection::default() };
    rig.ask(Input::Cancel { selection, asker: Asker { uid: 1, role: Role::User } }).expect("it waits, and is theirs");
    let array = JobDraft { user: of(1).user, ..array("0-999") };
    rig.submit(array).expect("an array is one job, and one that is done does not count");
    assert!(rig.submit(of(1)).is_err());
}

#[test]
fn what_a_users_jobs_bring_along_is_bounded_until_they_are_forgotten() {
    let mut rig = Rig::with_nodes(1, 2);
    rig.settings = Settings { user_mib_max: 2, ..Settings::default() };
    let sized = |bytes| JobDraft { bytes, ..job() };
    let first = rig.submit(sized(1024 * 1024)).expect("the first");
    rig.submit(sized(1024 * 1024)).expect("the second");
    let refused = rig.submit(sized(1)).expect_err("one byte too many");
    assert!(
        refused.detail().is_some_and(|detail| detail.contains("2097152") && detail.contains("2 MiB")),
        "{refused:?}"
    );
    rig.submit(sized(0)).expect("what brings nothing");
    let targets = vec![first.to_string().parse().expect("a job's name")];
    let selection = Selection { targets, ..Selection::default() };
    rig.ask(Input::Cancel { selection, asker: Asker { uid: job().user.uid, role: Role::User } })
        .expect("it waits, and is theirs");
    assert!(rig.submit(sized(1)).is_err(), "its script is kept with it");
    rig.now = rig.now.plus_ms(rig.settings.job_age_s_min * 1000 + 1);
    rig.input(Input::Tick);
    rig.submit(sized(1024 * 1024)).expect("it is forgotten");
}

#[test]
fn a_repeated_request_finds_its_job_whatever_the_limit() {
    let mut rig = Rig::with_nodes(1, 2);
    rig.settings = Settings { user_jobs_max: 1, ..Settings::default() };
    let request = sched::ids::RequestId(99);
    let first = rig.submit_as(request, job()).expect("the first");
    assert_eq!(rig.submit_as(request, job()), Ok(first));
}
