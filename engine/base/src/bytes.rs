//! Owned byte strings in the arena.

use core::ops::Range;

use abi::container::RawBytes;
use abi::ptr::Ptr;

use crate::heap::Heap;
use crate::mover::Mover;

/// Up to this size a string that grows doubles; above, it grows by an eighth.
const DOUBLING_MAX: usize = 1 << 20;

/// Capacity for a string that has to grow to `len` bytes and is likely to grow again.
pub(super) fn roomy(len: usize, heap: &Heap) -> usize {
    let room = if len < DOUBLING_MAX { len } else { len / 8 };
    heap.usable(len + room)
}

/// The bytes of a string.
#[inline(always)]
pub fn slice(raw: &RawBytes) -> &[u8] {
    if raw.len == 0 {
        return &[];
    }
    // SAFETY: a raw string holds `len` initialised bytes at `data`; borrowed, they stay there.
    unsafe { core::slice::from_raw_parts(raw.data.as_ptr(), raw.len as usize) }
}

/// Frees a text that the shell filled in, and gives it as one of our own.
pub fn take_text(raw: &mut RawBytes, heap: Heap) -> String {
    let text = String::from_utf8_lossy(slice(raw)).into_owned();
    Bytes::new(raw, heap).free();
    text
}

/// Whether two strings are the same. For those of 8 to 32 bytes, as most names are, this takes no
/// call.
#[inline(always)]
pub fn are_same(a: &[u8], b: &[u8]) -> bool {
    // Both ends of either, which may overlap.
    macro_rules! ends {
        ($number:ty) => {{
            const BYTES: usize = size_of::<$number>();
            let end = |chunk: Option<&[u8; BYTES]>| chunk.map(|c| <$number>::from_le_bytes(*c));
            let (first, last) = (end(a.first_chunk()), end(a.last_chunk()));
            first == end(b.first_chunk()) && last == end(b.last_chunk())
        }};
    }
    a.len() == b.len()
        && match a.len() {
            8..16 => ends!(u64),
            16..=32 => ends!(u128),
            _ => a == b,
        }
}

/// Bytes of arena memory that a string takes: none if it owns nothing.
pub fn usable(raw: &RawBytes, heap: Heap) -> usize {
    match raw.capacity as usize {
        0 => 0,
        capacity => heap.usable(capacity),
    }
}

/// A new string with these bytes and no spare room.
#[inline]
pub fn from_slice(bytes: &[u8], heap: Heap) -> RawBytes {
    let mut raw = RawBytes::EMPTY;
    Bytes::new(&mut raw, heap).append_exact(bytes);
    raw
}

/// A string that nothing else refers to. Dropped, it is freed.
pub struct OwnedBytes {
    raw: RawBytes,
    heap: Heap,
}

impl OwnedBytes {
    /// An empty one.
    pub const fn new(heap: Heap) -> Self {
        Self { raw: RawBytes::EMPTY, heap }
    }

    /// The string, to change it.
    pub const fn view(&mut self) -> Bytes<'_> {
        Bytes::new(&mut self.raw, self.heap)
    }

    /// Its bytes.
    pub fn as_slice(&self) -> &[u8] {
        slice(&self.raw)
    }

    /// One with these bytes and no spare room.
    pub fn of(bytes: &[u8], heap: Heap) -> Self {
        let mut owned = Self::new(heap);
        owned.view().append_exact(bytes);
        owned
    }

    /// Gives it up to whoever keeps it.
    pub fn into_raw(mut self) -> RawBytes {
        core::mem::replace(&mut self.raw, RawBytes::EMPTY)
    }
}

impl Drop for OwnedBytes {
    fn drop(&mut self) {
        self.view().free();
    }
}

/// A string to change.
pub struct Bytes<'a> {
    raw: &'a mut RawBytes,
    heap: Heap,
}

impl<'a> Bytes<'a> {
    /// A view of `raw`, which is empty or has only ever been changed through such views with the
    /// same heap.
    #[inline(always)]
    pub const fn new(raw: &'a mut RawBytes, heap: Heap) -> Self {
        Self { raw, heap }
    }

    /// Moves what is allocated, if it is to move.
    pub fn relocate(&mut self, mover: &mut Mover) {
        let (address, capacity) = (self.raw.data.address(), self.capacity());
        if capacity != 0 {
            // SAFETY: it is allocated, and `raw`, which is borrowed exclusively, alone refers to it.
            unsafe {
                mover.relocate(address, capacity, |moved| self.raw.data = Ptr::new(moved));
            }
        }
    }

