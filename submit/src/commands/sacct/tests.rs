//! Rows as values to exact lines, and what is asked of the controller.

use std::ffi::OsString;

use clap::FromArgMatches;
use jiff::Zoned;
use jiff::tz::TimeZone;
use proto::v1::{JobDetail, JobRow, JobState, StepRow, Usage};

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
    let detail =
        JobDetail { batch: true, work_dir: "/w".into(), stdout: "/w/slurm-5.out".into(), ..JobDetail::default() };
    let full = JobRow {
        detail: Some(detail.into()),
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
    assert!(asked(&["-x", "5"]).expect("no association has a number").nobody);
    for (words, text) in [
        (&["-o", "jobid,bogus"][..], "sacct: error: Invalid field requested: \"bogus\"\n"),
        (&["-j", "abc"], "sacct: fatal: Bad job/step specified: abc\n"),
        (&["-s", "zz"], "sacct: error: Invalid job state specified: zz\n"),
        (&["-i", "4-2"], "sacct: error: invalid node range -i '4-2'\n"),
        (&["-k", "soon"], "sacct: fatal: Invalid time limit specification\n"),
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

/// Job 5, an allocation of three nodes with two steps, one of which runs.
fn stepped() -> JobRow {
    let usage = |user_us, rss_kib_max| Some(Usage { user_us, rss_kib_max, bytes_in: 10, ..Usage::default() });
    let step = StepRow {
        step: 0,
        name: "mpi".into(),
        state: JobState::Failed.into(),
        nodes: "n[1-2]".into(),
        node_count: 2,
        tasks: 4,
        cpus: 8,
        started_ms: NOW_MS - 60_000,
        ended_ms: NOW_MS - 30_000,
        exit_code: 7,
        usage: usage(8_000_000, 2048),
        ..StepRow::default()
    };
    let last = StepRow {
        step: 1,
        state: JobState::Running.into(),
        nodes: "n1".into(),
        node_count: 1,
        tasks: 1,
        ended_ms: 0,
        exit_code: 0,
        usage: None,
        ..step.clone()
    };
    let detail = JobDetail { gres_per_node: "gres/gpu:a100:2,gres/fpga:1".into(), ..JobDetail::default() };
    JobRow {
        account: "physics".into(),
        qos: "normal".into(),
        nodes: "n[1-3]".into(),
        node_count: 3,
        ended_ms: 0,
        usage: usage(1_000_000, 1024),
        derived_exit_code: 7,
        detail: Some(detail.into()),
        steps: vec![step, last],
        ..ran(5, JobState::Running)
    }
}

#[test]
fn steps_have_rows_of_their_own() {
    let rows = [stepped()];
    assert_eq!(
        printed(&[], &rows),
        [
            "JobID           JobName  Partition    Account  AllocCPUS      State ExitCode ",
            "------------ ---------- ---------- ---------- ---------- ---------- -------- ",
            "5                 train     normal    physics          2    RUNNING      0:0 ",
            "5.0                 mpi               physics          8     FAILED      7:0 ",
            "5.1                 mpi               physics          8    RUNNING      0:0 ",
        ]
    );
    for (fields, lines) in [
        ("elapsed,ntasks,nnodes,nodelist", ["00:01:30||3|n[1-3]", "00:00:30|4|2|n[1-2]", "00:01:00|1|1|n1"]),
        ("maxrss,maxrssnode,averss,avecpu,mincpu", ["||||", "2M|||00:00:02|", "||||"]),
        ("totalcpu,derivedexitcode,qos", ["00:09.000|7:0|normal", "00:08.000||", "||"]),
        (
            "alloctres",
            ["billing=2,cpu=2,gres/fpga=3,gres/gpu=6,gres/gpu:a100=6,mem=12G,node=3", "cpu=8,node=2", "cpu=8,node=1"],
        ),
        ("tresusageoutave,tresusageintot,end", ["||Unknown", "fs/disk=0||", "||Unknown"]),
    ] {
        let told = printed(&["-nP", "-o", fields], &rows);
        assert!(told[0] == lines[0] && told[1].starts_with(lines[1]) && told[2] == lines[2], "{fields}: {told:?}");
    }
    let ids = |words: &[&str]| printed(&[&["-nPo", "jobid"], words].concat(), &rows);
    assert_eq!(
        (ids(&["-j5.1"]), ids(&["-X"]), ids(&["-j", "5.batch"])),
        (vec!["5.1".into()], vec!["5".into()], vec![])
    );
}

#[test]
fn what_is_not_asked_for_is_left_out() {
    let limited = JobRow { time_limit_minutes: Some(60), wckey: "w".into(), gid: 7, ..stepped() };
    let count = |words: &[&str]| printed(&[&["-Xn"], words].concat(), std::slice::from_ref(&limited)).len();
    for (words, lets_pass) in [
        (&["-A", "physics,chemistry"][..], true),
        (&["-A", "chemistry"], false),
        (&["-q", "normal"], true),
        (&["-q", "high"], false),
        (&["-W", "w", "-g", "7"], true),
        (&["--gid=users"], true),
        (&["-g", "8"], false),
        (&["-R", "None"], true),
        (&["-R", "Dependency"], false),
        (&["-C", "bigmem"], false),
        (&["-i", "2-4"], true),
        (&["-i", "2"], false),
        (&["-I2"], true),
        (&["-I", "3-9"], false),
        (&["-k", "1:00:00"], true),
        (&["-k", "30"], false),
        (&["-k", "30", "-K", "2-0"], true),
        (&["-K", "30"], true),
    ] {
        assert_eq!(count(words), usize::from(lets_pass), "{words:?}");
    }
}

#[test]
fn the_list_of_what_waits_is_as_long_as_asked_for() {
    let list = (0..60).filter(|index| index % 3 != 1).map(|index| index.to_string()).collect::<Vec<_>>().join(",");
    let waiting = JobRow { array_id: 84, remainder: list, throttle: 2, ..row(84, JobState::Pending) };
    let id = |list_bytes| {
        let shown = Shown { list_bytes, ..Shown::default() };
        Entry::all(&waiting, &shown).next().expect("an allocation").id(false)
    };
    assert!(id(Some(0)).ends_with(",56-57,59%2]") && id(Some(0)).len() > 100, "{}", id(Some(0)));
    assert!(id(None).ends_with("...%2]") && id(Some(20)).len() < 32, "{} {}", id(None), id(Some(20)));
}

#[test]
fn runs_that_were_requeued_say_so() {
    assert!(asked(&["-D"]).expect("all is well").request.duplicates);
    let requeued = JobRow { requeued: true, ..ran(5, JobState::NodeFail) };
    assert_eq!(printed(&["-nPo", "jobid,state"], &[requeued]), ["5|REQUEUED", "5.batch|CANCELLED"]);
}

#[test]
fn what_client_programs_ask_is_understood() {
    for line in [
        // Snakemake, its accounting of a run, and submitit.
        "-X --parsable2 --clusters all --noheader --format=JobIdRaw,State --starttime 2026-11-18T10:00 --endtime now --name abc",
        "--name=abc --parsable2 --noheader --format=JobID,JobName,Comment,Elapsed,TotalCPU,NNodes,NCPUS,MaxRSS,ReqMem",
        "-o JobID,State,NodeList --parsable2 -j 1 -j 2_[0-3]",
        // Nextflow, parsl, psij, Galaxy, AiiDA, Cromwell, Open OnDemand.
        "-X -n -o State,ExitCode -j 7",
        "-X --noheader --format=jobid,state --jobs 1,2,3",
        "-j 5 -n -P -X -o jobid,jobidraw,state,exitcode,reason",
        "-n -o state%30 -j 12",
        "-n -j 12 -b -P",
        "--user=root --format=AllocCPUS,Account,AssocID,AveCPU,CPUTime,Submit,Timelimit,UID,WCKey --jobs=12 --parsable",
        "-j 12 --format=State,ExitCode --noheader --parsable2 --duplicates",
        "--allusers --noheader -p -o jobid,user,start,end,alloctres -S 2026-11-01 -E 2026-11-20 -s CA,CD,F,NF,TO,OOM -M all",
        "-L -a -T --units=M -l -n -p --local",
        "-c -S midnight --delimiter=;  -P",
    ] {
        let words: Vec<&str> = line.split_whitespace().collect();
        let failure = asked(&words).err().map(|failure| failure.text());
        assert_eq!(failure, None, "{line}");
    }
    // Without a shell, Snakemake's guess at an account ends up as words that sacct does not know, and Snakemake goes on without one.
    assert_eq!(asked(&["-nu", "root", "-o", "Account%256", "|", "tail", "-1"]).err().map(|it| it.code()), Some(1));
}
