//! What is told of one state, and of the next.

use sched::event::Event;
use sched::ids::Timestamp;

use super::*;
use crate::history::tests::{cluster_with, fat_job, run};

const JOB: JobId = JobId(7);

fn watched(request: v1::WatchJobsRequest, cluster: &Cluster) -> Arc<Watched> {
    Arc::new(read(cluster, request, 7).expect("sound").0)
}

fn of_ids(ids: &[&str]) -> v1::WatchJobsRequest {
    let ids = ids.iter().map(ToString::to_string).collect();
    v1::WatchJobsRequest { jobs: Some(v1::ListJobsRequest { ids, ..Default::default() }), ..Default::default() }
}

/// All news of a state: its pages, and of each row what it stands for with its state.
fn told(watched: &Arc<Watched>, before: Option<&Cluster>, cluster: &Cluster) -> (usize, Vec<String>, Vec<u32>) {
    let mut telling = Telling::new(watched.clone(), before, Arc::new(cluster.clone()));
    let pages: Vec<v1::JobsNews> = std::iter::from_fn(|| telling.next()).collect();
    assert!(pages.iter().rev().skip(1).all(|page| !page.complete) && pages.last().is_none_or(|page| page.complete));
    assert!(pages.iter().all(|page| page.encoded_len() < proto::CALL_MESSAGE_BYTES_MAX));
    let forgotten = pages.iter().flat_map(|page| page.forgotten.clone()).collect();
    let rows = pages.iter().flat_map(|page| &page.jobs).flat_map(|job| &job.rows);
    let text = |row: &v1::JobRow| {
        let index = row.index.map_or(row.remainder.clone(), |index| index.to_string());
        format!("{} {index}", row.state().as_str_name().trim_start_matches("JOB_STATE_"))
    };
    (pages.len(), rows.map(text).collect(), forgotten)
}

#[test]
fn the_first_state_is_told_whole_and_then_only_what_changes() {
    let mut cluster = cluster_with(JOB, fat_job("0-3"));
    run(&mut cluster, JOB, 0, 2);
    let all = watched(v1::WatchJobsRequest::default(), &cluster);
    assert_eq!(told(&all, None, &cluster), (1, vec!["PENDING 1-3".into(), "FAILED 0".into()], vec![]));
    assert_eq!(told(&all, Some(&cluster), &cluster).0, 0, "what has not changed is no news");

    let before = cluster.clone();
    run(&mut cluster, JOB, 1, 1);
    run(&mut cluster, JOB, 2, 1);
    let news = vec!["PENDING 3".into(), "FAILED 1".into(), "FAILED 2".into()];
    assert_eq!(told(&all, Some(&before), &cluster), (1, news, vec![]), "what happened between is told as one");

    let before = cluster.clone();
    let tasks = cluster.job(JOB).expect("there").pending.clone();
    cluster.apply(Timestamp(1_800_000_060_000), &Event::Cancelled { job: JOB, tasks, uid: 9 });
    assert_eq!(told(&all, Some(&before), &cluster), (1, vec!["CANCELLED 3".into()], vec![]));
    let before = cluster.clone();
    cluster.apply(Timestamp(1_800_000_900_000), &Event::Forgotten { job: JOB });
    assert_eq!(told(&all, Some(&before), &cluster), (1, vec![], vec![7]));
    assert_eq!(told(&all, None, &cluster), (1, vec![], vec![]), "a beginning is told even if there is nothing");
}

#[test]
fn only_what_was_asked_for_is_told() {
    let mut cluster = cluster_with(JOB, fat_job("0-9"));
    run(&mut cluster, JOB, 0, 1);
    let some = watched(of_ids(&["7_[0-2]"]), &cluster);
    assert_eq!(told(&some, None, &cluster).1, ["PENDING 1-2", "FAILED 0"]);
    assert!(!some.is_done(&cluster));
    let before = cluster.clone();
    run(&mut cluster, JOB, 5, 1);
    assert_eq!(told(&some, Some(&before), &cluster).1, ["PENDING 1-2"], "no row of another task");
    (1..3).for_each(|index| run(&mut cluster, JOB, index, 1));
    assert!(some.is_done(&cluster), "though others of the job still wait");

    let mine = |uid| {
        let request = v1::WatchJobsRequest { mine: true, ..Default::default() };
        Arc::new(read(&cluster, request, uid).expect("sound").0)
    };
    assert_eq!((told(&mine(7), None, &cluster).1.len(), told(&mine(8), None, &cluster).1.len()), (5, 0));
}

#[test]
fn large_news_come_in_pages() {
    let mut cluster = cluster_with(JOB, fat_job("0-199"));
    (0..200).for_each(|index| run(&mut cluster, JOB, index, 1));
    let mut request = of_ids(&["7"]);
    request.jobs = request.jobs.map(|jobs| v1::ListJobsRequest { detail: true, ..jobs });
    let (pages, rows, _) = told(&watched(request, &cluster), None, &cluster);
    assert_eq!((pages, rows.len()), (7, 200), "each page ends with the chunk that filled it");
}

#[test]
fn what_cannot_be_watched_is_refused() {
    let cluster = cluster_with(JOB, fat_job("0-3"));
    let refusal = |request| proto::error::reason(&read(&cluster, request, 7).map(drop).expect_err("refused"));
    let jobs = |jobs| v1::WatchJobsRequest { jobs: Some(jobs), ..Default::default() };
    for bad in [
        v1::ListJobsRequest { states: vec![1], ..Default::default() },
        v1::ListJobsRequest { nodes: vec!["n1".into()], ..Default::default() },
        v1::ListJobsRequest { steps: true, ..Default::default() },
    ] {
        assert_eq!(refusal(jobs(bad)), Some(ErrorReason::FieldInvalid));
    }
    assert_eq!(refusal(of_ids(&["8", "9_1"])), Some(ErrorReason::UnknownJob));
    let endless = v1::WatchJobsRequest { until_done: true, ..Default::default() };
    assert_eq!(refusal(endless), Some(ErrorReason::FieldMissing));
    assert_eq!(read(&cluster, of_ids(&["7", "8"]), 7).expect("one is there").1, ["8"]);
}

#[test]
fn a_user_has_so_many_streams_and_gets_them_back() {
    let uid = 4_000_000;
    let seats: Vec<_> = (0..STREAMS_OF_ONE_MAX).map(|_| seat(uid).expect("free")).collect();
    let refusal = seat(uid).map(drop).expect_err("one too many");
    assert_eq!(proto::error::reason(&refusal), Some(ErrorReason::TooManyStreams));
    drop(seats);
    assert!(seat(uid).is_ok());
}
