//! Rows of done tasks in few bytes: what many have in common once, and of each row only numbers, as differences from the row before.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::ids::{JobId, Name, NodeId, Timestamp};
use crate::reason::Outcome;
use crate::resources::Share;
use crate::task::{Done, Usage};
use crate::terms::Terms;

/// How many indices a block spans.
pub(super) const BLOCK: u32 = 256;

/// The rows of one block.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Read")]
pub(super) struct Packed {
    /// The block's number.
    block: u32,
    /// Which of its tasks there are, by bits.
    there: [u64; 4],
    kinds: Box<[Kind]>,
    #[serde(with = "serde_bytes")]
    numbers: Box<[u8]>,
}

/// What rows have in common.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Kind {
    attempts: u32,
    has_started: bool,
    uses: Uses,
    /// What was held; of a single share, the node is the row's.
    shares: Arc<[Share]>,
    outcome: Outcome,
    terms: Option<Arc<Terms>>,
    partition: Option<Name>,
    paused_ms: u64,
}

/// Which parts of [`Usage`] the rows tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Uses {
    Nothing,
    Times,
    TimesAndBlobs,
}

impl Uses {
    fn of(usage: &Usage) -> Uses {
        match (usage.bytes_in | usage.bytes_out, *usage == Usage::default()) {
            (_, true) => Uses::Nothing,
            (0, false) => Uses::Times,
            (_, false) => Uses::TimesAndBlobs,
        }
    }
}

impl Kind {
    fn of(done: &Done) -> Kind {
        let shares = match &*done.shares {
            [one] => Arc::new([Share { node: NodeId(0), ..one.clone() }]),
            _ => done.shares.clone(),
        };
        Kind {
            attempts: done.attempts,
            has_started: done.started.is_some(),
            uses: Uses::of(&done.usage),
            shares,
            outcome: done.outcome.clone(),
            terms: done.terms.clone(),
            partition: done.partition.clone(),
            paused_ms: done.paused_ms,
        }
    }

    /// Whether a row is of this kind; the same as `*self == Kind::of(done)`.
    fn is_of(&self, done: &Done) -> bool {
        let same_shares = || match (&*self.shares, &*done.shares) {
            ([mine], [one]) => *mine == Share { node: NodeId(0), ..one.clone() },
            (mine, others) => mine == others,
        };
        self.attempts == done.attempts
            && self.has_started == done.started.is_some()
            && self.uses == Uses::of(&done.usage)
            && self.outcome == done.outcome
            && self.paused_ms == done.paused_ms
            && self.partition == done.partition
            && self.terms == done.terms
            && same_shares()
    }

    fn shares_on(&self, node: NodeId) -> Arc<[Share]> {
        match &*self.shares {
            [one] => Arc::new([Share { node, ..one.clone() }]),
            _ => self.shares.clone(),
        }
    }
}

/// The numbers of the row before, from which those of a row differ little.
#[derive(Clone, Copy, Default)]
struct Before {
    id: i64,
    ended: i64,
}

impl Packed {
    /// Packs rows of one block.
    pub(super) fn of(rows: &[(u32, Done)]) -> Packed {
        let (mut kinds, mut numbers, mut there) = (Vec::<Kind>::new(), Vec::new(), [0; 4]);
        let mut before = Before::default();
        for (index, done) in rows {
            let place = index % BLOCK;
            there[place as usize / 64] |= 1 << (place % 64);
            // Neighbours are mostly alike.
            let kind = kinds.iter().rposition(|kind| kind.is_of(done)).unwrap_or_else(|| {
                kinds.push(Kind::of(done));
                kinds.len() - 1
            });
            write(&mut numbers, kind as u64);
            before = write_row(&mut numbers, before, done);
        }
        let block = rows.first().map_or(0, |(index, _)| index / BLOCK);
        Packed { block, there, kinds: kinds.into(), numbers: numbers.into() }
    }

    pub(super) fn len(&self) -> usize {
        self.there.iter().map(|bits| bits.count_ones() as usize).sum()
    }

    pub(super) fn contains(&self, index: u32) -> bool {
        let place = index % BLOCK;
        index / BLOCK == self.block && self.there[place as usize / 64] & (1 << (place % 64)) != 0
    }

