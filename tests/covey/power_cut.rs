//! The controller's disk loses its power under load: what was acknowledged is there when it is back.
//!
//! The disk is ext4 in a file, and the power goes with `EXT4_IOC_SHUTDOWN`: what the kernel has not written out is lost. What a disk
//! loses that says "written" and lies is not shown.

use std::fs;
use std::time::{Duration, Instant};

use crate::disk::{Disk, with_own_mounts};
use crate::load::Acknowledged;
use crate::rig::{Rig, Seeded, rounds, send};

#[test]
fn what_was_acknowledged_outlives_a_power_cut() {
    let rounds = rounds(20, 200);
    let cuts = Cuts { rounds, everything: true, checkpoint_records: "25", seed: 0x5eed_0010 };
    let (acknowledged, slowest) = cuts.make();
    println!("{rounds} power cuts, {acknowledged} acknowledged, 0 lost; slowest start {slowest:?}");
}

#[test]
fn a_disk_that_dies_alone_leaves_nobody_waiting() {
    let rounds = rounds(4, 40);
    // Checkpoints often, so that the store also gives up what it wrote before.
    let cuts = Cuts { rounds, everything: false, checkpoint_records: "5", seed: 0x5eed_0011 };
    let (acknowledged, slowest) = cuts.make();
    println!("{rounds} power cuts of the disk alone, {acknowledged} acknowledged, 0 lost; slowest start {slowest:?}");
}

struct Cuts {
    rounds: usize,
    /// Whether the controller ends with its disk. Otherwise it goes on, and answers whoever waits: an error, as it cannot write.
    everything: bool,
    checkpoint_records: &'static str,
    seed: u64,
}

impl Cuts {
    /// Answers how many submits were acknowledged, and how long the slowest start took.
    fn make(self) -> (usize, Duration) {
        let mut made = (0, Duration::ZERO);
        with_own_mounts(|| made = self.make_on(&mut Rig::prepared("")));
        made
    }

    fn make_on(&self, rig: &mut Rig) -> (usize, Duration) {
        let disk = Disk::new(&rig.work().join("disk"), &rig.dir(), 2048);
        fs::write(rig.dir().join("covey.toml"), "MaxJobCount = 100000\nMaxSubmitSizePerUser = 0\n").expect("written");
        rustix::fs::sync();
        // So much that every life of the controller writes where the disk has no room yet, which only a sync makes durable.
        let mut acknowledged = Acknowledged::with_ballast(100_000);
        let mut random = Seeded(self.seed);
        let mut slowest = Duration::ZERO;
        for round in 0..=self.rounds {
            let begun = Instant::now();
            rig.start_controller_with(&["--checkpoint-records", self.checkpoint_records]);
            slowest = slowest.max(begun.elapsed());
            acknowledged.check(rig);
            if round == self.rounds {
                break;
            }
            let more = 1 + random.below(20);
            // Ends when everybody who submits has an answer.
            acknowledged.submit_until(rig, more as usize, || {
                disk.cut_power();
                if self.everything {
                    send(rig.controller_pid(), "KILL");
                }
            });
            rig.kill_controller();
            disk.unmount();
            disk.mount();
        }
        rig.stop_controller();
        assert!(rig.try_run("fsck", &[rig.dir().to_str().expect("text")]).status.success(), "the journal is whole");
        (acknowledged.count(), slowest)
    }
}
