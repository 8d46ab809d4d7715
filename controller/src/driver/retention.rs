//! History is kept for `HistoryDays`, and then dropped by whole days, beside the driver. Where it has more than `HistoryMaxRows`,
//! the oldest rows go before.

use std::sync::Arc;
use std::thread::JoinHandle;

use sched::ids::Timestamp;
use sched::settings::Settings;
use tracing::{info, warn};

use crate::history::day_of;
use crate::journal::Journal;

/// Rows are counted after so many new ones, as a part of those that are kept.
const COUNTED_PART: u64 = 16;

/// Which days are gone, and the thread that drops more.
pub(super) struct Retention {
    journal: Arc<dyn Journal>,
    days_kept: u32,
    rows_kept: u64,
    /// Rows since they were counted; of what was there at the start nobody knows.
    fresh_rows: u64,
    /// Nothing is left before this day.
    first_day: u32,
    dropping: Option<JoinHandle<Option<u32>>>,
}

impl Retention {
    pub(super) fn new(journal: Arc<dyn Journal>, settings: &Settings) -> Retention {
        let (days_kept, rows_kept) = (settings.history_days, settings.history_rows_max);
        Retention { journal, days_kept, rows_kept, fresh_rows: rows_kept, first_day: 0, dropping: None }
    }

    /// Starts to drop what has become too old or too much, once a commit has brought so many rows; a failure is tried again with
    /// a later one.
    pub(super) fn consider(&mut self, now: Timestamp, rows: u64) {
        self.fresh_rows = self.fresh_rows.saturating_add(rows);
        let first_day = day_of(now).saturating_sub(self.days_kept);
        if self.dropping.as_ref().is_some_and(|dropping| !dropping.is_finished()) {
            return;
        }
        self.finish();
        let full = self.fresh_rows > self.rows_kept / COUNTED_PART;
        if full || first_day > self.first_day {
            self.fresh_rows = 0;
            let (journal, rows_kept) = (self.journal.clone(), self.rows_kept);
            self.dropping = Some(std::thread::spawn(move || {
                if let Err(error) = journal.trim_history(rows_kept) {
                    warn!(error = &error as &dyn std::error::Error, "history that is too long cannot be cut");
                }
                drop_before(&*journal, first_day)
            }));
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
        let mut retention = Retention::new(journal.clone(), &Settings::default());
        for (now, first) in [(129, 100), (130, 100), (131, 101), (131, 101), (140, 110), (139, 110)] {
            retention.consider(Timestamp(now * MS_A_DAY + MS_A_DAY - 1), 0);
            retention.finish();
            assert_eq!(days(), (first..=140).collect::<Vec<_>>(), "on day {now}");
        }
    }

    #[test]
    fn the_oldest_rows_go_where_there_are_too_many() {
        let journal = Arc::new(MemoryJournal::default());
        let settings = Settings { history_rows_max: 32, ..Settings::default() };
        let mut retention = Retention::new(journal.clone(), &settings);
        for (sequence, left) in [(0, 20), (1, 32), (2, 32)] {
            let keys: Vec<[u8; 1]> =
                (0..20).map(|row| [u8::try_from(sequence * 20 + row).expect("few rows")]).collect();
            let history: Vec<_> = keys.iter().map(|key| HistoryRow { day: 100, key, value: b"value" }).collect();
            let commit = Commit { epoch: 1, sequence, record: b"r", history: &history, dropped_blobs: &[] };
            journal.append(&commit).expect("stored");
            retention.consider(Timestamp(100 * MS_A_DAY), 20);
            retention.finish();
            let kept: Vec<u8> = journal.history(0..u32::MAX).map(|row| row.expect("readable").key[0]).collect();
            let last = u8::try_from(sequence * 20 + 19).expect("few rows");
            assert_eq!((kept.len(), kept.last()), (left, Some(&last)), "after {sequence}");
        }
    }
}
