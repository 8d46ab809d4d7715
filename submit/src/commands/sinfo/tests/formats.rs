//! Every letter and every name, under Slurm 22.05's headers; partitions of which nothing is shown; orders.

use super::super::columns::{ALL, COLUMNS};
use super::*;
use crate::table::Format;

/// One node with everything, in a partition with bounds.
fn one() -> ListNodesReply {
    let node = NodeRow {
        name: "gpu1".into(),
        state: NodeState::Mixed.into(),
        responds: true,
        cpus: 8,
        cpus_held: 2,
        memory_mib: 4096,
        memory_held_mib: 1024,
        address: "10.0.0.1".into(),
        features: vec!["big".into(), "fast".into()],
        gres: "gpu:2".into(),
        gres_held: "gpu:1".into(),
        drain: true,
        reason: Some(NodeReason { text: "fan loud".into(), user: "ada".into(), uid: 1000, ..NodeReason::default() }),
        ..NodeRow::default()
    };
    let partition = PartitionRow {
        name: "gpu".into(),
        default: true,
        avail: "up".into(),
        time_max_minutes: Some(90),
        time_default_minutes: Some(5),
        nodes: vec!["gpu1".into()],
        tier: 3,
        priority_factor: 7,
        nodes_min: 2,
        nodes_max: Some(4),
        ..PartitionRow::default()
    };
    ListNodesReply { nodes: vec![node], partitions: vec![partition], now_ms: 1, cluster: "lab".into() }
}

#[test]
fn every_letter_and_name_has_slurms_header_and_a_value() {
    for (letter, name, header, value) in [
        ("a", "Available", "AVAIL", "up"),
        ("A", "NodeAI", "NODES(A/I)", "1/0"),
        ("b", "features_act", "ACTIVE_FEATURES", "big,fast"),
        ("B", "MaxCPUsPerNode", "MAX_CPUS_PER_NODE", "UNLIMITED"),
        ("c", "CPUs", "CPUS", "8"),
        ("C", "CPUsState", "CPUS(A/I/O/T)", "2/0/6/8"),
        ("d", "Disk", "TMP_DISK", "0"),
        ("D", "Nodes", "NODES", "1"),
        ("e", "FreeMem", "FREE_MEM", "3072"),
        ("E", "Reason", "REASON", "fan loud"),
        ("f", "Features", "AVAIL_FEATURES", "big,fast"),
        ("F", "NodeAIOT", "NODES(A/I/O/T)", "1/0/0/1"),
        ("g", "Groups", "GROUPS", "all"),
        ("G", "Gres", "GRES", "gpu:2"),
        ("h", "OverSubscribe", "OVERSUBSCRIBE", "NO"),
        ("H", "TimeStamp", "TIMESTAMP", "Unknown"),
        ("i", "Reservation", "RESERVATION", ""),
        ("I", "PriorityJobFactor", "PRIO_JOB_FACTOR", "7"),
        ("l", "Time", "TIMELIMIT", "1:30:00"),
        ("L", "DefaultTime", "DEFAULTTIME", "5:00"),
        ("m", "Memory", "MEMORY", "4096"),
        ("M", "PreemptMode", "PREEMPT_MODE", "OFF"),
        ("n", "NodeHost", "HOSTNAMES", "gpu1"),
        ("N", "NodeList", "NODELIST", "gpu1"),
        ("o", "NodeAddr", "NODE_ADDR", "10.0.0.1"),
        ("O", "CPUsLoad", "CPU_LOAD", "N/A"),
        ("p", "PriorityTier", "PRIO_TIER", "3"),
        ("P", "Partition", "PARTITION", "gpu*"),
        ("r", "Root", "ROOT", "no"),
        ("R", "PartitionName", "PARTITION", "gpu"),
        ("s", "Size", "JOB_SIZE", "2-4"),
        ("S", "AllocNodes", "ALLOCNODES", "all"),
        ("t", "StateCompact", "STATE", "drng"),
        ("T", "StateLong", "STATE", "draining"),
        ("u", "User", "USER", "ada"),
        ("U", "UserLong", "USER", "ada(1000)"),
        ("v", "Version", "VERSION", crate::getopt::SLURM_VERSION),
        ("V", "Cluster", "CLUSTER", "N/A"),
        ("w", "Weight", "WEIGHT", "1"),
        ("X", "Sockets", "SOCKETS", "1"),
        ("Y", "Cores", "CORES", "8"),
        ("Z", "Threads", "THREADS", "1"),
        ("z", "SocketCoreThread", "S:C:T", "1:8:1"),
        ("", "StateComplete", "STATECOMPLETE", "mixed+drain"),
        ("", "AllocMem", "ALLOCMEM", "1024"),
        ("", "GresUsed", "GRES_USED", "gpu:1"),
        ("", "Comment", "COMMENT", "(null)"),
        ("", "Extra", "EXTRA", "(null)"),
        ("", "Port", "PORT", "0"),
        ("", "Priority", "PRIO_TIER", "3"),
    ] {
        assert_eq!(shown(&["-O", &format!("{name}:")], one()), [header, value], "{name}");
        if !letter.is_empty() {
            assert_eq!(shown(&["-o", &format!("%{letter}")], one()), [header, value], "%{letter}");
        }
    }
}

