//! Rows as values to exact lines, and what is asked of the controller.

mod formats;
mod reading;
mod stepping;

use std::ffi::OsString;

use clap::FromArgMatches;
use proto::v1::{JobDetail, JobState};

use super::columns::{COLUMNS, Shown};
use super::options::{DEFAULT, LONG, START};
use super::states::Wanted;
use super::*;
use crate::table::Format;

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

fn shown() -> Rc<Shown> {
    Rc::new(Shown { now_ms: 4_723_000, cluster: "lab".into(), noconvert: false, list_bytes_max: Some(64) })
}

fn lines(format: &str, rows: Vec<JobRow>, expand: bool) -> Vec<String> {
    let (format, unknown) = Format::letters(format, COLUMNS);
    assert!(unknown.is_empty(), "{unknown:?}");
    let shown = shown();
    let rows = rows.into_iter().flat_map(|row| rows_of(row, &shown, expand, false));
    std::iter::once(format.header()).chain(rows.map(|row| format.row(&row))).collect()
}

/// What words on the command line mean, with these variables.
fn asked(words: &[&str], variables: &[(&str, &str)]) -> Outcome<Asked> {
    let words: Vec<OsString> = words.iter().map(OsString::from).collect();
    let matches = getopt::read(&mut command(), &words)?;
    let options = Options::from_arg_matches(&matches).expect("the matches are of these options");
    let variable =
        |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    Asked::of(&options, &variable)
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
    let full = JobRow { memory_mib: 300, detail: Some(detail.into()), group: "users".into(), gid: 100, ..running(3) };
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
    let read = |words: &[&str]| asked(words, &[]).map(|asked| asked.request);
    let listing = read(&["-ahj5,6_1,", "-nx,y", "-p", "a", "-u", "root,0", "-w", "n[1-2]"]).expect("all is well");
    assert_eq!((listing.ids, listing.names), (vec!["5".into(), "6_1".to_owned()], vec!["x".into(), "y".to_owned()]));
    assert_eq!((listing.users, listing.ended), (vec!["root".into(), "root".to_owned()], false));
    assert_eq!(listing.nodes, ["n1", "n2"]);
    assert!(!read(&["--states=pd,RUNNING"]).expect("known states").ended);
    assert!(read(&["-tall"]).expect("all of them").ended && read(&["-t", "f"]).expect("a known state").ended);
    let listing = read(&["-A", "x,y", "-q", "high", "-R", "r"]).expect("lists");
    assert_eq!((listing.accounts.len(), listing.qos, listing.reservations), (2, vec!["high".into()], vec!["r".into()]));
    for (words, text) in [
        (&["-j", "abc"][..], "squeue: error: Invalid job id: abc\n"),
        (
            &["-t", "zz"],
            "squeue: error: Invalid job state specified: zz\nsqueue: error: Valid job states include: \
             PENDING,RUNNING,SUSPENDED,COMPLETED,CANCELLED,FAILED,TIMEOUT,NODE_FAIL,PREEMPTED,BOOT_FAIL,DEADLINE,\
             OUT_OF_MEMORY,COMPLETING,CONFIGURING,RESIZING,RESV_DEL_HOLD,REQUEUED,REQUEUE_FED,REQUEUE_HOLD,REVOKED,\
             SIGNALING,SPECIAL_EXIT,STAGE_OUT,STOPPED\n\n",
        ),
        (&["--bogus", "x"], "squeue: unrecognized option '--bogus'\n"),
        (&["-i", "0"], "squeue: error: --iterate=0\n\n"),
        (&["-S", "i,?"], "squeue: error: Invalid sort specification: ?\n"),
        (&["-sabc"], "squeue: error: Invalid job_step id: abc.??\n"),
        (&["-s1"], "squeue: error: Invalid job_step id: 1.??\n"),
        (&["--json=v0.0.39"], "squeue: fatal: Unable to find plugin: data_parser/v0.0.39\n"),
    ] {
        let failure = asked(words, &[]).expect_err(text);
        assert!(failure.text().starts_with(text), "{}", failure.text());
        assert_eq!(failure.code(), 1);
    }
}

