//! The launcher with real processes: what noded sees on the socket, what users see in their files, and what is left
//! alive. The launcher itself is the example of that name.

mod house;
mod leases;
mod limits;

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::{Duration, Instant};

use noded::launcher::frame::{AttemptStatus, FileSpec, Notice, Outcome, Request, StartStep, StopWhy};
use noded::launcher::{self, Link};
use rustix::process::Signal;

use house::{EXE, House, PATIENCE, key, kill, lives, stop, wait_until};

#[test]
fn an_end_tells_exit_code_signal_and_usage() {
    let mut house = House::new();
    let ending = house.run(house.script(1, "exit 3"));
    assert_eq!((ending.outcome, ending.stopped), (Outcome::Exited { code: 3 }, None));
    assert!(ending.started_ms > 0 && ending.started_ms <= ending.ended_ms);
    let ending = house.run(house.script(2, "kill -SEGV $$"));
    assert_eq!(ending.outcome, Outcome::Signalled { signal: 11 });
    let ending = house.run(house.script(3, "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done"));
    assert!(ending.usage.user_us > 1_000 && ending.usage.max_rss_kib > 0, "{:?}", ending.usage);
}

#[test]
fn a_task_finds_files_folder_umask_and_signals_as_ordered() {
    let mut house = House::new();
    fs::write(house.root.path().join("out"), "old").expect("write");
    fs::write(house.root.path().join("err"), "old ").expect("write");
    let mut launch = house.script(1, "cat; pwd; umask; echo $COVEY_ATTEMPT $1; ls /proc/self/fd; echo oops >&2");
    launch.argv.extend(["sh".into(), "an argument".into()]);
    launch.stderr = Some(FileSpec { path: "err".into(), append: true });
    assert_eq!(house.run(launch).outcome, Outcome::Exited { code: 0 });
    let cwd = house.root.path().display();
    // Descriptor 3 is the folder that `ls` reads.
    let expected = format!("{cwd}\n0027\n1_0_1 an argument\n0\n1\n2\n3\n");
    assert_eq!((house.file("out"), house.file("err")), (expected, "old oops\n".to_owned()));

    let mut launch = house.script(2, "cat; touch made");
    launch.stdin = Some("err".into());
    launch.stdout.path = "new".into();
    house.run(launch);
    assert_eq!(house.file("new"), "old oops\n");
    let mode = |name| fs::metadata(house.root.path().join(name)).expect("it was made").permissions().mode() & 0o777;
    assert_eq!((mode("new"), mode("made"), mode("launcher/launcher.sock")), (0o640, 0o640, 0o600));
}

#[test]
fn no_signal_of_a_task_is_blocked_or_ignored() {
    let mut house = House::new();
    house.run(house.script(1, "exec grep -E '^Sig(Blk|Ign)' /proc/self/status"));
    let out = house.file("out");
    assert_eq!(out.lines().count(), 2, "{out}");
    for line in out.lines() {
        let set = u64::from_str_radix(line[8..].trim(), 16).expect("a set of signals");
        // Signals 32 and 33 are libc's own, which it lets nobody set.
        assert_eq!(set & !(3 << 31), 0, "{line}");
    }
}

#[test]
fn what_cannot_start_says_which_step_and_file() {
    let mut house = House::new();
    let root = house.root.path().to_owned();
    let not_started = |step, name: &str, error: &str| Outcome::NotStarted {
        step,
        path: root.join(name).display().to_string(),
        error: error.to_owned(),
    };
    let absent = "No such file or directory";

    let mut launch = house.script(1, "true");
    launch.stdout.path = "absent/out".into();
    assert_eq!(house.run(launch).outcome, not_started(StartStep::OpenOutput, "absent/out", absent));
    assert!(!root.join("absent").exists());

    let mut launch = house.script(2, "true");
    launch.stdin = Some("absent".into());
    assert_eq!(house.run(launch).outcome, not_started(StartStep::OpenInput, "absent", absent));

    let mut launch = house.script(3, "true");
    launch.argv = vec![root.join("program").into()];
    fs::write(root.join("program"), "#!/no/such/interpreter\n").expect("write");
    fs::set_permissions(root.join("program"), fs::Permissions::from_mode(0o755)).expect("chmod");
    assert_eq!(house.run(launch).outcome, not_started(StartStep::Exec, "program", absent));
    let program = root.join("program");
    assert_eq!(house.file("out"), format!("slurmstepd: error: execve(): {}: {absent}\n", program.display()));

    // A pipe that nobody reads must not hold up the launcher.
    let mut launch = house.script(4, "true");
    launch.stdout.path = "pipe".into();
    assert!(Command::new("mkfifo").arg(root.join("pipe")).status().expect("coreutils").success());
    let outcome = house.run(launch).outcome;
    assert_eq!(outcome, not_started(StartStep::OpenOutput, "pipe", "No such device or address"));
}

