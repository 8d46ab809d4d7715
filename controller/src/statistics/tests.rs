//! Figures that start anew, and meters that do not.

use super::*;

const MS_A_DAY: i64 = 86_400_000;

fn scope(tried: usize, backfilled: usize) -> Scope {
    Scope { tried, queued: 2 * tried, backfilled }
}

#[test]
fn passes_add_up_until_they_are_reset() {
    let statistics = Statistics::default();
    let now = clock::now();
    statistics.note_pass(now, Duration::from_micros(30), scope(3, 1));
    statistics.note_pass(now, Duration::from_micros(10), scope(1, 0));
    let Passes { count, last_us, max_us, total_us, last, total_tried, backfilled, .. } =
        statistics.read(now, true).passes;
    assert_eq!((count, last_us, max_us, total_us), (2, 10, 30, 40));
    assert_eq!((last, total_tried, backfilled), (scope(1, 0), 4, 1));
    let after = statistics.read(now, false).passes;
    assert_eq!((after.count, after.total_us, after.backfilled, after.backfilled_ever), (0, 0, 0, 1));
    assert_eq!((after.last_us, statistics.meters.backfilled.get()), (10, 1), "the last pass is still the last");
}

#[test]
fn midnight_starts_the_schedulers_figures_anew_and_keeps_the_calls() {
    let statistics = Statistics::default();
    let now = clock::now();
    statistics.note_pass(now, Duration::from_micros(30), scope(3, 1));
    statistics.note_call("Submit", Some(7), Duration::from_micros(5));
    let next_day = Timestamp(now.0 + MS_A_DAY);
    let figures = statistics.read(next_day, false);
    assert_eq!((figures.since, figures.passes.count), (next_day, 0));
    assert_eq!((figures.by_method["Submit"].count, figures.by_user[&7].total_us), (1, 5));
}

#[test]
fn users_are_bounded() {
    let statistics = Statistics::default();
    let users = u32::try_from(USERS_MAX).expect("a small number");
    for uid in 0..users + 9 {
        statistics.note_call("Submit", Some(uid), Duration::ZERO);
    }
    let figures = statistics.read(clock::now(), false);
    assert_eq!((figures.by_user.len(), figures.by_method["Submit"].count), (USERS_MAX, u64::from(users) + 9));
}
