//! Limits that keep one user from taking everything.

mod rig;

use rig::{Rig, array, job};
use sched::refusal::Refusal;
use sched::settings::Settings;
use sched::spec::job::{JobDraft, User};

#[test]
fn a_user_has_so_many_jobs_at_a_time_and_others_have_theirs() {
    let mut rig = Rig::with_nodes(1, 2);
    rig.settings = Settings { user_jobs_max: 2, ..Settings::default() };
    let of = |uid: u32| JobDraft { user: User { uid, name: format!("u{uid}").into(), ..job().user }, ..job() };
    let first = rig.submit(of(1)).expect("the first");
    rig.submit(JobDraft { name: "other".into(), ..of(1) }).expect("the second, under another name");
    let refused = rig.submit(of(1)).expect_err("a third");
    assert_eq!(refused, Refusal::TooManyOfUser { user: "u1".into(), max: 2 });
    assert!(refused.detail().is_some_and(|detail| detail.contains("2 jobs of user u1")), "{refused:?}");
    for uid in [0, 2, u32::MAX] {
        rig.submit(of(uid)).expect("another user's");
    }
    rig.cancel(&first.to_string()).expect("it waits");
    let array = JobDraft { user: of(1).user, ..array("0-999") };
    rig.submit(array).expect("an array is one job, and one that is done does not count");
    assert!(rig.submit(of(1)).is_err());
}

#[test]
fn a_repeated_request_finds_its_job_whatever_the_limit() {
    let mut rig = Rig::with_nodes(1, 2);
    rig.settings = Settings { user_jobs_max: 1, ..Settings::default() };
    let request = sched::ids::RequestId(99);
    let first = rig.submit_as(request, job()).expect("the first");
    assert_eq!(rig.submit_as(request, job()), Ok(first));
}
