//! A report, line by line.

use super::*;

fn reply() -> GetStatisticsReply {
    let call = |name: &str, uid, count, total_us| CallCount { name: name.into(), uid, count, total_us };
    GetStatisticsReply {
        now_ms: 1_795_203_336_000,
        since_ms: 1_795_202_886_000,
        calls_open: 3,
        submitted: 44,
        started: 40,
        completed: 30,
        cancelled: 3,
        failed: 1,
        pending: 10,
        running: 2,
        passes: Some(Passes {
            count: 14,
            last_us: 69,
            max_us: 1925,
            total_us: 3654,
            last_depth: 2,
            total_depth: 28,
            last_queue: 5,
            total_queue: 42,
            last_ms: 1_795_203_185_000,
            backfilled: 6,
            backfilled_ever: 7,
        }),
        by_method: vec![call("ListJobs", 0, 565, 58577), call("Submit", 0, 9, 90000)],
        by_user: vec![call("root", 0, 2744, 356_790)],
    }
}

#[test]
fn every_label_that_exporters_look_for_is_there_with_its_figure() {
    let text = text(&reply(), Order::Count);
    for line in [
        "Server thread count:  3\n",
        "Agent queue size:     0\n",
        "DBD Agent queue size: 0\n\nJobs submitted: 44\nJobs started:   40\nJobs completed: 30\nJobs canceled:  3\nJobs failed:    1\n",
        "Jobs pending:   10\nJobs running:   2\n",
        "Main schedule statistics (microseconds):\n\tLast cycle:   69\n\tMax cycle:    1925\n\tTotal cycles: 14\n\tMean cycle:   261\n",
        "\tMean depth cycle:  2\n\tCycles per minute: 2\n\tLast queue length: 5\n\nBackfilling stats\n",
        "\tTotal backfilled jobs (since last slurm start): 7\n\tTotal backfilled jobs (since last stats cycle start): 6\n",
        "\tLast cycle: 69\n\tMax cycle:  1925\n\tMean cycle: 261\n",
        "\tDepth Mean: 2\n\tDepth Mean (try depth): 2\n\tLast queue length: 5\n\tQueue length mean: 3\n",
        "\tLIST_JOBS                               (    1) count:565    ave_time:103    total_time:58577\n\tSUBMIT ",
        "\troot            (       0) count:2744   ave_time:130    total_time:356790\n\nPending RPC statistics\n",
    ] {
        assert!(text.contains(line), "{line:?} in\n{text}");
    }
    assert!(text.starts_with(&format!("{}\nsdiag output at ", "*".repeat(55))));
    assert!(text.contains(" 2026 (1795203336)\nData since      "), "{text}");
}

#[test]
fn calls_are_sorted_as_asked() {
    let first = |order| {
        let text = text(&reply(), order);
        let from = text.find("by message type\n\t").expect("the part is there") + "by message type\n\t".len();
        text[from..].split(' ').next().map(ToOwned::to_owned)
    };
    assert_eq!(first(Order::Total).as_deref(), Some("SUBMIT"));
    assert_eq!(first(Order::Average).as_deref(), Some("SUBMIT"));
    assert_eq!(first(Order::Id).as_deref(), Some("LIST_JOBS"));
}

#[test]
fn before_the_first_pass_there_are_no_means() {
    let text = text(&GetStatisticsReply { passes: None, ..reply() }, Order::Count);
    assert!(!text.contains("Mean cycle") && text.contains("\tLast cycle when: N/A\n"), "{text}");
}

#[test]
fn a_document_has_the_same_figures() {
    let document = statistics::document(&reply(), &Meta::here("sdiag", &[], "covey"));
    let document = serde_json::to_value(&document).expect("it is JSON");
    let told = &document["statistics"];
    for (field, figure) in [
        ("jobs_submitted", 44),
        ("jobs_canceled", 3),
        ("server_thread_count", 3),
        ("schedule_cycle_mean", 261),
        ("schedule_cycle_per_minute", 2),
        ("bf_backfilled_jobs", 7),
        ("bf_depth_mean", 2),
        ("bf_queue_len_mean", 3),
    ] {
        assert_eq!(told[field], figure, "{field} in {told}");
    }
    assert_eq!(told["bf_when_last_cycle"]["number"], 1_795_203_185);
    let call = &told["rpcs_by_message_type"][0];
    assert_eq!(call["message_type"], "ListJobs");
    assert_eq!(call["average_time"]["number"], 103);
    assert_eq!(told["rpcs_by_user"][0]["total_time"], 356_790);
    assert_eq!(document["meta"]["slurm"]["cluster"], "covey");
}
