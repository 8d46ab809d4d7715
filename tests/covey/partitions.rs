//! Partitions: a node and a controller in network namespaces of their own, between which nothing passes, or only in one direction.
//!
//! `COVEY_TEST_NIGHTLY` raises the number of rounds.

use std::process::{Command, Stdio};
use std::time::Instant;

use crate::leases::{Beating, SHORT};
use crate::rig::{PATIENCE, Rig, rounds, wait_for};

/// Nobody has it: what is sent there is lost.
const NOBODY: &str = "02:00:00:00:00:01";

/// Two network namespaces with a wire between them.
struct Wire {
    /// The controller's, and the nodes'.
    names: [String; 2],
}

const ADDRESSES: [&str; 2] = ["10.77.0.1", "10.77.0.2"];

impl Wire {
    fn lay() -> Wire {
        let names = ["c", "n"].map(|side| format!("covey-{}-{side}", std::process::id()));
        let wire = Wire { names };
        for name in &wire.names {
            ip(&["netns", "add", name]);
        }
        let [controller, node] = &wire.names;
        ip(&["link", "add", "wire", "netns", controller, "type", "veth", "peer", "name", "wire", "netns", node]);
        for (name, address) in wire.names.iter().zip(ADDRESSES) {
            ip(&["-n", name, "address", "add", &format!("{address}/30"), "dev", "wire"]);
            ip(&["-n", name, "link", "set", "lo", "up"]);
            ip(&["-n", name, "link", "set", "wire", "up"]);
        }
        wire
    }

    /// What starts a process on a side.
    fn inside(&self, side: usize) -> Vec<String> {
        ["ip", "netns", "exec", &self.names[side]].map(str::to_owned).to_vec()
    }

    /// Loses what a side sends from now on, without a word to anybody.
    fn lose(&self, side: usize) {
        ip(&[
            "-n",
            &self.names[side],
            "neigh",
            "replace",
            ADDRESSES[1 - side],
            "lladdr",
            NOBODY,
            "nud",
            "permanent",
            "dev",
            "wire",
        ]);
    }

    /// Lets everything pass again.
    fn heal(&self) {
        for side in 0..2 {
            // Nothing is there to be deleted where nothing was lost.
            let mut command = Command::new("ip");
            command.args(["-n", &self.names[side], "neigh", "del", ADDRESSES[1 - side], "dev", "wire"]);
            command.stderr(Stdio::null()).status().expect("ip is there");
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        for name in &self.names {
            Command::new("ip").args(["netns", "del", name]).status().ok();
        }
    }
}

fn ip(words: &[&str]) {
    let output = Command::new("ip").args(words).output().expect("ip (Debian package iproute2) is there");
    assert!(output.status.success(), "ip {words:?}: {output:?}");
}

#[test]
fn a_node_that_is_cut_off_in_any_way_runs_nothing_that_runs_elsewhere() {
    let wire = Wire::lay();
    let mut rig = Rig::prepared(SHORT);
    rig.under.controller = wire.inside(0);
    rig.under.nodes = wire.inside(1);
    let address = format!("{}:7401", ADDRESSES[0]);
    rig.start_controller_with(&["--listen", &address]);
    let token = rig.work().join("join.txt");
    std::fs::write(&token, rig.run("node", &["token", "create"])).expect("written");
    let token = token.to_string_lossy().into_owned();
    rig.start_node_at("far", &format!("https://{address}"), &["--cpus", "4", "--token-file", &token]);
    wait_for("it is idle", || rig.node_state("far") == "idle");
    for round in 0..rounds(5, 50) {
        let beating = Beating::start(&rig, round, &[]);
        // A node beside the controller, which no partition reaches.
        rig.under.nodes.clear();
        rig.start_node_anew("near", &["--cpus", "4"]);
        let lost: &[usize] = match round % 4 {
            1 => &[0],
            2 => &[1],
            _ => &[0, 1],
        };
        if round % 4 == 3 {
            flap(&wire);
        }
        lost.iter().for_each(|side| wire.lose(*side));
        wait_for("what may run elsewhere does", || beating.run(0) == 1 && beating.run(1) == 1);
        assert!(beating.beats(1).iter().all(|(run, node, _)| (node == "near") == (*run == 1)), "on the other node");
        wait_for("the single one is given up", || rig.states(&beating.jobs[2]) == ["NODE_FAIL"]);
        wire.heal();
        wait_for("the node is back, and has ended what nobody wants", || rig.node_state("far") == "idle");
        assert!(!beating.lives(2));
        beating.finish(&rig, "NODE_FAIL");
        rig.end_node("near", "INT");
        wait_for("the other node has left", || rig.node_state("near").is_empty());
    }
}

/// Closes and opens the way again and again, each time for a moment that is too short for a lease.
fn flap(wire: &Wire) {
    let begun = Instant::now();
    while begun.elapsed() < PATIENCE / 40 {
        (0..2).for_each(|side| wire.lose(side));
        wire.heal();
    }
}
