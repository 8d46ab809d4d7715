//! covey backup, restore and fsck: what is in the file, what is made of it, and everything that is refused.

use std::fs::{self, File};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Output;

use crate::load::Acknowledged;
use crate::rig::{Rig, is_root, wait_for};

const ALL_JOBS: &[&str] = &["-h", "-t", "all", "-o", "%i %j %T %u %P %Z %k"];
const ALL_HISTORY: &[&str] = &["-n", "-P", "-S", "2020-01-01", "-o", "JobID,JobName,State,ExitCode,Submit,End"];

fn text(path: &Path) -> &str {
    path.to_str().expect("a readable path")
}

fn err(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn out(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A controller with jobs that have ended, that have become history, and that wait.
fn filled() -> Rig {
    let rig = Rig::start_with(&[("linux0", &[])], "MinJobAge = 2\n");
    let past = rig.submit(&["-o", "none", "--array=0-20", "--wrap", "exit $((SLURM_ARRAY_TASK_ID % 3))"]);
    wait_for("it is history", || !rig.try_run("squeue", &["-h", "-t", "all", "-j", &past]).status.success());
    rig.submit(&["--hold", "-J", "held", "--comment", "kept", "--wrap", "echo the script"]);
    rig.submit(&["--hold", "-J", "array", "--array=0-99999%7", "--wrap", "true"]);
    rig
}

/// Restores into a new folder, and starts the controller there in the place of the old one.
fn restored(rig: &mut Rig, backup: &Path) -> PathBuf {
    rig.kill_node("linux0");
    rig.kill_controller();
    let old = rig.dir().with_file_name("old");
    fs::rename(rig.dir(), &old).expect("renamed");
    let told = rig.run("restore", &[text(backup), "--dir", text(&rig.dir()), "--skip-jobs", "1000"]);
    assert!(told.contains("rows of history") && told.contains("TLS keys are not in a backup"), "{told}");
    fs::copy(old.join("covey.toml"), rig.dir().join("covey.toml")).expect("copied");
    rig.start_controller();
    old
}

#[test]
fn a_backup_under_load_restores_jobs_scripts_and_history() {
    let mut rig = filled();
    let backup = rig.work().join("a.bak");
    let (jobs, history) = (rig.run("squeue", ALL_JOBS), rig.run("sacct", ALL_HISTORY));
    let mut later = Acknowledged::default();
    later.submit_until(&rig, 5, || {
        let told = rig.run("backup", &["--json", text(&backup)]);
        assert!(told.contains("\"nodes\":1"), "{told}");
    });
    assert_eq!(fs::metadata(&backup).expect("it is there").permissions().mode() & 0o777, 0o600);
    assert!(out(&rig.try_run("fsck", &[text(&backup)]), 0).contains(": whole"));
    let last = rig.submit(&["--hold", "--wrap", "true"]).parse::<u32>().expect("a number");
    restored(&mut rig, &backup);
    let (jobs_now, history_now) = (rig.run("squeue", ALL_JOBS), rig.run("sacct", ALL_HISTORY));
    for line in jobs.lines() {
        assert!(jobs_now.contains(line), "{line} in\n{jobs_now}");
    }
    for line in history.lines() {
        assert!(history_now.contains(line), "{line} in\n{history_now}");
    }
    let held = jobs.lines().find(|line| line.contains("held")).expect("it waits").split(' ').next().expect("a number");
    assert!(rig.run("scontrol", &["write", "batch_script", held, "-"]).contains("echo the script"));
    let next = rig.submit(&["--hold", "--wrap", "true"]).parse::<u32>().expect("a number");
    assert!(next > last, "job {next} after job {last}: a number is not given twice");
    rig.start_node("linux0");
    rig.run("scontrol", &["release", held]);
    wait_for("it runs and becomes history", || rig.run("sacct", ALL_HISTORY).contains("|held|COMPLETED|"));
}

#[test]
fn a_stopped_controller_is_backed_up_from_its_folder() {
    let mut rig = filled();
    let (by_call, by_folder) = (rig.work().join("call.bak"), rig.work().join("folder.bak"));
    let refused = err(&rig.try_run("backup", &["--dir", text(&rig.dir()), text(&by_folder)]), 1);
    assert!(refused.contains("is in use by process") && !by_folder.exists(), "{refused}");
    rig.kill_node("linux0");
    wait_for("nothing changes any more", || rig.run("sinfo", &["-h", "-N", "-o", "%t"]).contains('*'));
    rig.run("backup", &[text(&by_call), "--compress", "none"]);
    rig.kill_controller();
    let told = rig.run("backup", &["--dir", text(&rig.dir()), text(&by_folder)]);
    assert!(told.contains("2 jobs, 1 nodes"), "{told}");
    let again = err(&rig.try_run("backup", &["--dir", text(&rig.dir()), text(&by_folder)]), 1);
    assert!(again.contains("is not overwritten"), "{again}");
    let [by_call, by_folder] = [&by_call, &by_folder].map(|file| {
        let told = out(&rig.try_run("fsck", &["--json", text(file)]), 0);
        let mut found: serde_json::Value = serde_json::from_str(&told).expect("JSON");
        assert!(found["jobs"].as_u64() == Some(2) && found["history_rows"].as_u64() > Some(0), "{told}");
        found.as_object_mut().expect("an object").remove("path");
        found
    });
    assert_eq!(by_call, by_folder, "both hold the same");
    rig.start_controller();
}

#[test]
fn a_damaged_backup_and_a_used_folder_are_refused_and_nothing_is_written() {
    let mut rig = filled();
    let backup = rig.work().join("a.bak");
    rig.run("backup", &[text(&backup)]);
    let new = rig.work().join("new");
    let used = err(&rig.try_run("restore", &[text(&backup), "--dir", text(&rig.dir())]), 1);
    assert!(used.contains("a restore overwrites nothing"), "{used}");
    let whole = fs::read(&backup).expect("readable");
    for cut in [0, 7, 100, whole.len() / 2, whole.len() - 1] {
        fs::write(&backup, &whole[..cut]).expect("written");
        let refused = err(&rig.try_run("restore", &[text(&backup), "--dir", text(&new)]), 1);
        assert!(refused.contains(text(&backup)) && !new.exists(), "{cut}: {refused}");
    }
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    fs::write(&backup, flipped).expect("written");
    let told = out(&rig.try_run("fsck", &[text(&backup)]), 4);
    assert!(told.contains("is damaged at byte") && told.contains("use another backup"), "{told}");
    fs::write(&backup, &whole).expect("written");

    // A restore that was cut short is no empty start.
    fs::create_dir_all(new.join("journal/restoring/store")).expect("made");
    let start = rig.try_run("controller", &["--dir", text(&new)]);
    assert!(err(&start, 1).contains("restore a backup into it"), "{start:?}");
    rig.run("restore", &[text(&backup), "--dir", text(&new)]);
    assert!(out(&rig.try_run("fsck", &[text(&new)]), 0).contains(": whole"));
    rig.kill_controller();
}

#[test]
fn fsck_changes_nothing_and_saves_what_is_left_of_a_damaged_journal() {
    let mut rig = filled();
    let dir = rig.dir();
    assert!(err(&rig.try_run("fsck", &[text(&dir)]), 8).contains("is in use by process"));
    assert!(err(&rig.try_run("fsck", &[text(&rig.work())]), 8).contains("there is no journal"));
    let early = rig.submit(&["--hold", "-J", "early", "--wrap", "true"]);
    rig.kill_node("linux0");
    rig.stop_controller();
    rig.start_controller();
    let late: Vec<String> = (0..30).map(|_| rig.submit(&["--hold", "-J", "late", "--wrap", "true"])).collect();
    rig.kill_controller();
    assert!(out(&rig.try_run("fsck", &[text(&dir)]), 0).contains(": whole"));

    // The end of what was written is gone.
    let db = dir.join("journal/store/db");
    cut_tail(&db);
    let before = fs::read(&db).expect("readable");
    let left = rig.work().join("left.bak");
    let told = out(&rig.try_run("fsck", &[text(&dir), "--save", text(&left)]), 4);
    assert!(told.contains("were durable and are gone") && told.contains("all before record"), "{told}");
    assert!(fs::read(&db).expect("readable") == before, "the journal is as it was");
    let refused = err(&rig.try_run("controller", &["--dir", text(&dir)]), 1);
    assert!(refused.contains("restore a backup"), "{refused}");

    fs::rename(&dir, dir.with_file_name("damaged")).expect("renamed");
    rig.run("restore", &[text(&left), "--dir", text(&dir)]);
    rig.start_controller();
    let jobs = rig.run("squeue", ALL_JOBS);
    assert!(jobs.lines().any(|line| line.starts_with(&format!("{early} early "))), "{jobs}");
    let kept = jobs.lines().filter(|line| line.contains(" late ")).count();
    assert!(kept < late.len(), "the tail was cut: {kept}");
    let next = rig.submit(&["--hold", "--wrap", "true"]).parse::<u32>().expect("a number");
    assert!(next > late[29].parse().expect("a number"), "no number of a lost job is given again");
}

/// Zeroes the last 5 KiB that are not zero: the records of the last submits, and no checkpoint.
fn cut_tail(db: &Path) {
    let bytes = fs::read(db).expect("readable");
    let end = bytes.iter().rposition(|byte| *byte != 0).expect("something is written") + 1;
    let file = File::options().write(true).open(db).expect("it can be written");
    file.write_all_at(&[0; 5 << 10], end as u64 - (5 << 10)).expect("written");
}

#[test]
fn only_administrators_make_backups() {
    use std::os::unix::process::CommandExt;
    if !is_root() {
        return;
    }
    let rig = Rig::start(0);
    let folder = rig.dir().parent().expect("a folder").to_owned();
    fs::set_permissions(folder, fs::Permissions::from_mode(0o755)).expect("chmod");
    fs::copy(crate::rig::COVEY, rig.dir().join("covey")).expect("copied");
    let mut command = std::process::Command::new(rig.dir().join("covey"));
    command.args(["backup", "-"]).env("COVEY_CONTROLLER", rig.endpoint()).env("HOME", "/nonexistent");
    let refused = command.uid(65_534).gid(65_534).current_dir("/").output().expect("it can be started");
    assert!(
        err(&refused, 1).contains("only an administrator may write everything into a backup")
            && refused.stdout.is_empty()
    );
}
