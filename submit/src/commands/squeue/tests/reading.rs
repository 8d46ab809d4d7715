//! What squeue asks for is all that it reads: a row with these fields alone makes the same lines, in the same order.

use proto::job_columns::{Fields, Packer, field, visit};
use proto::v1::{JobColumns, JobDetail};

use super::super::columns::{COLUMNS, Listed, Needs};
use super::super::{fields, lines::Lines};
use super::*;

/// A row in which every plain field says something.
fn told() -> JobRow {
    JobRow {
        id: 11,
        array_id: 10,
        index: Some(3),
        remainder: "4-9".into(),
        throttle: 2,
        group: "users".into(),
        gid: 100,
        completing: true,
        reason: "NonZeroExitCode".into(),
        note: "a note".into(),
        submitted_ms: 900_000,
        started_ms: 1_000_000,
        ended_ms: 2_000_000,
        time_limit_minutes: Some(90),
        nodes: "linux[0-1]".into(),
        node_count: 2,
        batch_host: "linux0".into(),
        cpus: 8,
        processes: 4,
        cpus_per_process: 3,
        memory_mib: 2048,
        memory_per_cpu: true,
        exit_code: 3,
        exit_signal: 9,
        cancelled_by: Some(7),
        attempts: 5,
        memory_held_mib: 1024,
        dependency: "singleton(unfulfilled)".into(),
        eligible_ms: 950_000,
        nice: -7,
        deadline_ms: 9_000_000,
        paused_ms: 60_000,
        suspended_ms: 1_500_000,
        expected_start_ms: 8_000_000,
        expected_nodes: "n[1-2]".into(),
        account: "lab".into(),
        qos: "high".into(),
        wckey: "key".into(),
        reservation: "resv".into(),
        derived_exit_code: 4,
        derived_exit_signal: 6,
        special_exit: true,
        requeued: true,
        ..row(11, JobState::Failed)
    }
}

/// That row as it would be in other states.
fn rows() -> Vec<JobRow> {
    let plain = JobRow { array_id: 0, index: None, remainder: String::new(), throttle: 0, ..told() };
    let still = JobRow { completing: false, special_exit: false, ..plain.clone() };
    let runs = JobRow { state: JobState::Running.into(), ended_ms: 0, suspended_ms: 0, paused_ms: 0, ..still.clone() };
    let waits = JobRow { state: JobState::Pending.into(), started_ms: 0, nodes: String::new(), ..runs.clone() };
    vec![
        told(),
        JobRow { index: None, state: JobState::Pending.into(), completing: false, ..told() },
        JobRow { ended_ms: 0, ..still.clone() },
        JobRow { time_limit_minutes: None, memory_per_cpu: false, user: "bob".into(), ..runs.clone() },
        JobRow { expected_start_ms: 0, partition: "long,short".into(), ..waits.clone() },
        JobRow { id: 5, attempts: 0, priority: 9, name: "other".into(), ..waits.clone() },
        plain,
        still,
        runs,
        waits,
        JobRow::default(),
    ]
}

fn packed(fields: Fields, rows: &[JobRow]) -> JobColumns {
    let mut packer = Packer::new(&fields.numbers()).expect("some plain fields");
    rows.iter().for_each(|row| packer.add(row));
    packer.take()
}

/// The rows as they come where only these fields were asked for.
fn reduced(fields: Fields, rows: &[JobRow]) -> Vec<JobRow> {
    // Which fields there are at all makes no difference, and none is no request.
    let mut reduced = Vec::new();
    let mut row = JobRow::default();
    visit(&packed(fields.with(field::NOTE), rows), &mut row, |row| row, |row| reduced.push(row.clone()))
        .expect("it is sound");
    reduced
}

#[test]
fn the_fields_of_each_column_are_all_that_it_reads() {
    let shown = shown();
    let listed = |row: &JobRow| Listed { row: row.clone(), shown: Rc::clone(&shown) };
    let mut without = Vec::new();
    for column in COLUMNS.iter().flat_map(|columns| columns.iter()) {
        let name = column.names[0];
        let Some(fields) = fields::of_column(column) else {
            without.push(name);
            continue;
        };
        for (full, reduced) in rows().iter().zip(&reduced(fields, &rows())) {
            assert_eq!(column.text(&listed(reduced)), column.text(&listed(full)), "{name} of {full:?}");
        }
    }
    // All others are made of the details.
    for name in without {
        assert!(Needs::of(&Format::names(name, COLUMNS).0).detail, "{name}");
    }
}

#[test]
fn a_column_reads_each_of_its_fields() {
    // One that is asked for in vain costs all listings: each must change the text of some row.
    let shown = shown();
    let texts = |column: &crate::table::Column<Listed>, rows: Vec<JobRow>| -> Vec<String> {
        rows.into_iter().map(|row| column.text(&Listed { row, shown: Rc::clone(&shown) })).collect()
    };
    for column in COLUMNS.iter().flat_map(|columns| columns.iter()) {
        let name = column.names[0];
        // The same fields are asked for with all that name a row.
        if matches!(name, "jobarrayid" | "arrayjobid" | "arraytaskid") {
            continue;
        }
        let numbers = fields::of_column(column).unwrap_or(Fields::NONE).numbers();
        for left_out in &numbers {
            let fewer: Vec<u32> = numbers.iter().copied().filter(|number| number != left_out).collect();
            let full = texts(column, rows());
            assert_ne!(texts(column, reduced(Fields::of(&fewer), &rows())), full, "{name} without field {left_out}");
        }
    }
}

