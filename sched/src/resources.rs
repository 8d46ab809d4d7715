//! Amounts of what a node has and a task holds: CPUs in thousandths, memory in MiB, and shares of nodes.
//!
//! Only arithmetic; who gets what is decided in [`crate::plan`].

use std::fmt;
use std::ops::{Add, AddAssign, Sub, SubAssign};

use serde::{Deserialize, Serialize};

use crate::ids::NodeId;

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

/// CPUs and memory together: what a node offers, what is free of it, what a task takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    /// CPUs.
    pub cpus: Cpus,
    /// Memory in MiB.
    pub memory_mib: u64,
}

impl Amount {
    /// Whether `part` can be taken out of this.
    #[must_use]
    pub fn covers(&self, part: &Amount) -> bool {
        part.cpus <= self.cpus && part.memory_mib <= self.memory_mib
    }

    /// What is left when `part` is taken out; `None` when it does not fit.
    #[must_use]
    pub fn checked_sub(&self, part: &Amount) -> Option<Amount> {
        self.covers(part).then(|| Amount {
            cpus: Cpus { milli: self.cpus.milli - part.cpus.milli },
            memory_mib: self.memory_mib - part.memory_mib,
        })
    }

    /// What is left, and nothing of what `part` has more of.
    #[must_use]
    pub fn saturating_sub(&self, part: &Amount) -> Amount {
        Amount {
            cpus: Cpus { milli: self.cpus.milli.saturating_sub(part.cpus.milli) },
            memory_mib: self.memory_mib.saturating_sub(part.memory_mib),
        }
    }
}

impl AddAssign<&Amount> for Amount {
    fn add_assign(&mut self, part: &Amount) {
        self.cpus = self.cpus + part.cpus;
        self.memory_mib = self.memory_mib.saturating_add(part.memory_mib);
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
}
