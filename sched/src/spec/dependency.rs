//! `--dependency`: which other jobs a job waits for, and how they must have ended.
//!
//! `type:id[:id...][,type:...]` needs all terms, `?` between terms any one of them; the two do not mix. Bare ids mean
//! `afterany`. `after:id+MIN` waits MIN minutes longer. `singleton` waits for every earlier job of the same user and name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::array::JobRef;

/// The most terms that one job may have.
pub const TERMS_MAX: usize = 4_096;

/// What a job waits for. Never empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependency {
    /// Whether one term that is met is enough.
    pub any: bool,
    /// The terms, in the order given.
    pub terms: Vec<Term>,
}

/// One thing to wait for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Term {
    /// Every earlier job of the same user and name has ended.
    Singleton,
    /// The named job or task has come so far.
    On {
        /// How far.
        what: After,
        /// Which job, or which of its tasks.
        target: JobRef,
    },
}

/// How far another job must have come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum After {
    /// Started, or cancelled, so many minutes ago.
    Started {
        /// Minutes.
        minutes: u32,
    },
    /// Ended, in whatever way.
    Any,
    /// Ended well, all of it.
    Ok,
    /// Ended, and not all of it well.
    NotOk,
    /// Task by task: mine with the same index waits for its task to end well.
    Corr,
}

/// Why a text is no dependency.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum DependencyError {
    /// `,` and `?` in one text.
    #[error("{0:?} mixes ',' (all of them) and '?' (any of them)")]
    Mixed(String),
    /// An unknown type.
    #[error("{0:?} is no dependency type: after, afterany, afterok, afternotok, aftercorr or singleton")]
    Kind(String),
    /// No id after a type, or one that is none.
    #[error("{text:?} needs a job id after its type, such as afterok:5 or afterok:5_3")]
    Id {
        /// The term.
        text: String,
    },
    /// More than [`TERMS_MAX`].
    #[error("{0} terms; at most {TERMS_MAX} are allowed")]
    TooMany(usize),
}

impl FromStr for Dependency {
    type Err = DependencyError;

    fn from_str(text: &str) -> Result<Dependency, DependencyError> {
        let any = text.contains('?');
        if any && text.contains(',') {
            return Err(DependencyError::Mixed(text.to_owned()));
        }
        let mut terms = Vec::new();
        for part in text.split([',', '?']).map(str::trim) {
            read_terms(part, &mut terms)?;
        }
        if terms.len() > TERMS_MAX {
            return Err(DependencyError::TooMany(terms.len()));
        }
        Ok(Dependency { any, terms })
    }
}

/// `type:id:id` gives a term for each id.
fn read_terms(part: &str, terms: &mut Vec<Term>) -> Result<(), DependencyError> {
    if part.eq_ignore_ascii_case("singleton") {
        terms.push(Term::Singleton);
        return Ok(());
    }
    let starts_with_id = part.starts_with(|c: char| c.is_ascii_digit());
    let (kind, ids) = if starts_with_id { ("afterany", part) } else { part.split_once(':').unwrap_or((part, "")) };
    let what = match kind.to_ascii_lowercase().as_str() {
        "after" => After::Started { minutes: 0 },
        "afterany" => After::Any,
        "afterok" => After::Ok,
        "afternotok" => After::NotOk,
        "aftercorr" => After::Corr,
        _ => return Err(DependencyError::Kind(kind.to_owned())),
    };
    for id in ids.split(':') {
        let bad = || DependencyError::Id { text: part.to_owned() };
        let (id, what) = match (what, id.split_once('+')) {
            (After::Started { .. }, Some((id, minutes))) => {
                (id, After::Started { minutes: minutes.parse().map_err(|_| bad())? })
            }
            _ => (id, what),
        };
        terms.push(Term::On { what, target: id.parse().map_err(|_| bad())? });
    }
    Ok(())
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Term::On { what, target } = self else { return f.write_str("singleton") };
        match what {
            After::Started { minutes: 0 } => write!(f, "after:{target}"),
            After::Started { minutes } => write!(f, "after:{target}+{minutes}"),
            After::Any => write!(f, "afterany:{target}"),
            After::Ok => write!(f, "afterok:{target}"),
            After::NotOk => write!(f, "afternotok:{target}"),
            After::Corr => write!(f, "aftercorr:{target}"),
        }
    }
}

impl fmt::Display for Dependency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, term) in self.terms.iter().enumerate() {
            let between = match (i, self.any) {
                (0, _) => "",
                (_, true) => "?",
                (_, false) => ",",
            };
            write!(f, "{between}{term}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_are_read_and_printed() {
        for (text, printed) in [
            ("afterok:5", "afterok:5"),
            ("5", "afterany:5"),
            ("5:6", "afterany:5,afterany:6"),
            ("afterok:5:6_2,AfterAny:7", "afterok:5,afterok:6_2,afterany:7"),
            ("after:5+10:6", "after:5+10,after:6"),
            ("afternotok:5?aftercorr:6", "afternotok:5?aftercorr:6"),
            ("singleton", "singleton"),
            ("afterok:5_[1-3]", "afterok:5_[1-3]"),
        ] {
            let read: Dependency = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(read.to_string(), printed);
            assert_eq!(printed.parse(), Ok(read));
        }
    }

    #[test]
    fn what_is_none_is_refused() {
        assert!(matches!("afterok:1,afterany:2?3".parse::<Dependency>(), Err(DependencyError::Mixed(_))));
        assert!(matches!("later:1".parse::<Dependency>(), Err(DependencyError::Kind(_))));
        for text in ["", "afterok", "afterok:", "afterok:x", "afterok:1+5", "after:1+x", "1,,2"] {
            assert!(text.parse::<Dependency>().is_err(), "{text}");
        }
    }
}
