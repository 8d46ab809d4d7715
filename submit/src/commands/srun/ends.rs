//! How the tasks of a step have ended: what srun says of it, and what it ends with.

use std::collections::BTreeMap;

use proto::v1::{StepEnded, StepShare, StepTaskEnded};
use rustix::process::Signal;

/// The tasks of a step.
pub(super) struct Ends {
    /// How messages name the step: `StepId=5.0`.
    pub(super) label: String,
    shares: Vec<StepShare>,
    /// Exit code and signal by task.
    ended: BTreeMap<u32, (u32, u32)>,
    /// Tasks of which nothing was said yet, by node and by how they ended.
    unsaid: BTreeMap<(String, u32, u32), Vec<u32>>,
    worst: u8,
}

impl Ends {
    pub(super) fn new(label: String, shares: Vec<StepShare>) -> Ends {
        Ends { label, shares, ended: BTreeMap::new(), unsaid: BTreeMap::new(), worst: 0 }
    }

    /// A task has ended; whether it has ended badly.
    pub(super) fn add(&mut self, node: &str, end: &StepTaskEnded) -> bool {
        self.ended.insert(end.task, (end.exit_code, end.exit_signal));
        self.worst = self.worst.max(status(end.exit_code, end.exit_signal));
        let bad = (end.exit_code, end.exit_signal) != (0, 0);
        if bad {
            self.unsaid.entry((node.to_owned(), end.exit_code, end.exit_signal)).or_default().push(end.task);
        }
        bad
    }

    /// A task has never begun.
    pub(super) fn fail(&mut self, task: u32) {
        self.ended.insert(task, (1, 0));
        self.worst = self.worst.max(1);
    }

    /// Whether all tasks have ended.
    pub(super) fn are_all(&self) -> bool {
        self.ended.len() == self.shares.iter().map(|share| share.tasks as usize).sum::<usize>()
    }

    /// Whether any has.
    pub(super) fn are_any(&self) -> bool {
        !self.ended.is_empty()
    }

    /// The lines that are to be said of bad ends. Only the end of the step, in Slurm's word, tells whether a task was killed for
    /// its memory: until then nothing is said of those that were killed, or say that a process of theirs was.
    pub(super) fn take_lines(&mut self, over: Option<&str>) -> Vec<String> {
        let of_memory = over == Some("OUT_OF_MEMORY");
        let line = |((node, code, signal), tasks): ((String, u32, u32), Vec<u32>)| {
            let how = match signal {
                _ if of_memory && was_killed(code, signal) => "Out Of Memory".to_owned(),
                0 => format!("Exited with exit code {code}"),
                signal => signal_text(signal),
            };
            format!("srun: error: {node}: {}: {how}", named(tasks))
        };
        let said = self.unsaid.extract_if(.., |(_, code, signal), _| over.is_some() || !was_killed(*code, *signal));
        said.map(line).collect()
    }

    /// What the tasks are doing, for whoever has pressed Ctrl-C.
    pub(super) fn state_lines(&self) -> Vec<String> {
        let all = self.shares.iter().flat_map(|share| share.first_task..share.first_task + share.tasks);
        let mut by_state: BTreeMap<&str, Vec<u32>> = BTreeMap::new();
        for task in all {
            let state = match self.ended.get(&task) {
                None => "running",
                Some((0, 0)) => "exited",
                Some(_) => "exited abnormally",
            };
            by_state.entry(state).or_default().push(task);
        }
        let lines = by_state.into_iter().rev();
        lines.map(|(state, tasks)| format!("srun: {} {}: {state}", self.label, named(tasks))).collect()
    }

    /// What srun ends with: the highest code of all tasks, a signal counted as 128 and its number.
    pub(super) fn status(&self, ended: &StepEnded) -> u8 {
        if self.ended.is_empty() || (self.worst == 0 && !self.are_all()) {
            return status(ended.exit_code, ended.exit_signal);
        }
        self.worst
    }
}

/// By KILL, itself or what a shell has told of a child.
fn was_killed(code: u32, signal: u32) -> bool {
    status(code, signal) == 128 + 9
}

