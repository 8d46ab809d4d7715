//! Every letter and every name, under Slurm 22.05's headers.

use proto::v1::{JobDetail, JobState};

use super::super::columns::{ALL, COLUMNS};
use super::*;

/// A job about which there is something to say.
fn full() -> JobRow {
    let detail = JobDetail {
        work_dir: "/w".into(),
        command: "/w/job.sh".into(),
        stdin: "/dev/null".into(),
        stdout: "/w/o".into(),
        stderr: "/w/e".into(),
        comment: "note".into(),
        submit_host: "desk".into(),
        submit_session: 7,
        requeue: true,
        nodes_asked: "linux[0-3]".into(),
        nodes_excluded: "linux9".into(),
        constraint: "big".into(),
        gres_per_node: "gres/gpu:2".into(),
        licenses: "matlab:1".into(),
        processes_per_node: 2,
        batch: true,
        time_min_minutes: Some(5),
        ..JobDetail::default()
    };
    JobRow {
        group: "users".into(),
        gid: 100,
        account: "lab".into(),
        qos: "high".into(),
        wckey: "key".into(),
        reservation: "resv".into(),
        memory_mib: 2048,
        memory_held_mib: 2048,
        node_count: 12,
        cpus: 24,
        processes: 24,
        cpus_per_process: 1,
        time_limit_minutes: Some(90),
        eligible_ms: 1_000_000,
        dependency: "singleton(unfulfilled)".into(),
        nice: 100,
        attempts: 2,
        exit_code: 3,
        detail: Some(detail.into()),
        ..running(3)
    }
}

#[test]
fn every_letter_has_slurms_header_and_a_value() {
    let time = crate::show::time(1_000_000).expect("a time");
    let end = crate::show::time(6_400_000).expect("a time");
    for (letter, header, value) in [
        ('a', "ACCOUNT", "lab"),
        ('A', "JOBID", "3"),
        ('b', "TRES_PER_NODE", "gres/gpu:2"),
        ('B', "EXEC_HOST", "linux0"),
        ('c', "MIN_CPUS", "1"),
        ('C', "CPUS", "24"),
        ('d', "MIN_TMP_DISK", "0"),
        ('D', "NODES", "12"),
        ('e', "END_TIME", end.as_str()),
        ('E', "DEPENDENCY", "singleton(unfulfilled)"),
        ('f', "FEATURES", "big"),
        ('F', "ARRAY_JOB_ID", "3"),
        ('g', "GROUP", "users"),
        ('G', "GROUP", "100"),
        ('h', "OVER_SUBSCRIBE", "OK"),
        ('H', "SOCKETS_PER_NODE", "*"),
        ('i', "JOBID", "3"),
        ('I', "CORES_PER_SOCKET", "*"),
        ('j', "NAME", "train"),
        ('J', "THREADS_PER_CORE", "*"),
        ('k', "COMMENT", "note"),
        ('K', "ARRAY_TASK_ID", "N/A"),
        ('l', "TIME_LIMIT", "1:30:00"),
        ('L', "TIME_LEFT", "27:57"),
        ('m', "MIN_MEMORY", "2G"),
        ('M', "TIME", "1:02:03"),
        ('n', "REQ_NODES", "linux[0-3]"),
        ('N', "NODELIST", "linux0"),
        ('o', "COMMAND", "/w/job.sh"),
        ('O', "CONTIGUOUS", "0"),
        ('p', "PRIORITY", "0.00000002328306"),
        ('P', "PARTITION", "normal"),
        ('q', "QOS", "high"),
        ('Q', "PRIORITY", "100"),
        ('r', "REASON", "None"),
        ('R', "NODELIST(REASON)", "linux0"),
        ('s', "", ""),
        ('S', "START_TIME", time.as_str()),
        ('t', "ST", "R"),
        ('T', "STATE", "RUNNING"),
        ('u', "USER", "ada"),
        ('U', "UID", "1000"),
        ('v', "RESERVATION", "resv"),
        ('V', "SUBMIT_TIME", time.as_str()),
        ('w', "WCKEY", "key"),
        ('W', "LICENSES", "matlab:1"),
        ('x', "EXC_NODES", "linux9"),
        ('X', "CORE_SPEC", "N/A"),
        ('y', "NICE", "100"),
        ('Y', "SCHEDNODES", "(null)"),
        ('z', "S:C:T", "*:*:*"),
        ('Z', "WORK_DIR", "/w"),
    ] {
        assert_eq!(lines(&format!("%%{letter}"), vec![full()], false), [header, value], "%{letter}");
        assert!(ALL.contains(&format!("%{letter}")), "{letter} is part of %all");
    }
}

