//! Documents as values: the shapes that programs rely on.

use proto::v1::{
    JobDetail, JobRow, JobState, ListNodesReply, NodeReason, NodeRow, NodeState, PartitionRow, StepRow, Usage,
};

use super::number::{exit_code, infinite, set, unset};
use super::*;

/// A document as one value.
fn whole(document: &Document<'_>) -> Value {
    serde_json::to_value(document).expect("a document has text keys and plain values")
}

fn meta() -> Meta {
    Meta {
        source: "/dev/pts/0".into(),
        user: "ada".into(),
        group: "users".into(),
        words: vec!["squeue".into(), "--json".into()],
        cluster: "lab".into(),
    }
}

fn job() -> JobRow {
    let detail = JobDetail {
        work_dir: "/w".into(),
        stdout: "/w/o".into(),
        batch: true,
        mail_type: "END,FAIL".into(),
        ..JobDetail::default()
    };
    let usage = Usage { user_us: 1_500_000, system_us: 250_000, rss_kib_max: 4, ..Usage::default() };
    let step = StepRow {
        step: 0,
        name: "srun".into(),
        state: JobState::Failed.into(),
        nodes: "n[1-2]".into(),
        node_count: 2,
        tasks: 2,
        cpus: 4,
        started_ms: 2_000_000,
        ended_ms: 2_005_000,
        exit_code: 3,
        usage: Some(usage),
        ..StepRow::default()
    };
    JobRow {
        id: 5,
        name: "train".into(),
        user: "ada".into(),
        uid: 1000,
        partition: "normal".into(),
        state: JobState::Running.into(),
        reason: "None".into(),
        priority: 100,
        submitted_ms: 1_000_000,
        eligible_ms: 1_000_000,
        started_ms: 2_000_000,
        nodes: "n[1-2]".into(),
        node_count: 2,
        cpus: 4,
        processes: 2,
        memory_mib: 300,
        memory_held_mib: 300,
        account: "lab".into(),
        attempts: 1,
        detail: Some(detail.into()),
        steps: vec![step],
        usage: Some(usage),
        ..JobRow::default()
    }
}

#[test]
fn the_frame_is_slurms() {
    let document = whole(&meta().around("jobs", std::iter::empty, json!({})));
    assert_eq!(document["meta"]["plugin"]["data_parser"], "data_parser/v0.0.43");
    assert_eq!(document["meta"]["client"], json!({ "source": "/dev/pts/0", "user": "ada", "group": "users" }));
    assert_eq!(document["meta"]["command"], json!(["squeue", "--json"]));
    assert_eq!(
        document["meta"]["slurm"],
        json!({
            "version": { "major": "25", "minor": "05", "micro": "3" }, "release": "25.05.3", "cluster": "lab",
        })
    );
    assert_eq!((&document["errors"], &document["warnings"], &document["jobs"]), (&json!([]), &json!([]), &json!([])));
}

#[test]
fn forms_are_chosen_and_other_shapes_refused() {
    assert_eq!(Form::of("squeue", None, None), Ok(None));
    for version in ["", "v0.0.43", "data_parser/v0.0.43", "v0.0.43+fast"] {
        assert_eq!(Form::of("squeue", Some(version), None), Ok(Some(Form::Json)));
        assert_eq!(Form::of("squeue", None, Some(version)), Ok(Some(Form::Yaml)));
    }
    let refused = Form::of("sinfo", Some("v0.0.39"), None).expect_err("there is one shape");
    assert!(refused.text().starts_with("sinfo: fatal: Unable to find plugin: data_parser/v0.0.39\n"));
}

#[test]
fn numbers_and_exit_codes_say_whether_they_are_set() {
    assert_eq!(set(5), json!({ "set": true, "infinite": false, "number": 5 }));
    assert_eq!(unset(), json!({ "set": false, "infinite": false, "number": 0 }));
    assert_eq!(infinite(), json!({ "set": false, "infinite": true, "number": 0 }));
    let signal = json!({ "id": unset(), "name": "" });
    assert_eq!(exit_code(0, 0), json!({ "status": ["SUCCESS"], "return_code": set(0), "signal": signal }));
    assert_eq!(exit_code(3, 0), json!({ "status": ["ERROR"], "return_code": set(3), "signal": signal }));
    let killed = json!({ "id": set(9), "name": "KILL" });
    assert_eq!(exit_code(0, 9), json!({ "status": ["SIGNALED"], "return_code": unset(), "signal": killed }));
}

