//! Growable arrays of words in the arena.

use abi::container::RawVec;
use abi::ptr::Ptr;

use crate::heap::Heap;
use crate::mover::Mover;

/// Words of the first allocation.
const CAPACITY_MIN: u32 = 4;

/// The words of an array.
#[inline(always)]
pub fn slice(raw: &RawVec) -> &[u64] {
    if raw.len == 0 {
        return &[];
    }
    // SAFETY: a raw array holds `len` initialised words at `data`; borrowed, they stay there.
    unsafe { core::slice::from_raw_parts(raw.data.as_ptr(), raw.len as usize) }
}

/// An array to change.
pub struct Words<'a> {
    raw: &'a mut RawVec,
    heap: Heap,
}

impl<'a> Words<'a> {
    /// A view of `raw`, which is empty or has only ever been changed through such views with the
    /// same heap.
    #[inline(always)]
    pub const fn new(raw: &'a mut RawVec, heap: Heap) -> Self {
        Self { raw, heap }
    }

    /// Number of words.
    #[inline(always)]
    pub const fn len(&self) -> usize {
        self.raw.len as usize
    }

    /// Whether there are no words.
    #[inline(always)]
    pub const fn is_empty(&self) -> bool {
        self.raw.len == 0
    }

    /// The words.
    #[inline(always)]
    pub fn as_slice(&self) -> &[u64] {
        slice(self.raw)
    }

    /// The words, to change in place.
    #[inline(always)]
    pub fn as_mut_slice(&mut self) -> &mut [u64] {
        if self.raw.len == 0 {
            return &mut [];
        }
        // SAFETY: `len` initialised words that only this view refers to.
        unsafe { core::slice::from_raw_parts_mut(self.raw.data.as_ptr(), self.len()) }
    }

    /// Makes room for `additional` words.
    pub fn reserve(&mut self, additional: u32) {
        let needed = self.raw.len.checked_add(additional).expect("fewer than 2^32 words");
        if needed > self.raw.capacity {
            self.set_capacity(needed.max(self.raw.capacity.saturating_mul(2)).max(CAPACITY_MIN));
        }
    }

    /// Adds a word at the end.
    #[inline]
    pub fn push(&mut self, word: u64) {
        if self.raw.len == self.raw.capacity {
            self.reserve(1);
        }
        // SAFETY: the length is below the capacity.
        unsafe { self.raw.data.as_ptr().add(self.len()).write(word) };
        self.raw.len += 1;
    }

    /// Adds a word to an array in ascending order, where it belongs, unless it is there. Tells whether
    /// it was added.
    pub fn insert_in_order(&mut self, word: u64) -> bool {
        let Err(index) = self.as_slice().binary_search(&word) else { return false };
        self.push(word);
        self.as_mut_slice()[index..].rotate_right(1);
        true
    }

    /// Takes the last word.
    #[inline]
    pub fn pop(&mut self) -> Option<u64> {
        let last = self.as_slice().last().copied()?;
        self.raw.len -= 1;
        Some(last)
    }

    /// Takes the word at `index`, moving the last one there.
    ///
    /// # Panics
    /// If there is no such word.
    pub fn swap_remove(&mut self, index: usize) -> u64 {
        let words = self.as_mut_slice();
        let last = words.len() - 1;
        words.swap(index, last);
        let word = words[last];
        self.raw.len -= 1;
        word
    }

    /// Takes the word at `index`, moving those behind it up.
    ///
    /// # Panics
    /// If there is no such word.
    pub fn remove(&mut self, index: usize) -> u64 {
        let words = self.as_mut_slice();
        let word = words[index];
        words.copy_within(index + 1.., index);
        self.raw.len -= 1;
        word
    }

    /// Removes the first occurrence of `word`, keeping the order. Returns whether there was one.
    pub fn remove_word(&mut self, word: u64) -> bool {
        let index = self.as_slice().iter().position(|&found| found == word);
        if let Some(index) = index {
            self.remove(index);
        }
        index.is_some()
    }

    /// Keeps the first `len` words.
    #[inline]
    pub fn truncate(&mut self, len: usize) {
        self.raw.len = self.raw.len.min(u32::try_from(len).unwrap_or(u32::MAX));
    }

    /// Removes all words, keeping the allocation.
    #[inline]
    pub fn clear(&mut self) {
        self.raw.len = 0;
    }

    /// Gives room back once three quarters are unused.
    pub fn shrink(&mut self) {
        if self.is_empty() {
            self.free();
        } else if self.raw.capacity > CAPACITY_MIN && self.raw.len <= self.raw.capacity / 4 {
            self.set_capacity((self.raw.len * 2).max(CAPACITY_MIN));
        }
    }

