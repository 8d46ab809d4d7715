//! History rows and the tallies that prove none of them went missing.
//!
//! Records are numbered, so a lost one leaves a gap; a lost history row leaves nothing. Hence each day has a tally (the
//! number of rows and the sum of their hashes), and the journal's head has the tally of all days, both written in the
//! same batch as the rows.

use std::collections::{BTreeMap, VecDeque};
use std::ops::{Bound, Range};

use sled::{Batch, IVec};

use super::shelf::{Row, Shelf};
use super::{Cause, HistoryRow, JournalError, PastRow, rows};

/// Bytes of an encoded [`Tally`].
pub(super) const TALLY_BYTES: usize = 24;
/// Key bytes of a row before its own key.
const DAY_KEY_BYTES: usize = 5;

/// How many rows there are and the wrapping sum of their hashes, whatever their order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    rows: u64,
    sum: u128,
}

impl Tally {
    fn of(key: &[u8], sealed: &[u8]) -> Tally {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&(key.len() as u64).to_be_bytes()).update(key).update(sealed);
        let (sum, _) =
            hasher.finalize().as_bytes().split_first_chunk().map(|(sum, rest)| (*sum, rest)).expect("32 bytes");
        Tally { rows: 1, sum: u128::from_be_bytes(sum) }
    }

    fn plus(self, other: Tally) -> Tally {
        Tally { rows: self.rows.wrapping_add(other.rows), sum: self.sum.wrapping_add(other.sum) }
    }

    fn minus(self, other: Tally) -> Tally {
        Tally { rows: self.rows.wrapping_sub(other.rows), sum: self.sum.wrapping_sub(other.sum) }
    }

    /// How many rows there are.
    pub(super) fn rows(self) -> u64 {
        self.rows
    }

    pub(super) fn encode(self) -> [u8; TALLY_BYTES] {
        let mut bytes = [0; TALLY_BYTES];
        bytes[..8].copy_from_slice(&self.rows.to_be_bytes());
        bytes[8..].copy_from_slice(&self.sum.to_be_bytes());
        bytes
    }

    pub(super) fn decode(bytes: [u8; TALLY_BYTES]) -> Tally {
        let (rows, sum) = bytes.split_at(8);
        Tally {
            rows: u64::from_be_bytes(rows.try_into().expect("8 bytes")),
            sum: u128::from_be_bytes(sum.try_into().expect("16 bytes")),
        }
    }
}

