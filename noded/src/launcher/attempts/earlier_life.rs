//! What an earlier life of the launcher left running.

use std::collections::BTreeMap;
use std::time::Duration;

use super::super::LauncherError;
use super::super::frame::{Ending, Outcome, Usage};
use super::super::records::{Known, Record};
use super::super::tree::{ProcessIdent, kill_until_gone};
use super::{Attempts, now_ms};

/// For tasks of an earlier life to die of their KILL; one that does not is an error that names it.
const ORPHANS_WAIT: Duration = Duration::from_secs(10);

impl Attempts {
    /// Kills what an earlier life of the launcher left running, and records every attempt without an end as lost.
    pub(super) fn end_earlier_life(&mut self) -> Result<(), LauncherError> {
        let (mut open, mut mains) = (BTreeMap::new(), BTreeMap::new());
        for (&key, known) in self.records.attempts() {
            match known {
                Known::Claimed => open.insert(key, 0),
                Known::Started { main, boot_id, at_ms } => {
                    if *boot_id == self.boot_id && ProcessIdent::of(main.pid) == Some(*main) {
                        mains.insert(main.pid, key);
                    }
                    open.insert(key, *at_ms)
                }
                Known::Ended(_) => continue,
            };
        }
        if open.is_empty() {
            return Ok(());
        }
        let survivor = kill_until_gone(self.records.launcher_id(), &mains, |key| open.contains_key(&key), ORPHANS_WAIT);
        if let Some((key, pid)) = survivor {
            return Err(LauncherError::Unkillable { key, pid });
        }
        for (key, started_ms) in open {
            let (outcome, usage) = (Outcome::Lost, Usage::default());
            let ending = Ending { outcome, stopped: None, started_ms, ended_ms: now_ms(), usage };
            self.record(Record::Ended { key, ending });
        }
        Ok(())
    }
}
