//! What so many processes of a request hold on a node, and how many of them fit into what is free of it.
//!
//! One node and arithmetic alone; the choice among nodes is in [`crate::place`]. Start at [`Request::fit`].

use crate::node::Offer;
use crate::resources::{Amount, Counts, Cpus};
use crate::spec::job::{Memory, Request};

impl Request {
    /// Whether a task may have several nodes.
    pub(crate) fn may_spread(&self) -> bool {
        self.nodes_max != Some(1) && self.process_count() > 1 && !self.gres.iter().any(|ask| self.keeps_together(ask))
    }

    /// What so many processes hold on a node, if that is free of it. Where a gres of any type is asked for, the node's first free
    /// ones are taken.
    pub(crate) fn fit(&self, offer: &Offer, free: &Amount, processes: u32) -> Option<Amount> {
        let cpus = self.process_cpus().times(processes);
        // The CPUs are compared first: most slots of a busy cluster fail there.
        if free.cpus < cpus || processes > self.processes_on_node_max() {
            return None;
        }
        let held_cpus = if self.exclusive { offer.amount.cpus } else { cpus };
        let memory_mib = match self.memory {
            Memory::PerNode(0) => offer.amount.memory_mib,
            Memory::PerNode(mib) => mib,
            // Also where all CPUs are held, memory is only as asked for.
            Memory::PerCpu(mib) => mib.saturating_mul(u64::from(cpus.count())),
            Memory::Default => share_of(&offer.amount, held_cpus),
        };
        let mut gres = if self.gres.is_empty() { Counts::default() } else { self.counts(offer, free, processes)? };
        if self.exclusive {
            gres = offer.amount.gres;
        }
        let amount = Amount { cpus: held_cpus, memory_mib, gres };
        free.covers(&amount).then_some(amount)
    }

    /// The most processes that fit into what is free of a node: exactly those for which [`Request::fit`] finds an amount.
    pub(crate) fn room(&self, offer: &Offer, free: &Amount) -> u32 {
        let each = self.process_cpus().milli().max(1);
        let is_whole = || free.cpus >= offer.amount.cpus && free.gres == offer.amount.gres;
        if self.exclusive && !is_whole() {
            return 0;
        }
        let mut room =
            (free.cpus.milli() / each).min(self.processes_on_node_max()).min(self.room_by_memory(offer, free));
        for ask in &self.gres {
            let there: u32 =
                kinds(offer).filter(|(_, gres)| ask.takes(gres)).map(|(kind, _)| u32::from(free.gres.at(kind))).sum();
            let one = self.gres_on_node(ask, 1);
            let grows = self.gres_on_node(ask, 2) > one;
            room = room.min(if grows {
                there / one.max(1)
            } else if there < one {
                0
            } else {
                room
            });
        }
        room
    }

    fn room_by_memory(&self, offer: &Offer, free: &Amount) -> u32 {
        let each = self.process_cpus().milli().max(1);
        let (offered, free) = (&offer.amount, free.memory_mib);
        match self.memory {
            Memory::PerNode(0) if free < offered.memory_mib => 0,
            Memory::PerNode(mib) if free < mib => 0,
            Memory::PerNode(_) | Memory::PerCpu(0) => u32::MAX,
            Memory::PerCpu(mib) => narrow(u128::from(free / mib) * 1000 / u128::from(each)),
            Memory::Default if offered.memory_mib == 0 => u32::MAX,
            Memory::Default if self.exclusive => {
                if free < offered.memory_mib {
                    0
                } else {
                    u32::MAX
                }
            }
            // The most for which the share, rounded down, is no more than what is free.
            Memory::Default => {
                let beyond = (u128::from(free) + 1) * u128::from(offered.cpus.milli());
                narrow(beyond.saturating_sub(1) / (u128::from(offered.memory_mib) * u128::from(each)))
            }
        }
    }

    fn processes_on_node_max(&self) -> u32 {
        self.processes_per_node.unwrap_or(u32::MAX)
    }

