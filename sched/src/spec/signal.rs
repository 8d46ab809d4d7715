//! Signals by name or number, and `--signal`: the one that tells a task that its time limit is near.
//!
//! Only what is asked for; who sends it, and when, is the node's business. Start at [`Warning`].

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The signals of Linux with their numbers from 1 on: those that mean the same on every node.
const NAMES: [&str; SIGNAL_MAX as usize] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM",
    "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO",
    "PWR", "SYS",
];

/// The highest signal that can be asked for.
pub const SIGNAL_MAX: i32 = 31;

/// How long before the limit the warning comes where nobody says: Slurm's 60 seconds.
const BEFORE_S_DEFAULT: u16 = 60;

/// A warning ahead of the time limit, as `--signal=[R][B]:SIG[@SECONDS]` asks for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// The signal's number, 1 to [`SIGNAL_MAX`].
    pub signal: i32,
    /// How long before the end of the limit. More than the limit is at the start.
    pub before_s: u16,
    /// `B:`: to the batch shell alone; else to the steps and not to it.
    pub batch_only: bool,
}

/// The name of a signal without `SIG`; `None` for a number beyond [`SIGNAL_MAX`], and for 0.
#[must_use]
pub fn signal_name(number: u32) -> Option<&'static str> {
    NAMES.get(usize::try_from(number.checked_sub(1)?).ok()?).copied()
}

/// The number of a signal, from its name with or without `SIG` in either case, or from its number.
#[must_use]
pub fn read_signal(text: &str) -> Option<i32> {
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let named = NAMES.iter().zip(1..).find(|(known, _)| **known == name).map(|(_, number)| number);
    named.or_else(|| text.parse().ok()).filter(|number| (1..=SIGNAL_MAX).contains(number))
}

impl FromStr for Warning {
    type Err = WarningError;

    /// Reads Slurm's form. `R`, which is about reservations, is read and changes nothing.
    fn from_str(text: &str) -> Result<Warning, WarningError> {
        let wrong = || WarningError { text: text.to_owned() };
        let (flags, rest) = text.split_once(':').unwrap_or(("", text));
        let batch_only = match flags.to_ascii_uppercase().as_str() {
            "" | "R" => false,
            "B" | "RB" | "BR" => true,
            _ => return Err(wrong()),
        };
        let (signal, before_s) = match rest.split_once('@') {
            Some((signal, seconds)) => (signal, seconds.parse().map_err(|_| wrong())?),
            None => (rest, BEFORE_S_DEFAULT),
        };
        Ok(Warning { signal: read_signal(signal).ok_or_else(wrong)?, before_s, batch_only })
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flags = if self.batch_only { "B:" } else { "" };
        write!(f, "{flags}{}@{}", self.signal, self.before_s)
    }
}

/// A text that is no warning.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error(
    "'{text}' is no warning: write [B:]SIGNAL[@SECONDS], as in B:USR1@120; a signal is a name or 1 to {SIGNAL_MAX}, and seconds are 0 to 65535"
)]
pub struct WarningError {
    text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names_and_numbers() {
        for (text, number) in [("USR1", 10), ("sigusr2", 12), ("Kill", 9), ("15", 15), ("SYS", 31), ("31", 31)] {
            assert_eq!(read_signal(text), Some(number), "{text}");
        }
        for text in ["", "SIG", "0", "32", "-9", "USR3", "9x"] {
            assert_eq!(read_signal(text), None, "{text}");
        }
    }

    #[test]
    fn a_warning_is_read_as_slurm_does_and_back_from_its_own_text() {
        for (text, signal, before_s, batch_only) in [
            ("USR1", 10, 60, false),
            ("B:USR2@30", 12, 30, true),
            ("b:10@0", 10, 0, true),
            ("R:TERM@65535", 15, 65_535, false),
            ("RB:HUP", 1, 60, true),
        ] {
            let warning: Warning = text.parse().expect(text);
            assert_eq!(warning, Warning { signal, before_s, batch_only }, "{text}");
            assert_eq!(warning.to_string().parse(), Ok(warning));
        }
        for text in ["", "B:", "X:USR1", "USR1@", "USR1@-1", "USR1@65536", "USR1@1m", "@5", "B:USR1:5", "NOPE"] {
            let error = text.parse::<Warning>().expect_err(text).to_string();
            assert!(error.contains("is no warning: write [B:]SIGNAL"), "{error}");
        }
    }
}
