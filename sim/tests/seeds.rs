//! Seeds: each is a cluster, its clients and its faults, run until everything has ended.
//!
//! `COVEY_SIM_SEEDS` raises the number of seeds.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use sim::Violation;
use sim::run::{Failure, run};
use sim::sabotage::Sabotage;

/// Seeds without `COVEY_SIM_SEEDS`.
const SEEDS: u64 = 2_000;
/// A sabotaged run must be caught within so many seeds.
const SEEDS_TO_CATCH: u64 = 3_000;
/// The same of what shows only where an operation is under way on a node that stands still until it is given up, and then goes on.
const SEEDS_TO_CATCH_RARE: u64 = 20_000;

fn seeds() -> u64 {
    std::env::var("COVEY_SIM_SEEDS").ok().and_then(|count| count.parse().ok()).unwrap_or(SEEDS)
}

/// Runs seeds on all cores until one fails.
fn first_failure(
    count: u64,
    sabotage: Option<Sabotage>,
    wanted: impl Fn(&Violation) -> bool + Sync,
) -> Option<Failure> {
    let next = AtomicU64::new(0);
    let search = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= count {
                return None;
            }
            if let Err(failure) = run(seed, sabotage, false)
                && wanted(&failure.violation)
            {
                next.store(count, Ordering::Relaxed);
                return Some(failure);
            }
        }
    };
    thread::scope(|scope| {
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let searches: Vec<_> = (0..threads).map(|_| scope.spawn(search)).collect();
        searches.into_iter().filter_map(|search| search.join().expect("a run catches its panics")).next()
    })
}

#[test]
fn every_seed_keeps_every_promise() {
    if let Some(failure) = first_failure(seeds(), None, |_| true) {
        let told = run(failure.seed, None, true).err().unwrap_or(failure);
        let tail = told.story.len().saturating_sub(40);
        panic!("{told}: {}\n{}", told.violation, told.story[tail..].join("\n"));
    }
}

#[test]
fn a_seed_replays_to_the_letter() {
    for seed in [3, 1_000_003] {
        let [once, again] = [(); 2].map(|()| run(seed, None, true).expect("a good seed"));
        assert!(once.begun > 0, "something runs");
        assert_eq!(once, again);
    }
}

fn assert_caught(sabotage: Sabotage, wanted: impl Fn(&Violation) -> bool + Sync) {
    assert_caught_within(SEEDS_TO_CATCH, sabotage, wanted);
}

fn assert_caught_within(seeds: u64, sabotage: Sabotage, wanted: impl Fn(&Violation) -> bool + Sync) {
    let caught = first_failure(seeds, Some(sabotage), wanted);
    assert!(caught.is_some(), "nobody notices {sabotage:?}");
}

#[test]
fn an_answer_before_its_commit_is_caught() {
    assert_caught(Sabotage::RepliesEarly, |violation| matches!(violation, Violation::Missing(_)));
}

#[test]
fn an_order_before_its_commit_is_caught() {
    assert_caught(Sabotage::OrdersEarly, |violation| {
        matches!(violation, Violation::BegunTwice(_) | Violation::LiveTwice { .. })
    });
}

#[test]
fn a_session_that_nobody_checks_is_caught() {
    assert_caught(Sabotage::SessionsUnchecked, |violation| matches!(violation, Violation::WaitsForEver(_)));
}

#[test]
fn a_stop_that_counts_as_an_end_is_caught() {
    assert_caught(Sabotage::CountsStopsAsEnds, |violation| matches!(violation, Violation::CountedWhileLive(_)));
}

#[test]
fn a_forgotten_exit_code_is_caught() {
    assert_caught(Sabotage::ForgetsExits, |violation| matches!(violation, Violation::WrongEnd { .. }));
}

#[test]
fn a_record_that_is_stored_twice_is_caught() {
    assert_caught(Sabotage::StoresTwice, |violation| matches!(violation, Violation::CountedTwice(_)));
}