    /// Moves the allocation, if it is to move.
    pub fn relocate(&mut self, mover: &mut Mover) {
        let (address, capacity) = (self.raw.data.address(), self.raw.capacity);
        if capacity != 0 {
            // SAFETY: it is allocated, and `raw`, which is borrowed exclusively, alone refers to it.
            unsafe {
                mover.relocate(address, bytes(capacity), |moved| self.raw.data = Ptr::new(moved));
            }
        }
    }

    /// Frees the allocation, leaving an empty array.
    pub fn free(&mut self) {
        let old = core::mem::replace(self.raw, RawVec::EMPTY);
        if old.capacity > 0 {
            // SAFETY: allocated by this view with this size, and no longer referred to.
            unsafe { self.heap.free(old.data.address(), bytes(old.capacity)) };
        }
    }

    /// Moves the words to an allocation of `capacity`, at least 1 and at least their number.
    #[cold]
    fn set_capacity(&mut self, capacity: u32) {
        let address = if self.raw.capacity == 0 {
            self.heap.alloc(bytes(capacity))
        } else {
            let (old, size) = (self.raw.data.address(), bytes(self.raw.capacity));
            // SAFETY: allocated by this view with this size; the old address is overwritten.
            unsafe { self.heap.realloc(old, size, bytes(capacity)) }
        };
        self.raw.data = Ptr::new(address);
        self.raw.capacity = capacity;
    }
}

const fn bytes(words: u32) -> usize {
    words as usize * size_of::<u64>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heap::testing::{heap, outstanding};
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Step {
        Push(u64),
        Pop,
        SwapRemove(usize),
        Remove(usize),
        RemoveWord(u64),
        Truncate(usize),
        Shrink,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => (0..20u64).prop_map(Step::Push),
            1 => Just(Step::Pop),
            1 => any::<usize>().prop_map(Step::SwapRemove),
            1 => any::<usize>().prop_map(Step::Remove),
            1 => (0..20u64).prop_map(Step::RemoveWord),
            1 => (0..40usize).prop_map(Step::Truncate),
            1 => Just(Step::Shrink),
        ]
    }

    fn apply(words: &mut Words<'_>, model: &mut Vec<u64>, step: &Step) {
        let len = model.len().max(1);
        match *step {
            Step::Push(word) => {
                words.push(word);
                model.push(word);
            }
            Step::Pop => assert_eq!(words.pop(), model.pop()),
            Step::SwapRemove(at) if !model.is_empty() => {
                assert_eq!(words.swap_remove(at % len), model.swap_remove(at % len));
            }
            Step::Remove(at) if !model.is_empty() => {
                assert_eq!(words.remove(at % len), model.remove(at % len));
            }
            Step::SwapRemove(_) | Step::Remove(_) => assert!(words.is_empty()),
            Step::RemoveWord(word) => {
                let at = model.iter().position(|&found| found == word);
                assert_eq!(words.remove_word(word), at.is_some());
                at.map(|at| model.remove(at));
            }
            Step::Truncate(len) => {
                words.truncate(len);
                model.truncate(len);
            }
            Step::Shrink => words.shrink(),
        }
    }

    proptest! {
        #[test]
        fn agrees_with_a_model(steps in prop::collection::vec(step(), 1..80)) {
            let held = outstanding();
            let mut raw = RawVec::EMPTY;
            let mut model = Vec::new();
            for step in steps {
                let mut words = Words::new(&mut raw, heap());
                apply(&mut words, &mut model, &step);
                prop_assert_eq!(words.as_slice(), &model[..]);
                prop_assert_eq!(outstanding() - held, bytes(raw.capacity) as i64);
            }
            Words::new(&mut raw, heap()).free();
            prop_assert_eq!(outstanding(), held);
        }

        #[test]
        fn words_in_order_are_a_set(words in prop::collection::vec(0..30u64, 0..60)) {
            let mut raw = RawVec::EMPTY;
            let mut model = std::collections::BTreeSet::new();
            for word in words {
                let is_new = Words::new(&mut raw, heap()).insert_in_order(word);
                prop_assert_eq!(is_new, model.insert(word));
                prop_assert!(slice(&raw).iter().eq(model.iter()));
            }
            Words::new(&mut raw, heap()).free();
        }
    }

    #[test]
    fn shrinking_gives_memory_back() {
        let mut raw = RawVec::EMPTY;
        let mut words = Words::new(&mut raw, heap());
        (0..1000).for_each(|word| words.push(word));
        words.truncate(10);
        words.shrink();
        assert_eq!(words.as_slice(), (0..10).collect::<Vec<_>>());
        assert!(raw.capacity <= 20);
        let mut words = Words::new(&mut raw, heap());
        words.clear();
        words.shrink();
        assert_eq!(raw.capacity, 0);
    }
}
