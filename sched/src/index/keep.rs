//! In what the sets of an index are kept: in trees, which every change updates, or in lists, which are only compared with trees.

use std::fmt::Debug;

use imbl::OrdSet;

/// A way to keep sets.
pub(crate) trait Keep: Default {
    /// A set of such values, to which values can be added.
    type Set<T: Ord + Clone + Debug>: Clone + Debug + Default + Extend<T>;
}

/// Sets that share memory with their former states.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trees;

impl Keep for Trees {
    type Set<T: Ord + Clone + Debug> = OrdSet<T>;
}

/// Values in the order in which they came: filled many times faster than trees.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lists;

impl Keep for Lists {
    type Set<T: Ord + Clone + Debug> = Vec<T>;
}

/// Whether a tree holds what is listed, and no more.
pub(super) fn holds<T: Ord + Clone>(tree: &OrdSet<T>, mut list: Vec<T>) -> bool {
    list.sort_unstable();
    list.dedup();
    tree.len() == list.len() && tree.iter().eq(&list)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_holds_what_is_listed_in_any_order_and_no_more() {
        let tree: OrdSet<u32> = (0..100_u32).collect();
        let list: Vec<u32> = (0..100).rev().chain([7]).collect();
        assert!(holds(&tree, list.clone()));
        assert!(!holds(&tree, list[1..].to_vec()));
        assert!(!holds(&tree.without(&3), list.clone()));
        assert!(!holds(&tree.update(100), list));
        let other: Vec<u32> = (1..=100).collect();
        assert!(!holds(&tree, other));
    }
}
