//! kill -9 of a controller while it starts, recovers, and writes checkpoints: the next one goes on where it was.

use std::fs;
use std::time::{Duration, Instant};

use crate::load::Acknowledged;
use crate::rig::{Rig, Seeded, pass, rounds, send};

/// A checkpoint after so few records that one is being written nearly always.
const CHECKPOINTS: &[&str] = &["--checkpoint-records", "2"];

#[test]
fn kill_9_at_any_moment_of_a_controller_loses_nothing() {
    let mut rig = Rig::prepared("");
    fs::write(rig.dir().join("covey.toml"), "MaxJobCount = 100000\n").expect("written");
    let mut acknowledged = Acknowledged::default();
    let mut random = Seeded(0x5eed_0011);
    rig.start_controller_with(CHECKPOINTS);
    acknowledged.submit_until(&rig, 20, || ());
    kill(&mut rig);
    let rounds = rounds(100, 1000);
    let (mut begun, mut usual, mut slowest) = (0, start(&mut rig), Duration::ZERO);
    for round in 0..rounds {
        match round % 5 {
            // While it writes checkpoints beside its records.
            0 => acknowledged.submit_until(&rig, 1 + random.below(12) as usize, || send(rig.controller_pid(), "KILL")),
            // While it writes the last one.
            1 => {
                send(rig.controller_pid(), "TERM");
                pass(Duration::from_micros(random.below(20_000)));
            }
            // While it opens the journal, recovers, and takes its epoch.
            _ => {
                kill(&mut rig);
                rig.launch_controller(CHECKPOINTS);
                pass(usual.mul_f64(random.below(1000) as f64 / 1000.0));
                begun += usize::from(!rig.dir().join("controller.sock").exists());
            }
        }
        kill(&mut rig);
        if round % 5 < 2 || round % 5 == 4 {
            let took = start(&mut rig);
            (usual, slowest) = ((usual + took) / 2, slowest.max(took));
            acknowledged.check(&rig);
        } else {
            rig.launch_controller(CHECKPOINTS);
        }
    }
    rig.stop_controller();
    assert!(begun > rounds / 5, "only {begun} of {rounds} kills came while it started");
    let fsck = rig.try_run("fsck", &[rig.dir().to_str().expect("text")]);
    assert!(fsck.status.success(), "the journal is not whole: {fsck:?}");
    println!("{rounds} kills, {} acknowledged, 0 lost; slowest start {slowest:?}", acknowledged.count());
}

/// Kills the controller, and removes its socket, which says of the next one whether it has come so far.
fn kill(rig: &mut Rig) {
    rig.kill_controller();
    fs::remove_file(rig.dir().join("controller.sock")).ok();
}

fn start(rig: &mut Rig) -> Duration {
    let begun = Instant::now();
    rig.start_controller_with(CHECKPOINTS);
    begun.elapsed()
}