#[test]
fn a_record_that_is_lost_is_caught() {
    assert_caught(Sabotage::LosesTail, |violation| matches!(violation, Violation::Recovery));
}

#[test]
fn reports_that_are_lost_with_a_failed_commit_are_caught() {
    assert_caught(Sabotage::KeepsLinksOverFailure, |violation| matches!(violation, Violation::WaitsForEver(_)));
}

#[test]
fn a_node_that_dies_before_its_welcome_is_caught() {
    assert_caught(Sabotage::WelcomesTheDead, |violation| matches!(violation, Violation::WaitsForEver(_)));
}

#[test]
fn a_node_that_forgets_its_claims_is_caught() {
    assert_caught(Sabotage::ForgetsClaims, |violation| {
        matches!(violation, Violation::LiveTwice { .. } | Violation::CountedWhileLive(_))
    });
}

#[test]
fn a_noded_that_asks_before_the_hello_is_caught() {
    assert_caught(Sabotage::AsksBeforeHello, |violation| {
        matches!(
            violation,
            Violation::OverCommitted { .. } | Violation::CountedWhileLive(_) | Violation::LiveTwice { .. }
        )
    });
}

#[test]
fn a_launcher_that_starts_an_attempt_again_is_caught() {
    assert_caught(Sabotage::LaunchesAgain, |violation| matches!(violation, Violation::BegunTwice(_)));
}

#[test]
fn a_resume_on_cpus_that_others_hold_is_caught() {
    assert_caught(Sabotage::ResumesRegardless, |violation| matches!(violation, Violation::OverCommitted { .. }));
}

#[test]
fn a_requeue_before_the_last_attempt_is_dead_is_caught() {
    assert_caught(Sabotage::RequeuesTheLiving, |violation| matches!(violation, Violation::CountedWhileLive(_)));
}

#[test]
fn an_end_that_is_taken_back_and_not_kept_is_caught() {
    assert_caught(Sabotage::ForgetsUndone, |violation| matches!(violation, Violation::StartedAfterItsEnd { .. }));
}

#[test]
fn a_deadline_that_nobody_keeps_is_caught() {
    assert_caught(Sabotage::ForgetsDeadlines, |violation| matches!(violation, Violation::Late { .. }));
}

#[test]
fn a_limit_of_an_array_that_is_forgotten_is_caught() {
    assert_caught(Sabotage::ForgetsThrottles, |violation| matches!(violation, Violation::Throttle { .. }));
}

#[test]
fn a_retry_that_is_forgotten_is_caught() {
    assert_caught(Sabotage::ForgetsRetries, |violation| matches!(violation, Violation::Retries { .. }));
}

#[test]
fn a_signal_that_is_lost_with_a_link_is_caught() {
    assert_caught(Sabotage::ForgetsSignals, |violation| matches!(violation, Violation::SignalLost { .. }));
}

#[test]
fn a_signal_that_comes_twice_is_caught() {
    assert_caught(Sabotage::ForgetsNumbers, |violation| matches!(violation, Violation::SignalledTwice { .. }));
}

#[test]
fn a_launcher_that_outlives_its_lease_is_caught() {
    assert_caught(Sabotage::OutlivesLease, |violation| {
        matches!(violation, Violation::CountedWhileLive(_) | Violation::LiveTwice { .. })
    });
}

#[test]
fn a_node_that_is_given_up_before_its_lease_is_over_is_caught() {
    assert_caught(Sabotage::GivesUpEarly, |violation| {
        matches!(violation, Violation::CountedWhileLive(_) | Violation::LiveTwice { .. })
    });
}

#[test]
fn a_noded_that_goes_on_after_its_lease_is_caught() {
    assert_caught_within(SEEDS_TO_CATCH_RARE, Sabotage::ForgetsLease, |violation| {
        matches!(violation, Violation::Unfenced(_) | Violation::CountedWhileLive(_))
    });
}
