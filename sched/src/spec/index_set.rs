//! A set of array indices that keeps ranges as ranges.
//!
//! The pending tasks of an array are one `IndexSet`: a million contiguous indices take a few hundred bytes, in memory
//! and in the journal. It knows nothing of jobs or limits; reading `0-9:3%2` is the business of [`super::array`].
//! Start at [`IndexSet::take_first`], which is how a plan splits tasks off.

use std::borrow::Cow;
use std::fmt;
use std::ops::RangeInclusive;

use roaring::RoaringBitmap;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A set of `u32`, ordered, stored as runs wherever runs are smaller.
///
/// Equal sets are equal and serialise to equal bytes, however they came about.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct IndexSet(Form);

/// What a set is kept as. Plain jobs, of which there are many, have one task and empty sets beside it: those take no memory of their own.
#[derive(Clone, Default, PartialEq, Eq)]
enum Form {
    #[default]
    Empty,
    One(u32),
    /// Two or more.
    Many(Box<RoaringBitmap>),
}

impl IndexSet {
    /// Makes the empty set.
    pub fn new() -> Self {
        Self::default()
    }

    fn of(bitmap: RoaringBitmap) -> Self {
        IndexSet(match (bitmap.min(), bitmap.max()) {
            (None, _) | (_, None) => Form::Empty,
            (Some(one), Some(last)) if one == last => Form::One(one),
            _ => Form::Many(Box::new(bitmap)),
        })
    }

    fn one(&self) -> Option<u32> {
        match self.0 {
            Form::One(index) => Some(index),
            Form::Empty | Form::Many(_) => None,
        }
    }

    fn many(&self) -> Option<&RoaringBitmap> {
        match &self.0 {
            Form::Many(bitmap) => Some(bitmap),
            Form::Empty | Form::One(_) => None,
        }
    }