#[test]
fn what_was_never_said_prints_slurms_word_for_it() {
    for (letters, value) in [
        (
            "%a|%q|%w|%v|%k|%o|%f|%W|%E|%Y|%j",
            "(null)|(null)|(null)|(null)|(null)|(null)|(null)|(null)|(null)|(null)|(null)",
        ),
        ("%b|%K|%X|%S|%e|%n|%x|%N|%B|%m", "N/A|N/A|N/A|N/A|N/A||||n/a|0"),
        ("%l|%L|%M|%R|%r", "UNLIMITED|UNLIMITED|0:00|(None)|None"),
    ] {
        let row = JobRow { name: String::new(), ..row(4, JobState::Pending) };
        assert_eq!(lines(letters, vec![row], false)[1], value);
    }
}

/// Names, headers and values; a star stands for a point in time, which is written in the zone of whoever runs this.
const NAMES: &[(&str, &str, &str)] = &[
    ("Account", "ACCOUNT", "lab"),
    ("AccrueTime", "ACCRUE_TIME", "*"),
    ("admin_comment", "ADMIN_COMMENT", "(null)"),
    ("AllocNodes", "ALLOC_NODES", "desk"),
    ("AllocSID", "ALLOC_SID", "7"),
    ("ArrayJobID", "ARRAY_JOB_ID", "3"),
    ("ArrayTaskID", "ARRAY_TASK_ID", "N/A"),
    ("AssocID", "ASSOC_ID", "0"),
    ("BatchFlag", "BATCH_FLAG", "1"),
    ("BatchHost", "EXEC_HOST", "linux0"),
    ("BoardsPerNode", "BOARDS_PER_NODE", "0"),
    ("BurstBuffer", "BURST_BUFFER", "(null)"),
    ("BurstBufferState", "BURST_BUFFER_STATE", "(null)"),
    ("Cluster", "CLUSTER", "lab"),
    ("ClusterFeature", "CLUSTER_FEATURES", "(null)"),
    ("Command", "COMMAND", "/w/job.sh"),
    ("Comment", "COMMENT", "note"),
    ("Contiguous", "CONTIGUOUS", "0"),
    ("Container", "CONTAINER", "(null)"),
    ("Cores", "CORES_PER_SOCKET", "*"),
    ("CoreSpec", "CORE_SPEC", "N/A"),
    ("cpus-per-task", "CPUS_PER_TASK", "1"),
    ("cpus-per-tres", "CPUS_PER_TRES", "N/A"),
    ("Deadline", "DEADLINE", "N/A"),
    ("DelayBoot", "DELAY_BOOT", "0:00"),
    ("Dependency", "DEPENDENCY", "singleton(unfulfilled)"),
    ("DerivedEC", "DERIVED_EC", "0"),
    ("EligibleTime", "ELIGIBLE_TIME", "*"),
    ("EndTime", "END_TIME", "*"),
    ("ExcNodes", "EXC_NODES", "linux9"),
    ("exit_code", "EXIT_CODE", "768"),
    ("Feature", "FEATURES", "big"),
    ("GroupID", "GROUP", "100"),
    ("GroupName", "GROUP", "users"),
    ("HetJobID", "HET_JOB_ID", "N/A"),
    ("HetJobIDSet", "HET_JOB_ID_SET", "N/A"),
    ("HetJobOffset", "HET_JOB_OFFSET", "N/A"),
    ("JobArrayID", "JOBID", "3"),
    ("JobID", "JOBID", "3"),
    ("LastSchedEval", "LAST_SCHED_EVAL", "*"),
    ("Licenses", "LICENSES", "matlab:1"),
    ("MaxCPUs", "MAX_CPUS", "24"),
    ("MaxNodes", "MAX_NODES", "12"),
    ("MCSLabel", "MCSLABEL", "(null)"),
    ("mem-per-tres", "MEM_PER_TRES", "N/A"),
    ("MinCpus", "MIN_CPUS", "1"),
    ("MinMemory", "MIN_MEMORY", "2G"),
    ("MinTime", "TIME_MIN", "5:00"),
    ("MinTmpDisk", "MIN_TMP_DISK", "0"),
    ("Name", "NAME", "train"),
    ("Network", "NETWORK", "(null)"),
    ("Nice", "NICE", "100"),
    ("NodeList", "NODELIST", "linux0"),
    ("Nodes", "NODELIST", "linux0"),
    ("NTPerBoard", "NTASKS_PER_BOARD", "0"),
    ("NTPerCore", "NTASKS_PER_CORE", "N/A"),
    ("NTPerNode", "NTASKS_PER_NODE", "2"),
    ("NTPerSocket", "NTASKS_PER_SOCKET", "N/A"),
    ("NumCPUs", "CPUS", "24"),
    ("NumNodes", "NODES", "12"),
    ("NumTasks", "TASKS", "24"),
    ("Origin", "ORIGIN", "NA"),
    ("OriginRaw", "ORIGIN_RAW", "NA"),
    ("OverSubscribe", "OVER_SUBSCRIBE", "OK"),
    ("Partition", "PARTITION", "normal"),
    ("PendingTime", "PENDING_TIME", "0"),
    ("PreemptTime", "PREEMPT_TIME", "N/A"),
    ("Prefer", "PREFER", "(null)"),
    ("Priority", "PRIORITY", "0.00000002328306"),
    ("PriorityLong", "PRIORITY", "100"),
    ("Profile", "PROFILE", "NotSet"),
    ("QOS", "QOS", "high"),
    ("Reason", "REASON", "None"),
    ("ReasonList", "NODELIST(REASON)", "linux0"),
    ("Reboot", "REBOOT", "0"),
    ("ReqNodes", "REQ_NODES", "linux[0-3]"),
    ("ReqSwitch", "REQ_SWITCH", "0"),
    ("Requeue", "REQUEUE", "1"),
    ("Reservation", "RESERVATION", "resv"),
    ("ResizeTime", "RESIZE_TIME", "N/A"),
    ("RestartCnt", "RESTART_COUNT", "1"),
    ("SchedNodes", "SCHEDNODES", "(null)"),
    ("SCT", "S:C:T", "*:*:*"),
    ("SelectJobInfo", "", ""),
    ("SiblingsActive", "ACTIVE_SIBLINGS", "NA"),
    ("SiblingsActiveRaw", "ACTIVE_SIBLINGS_RAW", "NA"),
    ("SiblingsViable", "VIABLE_SIBLINGS", "NA"),
    ("SiblingsViableRaw", "VIALBLE_SIBLINGS_RAW", "NA"),
    ("Sockets", "SOCKETS_PER_NODE", "*"),
    ("SPerBoard", "SOCKETS_PER_BOARD", "0"),
    ("StartTime", "START_TIME", "*"),
    ("State", "STATE", "RUNNING"),
    ("StateCompact", "ST", "R"),
    ("STDERR", "STDERR", "/w/e"),
    ("STDIN", "STDIN", "/dev/null"),
    ("STDOUT", "STDOUT", "/w/o"),
    ("SubmitTime", "SUBMIT_TIME", "*"),
    ("system_comment", "SYSTEM_COMMENT", "(null)"),
    ("Threads", "THREADS_PER_CORE", "*"),
    ("TimeLeft", "TIME_LEFT", "27:57"),
    ("TimeLimit", "TIME_LIMIT", "1:30:00"),
    ("TimeUsed", "TIME", "1:02:03"),
    ("tres-alloc", "TRES_ALLOC", "cpu=24,mem=24G,node=12,billing=24"),
    ("tres-bind", "TRES_BIND", "N/A"),
    ("tres-freq", "TRES_FREQ", "N/A"),
    ("tres-per-job", "TRES_PER_JOB", "N/A"),
    ("tres-per-node", "TRES_PER_NODE", "gres/gpu:2"),
    ("tres-per-socket", "TRES_PER_SOCKET", "N/A"),
    ("tres-per-task", "TRES_PER_TASK", "N/A"),
    ("UserID", "UID", "1000"),
    ("UserName", "USER", "ada"),
    ("Wait4Switch", "WAIT4SWITCH", "0:00"),
    ("WCKey", "WCKEY", "key"),
    ("WorkDir", "WORK_DIR", "/w"),
];

