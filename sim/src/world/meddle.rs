//! What attempts are told while they run: stand still, go on, another limit, a signal.
//!
//! No fact asks for these orders yet, so they leave the controller as they are drawn: repeated, out of order and long after
//! the attempt has ended, too. What stands still when all is calm is let go, again and again until it has ended.

use std::num::NonZeroU32;

use sched::event::Effect;
use sched::ids::{AttemptKey, NodeId};
use sched::reason::Scope;
use sched::spec::duration::TimeLimit;

use super::{Happening, World};
use crate::chance::Chance;

/// The mean time between two orders.
const MEDDLE_MS: u64 = 2_000;
/// So many orders are remembered, to be said again.
const TOLD_MAX: usize = 32;

/// Draws orders, by numbers of its own: so that what else happens in a run depends on it only by what it brings about.
#[derive(Debug)]
pub(super) struct Meddler {
    chance: Chance,
    told: Vec<Effect>,
}

impl Meddler {
    pub(super) fn new(seed: u64) -> Meddler {
        Meddler { chance: Chance::new(seed.rotate_left(32)), told: Vec::new() }
    }

    fn draw(&mut self, running: &[(NodeId, AttemptKey)]) -> Option<Effect> {
        let chance = &mut self.chance;
        if !self.told.is_empty() && chance.one_in(4) {
            return Some(self.told[chance.below(self.told.len())].clone());
        }
        if running.is_empty() {
            return None;
        }
        let (node, key) = chance.pick(running);
        let effect = match chance.below(6) {
            0 | 1 => Effect::Suspend { node, key },
            2 | 3 => Effect::Resume { node, key },
            4 => {
                let minutes = NonZeroU32::new(chance.of(0..=2) as u32);
                Effect::Limit { node, key, limit: minutes.map_or(TimeLimit::Unlimited, TimeLimit::Minutes) }
            }
            _ => {
                let scope = chance.pick(&[Scope::Steps, Scope::Batch, Scope::Full]);
                Effect::Signal { node, key, signal: chance.pick(&[9, 10, 15]), scope }
            }
        };
        if self.told.len() == TOLD_MAX {
            self.told.remove(0);
        }
        self.told.push(effect.clone());
        Some(effect)
    }
}

impl World {
    /// Somebody tells an attempt something, and will again.
    pub(super) fn meddle(&mut self) {
        if self.calm {
            return;
        }
        let next_ms = self.meddler.chance.of(1..=2 * MEDDLE_MS);
        self.put(next_ms, Happening::Meddling);
        let running = self.running();
        if let Some(effect) = self.meddler.draw(&running) {
            self.pass_on(effect);
        }
    }

    /// Everything that may stand still goes on.
    pub(super) fn let_go(&mut self) {
        self.running().into_iter().for_each(|(node, key)| self.pass_on(Effect::Resume { node, key }));
    }

    fn running(&self) -> Vec<(NodeId, AttemptKey)> {
        let cluster = self.published();
        cluster.nodes().flat_map(|node| cluster.attempts_on(node.id).map(|key| (node.id, key))).collect()
    }

    fn pass_on(&mut self, effect: Effect) {
        let Some(desk) = &mut self.desk else { return };
        let outs = desk.pass_on(effect.clone());
        self.story.tell(self.now_ms, || format!("controller: tells {effect:?}"));
        outs.into_iter().for_each(|out| self.let_out(out));
    }
}
