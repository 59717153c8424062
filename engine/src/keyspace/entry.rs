//! An entry: one allocation with a key, its value, and what is known of it.
//!
//! The layout is drawn in `abi::keyspace::entry`. This file is the only one that computes its
//! offsets. An [`Entry`] is a borrow of an entry whose shard is locked.

use core::marker::PhantomData;
use core::mem::size_of;

use abi::container::{RawBytes, RawList};
use abi::keyspace::entry::{
    ACCESS_SHIFT, FLAG_LARGE, FLAG_RAW, FLAG_TTL, KEY_LEN_SHIFT, SMALL_KEY_MAX, SMALL_VALUE_MAX,
    VALUE_LEN_SHIFT,
};
use abi::keyspace::value_type;
use abi::schema::encoding;

use crate::heap::Heap;

const WORD: usize = size_of::<u64>();
const ACCESS_MASK: u64 = !0 << ACCESS_SHIFT;

/// Bytes of the body of an encoding.
fn body_bytes(enc: u8) -> usize {
    match enc {
        encoding::STRING_INT => size_of::<i64>(),
        encoding::STRING_EMBEDDED => 0,
        encoding::STRING_HEAP => size_of::<RawBytes>(),
        encoding::LIST_NODES => size_of::<RawList>(),
        other => panic!("encoding {other} belongs to no schema level of this release"),
    }
}

/// What the size and the head word of an entry depend on.
#[derive(Clone, Copy)]
pub struct Shape {
    /// One of `abi::keyspace::value_type`.
    pub kind: u8,
    /// One of `abi::schema::encoding`.
    pub encoding: u8,
    /// `OBJECT ENCODING` says `raw` whatever the length.
    pub raw: bool,
    /// Absolute expiry in Unix ms.
    pub expires_at: Option<i64>,
    /// Access clock, 24 bits.
    pub access: u32,
    /// Bytes of key.
    pub key_len: usize,
    /// Bytes of value that follow the key; zero unless embedded.
    pub value_len: usize,
}

impl Shape {
    #[inline]
    fn is_large(&self) -> bool {
        self.key_len > SMALL_KEY_MAX || self.value_len > SMALL_VALUE_MAX
    }

    #[inline]
    fn head(&self) -> u64 {
        let mut head = self.kind as u64 | (self.encoding as u64) << 4;
        head |= (self.access as u64) << ACCESS_SHIFT;
        if self.expires_at.is_some() {
            head |= FLAG_TTL;
        }
        if self.raw {
            head |= FLAG_RAW;
        }
        if self.is_large() {
            head | FLAG_LARGE
        } else {
            head | (self.key_len as u64) << KEY_LEN_SHIFT
                | (self.value_len as u64) << VALUE_LEN_SHIFT
        }
    }

    #[inline]
    fn body_offset(&self) -> usize {
        WORD * (1 + self.is_large() as usize + self.expires_at.is_some() as usize)
    }

    /// Bytes of the whole entry.
    #[inline]
    pub fn size(&self) -> usize {
        self.body_offset() + body_bytes(self.encoding) + self.key_len + self.value_len
    }
}

/// An entry in the arena. Its shard is locked for `'a`.
#[derive(Clone, Copy)]
pub struct Entry<'a> {
    address: u64,
    shard: PhantomData<&'a mut u64>,
}

impl<'a> Entry<'a> {
    /// The entry at an address.
    ///
    /// # Safety
    /// An entry lives there, its shard is locked for `'a` by this lane, and no reference into it
    /// that could conflict is used while this one is.
    #[inline]
    pub unsafe fn at(address: u64) -> Self {
        Self { address, shard: PhantomData }
    }

    /// Allocates an entry: head, lengths, expiry and key are written; the body and the embedded
    /// value are the caller's to write before anything reads them.
    pub fn allocate(heap: Heap, shape: &Shape, key: &[u8]) -> Self {
        debug_assert_eq!(key.len(), shape.key_len);
        let entry = Self { address: heap.alloc(shape.size()), shard: PhantomData };
        entry.write_shape(shape);
        // SAFETY: the key's room follows the body, within the size just allocated.
        unsafe {
            core::ptr::copy_nonoverlapping(
                key.as_ptr(),
                entry.pointer(entry.key_offset()),
                key.len(),
            )
        };
        entry
    }

