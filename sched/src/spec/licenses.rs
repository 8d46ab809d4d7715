//! `--licenses`: what a task holds of the cluster's counters while it runs.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::ids::Name;

/// The most licenses that one job names.
pub const LICENSES_MAX: usize = 32;
/// The most of one license that a task asks for, and that a cluster has.
pub const LICENSE_COUNT_MAX: u32 = 1_000_000;
/// The longest name, in bytes.
const NAME_BYTES_MAX: usize = 64;

/// So many of one license.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LicenseAsk {
    /// Its name.
    pub name: Name,
    /// How many each task takes, from 1 to [`LICENSE_COUNT_MAX`].
    pub count: u32,
}

/// Why a text about licenses was refused.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum LicenseError {
    /// Not of the form that is asked for.
    #[error("'{0}' is no license: write NAME[:COUNT],... with a count from 1 to {LICENSE_COUNT_MAX}, such as matlab:2")]
    Form(String),
    /// The same name twice.
    #[error("the license {0} is named twice: name it once, with the sum")]
    Twice(String),
    /// More than [`LICENSES_MAX`].
    #[error("{0} licenses; at most {LICENSES_MAX} are allowed")]
    TooMany(usize),
}

impl LicenseAsk {
    /// Reads `name[:count],...`.
    ///
    /// # Errors
    /// A bad item, a name that is given twice, or too many.
    pub fn list(text: &str) -> Result<Vec<LicenseAsk>, LicenseError> {
        let read = |item: &str| {
            let (name, count) = item.split_once(':').unwrap_or((item, "1"));
            let count = count.parse().map_err(|_| LicenseError::Form(item.to_owned()))?;
            Ok(LicenseAsk { name: name.into(), count })
        };
        let all = text.split(',').map(read).collect::<Result<Vec<_>, _>>()?;
        LicenseAsk::check(&all)?;
        Ok(all)
    }

    /// Checks all that one job asks for.
    ///
    /// # Errors
    /// As for [`LicenseAsk::list`].
    pub fn check(all: &[LicenseAsk]) -> Result<(), LicenseError> {
        if all.len() > LICENSES_MAX {
            return Err(LicenseError::TooMany(all.len()));
        }
        for (at, ask) in all.iter().enumerate() {
            if !is_license(&ask.name) || !(1..=LICENSE_COUNT_MAX).contains(&ask.count) {
                return Err(LicenseError::Form(ask.to_string()));
            }
            if all[..at].iter().any(|other| other.name == ask.name) {
                return Err(LicenseError::Twice(ask.name.to_string()));
            }
        }
        Ok(())
    }
}

/// Whether a license may be called so.
#[must_use]
pub fn is_license(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.@/".contains(&byte);
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(fits)
}

/// `matlab:2`.
impl fmt::Display for LicenseAsk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licenses_are_read_and_bounded() {
        let all = LicenseAsk::list("matlab,ansys:3").expect("good");
        assert_eq!(all.iter().map(ToString::to_string).collect::<Vec<_>>(), ["matlab:1", "ansys:3"]);
        for text in ["", "a:0", "a:x", ":1", "a|b", "a:1000001", "a,,b", "a b"] {
            assert!(matches!(LicenseAsk::list(text), Err(LicenseError::Form(_))), "{text}");
        }
        assert_eq!(LicenseAsk::list("a,a:2"), Err(LicenseError::Twice("a".into())));
        let many: Vec<String> = (0..33).map(|i| format!("l{i}")).collect();
        assert_eq!(LicenseAsk::list(&many.join(",")), Err(LicenseError::TooMany(33)));
    }
}
