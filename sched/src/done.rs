//! The tasks of a job that are done: a row for each, most of them packed.
//!
//! An array of a million tasks ends in a million rows that differ in little. Rows stand in blocks of neighbours; the newest of a block lie
//! loose, and once they are many they are packed with the rest of it ([`packed`]). What is asked for is unpacked a block at a time, and
//! handed out as a copy.

mod packed;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use imbl::OrdMap;
use imbl::ordmap::DiffItem;
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::reason::Ending;
use crate::spec::index_set::IndexSet;
use crate::task::Done;
use packed::{BLOCK, Packed};

/// So many rows of a block lie loose. Packing costs time by all rows of a block, and a loose one ten times the memory.
const LOOSE_MAX: usize = 32;

/// The rows of a job's tasks that are done, by index.
#[derive(Clone, Default, PartialEq)]
pub struct DoneTasks {
    blocks: OrdMap<u32, Arc<Block>>,
    count: usize,
}

/// The rows of neighbours.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
struct Block {
    packed: Packed,
    /// By index.
    loose: Vec<(u32, Done)>,
}

impl DoneTasks {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether the task with this index is done.
    #[must_use]
    pub fn contains(&self, index: u32) -> bool {
        self.blocks.get(&(index / BLOCK)).is_some_and(|block| block.contains(index))
    }

    /// The row of one task.
    #[must_use]
    pub fn get(&self, index: u32) -> Option<Done> {
        self.blocks.get(&(index / BLOCK))?.get(index)
    }

    /// All rows, by index.
    pub fn iter(&self) -> impl Iterator<Item = (u32, Done)> + '_ {
        self.blocks.values().flat_map(|block| block.rows())
    }

    /// The rows of these tasks.
    pub fn of<'a>(&'a self, tasks: &'a IndexSet) -> impl Iterator<Item = (u32, Done)> + 'a {
        let any = |number: &u32| tasks.has_any_of(number * BLOCK..=number * BLOCK + (BLOCK - 1));
        let blocks = self.blocks.iter().filter(move |(number, _)| any(number));
        blocks.flat_map(|(_, block)| block.rows()).filter(|(index, _)| tasks.contains(*index))
    }

    /// The indices of all rows, upwards.
    pub fn indices(&self) -> impl Iterator<Item = u32> + '_ {
        self.blocks.values().flat_map(|block| block.indices())
    }

    /// Adds a row, in the place of the one that the task had.
    pub fn insert(&mut self, index: u32, done: Done) {
        if self.contains(index) {
            self.remove_all(&index.into());
        }
        self.count += 1;
        let block = Arc::make_mut(self.blocks.entry(index / BLOCK).or_default());
        let at = block.loose.partition_point(|(other, _)| *other < index);
        block.loose.insert(at, (index, done));
        if block.loose.len() > LOOSE_MAX || block.packed.len() + block.loose.len() == BLOCK as usize {
            *block = Block { packed: Packed::of(&block.rows()), loose: Vec::new() };
        }
    }

    /// Takes the rows of these tasks out, those that there are.
    pub fn remove_all(&mut self, tasks: &IndexSet) -> Vec<(u32, Done)> {
        let mut removed = Vec::new();
        let mut left = tasks.iter().peekable();
        while let Some(first) = left.next() {
            let number = first / BLOCK;
            // The others of this block go with it.
            while left.next_if(|index| index / BLOCK == number).is_some() {}
            let Some(block) = self.blocks.get_mut(&number) else { continue };
            let (out, rest): (Vec<_>, Vec<_>) = block.rows().into_iter().partition(|(index, _)| tasks.contains(*index));
            if out.is_empty() {
                continue;
            }
            self.count -= out.len();
            removed.extend(out);
            if rest.is_empty() {
                self.blocks.remove(&number);
            } else {
                *Arc::make_mut(block) = Block::of(rest);
            }
        }
        removed
    }

    /// How tasks ended, for who asks for many of them in their order.
    pub(crate) fn endings(&self) -> Endings<'_> {
        Endings { done: self, block: None, endings: Vec::new() }
    }

    /// The indices whose rows are not the same in another: what both share is not looked at.
    pub(crate) fn changed(&self, new: &DoneTasks) -> Vec<u32> {
        let mut changed = Vec::new();
        for item in self.blocks.diff(&new.blocks) {
            match item {
                DiffItem::Add(_, block) | DiffItem::Remove(_, block) => changed.extend(block.indices()),
                DiffItem::Update { old: (_, old), new: (_, new) } => {
                    let [old, new] = [old, new].map(|block| block.rows().into_iter().collect::<BTreeMap<_, _>>());
                    let other = |(index, done): &(&u32, &Done)| new.get(*index) != Some(*done);
                    changed.extend(old.iter().filter(other).map(|(index, _)| *index));
                    changed.extend(new.keys().filter(|index| !old.contains_key(index)));
                }
            }
        }
        changed
    }
}

