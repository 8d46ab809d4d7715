//! What `covey node` and `covey user` share: how long a token is good, and how an answer about tokens is printed.

use std::process::ExitCode;

use serde_json::Value;

use crate::failure::{Outcome, print};

/// What is printed: for programs and files, and for people beside it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) out: String,
    pub(super) note: Option<String>,
}

impl Said {
    /// Nothing beside it.
    pub(super) fn plain(out: String) -> Said {
        Said { out, note: None }
    }

    /// One JSON value, on a line of its own.
    pub(super) fn json(value: impl Into<Value>) -> Said {
        Said::plain(format!("{}\n", value.into()))
    }

    /// A new token alone on stdout, explained beside it.
    pub(super) fn token(token: &str, note: String) -> Said {
        Said { out: format!("{token}\n"), note: Some(note) }
    }

    /// Prints it: the note on stderr, so that stdout can go into a file.
    pub(super) fn print(self) -> Outcome<ExitCode> {
        if let Some(note) = self.note {
            eprintln!("{note}");
        }
        print(self.out)
    }
}

/// `90s`, `30m`, `1h`, `7d`; a number alone is seconds.
pub(super) fn seconds(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match &text[digits.len()..] {
        "" | "s" => 1,
        "m" => 60,
        "h" => 60 * 60,
        "d" => 24 * 60 * 60,
        _ => 0,
    };
    let read = digits.parse::<u64>().ok().and_then(|count| count.checked_mul(unit));
    read.filter(|seconds| *seconds > 0).ok_or_else(|| "write a time such as 90s, 30m, 1h or 7d".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_units() {
        for (text, read) in
            [("90", Some(90)), ("90s", Some(90)), ("30m", Some(1800)), ("1h", Some(3600)), ("7d", Some(604_800))]
        {
            assert_eq!(seconds(text).ok(), read, "{text}");
        }
        for text in ["", "h", "0", "1w", "-1h", "1.5h", "99999999999999999999s", "9999999999999999999d"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