    /// Length in bytes.
    #[inline(always)]
    pub const fn len(&self) -> usize {
        self.raw.len as usize
    }

    /// Whether there are no bytes.
    #[inline(always)]
    pub const fn is_empty(&self) -> bool {
        self.raw.len == 0
    }

    /// Bytes allocated.
    #[inline(always)]
    pub const fn capacity(&self) -> usize {
        self.raw.capacity as usize
    }

    /// The bytes.
    #[inline(always)]
    pub fn as_slice(&self) -> &[u8] {
        slice(self.raw)
    }

    /// The bytes, to change in place.
    #[inline(always)]
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        if self.raw.len == 0 {
            return &mut [];
        }
        // SAFETY: `len` initialised bytes that only this view refers to.
        unsafe { core::slice::from_raw_parts_mut(self.raw.data.as_ptr(), self.len()) }
    }

    /// Appends, leaving room for more of the same when it has to grow.
    #[inline]
    pub fn append(&mut self, bytes: &[u8]) {
        let len = self.len() + bytes.len();
        if len > self.capacity() {
            self.set_capacity(roomy(len, &self.heap));
        }
        self.write(bytes);
    }

    /// Appends, growing to just the size needed.
    #[inline]
    pub fn append_exact(&mut self, bytes: &[u8]) {
        self.reserve_exact(bytes.len());
        self.write(bytes);
    }

    /// Makes room for `additional` more bytes and no more than that.
    pub fn reserve_exact(&mut self, additional: usize) {
        let len = self.len() + additional;
        if len > self.capacity() {
            self.set_capacity(len);
        }
    }

    /// Makes the string `len` bytes long: cuts it, or fills it up with zero bytes.
    pub fn resize(&mut self, len: usize) {
        let old = self.len();
        if len > old {
            self.reserve_exact(len - old);
            // SAFETY: the capacity is at least `len`.
            unsafe { self.raw.data.as_ptr().add(old).write_bytes(0, len - old) };
        }
        self.raw.len = len as u64;
    }

    /// Makes the string at least `len` bytes long, filled up with zero bytes, leaving room for
    /// more of the same when it has to grow.
    pub fn grow(&mut self, len: usize) {
        if len > self.capacity() {
            self.set_capacity(roomy(len, &self.heap));
        }
        if len > self.len() {
            self.resize(len);
        }
    }

    /// Replaces all bytes. Keeps the allocation if they fit and use at least half of it.
    pub fn assign(&mut self, bytes: &[u8]) {
        if bytes.len() > self.capacity() || bytes.len() < self.capacity() / 2 {
            let new = from_slice(bytes, self.heap);
            self.free();
            *self.raw = new;
        } else {
            self.raw.len = 0;
            self.write(bytes);
        }
    }

    /// Puts bytes in the place of those of a range, which is not backwards and lies within the
    /// string, leaving room for more of the same when it has to grow. Where memory runs out nothing
    /// has changed.
    pub fn splice(&mut self, range: Range<usize>, bytes: &[u8]) {
        let (old, behind) = (self.len(), self.len() - range.end);
        let len = old - range.len() + bytes.len();
        self.grow(len);
        let place = &mut self.as_mut_slice()[range.start..];
        place.copy_within(range.len()..range.len() + behind, bytes.len());
        place[..bytes.len()].copy_from_slice(bytes);
        self.resize(len);
    }

    /// Gives spare room back.
    pub fn shrink_to_fit(&mut self) {
        if self.is_empty() {
            self.free();
        } else if self.heap.usable(self.len()) < self.capacity() {
            self.set_capacity(self.len());
        }
    }

    /// Frees the allocation, leaving an empty string.
    pub fn free(&mut self) {
        let old = core::mem::replace(self.raw, RawBytes::EMPTY);
        if old.capacity > 0 {
            // SAFETY: allocated by this view with this size, and no longer referred to.
            unsafe { self.heap.free(old.data.address(), old.capacity as usize) };
        }
    }

    /// Copies `bytes` behind the end, where there is room for them.
    #[inline(always)]
    fn write(&mut self, bytes: &[u8]) {
        let len = self.len();
        assert!(bytes.len() <= self.capacity() - len, "no room was made");
        // SAFETY: the room is there, and a slice from elsewhere cannot overlap it.
        unsafe {
            let end = self.raw.data.as_ptr().add(len);
            end.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        }
        self.raw.len = (len + bytes.len()) as u64;
    }

    /// Moves the bytes to an allocation of `capacity`, at least 1 and at least their number.
    fn set_capacity(&mut self, capacity: usize) {
        let address = if self.raw.capacity == 0 {
            self.heap.alloc(capacity)
        } else {
            // SAFETY: allocated by this view with this size; the old address is overwritten.
            unsafe { self.heap.realloc(self.raw.data.address(), self.capacity(), capacity) }
        };
        self.raw.data = Ptr::new(address);
        self.raw.capacity = capacity as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heap::testing::{heap, outstanding};
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Step {
        Append(Vec<u8>),
        AppendExact(Vec<u8>),
        Assign(Vec<u8>),
        Resize(usize),
        Grow(usize),
        Set(usize, u8),
        Splice(usize, usize, Vec<u8>),
        Shrink,
        Free,
    }

    fn step() -> impl Strategy<Value = Step> {
        let bytes = || prop::collection::vec(any::<u8>(), 0..200);
        prop_oneof![
            4 => bytes().prop_map(Step::Append),
            2 => bytes().prop_map(Step::AppendExact),
            2 => bytes().prop_map(Step::Assign),
            2 => (0..600usize).prop_map(Step::Resize),
            2 => (0..600usize).prop_map(Step::Grow),
            2 => (any::<usize>(), any::<u8>()).prop_map(|(at, byte)| Step::Set(at, byte)),
            2 => (any::<usize>(), any::<usize>(), bytes())
                .prop_map(|(at, len, new)| Step::Splice(at, len, new)),
            1 => Just(Step::Shrink),
            1 => Just(Step::Free),
        ]
    }

    fn apply(bytes: &mut Bytes<'_>, model: &mut Vec<u8>, step: Step) {
        match step {
            Step::Append(more) => {
                bytes.append(&more);
                model.extend(more);
            }
            Step::AppendExact(more) => {
                bytes.append_exact(&more);
                model.extend(more);
            }
            Step::Assign(new) => {
                bytes.assign(&new);
                *model = new;
            }
            Step::Resize(len) => {
                bytes.resize(len);
                model.resize(len, 0);
            }
            Step::Grow(len) => {
                bytes.grow(len);
                model.resize(len.max(model.len()), 0);
            }
            Step::Set(at, byte) if !model.is_empty() => {
                bytes.as_mut_slice()[at % model.len()] = byte;
                let len = model.len();
                model[at % len] = byte;
            }
            Step::Set(..) => assert!(bytes.as_mut_slice().is_empty()),
            Step::Splice(at, len, new) => {
                let at = at % (model.len() + 1);
                let end = at + len % (model.len() - at + 1);
                bytes.splice(at..end, &new);
                model.splice(at..end, new);
            }
            Step::Shrink => {
                bytes.shrink_to_fit();
                assert_eq!(bytes.capacity(), model.len());
            }
            Step::Free => {
                bytes.free();
                model.clear();
            }
        }
    }

    #[test]
    fn strings_are_the_same_if_each_byte_is() {
        for len in 0..70u8 {
            let string: Vec<u8> = (0..len).collect();
            assert!(are_same(&string, &string.clone()));
            assert!(!are_same(&string, &[&string[..], &[0]].concat()));
            for at in 0..string.len() {
                let mut other = string.clone();
                other[at] ^= 1;
                assert!(!are_same(&string, &other), "{at} of {len}");
            }
        }
    }

    proptest! {
        #[test]
        fn agrees_with_a_model(steps in prop::collection::vec(step(), 1..40)) {
            let held = outstanding();
            let mut raw = RawBytes::EMPTY;
            let mut model = Vec::new();
            for step in steps {
                let mut bytes = Bytes::new(&mut raw, heap());
                apply(&mut bytes, &mut model, step);
                prop_assert_eq!(bytes.as_slice(), &model[..]);
                prop_assert_eq!(outstanding() - held, raw.capacity as i64);
            }
            Bytes::new(&mut raw, heap()).free();
            prop_assert_eq!(outstanding(), held);
        }
    }

    #[test]
    fn appending_byte_by_byte_reallocates_seldom() {
        let mut raw = RawBytes::EMPTY;
        let mut bytes = Bytes::new(&mut raw, heap());
        let mut capacities = std::collections::BTreeSet::new();
        for _ in 0..2000 {
            bytes.append(b"x");
            capacities.insert(bytes.capacity());
        }
        assert!(capacities.len() < 14, "{capacities:?}");
        bytes.free();
    }

    #[test]
    fn a_new_string_has_no_spare_room() {
        let mut raw = from_slice(b"hello", heap());
        assert_eq!((slice(&raw), raw.capacity), (&b"hello"[..], 5));
        Bytes::new(&mut raw, heap()).free();
        assert_eq!(slice(&raw), b"");
    }
}
