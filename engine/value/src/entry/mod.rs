//! An entry: one allocation with a key, its value, and what is known of it.
//!
//! | type | right | made by |
//! | --- | --- | --- |
//! | [`Entry`] | to look at it; copied freely | whoever has its shard locked |
//! | [`EntryMut`] | to change it; there is one at a time | whoever has its shard locked, exclusively |
//! | [`OwnedEntry`] | all: it is in no table, and freed with its value when dropped | its maker, or whoever took it out |

mod check;
mod layout;
mod owned;

pub use check::{Checked, check};
pub use layout::{Shape, table_root};
pub use owned::{OwnedBody, OwnedEntry};

use core::marker::PhantomData;

use abi::keyspace::entry::{FLAG_RAW, FLAG_TTL};
use abi::schema::encoding as id;

use crate::body::{self, Body};
use crate::digest::Digest;
use crate::encoding::Seed;
use base::heap::Heap;
use layout::Place;
use store::rows::Change;

/// An entry to look at, for `'a`.
#[derive(Clone, Copy)]
pub struct Entry<'a> {
    place: Place,
    borrowed: PhantomData<&'a u64>,
}

impl<'a> Entry<'a> {
    /// The entry at an address.
    ///
    /// # Safety
    /// A complete entry lives there for `'a`, and nobody changes it meanwhile: it is in a table
    /// whose shard this lane holds locked, or belongs to the caller, and no [`EntryMut`] of it is
    /// used while this is.
    #[inline(always)]
    pub unsafe fn at(address: u64) -> Self {
        // SAFETY: as the caller promises; only methods that read are called through it.
        Self { place: unsafe { Place::at(address) }, borrowed: PhantomData }
    }

    /// Where it lives.
    #[inline]
    pub fn address(self) -> u64 {
        self.place.address()
    }

    /// One of `abi::schema::encoding`.
    #[inline]
    pub fn encoding(self) -> u8 {
        self.place.encoding()
    }

    /// One of `abi::keyspace::value_type`.
    #[inline]
    pub fn value_type(self) -> u8 {
        id::value_type(self.encoding())
    }

    /// Whether `OBJECT ENCODING` says `raw` whatever the length.
    pub fn is_raw(self) -> bool {
        self.place.has(FLAG_RAW)
    }

    /// Whether the key has a time to live.
    #[inline]
    pub fn has_ttl(self) -> bool {
        self.place.has(FLAG_TTL)
    }

    /// Whether it belongs among the keys that something of ends by itself.
    #[inline]
    pub fn listing(self) -> Listing {
        Listing { ttl: self.has_ttl(), timed: id::is_timed(self.encoding()) }
    }

    /// Absolute expiry in Unix ms.
    #[inline]
    pub fn expires_at(self) -> Option<i64> {
        self.place.expires_at()
    }

    /// Whether its time has passed.
    #[inline]
    pub fn is_expired(self, now_ms: i64) -> bool {
        self.expires_at().is_some_and(|at| at < now_ms)
    }

