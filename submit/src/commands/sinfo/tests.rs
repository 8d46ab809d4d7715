//! Nodes as values to exact lines.

mod formats;

use clap::FromArgMatches;
use proto::v1::{NodeReason, NodeRow, NodeState, PartitionRow};

use super::*;

fn node(name: &str, state: NodeState) -> NodeRow {
    NodeRow {
        name: name.into(),
        state: state.into(),
        responds: state != NodeState::Down,
        cpus: 4,
        memory_mib: 4096,
        ..NodeRow::default()
    }
}

/// Nine nodes of one partition, a default one, and an empty one.
fn reply() -> ListNodesReply {
    let state = |at: u32| match at {
        0 | 1 => NodeState::Mixed,
        2 => NodeState::Allocated,
        3 => NodeState::Down,
        _ => NodeState::Idle,
    };
    let nodes: Vec<NodeRow> = (0..9).map(|at| node(&format!("linux{at}"), state(at))).collect();
    let names = nodes.iter().map(|node| node.name.clone()).collect();
    let partition = PartitionRow {
        name: "normal".into(),
        default: true,
        avail: "up".into(),
        nodes: names,
        ..PartitionRow::default()
    };
    let empty = PartitionRow {
        name: "short".into(),
        avail: "drain".into(),
        time_max_minutes: Some(90),
        ..PartitionRow::default()
    };
    ListNodesReply { nodes, partitions: vec![partition, empty], now_ms: 1, cluster: "lab".into() }
}

fn asked(words: &[&str], variables: &[(&str, &str)]) -> Outcome<Asked> {
    let words: Vec<OsString> = words.iter().map(OsString::from).collect();
    let matches = getopt::read(&mut command(), &words)?;
    let options = Options::from_arg_matches(&matches).expect("the matches are of these options");
    let variable =
        |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
    Asked::of(&options, &variable)
}

fn shown(words: &[&str], reply: ListNodesReply) -> Vec<String> {
    let mut asked = asked(words, &[]).expect("the options are known");
    asked.dated = false;
    let header = !words.contains(&"-h");
    table(&mut asked, reply, header)
}

#[test]
fn the_default_table_is_slurms_to_the_letter() {
    assert_eq!(
        shown(&[], reply()),
        [
            "PARTITION AVAIL  TIMELIMIT  NODES  STATE NODELIST",
            "normal*      up   infinite      1  down* linux3",
            "normal*      up   infinite      2    mix linux[0-1]",
            "normal*      up   infinite      1  alloc linux2",
            "normal*      up   infinite      5   idle linux[4-8]",
            "short     drain    1:30:00      0    n/a ",
        ]
    );
}

#[test]
fn the_other_tables_are_slurms_too() {
    assert_eq!(
        shown(&["-s"], reply()),
        [
            "PARTITION AVAIL  TIMELIMIT   NODES(A/I/O/T) NODELIST",
            "normal*      up   infinite          3/5/1/9 linux[0-8]",
            "short     drain    1:30:00          0/0/0/0 ",
        ]
    );
    assert_eq!(
        shown(&["-N", "-n", "linux[2-3]"], reply()),
        ["NODELIST   NODES PARTITION STATE ", "linux2         1   normal* alloc ", "linux3         1   normal* down* "]
    );
    let header =
        "NODELIST   NODES PARTITION       STATE CPUS    S:C:T MEMORY TMP_DISK WEIGHT AVAIL_FE REASON              ";
    assert_eq!(shown(&["-Nl"], reply())[0], header);
}

