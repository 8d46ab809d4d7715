//! Rows as values to exact blocks, and keywords.

use proto::v1::{
    GetClusterReply, HeldShare, JobDetail, JobRow, JobState, NodeReason, NodeRow, NodeState, PartitionRow, Setting,
};

use super::block::Style;

use super::*;

fn row() -> JobRow {
    let detail = JobDetail {
        work_dir: "/home/ada".into(),
        command: "/home/ada/job.sh".into(),
        stdin: "/dev/null".into(),
        stdout: "/home/ada/slurm-6_%a.out".into(),
        stderr: "/home/ada/slurm-6_%a.out".into(),
        submit_host: "desk".into(),
        requeue: true,
        batch: true,
        submit_session: 77,
        ..JobDetail::default()
    };
    JobRow {
        id: 6,
        array_id: 6,
        remainder: "1-9".into(),
        throttle: 2,
        name: "wrap".into(),
        user: "ada".into(),
        uid: 1000,
        group: "users".into(),
        gid: 100,
        partition: "normal".into(),
        state: JobState::Pending.into(),
        reason: "Resources".into(),
        priority: 7,
        node_count: 1,
        cpus: 4,
        processes: 2,
        cpus_per_process: 2,
        memory_mib: 400,
        detail: Some(detail.into()),
        ..JobRow::default()
    }
}

#[test]
fn a_waiting_array_shows_slurms_keys_in_slurms_order() {
    let text = show_job::block(&row(), 0, false).text(Style::Lines);
    assert_eq!(
        text,
        "JobId=6 ArrayJobId=6 ArrayTaskId=1-9%2 ArrayTaskThrottle=2 JobName=wrap
   UserId=ada(1000) GroupId=users(100) MCS_label=N/A
   Priority=7 Nice=0 Account=(null) QOS=(null)
   JobState=PENDING Reason=Resources Dependency=(null)
   Requeue=1 Restarts=0 BatchFlag=1 Reboot=0 ExitCode=0:0
   RunTime=00:00:00 TimeLimit=UNLIMITED TimeMin=N/A
   SubmitTime=Unknown EligibleTime=Unknown
   AccrueTime=Unknown
   StartTime=Unknown EndTime=Unknown Deadline=N/A
   SuspendTime=None SecsPreSuspend=0 LastSchedEval=Unknown Scheduler=Main
   Partition=normal AllocNode:Sid=desk:77
   ReqNodeList=(null) ExcNodeList=(null)
   NodeList=(null)
   NumNodes=1 NumCPUs=4 NumTasks=2 CPUs/Task=2 ReqB:S:C:T=0:0:*:*
   ReqTRES=cpu=4,mem=400M,node=1,billing=4
   AllocTRES=(null)
   Socks/Node=* NtasksPerN:B:S:C=0:0:*:* CoreSpec=*
   MinCPUsNode=2 MinMemoryNode=400M MinTmpDiskNode=0
   Features=(null) DelayBoot=00:00:00
   OverSubscribe=OK Contiguous=0 Licenses=(null) Network=(null)
   Command=/home/ada/job.sh
   WorkDir=/home/ada
   StdErr=/home/ada/slurm-6_%a.out
   StdIn=/dev/null
   StdOut=/home/ada/slurm-6_%a.out

"
    );
}

#[test]
fn what_waits_shows_when_and_where_it_should_start() {
    let expected = JobRow { expected_start_ms: 60_000, expected_nodes: "n[1-2]".into(), ..row() };
    let text = show_job::block(&expected, 0, true).text(Style::OneLine);
    let at = crate::show::time(60_000).expect("a time");
    assert!(text.contains(&format!(" StartTime={at} EndTime=Unknown ")), "{text}");
    assert!(text.contains(" ExitCode=0:0 DerivedExitCode=0:0 RunTime="), "{text}");
    assert!(
        text.contains(" LastSchedEval=Unknown ") && text.contains(" NodeList=(null) SchedNodeList=n[1-2] "),
        "{text}"
    );
}

#[test]
fn a_running_task_shows_where_and_how_long() {
    let running = JobRow {
        index: Some(3),
        remainder: String::new(),
        throttle: 0,
        state: JobState::Running.into(),
        started_ms: 1_000_000,
        nodes: "linux1".into(),
        batch_host: "linux1".into(),
        memory_held_mib: 400,
        ..row()
    };
    let text = show_job::block(&running, 22_000 + 1_000_000, false).text(Style::OneLine);
    for part in [
        "JobId=6 ArrayJobId=6 ArrayTaskId=3 JobName=wrap UserId=",
        " JobState=RUNNING Reason=Resources ",
        " RunTime=00:00:22 ",
        " EndTime=Unknown ",
        " NodeList=linux1 BatchHost=linux1 NumNodes=1 ",
        " AllocTRES=cpu=4,mem=400M,node=1,billing=4 ",
    ] {
        assert!(text.contains(part), "{part:?} in {text}");
    }
    assert_eq!(text.lines().count(), 1);
}

fn disk_bad() -> NodeReason {
    NodeReason { text: "disk bad".into(), user: "root".into(), uid: 0, at_ms: 1_000, resume_ms: 61_000 }
}