    fn bitmap(&self) -> Cow<'_, RoaringBitmap> {
        self.many().map_or_else(|| Cow::Owned(self.one().into_iter().collect()), Cow::Borrowed)
    }

    /// Changes the set as a bitmap.
    fn change<T>(&mut self, change: impl FnOnce(&mut RoaringBitmap) -> T) -> T {
        if let Form::Many(bitmap) = &mut self.0 {
            let changed = change(bitmap);
            if bitmap.min() == bitmap.max() {
                *self = Self::of(std::mem::take(bitmap));
            }
            return changed;
        }
        let mut bitmap = self.bitmap().into_owned();
        let changed = change(&mut bitmap);
        *self = Self::of(bitmap);
        changed
    }

    /// Splits off the lowest `n` indices, or all of them if there are fewer, and returns them.
    ///
    /// Costs what the ranges taken cost, not what is left.
    pub fn take_first(&mut self, n: u64) -> IndexSet {
        let mut taken = RoaringBitmap::new();
        let mut missing = n;
        for (start, end) in self.ranges() {
            if missing == 0 {
                break;
            }
            let last = end.min(start.saturating_add(u32::try_from(missing - 1).unwrap_or(u32::MAX)));
            missing -= taken.insert_range(start..=last);
        }
        taken.optimize();
        self.change(|rest| {
            rest.remove_smallest(n - missing);
            rest.optimize();
        });
        Self::of(taken)
    }

    /// Adds one index; returns whether it was new.
    pub fn insert(&mut self, index: u32) -> bool {
        match self.0 {
            Form::Empty => {
                self.0 = Form::One(index);
                true
            }
            Form::One(_) | Form::Many(_) => self.change(|bitmap| bitmap.insert(index)),
        }
    }

    /// Adds every index of an inclusive range; an empty range adds nothing.
    pub fn insert_range(&mut self, range: RangeInclusive<u32>) {
        self.change(|bitmap| {
            bitmap.insert_range(range);
            bitmap.optimize();
        });
    }

    /// Removes one index; returns whether it was there.
    ///
    /// Removing many one by one leaves fragments: call [`IndexSet::optimize`] afterwards.
    pub fn remove(&mut self, index: u32) -> bool {
        let there = self.contains(index);
        match self.0 {
            Form::Many(_) if there => self.change(|bitmap| bitmap.remove(index)),
            Form::One(_) if there => {
                self.0 = Form::Empty;
                true
            }
            Form::Empty | Form::One(_) | Form::Many(_) => false,
        }
    }

    /// Adds all of `other`.
    pub fn union_with(&mut self, other: &IndexSet) {
        match (&self.0, &other.0) {
            (_, Form::Empty) => {}
            (Form::Empty, _) => *self = other.clone(),
            _ => self.change(|bitmap| {
                *bitmap |= &*other.bitmap();
                bitmap.optimize();
            }),
        }
    }

    /// Keeps only what is in `other` too.
    pub fn intersect_with(&mut self, other: &IndexSet) {
        match (&self.0, &other.0) {
            (Form::Empty, _) => {}
            (Form::One(index), _) if other.contains(*index) => {}
            (Form::One(_), _) | (_, Form::Empty) => *self = IndexSet::new(),
            _ => self.change(|bitmap| {
                *bitmap &= &*other.bitmap();
                bitmap.optimize();
            }),
        }
    }

    /// Removes all of `other`.
    pub fn subtract(&mut self, other: &IndexSet) {
        match (&self.0, &other.0) {
            (Form::Empty, _) | (_, Form::Empty) => {}
            (Form::One(index), _) if other.contains(*index) => *self = IndexSet::new(),
            (Form::One(_), _) => {}
            _ => self.change(|bitmap| {
                *bitmap -= &*other.bitmap();
                bitmap.optimize();
            }),
        }
    }

    /// Chooses the smallest form again after many single insertions or removals.
    pub fn optimize(&mut self) {
        if let Form::Many(bitmap) = &mut self.0 {
            bitmap.optimize();
        }
    }

    /// Says whether `index` is in the set.
    pub fn contains(&self, index: u32) -> bool {
        match &self.0 {
            Form::Empty => false,
            Form::One(one) => *one == index,
            Form::Many(bitmap) => bitmap.contains(index),
        }
    }

    /// Says whether any index of a range is in the set.
    pub fn has_any_of(&self, range: RangeInclusive<u32>) -> bool {
        match &self.0 {
            Form::Empty => false,
            Form::One(one) => range.contains(one),
            Form::Many(bitmap) => bitmap.range_cardinality(range) > 0,
        }
    }

    /// Says whether every index of the set is in `other` too.
    pub fn is_subset(&self, other: &IndexSet) -> bool {
        match &self.0 {
            Form::Empty => true,
            Form::One(one) => other.contains(*one),
            Form::Many(bitmap) => other.many().is_some_and(|other| bitmap.is_subset(other)),
        }
    }

    /// Counts the indices.
    pub fn len(&self) -> u64 {
        match &self.0 {
            Form::Empty => 0,
            Form::One(_) => 1,
            Form::Many(bitmap) => bitmap.len(),
        }
    }

    /// Says whether there is no index at all.
    pub fn is_empty(&self) -> bool {
        matches!(self.0, Form::Empty)
    }

    /// The lowest index.
    pub fn min(&self) -> Option<u32> {
        self.many().map_or(self.one(), RoaringBitmap::min)
    }

    /// The highest index.
    pub fn max(&self) -> Option<u32> {
        self.many().map_or(self.one(), RoaringBitmap::max)
    }

    /// Walks the indices upwards. For anything that can work on ranges, [`IndexSet::ranges`] is cheaper by far.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = u32> + '_ {
        self.one().into_iter().chain(self.many().into_iter().flatten())
    }

    /// Walks the maximal ranges upwards, as inclusive `(start, end)`; neighbours never touch.
    pub fn ranges(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        let (mut one, mut rest) = (self.one(), self.many().map(RoaringBitmap::iter));
        std::iter::from_fn(move || {
            let range = || rest.as_mut()?.next_range().map(RangeInclusive::into_inner);
            one.take().map(|index| (index, index)).or_else(range)
        })
    }

    /// The bytes that the set takes when serialised in its present form, and about as many in memory.
    pub fn size_bytes(&self) -> usize {
        match &self.0 {
            Form::Empty => 1,
            Form::One(_) => 5,
            Form::Many(bitmap) => bitmap.serialized_size(),
        }
    }
}