#[test]
fn the_fields_of_each_key_are_all_that_it_compares() {
    let ids = |mut rows: Vec<JobRow>, keys: &str| {
        // Their places, since not every key has asked for numbers.
        rows.iter_mut().zip(1..).for_each(|(row, place)| row.cancelled_by = Some(place));
        order::sort(&mut rows, &order::keys(keys).expect("a known key"));
        rows.iter().map(|row| row.cancelled_by).collect::<Vec<_>>()
    };
    let mut with_details = 0;
    for letter in ('a'..='z').chain('A'..='Z').filter(|letter| order::keys(&letter.to_string()).is_ok()) {
        for keys in [letter.to_string(), format!("-{letter}")] {
            match fields::of_key(letter) {
                Some(fields) => assert_eq!(ids(reduced(fields, &rows()), &keys), ids(rows(), &keys), "{keys}"),
                None => with_details += usize::from(Needs::default().and_sort(&keys).detail),
            }
        }
    }
    assert_eq!(with_details, 2 * "bfknoWxZ".len());
}

#[test]
fn what_is_asked_for_is_what_the_table_reads() {
    let fields = |words: &[&str]| asked(words, &[]).expect("known").request.fields;
    let names = |words: &[&str]| Fields::of(&fields(words));
    let usual = names(&[]);
    for number in [field::ID, field::USER, field::NAME, field::PARTITION, field::REASON, field::PRIORITY] {
        assert!(usual.has(number), "{number}");
    }
    assert!(!usual.has(field::SUBMITTED_MS) && !usual.has(field::GROUP) && !usual.has(field::ACCOUNT));
    assert!(names(&["-S", "V"]).has(field::SUBMITTED_MS) && names(&["-S", "cluster,V"]).has(field::SUBMITTED_MS));
    assert!(names(&["-o%g"]).has(field::GROUP) && names(&["-O", "groupname"]).has(field::GROUP));
    assert!(names(&["-Alab"]).has(field::ACCOUNT) && names(&["-qhigh"]).has(field::QOS));
    assert!(names(&["-Rresv"]).has(field::RESERVATION) && names(&["--notme"]).has(field::UID));
    assert!(names(&["-o%t", "-r"]).has(field::REMAINDER) && names(&["-o%t", "-P"]).has(field::PARTITION));
    // Whole rows, as every other command has them.
    for words in [&["-o%Z"][..], &["-Sk"], &["-Lmatlab"], &["-s"], &["--json"]] {
        assert_eq!(fields(words), [0; 0], "{words:?}");
    }
}

#[test]
fn lines_of_columns_are_lines_of_rows() {
    let head = Head { now_ms: 4_723_000, cluster: "lab".into(), ..Head::default() };
    for words in [&[][..], &["-l"], &["--start"], &["-r"], &["-P"], &["-rP", "-S", "-u,i"], &["-o%all"], &["-Ax"]] {
        let asked = asked(words, &[]).expect("known");
        let Table::Jobs { format, keys, .. } = &asked.table else { panic!("{words:?} is no table of jobs") };
        let text = |pages: Vec<Page>| {
            let mut lines = Lines::new(&asked, format, keys);
            pages.into_iter().for_each(|page| lines.add(&head, page).expect("it is sound"));
            let mut text = Vec::new();
            lines.write(&["HEADING".into()], &mut text).expect("memory takes all");
            String::from_utf8(text).expect("it is text")
        };
        let whole = |rows: &[JobRow]| Page { rows: rows.to_vec(), columns: None };
        let columns = |rows: &[JobRow]| match Packer::new(&asked.request.fields) {
            None => whole(rows),
            Some(_) => Page { rows: Vec::new(), columns: Some(packed(Fields::of(&asked.request.fields), rows)) },
        };
        let rows = rows();
        let (first, second) = rows.split_at(4);
        let expected = text(vec![whole(&rows)]);
        assert_eq!(text(vec![columns(first), columns(second)]), expected, "{words:?}");
        assert_eq!(expected.lines().next(), Some("HEADING"));
        assert_eq!(expected.lines().count() > 1, words != ["-Ax"], "{words:?}");
    }
}

#[test]
fn a_detail_comes_with_its_row() {
    let asked = asked(&["-ho%i=%Z"], &[]).expect("known");
    let Table::Jobs { format, keys, .. } = &asked.table else { panic!("a table of jobs") };
    let detail = JobDetail { work_dir: "/w".into(), ..JobDetail::default() };
    let mut lines = Lines::new(&asked, format, keys);
    let rows = vec![JobRow { detail: Some(detail.into()), ..running(2) }, running(3)];
    lines.add(&Head::default(), Page { rows, columns: None }).expect("it is sound");
    let mut text = Vec::new();
    lines.write(&[], &mut text).expect("memory takes all");
    assert_eq!(text, b"2=/w\n3=(null)\n");
}
