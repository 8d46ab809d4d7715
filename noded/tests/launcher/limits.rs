//! What an attempt may use, with control groups where the machine has them and without; suspending it, and warning it.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use noded::launcher::frame::{AttemptStatus, Controller, Launch, Limits, Means, Outcome, Request, StopWhy, Warning};
use rustix::process::Signal;

use crate::house::{House, key, kill, lives, stop, wait_until};

const OOM_NOTE: &str = "slurmstepd: error: Detected 1 oom_kill event in StepId=5.batch. \
                        Some of the step tasks have been OOM Killed.\n";

fn both() -> [House; 2] {
    let houses = [House::new(), House::without_groups()];
    assert_eq!(houses[1].abilities.means, Means::Sampling);
    houses
}

fn launch(launch: Launch) -> Request {
    Request::Launch(Box::new(launch))
}

fn limited(house: &House, job: u32, script: &str, limits: Limits) -> Launch {
    Launch { limits, ..house.script(job, script) }
}

#[test]
fn a_memory_hog_ends_and_its_neighbour_does_not() {
    let limits = Limits { memory_mib: Some(64), ..Limits::default() };
    for mut house in both() {
        house.send(&[launch(limited(&house, 4, "exec sleep 100", limits))]);
        let neighbour = house.started();
        // Without a newline in sight, `tail` keeps all that it reads; the shell's own limit is there for the machine's sake.
        let hog = limited(&house, 5, "ulimit -v 6000000; tail /dev/zero; exit 7", limits);
        let ending = house.run(hog);
        assert_eq!((ending.outcome, ending.stopped), (Outcome::OutOfMemory, None));
        assert!(house.file("out").ends_with(OOM_NOTE), "{}", house.file("out"));
        assert!(lives(neighbour));
        house.send(&[stop(4, StopWhy::Cancelled, 10_000)]);
        assert_eq!(house.ended().outcome, Outcome::Signalled { signal: 15 });
    }
}

#[test]
fn what_stays_below_its_memory_is_left_alone() {
    let limits = Limits { memory_mib: Some(256), ..Limits::default() };
    for mut house in both() {
        let ending = house.run(limited(&house, 1, "head -c 50000000 /dev/zero | tail | wc -c", limits));
        assert_eq!((ending.outcome, house.file("out").trim()), (Outcome::Exited { code: 0 }, "50000000"));
    }
}

#[test]
fn a_part_of_a_cpu_is_a_quota() {
    let mut house = House::new();
    if !house.can(Controller::Cpu) {
        return;
    }
    let limits = Limits { cpus_milli: Some(200), ..Limits::default() };
    house.send(&[launch(limited(&house, 1, "while :; do :; done", limits))]);
    house.started();
    let throttled = |root: &PathBuf| {
        let stat = fs::read_to_string(root.join("1/cpu.stat")).unwrap_or_default();
        stat.lines().any(|line| line.starts_with("nr_throttled ") && line != "nr_throttled 0")
    };
    wait_until("it is throttled", || house.group_roots().iter().any(throttled));
    house.send(&[stop(1, StopWhy::Cancelled, 10_000)]);
    assert_eq!(house.ended().outcome, Outcome::Signalled { signal: 15 });
}

#[test]
fn no_more_processes_than_allowed_can_be_made() {
    let mut house = House::new();
    if !house.can(Controller::Processes) {
        return;
    }
    let limits = Limits { processes_max: Some(10), ..Limits::default() };
    let script = "i=0; while [ $i -lt 50 ]; do sleep 100 & echo $! >> made; i=$((i+1)); done";
    let ending = house.run(limited(&house, 1, script, limits));
    assert!(matches!(ending.outcome, Outcome::Exited { code } if code != 0), "{ending:?}");
    let made = house.file("made");
    assert_eq!(made.lines().count(), 9, "and the shell");
    assert!(!made.lines().any(|pid| lives(pid.parse().expect("a number"))));
}

#[test]
fn open_files_are_limited_without_groups_too() {
    let limits = Limits { open_files_max: Some(64), ..Limits::default() };
    for mut house in both() {
        house.run(limited(&house, 1, "ulimit -n; ulimit -Hn", limits));
        assert_eq!(house.file("out"), "64\n64\n");
    }
}