impl From<RangeInclusive<u32>> for IndexSet {
    fn from(range: RangeInclusive<u32>) -> Self {
        let mut set = Self::new();
        set.insert_range(range);
        set
    }
}

impl From<u32> for IndexSet {
    fn from(index: u32) -> Self {
        Self(Form::One(index))
    }
}

impl FromIterator<u32> for IndexSet {
    fn from_iter<I: IntoIterator<Item = u32>>(indices: I) -> Self {
        let mut bitmap = RoaringBitmap::from_iter(indices);
        bitmap.optimize();
        Self::of(bitmap)
    }
}

impl fmt::Display for IndexSet {
    /// Writes the ranges as in `0-9,12`; the empty set writes nothing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, (start, end)) in self.ranges().enumerate() {
            let comma = if position == 0 { "" } else { "," };
            if start == end {
                write!(f, "{comma}{start}")?;
            } else {
                write!(f, "{comma}{start}-{end}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for IndexSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{self}}}")
    }
}

impl Serialize for IndexSet {
    /// Writes the portable roaring format, with runs, as one byte string; of the sets that most jobs have, which are empty or of one index,
    /// nothing or that index.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Form::Empty => serializer.serialize_unit(),
            Form::One(index) => serializer.serialize_u32(*index),
            Form::Many(bitmap) => {
                let mut smallest = bitmap.clone();
                // Of two forms of one size `optimize` leaves the one that is there: so it begins with runs undone, a few microseconds for each
                // 65,536 indices.
                smallest.remove_run_compression();
                smallest.optimize();
                smallest.serialize(serializer)
            }
        }
    }
}

