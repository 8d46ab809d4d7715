//! Rows as values to exact lines, and what is asked of the controller.

use std::ffi::OsString;

use clap::FromArgMatches;
use jiff::Zoned;
use jiff::tz::TimeZone;
use proto::v1::{JobDetail, JobRow, JobState, Usage};

use super::options::{Asked, Options, command};
use super::*;
use crate::failure::Outcome;

/// 2027-01-15 08:00:00 UTC.
const NOW_MS: i64 = 1_800_000_000_000;

fn row(id: u32, state: JobState) -> JobRow {
    JobRow {
        id,
        name: "train".into(),
        user: "ada".into(),
        uid: 1000,
        group: "users".into(),
        partition: "normal".into(),
        state: state.into(),
        reason: "None".into(),
        submitted_ms: NOW_MS - 100_000,
        eligible_ms: NOW_MS - 100_000,
        node_count: 1,
        cpus: 2,
        ..JobRow::default()
    }
}

fn ran(id: u32, state: JobState) -> JobRow {
    let usage = Usage { user_us: 1_234_567, system_us: 3_000, rss_kib_max: 1234, ..Usage::default() };
    JobRow {
        started_ms: NOW_MS - 90_000,
        ended_ms: NOW_MS - 25_000,
        nodes: "linux0".into(),
        batch_host: "linux0".into(),
        memory_held_mib: 4096,
        attempts: 1,
        usage: Some(usage),
        ..row(id, state)
    }
}

fn asked(words: &[&str]) -> Outcome<Asked> {
    let words: Vec<OsString> = words.iter().map(OsString::from).collect();
    let options = Options::from_arg_matches(&getopt::read(&mut command(), &words)?).expect("these options");
    let now = jiff::Timestamp::from_millisecond(NOW_MS).expect("a time").to_zoned(TimeZone::UTC);
    Asked::of(&options, &now)
}

/// What is printed for these rows, in the order in which they come.
fn printed(words: &[&str], rows: &[JobRow]) -> Vec<String> {
    let asked = asked(words).expect("all is well");
    let shown = Shown { now_ms: NOW_MS, cluster: "covey".into(), ..asked.shown.clone() };
    let mut lines = Vec::new();
    rows.iter().for_each(|row| add_lines(&asked, &shown, row, &mut lines));
    asked.heading().into_iter().chain(lines.into_iter().map(|(_, line)| line)).collect()
}

#[test]
fn the_default_table_is_slurms_to_the_letter() {
    let cancelled = JobRow { cancelled_by: Some(1000), exit_signal: 15, ..ran(12, JobState::Cancelled) };
    let waiting = JobRow { array_id: 84, remainder: "0-5".into(), throttle: 2, ..row(84, JobState::Pending) };
    let long = JobRow { name: "a-name-too-long".into(), exit_code: 3, ..ran(5, JobState::Failed) };
    assert_eq!(
        printed(&[], &[long, cancelled, waiting]),
        [
            "JobID           JobName  Partition    Account  AllocCPUS      State ExitCode ",
            "------------ ---------- ---------- ---------- ---------- ---------- -------- ",
            "5            a-name-to+     normal                     2     FAILED      3:0 ",
            "5.batch           batch                                2     FAILED      3:0 ",
            "12                train     normal                     2 CANCELLED+      0:0 ",
            "12.batch          batch                                2  CANCELLED     0:15 ",
            "84_[0-5%2]        train     normal                     0    PENDING      0:0 ",
        ]
    );
}

#[test]
fn fields_for_scripts_are_whole_and_delimited() {
    let cancelled = JobRow { cancelled_by: Some(1000), array_id: 10, index: Some(3), ..ran(12, JobState::Cancelled) };
    let fields = ["-X", "-n", "-o", "jobid,jobidraw,state", "-o", "elapsed,Reason"];
    let line = |style: &[&str]| printed(&[&fields[..], style].concat(), std::slice::from_ref(&cancelled));
    assert_eq!(line(&["-P"]), ["10_3|12|CANCELLED by 1000|00:01:05|None"]);
    assert_eq!(line(&["-p"]), ["10_3|12|CANCELLED by 1000|00:01:05|None|"]);
    assert_eq!(line(&["-P", "--delimiter", ";"]), ["10_3;12;CANCELLED by 1000;00:01:05;None"]);
    assert_eq!(printed(&["-P", "-o", "st,STATE,jobid"], &[]), ["Start|State|JobID"]);
    assert_eq!(printed(&["-n", "-X", "-o", "state%5,jobname%-8,jobidraw%4"], &[cancelled]), ["CANC+ train      12 "]);
}