#[test]
fn a_missing_folder_sends_the_task_to_tmp() {
    let mut house = House::new();
    let mut launch = house.script(1, "pwd");
    launch.cwd = "/no/such/folder".into();
    launch.stdout.path = house.root.path().join("out").into();
    assert_eq!(house.run(launch).outcome, Outcome::Exited { code: 0 });
    let said = "slurmstepd: error: couldn't chdir to `/no/such/folder': No such file or directory: going to /tmp instead\n/tmp\n";
    assert_eq!(house.file("out"), said);
}

#[test]
fn a_folder_that_comes_a_moment_later_is_in_time() {
    let mut house = House::new();
    let late = |house: &House, job, folder: &str| {
        let mut launch = house.script(job, "echo here");
        launch.stdout.path = format!("{folder}/out").into();
        Request::Launch(Box::new(launch))
    };
    // The second is answered while the first waits, which therefore holds up nobody.
    house.send(&[late(&house, 1, "later"), late(&house, 2, ".")]);
    house.started();
    assert_eq!(house.ended().outcome, Outcome::Exited { code: 0 });
    std::fs::create_dir(house.root.path().join("later")).expect("a folder");
    house.started();
    assert_eq!(house.ended().outcome, Outcome::Exited { code: 0 });
    assert_eq!(house.file("later/out"), "here\n");
    // A stop ends the wait.
    house.send(&[late(&house, 3, "never"), stop(3, StopWhy::Cancelled, 0)]);
    assert_eq!(house.ended().stopped, Some(StopWhy::Cancelled));
}

#[test]
fn the_time_limit_ends_a_stubborn_tree() {
    let mut house = House::new();
    let mut launch = house.script(1, "trap '' TERM; sleep 100 & echo $! > child; while :; do sleep 100; done");
    launch.time_limit_s = Some(1);
    launch.kill_wait_ms = 300;
    let begun = Instant::now();
    let ending = house.run(launch);
    let took = begun.elapsed();
    assert_eq!((ending.outcome, ending.stopped), (Outcome::Signalled { signal: 9 }, Some(StopWhy::TimeLimit)));
    assert!(took >= Duration::from_millis(1_300) && took < Duration::from_secs(10), "{took:?}");
    assert!(!lives(house.pid_in("child")));
    let said = house.file("out");
    assert!(said.starts_with("slurmstepd: error: *** JOB 1 ON n1 CANCELLED AT 20"), "{said}");
    assert!(said.trim_end().ends_with(" DUE TO TIME LIMIT ***"), "{said}");
}

#[test]
fn a_cancelled_task_gets_term_and_its_daemons_die_with_it() {
    let mut house = House::new();
    // One daemon keeps the marker and ignores TERM; the other has cleared its environment.
    let script = "setsid sh -c 'trap \"\" TERM; echo $$ > marked; exec sleep 100' &\n\
        env -i setsid sh -c 'trap \"\" TERM; echo $$ > unmarked; exec sleep 100' &\n\
        trap 'echo term; exit 5' TERM; echo $$ > ready; wait; wait; wait";
    house.send(&[Request::Launch(Box::new(house.script(7, script)))]);
    assert_eq!(house.started(), house.pid_in("ready"));
    let daemons = [house.pid_in("marked"), house.pid_in("unmarked")];
    house.send(&[stop(7, StopWhy::Cancelled, 300)]);
    let ending = house.ended();
    assert_eq!((ending.outcome, ending.stopped), (Outcome::Exited { code: 5 }, Some(StopWhy::Cancelled)));
    assert!(!daemons.into_iter().any(lives));
    let said = house.file("out");
    let (note, rest) = said.split_once('\n').expect("a line");
    assert!(note.starts_with("slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT ") && !note.contains("DUE"), "{note}");
    assert!(rest.ends_with("term\n"), "{rest}");
}