#[test]
fn a_suspended_task_makes_no_progress_and_its_limit_waits() {
    let limits = Limits { cpus_milli: Some(1_000), ..Limits::default() };
    for mut house in both() {
        let ticking = "( while :; do echo tick >> ticks; sleep 0.01; done ) & wait";
        let begun = Instant::now();
        house.send(&[launch(Launch { time_limit_s: Some(2), ..limited(&house, 1, ticking, limits) })]);
        house.started();
        let ticks = |house: &House| house.file("ticks").lines().count();
        wait_until("it ticks", || ticks(&house) > 1);
        // The second task's start says that the order before it was obeyed.
        house.send(&[Request::Suspend { key: key(1) }, launch(house.script(2, "exec sleep 100"))]);
        house.started();
        let suspended = Instant::now();
        // The kernel goes on freezing after it has answered.
        let last_tick = Cell::new((ticks(&house), Instant::now()));
        wait_until("it is still", || {
            if ticks(&house) != last_tick.get().0 {
                last_tick.set((ticks(&house), Instant::now()));
            }
            last_tick.get().1.elapsed() > Duration::from_millis(200)
        });
        let before = ticks(&house);
        assert!(matches!(house.reconnect()[&key(1)], AttemptStatus::Running { suspended: true, .. }));
        wait_until("its limit is over", || begun.elapsed() > Duration::from_millis(2_500));
        assert_eq!(ticks(&house), before);
        assert!(matches!(house.reconnect()[&key(1)], AttemptStatus::Running { suspended: true, .. }));

        house.send(&[Request::Resume { key: key(1) }]);
        let stood_still = suspended.elapsed();
        wait_until("it goes on", || ticks(&house) > before);
        let ending = house.ended();
        assert_eq!(ending.stopped, Some(StopWhy::TimeLimit));
        assert!(begun.elapsed() >= Duration::from_secs(2) + stood_still, "{:?}", begun.elapsed());
    }
}

#[test]
fn a_suspended_task_can_be_stopped() {
    let limits = Limits { cpus_milli: Some(1_000), ..Limits::default() };
    for mut house in both() {
        house.send(&[launch(limited(
            &house,
            1,
            "trap 'exit 5' TERM; echo $$ > ready; while :; do sleep 0.02; done",
            limits,
        ))]);
        house.pid_in("ready");
        house.send(&[Request::Suspend { key: key(1) }, stop(1, StopWhy::Cancelled, 60_000)]);
        let ending = house.ended();
        assert_eq!((ending.outcome, ending.stopped), (Outcome::Exited { code: 5 }, Some(StopWhy::Cancelled)));
    }
}

#[test]
fn a_new_limit_ends_what_has_run_longer_and_spares_what_had_less() {
    let mut house = House::new();
    let limited = |job, limit_s, script: &str| Launch { time_limit_s: Some(limit_s), ..house.script(job, script) };
    let launches = [launch(limited(1, 3_600, "exec sleep 100")), launch(limited(2, 1, "sleep 1.3; exit 4"))];
    house.send(&launches);
    let limit = |job, time_limit_s| Request::Limit { key: key(job), time_limit_s };
    house.send(&[limit(1, Some(0)), limit(2, None), limit(2, None), limit(9, Some(1))]);
    assert_eq!(house.ended().stopped, Some(StopWhy::TimeLimit));
    assert_eq!(house.ended().outcome, Outcome::Exited { code: 4 });
}

#[test]
fn a_warning_reaches_the_shell_once_and_without_steps_nobody_else() {
    let mut house = House::new();
    let script = |name: &str| {
        format!(
            "trap 'echo main >> {name}' USR1; sh -c 'trap \"echo child >> {name}\" USR1; while :; do sleep 0.02; done' &\n\
             while :; do sleep 0.02; done"
        )
    };
    let warned = |job, name: &str, batch_only| {
        let warning = Some(Warning { signal: Signal::USR1.as_raw(), before_s: 1, batch_only });
        launch(Launch { time_limit_s: Some(2), warning, ..house.script(job, &script(name)) })
    };
    let launches = [warned(1, "shell", true), warned(2, "steps", false)];
    house.send(&launches);
    for _ in launches {
        assert_eq!(house.ended().stopped, Some(StopWhy::TimeLimit));
    }
    assert_eq!(house.file("shell"), "main\n");
    assert!(!house.root.path().join("steps").exists(), "what the shell has started itself is no step");
}