#[test]
fn all_of_it_stands_between_bars() {
    let headers = "AVAIL|ACTIVE_FEATURES|CPUS|TMP_DISK|FREE_MEM|AVAIL_FEATURES|GROUPS|OVERSUBSCRIBE|TIMELIMIT|MEMORY|\
        HOSTNAMES|NODE_ADDR|PRIO_TIER|ROOT|JOB_SIZE|STATE|USER|VERSION|WEIGHT|S:C:T|NODES(A/I) |MAX_CPUS_PER_NODE |\
        CPUS(A/I/O/T) |NODES |REASON |NODES(A/I/O/T) |GRES |TIMESTAMP |PRIO_JOB_FACTOR |DEFAULTTIME |PREEMPT_MODE |\
        NODELIST |CPU_LOAD |PARTITION |PARTITION |ALLOCNODES |STATE |USER |CLUSTER |SOCKETS |CORES |THREADS ";
    assert_eq!(shown(&["-o", "%all"], one())[0], headers);
    assert_eq!(shown(&["-O", "All"], one())[0], headers);
    assert_eq!(Format::letters(ALL, COLUMNS).1, Vec::<String>::new());
}

#[test]
fn a_partition_of_which_nothing_is_shown_has_a_line_where_it_is_spoken_of() {
    let table = |words: &[&str]| shown(&[&["-h"], words].concat(), reply());
    assert_eq!(
        table(&["-t", "resv"]),
        ["normal*      up   infinite      0    n/a ", "short     drain    1:30:00      0    n/a ",]
    );
    assert_eq!(table(&["-t", "resv", "-o", "%N"]), [""; 0]);
    assert_eq!(table(&["-N", "-p", "short"]), [""; 0]);
    assert_eq!(table(&["-R", "-p", "short"]), [""; 0]);
    assert_eq!(table(&["-s", "-p", "short"]), ["short     drain    1:30:00          0/0/0/0 "]);
    let format = "%R|%N|%c|%m|%G|%f|%e|%z|%w|%E|%H|%u|%v|%o|%A|%C|%T";
    assert_eq!(
        table(&["-p", "short", "-o", format]),
        ["short||0|0|(null)|(null)|0|0:0:0|0|none|Unknown|Unknown|N/A||0/0|0/0/0/0|n/a"]
    );
}

#[test]
fn stars_and_widths_are_cut_as_slurm_cuts_them() {
    let table = |words: &[&str]| shown(words, one());
    assert_eq!(table(&["-o", "%6P|%.3P|%.1D|%.2m|%3m"]), ["PARTIT|PAR|N|ME|MEM", "gpu*  |gp*|1|40|409"]);
    assert_eq!(
        table(&["-O", "Partition:.8,NodeList:5x,StateLong:|"]),
        ["PARTITIONODELxSTATE|", "    gpu*gpu1 xdraining|"]
    );
}

