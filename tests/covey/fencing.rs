//! Outputs of maps are fenced: what a node does late, after its task was given to another, changes nothing.
//!
//! `COVEY_TEST_NIGHTLY` raises the number of rounds.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::leases::SHORT;
use crate::rig::{Rig, rounds, send, wait_for};

/// Enough that writing it takes a moment.
const OUTPUT_BYTES: u64 = 200_000_000;

/// Files that are being written: their names end in `#` and digits.
fn unfinished(folder: &Path) -> usize {
    let names = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
    names.filter(|name| name.to_string_lossy().contains('#')).count()
}

/// What tells one file from another that took its place.
fn identity(path: &Path) -> (u64, u64, i64, i64) {
    let found = fs::metadata(path).expect("it was published");
    (found.ino(), found.len(), found.mtime(), found.mtime_nsec())
}

#[test]
fn an_upload_that_is_finished_after_its_node_was_given_up_changes_nothing() {
    let mut rig = Rig::start_with(&[("a", &[])], SHORT);
    for round in 0..rounds(3, 20) {
        let (from, to) = (rig.work().join(format!("from{round}")), rig.work().join(format!("to{round}")));
        fs::create_dir(&from).expect("a folder");
        fs::write(from.join("blob"), "x").expect("written");
        let output = to.join("blob");
        // Every second time there was an output of an earlier job.
        fs::create_dir(&to).expect("a folder");
        if round % 2 == 1 {
            fs::write(&output, "of another job").expect("written");
        }
        let make =
            format!("(: {{in}}; echo run ${{SLURM_RESTART_COUNT:-0}}; head -c {OUTPUT_BYTES} /dev/zero) > {{out}}");
        let [from_url, to_url] = [&from, &to].map(|path| format!("file://{}/", path.display()));
        let said = rig.run("map", &["--from", &from_url, "--to", &to_url, "--", "sh", "-c", &make]);
        let job = said.trim().rsplit(' ').next().expect("a number").to_owned();
        wait_for("it is on its way out", || unfinished(&to) == 1);
        send(rig.node_pid("a"), "STOP");
        assert!(unfinished(&to) == 1 && fs::metadata(&output).map_or(0, |found| found.len()) < OUTPUT_BYTES);
        rig.start_node_anew("b", &[]);
        wait_for("it is done elsewhere", || rig.states(&job) == ["COMPLETED"]);
        let start = || String::from_utf8(fs::read(&output).expect("there")[..6].to_vec()).expect("text");
        let published = identity(&output);
        assert_eq!(start(), "run 1\n");
        send(rig.node_pid("a"), "CONT");
        wait_for("the late one is back, and has dropped what it had", || {
            rig.node_state("a") == "idle" && unfinished(&to) == 0
        });
        assert_eq!((identity(&output), start()), (published, "run 1\n".to_owned()), "round {round}");
        rig.end_node("b", "INT");
        wait_for("the other node has left", || rig.node_state("b").is_empty());
    }
}
