//! Numbers for a node's registrations, each higher than all before: so that the controller knows one that comes late.
//!
//! The last is kept in the node's folder. A folder that was lost begins at the wall clock's milliseconds, which is beyond
//! what it had counted to, because nobody registers a thousand times a second.

use std::fs;
use std::path::{Path, PathBuf};

use tracing::warn;

const FILE: &str = "registrations";

/// The registrations of a node.
pub(crate) struct Registrations {
    path: PathBuf,
    last: u64,
}

impl Registrations {
    /// Those of the node with this folder.
    pub(crate) fn of(folder: &Path) -> Registrations {
        let path = folder.join(FILE);
        let last = fs::read_to_string(&path).ok().and_then(|text| text.trim().parse().ok());
        Registrations { path, last: last.unwrap_or(0) }
    }

    /// The number of the next one, which is kept before it is told to anybody.
    pub(crate) fn next(&mut self, wall_ms: u64) -> u64 {
        self.last = wall_ms.max(self.last + 1);
        let aside = self.path.with_extension("new");
        let kept = fs::write(&aside, format!("{}\n", self.last)).and_then(|()| fs::rename(&aside, &self.path));
        if let Err(error) = kept {
            // The clock alone has to do.
            warn!(path = %self.path.display(), %error, "the number of this registration cannot be kept");
        }
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_rise_over_restarts_lost_folders_and_clocks_that_go_back() {
        let folder = tempfile::tempdir().expect("a folder");
        let next = |wall_ms| Registrations::of(folder.path()).next(wall_ms);
        assert_eq!((next(1_000), next(1_000), next(10)), (1_000, 1_001, 1_002));
        fs::remove_file(folder.path().join(FILE)).expect("it is there");
        assert_eq!(next(2_000), 2_000);
        fs::write(folder.path().join(FILE), "torn").expect("written");
        assert_eq!(next(3_000), 3_000);
    }
}
