//! Stories as text: a script of short lines goes in, and what a person would have seen comes out.
//!
//! A script runs on a calm cluster where every message takes a millisecond, so that its output never changes by itself; the
//! witness watches as in any other run. Lines are described in [`parse`], tables in [`show`].

mod parse;
mod show;

use std::collections::BTreeMap;

use sched::spec::job::SpecError;
use thiserror::Error;

use crate::story::Story;
use crate::violation::Violation;
use crate::world::{Happening, Plan, World};
use parse::{Command, ParseError};

/// Why a script did not play to its end.
#[derive(Debug, Error)]
pub enum ScriptError {
    /// A line that says nothing.
    #[error("line {line}")]
    Parse {
        /// Its number, from 1.
        line: usize,
        /// What is wrong with it.
        #[source]
        source: ParseError,
    },
    /// A job that is none.
    #[error("line {line}: no such job can be submitted")]
    Spec {
        /// The line's number, from 1.
        line: usize,
        /// Why.
        #[source]
        source: SpecError,
    },
    /// A line before there are nodes.
    #[error("line {0}: a script begins with `nodes COUNT cpus COUNT`")]
    NoNodes(usize),
    /// A promise was broken.
    #[error("line {line} broke a promise")]
    Broken {
        /// The line's number, from 1.
        line: usize,
        /// Which.
        #[source]
        source: Violation,
    },
}

/// Plays a script; answers its lines with what they show.
///
/// # Errors
/// A line that cannot be understood, or that breaks a promise.
pub fn play(script: &str) -> Result<String, ScriptError> {
    let mut stage = Stage::default();
    for (i, text) in script.lines().enumerate() {
        stage.output.push_str(text);
        stage.output.push('\n');
        let text = text.split('#').next().unwrap_or_default().trim();
        if !text.is_empty() {
            stage.line = i + 1;
            let command = text.parse().map_err(|source| ScriptError::Parse { line: stage.line, source })?;
            stage.perform(command)?;
        }
    }
    Ok(stage.output)
}

/// A script that is being played.
#[derive(Default)]
struct Stage {
    world: Option<World>,
    /// What `at` has put off, by time.
    later: BTreeMap<(u64, usize), Command>,
    line: usize,
    output: String,
}

impl Stage {
    fn perform(&mut self, command: Command) -> Result<(), ScriptError> {
        let line = self.line;
        if let Command::Nodes { count, cpus } = command {
            self.world = Some(World::new(Plan::calm(count, cpus), Story::new(false)));
            return self.run_for(1_000);
        }
        let world = self.world.as_mut().ok_or(ScriptError::NoNodes(line))?;
        match command {
            Command::Nodes { .. } => unreachable!("taken above"),
            Command::Submit { draft, begin_ms, deadline_ms } => {
                let [begin, deadline] = [begin_ms, deadline_ms].map(|ms| Some(world.now().plus_ms(ms?)));
                let draft = sched::spec::job::JobDraft { begin, deadline, ..*draft };
                world.submit(draft.check().map_err(|source| ScriptError::Spec { line, source })?);
            }
            Command::Cancel(target) => world.cancel(target),
            Command::Hold(target, hold) => world.hold(target, hold),
            Command::Requeue(target, how) => world.requeue(target, how),
            Command::Pause(target, suspend) => world.pause(target, suspend),
            Command::Signal(target, signal) => world.signal(target, signal),
            Command::Node { name, wish } => world.update_node(&name, wish),
            Command::Fault(fault) => world.put(0, Happening::Fault(fault)),
            Command::At { at_ms, command } => drop(self.later.insert((at_ms, line), *command)),
            Command::Run(ms) => return self.run_for(ms),
            Command::Show(table) => self.output.push_str(&show::table(world, table)),
        }
        Ok(())
    }

    /// Lets time pass, with what was put off.
    fn run_for(&mut self, ms: u64) -> Result<(), ScriptError> {
        let until_ms = self.now_ms() + ms;
        while let Some(entry) = self.later.first_entry().filter(|entry| entry.key().0 <= until_ms) {
            let ((at_ms, line), command) = entry.remove_entry();
            self.run_until(at_ms)?;
            let here = std::mem::replace(&mut self.line, line);
            self.perform(command)?;
            self.line = here;
        }
        self.run_until(until_ms)
    }

    fn run_until(&mut self, until_ms: u64) -> Result<(), ScriptError> {
        let line = self.line;
        let world = self.world.as_mut().ok_or(ScriptError::NoNodes(line))?;
        let until_ms = until_ms.max(world.now_ms());
        world.run_until(until_ms).map_err(|source| ScriptError::Broken { line, source })
    }

    fn now_ms(&self) -> u64 {
        self.world.as_ref().map_or(0, World::now_ms)
    }
}
