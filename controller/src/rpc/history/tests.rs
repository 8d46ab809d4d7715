//! What the listing takes from memory and from history.

use sched::event::Event;
use tokio::sync::mpsc;

use super::*;
use crate::history::tests::{cluster_with, fat_job, run};
use crate::journal::{Commit, MemoryJournal};
use crate::rpc::listing::Outlet;

/// As many pages as a test here lists: they are read when all are made.
const PAGES: usize = 16;

/// The rows of a listing, as `state id_index`.
fn listed(cluster: &Cluster, journal: &dyn Journal, request: &v1::ListHistoryRequest) -> Vec<String> {
    let (sender, mut pages) = mpsc::channel(PAGES);
    let jobs = request.jobs.clone().unwrap_or_default();
    let (wanted, unknown) = find(cluster, &jobs.ids).expect("sound ids");
    let window = Window { from_ms: request.from_ms, until_ms: request.until_ms };
    let filter_of = v1::ListJobsRequest { states: Vec::new(), ..jobs.clone() };
    let mut outlet = Outlet::new(sender);
    let pager = Pager::new(&mut outlet, Vec::new());
    let sift = Sift { filter: Filter::new(&filter_of), window, states: &jobs.states, pager };
    let maker = RowMaker { cluster, detail: true, steps: true, starts: None, fields: Fields::ALL };
    let mut listing = Listing { cluster, journal, maker, sift, duplicates: request.duplicates };
    let done = match wanted {
        None => listing.everything(),
        Some(wanted) => listing.named(&wanted, &unknown),
    };
    done.and_then(|()| listing.sift.pager.send()).ok().expect("someone listens");
    drop(listing);
    let mut texts = Vec::new();
    while let Ok(page) = pages.try_recv() {
        let text = |row: v1::JobRow| {
            let index = row.index.map_or(row.remainder.clone(), |index| index.to_string());
            format!("{} {}_{index}", row.state().as_str_name().trim_start_matches("JOB_STATE_"), row.id)
        };
        texts.extend(page.expect("a page").rows.into_iter().map(text));
    }
    texts
}

/// Job 7 with one task that failed and a remainder that was cancelled; forgotten when asked.
fn history(forget: bool) -> (Cluster, MemoryJournal) {
    let job = JobId(7);
    let mut cluster = cluster_with(job, fat_job("0-5"));
    run(&mut cluster, job, 0, 2);
    let at = Timestamp(1_800_000_060_000);
    let tasks = cluster.job(job).expect("there").pending.clone();
    cluster.apply(at, &Event::Cancelled { job, tasks, uid: 9 });
    let journal = MemoryJournal::default();
    let rows = history::rows(&cluster, cluster.job(job).expect("there"));
    let rows: Vec<_> = rows.iter().map(history::OwnedRow::borrowed).collect();
    journal
        .append(&Commit { epoch: 1, sequence: 0, record: b"r", history: &rows, dropped_blobs: &[] })
        .expect("stored");
    if forget {
        cluster.apply(at, &Event::Forgotten { job });
    }
    (cluster, journal)
}

fn request(ids: &[&str], states: &[v1::JobState]) -> v1::ListHistoryRequest {
    let ids = ids.iter().map(ToString::to_string).collect();
    let states = states.iter().map(|state| (*state).into()).collect();
    let jobs = v1::ListJobsRequest { ids, states, ..v1::ListJobsRequest::default() };
    v1::ListHistoryRequest { jobs: Some(jobs), from_ms: 0, until_ms: i64::MAX, duplicates: false }
}