impl<'de> Deserialize<'de> for IndexSet {
    /// Reads what [`IndexSet::serialize`] writes; small sets may also be in the longer form.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<IndexSet, D::Error> {
        struct Any;
        impl Visitor<'_> for Any {
            type Value = IndexSet;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a set of indices")
            }

            fn visit_unit<E: Error>(self) -> Result<IndexSet, E> {
                Ok(IndexSet::new())
            }

            fn visit_u64<E: Error>(self, index: u64) -> Result<IndexSet, E> {
                u32::try_from(index).map(IndexSet::from).map_err(E::custom)
            }

            fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<IndexSet, E> {
                RoaringBitmap::deserialize_from(bytes).map(IndexSet::of).map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Any)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    const MILLION: u32 = 1_000_000;

    fn bytes(set: &IndexSet) -> Vec<u8> {
        rmp_serde::to_vec(set).expect("a set serialises")
    }

    #[test]
    fn a_million_tasks_take_a_few_hundred_bytes() {
        let mut pending = IndexSet::from(0..=MILLION - 1);
        assert!(pending.size_bytes() < 400, "{} bytes", pending.size_bytes());
        assert!(bytes(&pending).len() < 400);
        for _ in 0..MILLION / 1000 {
            assert_eq!(pending.take_first(500).len(), 500);
            assert!(pending.size_bytes() < 400, "{} bytes", pending.size_bytes());
        }
        assert_eq!(pending, IndexSet::from(MILLION / 2..=MILLION - 1));
    }

    #[test]
    fn collecting_finds_the_ranges() {
        let collected: IndexSet = (0..MILLION).rev().collect();
        assert!(collected.size_bytes() < 400);
        assert_eq!(collected.ranges().collect::<Vec<_>>(), [(0, MILLION - 1)]);
    }

    #[test]
    fn fragments_mend() {
        let mut set = IndexSet::from(0..=MILLION - 1);
        let odd = || (0..MILLION).filter(|index| index % 2 == 1);
        odd().for_each(|index| assert!(set.remove(index)));
        set.optimize();
        assert!(set.size_bytes() < 140_000, "{} bytes: one bit an index", set.size_bytes());
        odd().for_each(|index| assert!(set.insert(index)));
        set.optimize();
        assert!(set.size_bytes() < 400, "{} bytes", set.size_bytes());
    }

    #[test]
    fn takes_across_ranges_and_to_the_end() {
        let mut set: IndexSet = [1, 2, 3, 10, 70_000, 70_001].into_iter().collect();
        assert_eq!(set.take_first(0), IndexSet::new());
        assert_eq!(set.take_first(4).to_string(), "1-3,10");
        assert_eq!(format!("{set:?}"), "{70000-70001}");
        assert_eq!(set.take_first(u64::MAX).len(), 2);
        assert!(set.is_empty() && set.take_first(1).is_empty());
        assert_eq!(set.to_string(), "");
    }

    #[test]
    fn the_ends_of_the_number_range_are_ordinary() {
        let mut all = IndexSet::from(0..=u32::MAX);
        assert_eq!(all.len(), 1 << 32);
        assert_eq!(all.ranges().collect::<Vec<_>>(), [(0, u32::MAX)]);
        assert_eq!(all.take_first((1 << 32) - 1), IndexSet::from(0..=u32::MAX - 1));
        assert_eq!((all.min(), all.max()), (Some(u32::MAX), Some(u32::MAX)));
        #[expect(clippy::reversed_empty_ranges, reason = "an empty range is what is tried")]
        let none = IndexSet::from(5..=4);
        assert!(none.is_empty());
    }

    #[test]
    fn a_broken_byte_string_is_an_error() {
        let good = bytes(&IndexSet::from(3..=70_000));
        for length in 0..good.len() {
            assert!(rmp_serde::from_slice::<IndexSet>(&good[..length]).is_err(), "{length} bytes");
        }
    }

    #[test]
    fn where_two_forms_are_of_one_size_equal_sets_have_equal_bytes() {
        let plain: IndexSet = [2, 3, 4].into_iter().collect();
        let mut rest = IndexSet::from(0..=4);
        assert!(rest.remove(0) && rest.remove(1));
        assert_eq!(rest, plain);
        assert_eq!(bytes(&rest), bytes(&plain));
    }

    fn models() -> impl Strategy<Value = BTreeSet<u32>> {
        let piece = (0..200_000u32, 1..3000u32, 1..4usize);
        let piece = prop_oneof![piece, (0..4u32, 1..3u32, Just(1_usize))];
        prop::collection::vec(piece, 0..6).prop_map(|pieces| {
            pieces.into_iter().flat_map(|(start, length, step)| (start..start + length).step_by(step)).collect()
        })
    }

    fn set_of(model: &BTreeSet<u32>) -> IndexSet {
        model.iter().copied().collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn operations_agree_with_a_plain_set(a in models(), b in models(), n in 0..9000usize) {
            let (set_a, set_b) = (set_of(&a), set_of(&b));
            let changed = |change: fn(&mut IndexSet, &IndexSet)| {
                let mut set = set_a.clone();
                change(&mut set, &set_b);
                set
            };
            prop_assert_eq!(changed(IndexSet::union_with), set_of(&(&a | &b)));
            prop_assert_eq!(changed(IndexSet::intersect_with), set_of(&(&a & &b)));
            prop_assert_eq!(changed(IndexSet::subtract), set_of(&(&a - &b)));
            prop_assert_eq!(set_a.is_subset(&set_b), a.is_subset(&b));
            prop_assert!(set_a.iter().eq(a.iter().copied()));

            let mut rest = set_a.clone();
            let taken = rest.take_first(n as u64);
            prop_assert!(taken.iter().eq(a.iter().copied().take(n)));
            prop_assert!(rest.iter().eq(a.iter().copied().skip(n)));
        }

        #[test]
        fn ranges_are_maximal_and_complete(model in models()) {
            let set = set_of(&model);
            let ranges: Vec<_> = set.ranges().collect();
            prop_assert!(ranges.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0));
            prop_assert!(ranges.iter().flat_map(|(start, end)| *start..=*end).eq(model));
        }

        #[test]
        fn equal_sets_have_equal_bytes_that_read_back(model in models(), other in models()) {
            let set = set_of(&model);
            let mut detour = set_of(&other);
            detour.union_with(&set);
            other.difference(&model).for_each(|index| { detour.remove(*index); });
            prop_assert_eq!(&detour, &set);
            prop_assert_eq!(bytes(&detour), bytes(&set));
            prop_assert_eq!(rmp_serde::from_slice::<IndexSet>(&bytes(&set)).expect("own bytes"), set);
        }
    }
}
