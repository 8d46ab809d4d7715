//! A set of array indices that keeps ranges as ranges.
//!
//! The pending tasks of an array are one `IndexSet`: a million contiguous indices take a few hundred bytes, in memory
//! and in the journal. It knows nothing of jobs or limits; reading `0-9:3%2` is the business of [`super::array`].
//! Start at [`IndexSet::take_first`], which is how a plan splits tasks off.

use std::fmt;
use std::ops::RangeInclusive;

use roaring::RoaringBitmap;
use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A set of `u32`, ordered, stored as runs wherever runs are smaller.
///
/// Equal sets are equal and serialise to equal bytes, however they came about.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct IndexSet(RoaringBitmap);

impl IndexSet {
    /// Makes the empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Splits off the lowest `n` indices, or all of them if there are fewer, and returns them.
    ///
    /// Costs what the ranges taken cost, not what is left.
    pub fn take_first(&mut self, n: u64) -> IndexSet {
        let mut taken = IndexSet::new();
        let mut missing = n;
        for (start, end) in self.ranges() {
            if missing == 0 {
                break;
            }
            let last = end.min(start.saturating_add(u32::try_from(missing - 1).unwrap_or(u32::MAX)));
            missing -= taken.0.insert_range(start..=last);
        }
        taken.0.optimize();
        self.0.remove_smallest(n - missing);
        self.0.optimize();
        taken
    }

    /// Adds one index; returns whether it was new.
    pub fn insert(&mut self, index: u32) -> bool {
        self.0.insert(index)
    }

    /// Adds every index of an inclusive range; an empty range adds nothing.
    pub fn insert_range(&mut self, range: RangeInclusive<u32>) {
        self.0.insert_range(range);
        self.0.optimize();
    }

    /// Removes one index; returns whether it was there.
    ///
    /// Removing many one by one leaves fragments: call [`IndexSet::optimize`] afterwards.
    pub fn remove(&mut self, index: u32) -> bool {
        self.0.remove(index)
    }

    /// Adds all of `other`.
    pub fn union_with(&mut self, other: &IndexSet) {
        self.0 |= &other.0;
        self.0.optimize();
    }

    /// Keeps only what is in `other` too.
    pub fn intersect_with(&mut self, other: &IndexSet) {
        self.0 &= &other.0;
        self.0.optimize();
    }

    /// Removes all of `other`.
    pub fn subtract(&mut self, other: &IndexSet) {
        self.0 -= &other.0;
        self.0.optimize();
    }

    /// Chooses the smallest form again after many single insertions or removals.
    pub fn optimize(&mut self) {
        self.0.optimize();
    }

    /// Says whether `index` is in the set.
    pub fn contains(&self, index: u32) -> bool {
        self.0.contains(index)
    }

    /// Says whether any index of a range is in the set.
    pub fn has_any_of(&self, range: RangeInclusive<u32>) -> bool {
        self.0.range_cardinality(range) > 0
    }

    /// Says whether every index of the set is in `other` too.
    pub fn is_subset(&self, other: &IndexSet) -> bool {
        self.0.is_subset(&other.0)
    }

    /// Counts the indices.
    pub fn len(&self) -> u64 {
        self.0.len()
    }

    /// Says whether there is no index at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The lowest index.
    pub fn min(&self) -> Option<u32> {
        self.0.min()
    }

    /// The highest index.
    pub fn max(&self) -> Option<u32> {
        self.0.max()
    }

    /// Walks the indices upwards. For anything that can work on ranges, [`IndexSet::ranges`] is cheaper by far.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = u32> + '_ {
        self.0.iter()
    }

    /// Walks the maximal ranges upwards, as inclusive `(start, end)`; neighbours never touch.
    pub fn ranges(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        let mut rest = self.0.iter();
        std::iter::from_fn(move || rest.next_range().map(RangeInclusive::into_inner))
    }

    /// The bytes that the set takes when serialised in its present form, and about as many in memory.
    pub fn size_bytes(&self) -> usize {
        self.0.serialized_size()
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
    /// The set of every plain job: a copy, because that has no room to spare, where what has grown takes four times as much.
    fn from(index: u32) -> Self {
        Self::from(index..=index).clone()
    }
}

impl FromIterator<u32> for IndexSet {
    fn from_iter<I: IntoIterator<Item = u32>>(indices: I) -> Self {
        let mut set = Self(RoaringBitmap::from_iter(indices));
        set.optimize();
        set
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
        match (self.0.min(), self.0.max()) {
            (None, _) => return serializer.serialize_unit(),
            (Some(one), last) if last == Some(one) => return serializer.serialize_u32(one),
            _ => {}
        }
        let mut smallest = self.0.clone();
        smallest.optimize();
        smallest.serialize(serializer)
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
                RoaringBitmap::deserialize_from(bytes).map(IndexSet).map_err(E::custom)
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

    fn models() -> impl Strategy<Value = BTreeSet<u32>> {
        let piece = (0..200_000u32, 1..3000u32, 1..4usize);
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
