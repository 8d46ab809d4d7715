//! Rows as values to exact lines, and what is asked of the controller.

use proto::v1::JobDetail;

use super::*;

fn row(id: u32, state: JobState) -> JobRow {
    JobRow {
        id,
        name: "train".into(),
        user: "ada".into(),
        uid: 1000,
        partition: "normal".into(),
        state: state.into(),
        reason: "None".into(),
        priority: 100,
        submitted_ms: 1_000_000,
        node_count: 1,
        cpus: 2,
        ..JobRow::default()
    }
}

fn running(id: u32) -> JobRow {
    JobRow { started_ms: 1_000_000, nodes: "linux0".into(), batch_host: "linux0".into(), ..row(id, JobState::Running) }
}

fn lines(format: &str, rows: Vec<JobRow>, expand: bool) -> Vec<String> {
    let format = Format::parse(format, COLUMNS).expect("the letters are known");
    let rows = rows.into_iter().flat_map(|row| rows_of(row, 4_723_000, expand));
    std::iter::once(format.header()).chain(rows.map(|row| format.row(&row))).collect()
}

#[test]
fn the_default_table_is_slurms_to_the_letter() {
    let remainder = JobRow {
        array_id: 84,
        remainder: "2-9".into(),
        throttle: 2,
        reason: "JobArrayTaskLimit".into(),
        ..row(84, JobState::Pending)
    };
    let task = JobRow { array_id: 84, index: Some(1), ..running(85) };
    let long = JobRow { name: "a-name-too-long".into(), partition: "afternoons".into(), ..running(12) };
    assert_eq!(
        lines(DEFAULT, vec![remainder, task, long], false),
        [
            "             JOBID PARTITION     NAME     USER ST       TIME  NODES NODELIST(REASON)",
            "        84_[2-9%2]    normal    train      ada PD       0:00      1 (JobArrayTaskLimit)",
            "              84_1    normal    train      ada  R    1:02:03      1 linux0",
            "                12 afternoon a-name-t      ada  R    1:02:03      1 linux0",
        ]
    );
}

#[test]
fn the_long_table_cuts_headers_and_words_but_no_times() {
    let limited = JobRow { time_limit_minutes: Some(365 * 24 * 60), ..running(1) };
    assert_eq!(
        lines(LONG, vec![limited, running(2)], false),
        [
            "             JOBID PARTITION     NAME     USER    STATE       TIME TIME_LIMI  NODES NODELIST(REASON)",
            "                 1    normal    train      ada  RUNNING    1:02:03 365-00:00:00      1 linux0",
            "                 2    normal    train      ada  RUNNING    1:02:03 UNLIMITED      1 linux0",
        ]
    );
}

#[test]
fn a_remainder_becomes_tasks_when_asked() {
    let remainder = JobRow { array_id: 6, remainder: "0,5-6".into(), ..row(6, JobState::Pending) };
    assert_eq!(lines("%i|%K|%F|%A", vec![remainder.clone()], true)[1..], ["6_0|0|6|6", "6_5|5|6|6", "6_6|6|6|6"]);
    assert_eq!(lines("%i|%K|%F|%A", vec![remainder, running(7)], false)[1..], ["6_[0,5-6]|0,5-6|6|6", "7|N/A|7|7"]);
}

#[test]
fn states_reasons_and_ends_read_as_in_slurm() {
    let failed = JobRow { reason: "NonZeroExitCode".into(), ended_ms: 1_021_000, ..running(1) };
    let failed = JobRow { state: JobState::Failed.into(), ..failed };
    let going = JobRow { completing: true, ..failed.clone() };
    let never = JobRow { ended_ms: 5, ..row(4, JobState::Cancelled) };
    let done = JobRow { state: JobState::Completed.into(), ..failed.clone() };
    assert_eq!(
        lines("%t %T %M %R", vec![failed, going, never, done], false)[1..],
        [
            "F FAILED 0:21 (NonZeroExitCode)",
            "CG COMPLETING 0:21 linux0",
            "CA CANCELLED 0:00 ",
            "CD COMPLETED 0:21 linux0"
        ]
    );
    let limited = JobRow { time_limit_minutes: Some(90), ..running(5) };
    assert_eq!(lines("%l %L %B", vec![limited], false)[1..], ["1:30:00 27:57 linux0"]);
    assert_eq!(lines("%S %e %B %L", vec![row(6, JobState::Pending)], false)[1..], ["N/A N/A n/a UNLIMITED"]);
    assert_eq!(lines("%e", vec![running(7)], false)[1..], ["NONE"]);
}