#[test]
fn every_name_has_slurms_header_and_a_value() {
    for (name, header, value) in NAMES {
        let (format, unknown) = Format::names(&format!("{name}:"), COLUMNS);
        assert!(unknown.is_empty(), "{name}");
        let [listed] = &rows_of(full(), &shown(), false, false).collect::<Vec<_>>()[..] else { panic!("one row") };
        assert_eq!(format.header(), *header, "{name}");
        let seen = format.row(listed);
        assert!(seen == *value || (*value == "*" && seen.starts_with("1970-01-0")), "{name}: {seen}");
    }
}

#[test]
fn a_caller_that_parts_fields_by_a_control_sign_reads_all_of_them() {
    let (format, unknown) = Format::names("JobID:\u{1f},Name:\u{1f},State:\u{1f},Reason:\u{1f},", COLUMNS);
    let listed: Vec<_> = rows_of(full(), &shown(), false, false).collect();
    assert!(unknown.is_empty());
    assert_eq!(format.row(&listed[0]).split('\u{1f}').collect::<Vec<_>>(), ["3", "train", "RUNNING", "None", ""]);
}

#[test]
fn numbers_are_cut_and_durations_are_not() {
    let pending = JobRow { reason: "Resources".into(), ..row(5, JobState::Pending) };
    assert_eq!(lines("%.1Q|%.1D|%.1C|%.3l|%.2M", vec![full()], false)[1], "1|1|2|1:30:00|1:02:03");
    assert_eq!(lines("%1l|%.3T|%3T|%.2N", vec![full()], false)[1], "1|RUN|RUN|linux0");
    assert_eq!(lines("%.4R|%4R|%.12R|", vec![pending], false)[1], "(Res|(Res| (Resources)|");
}