#[test]
fn leftovers_die_before_the_end_is_told_and_neighbours_do_not() {
    let mut house = House::new();
    let neighbour = house.script(1, "setsid sleep 100 & echo $! > neighbour; exec sleep 100");
    house.send(&[Request::Launch(Box::new(neighbour))]);
    let main = house.started();
    let spared = house.pid_in("neighbour");
    let script = "sleep 100 & echo $! > plain\n( setsid sh -c 'echo $$ > daemon; exec sleep 100' & )\n\
        while ! [ -s daemon ]; do :; done; exit 0";
    let ending = house.run(house.script(2, script));
    assert_eq!((ending.outcome, ending.stopped), (Outcome::Exited { code: 0 }, None));
    assert!(!lives(house.pid_in("plain")) && !lives(house.pid_in("daemon")));
    assert!(lives(main) && lives(spared));
}

#[test]
fn a_second_launch_of_a_key_starts_nothing() {
    let mut house = House::new();
    let launch = Request::Launch(Box::new(house.script(1, "echo run >> runs; while [ -e runs ]; do sleep 0.01; done")));
    house.send(&[launch.clone(), launch.clone()]);
    assert_eq!(house.started(), house.started());
    wait_until("the first run", || house.file("runs") == "run\n");
    fs::remove_file(house.root.path().join("runs")).expect("it is there");
    let ending = house.ended();
    house.send(&[launch]);
    assert_eq!(house.ended(), ending);
    assert_eq!(house.file("runs"), "");
}

#[test]
fn a_new_connection_learns_all_and_replaces_the_old() {
    let mut house = House::new();
    house.send(&[Request::Launch(Box::new(house.script(1, "exec sleep 100")))]);
    let pid = house.started();
    let ending = house.run(house.script(2, "exit 4"));
    let launcher_pid = house.launcher_pid();
    house.send(&[Request::Launch(Box::new(house.script(3, "echo $$ > third; exit 6")))]);
    house.started();
    // The old connection is not closed but pushed out, and the third task ends for nobody or for the new one.
    let mut old = house.stream.try_clone().expect("a socket");
    let known = house.reconnect();
    assert_eq!(house.launcher_pid(), launcher_pid);
    assert!(matches!(known[&key(1)], AttemptStatus::Running { pid: now, .. } if now == pid));
    assert_eq!(known[&key(2)], AttemptStatus::Ended(ending.clone()));
    let third = match known[&key(3)].clone() {
        AttemptStatus::Ended(ending) => ending,
        _ => house.ended(),
    };
    assert_eq!(third.outcome, Outcome::Exited { code: 6 });
    old.read_to_end(&mut Vec::new()).expect("the old connection was closed");

    house.send(&[Request::Forget { keys: vec![key(1), key(2), key(9)] }, stop(1, StopWhy::Requeue, 10_000)]);
    assert_eq!(house.ended().outcome, Outcome::Signalled { signal: 15 });
    assert!(house.file("out").ends_with(" DUE TO JOB REQUEUE ***\n"));
    let known = house.reconnect();
    assert_eq!(known.into_keys().collect::<Vec<_>>(), [key(1), key(3)], "what runs is not forgotten");
}