#[test]
fn every_letter_of_the_contract_prints_something_under_its_header() {
    let detail = JobDetail { work_dir: "/w".into(), command: "job.sh".into(), ..JobDetail::default() };
    let full = JobRow { memory_mib: 300, detail: Some(detail), group: "users".into(), gid: 100, ..running(3) };
    for (letters, header, values) in [
        ("%i %A %F %K", "JOBID JOBID ARRAY_JOB_ID ARRAY_TASK_ID", "3 3 3 N/A"),
        ("%t %T %j %u %U %a %P", "ST STATE NAME USER UID ACCOUNT PARTITION", "R RUNNING train ada 1000 (null) normal"),
        ("%D %C %m %b %N %r", "NODES CPUS MIN_MEMORY TRES_PER_NODE NODELIST REASON", "1 2 300M N/A linux0 None"),
        ("%Z %Q %Y %k %q %g", "WORK_DIR PRIORITY SCHEDNODES COMMENT QOS GROUP", "/w 100 (null) (null) (null) users"),
        ("%E %o %v %y %p", "DEPENDENCY COMMAND RESERVATION NICE PRIORITY", "(null) job.sh (null) 0 0.00000002328306"),
    ] {
        assert_eq!(lines(letters, vec![full.clone()], false), [header, values]);
    }
}

#[test]
fn rows_are_ordered_as_slurm_orders_them() {
    let other = JobRow { partition: "early".into(), ..running(9) };
    let urgent = JobRow { priority: 200, ..row(3, JobState::Pending) };
    let mut rows = vec![running(1), row(2, JobState::Pending), urgent, other];
    let mut ids = |keys: &str| {
        order::sort(&mut rows, &order::keys(keys).expect("known keys"));
        rows.iter().map(|row| row.id).collect::<Vec<_>>()
    };
    assert_eq!(ids(order::DEFAULT), [9, 3, 2, 1]);
    assert_eq!(ids("i"), [1, 2, 3, 9]);
    assert_eq!(ids("-i"), [9, 3, 2, 1]);
    assert_eq!(ids("+P -i"), [9, 3, 2, 1]);
    assert_eq!(order::keys("P,Ω").map(|_| ()), Err('Ω'));
}

#[test]
fn expected_starts_are_listed_where_they_are_known_the_earliest_first() {
    let expected =
        JobRow { expected_start_ms: 9_000_000, expected_nodes: "n[1-2]".into(), ..row(7, JobState::Pending) };
    let sooner = JobRow { expected_start_ms: 8_000_000, expected_nodes: String::new(), ..expected.clone() };
    let mut rows = vec![row(5, JobState::Pending), expected, JobRow { id: 6, ..sooner }];
    order::sort(&mut rows, &order::keys("S").expect("a known key"));
    let [sooner, later] = [8_000_000, 9_000_000].map(|at| crate::show::time(at).expect("a time"));
    let table = lines(START, rows, false);
    assert_eq!(
        table,
        [
            "             JOBID PARTITION     NAME     USER ST          START_TIME  NODES SCHEDNODES           NODELIST(REASON)"
                .to_owned(),
            format!("                 6    normal    train      ada PD {sooner}      1 (null)               (None)"),
            format!("                 7    normal    train      ada PD {later}      1 n[1-2]               (None)"),
            "                 5    normal    train      ada PD                 N/A      1 (null)               (None)".to_owned(),
        ]
    );
}

#[test]
fn options_become_a_request() {
    let read = |words: &[&str]| {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        let matches = getopt::read(&mut command(), &words)?;
        let options = Options::from_arg_matches(&matches).expect("the matches are of these options");
        let states = Wanted::read(options.states.as_deref().unwrap_or_default())?;
        request(&options, &states)
    };
    let listing = read(&["-ahj5,6_1,", "-nx,y", "-p", "a", "-u", "root,0", "-w", "n[1-2]"]).expect("all is well");
    assert_eq!((listing.ids, listing.names), (vec!["5".into(), "6_1".to_owned()], vec!["x".into(), "y".to_owned()]));
    assert_eq!((listing.users, listing.ended), (vec!["root".into(), "root".to_owned()], false));
    assert_eq!(listing.nodes, ["n1", "n2"]);
    assert!(!read(&["--states=pd,RUNNING"]).expect("known states").ended);
    assert!(read(&["-tall"]).expect("all of them").ended && read(&["-t", "f"]).expect("a known state").ended);
    for (words, text) in [
        (["-j", "abc"], "squeue: error: Invalid job id: abc\n"),
        (["-t", "zz"], "squeue: error: Invalid job state specified: zz\n"),
        (["--bogus", "x"], "squeue: unrecognized option '--bogus'\n"),
    ] {
        let failure = read(&words).expect_err(text);
        assert!(failure.text().starts_with(text), "{}", failure.text());
    }
}

#[test]
fn a_choice_of_states_keeps_what_was_chosen() {
    let going = JobRow { completing: true, ..row(1, JobState::Cancelled) };
    let keeps = |list: &str, row: &JobRow| Wanted::read(list).expect("known states").keeps(row);
    assert!(keeps("", &going) && keeps("CG", &going) && keeps("ca", &going) && keeps("all", &going));
    let may_wait = |list: &str| Wanted::read(list).expect("known states").may_wait();
    assert!(may_wait("") && may_wait("r,pd") && may_wait("all") && !may_wait("R,CG"));
    assert!(!keeps("PD", &going) && !keeps("CF", &going) && !keeps("cg", &running(2)));
}
