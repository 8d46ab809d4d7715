//! What a cluster says of itself: sdiag, sprio, /metrics of both daemons, and settings that are read again.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use crate::rig::{Rig, wait_for};

/// A port that was free a moment ago.
fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("its address").port()
}

/// The samples of a scrape: each name with its labels, and its value.
fn scrape(port: u16) -> BTreeMap<String, f64> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    let (head, text) = answer.split_once("\r\n\r\n").expect("a head and a text");
    assert!(head.starts_with("HTTP/1.1 200 ") && text.ends_with("# EOF\n"), "{answer}");
    let sample = |line: &str| {
        let (name, value) = line.rsplit_once(' ').expect("a name and a value");
        (name.to_owned(), value.parse().unwrap_or_else(|_| panic!("{line}")))
    };
    text.lines().filter(|line| !line.starts_with('#')).map(sample).collect()
}

#[test]
fn prometheus_reads_the_controller_and_a_node() {
    let (port, node_port) = (free_port(), free_port());
    let settings = format!("MetricsAddress = \"127.0.0.1:{port}\"\n");
    let address = format!("127.0.0.1:{node_port}");
    let rig = Rig::start_with(&[("linux0", &["--metrics", &address])], &settings);
    let done = rig.submit(&["-o", "none", "--wrap", "true"]);
    rig.wait_done(&done);
    let runs = rig.submit(&["-o", "none", "-c", "2", "--wrap", "sleep 600"]);
    wait_for("one runs", || rig.states(&runs) == ["RUNNING"]);
    rig.submit(&["-o", "none", "--array=0-9", "--wrap", "true"]);
    rig.submit(&["-o", "none", "-d", &format!("afterok:{runs}"), "--wrap", "true"]);
    let user = rig.run("squeue", &["-h", "-j", &runs, "-o", "%u"]).trim().to_owned();
    let samples = scrape(port);
    for (name, value) in [
        ("slurm_cpus_alloc", 2.0),
        ("slurm_cpus_idle", 0.0),
        ("slurm_cpus_total", 2.0),
        ("slurm_nodes_alloc", 1.0),
        ("slurm_nodes_idle", 0.0),
        ("slurm_queue_pending", 10.0),
        ("slurm_queue_pending_dependency", 1.0),
        ("slurm_queue_running", 1.0),
        ("slurm_queue_completed", 1.0),
        ("slurm_partition_cpus_allocated{partition=\"debug\"}", 2.0),
        ("slurm_partition_jobs_pending{partition=\"debug\"}", 11.0),
        ("slurm_node_cpu_alloc{node=\"linux0\",status=\"alloc\"}", 2.0),
        ("slurm_scheduler_queue_size", 0.0),
        ("covey_jobs", 4.0),
        ("covey_links_up", 1.0),
        ("covey_tasks_submitted_total", 13.0),
        ("covey_tasks_started_total", 2.0),
        ("covey_tasks_ended_total{how=\"completed\"}", 1.0),
        ("covey_call_seconds_count{method=\"Submit\"}", 4.0),
    ] {
        assert_eq!(samples.get(name), Some(&value), "{name} in {samples:#?}");
    }
    assert_eq!(samples[&format!("slurm_user_cpus_running{{user=\"{user}\"}}")], 2.0);
    assert!(samples["covey_journal_commits_total"] > 3.0 && samples["covey_pass_seconds_count"] > 1.0);
    let node = scrape(node_port);
    for (name, value) in [
        ("covey_node_link_up", 1.0),
        ("covey_node_cpus", 2.0),
        ("covey_node_launched_total", 2.0),
        ("covey_node_ended_total{how=\"completed\"}", 1.0),
    ] {
        assert_eq!(node.get(name), Some(&value), "{name} in {node:#?}");
    }
}

#[test]
fn sdiag_counts_and_starts_anew() {
    let rig = Rig::start(1);
    let done = rig.submit(&["-o", "none", "--wrap", "true"]);
    rig.wait_done(&done);
    rig.submit(&["-o", "none", "--hold", "--wrap", "true"]);
    let text = rig.run("sdiag", &[]);
    for line in ["Jobs submitted: 2\n", "Jobs started:   1\n", "Jobs completed: 1\n", "Jobs pending:   1\n"] {
        assert!(text.contains(line), "{line:?} in {text}");
    }
    assert!(text.lines().any(|line| line.starts_with("\tSUBMIT ") && line.contains(" count:2 ")), "{text}");
    rig.run("sdiag", &["--reset"]);
    let text = rig.run("sdiag", &["-i"]);
    assert!(text.contains("Jobs submitted: 0\n") && text.contains("\tTotal cycles: 0\n"), "{text}");
}

#[test]
fn sprio_shows_the_factors_that_count() {
    let rig = Rig::start_with(&[("linux0", &[])], "PriorityWeightJobSize = 1000\n");
    let job = rig.submit(&["-o", "none", "-c", "2", "--nice=7", "--begin=now+1hour", "--wrap", "true"]);
    let own = rig.run("squeue", &["-h", "-j", &job, "-o", "%Q"]).trim().to_owned();
    let text = rig.run("sprio", &["-o", "%i %Y %J %N"]);
    assert_eq!(text, format!("JOBID PRIORITY JOBSIZE NICE\n{job} {own} 1000 7\n"));
    assert!(rig.run("sprio", &["-w"]).contains("   Weights "), "the weights have a row");
}

#[test]
fn settings_are_read_again() {
    let rig = Rig::start_with(&[("linux0", &[])], "MinJobAge = 300\n");
    let shown = || rig.run("scontrol", &["show", "config"]);
    assert!(shown().contains("\nMinJobAge               = 300 sec\n"));
    fs::write(
        rig.dir().join("covey.toml"),
        "MinJobAge = 77\nHistoryDays = 3\n[[Partition]]\nPartitionName = \"night\"\n",
    )
    .expect("written");
    let output = rig.try_run("scontrol", &["reconfigure"]);
    let said = String::from_utf8(output.stderr).expect("text");
    assert!(output.status.success() && said.contains("HistoryDays"), "{said}");
    assert!(shown().contains("\nMinJobAge               = 77 sec\n") && shown().contains("= 30\n"));
    assert!(rig.run("sinfo", &["-h", "-o", "%R"]).contains("night"));
    fs::write(rig.dir().join("covey.toml"), "MinJobAge = \"soon\"\n").expect("written");
    let output = rig.try_run("scontrol", &["reconfigure"]);
    assert!(!output.status.success() && String::from_utf8_lossy(&output.stderr).contains("line 1"), "{output:?}");
    assert!(shown().contains("\nMinJobAge               = 77 sec\n"), "what was wrong has changed nothing");
}
