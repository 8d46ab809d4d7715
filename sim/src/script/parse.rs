//! The lines of a script.
//!
//! ```text
//! nodes 3 cpus 2                       a cluster; always the first line, and lets a second pass
//! submit array 0-9%2 runs 10s          a job; also: cpus N, exits CODE, limit MINUTESm, begin 20s, dependency TEXT,
//!                                      deadline 90s, retries N, memory MIB,
//!                                      and the flags endless, stubborn, hold, norequeue
//! cancel 1_[3-5]    hold 1_2           release 1           signal 9 1_2
//! requeue 1_0       requeuehold 1_0    suspend 1           resume 1
//! kill controller   kill noded n2      kill launcher n2
//! start controller  start noded n2     power off n2     power on n2     leave n2
//! cut n2 for 20s    reset n2           disk fails for 5s
//! drain n2          down n2            resume n2
//! at 5s ANY OF THE ABOVE               when the clock shows 5 s
//! run 30s                              lets time pass
//! show queue        show jobs          show nodes
//! ```
//! What follows a `#` is for people.

use std::str::FromStr;

use sched::mark::Wish;
use sched::node::MarkKind;
use sched::requeue::Requeue;
use sched::spec::array::{ArraySpec, INDEX_MAX, JobRef};
use sched::spec::dependency::Dependency;
use sched::spec::duration::TimeLimit;
use sched::spec::job::{JobDraft, Memory};
use sched::spec::retry::Retry;
use thiserror::Error;

use super::show::Table;
use crate::controller::Fate;
use crate::draft;
use crate::task::Conduct;
use crate::world::Fault;

/// A line that says nothing.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ParseError {
    /// Not one of the lines that there are.
    #[error("{0:?} is no line of a script; the module `script::parse` lists them")]
    Unknown(String),
    /// A word that should be something else.
    #[error("{word:?} is no {what}")]
    Word {
        /// The word.
        word: String,
        /// What it should be.
        what: &'static str,
    },
}

/// One line.
#[derive(Clone, Debug)]
pub(super) enum Command {
    Nodes { count: u32, cpus: u32 },
    Submit { draft: Box<JobDraft>, begin_ms: Option<u64>, deadline_ms: Option<u64> },
    Cancel(JobRef),
    Hold(JobRef, bool),
    Requeue(JobRef, Requeue),
    Pause(JobRef, bool),
    Signal(JobRef, i32),
    Node { name: String, wish: Wish },
    Fault(Fault),
    At { at_ms: u64, command: Box<Command> },
    Run(u64),
    Show(Table),
}

impl FromStr for Command {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Command, ParseError> {
        let words: Vec<&str> = text.split_whitespace().collect();
        command(&words)
    }
}

fn command(words: &[&str]) -> Result<Command, ParseError> {
    let fault = |fault| Ok(Command::Fault(fault));
    match *words {
        ["nodes", count, "cpus", cpus] => Ok(Command::Nodes { count: number(count)?, cpus: number(cpus)? }),
        ["submit", ref rest @ ..] => submit(rest),
        ["cancel", target] => Ok(Command::Cancel(read(target, "job")?)),
        ["hold", target] => Ok(Command::Hold(read(target, "job")?, true)),
        ["release", target] => Ok(Command::Hold(read(target, "job")?, false)),
        ["requeue", target] => Ok(Command::Requeue(read(target, "job")?, Requeue::default())),
        ["requeuehold", target] => {
            Ok(Command::Requeue(read(target, "job")?, Requeue { hold: true, ..Requeue::default() }))
        }
        ["suspend", target] => Ok(Command::Pause(read(target, "job")?, true)),
        ["resume", target] if target.starts_with(|first: char| first.is_ascii_digit()) => {
            Ok(Command::Pause(read(target, "job")?, false))
        }
        ["signal", signal, target] => Ok(Command::Signal(read(target, "job")?, read(signal, "signal")?)),
        ["kill", "controller"] => fault(Fault::KillController(Fate::Lives)),
        ["start", "controller"] => fault(Fault::StartController),
        ["kill", "noded", name] => fault(Fault::KillNoded { node: node(name)? }),
        ["start", "noded", name] => fault(Fault::StartNoded { node: node(name)? }),
        ["kill", "launcher", name] => fault(Fault::KillLauncher { node: node(name)? }),
        ["power", "off", name] => fault(Fault::PowerOff { node: node(name)? }),
        ["power", "on", name] => fault(Fault::PowerOn { node: node(name)?, wiped: false }),
        [kind @ ("drain" | "down"), name] => {
            let kind = if kind == "drain" { MarkKind::Drain } else { MarkKind::Down };
            let wish = Wish::Mark { kind, reason: "as the script says".into(), resume_after_s: None };
            Ok(Command::Node { name: name.to_owned(), wish })
        }
        ["resume", name] => Ok(Command::Node { name: name.to_owned(), wish: Wish::Resume }),
        ["leave", name] => fault(Fault::Leave { node: node(name)? }),
        ["reset", name] => fault(Fault::Reset { node: node(name)? }),
        ["cut", name, "for", time] => {
            let (node, for_ms) = (node(name)?, span_ms(time)?);
            fault(Fault::Cut { node, to_node: true, to_controller: true, for_ms })
        }
        ["disk", "fails", "for", time] => fault(Fault::Disk { lies: false, for_ms: span_ms(time)? }),
        ["at", time, ref rest @ ..] => Ok(Command::At { at_ms: span_ms(time)?, command: Box::new(command(rest)?) }),
        ["run", time] => Ok(Command::Run(span_ms(time)?)),
        ["show", "queue"] => Ok(Command::Show(Table::Queue)),
        ["show", "jobs"] => Ok(Command::Show(Table::Jobs)),
        ["show", "nodes"] => Ok(Command::Show(Table::Nodes)),
        _ => Err(ParseError::Unknown(words.join(" "))),
    }
}