    /// Writes head, lengths and expiry of an allocation with room for them.
    fn write_shape(self, shape: &Shape) {
        self.set_head(shape.head());
        let mut offset = WORD;
        if shape.is_large() {
            let lengths = shape.key_len as u64 | (shape.value_len as u64) << 32;
            self.set_word(offset, lengths);
            offset += WORD;
        }
        if let Some(at) = shape.expires_at {
            self.set_word(offset, at as u64);
        }
    }

    /// Where it lives.
    #[inline]
    pub fn address(self) -> u64 {
        self.address
    }

    #[inline]
    fn pointer(self, offset: usize) -> *mut u8 {
        (self.address as usize + offset) as *mut u8
    }

    #[inline]
    fn word(self, offset: usize) -> u64 {
        // SAFETY: callers pass offsets of words inside the entry; entries are 8-byte aligned.
        unsafe { self.pointer(offset).cast::<u64>().read() }
    }

    #[inline]
    fn set_word(self, offset: usize, word: u64) {
        // SAFETY: as in `word`.
        unsafe { self.pointer(offset).cast::<u64>().write(word) }
    }

    #[inline]
    fn head(self) -> u64 {
        self.word(0)
    }

    #[inline]
    fn set_head(self, head: u64) {
        self.set_word(0, head);
    }

    /// One of `abi::keyspace::value_type`.
    #[inline]
    pub fn kind(self) -> u8 {
        (self.head() & 0xf) as u8
    }

    /// One of `abi::schema::encoding`.
    #[inline]
    pub fn encoding(self) -> u8 {
        (self.head() >> 4 & 0xf) as u8
    }

    /// Whether `OBJECT ENCODING` says `raw` whatever the length.
    pub fn is_raw(self) -> bool {
        self.head() & FLAG_RAW != 0
    }

    #[inline]
    fn is_large(self) -> bool {
        self.head() & FLAG_LARGE != 0
    }

    /// Whether the key has a time to live.
    #[inline]
    pub fn has_ttl(self) -> bool {
        self.head() & FLAG_TTL != 0
    }

    #[inline]
    fn ttl_offset(self) -> usize {
        WORD + WORD * self.is_large() as usize
    }

    /// Absolute expiry in Unix ms.
    #[inline]
    pub fn expires_at(self) -> Option<i64> {
        self.has_ttl().then(|| self.word(self.ttl_offset()) as i64)
    }

    /// Whether its time has passed.
    #[inline]
    pub fn is_expired(self, now_ms: i64) -> bool {
        self.expires_at().is_some_and(|at| at < now_ms)
    }

    /// Changes the expiry of an entry that has one.
    pub fn set_expires_at(self, at: i64) {
        assert!(self.has_ttl());
        self.set_word(self.ttl_offset(), at as u64);
    }

    #[inline]
    fn body_offset(self) -> usize {
        WORD * (1 + self.is_large() as usize + self.has_ttl() as usize)
    }

    #[inline]
    fn key_offset(self) -> usize {
        self.body_offset() + body_bytes(self.encoding())
    }

    #[inline]
    fn lengths(self) -> (usize, usize) {
        let head = self.head();
        if head & FLAG_LARGE == 0 {
            ((head >> KEY_LEN_SHIFT & 0xff) as usize, (head >> VALUE_LEN_SHIFT & 0xffff) as usize)
        } else {
            let lengths = self.word(WORD);
            ((lengths & 0xffff_ffff) as usize, (lengths >> 32) as usize)
        }
    }