#[test]
fn every_field_says_what_is_known_of_it() {
    let detail = JobDetail { work_dir: "/w".into(), stdout: "/w/slurm-5.out".into(), ..JobDetail::default() };
    let full = JobRow {
        detail: Some(detail),
        time_limit_minutes: Some(90),
        memory_mib: 1536,
        attempts: 2,
        gid: 100,
        ..ran(5, JobState::Timeout)
    };
    for (fields, allocation, step) in [
        ("user,uid,group,gid,cluster", "ada|1000|users|100|covey", "||||covey"),
        ("elapsedraw,cputime,cputimeraw", "65|00:02:10|130", "65|00:02:10|130"),
        ("timelimit,timelimitraw,restarts,planned", "01:30:00|90|1|00:00:10", "|||"),
        ("state,exitcode,derivedexitcode", "TIMEOUT|0:0|0:0", "CANCELLED|0:0|"),
        ("nnodes,ntasks,nodelist,ncpus,reqcpus", "1||linux0|2|2", "1|1|linux0|2|2"),
        ("reqmem,maxrss,averss", "1536M||", "|1234K|1234K"),
        ("alloctres", "billing=2,cpu=2,mem=4G,node=1", "cpu=2,mem=4G,node=1"),
        ("totalcpu,usercpu,systemcpu", "00:01.237|00:01.234|00:00.003", "00:01.237|00:01.234|00:00.003"),
        ("workdir,stdout,qos,maxvmsize,reservation", "/w|/w/slurm-5.out|||", "||||"),
    ] {
        assert_eq!(printed(&["-nP", "-o", fields], std::slice::from_ref(&full)), [allocation, step], "{fields}");
    }
    let sizes = |words: &[&str]| printed(&[&["-nPo", "reqmem,maxrss"], words].concat(), std::slice::from_ref(&full));
    assert_eq!(sizes(&["--units=G"]), ["1.50G|", "|0.00G"]);
    assert_eq!(sizes(&["--noconvert"]), ["1536M|", "|1263616"]);
    let times = |row| printed(&["-XnPo", "start,end,eligible,nodelist,alloccpus,elapsed"], &[row]);
    let never = JobRow { ended_ms: NOW_MS, ..row(1, JobState::Cancelled) };
    assert!(times(row(1, JobState::Pending))[0].starts_with("Unknown|Unknown|2027-01-1"));
    assert!(times(never)[0].starts_with("None|2027-01-1"));
    assert!(times(row(1, JobState::Pending))[0].ends_with("|None assigned|0|00:00:00"));
}

#[test]
fn steps_are_shown_as_they_were_named() {
    let rows = [ran(5, JobState::Completed), ran(6, JobState::Completed)];
    let ids = |words: &[&str]| printed(&[&["-nPo", "jobid"], words].concat(), &rows);
    assert_eq!(ids(&["-j5.batch,6"]), ["5.batch", "6", "6.batch"]);
    assert_eq!(ids(&["-j", "5.batch", "-j", "6.0"]), ["5.batch"]);
    assert_eq!(ids(&["-j5.batch,5"])[..2], ["5", "5.batch"]);
    assert_eq!(ids(&["-X", "-j5.batch"]), ["5", "6"]);
}

#[test]
fn options_become_a_request() {
    let request = |words: &[&str]| asked(words).expect("all is well").request;
    let jobs = |words: &[&str]| request(words).jobs.expect("always there");
    assert_eq!(jobs(&["-j", "5,6_1", "--jobs=7.batch", "-j8_[1-3]"]).ids, ["5", "6_1", "7", "8_[1-3]"]);
    assert_eq!(jobs(&["-u", "root,0", "--name=a,b", "-rdebug"]).users, ["root", "root"]);
    assert_eq!(jobs(&["-s", "f,COMPLETED"]).states, [JobState::Failed, JobState::Completed].map(i32::from));
    assert_eq!(jobs(&["-N", "n[1-2]"]).nodes, ["n1", "n2"]);
    assert!(asked(&["-A", "physics"]).expect("no account is nobody's").nobody);
    for (words, text) in [
        (&["-o", "jobid,bogus"][..], "sacct: error: Invalid field requested: \"bogus\"\n"),
        (&["-j", "abc"], "sacct: fatal: Bad job/step specified: abc\n"),
        (&["-s", "zz"], "sacct: error: Invalid job state specified: zz\n"),
        (&["-S", "soon"], "sacct: error: Invalid time specification: soon\n"),
        (&["-u", "nobody-of-this-name"], "sacct: error: Invalid user id: nobody-of-this-name\n"),
        (&["--units", "x"], "sacct: error: Invalid units type: give K, M, G, T or P\n"),
        (&["-S", "now", "-E", "now-1hour"], "sacct: error: End time is before the start time"),
        (&["--bogus"], "sacct: unrecognized option '--bogus'\n"),
    ] {
        let failure = asked(words).err().expect(text);
        assert!(failure.text().starts_with(text) && failure.code() == 1, "{}", failure.text());
    }
    let elsewhere = asked(&["-M", "covey,moon"]).expect("names are not known here").check_cluster("covey");
    assert!(elsewhere.expect_err("there is no moon").text().contains("'moon' can't be reached now"));
    assert!(asked(&["-M", "all"]).expect("all of one").check_cluster("covey").is_ok());
}

#[test]
fn the_window_has_slurms_defaults() {
    let midnight = NOW_MS - 8 * 3_600_000;
    for (words, from_ms, until_ms) in [
        (&[][..], midnight, i64::MAX),
        (&["-j1"], 0, i64::MAX),
        (&["-j1", "-sF"], 0, i64::MAX),
        (&["-sF"], NOW_MS, i64::MAX),
        (&["-sF", "-Snow-1hour"], NOW_MS - 3_600_000, NOW_MS - 3_600_000),
        (&["-Snow-2days", "-E", "now"], NOW_MS - 2 * 86_400_000, NOW_MS),
        (&["-S", "07:00", "-E", "23:00"], midnight + 7 * 3_600_000, midnight + 23 * 3_600_000),
        (&["-S", "midnight"], midnight, i64::MAX),
        (&["-S", "2027-01-01", "-E2027-01-14T10:00"], midnight - 14 * 86_400_000, midnight - 14 * 3_600_000),
        (&["-S", "today"], midnight, i64::MAX),
    ] {
        let request = asked(words).expect("a window").request;
        assert_eq!((request.from_ms, request.until_ms), (from_ms, until_ms), "{words:?}");
    }
    let cut = printed(&["-TXnPoelapsedraw", "-Snow-1minute", "-Enow-50seconds"], &[ran(5, JobState::Completed)]);
    assert_eq!(cut, ["10"]);
    let now = Zoned::now();
    assert!(Asked::of(&Options::default(), &now).is_ok());
}