#[test]
fn what_cuts_all_ties_is_ended_with_its_group() {
    let mut house = House::new();
    if house.abilities.means == Means::Sampling {
        return println!("not tested: no control groups here");
    }
    let limits = Limits { cpus_milli: Some(1_000), ..Limits::default() };
    let untied = "( env -i setsid sh -c 'echo $$ > daemon; exec sleep 100' & )\nwhile ! [ -s daemon ]; do :; done; ";
    let ending = house.run(limited(&house, 1, &format!("{untied} exit 0"), limits));
    assert_eq!(ending.outcome, Outcome::Exited { code: 0 });
    assert!(!lives(house.pid_in("daemon")));

    // The same under a launcher that is killed while the task is suspended; the next one ends it.
    fs::remove_file(house.root.path().join("daemon")).expect("it is there");
    house.send(&[launch(limited(&house, 2, &format!("{untied} exec sleep 100"), limits))]);
    let (main, daemon) = (house.started(), house.pid_in("daemon"));
    house.send(&[Request::Suspend { key: key(2) }, launch(house.script(3, "true"))]);
    house.ended();
    kill(house.launcher_pid(), Signal::KILL);
    let known = house.reconnect();
    assert!(matches!(&known[&key(2)], AttemptStatus::Ended(ending) if ending.outcome == Outcome::Lost));
    assert!(!lives(main) && !lives(daemon));
    let left = house.group_roots().into_iter().flat_map(|root| fs::read_dir(root).expect("its root")).flatten();
    assert_eq!(left.filter(|entry| entry.path().is_dir()).count(), 0, "groups of the earlier life");
}

#[test]
fn groups_serve_again_and_are_gone_with_the_launcher() {
    let mut house = House::new();
    let limits = Limits { memory_mib: Some(64), cpus_milli: Some(1_000), ..Limits::default() };
    for job in 1..=20 {
        house.run(limited(&house, job, "true", limits));
    }
    let roots = house.group_roots();
    let groups = |root: &Path| {
        let entries = fs::read_dir(root).into_iter().flatten().flatten();
        entries.filter(|entry| entry.path().is_dir()).count()
    };
    for root in &roots {
        assert_eq!(groups(root), 1, "one after another needs but one group in {}", root.display());
    }
    house.run(limited(&house, 21, "tail /dev/zero", limits));
    wait_until("what counted a kill serves nobody", || roots.iter().all(|root| groups(root) == 0));
    drop(house);
    assert!(!roots.iter().any(|root| root.exists()));
}

#[test]
fn a_thousand_short_tasks() {
    let all =
        Limits { memory_mib: Some(64), cpus_milli: Some(500), processes_max: Some(100), open_files_max: Some(64) };
    for (kind, limits) in [("free", Limits::default()), ("limited", all)] {
        let mut house = House::new();
        let launches: Vec<_> = (1..=1_000)
            .map(|job| {
                let mut task = limited(&house, job, "", limits);
                task.argv = vec!["/bin/true".into()];
                task.stdout.path = "/dev/null".into();
                launch(task)
            })
            .collect();
        let begun = Instant::now();
        house.send(&launches);
        for _ in 0..launches.len() {
            assert_eq!(house.ended().outcome, Outcome::Exited { code: 0 });
        }
        let rate = launches.len() as f64 / begun.elapsed().as_secs_f64();
        println!("{rate:.0} {kind} tasks/s");
        let keys = (1..=1_000).map(key).collect();
        house.send(&[Request::Forget { keys }]);
        house.run(house.script(2_000, "exit 0"));
        assert_eq!(house.reconnect().len(), 1);
    }
}
