//! Bad input: a message that names what and why, an exit code that is not 0, and nothing half done.

use std::fs;

use crate::rig::{COVEY, Rig};

/// Words, what stderr must contain, the exit code.
type Case<'a> = (&'a [&'a str], &'a [&'a str], i32);

fn check(rig: &Rig, command: &str, cases: &[Case<'_>]) {
    for (words, texts, code) in cases {
        let output = rig.try_run(command, words);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(*code), "{command} {words:?}: {output:?}");
        for text in *texts {
            assert!(said.contains(text), "{command} {words:?} must say {text:?}, and says: {said}");
        }
        assert!(!said.contains("panicked"), "{said}");
        assert!(output.stdout.is_empty(), "{command} {words:?} prints nothing that a program might take: {output:?}");
    }
    let jobs = rig.run("squeue", &["-h", "-t", "all"]);
    assert_eq!(jobs, "", "nothing was submitted");
}

#[test]
fn sbatch_refuses_and_says_why() {
    let rig = Rig::start(1);
    let write = |name: &str, text: &str| fs::write(rig.work().join(name), text).expect("written");
    write("plain.txt", "echo hello\n");
    write("empty.sh", "");
    write("dos.sh", "#!/bin/sh\r\ntrue\r\n");
    write("bad.sh", "#!/bin/sh\n#SBATCH --bogus\ntrue\n");
    write("good.sh", "#!/bin/sh\ntrue\n");
    fs::create_dir_all(rig.work().join("none")).expect("a folder");
    fs::create_dir_all(rig.work().join("some")).expect("a folder");
    write("some/x", "x");
    check(
        &rig,
        "sbatch",
        &[
            (&["nope.sh"], &["sbatch: error: Unable to open file nope.sh"], 1),
            (&["plain.txt"], &["This does not look like a batch script", "#!"], 1),
            (&["empty.sh"], &["Batch script is empty!"], 1),
            (&["dos.sh"], &["DOS line breaks"], 1),
            (&["bad.sh"], &["--bogus"], 255),
            (&["--bogus", "good.sh"], &["sbatch: unrecognized option '--bogus'", "sbatch --help"], 255),
            (&["--array=3-1", "good.sh"], &["Invalid job array specification", "3-1"], 1),
            (&["--array=x", "good.sh"], &["Invalid job array specification"], 1),
            (&["--array=0-5000000", "good.sh"], &["Invalid job array specification"], 1),
            (&["-t", "soon", "good.sh"], &["Invalid --time specification", "soon"], 255),
            (&["--mem=lots", "good.sh"], &["Invalid --mem specification", "lots"], 255),
            (
                &["-p", "nowhere", "good.sh"],
                &["invalid partition specified: nowhere", "Invalid partition name specified"],
                1,
            ),
            (
                &["--mem=900G", "good.sh"],
                &["Requested node configuration is not available", "921600 MiB", "2048 MiB"],
                1,
            ),
            (&["-c", "64", "good.sh"], &["Requested node configuration is not available", "64 CPUs"], 1),
            (&["--wrap", "true", "good.sh"], &["Script arguments not permitted with --wrap option"], 1),
            (&["--map-from=none/", "--map-to=out/", "--map-op=grayscale"], &["none/"], 1),
            (&["--map-from=missing/", "--map-to=out/", "--map-op=grayscale"], &["missing/"], 1),
            (&["--map-from=some/", "--map-to=out/", "--map-op=sepia"], &["sepia", "grayscale"], 255),
            (&["--map-from=some/", "--map-to=/proc/none/", "--map-op=grayscale"], &["/proc/none/"], 1),
            (&["--map-from=gopher://x/", "--map-to=out/", "--map-op=grayscale"], &["gopher"], 1),
            (&["--map-from=some/", "--map-to=out/", "--map-op=grayscale", "--array=0-3"], &["--array"], 1),
            (&["--map-from=s3://bucket/in/", "--map-to=out/", "--map-op=grayscale"], &["s3://bucket", "AWS_"], 1),
        ],
    );
}

#[test]
fn the_other_commands_refuse_and_say_why() {
    let rig = Rig::start(0);
    check(
        &rig,
        "squeue",
        &[
            (&["-j", "77"], &["slurm_load_jobs error: Invalid job id specified"], 1),
            (&["-j", "abc"], &["squeue: error: Invalid job id: abc"], 1),
            (&["--bogus"], &["squeue: unrecognized option '--bogus'"], 1),
        ],
    );
    check(
        &rig,
        "scancel",
        &[
            (&[], &["scancel: error: No job identification provided"], 1),
            (&["abc"], &["scancel: error: Invalid job id abc"], 1),
        ],
    );
    check(&rig, "scontrol", &[(&["show", "job", "77"], &["slurm_load_jobs error: Invalid job id specified"], 1)]);
    check(&rig, "map", &[(&["--from", "in", "--to", "out", "--", "cp", "{in}"], &["{out}"], 1)]);
    assert_eq!(rig.try_run("scancel", &["77"]).status.code(), Some(0), "an unknown id is no failure, as in Slurm");
}

#[test]
fn a_second_controller_and_a_wrong_setting_are_refused() {
    let rig = Rig::start(0);
    let controller = |words: &[&str]| {
        let output = std::process::Command::new(COVEY).arg("controller").args(words).output().expect("it starts");
        assert!(!output.status.success(), "{words:?}: {output:?}");
        String::from_utf8(output.stderr).expect("text")
    };
    let dir = rig.dir();
    let dir = dir.to_str().expect("text");
    let said = controller(&["--dir", dir]);
    assert!(said.contains(dir) && said.contains("in use"), "{said}");
    let other = rig.work().join("other");
    let other = other.to_str().expect("text");
    let said = controller(&["--dir", other, "--listen-plain", "0.0.0.0:6817"]);
    assert!(said.contains("--listen-plain 0.0.0.0:6817") && said.contains("127.0.0.1"), "{said}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address").to_string();
    let said = controller(&["--dir", other, "--listen-plain", &address]);
    assert!(said.contains(&address), "{said}");
    fs::write(rig.work().join("covey.toml"), "MinJobAge = 3\nMaxJobs = 4\n").expect("written");
    let config = rig.work().join("covey.toml");
    let said = controller(&["--dir", other, "--config", config.to_str().expect("text")]);
    assert!(said.contains("MaxJobs") && said.contains("line 2"), "{said}");
}
