//! `--inject-failure=SHARE[:SEED]`: a rehearsal, in which a share of the tasks that end well is counted as failed.
//!
//! Which they are follows from the seed, the task's index and the attempt alone: the same array fails in the same places again, and
//! what is tried again may end well. Covey's own.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A share is kept in so many parts.
const PARTS: u32 = 1_000_000;

/// Which attempts fail on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InjectedFailure {
    /// Of a million.
    parts: u32,
    seed: u64,
}

/// A text that says no share.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("{0:?} is no share of tasks: a number above 0 and up to 1, such as 0.2, or with a seed 0.2:7")]
pub struct InjectedFailureError(String);

impl InjectedFailure {
    /// The same share, by another seed.
    #[must_use]
    pub fn with_seed(self, seed: u64) -> InjectedFailure {
        InjectedFailure { seed, ..self }
    }

    /// What the draws follow from, besides task and attempt.
    #[must_use]
    pub fn seed(self) -> u64 {
        self.seed
    }

    /// Whether this attempt of this task is to fail.
    #[must_use]
    pub fn hits(self, index: u32, attempt: u32) -> bool {
        let draw = mixed(mixed(self.seed ^ u64::from(index)).wrapping_add(u64::from(attempt)));
        draw % u64::from(PARTS) < u64::from(self.parts)
    }
}

/// SplitMix64's finish (Steele, Lea and Flood, 2014): every bit of the answer depends on every bit of what it is given.
fn mixed(number: u64) -> u64 {
    let mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

impl FromStr for InjectedFailure {
    type Err = InjectedFailureError;

    fn from_str(text: &str) -> Result<InjectedFailure, InjectedFailureError> {
        let bad = || InjectedFailureError(text.chars().take(80).collect());
        let (share, seed) = text.split_once(':').map_or((text, Ok(0)), |(share, seed)| (share, seed.parse()));
        let share: f64 = share.parse().map_err(|_| bad())?;
        let parts = (share * f64::from(PARTS)).round();
        if !(1.0..=f64::from(PARTS)).contains(&parts) {
            return Err(bad());
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it was just compared")]
        Ok(InjectedFailure { parts: parts as u32, seed: seed.map_err(|_| bad())? })
    }
}

impl fmt::Display for InjectedFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let share = f64::from(self.parts) / f64::from(PARTS);
        if self.seed == 0 { write!(f, "{share}") } else { write!(f, "{share}:{}", self.seed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<InjectedFailure, InjectedFailureError> {
        text.parse()
    }

    #[test]
    fn a_share_is_read_and_written_the_same() {
        for text in ["0.2", "1", "0.000001", "0.25:7", "0.2:18446744073709551615"] {
            assert_eq!(read(text).expect("a share").to_string(), text);
        }
        assert_eq!(read("0.50:0").expect("a share").to_string(), "0.5");
        for text in ["", "0", "1.1", "-0.2", "NaN", "inf", "0.2:", "0.2:x", "0.2:-1", "20%", "0.0000001"] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn about_the_share_fails_and_always_the_same_tasks() {
        let inject = read("0.2:7").expect("a share");
        let hit = |inject: InjectedFailure, attempt| (0..10_000).filter(move |index| inject.hits(*index, attempt));
        let failed: Vec<u32> = hit(inject, 1).collect();
        assert!((1_900..2_100).contains(&failed.len()), "{}", failed.len());
        assert_eq!(hit(inject, 1).collect::<Vec<_>>(), failed);
        assert_ne!(hit(read("0.2:8").expect("a share"), 1).collect::<Vec<_>>(), failed, "another seed, others");
        assert_ne!(hit(inject, 2).collect::<Vec<_>>(), failed, "another attempt, others");
        assert_eq!(hit(read("1").expect("all"), 1).count(), 10_000);
    }
}
