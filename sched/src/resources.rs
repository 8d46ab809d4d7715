//! Amounts of what a node has and a task holds: CPUs in thousandths, memory in MiB, counted gres, and shares of nodes.
//!
//! Only arithmetic; who gets what is decided in [`crate::plan`].

use std::fmt;
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::devices::Devices;
use crate::ids::NodeId;
use crate::spec::gres::GRES_KINDS_MAX;

/// CPUs in thousandths, so that a share of one can be held and added exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cpus {
    milli: u32,
}

impl Cpus {
    /// Whole CPUs; saturates at about four million.
    #[must_use]
    pub const fn whole(count: u32) -> Cpus {
        Cpus { milli: count.saturating_mul(1000) }
    }

    /// Thousandths of a CPU.
    #[must_use]
    pub const fn milli(self) -> u32 {
        self.milli
    }

    /// An amount given in thousandths of a CPU.
    #[must_use]
    pub const fn from_milli(milli: u32) -> Cpus {
        Cpus { milli }
    }

    /// The CPUs that tables show: a started CPU counts as one.
    #[must_use]
    pub const fn count(self) -> u32 {
        self.milli.div_ceil(1000)
    }

    /// This many times as much; saturates.
    #[must_use]
    pub const fn times(self, count: u32) -> Cpus {
        Cpus { milli: self.milli.saturating_mul(count) }
    }
}

impl Add for Cpus {
    type Output = Cpus;
    fn add(self, other: Cpus) -> Cpus {
        Cpus { milli: self.milli.saturating_add(other.milli) }
    }
}

impl fmt::Display for Cpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", f64::from(self.milli) / 1000.0)
    }
}

/// Reads CPUs as `--cpus` takes them: whole ones or with up to three decimals, such as `0.15`.
impl FromStr for Cpus {
    type Err = CpusError;

    fn from_str(text: &str) -> Result<Cpus, CpusError> {
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if part.len() > 3 || !digits(whole) || !digits(part) {
            return Err(CpusError(text.to_owned()));
        }
        let milli = format!("{whole}{part:0<3}").parse().ok().filter(|milli| *milli > 0);
        milli.map(Cpus::from_milli).ok_or_else(|| CpusError(text.to_owned()))
    }
}

/// A text that is no number of CPUs.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("'{0}' is no number of CPUs: write a number from 0.001 on with at most three decimals, such as 0.15")]
pub struct CpusError(String);

/// How many are meant of each kind of gres of one node, in the order in which the node names them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Counts([u16; GRES_KINDS_MAX]);

impl Counts {
    /// Counts in the order of a node's kinds; those beyond [`GRES_KINDS_MAX`] are left out.
    #[must_use]
    pub fn of(counts: impl IntoIterator<Item = u16>) -> Counts {
        let mut all = Counts::default();
        all.0.iter_mut().zip(counts).for_each(|(mine, count)| *mine = count);
        all
    }

    /// The count of one kind.
    #[must_use]
    pub fn at(&self, kind: usize) -> u16 {
        self.0.get(kind).copied().unwrap_or(0)
    }

    /// Adds to one kind; saturates.
    pub(crate) fn add(&mut self, kind: usize, count: u16) {
        self.0[kind] = self.0[kind].saturating_add(count);
    }

    /// Whether nothing is counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Counts::default()
    }

    fn covers(&self, part: &Counts) -> bool {
        // Without a branch for each kind: this is asked for every slot that is looked at.
        self.0.iter().zip(part.0).fold(true, |all, (mine, part)| all & (part <= *mine))
    }

    fn with(&self, other: &Counts, each: impl Fn(u16, u16) -> u16) -> Counts {
        Counts(std::array::from_fn(|kind| each(self.0[kind], other.0[kind])))
    }
}

/// CPUs, memory and gres together: what a node offers, what is free of it, what a task takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    /// CPUs.
    pub cpus: Cpus,
    /// Memory in MiB.
    pub memory_mib: u64,
    /// Gres, by the kinds of the node that this is an amount of.
    #[serde(default, skip_serializing_if = "Counts::is_empty")]
    pub gres: Counts,
}

impl Amount {
    /// Whether `part` can be taken out of this.
    #[must_use]
    pub fn covers(&self, part: &Amount) -> bool {
        part.cpus <= self.cpus && part.memory_mib <= self.memory_mib && self.gres.covers(&part.gres)
    }

    /// What is left when `part` is taken out; `None` when it does not fit.
    #[must_use]
    pub fn checked_sub(&self, part: &Amount) -> Option<Amount> {
        self.covers(part).then(|| self.saturating_sub(part))
    }

    /// What is left, and nothing of what `part` has more of.
    #[must_use]
    pub fn saturating_sub(&self, part: &Amount) -> Amount {
        Amount {
            cpus: Cpus { milli: self.cpus.milli.saturating_sub(part.cpus.milli) },
            memory_mib: self.memory_mib.saturating_sub(part.memory_mib),
            gres: self.gres.with(&part.gres, u16::saturating_sub),
        }
    }

    /// The lesser of each.
    #[must_use]
    pub(crate) fn least(&self, other: &Amount) -> Amount {
        Amount {
            cpus: self.cpus.min(other.cpus),
            memory_mib: self.memory_mib.min(other.memory_mib),
            gres: self.gres.with(&other.gres, u16::min),
        }
    }
}

impl AddAssign<&Amount> for Amount {
    fn add_assign(&mut self, part: &Amount) {
        self.cpus = self.cpus + part.cpus;
        self.memory_mib = self.memory_mib.saturating_add(part.memory_mib);
        self.gres = self.gres.with(&part.gres, u16::saturating_add);
    }
}

impl Sub<&Amount> for Amount {
    type Output = Amount;

    /// # Panics
    /// When `part` is more than there is: taking what nobody holds is a defect of the books, never of the user.
    fn sub(self, part: &Amount) -> Amount {
        self.checked_sub(part).expect("nothing gives back more than it holds")
    }
}

impl SubAssign<&Amount> for Amount {
    fn sub_assign(&mut self, part: &Amount) {
        *self = *self - part;
    }
}

/// What one attempt holds on one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// The node.
    pub node: NodeId,
    /// How many of the job's processes (`--ntasks`) belong here.
    pub processes: u32,
    /// What is held.
    pub amount: Amount,
    /// Which of the node's GPUs, as many as `amount` counts.
    #[serde(default, skip_serializing_if = "Devices::is_empty")]
    pub devices: Devices,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_are_read_to_the_thousandth() {
        for (text, milli) in [("2", 2000), ("0.15", 150), ("0.001", 1), ("1.5", 1500), ("12.125", 12_125)] {
            assert_eq!(text.parse::<Cpus>().map(Cpus::milli), Ok(milli), "{text}");
        }
        for text in ["0", "0.0", "0.0001", "0.1234", "", ".5", "1.", "-1", "x", "1e3", "4294968", "1.2.3"] {
            assert!(text.parse::<Cpus>().is_err(), "{text}");
        }
    }
}