    pub(super) fn indices(&self) -> impl Iterator<Item = u32> + '_ {
        (self.block * BLOCK..=self.block * BLOCK + (BLOCK - 1)).filter(|index| self.contains(*index))
    }

    pub(super) fn get(&self, index: u32) -> Option<Done> {
        if !self.contains(index) {
            return None;
        }
        self.sound().find(|(other, _)| *other == index).map(|(_, numbers)| numbers.done())
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = (u32, Done)> + '_ {
        self.sound().map(|(index, numbers)| (index, numbers.done()))
    }

    fn sound(&self) -> impl Iterator<Item = (u32, Numbers<'_>)> + '_ {
        self.read().map(|row| row.expect("rows are read once before anybody asks for them"))
    }

    /// The rows; `None` for one that cannot be.
    fn read(&self) -> impl Iterator<Item = Option<(u32, Numbers<'_>)>> + '_ {
        let (mut left, mut before) = (&*self.numbers, Before::default());
        self.indices().map(move |index| Some((index, Numbers::read(&mut left, &mut before, &self.kinds)?)))
    }
}

fn write_row(numbers: &mut Vec<u8>, before: Before, done: &Done) -> Before {
    let now = Before { id: done.id.0.into(), ended: done.ended.0 };
    if let [one] = &*done.shares {
        write(numbers, one.node.0.into());
    }
    write(numbers, folded(now.id - before.id));
    write(numbers, folded(now.ended.wrapping_sub(before.ended)));
    if let Some(started) = done.started {
        write(numbers, folded(now.ended.wrapping_sub(started.0)));
    }
    let Usage { user_us, system_us, rss_kib_max, bytes_in, bytes_out } = done.usage;
    let uses = Uses::of(&done.usage);
    if uses != Uses::Nothing {
        [user_us, system_us, rss_kib_max].into_iter().for_each(|number| write(numbers, number));
    }
    if uses == Uses::TimesAndBlobs {
        [bytes_in, bytes_out].into_iter().for_each(|number| write(numbers, number));
    }
    now
}

/// A row as its numbers tell it.
struct Numbers<'a> {
    kind: &'a Kind,
    node: NodeId,
    id: JobId,
    started: Option<Timestamp>,
    ended: Timestamp,
    usage: Usage,
}

impl<'a> Numbers<'a> {
    fn read(numbers: &mut &[u8], before: &mut Before, kinds: &'a [Kind]) -> Option<Numbers<'a>> {
        let kind = kinds.get(usize::try_from(read(numbers)?).ok()?)?;
        let node = if kind.shares.len() == 1 { u32::try_from(read(numbers)?).ok()? } else { 0 };
        before.id = before.id.checked_add(unfolded(read(numbers)?))?;
        before.ended = before.ended.wrapping_add(unfolded(read(numbers)?));
        let started =
            if kind.has_started { Some(Timestamp(before.ended.wrapping_sub(unfolded(read(numbers)?)))) } else { None };
        let mut usage = Usage::default();
        if kind.uses != Uses::Nothing {
            (usage.user_us, usage.system_us, usage.rss_kib_max) = (read(numbers)?, read(numbers)?, read(numbers)?);
        }
        if kind.uses == Uses::TimesAndBlobs {
            (usage.bytes_in, usage.bytes_out) = (read(numbers)?, read(numbers)?);
        }
        let id = JobId(u32::try_from(before.id).ok()?);
        Some(Numbers { kind, node: NodeId(node), id, started, ended: Timestamp(before.ended), usage })
    }

    fn done(self) -> Done {
        let Numbers { kind, node, id, started, ended, usage } = self;
        Done {
            id,
            attempts: kind.attempts,
            started,
            ended,
            shares: kind.shares_on(node),
            outcome: kind.outcome.clone(),
            usage,
            terms: kind.terms.clone(),
            partition: kind.partition.clone(),
            paused_ms: kind.paused_ms,
        }
    }
}

/// Writes a number in as many bytes as it needs, seven bits in each (LEB128).
fn write(numbers: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        numbers.push(number as u8 | 0x80);
        number >>= 7;
    }
    numbers.push(number as u8);
}

fn read(numbers: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..u64::BITS).step_by(7) {
        let (byte, rest) = numbers.split_first()?;
        *numbers = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// Small numbers of either sign become small ones.
fn folded(number: i64) -> u64 {
    (number << 1 ^ number >> 63) as u64
}

fn unfolded(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

/// What was written, not yet looked at.
#[derive(Deserialize)]
struct Read {
    block: u32,
    there: [u64; 4],
    kinds: Box<[Kind]>,
    #[serde(with = "serde_bytes")]
    numbers: Box<[u8]>,
}

impl TryFrom<Read> for Packed {
    type Error = &'static str;

    fn try_from(read: Read) -> Result<Packed, &'static str> {
        let Read { block, there, kinds, numbers } = read;
        let packed = Packed { block, there, kinds, numbers };
        if block > u32::MAX / BLOCK || packed.read().any(|row| row.is_none()) {
            return Err("packed rows of tasks cannot be read");
        }
        Ok(packed)
    }
}
