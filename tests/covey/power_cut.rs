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
    with_own_mounts(|| {
        let mut rig = Rig::prepared("");
        let disk = Disk::new(&rig.work().join("disk"), &rig.dir(), 2048);
        fs::write(rig.dir().join("covey.toml"), "MaxJobCount = 100000\n").expect("written");
        rustix::fs::sync();
        let mut acknowledged = Acknowledged::default();
        let mut random = Seeded(0x5eed_0010);
        let mut slowest = Duration::ZERO;
        let rounds = rounds(20, 200);
        for round in 0..=rounds {
            let begun = Instant::now();
            rig.start_controller_with(&["--checkpoint-records", "25"]);
            slowest = slowest.max(begun.elapsed());
            acknowledged.check(&rig);
            if round == rounds {
                break;
            }
            let more = 1 + random.below(20);
            // Everything on the machine goes with its power.
            acknowledged.submit_until(&rig, more as usize, || {
                disk.cut_power();
                send(rig.controller_pid(), "KILL");
            });
            rig.kill_controller();
            disk.unmount();
            disk.mount();
        }
        rig.stop_controller();
        assert!(rig.try_run("fsck", &[rig.dir().to_str().expect("text")]).status.success(), "the journal is whole");
        println!("{rounds} power cuts, {} acknowledged, 0 lost; slowest start {slowest:?}", acknowledged.count());
    });
}
