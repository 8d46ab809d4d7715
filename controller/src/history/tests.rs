//! Rows of jobs as large as they may be, and back.

use sched::devices::Devices;
use sched::event::{Event, Placement};
use sched::ids::{AttemptKey, BlobHash, RequestId, StepKey};
use sched::node::Offer;
use sched::reason::{Ending, NOTE_BYTES_MAX, Outcome};
use sched::resources::{Amount, Cpus};
use sched::spec::duration::TimeLimit;
use sched::spec::job::{Request, TEXT_BYTES_MAX as FIELD_BYTES_MAX};
use sched::spec::labels::Labels;
use sched::spec::step::StepDraft;
use sched::steps::Part;
use sched::task::Usage;
use sched::terms::Terms;

use super::*;

const AT: Timestamp = Timestamp(1_800_000_000_000);

/// A job with every field as long as it may be, of these tasks.
pub(crate) fn fat_job(tasks: &str) -> JobSpec {
    let long = || "x".repeat(FIELD_BYTES_MAX);
    let path = format!("/{}", "x".repeat(FIELD_BYTES_MAX - 1));
    let draft = JobDraft {
        name: long().into(),
        user: User { uid: 7, gid: 7, name: long().into(), group: long().into() }.into(),
        partitions: vec![long().into()],
        array: Some(ArraySpec::parse(tasks, INDEX_MAX).expect("a list")),
        request: Request::default().into(),
        time_limit: Some(TimeLimit::Unlimited),
        work: Work::Command(vec![long(); 100]).into(),
        map: Some(Map { from: long(), to: long(), output_name: long(), manifest: BlobHash([1; 32]) }.into()),
        environment: BlobHash([2; 32]),
        files: Files {
            work_dir: path,
            stdin: Some(long()),
            stdout: Some(long()),
            stderr: Some(long()),
            append: false,
            umask: 0,
        }
        .into(),
        requeue: true,
        hold: false,
        begin: None,
        dependency: None,
        kill_on_invalid_dep: false,
        comment: long(),
        export: long(),
        origin: Origin { host: long(), dir: long(), command: long(), line: long(), session: 1 }.into(),
        nice: 0,
        priority: None,
        deadline: None,
        retry: None,
        warning: None,
        labels: Labels {
            account: long(),
            qos: long(),
            wckey: long(),
            reservation: long(),
            extra: long(),
            admin_comment: long(),
            mail_user: long(),
            ..Labels::default()
        }
        .into(),
        limits: Vec::new().into(),
        time_min: None,
        login_environment: false,
        inject_failure: None,
        bytes: 0,
    };
    draft.check().expect("in bounds")
}

/// A cluster in which this job has been submitted.
pub(crate) fn cluster_with(job: JobId, spec: JobSpec) -> Cluster {
    let mut cluster = Cluster::default();
    let (spec, partitions, time_limit) = (Arc::new(spec), vec!["debug".into()], TimeLimit::Unlimited);
    let terms =
        Arc::new(Terms { spec, partitions: partitions.into(), time_limit, priority: 0, fixed: false, revision: 0 });
    cluster.apply(AT, &Event::Submitted { job, request: RequestId(1), terms });
    cluster
}

/// Runs a task of a job over so many nodes, and ends it.
pub(crate) fn run(cluster: &mut Cluster, job: JobId, index: u32, nodes: u32) {
    let amount = Amount { cpus: Cpus::whole(1), memory_mib: 10, ..Amount::default() };
    for node in 1..=nodes {
        let name = format!("node-{}-{node}", node * 7919 % 65_536).into();
        let offer = Offer {
            amount: Amount { cpus: Cpus::whole(1_000), memory_mib: 100_000, ..Amount::default() },
            spool: 1,
            address: "here".into(),
            ..Offer::default()
        };
        if cluster.node(NodeId(node)).is_none() {
            cluster.apply(
                AT,
                &Event::NodeRegistered {
                    node: NodeId(node),
                    name,
                    offer: offer.into(),
                    unwanted: Vec::new(),
                    unwanted_steps: Vec::new(),
                    patience_ms: 0,
                },
            );
        }
    }
    let shares: Arc<[Share]> = (1..=nodes)
        .map(|node| Share { node: NodeId(node), processes: 1, amount, devices: Devices::default() })
        .collect();
    let key = AttemptKey { job, index, attempt: 1 };
    let placements = vec![Placement { index, id: JobId(job.0 + 1 + index), attempt: 1, shares, partition: None }];
    cluster.apply(AT.plus_ms(1_000), &Event::Started { job, placements });
    let note = Some("n".repeat(NOTE_BYTES_MAX).into());
    let outcome = Outcome { note, ..Outcome::bare(Ending::Failed) };
    let ended = Event::Ended { key, node: NodeId(1), outcome, age_ms: 0, usage: Usage::default() };
    cluster.apply(AT.plus_ms(2_000), &ended);
}

