//! The nodes that may serve a task: those of its partition, narrowed by `--nodelist`, `--exclude` and `--constraint`.
//!
//! It knows nothing of what is free; [`crate::place`] and [`crate::spread`] choose among them.

use std::collections::BTreeSet;

use crate::node::Node;
use crate::spec::job::Request;

/// Slots of a board by what they may be used for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Candidates {
    /// For each slot, whether it may serve.
    pub(crate) members: Vec<bool>,
    /// The slots that every placement has, lowest first.
    pub(crate) required: Vec<usize>,
    /// All slots of a placement are in the same one of these; empty for no such wish.
    pub(crate) same: Vec<Vec<bool>>,
    /// Of each of these a placement has at least so many slots, none counted twice.
    pub(crate) counted: Vec<(u32, Vec<bool>)>,
}

impl Candidates {
    /// Any of the members.
    pub(crate) fn all_of(members: Vec<bool>) -> Candidates {
        Candidates { members, required: Vec::new(), same: Vec::new(), counted: Vec::new() }
    }

    /// Those of these that the request will have; `nodes` are those of all slots, in order.
    pub(crate) fn narrowed<'a>(&self, nodes: impl Iterator<Item = &'a Node> + Clone, request: &Request) -> Candidates {
        let named = |names: &[crate::ids::Name], node: &Node| names.binary_search(&node.name).is_ok();
        let constraint = request.constraint.as_ref();
        let fits = |node: &Node| {
            let every = constraint.and_then(|constraint| constraint.every.as_ref());
            let same = constraint.map_or(&[][..], |constraint| &constraint.same);
            !named(&request.exclude, node)
                && every.is_none_or(|every| every.matches(&node.offer.features))
                && (same.is_empty() || same.iter().any(|one| one.matches(&node.offer.features)))
        };
        let members: Vec<bool> = self.members.iter().zip(nodes.clone()).map(|(is, node)| *is && fits(node)).collect();
        let required: Vec<usize> = (0..members.len())
            .zip(nodes.clone())
            .filter(|(slot, node)| members[*slot] && named(&request.nodes, node))
            .map(|(slot, _)| slot)
            .collect();
        if required.len() < request.nodes.len() {
            return Candidates::all_of(vec![false; members.len()]);
        }
        let members = match required[..] {
            // On its one node it is in nobody's way elsewhere.
            [only] if !request.may_spread() => (0..members.len()).map(|slot| slot == only).collect(),
            _ => members,
        };
        let matching = |part: &crate::spec::constraint::Features| -> Vec<bool> {
            members.iter().zip(nodes.clone()).map(|(is, node)| *is && part.matches(&node.offer.features)).collect()
        };
        let same = constraint.map_or(&[][..], |constraint| &constraint.same).iter().map(matching).collect();
        let counted = constraint.map_or(&[][..], |constraint| &constraint.counted);
        let counted = counted.iter().map(|(count, part)| (*count, matching(part))).collect();
        Candidates { members, required, same, counted }
    }

    /// Whether a placement may be this slot alone.
    pub(crate) fn serves_alone(&self, slot: usize) -> bool {
        let counts = |(count, part): &(u32, Vec<bool>)| *count == 1 && part[slot];
        self.members[slot]
            && self.required.iter().all(|required| *required == slot)
            && self.counted.len() <= 1
            && self.counted.iter().all(counts)
    }

    /// The slots that make up the counted parts, the first in this order that can be; `None` where there are too few.
    pub(crate) fn count_out(&self, order: impl Iterator<Item = usize>) -> Option<BTreeSet<usize>> {
        let mut taken: Vec<Vec<usize>> = vec![Vec::new(); self.counted.len()];
        for slot in order {
            self.give(slot, &mut taken, &mut vec![false; self.counted.len()]);
        }
        let full = self.counted.iter().zip(&taken).all(|((count, _), slots)| slots.len() >= *count as usize);
        full.then(|| taken.into_iter().flatten().collect())
    }

    /// Gives a slot to a part that lacks one, if need be by giving away one that another part can use (augmenting paths).
    fn give(&self, slot: usize, taken: &mut [Vec<usize>], asked: &mut [bool]) -> bool {
        for (part, (count, matching)) in self.counted.iter().enumerate() {
            if !matching[slot] || std::mem::replace(&mut asked[part], true) {
                continue;
            }
            if taken[part].len() < *count as usize {
                taken[part].push(slot);
                return true;
            }
            for at in 0..taken[part].len() {
                if self.give(taken[part][at], taken, asked) {
                    taken[part][at] = slot;
                    return true;
                }
            }
        }
        false
    }
}