    /// How many of each kind of the node's gres so many processes take.
    fn counts(&self, offer: &Offer, free: &Amount, processes: u32) -> Option<Counts> {
        let mut counts = Counts::default();
        for ask in &self.gres {
            let mut left = self.gres_on_node(ask, processes);
            for (kind, _) in kinds(offer).filter(|(_, gres)| ask.takes(gres)) {
                let taken = u16::try_from(left).unwrap_or(u16::MAX).min(free.gres.at(kind));
                counts.add(kind, taken);
                left -= u32::from(taken);
            }
            if left > 0 {
                return None;
            }
        }
        Some(counts)
    }
}

fn kinds(offer: &Offer) -> impl Iterator<Item = (usize, &crate::spec::gres::Gres)> {
    offer.gres.iter().enumerate()
}

/// A node's memory, divided by its CPUs.
fn share_of(offer: &Amount, cpus: Cpus) -> u64 {
    let (memory, part, whole) = (offer.memory_mib, u64::from(cpus.milli()), u64::from(offer.cpus.milli()).max(1));
    match memory.checked_mul(part) {
        Some(product) => product / whole,
        None => u64::try_from(u128::from(memory) * u128::from(part) / u128::from(whole)).unwrap_or(u64::MAX),
    }
}

fn narrow(count: u128) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::spec::gres::{Gres, GresAsk, Per};

    fn offer(cpus: u32, memory_mib: u64, gres: [u16; 3]) -> Offer {
        let kinds = [("gpu", "a"), ("gpu", "b"), ("fpga", "")];
        let each = |((name, kind), count): ((&str, &str), u16)| Gres { name: name.into(), kind: kind.into(), count };
        let amount = Amount { cpus: Cpus::from_milli(cpus), memory_mib, gres: Counts::of(gres) };
        Offer { amount, gres: kinds.into_iter().zip(gres).map(each).collect(), ..Offer::default() }
    }

    fn asks() -> impl Strategy<Value = Vec<GresAsk>> {
        let ask = |(text, per)| GresAsk::list(text, per).expect("good");
        let per = || prop_oneof![Just(Per::Node), Just(Per::Process), Just(Per::Task)];
        let text =
            prop_oneof![Just("none"), Just("gpu:1"), Just("gpu:3"), Just("gpu:a:2,gpu:b:1"), Just("fpga:2,gpu:b:2")];
        (text, per()).prop_map(ask)
    }

    proptest! {
        /// What is said to fit fits, and no more does.
        #[test]
        fn room_is_what_fits(
            (cpus, memory, gres) in (1..9_u32, 0..50_u64, any::<[u8; 3]>()),
            (held_cpus, held_memory, held) in (0..9_000_u32, 0..50_u64, any::<[u8; 3]>()),
            (processes, per_node, milli) in (1..7_u32, proptest::option::of(1..5_u32), 100..3000_u32),
            (asks, exclusive, memory_kind, mib) in (asks(), any::<bool>(), 0..3_u8, 0..20_u64),
        ) {
            let offer = offer(cpus * 1000, memory, gres.map(|count| u16::from(count % 7)));
            let held = Counts::of(held.map(|count| u16::from(count % 7)));
            let free = offer.amount.saturating_sub(&Amount { cpus: Cpus::from_milli(held_cpus), memory_mib: held_memory, gres: held });
            let request = Request {
                processes: Some(processes),
                processes_per_node: per_node,
                cpus_milli: Some(milli),
                memory: match memory_kind { 0 => Memory::Default, 1 => Memory::PerNode(mib), _ => Memory::PerCpu(mib) },
                gres: asks,
                exclusive,
                ..Request::default()
            };
            let room = request.room(&offer, &free);
            for processes in 1..12 {
                let fit = request.fit(&offer, &free, processes);
                prop_assert_eq!(fit.is_some(), processes <= room, "{} of {}", processes, room);
                if let Some(amount) = fit {
                    prop_assert!(free.covers(&amount));
                    for ask in request.gres.iter().filter(|_| !exclusive) {
                        let taken: u32 = kinds(&offer)
                            .filter(|(_, gres)| ask.takes(gres))
                            .map(|(kind, _)| u32::from(amount.gres.at(kind)))
                            .sum();
                        prop_assert_eq!(taken, request.gres_on_node(ask, processes));
                    }
                }
            }
        }
    }
}
