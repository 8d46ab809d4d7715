//! What is measured: a file for each promise, in the order of the table in `docs/performance.md`.

pub(crate) mod arrays;
mod idle;
pub(crate) mod listings;
mod memory;
mod pictures;
mod starts;
pub(crate) mod submits;
pub(crate) mod tasks;

use anyhow::Result;
use clap::ValueEnum;

use crate::growth;
use crate::report::Report;
use crate::scope::Scope;

/// A promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Item {
    /// Real tasks, as a share of what the machine can start
    #[value(name = "1", alias = "tasks")]
    Tasks,
    /// Arrays on simulated nodes
    #[value(name = "2", alias = "arrays")]
    Arrays,
    /// Submits, by sbatch and by calls
    #[value(name = "3", alias = "submits")]
    Submits,
    /// From a submit to the start
    #[value(name = "4", alias = "starts")]
    Starts,
    /// Listings, and scancel
    #[value(name = "5", alias = "listings")]
    Listings,
    /// Memory and restarts
    #[value(name = "6", alias = "memory")]
    Memory,
    /// Many idle nodes
    #[value(name = "7", alias = "idle")]
    Idle,
    /// The lab's pictures
    #[value(name = "8", alias = "pictures")]
    Pictures,
    /// How cost grows with tasks, jobs and nodes
    #[value(name = "growth")]
    Growth,
}

impl Item {
    pub(crate) const ALL: [Item; 9] = [
        Item::Tasks,
        Item::Arrays,
        Item::Submits,
        Item::Starts,
        Item::Listings,
        Item::Memory,
        Item::Idle,
        Item::Pictures,
        Item::Growth,
    ];

    /// As it is called on the command line and in the table.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Item::Tasks => "1",
            Item::Arrays => "2",
            Item::Submits => "3",
            Item::Starts => "4",
            Item::Listings => "5",
            Item::Memory => "6",
            Item::Idle => "7",
            Item::Pictures => "8",
            Item::Growth => "growth",
        }
    }

    /// What is being measured, for whoever waits.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Item::Tasks => "real tasks beside a bare loop",
            Item::Arrays => "arrays on simulated nodes",
            Item::Submits => "submits",
            Item::Starts => "submit to start",
            Item::Listings => "listings and scancel",
            Item::Memory => "memory and restarts",
            Item::Idle => "idle nodes",
            Item::Pictures => "pictures",
            Item::Growth => "how cost grows",
        }
    }

    pub(crate) fn measure(self, scope: &Scope, report: &mut Report) -> Result<()> {
        match self {
            Item::Tasks => tasks::measure(scope, report),
            Item::Arrays => arrays::measure(scope, report),
            Item::Submits => submits::measure(scope, report),
            Item::Starts => starts::measure(scope, report),
            Item::Listings => listings::measure(scope, report),
            Item::Memory => memory::measure(scope, report),
            Item::Idle => idle::measure(scope, report),
            Item::Pictures => pictures::measure(scope, report),
            Item::Growth => growth::measure(scope, report),
        }
    }
}
