//! `--retries=N` and `--retry-on=CODES`: how often a task that fails is tried again, and after which exit codes.
//!
//! Covey's own; Slurm requeues for lost nodes only. When the next attempt may start is the scheduler's ([`crate::finish`]).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::reason::{Ending, Outcome};

/// The most retries of one task.
pub const RETRIES_MAX: u32 = 1_000;
/// The most ranges in a list of exit codes; there are only 256 codes.
const RANGES_MAX: usize = 256;

/// How often, and after what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// Attempts after the first one that failed; at most [`RETRIES_MAX`].
    pub times: u32,
    /// After these exit codes only; `None` after every failure.
    pub on: Option<ExitCodes>,
}

impl Retry {
    /// Whether a task that ended so, after so many retries, is tried again. What a person or the controller ended is not, nor
    /// what ran into its time limit: it would again.
    #[must_use]
    pub fn covers(&self, outcome: &Outcome, retried: u32) -> bool {
        let failed = matches!(outcome.ending, Ending::Failed | Ending::LaunchFailed | Ending::OutOfMemory);
        // A shell's word for a signal is 128 and its number.
        let code = if outcome.exit.signal > 0 { outcome.exit.signal.saturating_add(128) } else { outcome.exit.code };
        failed && retried < self.times && self.on.as_ref().is_none_or(|codes| codes.contains(code))
    }
}

/// A list of exit codes, such as `1,75-79,137`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExitCodes(Vec<(u8, u8)>);

/// A text that is no list of exit codes.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0:?} is no list of exit codes from 1 to 255, such as 1,75-79,137 (a signal counts as 128 and its number)")]
pub struct ExitCodesError(String);

impl ExitCodes {
    fn contains(&self, code: u8) -> bool {
        self.0.iter().any(|(first, last)| (*first..=*last).contains(&code))
    }
}

impl FromStr for ExitCodes {
    type Err = ExitCodesError;

    fn from_str(text: &str) -> Result<ExitCodes, ExitCodesError> {
        let code = |word: &str| word.trim().parse::<u8>().ok().filter(|code| *code > 0);
        let range = |item: &str| match item.split_once('-') {
            Some((first, last)) => Some((code(first)?, code(last)?)).filter(|(first, last)| first <= last),
            None => code(item).map(|code| (code, code)),
        };
        let ranges: Option<Vec<(u8, u8)>> = text.split(',').take(RANGES_MAX + 1).map(range).collect();
        let ranges = ranges.filter(|ranges| ranges.len() <= RANGES_MAX);
        ranges.map(ExitCodes).ok_or_else(|| ExitCodesError(text.chars().take(80).collect()))
    }
}

impl fmt::Display for ExitCodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (first, last)) in self.0.iter().enumerate() {
            f.write_str(if i == 0 { "" } else { "," })?;
            if first == last { write!(f, "{first}")? } else { write!(f, "{first}-{last}")? }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reason::Exit;

    #[test]
    fn lists_read_back_and_odd_ones_are_refused() {
        for text in ["1", "1,75-79,137", "255"] {
            assert_eq!(text.parse::<ExitCodes>().expect("a list").to_string(), text);
        }
        for text in ["", "0", "256", "5-3", "1,", "x", "-1"] {
            assert!(text.parse::<ExitCodes>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_failure_counts_by_its_code_and_what_was_ended_by_somebody_does_not() {
        let retry = Retry { times: 2, on: Some("3,137".parse().expect("a list")) };
        let outcome = |ending, code, signal| Outcome { ending, exit: Exit { code, signal }, note: None };
        assert!(retry.covers(&outcome(Ending::Failed, 3, 0), 1));
        assert!(retry.covers(&outcome(Ending::Failed, 0, 9), 0));
        assert!(!retry.covers(&outcome(Ending::Failed, 3, 0), 2));
        assert!(!retry.covers(&outcome(Ending::Failed, 4, 0), 0));
        let any = Retry { times: 1, on: None };
        assert!(any.covers(&outcome(Ending::OutOfMemory, 0, 125), 0));
        for ending in [Ending::Completed, Ending::Cancelled(0), Ending::Timeout, Ending::Deadline, Ending::NodeFail] {
            assert!(!any.covers(&outcome(ending, 0, 15), 0), "{ending:?}");
        }
    }
}
