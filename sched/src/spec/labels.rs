//! Under which names a job counts and is found, what people say of it, and whom its mail should reach.
//!
//! Nothing here changes where a job runs. A part of a [`crate::spec::job::JobDraft`].

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::spec::job::{SpecError, text};

/// Names and remarks; each is empty where nothing was given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Labels {
    /// `--account`.
    pub account: String,
    /// `--qos`.
    pub qos: String,
    /// `--wckey`.
    pub wckey: String,
    /// `--reservation`.
    pub reservation: String,
    /// `--extra`.
    pub extra: String,
    /// `scontrol update AdminComment=`.
    pub admin_comment: String,
    /// `--mail-type`.
    pub mail: MailTypes,
    /// `--mail-user`.
    pub mail_user: String,
}

impl Labels {
    pub(crate) fn check(&self) -> Result<(), SpecError> {
        for (field, value) in [
            ("--account", &self.account),
            ("--qos", &self.qos),
            ("--wckey", &self.wckey),
            ("--reservation", &self.reservation),
            ("--extra", &self.extra),
            ("AdminComment", &self.admin_comment),
            ("--mail-user", &self.mail_user),
        ] {
            text(field, value)?;
        }
        Ok(())
    }
}

/// What happens to a job that its mail should tell of: a set of Slurm's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MailTypes(u16);

/// The words in the order in which Slurm shows them; the place of each is its bit.
const WORDS: [&str; 11] = [
    "ARRAY_TASKS",
    "INVALID_DEPEND",
    "BEGIN",
    "END",
    "FAIL",
    "REQUEUE",
    "STAGE_OUT",
    "TIME_LIMIT_50",
    "TIME_LIMIT_80",
    "TIME_LIMIT_90",
    "TIME_LIMIT",
];
/// What `ALL` stands for: from `INVALID_DEPEND` to `STAGE_OUT`.
const ALL: u16 = 0b000_0111_1110;

/// A word that is no event.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("'{0}' is no event for a mail: write NONE, ALL, {words}", words = WORDS.join(", "))]
pub struct MailTypeError(pub String);

impl MailTypes {
    /// Whether nothing is to be told.
    #[must_use]
    pub fn is_none(self) -> bool {
        self.0 == 0
    }
}

impl FromStr for MailTypes {
    type Err = MailTypeError;

    /// Reads words with commas between them, in any case; nothing and `NONE` ask for no mail.
    fn from_str(list: &str) -> Result<MailTypes, MailTypeError> {
        let mut types = MailTypes::default();
        for word in list.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            let place = WORDS.iter().position(|known| known.eq_ignore_ascii_case(word));
            match place {
                Some(place) => types.0 |= 1 << place,
                None if word.eq_ignore_ascii_case("ALL") => types.0 |= ALL,
                None if word.eq_ignore_ascii_case("NONE") => types = MailTypes::default(),
                None => return Err(MailTypeError(word.to_owned())),
            }
        }
        Ok(types)
    }
}

impl fmt::Display for MailTypes {
    /// `NONE`, or the words with commas between them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_none() {
            return f.write_str("NONE");
        }
        let words = WORDS.iter().enumerate().filter(|(place, _)| self.0 & 1 << place != 0);
        f.write_str(&words.map(|(_, word)| *word).collect::<Vec<_>>().join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mail_types_are_shown_in_slurms_order() {
        for (typed, shown) in [
            ("", "NONE"),
            ("END", "END"),
            ("fail,end", "END,FAIL"),
            ("BEGIN,TIME_LIMIT_80,array_tasks", "ARRAY_TASKS,BEGIN,TIME_LIMIT_80"),
            ("ALL", "INVALID_DEPEND,BEGIN,END,FAIL,REQUEUE,STAGE_OUT"),
            ("END,NONE", "NONE"),
        ] {
            let types: MailTypes = typed.parse().expect(typed);
            assert_eq!((types.to_string().as_str(), types.to_string().parse()), (shown, Ok(types)));
        }
        assert_eq!("END,SOON".parse::<MailTypes>(), Err(MailTypeError("SOON".into())));
    }
}
