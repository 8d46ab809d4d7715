//! Leases: what is leased ends in time though nobody says anything more, and all else goes on.

use std::fs;

use noded::launcher::frame::{AttemptStatus, Launch, Notice, Outcome, Request, StopWhy};

use crate::house::{House, key, kill, lives, wait_until};

fn launch(launch: Launch) -> Request {
    Request::Launch(Box::new(launch))
}

/// The time of the clock that the launcher goes by, so many milliseconds from now.
fn in_ms(ms: u64) -> Option<u64> {
    let text = fs::read_to_string("/proc/uptime").expect("proc");
    let seconds: f64 = text.split(' ').next().and_then(|text| text.parse().ok()).expect("seconds");
    // The kernel writes hundredths, of which a float may be a little less.
    Some((seconds * 1000.0).round() as u64 + ms)
}

fn lease(ms: u64, kill_wait_ms: u64) -> Request {
    Request::Lease { until_ms: in_ms(ms), kill_wait_ms }
}

#[test]
fn what_is_leased_ends_when_the_lease_is_over_and_the_rest_goes_on() {
    let mut house = House::new();
    let mild = Launch { leased: true, ..house.script(1, "echo $$ >mild; exec sleep 1000") };
    let stubborn =
        Launch { leased: true, ..house.script(2, "trap '' TERM; echo $$ >stubborn; while :; do sleep 1; done") };
    let free = house.script(3, "echo $$ >free; exec sleep 1000");
    house.send(&[lease(60_000, 100), launch(mild), launch(stubborn), launch(free)]);
    let pids = ["mild", "stubborn", "free"].map(|name| house.pid_in(name));
    house.send(&[lease(100, 300)]);
    let mut ends = Vec::new();
    while ends.len() < 2 {
        if let Notice::Ended { key, ending } = house.next() {
            assert_eq!(ending.stopped, Some(StopWhy::NodeFailure), "{key}");
            ends.push((key.job.0, ending.outcome));
        }
    }
    assert_eq!(ends, [(1, Outcome::Signalled { signal: 15 }), (2, Outcome::Signalled { signal: 9 })]);
    assert_eq!(pids.map(lives), [false, false, true]);
    // What comes late from a noded that was stopped does not even begin.
    let late = Launch { leased: true, ..house.script(4, "echo >began") };
    let ending = house.run(late);
    assert_eq!((ending.outcome, ending.stopped), (Outcome::Lost, Some(StopWhy::NodeFailure)));
    assert!(!house.root.path().join("began").exists());
    // With another lease, it would.
    house.send(&[lease(60_000, 100)]);
    let again = Launch { leased: true, ..house.script(5, "exit 4") };
    assert_eq!(house.run(again).outcome, Outcome::Exited { code: 4 });
}

#[test]
fn it_holds_though_noded_is_gone_and_is_told_to_the_next() {
    let mut house = House::new();
    let task = Launch { leased: true, ..house.script(1, "echo $$ >pid; exec sleep 1000") };
    house.send(&[lease(300, 100), launch(task)]);
    let pid = house.pid_in("pid");
    // noded is killed: the connection is all that the launcher sees of it.
    house.stream.shutdown(std::net::Shutdown::Both).expect("a socket");
    wait_until("the task is dead", || !lives(pid));
    let mut known = house.reconnect();
    // A dead process is a moment older than its record.
    wait_until("its end is on record", || {
        known = house.reconnect();
        matches!(known[&key(1)], AttemptStatus::Ended(_))
    });
    assert!(matches!(&known[&key(1)], AttemptStatus::Ended(ending) if ending.stopped == Some(StopWhy::NodeFailure)));
    assert!(house.lease_until_ms.is_some_and(|until_ms| Some(until_ms) <= in_ms(0)));
}

#[test]
fn without_a_lease_nothing_ends_and_one_that_is_for_ever_takes_the_last_back() {
    let mut house = House::new();
    let task =
        |name: &str, job| Launch { leased: true, ..house.script(job, &format!("echo $$ >{name}; exec sleep 1000")) };
    let (one, two) = (task("one", 1), task("two", 2));
    house.send(&[launch(one)]);
    house.pid_in("one");
    house.send(&[lease(60_000, 0), Request::Lease { until_ms: None, kill_wait_ms: 0 }, launch(two)]);
    let pid = house.pid_in("two");
    assert!(lives(pid) && house.file("one").trim().parse().is_ok_and(lives));
    kill(pid, rustix::process::Signal::KILL);
    assert_eq!(house.ended().outcome, Outcome::Signalled { signal: 9 });
}