#[test]
fn a_job_has_the_fields_of_the_queue() {
    let document = whole(&jobs::document(&[job()], &meta(), 9_000_000));
    assert_eq!((&document["last_update"], &document["last_backfill"]), (&set(9000), &unset()));
    let job = &document["jobs"][0];
    for (key, value) in [
        ("job_id", json!(5)),
        ("array_job_id", set(0)),
        ("array_task_id", unset()),
        ("array_task_string", json!("")),
        ("name", json!("train")),
        ("user_name", json!("ada")),
        ("account", json!("lab")),
        ("qos", json!("")),
        ("job_state", json!(["RUNNING"])),
        ("state_reason", json!("None")),
        ("nodes", json!("n[1-2]")),
        ("node_count", set(2)),
        ("cpus", set(4)),
        ("tasks", set(2)),
        ("priority", set(100)),
        ("submit_time", set(1000)),
        ("start_time", set(2000)),
        ("end_time", unset()),
        ("time_limit", infinite()),
        ("standard_output", json!("/w/o")),
        ("current_working_directory", json!("/w")),
        ("memory_per_node", set(300)),
        ("memory_per_cpu", unset()),
        ("tres_alloc_str", json!("cpu=4,mem=600M,node=2,billing=4")),
        ("mail_type", json!(["END", "FAIL"])),
        ("batch_flag", json!(true)),
        ("cluster", json!("lab")),
    ] {
        assert_eq!(job[key], value, "{key}");
    }
    assert_eq!(job["job_resources"]["nodes"]["list"], "n[1-2]");
    for name in FIELDS.split_whitespace() {
        assert!(job.get(name).is_some(), "{name} is a field of Slurm's");
    }
}

/// Every field of a job in Slurm's data parser.
const FIELDS: &str = "\
    account accrue_time admin_comment allocating_node array_job_id array_task_id array_max_tasks array_task_string \
    association_id batch_features batch_flag batch_host flags burst_buffer burst_buffer_state cluster cluster_features \
    command comment container container_id contiguous core_spec thread_spec cores_per_socket billable_tres cpus_per_task \
    cpu_frequency_minimum cpu_frequency_maximum cpu_frequency_governor cpus_per_tres cron deadline delay_boot dependency \
    derived_exit_code eligible_time end_time excluded_nodes exit_code extra failed_node features federation_origin \
    federation_siblings_active federation_siblings_viable gres_detail group_id group_name het_job_id het_job_id_set \
    het_job_offset job_id job_resources job_size_str job_state last_sched_evaluation licenses licenses_allocated mail_type \
    mail_user max_cpus max_nodes mcs_label memory_per_tres name network nodes nice tasks_per_core tasks_per_tres \
    tasks_per_node tasks_per_socket tasks_per_board cpus node_count tasks partition prefer memory_per_cpu memory_per_node \
    minimum_cpus_per_node minimum_tmp_disk_per_node power preempt_time preemptable_time pre_sus_time hold priority \
    priority_by_partition profile qos reboot required_nodes required_switches requeue resize_time restart_cnt resv_name \
    scheduled_nodes segment_size selinux_context shared sockets_per_board sockets_per_node start_time state_description \
    state_reason standard_error standard_input standard_output stdin_expanded stdout_expanded stderr_expanded submit_line \
    submit_time suspend_time system_comment time_limit time_minimum threads_per_core tres_bind tres_freq tres_per_job \
    tres_per_node tres_per_socket tres_per_task tres_req_str tres_alloc_str user_id user_name maximum_switch_wait_time \
    wckey current_working_directory";

#[test]
fn what_waits_and_what_goes_is_told_apart() {
    let waiting = JobRow {
        id: 7,
        array_id: 7,
        remainder: "2-9".into(),
        throttle: 2,
        state: JobState::Pending.into(),
        time_limit_minutes: Some(90),
        ..JobRow::default()
    };
    let going = JobRow { completing: true, state: JobState::Cancelled.into(), ..job() };
    let document = whole(&jobs::document(&[waiting, going], &meta(), 1));
    let [waiting, going] = [&document["jobs"][0], &document["jobs"][1]];
    assert_eq!((&waiting["array_task_string"], &waiting["array_max_tasks"]), (&json!("2-9%2"), &set(2)));
    assert_eq!((&waiting["time_limit"], &waiting["start_time"]), (&set(90), &unset()));
    assert_eq!((&waiting["hold"], &waiting["job_resources"]), (&json!(true), &json!({})));
    assert_eq!(going["job_state"], json!(["CANCELLED", "COMPLETING"]));
}