#[test]
fn variables_stand_behind_the_command_line() {
    let header = |words: &[&str], variables: &[(&str, &str)]| match asked(words, variables).expect("known").table {
        Table::Jobs { format, .. } => format.header(),
        Table::Steps { format, .. } => format.header(),
        Table::Data(_) => String::new(),
    };
    let both = [("SQUEUE_FORMAT", "%i"), ("SQUEUE_FORMAT2", "name:,state:")];
    assert_eq!(header(&[], &both[..1]), "JOBID");
    assert_eq!(header(&[], &both), "NAMESTATE");
    assert_eq!(header(&["-o%j|"], &both), "NAME|");
    assert_eq!(header(&["-O", "jobid:8x"], &both[..1]), "JOBID   x");
    assert!(header(&["-l"], &both).ends_with("TIME_LIMI  NODES NODELIST(REASON)"));
    assert!(header(&["--start"], &both).contains("SCHEDNODES"));
    assert_eq!(header(&["--only-job-state"], &both), "             JOBID ST");
    assert_eq!(header(&["-s"], &both[1..]), "         STEPID     NAME PARTITION     USER      TIME NODELIST");
    let variables = [
        ("SQUEUE_USERS", "root"),
        ("SQUEUE_STATES", "all"),
        ("SQUEUE_PARTITION", "p"),
        ("SQUEUE_QOS", "q"),
        ("SQUEUE_ACCOUNT", "a"),
        ("SQUEUE_NAMES", "n"),
        ("SQUEUE_ARRAY", "1"),
        ("SQUEUE_PRIORITY", "1"),
        ("SLURM_BITSTR_LEN", "0"),
    ];
    let seen = asked(&[], &variables).expect("known");
    assert!(seen.by_task && seen.by_partition && seen.list_bytes_max.is_none() && seen.request.ended);
    assert_eq!(
        (seen.request.users.as_slice(), seen.request.qos.as_slice()),
        (&["root".to_owned()][..], &["q".into()][..])
    );
    let typed = asked(&["-tpd", "-u", "0,1", "--start"], &variables).expect("known");
    assert!(!typed.request.ended && typed.request.expected_starts && typed.request.users.len() == 2);
    assert!(asked(&["-a"], &[]).is_ok_and(|asked| !asked.request.skip_hidden));
    assert!(asked(&["--hide"], &[("SQUEUE_ALL", "1")]).is_ok_and(|asked| asked.request.skip_hidden));
}

#[test]
fn only_what_is_shown_is_asked_for() {
    let needs = |words: &[&str]| {
        let request = asked(words, &[]).expect("known").request;
        (request.detail, request.expected_starts, request.steps)
    };
    assert_eq!(needs(&[]), (false, false, false));
    assert_eq!(needs(&["-o%i %t %M %C %a %q"]), (false, false, false));
    assert_eq!(needs(&["-o%Z"]), (true, false, false));
    assert_eq!(needs(&["-O", "stdout"]), (true, false, false));
    assert_eq!(needs(&["-O", "starttime,tres-alloc"]), (false, true, false));
    assert_eq!(needs(&["-o%S", "-tR"]), (false, false, false));
    assert_eq!(needs(&["-S", "k"]), (true, false, false));
    assert_eq!(needs(&["-L", "matlab"]), (true, false, false));
    assert_eq!(needs(&["-s"]), (true, false, true));
    assert_eq!(needs(&["--json"]), (true, true, false));
}

#[test]
fn rows_are_kept_by_what_only_the_counter_looks_at() {
    let licensed = JobDetail { licenses: "matlab:2,abc:1".into(), ..JobDetail::default() };
    let row = JobRow { account: "lab".into(), qos: "high".into(), detail: Some(licensed.into()), ..running(1) };
    let keeps = |words: &[&str]| asked(words, &[]).expect("known").keeps(&row);
    assert!(keeps(&["-Ax,lab"]) && keeps(&["-qhigh"]) && keeps(&["-L", "abc"]) && keeps(&["-L", "x,matlab"]));
    let mine = JobRow { uid: rustix::process::getuid().as_raw(), ..row.clone() };
    let others = JobRow { uid: mine.uid + 1, ..row.clone() };
    let not_mine = asked(&["--notme"], &[]).expect("known");
    assert!(!not_mine.keeps(&mine) && not_mine.keeps(&others));
    assert!(!keeps(&["-Ax"]) && !keeps(&["-qx"]) && !keeps(&["-L", "mat"]) && !keeps(&["-Rr"]) && !keeps(&["-tPD"]));
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

#[test]
fn a_node_that_there_is_not_is_named() {
    let known = ["n1", "n2"].map(|name| NodeRow { name: name.into(), ..NodeRow::default() });
    let check = |names: &[&str]| check_nodes(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>(), &known);
    assert!(check(&["n2", "n1"]).is_ok());
    assert_eq!(check(&["n1", "n3", "n4"]).expect_err("n3").text(), "squeue: error: Invalid node name n3\n");
}
