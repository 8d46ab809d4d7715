//! Why jobs wait, and when they should start, as users and programs see it.

use crate::rig::{Rig, wait_for};

#[test]
fn a_job_that_waits_says_what_is_missing_who_has_it_and_when_it_should_start() {
    let rig = Rig::start(1);
    let first = rig.submit(&["--time=10", "-c2", "--wrap", "sleep 600"]);
    let second = rig.submit(&["--time=10", "-c2", "--wrap", "true"]);
    wait_for("the second waits for the first", || {
        rig.run("squeue", &["-h", "-j", &second, "-o", "%r"]).trim() == "Resources"
    });
    let told = rig.run("why", &[&second]);
    assert!(told.starts_with(&format!("job {second} waits: Resources\nIt asks for 2 CPUs and ")), "{told}");
    assert!(told.contains(&format!("On linux0 job {first} of ")), "{told}");
    let start = rig.run("squeue", &["-h", "-j", &second, "-o", "%S"]);
    assert!(told.contains(&format!("Expected start: {} on linux0;", start.trim())), "{told}");

    let listed = rig.run("squeue", &["--start"]);
    let mut lines = listed.lines();
    let header = "             JOBID PARTITION     NAME     USER ST          START_TIME  NODES SCHEDNODES           NODELIST(REASON)";
    assert_eq!(lines.next(), Some(header));
    let row: Vec<&str> = lines.next().expect("one waits").split_whitespace().collect();
    assert_eq!((row[0], row[5], row[7], lines.next()), (second.as_str(), start.trim(), "linux0", None), "{listed}");
    let shown = rig.run("scontrol", &["show", "job", &second]);
    assert!(
        shown.contains(&format!("StartTime={} ", start.trim())) && shown.contains(" SchedNodeList=linux0\n"),
        "{shown}"
    );

    let object = rig.run("why", &["--json", &first]);
    assert!(object.contains("\"state\":\"RUNNING\"") && object.contains("\"nodes\":[\"linux0\"]"), "{object}");
    let unknown = rig.try_run("why", &["99"]);
    assert_eq!(unknown.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&unknown.stderr).starts_with("covey why: error: Invalid job id specified\n"));
}
