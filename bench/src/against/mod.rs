//! The same work by other programs, measured in the same run, for comparison.

mod slurm;
mod xargs;

use anyhow::Result;
use clap::ValueEnum;

use crate::items::Item;
use crate::report::Report;
use crate::scope::Scope;

/// Another program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Against {
    /// Debian's slurm-wlm, which has to be installed
    Slurm,
    /// xargs, which starts programs and nothing else
    Xargs,
}

impl Against {
    /// What is being measured, for whoever waits.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Against::Slurm => "the same by Slurm",
            Against::Xargs => "the same by xargs",
        }
    }

    /// Measures what belongs to the items that are wanted.
    pub(crate) fn measure(self, scope: &Scope, report: &mut Report, wanted: impl Fn(&Item) -> bool) -> Result<()> {
        match self {
            Against::Slurm => slurm::measure(scope, report, wanted),
            Against::Xargs if wanted(&Item::Tasks) => xargs::measure(scope, report),
            Against::Xargs => Ok(()),
        }
    }
}