#[test]
fn lines_are_sorted_by_letters() {
    let first = |keys: &str| shown(&["-h", "-o", "%R %t", "-S", keys], reply()).swap_remove(0);
    assert_eq!(first("-P"), "short n/a");
    assert_eq!(first("P,-D"), "normal idle");
    assert_eq!(first("#P,t"), "normal idle");
    assert_eq!(first("#P,-t,?"), "normal down*");
    assert_eq!(first("P,N"), "normal mix");
}

#[test]
fn variables_stand_behind_the_command_line() {
    let variables = [("SINFO_FORMAT", "%R"), ("SINFO_PARTITION", "short"), ("SINFO_SORT", "-P"), ("SINFO_ALL", "1")];
    let table = |words: &[&str]| {
        let mut asked = asked(words, &variables).expect("known");
        asked.dated = false;
        table(&mut asked, reply(), true)
    };
    assert_eq!(table(&[]), ["PARTITION", "short"]);
    assert_eq!(table(&["-p", "normal,short"]), ["PARTITION", "short", "normal"]);
    assert_eq!(table(&["-o", "%P|"]), ["PARTITION|", "short|"]);
    assert!(table(&["-s"])[0].contains("NODES(A/I/O/T)"));
    assert_eq!(
        asked(&["-i", "x"], &[]).expect_err("no number").text(),
        "sinfo: error: Error: invalid entry for --iterate=x\n"
    );
}

#[test]
fn the_long_tables_have_slurms_headers() {
    assert_eq!(
        shown(&["-l"], one())[..2],
        [
            "PARTITION AVAIL  TIMELIMIT   JOB_SIZE ROOT OVERSUBS     GROUPS  NODES       STATE RESERVATION NODELIST",
            "gpu*         up    1:30:00        2-4   no       NO        all      1    draining             gpu1",
        ]
    );
    assert_eq!(
        shown(&["-Nl"], one()),
        [
            "NODELIST   NODES PARTITION       STATE CPUS    S:C:T MEMORY TMP_DISK WEIGHT AVAIL_FE REASON              ",
            "gpu1           1      gpu*    draining 8       1:8:1   4096        0      1 big,fast fan loud            ",
        ]
    );
    assert_eq!(
        shown(&["-Rl"], one()),
        [
            "REASON               USER         TIMESTAMP           STATE  NODELIST",
            "fan loud             ada(1000)    Unknown             drng   gpu1",
        ]
    );
}

#[test]
fn the_document_has_an_entry_for_each_kind_of_node() {
    let meta = json::Meta::here("sinfo", &[], "lab");
    let mut reply = reply();
    reply.nodes[8].memory_mib = 8192;
    let asked = asked(&["--json"], &[]).expect("known");
    let document = super::super::data::document(&asked.applied(reply.clone()), &reply, &meta);
    let document = serde_json::to_value(&document).expect("plain values");
    let entries = document["sinfo"].as_array().expect("entries");
    let idle: Vec<_> = entries.iter().filter(|entry| entry["node"]["state"][0] == "IDLE").collect();
    assert_eq!(idle.len(), 2, "one has more memory");
    assert_eq!((&idle[0]["nodes"]["total"], &idle[0]["cpus"]["idle"]), (&4.into(), &16.into()));
    assert_eq!((&idle[1]["memory"]["minimum"], &idle[1]["nodes"]["nodes"][0]), (&8192.into(), &"linux8".into()));
    let empty = entries.last().expect("the empty partition");
    assert_eq!((&empty["partition"]["name"], &empty["nodes"]["total"]), (&"short".into(), &0.into()));
    assert_eq!(empty["partition"]["partition"]["state"][0], "DRAIN");
}
