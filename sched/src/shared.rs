//! Parts of records that equal records share, so that a hundred thousand jobs that ask for the same keep it once: in memory, and where they
//! are written together.
//!
//! A [`Shared`] reads like the part itself; changing it makes a copy first, where others share it. Inside of [`together`] each part is written
//! the first time it comes, and afterwards only named.

use std::any::{Any, TypeId};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A value that may be shared with others that are equal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
#[serde(bound(serialize = "T: Serialize + Send + Sync + 'static"))]
#[serde(bound(deserialize = "T: Deserialize<'de> + Send + Sync + 'static"))]
pub struct Shared<T>(#[serde(with = "arc")] Arc<T>);

impl<T: PartialEq> Shared<T> {
    /// Gives up its own memory for that of another value, where both are equal.
    pub(crate) fn share_with(&mut self, other: &Shared<T>) {
        if self.is_apart(other) {
            self.0 = other.0.clone();
        }
    }

    /// Whether both are equal, and do not share their memory.
    pub(crate) fn is_apart(&self, other: &Shared<T>) -> bool {
        !Arc::ptr_eq(&self.0, &other.0) && self.0 == other.0
    }
}

impl<T> From<T> for Shared<T> {
    fn from(value: T) -> Shared<T> {
        Shared(Arc::new(value))
    }
}

impl<T> Deref for Shared<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Clone> DerefMut for Shared<T> {
    fn deref_mut(&mut self) -> &mut T {
        Arc::make_mut(&mut self.0)
    }
}

/// A part, as it stands in what is written together.
#[derive(Serialize, Deserialize)]
enum Told<T> {
    /// It comes for the first time.
    #[serde(rename = "n")]
    New(T),
    /// The same as the part with this number: those that were new, in the order of their ends.
    #[serde(rename = "a")]
    Again(u32),
}

/// The parts that were new since [`together`] began. They are held, so that none goes and leaves its address to another.
#[derive(Default)]
struct Parts {
    all: Vec<Arc<dyn Any + Send + Sync>>,
    numbers: BTreeMap<(TypeId, *const ()), u32>,
}

thread_local! {
    /// Those of the call of [`together`] that this thread is in. serde has no other way to hand anything down.
    static PARTS: RefCell<Option<Parts>> = const { RefCell::new(None) };
}

/// What `work` writes or reads holds each shared part once. What was written inside is to be read inside, in one piece.
pub fn together<R>(work: impl FnOnce() -> R) -> R {
    struct Restored(Option<Parts>);
    impl Drop for Restored {
        fn drop(&mut self) {
            PARTS.set(self.0.take());
        }
    }
    let _former = Restored(PARTS.replace(Some(Parts::default())));
    work()
}

impl Parts {
    fn add<T: Send + Sync + 'static>(&mut self, part: &Arc<T>) {
        let number = u32::try_from(self.all.len()).unwrap_or(u32::MAX);
        self.numbers.insert(key(part), number);
        self.all.push(part.clone());
    }
}

fn key<T: 'static>(part: &Arc<T>) -> (TypeId, *const ()) {
    (TypeId::of::<T>(), Arc::as_ptr(part).cast())
}

/// For fields of the type [`Arc`].
pub(crate) mod arc {
    use super::*;

    pub(crate) fn serialize<T, S>(part: &Arc<T>, serializer: S) -> Result<S::Ok, S::Error>
    where
        T: Serialize + Send + Sync + 'static,
        S: Serializer,
    {
        let known = PARTS.with_borrow(|parts| parts.as_ref().map(|parts| parts.numbers.get(&key(part)).copied()));
        match known {
            None => part.serialize(serializer),
            Some(Some(number)) => Told::<&T>::Again(number).serialize(serializer),
            Some(None) => {
                let written = Told::New(&**part).serialize(serializer)?;
                PARTS.with_borrow_mut(|parts| parts.as_mut().map(|parts| parts.add(part)));
                Ok(written)
            }
        }
    }

    pub(crate) fn deserialize<'de, T, D>(deserializer: D) -> Result<Arc<T>, D::Error>
    where
        T: Deserialize<'de> + Send + Sync + 'static,
        D: Deserializer<'de>,
    {
        if PARTS.with_borrow(Option::is_none) {
            return T::deserialize(deserializer).map(Arc::new);
        }
        match Told::<T>::deserialize(deserializer)? {
            Told::New(part) => {
                let part = Arc::new(part);
                PARTS.with_borrow_mut(|parts| parts.as_mut().map(|parts| parts.all.push(part.clone())));
                Ok(part)
            }
            Told::Again(number) => {
                let part = PARTS.with_borrow(|parts| parts.as_ref()?.all.get(number as usize).cloned());
                let part = part.and_then(|part| part.downcast::<T>().ok());
                part.ok_or_else(|| serde::de::Error::custom("a part is named that has not come"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Words = Vec<(Shared<String>, Shared<u64>)>;

    #[test]
    fn what_is_written_together_holds_each_part_once() {
        let (long, other) = (Shared::from("x".repeat(100)), Shared::from("y".to_owned()));
        let number = Shared::from(7_u64);
        let words: Words = (0..50).map(|_| (long.clone(), number.clone())).chain([(other, number.clone())]).collect();
        let apart = rmp_serde::to_vec(&words).expect("written");
        let once = together(|| rmp_serde::to_vec(&words)).expect("written");
        assert!(apart.len() > 50 * 100 && once.len() < 700, "{} and {} bytes", apart.len(), once.len());
        assert_eq!(rmp_serde::from_slice::<Words>(&apart).expect("read"), words);
        let read = together(|| rmp_serde::from_slice::<Words>(&once)).expect("read");
        assert_eq!(read, words);
        assert!(Arc::ptr_eq(&read[0].0.0, &read[49].0.0) && !Arc::ptr_eq(&read[0].0.0, &read[50].0.0));
        // In another order it cannot be read: what is named has not come, or is something else.
        assert!(together(|| rmp_serde::from_slice::<Words>(&once[once.len() - 6..])).is_err());
        assert!(rmp_serde::from_slice::<Words>(&once).is_err(), "nor apart");
    }

    #[test]
    fn a_part_that_is_changed_is_changed_alone() {
        let one = Shared::from(vec![1, 2]);
        let mut two = Shared::from(vec![1, 2]);
        two.share_with(&one);
        assert!(Arc::ptr_eq(&one.0, &two.0));
        two.push(3);
        assert_eq!((one.len(), two.len()), (2, 3));
        two.share_with(&one);
        assert_eq!(two.len(), 3, "what differs is not shared");
    }
}