    /// The key.
    #[inline]
    pub fn key(self) -> &'a [u8] {
        let (len, _) = self.lengths();
        // SAFETY: the key's bytes are inside the entry and never change while it lives.
        unsafe { core::slice::from_raw_parts(self.pointer(self.key_offset()), len) }
    }

    /// The value of an embedded string.
    #[inline]
    pub fn embedded(self) -> &'a [u8] {
        let (start, len) = self.embedded_place();
        // SAFETY: an embedded value's bytes are inside the entry.
        unsafe { core::slice::from_raw_parts(start, len) }
    }

    /// The value of an embedded string, to be overwritten.
    #[inline]
    pub fn embedded_mut(self) -> &'a mut [u8] {
        let (start, len) = self.embedded_place();
        // SAFETY: as in `embedded`; the shard's lock and `&mut Keys` make this the only user.
        unsafe { core::slice::from_raw_parts_mut(start, len) }
    }

    /// Where the value of an embedded string is: behind the key.
    #[inline]
    fn embedded_place(self) -> (*mut u8, usize) {
        debug_assert_eq!(self.encoding(), encoding::STRING_EMBEDDED);
        let (key_len, len) = self.lengths();
        (self.pointer(self.key_offset() + key_len), len)
    }

    fn body<T>(self, expected: u8) -> *mut T {
        assert_eq!(self.encoding(), expected, "body of another encoding");
        self.pointer(self.body_offset()).cast()
    }

    /// The value of an integer string.
    #[inline]
    pub fn integer(self) -> i64 {
        // SAFETY: the body of this encoding is an `i64`.
        unsafe { self.body::<i64>(encoding::STRING_INT).read() }
    }

    /// Overwrites the value of an integer string.
    #[inline]
    pub fn set_integer(self, value: i64) {
        // SAFETY: as in `integer`.
        unsafe { self.body::<i64>(encoding::STRING_INT).write(value) }
    }

    /// Where the body of a string of its own allocation is. Uninitialized after `allocate`.
    pub fn heap_string(self) -> *mut RawBytes {
        self.body(encoding::STRING_HEAP)
    }

    /// Where the body of a list is. Uninitialized after `allocate`.
    pub fn list(self) -> *mut RawList {
        self.body(encoding::LIST_NODES)
    }

    /// Access clock, 24 bits.
    #[inline]
    pub fn access(self) -> u32 {
        (self.head() >> ACCESS_SHIFT) as u32
    }

    /// Sets the access clock.
    #[inline]
    pub fn set_access(self, clock: u32) {
        let head = self.head();
        let changed = head & !ACCESS_MASK | (clock as u64) << ACCESS_SHIFT;
        // A clean line stays clean: most accesses to a hot key fall into the same second.
        if changed != head {
            self.set_head(changed);
        }
    }

    /// What its size and head depend on.
    #[inline]
    pub fn shape(self) -> Shape {
        let (key_len, value_len) = self.lengths();
        Shape {
            kind: self.kind(),
            encoding: self.encoding(),
            raw: self.is_raw(),
            expires_at: self.expires_at(),
            access: self.access(),
            key_len,
            value_len,
        }
    }

    /// Frees the allocation of the entry alone: whatever the body owns must have been freed or
    /// moved before.
    ///
    /// # Safety
    /// Nothing refers to the entry any more.
    pub unsafe fn free(self, heap: Heap) {
        // SAFETY: allocated by `allocate` with the size its shape gives.
        unsafe { heap.free(self.address, self.shape().size()) }
    }

    /// A copy of this entry with another expiry. The body moves to the copy bit by bit: the
    /// caller frees the original with [`Entry::free`] and never looks at its body again.
    pub fn with_expiry(self, heap: Heap, expires_at: Option<i64>) -> Entry<'a> {
        let shape = Shape { expires_at, ..self.shape() };
        let copy = Entry::allocate(heap, &shape, self.key());
        let body = body_bytes(shape.encoding);
        let tail = body + shape.key_len + shape.value_len;
        // SAFETY: both entries have body, key and value in a row from their body offset, of the
        // same lengths, and do not overlap.
        unsafe {
            core::ptr::copy_nonoverlapping(
                self.pointer(self.body_offset()),
                copy.pointer(copy.body_offset()),
                tail,
            );
        }
        copy
    }

    /// A copy of this entry with another key. The body moves to the copy as with
    /// [`Entry::with_expiry`].
    pub fn with_key(self, heap: Heap, key: &[u8]) -> Entry<'static> {
        let old = self.shape();
        let copy = Entry::allocate(heap, &Shape { key_len: key.len(), ..old }, key);
        let body = body_bytes(old.encoding);
        // SAFETY: both entries have a body of this length, and behind their keys the same room
        // for an embedded value. They do not overlap.
        unsafe {
            core::ptr::copy_nonoverlapping(
                self.pointer(self.body_offset()),
                copy.pointer(copy.body_offset()),
                body,
            );
            core::ptr::copy_nonoverlapping(
                self.pointer(self.key_offset() + old.key_len),
                copy.pointer(copy.key_offset() + key.len()),
                old.value_len,
            );
        }
        copy
    }

    /// Gives an embedded string another value in place, if the new size needs no other
    /// allocation. Returns whether it did.
    #[inline]
    pub fn overwrite_embedded(self, heap: Heap, value: &[u8]) -> bool {
        let old = self.shape();
        let new = Shape { value_len: value.len(), raw: false, ..old };
        if old.is_large() != new.is_large() {
            return false;
        }
        if old.value_len != new.value_len {
            if heap.usable(old.size()) != heap.usable(new.size()) {
                return false;
            }
            self.write_shape(&new);
        } else if old.raw {
            self.write_shape(&new);
        }
        self.embedded_mut().copy_from_slice(value);
        true
    }
}

