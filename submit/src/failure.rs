//! How a command ends that could not do what was asked: the one place where errors become lines, a hint and an exit
//! code.
//!
//! Messages carry their prefixes (`sbatch: error: `) already, because Slurm prints some without. Hints are Covey's own
//! and start with `covey: hint: `, so that nobody takes them for Slurm's. See [`Failure::call`] for refused calls.

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use crate::call::CallError;

/// sbatch's exit code for options that it does not understand, and for their values; other commands give 1.
pub(crate) const BAD_OPTION: u8 = 255;

/// What goes to stderr, and the exit code.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    lines: Vec<String>,
    hint: Option<String>,
    exit: u8,
}

/// What a command gives back.
pub(crate) type Outcome<T> = Result<T, Failure>;

/// An exit code that a script asks for by a variable.
pub(crate) fn exit_of_environment(name: &str) -> Option<u8> {
    std::env::var(name).ok()?.parse().ok()
}

impl Failure {
    /// A failure with exit code 1; `message` may have several lines.
    pub(crate) fn new(message: impl Display) -> Failure {
        Failure { lines: vec![message.to_string()], hint: None, exit: 1 }
    }

    /// A failure with an exit code and nothing to say: everything has been said.
    pub(crate) fn silent(exit: u8) -> Failure {
        Failure { lines: Vec::new(), hint: None, exit }
    }

    /// A message followed by the chain of its causes.
    pub(crate) fn chain(prefix: &str, error: &dyn std::error::Error) -> Failure {
        Failure::new(format!("{prefix}{}", chain(error)))
    }

    /// A call that did not succeed: Slurm's text after `prefix`, preceded by what the controller has to add and
    /// followed by what to do.
    pub(crate) fn call(command: &str, prefix: &str, error: &CallError) -> Failure {
        let mut lines: Vec<String> =
            error.detail().map(|detail| format!("{command}: error: {detail}")).into_iter().collect();
        lines.push(format!("{prefix}{}", error.text()));
        Failure { lines, hint: error.hint(), exit: 1 }
    }

    /// Adds a line.
    pub(crate) fn line(mut self, line: impl Display) -> Failure {
        self.lines.push(line.to_string());
        self
    }

    /// Says what the user can do.
    pub(crate) fn hint(mut self, hint: Option<impl Display>) -> Failure {
        self.hint = hint.map(|hint| hint.to_string());
        self
    }

    /// Ends with another exit code.
    pub(crate) fn exit(mut self, exit: u8) -> Failure {
        self.exit = exit;
        self
    }

    /// Ends with what a script wants sbatch's, srun's and salloc's own errors to be told by: `SLURM_EXIT_ERROR`.
    pub(crate) fn with_exit_of_environment(self) -> Failure {
        match exit_of_environment("SLURM_EXIT_ERROR") {
            Some(exit) if self.code() != 0 => self.exit(exit),
            _ => self,
        }
    }

    /// The exit code.
    pub(crate) fn code(&self) -> u8 {
        self.exit
    }

    /// The lines of stderr.
    pub(crate) fn text(&self) -> String {
        let hint = self.hint.iter().map(|hint| format!("covey: hint: {hint}"));
        self.lines.iter().cloned().chain(hint).map(|line| line + "\n").collect()
    }
}

impl From<io::Error> for Failure {
    /// Output that cannot be written. A reader that has seen enough, as in `squeue | head`, is no failure.
    fn from(error: io::Error) -> Failure {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Failure::silent(0),
            _ => Failure::chain("covey: error: cannot write the output: ", &error),
        }
    }
}

/// An error and its causes on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Some errors say what their cause says.
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// Prints what is left to say and gives the exit code of the process.
pub(crate) fn ended(outcome: Outcome<ExitCode>) -> ExitCode {
    outcome.unwrap_or_else(|failure| {
        // Where stderr cannot be written there is nobody left to tell.
        let _ = io::stderr().write_all(failure.text().as_bytes());
        ExitCode::from(failure.exit)
    })
}

/// Writes a text to stdout.
pub(crate) fn print(text: impl Display) -> Outcome<ExitCode> {
    let mut out = io::stdout().lock();
    write!(out, "{text}")?;
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}