#[test]
fn a_killed_launcher_leaves_nothing_running_and_loses_no_end() {
    let mut house = House::new();
    let ending = house.run(house.script(1, "exit 4"));
    let script = "setsid sh -c 'echo $$ > daemon; exec sleep 100' & exec sleep 100";
    house.send(&[Request::Launch(Box::new(house.script(2, script)))]);
    let (main, daemon) = (house.started(), house.pid_in("daemon"));
    kill(house.launcher_pid(), Signal::KILL);
    let known = house.reconnect();
    assert_eq!(known[&key(1)], AttemptStatus::Ended(ending));
    let AttemptStatus::Ended(lost) = &known[&key(2)] else { panic!("not over: {known:?}") };
    assert_eq!((&lost.outcome, lost.stopped), (&Outcome::Lost, None));
    assert!(lost.started_ms > 0 && !lives(main) && !lives(daemon));
    house.send(&[Request::Launch(Box::new(house.script(2, "echo again > again")))]);
    assert_eq!(house.ended().outcome, Outcome::Lost);
    assert!(!house.root.path().join("again").exists());
}

#[test]
fn a_launcher_that_is_told_to_go_takes_its_tasks_along() {
    let mut house = House::new();
    house.send(&[Request::Launch(Box::new(
        house.script(1, "trap 'exit 0' TERM; echo $$ > ready; while :; do sleep 0.05; done"),
    ))]);
    let main = house.pid_in("ready");
    launcher::stop(&house.dir).expect("it goes");
    assert!(!lives(main));
    let known = house.reconnect();
    let AttemptStatus::Ended(lost) = &known[&key(1)] else { panic!("not over: {known:?}") };
    assert_eq!((&lost.outcome, lost.stopped), (&Outcome::Lost, Some(StopWhy::Shutdown)));
}

#[test]
fn a_signal_goes_to_the_main_process_or_to_the_whole_tree() {
    let mut house = House::new();
    let script = "trap 'echo main' USR1; sh -c 'trap \"echo child\" USR1; echo $$ > ready; while :; do sleep 0.02; done' &\n\
        while :; do sleep 0.02; done";
    house.send(&[Request::Launch(Box::new(house.script(1, script)))]);
    house.pid_in("ready");
    let count = |house: &House, word: &str| house.file("out").lines().filter(|line| *line == word).count();
    let usr1 = |number, whole_tree| Request::Signal { key: key(1), signal: Signal::USR1.as_raw(), whole_tree, number };
    // Asked twice, as after a broken connection, it is sent once.
    house.send(&[usr1(1, false), usr1(1, false)]);
    wait_until("the main process hears it", || count(&house, "main") == 1);
    assert_eq!(count(&house, "child"), 0);
    assert!(matches!(house.reconnect()[&key(1)], AttemptStatus::Running { signals_heard: 1, .. }));
    house.send(&[usr1(1, false), usr1(2, true)]);
    wait_until("both hear it", || count(&house, "main") == 2 && count(&house, "child") == 1);
}

#[test]
fn a_folder_has_one_launcher_however_long_its_name() {
    let mut house = House::in_folder(&"long".repeat(50));
    let second = Command::new(&*EXE).arg("launcher").arg("--dir").arg(&house.dir).output().expect("it starts");
    assert!(!second.status.success());
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(said.contains("AlreadyRunning"), "{said}");
    assert_eq!(house.run(house.script(1, "exit 0")).outcome, Outcome::Exited { code: 0 });
}

#[test]
fn the_link_speaks_to_it_from_tokio() {
    let mut house = House::new();
    let launch = house.script(1, "exit 2");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let said = runtime.block_on(async {
        let mut link = Link::new(launcher::ensure(&house.dir, &EXE).expect("it lives")).expect("a socket");
        let mut said = link.receive().await.expect("a hello");
        link.send(&[Request::Launch(Box::new(launch))]).await.expect("it reads");
        let ends = async {
            while !matches!(said.last(), Some(Notice::Ended { .. })) {
                said.extend(link.receive().await.expect("it goes on"));
            }
            said
        };
        tokio::time::timeout(PATIENCE, ends).await.expect("an end in time")
    });
    assert!(matches!(&said[..], [Notice::Hello { .. }, Notice::Started { .. }, Notice::Ended { .. }]), "{said:?}");
    assert_eq!(house.reconnect().len(), 1);
}
