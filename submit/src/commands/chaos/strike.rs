//! The strikes: what is killed when, and how long it takes to be back.

use std::time::Duration;

use proto::dial::dial;
use proto::v1::GetClusterRequest;
use tokio::time::{Instant, sleep_until};

use super::failed;
use crate::call::{client, unnamed};
use crate::failure::Outcome;
use crate::local::cluster::Cluster;
use crate::local::daemon::Daemon;
use crate::local::layout::Layout;
use crate::local::options::Asked;
use crate::local::process::kill;

/// For everything to be back after a strike.
const PATIENCE: Duration = Duration::from_secs(60);
/// Strikes leave this part of the time before and after them: one in so many.
const EDGE: u32 = 10;

/// What is struck.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Controller,
    Node(String),
}

/// Something that was struck, and how long it took to be back: the controller to answer, or the node to be heard of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mended {
    pub(super) target: Target,
    pub(super) took: Duration,
}

/// What is to be struck when, in order: it follows from the seed alone.
pub(super) fn planned(
    layout: &Layout,
    seed: u64,
    (controllers, nodes): (u32, u32),
    lasts: Duration,
) -> Vec<(Duration, Target)> {
    let mut draws = Draws(seed);
    let names = layout.nodes();
    let targets = (0..controllers).map(|_| None).chain((0..nodes).map(|_| Some(())));
    let mut strikes: Vec<(Duration, Target)> = targets
        .filter_map(|target| {
            let at = lasts / EDGE + lasts * (EDGE - 2) / EDGE * draws.below(1_000) / 1_000;
            let pick = draws.below(u32::try_from(names.len()).unwrap_or(u32::MAX).max(1)) as usize;
            match target {
                None => Some((at, Target::Controller)),
                Some(()) => Some((at, Target::Node(names.get(pick)?.clone()))),
            }
        })
        .collect();
    strikes.sort_by_key(|(at, _)| *at);
    strikes
}

/// Strikes, and starts again what was struck; one after the other.
///
/// # Errors
/// When something cannot be killed, or does not come back.
pub(super) async fn carry_out(
    layout: &Layout,
    strikes: Vec<(Duration, Target)>,
    begun: Instant,
) -> Outcome<Vec<Mended>> {
    let mut mended = Vec::new();
    for (at, target) in strikes {
        sleep_until(begun + at).await;
        let daemons = match &target {
            Target::Controller => vec![Daemon::Controller],
            Target::Node(name) => vec![Daemon::Noded(name.clone()), Daemon::Launcher(name.clone())],
        };
        let living = daemons.iter().filter_map(|daemon| daemon.find(layout)).collect();
        let struck = Instant::now();
        kill(living).map_err(|error| failed(&error))?;
        let mut cluster = Cluster::prepare(layout.clone(), &Asked::default()).map_err(|error| failed(&error))?;
        if target == Target::Controller {
            let (started, took) = tokio::join!(cluster.start(PATIENCE), answers(layout, struck));
            started.map_err(|error| failed(&error))?;
            mended.push(Mended { target, took });
        } else {
            cluster.start(PATIENCE).await.map_err(|error| failed(&error))?;
            mended.push(Mended { target, took: struck.elapsed() });
        }
    }
    Ok(mended)
}

/// How long after the strike the controller answers a call.
async fn answers(layout: &Layout, struck: Instant) -> Duration {
    while struck.elapsed() < PATIENCE {
        if let Ok(channel) = dial(&layout.endpoints(), PATIENCE).await
            && client(&unnamed(channel)).get_cluster(GetClusterRequest::default()).await.is_ok()
        {
            break;
        }
    }
    struck.elapsed()
}

/// Numbers that follow from a seed: SplitMix64 (Steele, Lea and Flood, 2014).
struct Draws(u64);

impl Draws {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        u32::try_from((mixed ^ (mixed >> 31)) % u64::from(bound)).expect("below a number of 32 bits")
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_seed_gives_the_same_strikes_in_order_and_within_the_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let layout = Layout::find(Some(folder.path())).expect("a path");
        for name in ["linux0", "linux1", "linux2"] {
            fs::create_dir_all(layout.node_dir(name)).expect("made");
        }
        let lasts = Duration::from_secs(60);
        let strikes = planned(&layout, 7, (3, 4), lasts);
        assert_eq!(strikes, planned(&layout, 7, (3, 4), lasts));
        assert_ne!(strikes, planned(&layout, 8, (3, 4), lasts));
        assert_eq!(strikes.iter().filter(|(_, target)| *target == Target::Controller).count(), 3);
        assert_eq!(strikes.len(), 7);
        assert!(strikes.is_sorted_by_key(|(at, _)| *at));
        assert!(strikes.iter().all(|(at, _)| (lasts / 10..=lasts * 9 / 10).contains(at)));
    }
}