#[test]
fn a_job_reads_the_same_from_memory_and_from_history() {
    let (present, past) = (history(false), history(true));
    let both = ["FAILED 8_0", "CANCELLED 7_1-5"];
    for (ids, states, expected) in [
        (&[][..], &[][..], &both[..]),
        (&["7"], &[], &both),
        (&["7_0"], &[], &both[..1]),
        (&["7_[0,3]", "9"], &[], &["FAILED 8_0", "CANCELLED 7_3"]),
        (&["8"], &[], &both[..1]),
        (&["4711"], &[], &[]),
        (&[], &[v1::JobState::Failed], &both[..1]),
        (&[], &[v1::JobState::Running], &both[..1]),
        (&[], &[v1::JobState::Timeout], &[]),
    ] {
        for (cluster, journal) in [&present, &past] {
            let mut rows = listed(cluster, journal, &request(ids, states));
            rows.sort_by_key(|row| row.starts_with('C'));
            assert_eq!(rows, expected, "{ids:?} {states:?}");
        }
    }
}

#[test]
fn a_window_takes_what_was_there_at_some_moment_of_it() {
    let row = |submitted_ms, started_ms, ended_ms| v1::JobRow {
        state: v1::JobState::Failed.into(),
        submitted_ms,
        started_ms,
        ended_ms,
        ..v1::JobRow::default()
    };
    let window = Window { from_ms: 100, until_ms: 200 };
    let [pending, running, failed] =
        [v1::JobState::Pending, v1::JobState::Running, v1::JobState::Failed].map(i32::from);
    for (row, any, was_pending, was_running, has_failed) in [
        (row(10, 20, 99), false, false, false, false),
        (row(10, 20, 100), true, false, true, true),
        (row(10, 150, 300), true, true, true, false),
        (row(200, 250, 300), true, true, false, false),
        (row(201, 250, 300), false, false, false, false),
        (row(10, 20, 0), true, false, true, true),
        (row(10, 0, 150), true, true, false, true),
    ] {
        let takes = |states: &[i32]| window.takes(&row, states);
        let found = (takes(&[]), takes(&[pending]), takes(&[running]), takes(&[failed]));
        assert_eq!(found, (any, was_pending, was_running, has_failed), "{row:?}");
    }
}

#[test]
fn runs_before_the_last_are_told_where_duplicates_are_asked_for() {
    let job = JobId(7);
    let mut cluster = cluster_with(job, fat_job("0-1"));
    run(&mut cluster, job, 0, 2);
    let at = Timestamp(1_800_000_060_000);
    let undone = Event::Undone { job, tasks: 0.into(), hold: None };
    let rows = history::runs(&cluster, at, &undone);
    cluster.apply(at, &undone);
    let rows: Vec<_> = rows.iter().map(history::OwnedRow::borrowed).collect();
    let journal = MemoryJournal::default();
    journal
        .append(&Commit { epoch: 1, sequence: 0, record: b"r", history: &rows, dropped_blobs: &[] })
        .expect("stored");
    let plain = |ids: &[&str]| request(ids, &[]);
    let twice = |ids: &[&str]| v1::ListHistoryRequest { duplicates: true, ..request(ids, &[]) };
    assert_eq!(listed(&cluster, &journal, &plain(&["7"])), ["PENDING 7_1", "PENDING 8_0"]);
    for ids in [&["7"][..], &[]] {
        assert_eq!(listed(&cluster, &journal, &twice(ids)), ["FAILED 8_0", "PENDING 7_1", "PENDING 8_0"], "{ids:?}");
    }
    assert_eq!(listed(&cluster, &journal, &twice(&["7_1"])), ["PENDING 7_1"]);
    // A job that is history itself is told with its runs.
    cluster.apply(at, &Event::Cancelled { job, tasks: IndexSet::from_iter([0, 1]), uid: 9 });
    let rows = history::rows(&cluster, cluster.job(job).expect("there"));
    let rows: Vec<_> = rows.iter().map(history::OwnedRow::borrowed).collect();
    let commit = Commit { epoch: 1, sequence: 1, record: b"r", history: &rows, dropped_blobs: &[] };
    journal.append(&commit).expect("stored");
    cluster.apply(at, &Event::Forgotten { job });
    let told = ["CANCELLED 7_1", "CANCELLED 8_0", "FAILED 8_0"];
    assert_eq!(listed(&cluster, &journal, &twice(&["7"])), told);
    assert_eq!(listed(&cluster, &journal, &plain(&["7"])), told[..2]);
}