#[test]
fn lists_of_indices_are_as_long_as_asked_for() {
    let remainder = JobRow { array_id: 7, remainder: "1,3,5,7-90:3".into(), ..row(7, JobState::Pending) };
    let shown_in = |list_bytes_max| {
        let shown = Rc::new(Shown { list_bytes_max, ..Shown::default() });
        let (format, _) = Format::letters("%i %K", COLUMNS);
        rows_of(remainder.clone(), &shown, false, false).map(|row| format.row(&row)).collect::<String>()
    };
    let whole = shown_in(None);
    assert!(whole.ends_with(",85,88") && whole.starts_with("7_[1,3,5,7,10,"), "{whole}");
    assert!(shown_in(Some(64)).ends_with("..."), "{}", shown_in(Some(64)));
}

#[test]
fn a_job_for_several_partitions_has_a_row_for_each_when_asked() {
    let row = JobRow { partition: "long,short".into(), ..row(5, JobState::Pending) };
    let (format, _) = Format::letters("%i %P", COLUMNS);
    let rows = |apart| rows_of(row.clone(), &shown(), false, apart).map(|row| format.row(&row)).collect::<Vec<_>>();
    assert_eq!(rows(false), ["5 long,short"]);
    assert_eq!(rows(true), ["5 long", "5 short"]);
}