#[test]
fn nodes_and_partitions_have_their_keys() {
    let node = NodeRow {
        name: "linux1".into(),
        state: NodeState::Mixed.into(),
        responds: true,
        cpus: 4,
        cpus_held: 1,
        memory_mib: 4096,
        memory_held_mib: 1024,
        partitions: vec!["normal".into()],
        abilities: "cgroup1:memory,cpus".into(),
        ..NodeRow::default()
    };
    let text = show_node::node(&node).text(Style::OneLine);
    for part in [
        "NodeName=linux1 ",
        " CPUAlloc=1 CPUEfctv=4 CPUTot=4 ",
        " RealMemory=4096 AllocMem=1024 FreeMem=3072 ",
        " State=MIXED ThreadsPerCore=1 ",
        " Partitions=normal ",
        " CfgTRES=cpu=4,mem=4G,billing=4 AllocTRES=cpu=1,mem=1G CurrentWatts=0 AveWatts=0 Enforces=cgroup1:memory,cpus\n",
    ] {
        assert!(text.contains(part), "{part:?} in {text}");
    }
    let completing = NodeRow { state: NodeState::Idle.into(), completing: true, ..node.clone() };
    assert!(show_node::node(&completing).text(Style::OneLine).contains(" State=IDLE+COMPLETING "));
    let down = NodeRow { state: NodeState::Down.into(), responds: false, ..node.clone() };
    assert!(show_node::node(&down).text(Style::OneLine).contains(" State=DOWN+NOT_RESPONDING "));
    let drained = NodeRow { drain: true, reason: Some(disk_bad()), ..node.clone() };
    let text = show_node::node(&drained).text(Style::OneLine);
    assert!(text.contains(" State=MIXED+DRAIN ") && text.contains(" ResumeAfterTime=1970-01-"), "{text}");
    assert!(text.contains(" Reason=disk bad [root@1970-01-") && text.contains("] Enforces="), "{text}");
    let partition = PartitionRow {
        name: "normal".into(),
        default: true,
        avail: "up".into(),
        time_max_minutes: Some(60),
        nodes: vec!["linux1".into()],
        tier: 1,
        nodes_max: Some(2),
        memory_per_cpu_mib_default: Some(100),
        priority_factor: 3,
        hidden: true,
        ..PartitionRow::default()
    };
    let text = show_partition::partition(&partition, &[node]).text(Style::OneLine);
    for part in [
        "PartitionName=normal ",
        " Default=YES ",
        " Hidden=YES MaxNodes=2 MaxTime=01:00:00 MinNodes=0 ",
        " PriorityJobFactor=3 PriorityTier=1 ",
        " DefMemPerCPU=100 MaxMemPerNode=UNLIMITED ",
        " Nodes=linux1 ",
        " State=UP TotalCPUs=4 TotalNodes=1 ",
    ] {
        assert!(text.contains(part), "{part:?} in {text}");
    }
}

#[test]
fn settings_can_be_read_by_whoever_looks_for_key_blanks_equals() {
    let settings = vec![
        Setting { key: "MinJobAge".into(), value: "300 sec".into() },
        Setting { key: "Prolog".into(), value: String::new() },
    ];
    let reply = GetClusterReply { host: "desk".into(), settings, ..GetClusterReply::default() };
    let text = show::config_text(&reply, 1);
    assert!(text.starts_with("Configuration data as of 1970-01-01T"), "{text}");
    assert!(text.contains("\nBOOT_TIME               = ") && text.contains("\nMinJobAge               = 300 sec\n"));
    assert!(text.ends_with(
        "\nProlog                  = (null)\nSLURM_VERSION           = 25.05.3\n\nSlurmctld(primary) at desk is UP\n"
    ));
}

#[test]
fn what_jobs_say_of_themselves_stands_where_slurm_has_it() {
    let detail = JobDetail {
        submit_line: "sbatch -A ai job.sh".into(),
        mail_user: "ada".into(),
        mail_type: "END".into(),
        time_min_minutes: Some(5),
        ..*row().detail.expect("a detail")
    };
    let labelled = JobRow {
        account: "ai".into(),
        qos: "high".into(),
        wckey: "w".into(),
        reservation: "r".into(),
        derived_exit_code: 3,
        shares: vec![HeldShare { nodes: "n[1-2]".into(), cpus: 2, memory_mib: 400, gres: String::new() }],
        detail: Some(detail.into()),
        ..row()
    };
    let text = show_job::block(&labelled, 0, true).text(Style::Lines);
    for part in [
        "\n   Priority=7 Nice=0 Account=ai QOS=high WCKey=w\n",
        "\n   DerivedExitCode=3:0\n   RunTime=00:00:00 TimeLimit=UNLIMITED TimeMin=00:05:00\n",
        "\n   JOB_GRES=(null)\n     Nodes=n[1-2] CPU_IDs=N/A Mem=400 GRES=(null)\n   MinCPUsNode=",
        " DelayBoot=00:00:00\n   Reservation=r\n   OverSubscribe=",
        "\n   SubmitLine=sbatch -A ai job.sh\n   WorkDir=",
        "\n   MailUser=ada MailType=END\n\n",
    ] {
        assert!(text.contains(part), "{part:?} in {text}");
    }
}

#[test]
fn verbs_are_known_by_their_beginnings_and_others_named() {
    for (word, verb) in
        [("sh", "show"), ("UPDATE", "update"), ("requeueh", "requeuehold"), ("h", "hold"), ("v", "version")]
    {
        assert_eq!(keyword(word, &VERBS), Some(verb), "{word}");
    }
    assert!(refused("bogus").text().starts_with("invalid keyword: bogus\n"));
    assert!(refused("shut").text().starts_with("scontrol: error: shutdown is not built in Covey"));
    assert!(check_user(Some("nobody-of-that-name")).is_err() && check_user(None).is_ok());
}