    /// The key.
    #[inline]
    pub fn key(self) -> &'a [u8] {
        let (start, len) = self.place.key();
        // SAFETY: the key's bytes are inside the entry, which lives for 'a, and never change.
        unsafe { core::slice::from_raw_parts(start, len) }
    }

    /// The value that is stored behind the key: of an encoding without a body.
    #[inline]
    pub fn embedded(self) -> &'a [u8] {
        debug_assert_eq!(body::bytes(self.encoding()), 0);
        let (start, len) = self.place.embedded();
        // SAFETY: an embedded value's bytes are inside the entry, which nobody changes for 'a.
        unsafe { core::slice::from_raw_parts(start, len) }
    }

    /// The body.
    ///
    /// # Panics
    /// If the encoding has another one.
    #[inline]
    pub fn body<T: Body>(self) -> &'a T {
        assert_eq!(self.encoding(), T::ENCODING, "body of another encoding");
        // SAFETY: the body of this encoding is a `T`, complete since the entry was made, and
        // nobody changes it for 'a.
        unsafe { &*self.place.body::<T>() }
    }

    /// Access clock, 24 bits.
    #[inline]
    pub fn access(self) -> u32 {
        self.place.access()
    }

    /// A snapshot's mark: one of `abi::keyspace::mark`.
    pub fn mark(self) -> u8 {
        self.place.mark()
    }

    /// What its size and head depend on.
    #[inline]
    pub fn shape(self) -> Shape {
        self.place.shape()
    }

    /// The name `OBJECT ENCODING` gives its encoding.
    pub fn encoding_name(self) -> &'static str {
        (self.row().name)(self)
    }

    /// Bytes of memory it and its value take, with their places in the tables.
    pub fn memory(self, heap: Heap) -> usize {
        let places = size_of::<u64>() * (1 + self.listing().is_any() as usize);
        places + heap.usable(self.shape().size()) + (self.row().bytes)(heap, self)
    }

    /// Bytes that it gives back with its value, from a look at some of its parts.
    pub fn estimated_memory(self, heap: Heap) -> usize {
        heap.usable(self.shape().size()) + (self.row().estimated_bytes)(self)
    }

    /// Adds the value, and whether it has a time to live, to a digest.
    pub fn mix_into(self, digest: &mut Digest) {
        digest.mix(&(self.value_type() as u32).to_be_bytes());
        (self.row().digest)(self, digest);
        if self.has_ttl() {
            digest.add(b"!!expire!!");
        }
    }

    /// Adds the parts of a value whose order matters to a digest.
    pub(crate) fn mix_parts_into(self, digest: &mut Digest) {
        (self.row().visit)(self, &mut |parts| parts.iter().for_each(|part| digest.mix(part)));
    }

    /// Allocations its value is made of, the entry left out.
    pub fn allocations(self) -> usize {
        (self.row().allocations)(self)
    }

    /// A copy of it and its value under another key, with the same time to live.
    pub fn duplicate(self, heap: Heap, seed: Seed, key: &[u8]) -> OwnedEntry {
        (self.row().copy)(heap, seed, self, key)
    }

    /// What a copy under a key needs to be made.
    pub(crate) fn shape_for(self, key: &[u8]) -> Shape {
        Shape { key_len: key.len(), ..self.shape() }
    }
}

/// What of a key ends by itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// The key.
    pub ttl: bool,
    /// Parts of its value.
    pub timed: bool,
}

impl Listing {
    /// Whether anything does.
    #[inline]
    pub const fn is_any(self) -> bool {
        self.ttl | self.timed
    }
}

/// An entry to change, for `'a`. The only view of it that is used meanwhile.
pub struct EntryMut<'a> {
    place: Place,
    borrowed: PhantomData<&'a mut u64>,
}

impl<'a> EntryMut<'a> {
    /// The entry at an address, to change it.
    ///
    /// # Safety
    /// As for [`Entry::at`], and nobody else, this lane included, uses another view of it while
    /// this is used: the caller holds exclusively what keeps others away, for as long.
    #[inline(always)]
    pub unsafe fn at(address: u64) -> Self {
        // SAFETY: as the caller promises.
        Self { place: unsafe { Place::at(address) }, borrowed: PhantomData }
    }