/// Adds rows to a batch; returns the tally of all history after it.
pub(super) fn add(shelf: &Shelf, batch: &mut Batch, total: Tally, rows: &[HistoryRow<'_>]) -> Result<Tally, Cause> {
    let mut fresh = BTreeMap::new();
    for row in rows {
        fresh.insert(rows::history_key(row.day, row.key), (row.day, rows::seal(row.value)));
    }
    let mut total = total;
    let mut days = BTreeMap::<u32, Tally>::new();
    for (key, (day, sealed)) in fresh {
        let mut change = Tally::of(&key, &sealed);
        if let Some(old) = shelf.get(&key)? {
            change = change.minus(Tally::of(&key, &old));
        }
        total = total.plus(change);
        let tally = days.remove(&day).map_or_else(|| day_tally(shelf, day), Ok)?;
        days.insert(day, tally.plus(change));
        batch.insert(key, sealed);
    }
    put_tallies(batch, days);
    Ok(total)
}

/// Removes one page of the rows before `day`; the tally of all history after it, or `None` when there are none left.
pub(super) fn drop_page(shelf: &Shelf, batch: &mut Batch, total: Tally, day: u32) -> Result<Option<Tally>, Cause> {
    let page = shelf.page(rows::history_key(0, &[])..rows::history_key(day, &[]))?;
    let mut total = total;
    let mut days = BTreeMap::<u32, Tally>::new();
    for (key, sealed) in &page {
        let gone = Tally::of(key, sealed);
        let day = day_of(key)?;
        total = total.minus(gone);
        let tally = days.remove(&day).map_or_else(|| day_tally(shelf, day), Ok)?;
        days.insert(day, tally.minus(gone));
        batch.remove(key);
    }
    put_tallies(batch, days);
    Ok((!page.is_empty()).then_some(total))
}

/// The tally of all days, added up from the days'.
pub(super) fn total(shelf: &Shelf) -> Result<Tally, Cause> {
    days(shelf, 0..u32::MAX)?.into_iter().try_fold(Tally::default(), |sum, day| Ok(sum.plus(day_tally(shelf, day)?)))
}

/// The days in a range that have history.
pub(super) fn days(shelf: &Shelf, range: Range<u32>) -> Result<Vec<u32>, Cause> {
    let mut days = Vec::new();
    let mut from = Bound::Included(rows::tally_key(range.start));
    while let Some((key, _)) = shelf.first((from, Bound::Excluded(rows::tally_key(range.end))))? {
        days.push(u32::from_be_bytes(*key.last_chunk().ok_or("a tally's key is too short")?));
        from = Bound::Excluded(key.to_vec());
    }
    Ok(days)
}

/// Reads the rows of one day, page by page. Where all of them are read, they are compared with the day's tally at the end.
pub(super) struct DayScan {
    day: u32,
    prefix: Vec<u8>,
    promised: Tally,
    seen: Tally,
    page: VecDeque<Row>,
    after: Option<Bound<Vec<u8>>>,
}

impl DayScan {
    pub(super) fn start(shelf: &Shelf, day: u32, prefix: &[u8]) -> Result<DayScan, Cause> {
        let after = Some(Bound::Included(rows::history_key(day, prefix)));
        let (seen, page) = (Tally::default(), VecDeque::new());
        Ok(DayScan { day, prefix: prefix.to_vec(), promised: day_tally(shelf, day)?, seen, page, after })
    }

    pub(super) fn next(&mut self, shelf: &Shelf) -> Option<Result<PastRow, JournalError>> {
        let day = self.day;
        if self.page.is_empty() {
            match self.turn_page(shelf) {
                Ok(true) => {}
                Ok(false) => return Some(Err(JournalError::HistoryDamaged { day })),
                Err(source) => return Some(Err(JournalError::History { day, source })),
            }
        }
        let (key, sealed) = self.page.pop_front()?;
        self.seen = self.seen.plus(Tally::of(&key, &sealed));
        let row = rows::unseal(&sealed).map(|value| PastRow {
            day,
            key: key[DAY_KEY_BYTES..].to_vec(),
            value: value.to_vec(),
        });
        Some(row.ok_or(JournalError::HistoryDamaged { day }))
    }

    /// Fetches the next page; at the end says whether all that was promised has been seen. A day that is being
    /// written to cannot be compared.
    fn turn_page(&mut self, shelf: &Shelf) -> Result<bool, Cause> {
        let Some(after) = self.after.take() else { return Ok(true) };
        let end = [&rows::history_key(self.day, &self.prefix)[..], &[0xff; super::HISTORY_KEY_BYTES_MAX + 1]].concat();
        self.page = shelf.page((after, Bound::Excluded(end)))?.into();
        self.after = self.page.back().map(|(key, _)| Bound::Excluded(key.to_vec()));
        let whole = !self.prefix.is_empty() || !self.page.is_empty() || self.seen == self.promised;
        Ok(whole || day_tally(shelf, self.day)? != self.promised)
    }
}

fn day_tally(shelf: &Shelf, day: u32) -> Result<Tally, Cause> {
    let Some(row) = shelf.get(&rows::tally_key(day))? else { return Ok(Tally::default()) };
    let bytes = rows::unseal(&row).and_then(|bytes| bytes.try_into().ok());
    Ok(Tally::decode(bytes.ok_or_else(|| format!("the tally of day {day} is damaged"))?))
}

fn put_tallies(batch: &mut Batch, days: BTreeMap<u32, Tally>) {
    for (day, tally) in days {
        match tally.rows {
            0 => batch.remove(rows::tally_key(day)),
            _ => batch.insert(rows::tally_key(day), rows::seal(&tally.encode())),
        }
    }
}

fn day_of(key: &IVec) -> Result<u32, Cause> {
    Ok(u32::from_be_bytes(*key[1..].first_chunk().ok_or("a history row's key is too short")?))
}