fn submit(words: &[&str]) -> Result<Command, ParseError> {
    let mut conduct = Conduct { runs_ms: Some(1_000), code: 0, stubborn: false };
    let mut draft = draft::job(conduct);
    let (mut begin_ms, mut deadline_ms) = (None, None);
    let mut words = words.iter().copied();
    while let Some(key) = words.next() {
        let mut value = || words.next().ok_or_else(|| ParseError::Unknown(format!("submit .. {key}")));
        match key {
            "endless" => conduct.runs_ms = None,
            "stubborn" => conduct.stubborn = true,
            "hold" => draft.hold = true,
            "norequeue" => draft.requeue = false,
            "runs" => conduct.runs_ms = Some(span_ms(value()?)?),
            "exits" => conduct.code = read(value()?, "exit code")?,
            "cpus" => draft.request.cpus_per_process = Some(number(value()?)?),
            "memory" => draft.request.memory = Memory::PerNode(read(value()?, "number of MiB")?),
            "retries" => draft.retry = Some(Retry { times: number(value()?)?, on: None }),
            "deadline" => deadline_ms = Some(span_ms(value()?)?),
            "begin" => begin_ms = Some(span_ms(value()?)?),
            "dependency" => draft.dependency = Some(read::<Dependency>(value()?, "dependency")?),
            "limit" => {
                let minutes = read(value()?.trim_end_matches('m'), "number of minutes")?;
                draft.time_limit = Some(TimeLimit::Minutes(minutes));
            }
            "array" => {
                let list = value()?;
                let array = ArraySpec::parse(list, INDEX_MAX);
                draft.array = Some(array.map_err(|_| wrong(list, "list of indices"))?);
            }
            _ => return Err(ParseError::Unknown(format!("submit .. {key}"))),
        }
    }
    draft.name = conduct.to_string().into();
    Ok(Command::Submit { draft: Box::new(draft), begin_ms, deadline_ms })
}

/// `n2` is the second node.
fn node(name: &str) -> Result<usize, ParseError> {
    let number = name.strip_prefix('n').and_then(|number| number.parse::<usize>().ok());
    number.and_then(|number| number.checked_sub(1)).ok_or_else(|| wrong(name, "node; the first is n1"))
}

/// `500ms`, `30s` or `2m`.
fn span_ms(text: &str) -> Result<u64, ParseError> {
    let units = [("ms", 1), ("s", 1_000), ("m", 60_000)];
    let read = |(unit, ms): (&str, u64)| Some(text.strip_suffix(unit)?.parse::<u64>().ok()? * ms);
    units.into_iter().find_map(read).ok_or_else(|| wrong(text, "span of time, such as 30s"))
}

fn number(text: &str) -> Result<u32, ParseError> {
    read(text, "number")
}

fn read<T: FromStr>(text: &str, what: &'static str) -> Result<T, ParseError> {
    text.parse().map_err(|_| wrong(text, what))
}

fn wrong(word: &str, what: &'static str) -> ParseError {
    ParseError::Word { word: word.to_owned(), what }
}