/// How tasks ended: the block that was asked for last is not unpacked again.
pub(crate) struct Endings<'a> {
    done: &'a DoneTasks,
    block: Option<u32>,
    endings: Vec<(u32, Ending)>,
}

impl Endings<'_> {
    /// How a task ended; `None` for one that has no row.
    pub(crate) fn of(&mut self, index: u32) -> Option<Ending> {
        let number = index / BLOCK;
        if self.block.replace(number) != Some(number) {
            let rows = self.done.blocks.get(&number).map(|block| block.rows()).unwrap_or_default();
            self.endings = rows.into_iter().map(|(index, done)| (index, done.outcome.ending)).collect();
        }
        let at = self.endings.binary_search_by_key(&index, |(index, _)| *index).ok()?;
        Some(self.endings[at].1)
    }
}

impl Block {
    fn of(rows: Vec<(u32, Done)>) -> Block {
        if rows.len() > LOOSE_MAX {
            Block { packed: Packed::of(&rows), loose: Vec::new() }
        } else {
            Block { packed: Packed::default(), loose: rows }
        }
    }

    fn contains(&self, index: u32) -> bool {
        self.packed.contains(index) || self.loose.iter().any(|(other, _)| *other == index)
    }

    fn get(&self, index: u32) -> Option<Done> {
        let loose = || self.loose.iter().find(|(other, _)| *other == index).map(|(_, done)| done.clone());
        self.packed.get(index).or_else(loose)
    }

    fn indices(&self) -> Vec<u32> {
        let mut all: Vec<u32> = self.packed.indices().chain(self.loose.iter().map(|(index, _)| *index)).collect();
        all.sort_unstable();
        all
    }

    fn rows(&self) -> Vec<(u32, Done)> {
        let mut all: Vec<_> = self.packed.rows().chain(self.loose.iter().cloned()).collect();
        all.sort_by_key(|(index, _)| *index);
        all
    }
}

impl fmt::Debug for DoneTasks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl Serialize for DoneTasks {
    /// The blocks, each with its number.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(&self.blocks)
    }
}

impl<'de> Deserialize<'de> for DoneTasks {
    /// Also what was written before there were blocks: a map from indices to rows.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<DoneTasks, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = DoneTasks;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the rows of tasks that are done")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut blocks: A) -> Result<DoneTasks, A::Error> {
                let mut all = DoneTasks::default();
                while let Some((number, block)) = blocks.next_element::<(u32, Block)>()? {
                    if block.indices().iter().any(|index| index / BLOCK != number) {
                        return Err(serde::de::Error::custom("a row stands in a block of other tasks"));
                    }
                    all.count += block.packed.len() + block.loose.len();
                    all.blocks.insert(number, Arc::new(block));
                }
                Ok(all)
            }

            fn visit_map<A: MapAccess<'de>>(self, mut rows: A) -> Result<DoneTasks, A::Error> {
                let mut all = DoneTasks::default();
                while let Some((index, done)) = rows.next_entry()? {
                    all.insert(index, done);
                }
                Ok(all)
            }
        }
        deserializer.deserialize_any(Either)
    }
}
