//! History is kept for `HistoryDays`, and then dropped by whole days, beside the driver.

use std::sync::Arc;
use std::thread::JoinHandle;

use sched::ids::Timestamp;
use tracing::{info, warn};

use crate::history::day_of;
use crate::journal::Journal;

/// Which days are gone, and the thread that drops more.
pub(super) struct Retention {
    journal: Arc<dyn Journal>,
    days_kept: u32,
    /// Nothing is left before this day.
    first_day: u32,
    dropping: Option<JoinHandle<Option<u32>>>,
}

impl Retention {
    pub(super) fn new(journal: Arc<dyn Journal>, days_kept: u32) -> Retention {
        Retention { journal, days_kept, first_day: 0, dropping: None }
    }

    /// Starts to drop what has become too old; a failure is tried again with the next commit.
    pub(super) fn consider(&mut self, now: Timestamp) {
        let first_day = day_of(now).saturating_sub(self.days_kept);
        if self.dropping.as_ref().is_some_and(|dropping| !dropping.is_finished()) {
            return;
        }
        self.finish();
        if first_day > self.first_day {
            let journal = self.journal.clone();
            self.dropping = Some(std::thread::spawn(move || drop_before(&*journal, first_day)));
        }
    }

    /// Waits for what was begun.
    pub(super) fn finish(&mut self) {
        let dropped = self.dropping.take().map(JoinHandle::join);
        if let Some(Ok(Some(first_day))) = dropped {
            self.first_day = first_day;
        }
    }
}

/// The day before which nothing is left; `None` when the journal refused.
fn drop_before(journal: &dyn Journal, day: u32) -> Option<u32> {
    match journal.drop_history_before(day) {
        Ok(()) => info!(day, "history before this day since 1970 is gone"),
        Err(error) => {
            warn!(error = &error as &dyn std::error::Error, "old history cannot be dropped");
            return None;
        }
    }
    Some(day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Commit, HistoryRow, MemoryJournal};

    const MS_A_DAY: i64 = 86_400_000;

    #[test]
    fn whole_days_go_when_they_are_too_old() {
        let journal = Arc::new(MemoryJournal::default());
        let row = |day| HistoryRow { day, key: b"key", value: b"value" };
        let history: Vec<HistoryRow<'_>> = (100..=140).map(row).collect();
        journal
            .append(&Commit { epoch: 1, sequence: 0, record: b"r", history: &history, dropped_blobs: &[] })
            .expect("stored");
        let days = || journal.history(0..u32::MAX).map(|row| row.expect("readable").day).collect::<Vec<_>>();
        let mut retention = Retention::new(journal.clone(), 30);
        for (now, first) in [(129, 100), (130, 100), (131, 101), (131, 101), (140, 110), (139, 110)] {
            retention.consider(Timestamp(now * MS_A_DAY + MS_A_DAY - 1));
            retention.finish();
            assert_eq!(days(), (first..=140).collect::<Vec<_>>(), "on day {now}");
        }
    }
}