#[test]
fn the_largest_job_fits_its_rows_and_comes_back() {
    let job = JobId(7);
    let mut cluster = cluster_with(job, fat_job("0-99"));
    (0..60).for_each(|index| run(&mut cluster, job, index, if index == 59 { 3_000 } else { 2 }));
    // Every second of the rest, in as many ranges as possible.
    let tasks: IndexSet = ArraySpec::parse("60-99", INDEX_MAX).expect("a list").tasks().clone();
    cluster.apply(AT.plus_ms(3_000), &Event::Cancelled { job, tasks, uid: 9 });
    let job = cluster.job(job).expect("it is there");
    let rows = rows(&cluster, job);
    assert!(rows.iter().all(|row| row.value.len() <= HISTORY_VALUE_BYTES_MAX && row.day == 20_833));
    let past = |row: &OwnedRow| PastRow { day: row.day, key: row.key.clone(), value: row.value.clone() };
    let mut indices = Vec::new();
    for (at, row) in rows.iter().enumerate() {
        match read(&past(row)).expect("it opens") {
            Past::Job(past) => {
                assert_eq!((at, past.id, past.tally, past.ended), (0, job.id, job.tally, job.ended));
                assert_eq!((past.terms.spec.name.len(), past.is_array()), (TEXT_BYTES_MAX, true));
                assert_eq!(past.ended_waiting.map(|ended| ended.last.to_string()), Some("60-99".into()));
            }
            Past::Tasks(tasks) => indices.extend(tasks.into_iter().map(|task| {
                assert_eq!(
                    task.held,
                    Held::of(&cluster, &job.done.get(task.index).expect("done").shares)
                        .map(|held| Held { nodes: cut(&held.nodes, NODES_BYTES_MAX), ..held })
                );
                task.index
            })),
            Past::Run(run) => panic!("task {} ran once", run.task.index),
        }
    }
    assert_eq!(indices, (0..60).collect::<Vec<_>>());
}

#[test]
fn a_remainder_in_a_million_pieces_is_bounded() {
    let job = JobId(7);
    let mut cluster = cluster_with(job, fat_job("1-4000000:2"));
    let tasks = cluster.job(job).expect("it is there").pending.clone();
    cluster.apply(AT, &Event::Cancelled { job, tasks, uid: 9 });
    let rows = rows(&cluster, cluster.job(job).expect("it is there"));
    assert!(rows.len() == 1 && rows[0].value.len() <= HISTORY_VALUE_BYTES_MAX, "{} bytes", rows[0].value.len());
}

#[test]
fn a_job_that_is_too_large_for_its_row_keeps_less() {
    let cluster = cluster_with(JobId(7), fat_job("0-9"));
    let job = cluster.job(JobId(7)).expect("it is there");
    let full = job_row(job, &|job| pack(job), HISTORY_VALUE_BYTES_MAX).expect("it fits");
    let bare = job_row(job, &|job| pack(job), full.len() - 1).expect("less of it fits");
    let name = |value: Vec<u8>| match read(&PastRow { day: 1, key: vec![0; 8], value }) {
        Ok(Past::Job(job)) => job.terms.spec.name.len(),
        _ => panic!("a job's row"),
    };
    assert_eq!((name(full), bare.len() < 4_096), (TEXT_BYTES_MAX, true));
    assert_eq!(name(bare), SHORT_TEXT_BYTES_MAX);
    assert!(job_row(job, &|job| pack(job), 100).is_none());
}

#[test]
fn all_steps_of_a_task_are_kept_over_as_many_rows_as_they_need() {
    const STEPS: u32 = 3_000;
    let job = JobId(7);
    let mut cluster = cluster_with(job, fat_job("0-1"));
    (0..2).for_each(|index| run(&mut cluster, job, index, 2));
    let tasks = IndexSet::from(1);
    cluster.apply(AT, &Event::Undone { job, tasks, hold: None });
    let amount = Amount { cpus: Cpus::whole(1), memory_mib: 10, ..Amount::default() };
    let shares: Arc<[Share]> = Arc::new([Share { node: NodeId(1), processes: 1, amount, devices: Devices::default() }]);
    let placements = vec![Placement { index: 1, id: JobId(9), attempt: 2, shares, partition: None }];
    cluster.apply(AT, &Event::Started { job, placements });
    let attempt = AttemptKey { job, index: 1, attempt: 2 };
    let draft = StepDraft { name: "s".repeat(99), words: vec!["x".into()], work_dir: "/".into(), ..Default::default() };
    let spec = Arc::new(draft.check().expect("in bounds"));
    let node = NodeId(1);
    for step in 0..STEPS {
        let key = StepKey { attempt, step };
        let parts = Arc::new([Part { node, first_task: 0, tasks: 1, cpus: Cpus::whole(1) }]);
        let request = RequestId(step.into());
        cluster.apply(AT, &Event::StepCreated { key, request, spec: spec.clone(), parts, secret: 1 });
        let outcome = Outcome { exit: Exit { code: 3, signal: 0 }, ..Outcome::bare(Ending::Failed) };
        cluster.apply(AT, &Event::StepPartEnded { key, node, outcome, usage: Usage::default(), age_ms: 0 });
    }
    let outcome = Outcome::bare(Ending::Completed);
    cluster.apply(AT, &Event::Ended { key: attempt, node, outcome, age_ms: 0, usage: Usage::default() });
    let rows = rows(&cluster, cluster.job(job).expect("it is there"));
    assert!(rows.len() > 3 && rows.iter().all(|row| row.value.len() <= HISTORY_VALUE_BYTES_MAX));
    let past = |row: &OwnedRow| PastRow { day: row.day, key: row.key.to_vec(), value: row.value.clone() };
    let tasks = rows.iter().flat_map(|row| match read(&past(row)).expect("it opens") {
        Past::Job(past) => {
            assert!(past.steps.is_empty());
            Vec::new()
        }
        Past::Tasks(tasks) => tasks,
        Past::Run(_) => panic!("no run was put aside"),
    });
    let tasks: Vec<PastTask> = tasks.collect();
    assert_eq!(tasks.iter().filter(|task| !task.more).map(|task| task.index).collect::<Vec<_>>(), [0, 1]);
    let steps: Vec<u32> = tasks.iter().flat_map(|task| &task.steps).map(|step| step.number).collect();
    assert_eq!(steps, (0..STEPS).collect::<Vec<_>>());
    assert_eq!(tasks[1].steps[0].name.len(), SHORT_TEXT_BYTES_MAX);
}