/// Whether a value of this type may be waited for by blocking commands.
pub fn is_waitable(kind: u8) -> bool {
    matches!(kind, value_type::LIST | value_type::ZSET | value_type::STREAM)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heap::testing::{heap, outstanding};

    fn shape(key: &[u8], value: &[u8], expires_at: Option<i64>) -> Shape {
        Shape {
            kind: value_type::STRING,
            encoding: encoding::STRING_EMBEDDED,
            raw: false,
            expires_at,
            access: 0xabcdef,
            key_len: key.len(),
            value_len: value.len(),
        }
    }

    #[test]
    fn sixteen_and_sixty_four_take_eighty_eight() {
        assert_eq!(shape(&[0; 16], &[0; 64], None).size(), 88);
    }

    #[test]
    fn every_form_reads_back() {
        for key_len in [0, 1, 16, 255, 256, 70_000] {
            for value_len in [0, 1, 64, 65_535, 65_536] {
                for ttl in [None, Some(-1), Some(1_700_000_000_000)] {
                    round_trip(&vec![b'k'; key_len], &vec![b'v'; value_len], ttl);
                }
            }
        }
        assert_eq!(outstanding(), 0);
    }

    fn round_trip(key: &[u8], value: &[u8], ttl: Option<i64>) {
        let entry = Entry::allocate(heap(), &shape(key, value, ttl), key);
        entry.embedded_mut().copy_from_slice(value);
        let check = |entry: Entry<'_>, ttl| {
            assert_eq!(entry.key(), key);
            assert_eq!(entry.embedded(), value);
            assert_eq!(entry.expires_at(), ttl);
            assert_eq!((entry.kind(), entry.access()), (value_type::STRING, 0xabcdef));
        };
        check(entry, ttl);
        let moved = entry.with_expiry(heap(), Some(77));
        // SAFETY: only the copy is used from here.
        unsafe { entry.free(heap()) };
        check(moved, Some(77));
        let back = moved.with_expiry(heap(), None);
        // SAFETY: only the copy is used from here.
        unsafe { moved.free(heap()) };
        check(back, None);
        let renamed = back.with_key(heap(), b"another key");
        assert_eq!((renamed.key(), renamed.embedded()), (&b"another key"[..], value));
        assert_eq!((renamed.expires_at(), renamed.access()), (None, 0xabcdef));
        // SAFETY: nothing refers to them.
        unsafe {
            back.free(heap());
            renamed.free(heap());
        }
    }

    #[test]
    fn overwrites_in_place_only_within_the_same_size() {
        let entry = Entry::allocate(heap(), &shape(b"key", b"value", None), b"key");
        entry.embedded_mut().copy_from_slice(b"value");
        assert!(entry.overwrite_embedded(heap(), b"other"));
        assert_eq!(entry.embedded(), b"other");
        assert!(!entry.overwrite_embedded(heap(), b"longer"));
        assert_eq!((entry.embedded(), entry.key()), (&b"other"[..], &b"key"[..]));
        // SAFETY: nothing refers to it.
        unsafe { entry.free(heap()) };
    }
}