#[test]
fn accounting_has_a_shape_of_its_own() {
    let document = whole(&history::document(&[job()], &meta(), 2_010_000));
    let job = &document["jobs"][0];
    assert_eq!(job["state"], json!({ "current": ["RUNNING"], "reason": "None" }));
    assert_eq!((&job["time"]["elapsed"], &job["time"]["submission"]), (&json!(10), &json!(1000)));
    assert_eq!(job["time"]["total"], json!({ "seconds": 1, "microseconds": 750_000 }));
    assert_eq!(job["time"]["planned"], set(1000));
    assert_eq!(job["tres"]["allocated"][1], json!({ "type": "mem", "name": "", "id": 2, "count": 600 }));
    assert_eq!(job["association"]["account"], "lab");
    let steps = job["steps"].as_array().expect("there are steps");
    assert_eq!(steps.iter().map(|step| &step["step"]["id"]).collect::<Vec<_>>(), ["5.batch", "5.0"]);
    assert_eq!((&steps[1]["state"], &steps[1]["nodes"]["list"]), (&json!(["FAILED"]), &json!(["n1", "n2"])));
    assert_eq!(steps[1]["exit_code"]["return_code"], set(3));
    assert_eq!(steps[1]["tres"]["requested"]["max"][0]["count"], 4096);
}

#[test]
fn running_steps_pings_and_nodes_have_their_documents() {
    let running = StepRow { ended_ms: 0, ..job().steps.remove(0) };
    let row = JobRow { steps: vec![running, job().steps.remove(0)], ..job() };
    let document = whole(&steps::document(&[row], &meta(), 2_010_000));
    assert_eq!(document["steps"].as_array().map(Vec::len), Some(1));
    assert_eq!(document["steps"][0]["time"]["elapsed"], 10);
    let up = whole(&pings::document("desk", Some(250), &meta()));
    assert_eq!((&up["pings"][0]["pinged"], &up["pings"][0]["responding"]), (&json!("UP"), &json!(true)));
    assert_eq!(whole(&pings::document("desk", None, &meta()))["pings"][0]["pinged"], "DOWN");

    let reply = reply();
    let document = whole(&nodes::document(&reply, |node| node.name == "n1", &meta()));
    let node = &document["nodes"][0];
    assert_eq!((&document["nodes"].as_array().map(Vec::len), &node["state"]), (&Some(1), &json!(["MIXED", "DRAIN"])));
    assert_eq!((&node["cpus"], &node["alloc_cpus"], &node["alloc_idle_cpus"]), (&json!(8), &json!(2), &json!(6)));
    assert_eq!((&node["reason"], &node["reason_changed_at"]), (&json!("fan loud"), &set(7)));
    assert_eq!((&node["boot_time"], &node["features"]), (&unset(), &json!(["big"])));
    let document = whole(&partitions::document(&reply, |row| !row.hidden, &meta()));
    let partition = &document["partitions"][0];
    assert_eq!((&partition["name"], &partition["partition"]["state"]), (&json!("normal"), &json!(["UP"])));
    assert_eq!((&partition["maximums"]["time"], &partition["maximums"]["nodes"]), (&set(90), &infinite()));
    assert_eq!((&partition["nodes"]["configured"], &partition["nodes"]["total"]), (&json!("n[1-2]"), &json!(2)));
}

fn reply() -> ListNodesReply {
    let node = |name: &str| NodeRow {
        name: name.into(),
        state: NodeState::Mixed.into(),
        responds: true,
        cpus: 8,
        cpus_held: 2,
        memory_mib: 4096,
        features: vec!["big".into()],
        drain: true,
        reason: Some(NodeReason { text: "fan loud".into(), at_ms: 7_000, ..NodeReason::default() }),
        ..NodeRow::default()
    };
    let partition = PartitionRow {
        name: "normal".into(),
        avail: "up".into(),
        nodes: vec!["n1".into(), "n2".into()],
        time_max_minutes: Some(90),
        ..PartitionRow::default()
    };
    let hidden = PartitionRow { name: "h".into(), hidden: true, ..PartitionRow::default() };
    ListNodesReply { nodes: vec![node("n1"), node("n2")], partitions: vec![partition, hidden], ..Default::default() }
}

#[test]
fn json_and_yaml_say_the_same() {
    let row = || std::iter::once(json!({ "name": "a: b", "job_id": 5, "nodes": "" }));
    let meta = meta();
    let document = meta.around("jobs", row, json!({}));
    let text = |form: Form| {
        let mut text = Vec::new();
        form.write(&document, &mut text).expect("memory takes it");
        String::from_utf8(text).expect("it is text")
    };
    let json = text(Form::Json);
    assert!(json.starts_with("{\n  \"jobs\": [\n    {\n      \"job_id\": 5,\n") && json.ends_with("}\n"), "{json}");
    assert_eq!(serde_json::from_str::<Value>(&json).expect("it is JSON"), whole(&document));
    let yaml = text(Form::Yaml);
    assert!(yaml.starts_with("---\njobs:\n") && yaml.ends_with('\n'), "{yaml}");
    for line in ["job_id: 5", "name: \"a: b\"", "nodes: \"\"", "errors: []", "minor: \"05\""] {
        assert!(yaml.contains(line), "{line} in {yaml}");
    }
}
