//! `squeue -s`.

use proto::v1::{JobDetail, JobState, StepRow};

use super::super::steps::{ALL, COLUMNS, Line, Named, lines, sort};
use super::*;

fn step(number: u32, name: &str) -> StepRow {
    StepRow {
        step: number,
        name: name.into(),
        state: JobState::Running.into(),
        nodes: "linux[0-1]".into(),
        node_count: 2,
        tasks: 4,
        cpus: 8,
        started_ms: 4_000_000,
        ..StepRow::default()
    }
}

fn rows() -> Vec<JobRow> {
    let detail = Some(Box::new(JobDetail { batch: true, ..JobDetail::default() }));
    let ended = StepRow { ended_ms: 5, ..step(0, "done") };
    let job = JobRow { steps: vec![ended, step(1, "astep"), step(2, "bstep")], detail: detail.clone(), ..running(5) };
    let task = JobRow { id: 8, array_id: 7, index: Some(3), detail, partition: "early".into(), ..running(8) };
    vec![job, task, row(9, JobState::Pending)]
}

fn table(format: &str, keys: &str, named: &str) -> Vec<String> {
    let mut found: Vec<Line> = rows().into_iter().flat_map(|row| lines(row, &shown())).collect();
    let named = Named::read(named).expect("names of steps");
    found.retain(|line| named.keeps(line));
    sort(&mut found, keys);
    let (format, unknown) = Format::letters(format, COLUMNS);
    assert!(unknown.is_empty(), "{unknown:?}");
    std::iter::once(format.header()).chain(found.iter().map(|line| format.row(line))).collect()
}

#[test]
fn the_table_of_steps_is_slurms_to_the_letter() {
    assert_eq!(
        table(super::super::options::STEPS, "P,i", ""),
        [
            "         STEPID     NAME PARTITION     USER      TIME NODELIST",
            "      7_3.batch    batch     early      ada   1:02:03 linux0",
            "            5.1    astep    normal      ada     12:03 linux[0-1]",
            "            5.2    bstep    normal      ada     12:03 linux[0-1]",
            "        5.batch    batch    normal      ada   1:02:03 linux0",
        ]
    );
}

#[test]
fn letters_and_names_of_steps_are_their_own() {
    let header = "TRES_PER_JOB|STEPID|NAME|TIME_LIMIT|USER|TASKS|TIME|NODELIST|PARTITION|START_TIME|UID|";
    assert_eq!(table(ALL, "i", "")[0], header);
    assert_eq!(table("%A %U %l", "i", "5.1")[1..], ["4 1000 UNLIMITED"]);
    let names = "StepID:|,StepName:|,StepState:|,NumTasks:|,NumCPUs:|,JobID:|,ArrayJobID:|,ArrayTaskID:|,Cluster:";
    let (format, unknown) = Format::names(names, COLUMNS);
    let task = lines(rows().remove(1), &shown());
    assert!(unknown.is_empty());
    assert_eq!(format.header(), "STEPID|NAME|STATE|TASKS|NUM_CPUS|JOB_ID|ARRAY_JOB_ID|ARRAY_TASK_ID|CLUSTER");
    assert_eq!(format.row(&task[0]), "7_3.batch|batch|RUNNING|1|0|8|7|3|lab");
    let (_, unknown) = Format::letters("%i %t", COLUMNS);
    assert_eq!(unknown, ["t"]);
}

#[test]
fn steps_are_chosen_by_name_and_sorted() {
    assert_eq!(
        table("%i", "-i", "5.1,5.batch,8.batch")[1..],
        ["8.batch", "5.batch", "5.1"].map(|id| id.replace("8.", "7_3."))
    );
    assert_eq!(table("%i", "i", "7_3.batch")[1..], ["7_3.batch"]);
    assert_eq!(table("%i", "i", "99.0").len(), 1);
    assert_eq!(table("%j", "-j", "5.1,5.2")[1..], ["bstep", "astep"]);
    let Table::Steps { named, .. } = asked(&["-s", "-n", "bstep,x"], &[]).expect("known").table else {
        panic!("steps were asked for")
    };
    let mut found: Vec<Line> = rows().into_iter().flat_map(|row| lines(row, &shown())).collect();
    found.retain(|line| named.keeps(line));
    assert_eq!(found.len(), 1, "names are those of steps");
    assert_eq!(Named::read("5.1,6_2.batch").expect("steps").jobs(), ["5", "6_2"]);
}