#[test]
fn filters_leave_out_what_is_not_asked_for() {
    let nodes = |words: &[&str]| shown(&[&["-h", "-o", "%N"], words].concat(), reply());
    assert_eq!(nodes(&["-t", "idle,alloc"]), ["linux[2,4-8]"]);
    assert_eq!(nodes(&["-t", "MAINT"]), [""; 0]);
    assert_eq!(nodes(&["-d"]), ["linux3"]);
    assert_eq!(nodes(&["-R"]), ["linux3"]);
    assert_eq!(nodes(&["-p", "nosuch"]), [""; 0]);
    assert_eq!(nodes(&["-p", "short"]), [""; 0]);
    assert_eq!(nodes(&["-t", "~idle"]), ["linux[0-3]"]);
    assert_eq!(nodes(&["-t", "down&no_respond,alloc"]), ["linux[2-3]"]);
    let failure = asked(&["-t", "bogus"], &[]).expect_err("a bad state");
    assert!(failure.text().starts_with("sinfo: error: Bad state string: \"bogus\"\n"), "{}", failure.text());
}

#[test]
fn numbers_part_nodes_only_where_exactness_is_asked_for() {
    let mut reply = reply();
    reply.nodes[8].memory_mib = 8192;
    let table = |words: &[&str]| {
        shown(&[&["-h", "-p", "normal", "-t", "idle", "-o", "%D %m %c %C %A"], words].concat(), reply.clone())
    };
    assert_eq!(table(&[]), ["5 4096+ 4 0/20/0/20 0/5"]);
    assert_eq!(table(&["-e"]), ["4 4096 4 0/16/0/16 0/4", "1 8192 4 0/4/0/4 0/1"]);
}

/// Two drained nodes (one with work left), one that fails, and one that is down for its silence.
fn reply_with_reasons() -> ListNodesReply {
    let mut reply = reply();
    reply.partitions[1].nodes = vec!["linux5".into()];
    let reason = |text: &str, user: &str| NodeReason { text: text.into(), user: user.into(), ..NodeReason::default() };
    for (at, text) in [(0, "disk bad"), (4, "disk bad"), (5, "fan loud")] {
        reply.nodes[at].reason = Some(reason(text, "root"));
    }
    (reply.nodes[0].drain, reply.nodes[4].drain, reply.nodes[5].fail) = (true, true, true);
    reply.nodes[0].cpus_held = 1;
    reply.nodes[3].reason = Some(reason("Not responding", "slurm"));
    reply
}

#[test]
fn nodes_out_of_service_have_their_words_counts_and_reasons() {
    let table = |words: &[&str]| shown(words, reply_with_reasons());
    let states = table(&["-h", "-p", "normal", "-o", "%6t %N"]);
    let expected = [
        "fail   linux5",
        "down*  linux3",
        "drng   linux0",
        "drain  linux4",
        "mix    linux1",
        "alloc  linux2",
        "idle   linux[6-8]",
    ];
    assert_eq!(states, expected);
    assert_eq!(table(&["-h", "-p", "normal", "-o", "%F %C"]), ["3/4/2/9 1/24/11/36"]);
    assert_eq!(
        table(&["-R"]),
        [
            "REASON               USER      TIMESTAMP           NODELIST",
            "fan loud             root      Unknown             linux5",
            "Not responding       slurm     Unknown             linux3",
            "disk bad             root      Unknown             linux[0,4]",
        ]
    );
    for (words, found) in
        [("drain", "linux[0,4]"), ("drng", "linux0"), ("drained", "linux4"), ("fail,down", "linux[3,5]")]
    {
        assert_eq!(table(&["-h", "-t", words, "-o", "%N"]), [found], "{words}");
    }
}

#[test]
fn hidden_partitions_are_shown_when_they_are_asked_for() {
    let mut reply = reply();
    reply.partitions[0].hidden = true;
    let names = |words: &[&str]| shown(&[&["-h", "-o", "%R"], words].concat(), reply.clone());
    assert_eq!(names(&[]), ["short"]);
    assert_eq!(names(&["-a"]), ["normal", "short"]);
    assert_eq!(names(&["-p", "normal"]), ["normal"]);
}

#[test]
fn a_listing_comes_again_after_whole_seconds() {
    for (every, text) in [("0", "--iterate=0"), ("abc", "--iterate=abc")] {
        let failure = asked(&["-i", every], &[]).expect_err("no time between two listings");
        assert_eq!(failure.text(), format!("sinfo: error: Error: invalid entry for {text}\n"));
    }
}
