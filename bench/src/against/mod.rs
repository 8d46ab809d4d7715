//! The same work by other programs, measured in the same run, for comparison.

mod pictures;
mod slurm;
mod xargs;

use anyhow::Result;
use clap::ValueEnum;

use crate::items::Item;
use crate::report::Report;
use crate::scope::Scope;

/// What is to be reached on one core, as multiples of a rival: contenders as `bench/pictures` calls them.
const OF_PILLOW: [(&str, f64); 3] = [
    ("covey grayscale, default build", 1.2),
    ("covey grayscale, feature turbojpeg", 1.6),
    ("covey grayscale:lossless", 2.3),
];
const OF_IMAGEMAGICK: [(&str, f64); 1] = [("covey grayscale, default build", 10.0)];

/// Another program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Against {
    /// Debian's slurm-wlm, which has to be installed
    Slurm,
    /// xargs, which starts programs and nothing else
    Xargs,
    /// Pillow at its best, on the lab's pictures
    Pillow,
    /// ImageMagick, a process for each of the lab's pictures
    Imagemagick,
}

impl Against {
    /// What is being measured, for whoever waits.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Against::Slurm => "the same by Slurm",
            Against::Xargs => "the same by xargs",
            Against::Pillow => "pictures by Pillow",
            Against::Imagemagick => "pictures by ImageMagick",
        }
    }

    /// Measures what belongs to the items that are wanted.
    pub(crate) fn measure(self, scope: &Scope, report: &mut Report, wanted: impl Fn(&Item) -> bool) -> Result<()> {
        match self {
            Against::Slurm => slurm::measure(scope, report, wanted),
            Against::Xargs if wanted(&Item::Tasks) => xargs::measure(scope, report),
            Against::Pillow if wanted(&Item::Pictures) => pictures::measure(scope, report, "pillow", &OF_PILLOW),
            Against::Imagemagick if wanted(&Item::Pictures) => {
                pictures::measure(scope, report, "imagemagick", &OF_IMAGEMAGICK)
            }
            Against::Xargs | Against::Pillow | Against::Imagemagick => Ok(()),
        }
    }
}