    /// The entry, to look at it.
    #[inline]
    pub fn view(&self) -> Entry<'_> {
        // SAFETY: promised to `at`; `&self` keeps changes away.
        unsafe { Entry::at(self.place.address()) }
    }

    /// Changes the expiry of an entry that has one.
    pub fn set_expires_at(&mut self, at: i64) {
        self.place.set_expires_at(at);
    }

    /// Sets the access clock.
    #[inline]
    pub fn set_access(&mut self, clock: u32) {
        self.place.set_access(clock);
    }

    /// Sets a snapshot's mark: one of `abi::keyspace::mark`.
    pub fn set_mark(&mut self, mark: u8) {
        self.place.set_mark(mark);
    }

    /// The value that is stored behind the key, to be overwritten.
    #[inline]
    pub fn embedded_mut(&mut self) -> &mut [u8] {
        debug_assert_eq!(body::bytes(self.place.encoding()), 0);
        let (start, len) = self.place.embedded();
        // SAFETY: an embedded value's bytes are inside the entry; this is its only view, and
        // `&mut self` makes the slice the only reference through it.
        unsafe { core::slice::from_raw_parts_mut(start, len) }
    }

    /// The body, to change it.
    ///
    /// # Panics
    /// If the encoding has another one.
    #[inline]
    pub fn body_mut<T: Body>(&mut self) -> &mut T {
        assert_eq!(self.place.encoding(), T::ENCODING, "body of another encoding");
        // SAFETY: the body of this encoding is a `T`; this is the entry's only view, and
        // `&mut self` makes the reference the only one through it.
        unsafe { &mut *self.place.body::<T>() }
    }

    /// The body, to change it, for as long as the entry is this one's.
    ///
    /// # Panics
    /// If the encoding has another one.
    #[inline]
    pub fn into_body_mut<T: Body>(self) -> &'a mut T {
        assert_eq!(self.place.encoding(), T::ENCODING, "body of another encoding");
        // SAFETY: as in `body_mut`; this was the entry's only view for 'a and ends here.
        unsafe { &mut *self.place.body::<T>() }
    }

    /// Gives an embedded string another value in place, if the new size needs no other
    /// allocation. Returns whether it did.
    #[inline]
    pub fn overwrite_embedded(&mut self, heap: Heap, value: &[u8]) -> bool {
        let old = self.place.shape();
        let new = Shape { value_len: value.len(), raw: false, ..old };
        if old.is_large() != new.is_large() {
            return false;
        }
        if old.value_len != new.value_len {
            if heap.usable(old.size()) != heap.usable(new.size()) {
                return false;
            }
            self.place.rewrite(&new);
        } else if old.raw {
            self.place.rewrite(&new);
        }
        self.embedded_mut().copy_from_slice(value);
        true
    }
}

impl Entry<'_> {
    /// A copy with the same key, whose embedded value has this change.
    pub fn changed(self, heap: Heap, change: &Change<'_>) -> OwnedEntry {
        let old = self.embedded();
        let shape = Shape { value_len: change.len_after(old.len()), ..self.shape() };
        let (before, after) = (&old[..change.removed.start], &old[change.removed.end..]);
        let parts = [change.head, &before[change.head.len()..], change.added, after];
        OwnedEntry::embedded(heap, &shape, self.key(), &parts)
    }
}

impl EntryMut<'_> {
    /// Changes an embedded value in place, if the new size needs no other allocation. Returns
    /// whether it did.
    #[inline]
    pub fn change(&mut self, heap: Heap, change: &Change<'_>) -> bool {
        let old = self.place.shape();
        let new = Shape { value_len: change.len_after(old.value_len), ..old };
        if old.is_large() != new.is_large() || heap.usable(old.size()) != heap.usable(new.size()) {
            return false;
        }
        let (start, added) = (change.removed.start, change.added);
        // While bytes move the value is as long as the longer of both.
        if new.value_len > old.value_len {
            self.place.rewrite(&new);
        }
        let value = self.embedded_mut();
        value.copy_within(change.removed.end..old.value_len, start + added.len());
        value[start..start + added.len()].copy_from_slice(added);
        value[..change.head.len()].copy_from_slice(change.head);
        if new.value_len < old.value_len {
            self.place.rewrite(&new);
        }
        true
    }
}

/// What an entry is to have beside its value.
#[derive(Clone, Copy)]
pub struct Making<'k> {
    /// The key.
    pub key: &'k [u8],
    /// Absolute expiry in Unix ms.
    pub expires_at: Option<i64>,
    /// Access clock, 24 bits.
    pub access: u32,
}

impl Making<'_> {
    /// The shape of an entry with a body.
    pub(crate) fn shape(&self, encoding: u8) -> Shape {
        Shape {
            encoding,
            raw: false,
            expires_at: self.expires_at,
            access: self.access,
            key_len: self.key.len(),
            value_len: 0,
        }
    }

    /// An entry with a body.
    pub(crate) fn with_body<T: Body>(&self, body: OwnedBody<T>) -> OwnedEntry {
        OwnedEntry::with_body(&self.shape(T::ENCODING), self.key, body)
    }

    /// An entry of an encoding without a body.
    pub(crate) fn embedded(&self, heap: Heap, encoding: u8, value: &[u8]) -> OwnedEntry {
        let shape = Shape { value_len: value.len(), ..self.shape(encoding) };
        OwnedEntry::embedded(heap, &shape, self.key, &[value])
    }
}

#[cfg(test)]
mod tests;
