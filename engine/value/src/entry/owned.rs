//! Entries that are in no table.

use core::mem::ManuallyDrop;
use core::ops::{Deref, DerefMut};

use super::layout::Place;
use super::{Entry, EntryMut, Shape};
use crate::body::{self, Body};
use base::heap::Heap;

/// An entry that nothing but this refers to. Dropped, it is freed with its value.
#[must_use = "an entry that is put nowhere is freed"]
pub struct OwnedEntry {
    place: Place,
    heap: Heap,
}

impl OwnedEntry {
    /// A value that is stored after the key: these parts, one after the other.
    ///
    /// # Panics
    /// If the parts are not as long as the shape says.
    #[inline]
    pub fn embedded(heap: Heap, shape: &Shape, key: &[u8], parts: &[&[u8]]) -> Self {
        debug_assert_eq!(body::bytes(shape.encoding), 0);
        assert_eq!(shape.value_len, parts.iter().map(|part| part.len()).sum::<usize>());
        let place = allocate(heap, shape, key);
        let (mut to, _) = place.embedded();
        for part in parts {
            // SAFETY: the value's room is inside the new allocation, and as long as all parts.
            unsafe {
                to.copy_from_nonoverlapping(part.as_ptr(), part.len());
                to = to.add(part.len());
            }
        }
        Self { place, heap }
    }

    /// An entry without a time to live whose value is its body, with what that owns.
    pub fn new<T: Body>(key: &[u8], access: u32, body: OwnedBody<T>) -> Self {
        let shape = Shape {
            encoding: T::ENCODING,
            raw: false,
            expires_at: None,
            access,
            key_len: key.len(),
            value_len: 0,
        };
        Self::with_body(&shape, key, body)
    }

    /// As [`OwnedEntry::new`], of this shape.
    #[inline]
    pub fn with_body<T: Body>(shape: &Shape, key: &[u8], mut body: OwnedBody<T>) -> Self {
        debug_assert_eq!((shape.encoding, shape.value_len), (T::ENCODING, 0));
        let heap = body.heap;
        let place = allocate(heap, shape, key);
        // SAFETY: the body's room is inside the new allocation, 8-byte aligned; what was in
        // `OwnedBody` is taken out once, as it is forgotten.
        unsafe { place.body::<T>().write(ManuallyDrop::take(&mut body.body)) };
        core::mem::forget(body);
        Self { place, heap }
    }

    /// The entry at an address.
    ///
    /// # Safety
    /// A complete entry lives there that was allocated from this heap, and from now on nothing
    /// but this refers to it.
    #[inline]
    pub unsafe fn from_address(address: u64, heap: Heap) -> Self {
        // SAFETY: as the caller promises.
        Self { place: unsafe { Place::at(address) }, heap }
    }

    /// Gives it up to whoever keeps its address.
    #[inline]
    pub fn into_address(self) -> u64 {
        ManuallyDrop::new(self).place.address()
    }

    /// The entry, to look at it.
    #[inline]
    pub fn view(&self) -> Entry<'_> {
        // SAFETY: it is this one's alone, and `&self` keeps changes away.
        unsafe { Entry::at(self.place.address()) }
    }

    /// The entry, to change it.
    #[inline]
    pub fn view_mut(&mut self) -> EntryMut<'_> {
        // SAFETY: it is this one's alone, and `&mut self` keeps other views away.
        unsafe { EntryMut::at(self.place.address()) }
    }

    /// Frees the entry but not what its body owns, which another entry has by now.
    pub fn free_hull(self) {
        let hull = ManuallyDrop::new(self);
        // SAFETY: allocated with the size its shape gives, and nothing refers to it any more.
        unsafe { hull.heap.free(hull.place.address(), hull.place.shape().size()) };
    }
}

impl Drop for OwnedEntry {
    fn drop(&mut self) {
        let heap = self.heap;
        let free = self.view().row().owned.free;
        free(heap, &mut self.view_mut());
        // SAFETY: allocated with the size its shape gives, and nothing refers to it any more.
        unsafe { heap.free(self.place.address(), self.place.shape().size()) };
    }
}

/// A body on its way to an entry, where it is filled. Dropped, it is freed with what it owns: so
/// nothing is left behind if memory runs out halfway.
#[must_use = "a body that is put nowhere is freed"]
pub struct OwnedBody<T: Body> {
    body: ManuallyDrop<T>,
    heap: Heap,
}

impl<T: Body> OwnedBody<T> {
    /// A body that owns nothing but what came from this heap.
    #[inline]
    pub fn new(heap: Heap, body: T) -> Self {
        Self { body: ManuallyDrop::new(body), heap }
    }
}

impl<T: Body> Deref for OwnedBody<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.body
    }
}

impl<T: Body> DerefMut for OwnedBody<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.body
    }
}

impl<T: Body> Drop for OwnedBody<T> {
    fn drop(&mut self) {
        self.body.free(self.heap);
    }
}

/// Allocates an entry: head, lengths, expiry and key are written, body and value are not.
#[inline]
fn allocate(heap: Heap, shape: &Shape, key: &[u8]) -> Place {
    // SAFETY: a new allocation of the shape's size, which is written before anything reads it.
    let place = unsafe { Place::at(heap.alloc(shape.size())) };
    place.write_new(shape, key);
    place
}

/// An entry that has been given the value of another, as its bits: both have the same body until
/// the other's hull is freed.
pub struct Moved {
    entry: ManuallyDrop<OwnedEntry>,
}

impl Entry<'_> {
    /// An entry of another shape, under the same or another key, that takes over this one's value.
    ///
    /// Should memory run out nothing has changed. Dropped, the new one is freed without the value;
    /// [`Moved::complete`] makes it the owner.
    pub fn moved(self, heap: Heap, shape: &Shape, key: &[u8]) -> Moved {
        debug_assert_eq!(self.encoding(), shape.encoding);
        let place = allocate(heap, shape, key);
        place.copy_value_from(self.place);
        Moved { entry: ManuallyDrop::new(OwnedEntry { place, heap }) }
    }
}

impl Moved {
    /// The new entry. Its value is to be used through one of the two only.
    pub fn view(&self) -> Entry<'_> {
        self.entry.view()
    }

    /// The value is the new entry's from now on.
    ///
    /// # Safety
    /// Nobody uses the value through the old entry any more: it is freed by
    /// [`OwnedEntry::free_hull`].
    pub unsafe fn complete(mut self) -> OwnedEntry {
        // SAFETY: taken once: `self` is forgotten.
        let entry = unsafe { ManuallyDrop::take(&mut self.entry) };
        core::mem::forget(self);
        entry
    }
}

impl Drop for Moved {
    fn drop(&mut self) {
        // SAFETY: taken once, as this is the end of `self`.
        unsafe { ManuallyDrop::take(&mut self.entry) }.free_hull();
    }
}
