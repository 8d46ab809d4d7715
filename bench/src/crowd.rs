//! The process of simulated nodes, as its owner sees it.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::nodes::READY;

/// Which simulated nodes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Nodes {
    pub(crate) count: u32,
    pub(crate) cpus: u32,
    /// What they start goes on until it is stopped.
    pub(crate) endless: bool,
}

/// Simulated nodes; gone when this is dropped.
#[derive(Debug)]
pub(crate) struct Crowd {
    child: Child,
    /// From the start of the process to the last node's welcome.
    pub(crate) joined_in: Duration,
}

impl Crowd {
    /// Starts them and waits until the controller has welcomed all.
    pub(crate) fn start(endpoint: &str, nodes: Nodes) -> Result<Crowd> {
        let program = std::env::current_exe().context("cannot find this program's file")?;
        let mut command = Command::new(program);
        command.arg("nodes").args(["--controller", endpoint]);
        command.args(["--count", &nodes.count.to_string(), "--cpus", &nodes.cpus.to_string()]);
        command.args(nodes.endless.then_some("--endless"));
        let begun = Instant::now();
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().context("cannot start nodes")?;
        let said = child.stdout.take().context("the nodes have no output")?;
        let mut crowd = Crowd { child, joined_in: Duration::ZERO };
        let mut line = String::new();
        BufReader::new(said).read_line(&mut line).context("cannot read what the nodes say")?;
        ensure!(line.trim_end() == READY, "the simulated nodes have ended before they were welcomed");
        crowd.joined_in = begun.elapsed();
        Ok(crowd)
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        // One that has ended by itself cannot be killed, and is waited for all the same.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