fn status(code: u32, signal: u32) -> u8 {
    let number = if signal > 0 { 128 + signal } else { code };
    u8::try_from(number).unwrap_or(u8::MAX)
}

/// `task 3`, or `tasks 0-1,3`.
fn named(mut tasks: Vec<u32>) -> String {
    tasks.sort_unstable();
    let word = if tasks.len() == 1 { "task" } else { "tasks" };
    let runs = tasks.chunk_by(|a, b| a + 1 == *b).map(|run| match run {
        [one] => one.to_string(),
        [first, .., last] => format!("{first}-{last}"),
        [] => String::new(),
    });
    format!("{word} {}", runs.collect::<Vec<_>>().join(","))
}

/// What strsignal(3) says.
fn signal_text(number: u32) -> String {
    let signal = i32::try_from(number).ok().and_then(Signal::from_named_raw);
    let text = match signal {
        Some(Signal::HUP) => "Hangup",
        Some(Signal::INT) => "Interrupt",
        Some(Signal::QUIT) => "Quit",
        Some(Signal::ILL) => "Illegal instruction",
        Some(Signal::TRAP) => "Trace/breakpoint trap",
        Some(Signal::ABORT) => "Aborted",
        Some(Signal::BUS) => "Bus error",
        Some(Signal::FPE) => "Floating point exception",
        Some(Signal::KILL) => "Killed",
        Some(Signal::USR1) => "User defined signal 1",
        Some(Signal::SEGV) => "Segmentation fault",
        Some(Signal::USR2) => "User defined signal 2",
        Some(Signal::PIPE) => "Broken pipe",
        Some(Signal::ALARM) => "Alarm clock",
        Some(Signal::TERM) => "Terminated",
        Some(Signal::XCPU) => "CPU time limit exceeded",
        Some(Signal::XFSZ) => "File size limit exceeded",
        Some(Signal::VTALARM) => "Virtual timer expired",
        Some(Signal::PROF) => "Profiling timer expired",
        Some(Signal::SYS) => "Bad system call",
        _ => return format!("Signal {number}"),
    };
    text.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(task: u32, exit_code: u32, exit_signal: u32) -> StepTaskEnded {
        StepTaskEnded { task, exit_code, exit_signal }
    }

    #[test]
    fn tasks_that_ended_alike_share_a_line_and_the_highest_code_wins() {
        let share = |node: &str, first_task| StepShare { node: node.into(), first_task, tasks: 3, cpus_milli: 3_000 };
        let mut ends = Ends::new("StepId=5.0".into(), vec![share("n1", 0), share("n2", 3)]);
        assert_eq!(ends.state_lines(), ["srun: StepId=5.0 tasks 0-5: running"]);
        assert!(!ends.add("n1", &ended(1, 0, 0)));
        assert!([0, 2].into_iter().all(|task| ends.add("n1", &ended(task, 3, 0))));
        assert!(ends.add("n2", &ended(5, 0, 9)));
        assert_eq!(ends.take_lines(None), ["srun: error: n1: tasks 0,2: Exited with exit code 3"]);
        assert!(ends.take_lines(None).is_empty() && ends.are_any() && !ends.are_all());
        assert_eq!(ends.take_lines(Some("FAILED")), ["srun: error: n2: task 5: Killed"]);
        assert!(ends.add("n2", &ended(4, 0, 9)));
        assert_eq!(ends.take_lines(Some("OUT_OF_MEMORY")), ["srun: error: n2: task 4: Out Of Memory"]);
        let states = [
            "srun: StepId=5.0 task 3: running",
            "srun: StepId=5.0 tasks 0,2,4-5: exited abnormally",
            "srun: StepId=5.0 task 1: exited",
        ];
        assert_eq!(ends.state_lines(), states);
        assert_eq!(ends.status(&StepEnded::default()), 137);
    }

    #[test]
    fn what_no_task_has_told_is_told_by_the_controller() {
        let ends = Ends::new("StepId=5.0".into(), Vec::new());
        let told = StepEnded { exit_code: 7, ..StepEnded::default() };
        assert_eq!(ends.status(&told), 7);
    }
}
