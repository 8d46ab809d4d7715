//! A run by chance: everything about it, from the size of the cluster to the weather, follows from its seed.

use std::panic::{AssertUnwindSafe, catch_unwind};

use sched::settings::Settings;
use thiserror::Error;

use crate::chance::Chance;
use crate::network::Latency;
use crate::sabotage::Sabotage;
use crate::story::Story;
use crate::violation::Violation;
use crate::world::{Happening, Kind, Plan, Weather, World};

/// A run that broke a promise.
#[derive(Debug, Error)]
#[error("seed {seed} at {}.{:03} s; replay it with: cargo run -p sim -- --seed {seed} --trace", now_ms / 1000, now_ms % 1000)]
pub struct Failure {
    /// The run's seed.
    pub seed: u64,
    /// When, by the virtual clock.
    pub now_ms: u64,
    /// Which promise.
    #[source]
    pub violation: Box<Violation>,
    /// The story, if it was listened to.
    pub story: Vec<String>,
}

/// What a good run amounted to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Things that happened.
    pub steps: u64,
    /// Attempts that were begun.
    pub begun: usize,
    /// Virtual time.
    pub now_ms: u64,
    /// The story, if it was listened to.
    pub story: Vec<String>,
}

/// Runs one seed to its rest.
///
/// # Errors
/// The promise that was broken, and when.
pub fn run(seed: u64, sabotage: Option<Sabotage>, heard: bool) -> Result<Figures, Failure> {
    let mut world = draw_world(seed, sabotage, Story::new(heard));
    let ran = catch_unwind(AssertUnwindSafe(|| world.run_to_rest()));
    let ran = ran.unwrap_or_else(|panic| Err(Violation::Panic(panic_text(&*panic))));
    let (steps, begun) = world.counts();
    let now_ms = world.now_ms();
    let story = world.story().lines().to_vec();
    match ran {
        Ok(()) => Ok(Figures { steps, begun, now_ms, story }),
        Err(violation) => Err(Failure { seed, now_ms, violation: Box::new(violation), story }),
    }
}

fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string)).unwrap_or_default()
}

fn draw_world(seed: u64, sabotage: Option<Sabotage>, story: Story) -> World {
    // The world has a sequence of its own, so that a change here does not change what happens there.
    let mut chance = Chance::new(!seed);
    let settings = Settings {
        node_timeout_s: chance.pick(&[15, 45, 200]),
        job_age_s_min: chance.pick(&[1, 60, 300]),
        kill_wait_s: chance.pick(&[1, 5, 30]),
        ..Settings::default()
    };
    let (ms_max, socket_ms) = (chance.pick(&[2, 20, 500]), chance.pick(&[1, 3, 200, 800]));
    let count = chance.of(1..=5);
    let nodes = (0..count).map(|_| chance.of(1..=4) as u32).collect();
    let plan = Plan { seed, nodes, settings, latency: Latency { ms_min: 1, ms_max }, socket_ms, sabotage };
    let mut world = World::new(plan, story);
    let mut kinds: Vec<Kind> = Kind::ALL.into_iter().filter(|_| chance.one_in(2)).collect();
    if kinds.is_empty() {
        kinds.push(Kind::Controller);
    }
    let every_ms = chance.pick(&[150, 1_000, 4_000, 15_000]);
    let (loses_answers, wipes) = (chance.one_in(2), chance.one_in(3));
    let gone = (count > 1 && chance.one_in(3)).then(|| chance.below(count as usize));
    let calm_at_ms = chance.of(30_000..=180_000);
    world.set_weather(Weather { every_ms, kinds, loses_answers, wipes }, gone);
    world.put(2, Happening::Traffic);
    world.put(3, Happening::Trouble);
    world.put(4, Happening::Meddling);
    world.put(calm_at_ms, Happening::Calm);
    world
}
