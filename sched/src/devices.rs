//! Which GPUs of a node: a set of device numbers, and the choice of the next ones.
//!
//! How many of which type fit is a matter of counts ([`crate::resources::Counts`]); this gives them their numbers. A node's GPUs
//! are numbered from 0 over all its types, in the order in which it names them.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::resources::Counts;
use crate::spec::gres::{DEVICES_MAX, GPU, Gres};

/// A set of device numbers below [`DEVICES_MAX`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Devices(u64);

impl Devices {
    /// A set from its bits, the lowest for device 0.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Devices {
        Devices(bits)
    }

    /// Its bits.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0 == 0
    }

    /// How many.
    #[must_use]
    pub const fn count(self) -> u32 {
        self.0.count_ones()
    }

    /// Their numbers, lowest first.
    pub fn numbers(self) -> impl Iterator<Item = u32> {
        (0..DEVICES_MAX).filter(move |device| self.0 & (1 << device) != 0)
    }

    /// All of both; `None` where one is in both.
    #[must_use]
    pub fn joined(self, other: Devices) -> Option<Devices> {
        (self.0 & other.0 == 0).then_some(Devices(self.0 | other.0))
    }

    /// Those that are not in the other.
    #[must_use]
    pub fn without(self, other: Devices) -> Devices {
        Devices(self.0 & !other.0)
    }

    /// The lowest free devices of a node for these counts of its kinds.
    ///
    /// # Panics
    /// When fewer are free than are counted: the counts and the numbers of a node then disagree.
    pub(crate) fn choose(gres: &[Gres], held: Devices, counts: &Counts) -> Devices {
        let mut chosen = Devices::default();
        let mut first = 0;
        for (kind, gres) in gres.iter().enumerate().filter(|(_, gres)| &*gres.name == GPU) {
            let end = first + u32::from(gres.count);
            let mut free = (first..end).filter(|device| held.0 & (1 << device) == 0);
            for _ in 0..counts.at(kind) {
                chosen.0 |= 1 << free.next().expect("a node has as many free GPUs as its counts say");
            }
            first = end;
        }
        chosen
    }

    /// How many GPUs these counts of a node's kinds hold.
    pub(crate) fn counted(gres: &[Gres], counts: &Counts) -> u32 {
        let gpus = gres.iter().enumerate().filter(|(_, gres)| &*gres.name == GPU);
        gpus.map(|(kind, _)| u32::from(counts.at(kind))).sum()
    }
}

/// `0,2,3`, as `CUDA_VISIBLE_DEVICES` has it.
impl fmt::Display for Devices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, device) in self.numbers().enumerate() {
            write!(f, "{}{device}", if at == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_has_its_own_numbers() {
        let gres = Gres::list("gpu:a100:2,fpga:3,gpu:v100:2").expect("good");
        let choose = |held, counts: [u16; 3]| Devices::choose(&gres, held, &Counts::of(counts)).to_string();
        assert_eq!(choose(Devices::default(), [1, 2, 1]), "0,2");
        assert_eq!(choose(Devices(0b0101), [1, 0, 1]), "1,3");
        assert_eq!(choose(Devices::default(), [0, 3, 0]), "");
        assert_eq!(Devices::counted(&gres, &Counts::of([1, 3, 1])), 2);
        assert_eq!((Devices(0b11).joined(Devices(0b10)), Devices(0b11).without(Devices(1)).count()), (None, 1));
    }
}
