//! Where the parts of an entry are: the only file that computes its offsets, which are drawn in
//! `abi::keyspace::entry`.

use abi::keyspace::entry::{
    ACCESS_SHIFT, FLAG_LARGE, FLAG_RAW, FLAG_TTL, KEY_LEN_SHIFT, MARK_BITS, MARK_SHIFT,
    SMALL_KEY_MAX, SMALL_VALUE_MAX, VALUE_LEN_SHIFT,
};

use abi::container::{RawHash, RawSet, RawSortedSet, RawTable};
use abi::schema::encoding as id;

use crate::body;

const WORD: usize = size_of::<u64>();
/// At which word of a body that is a table its root is.
const ROOT: usize = core::mem::offset_of!(RawTable, root) / WORD;
const _: () = assert!(core::mem::offset_of!(RawSet, members) == 0);
const _: () = assert!(core::mem::offset_of!(RawHash, fields) == 0);
const _: () = assert!(core::mem::offset_of!(RawSortedSet, members) == 0);
const ACCESS_MASK: u64 = !0 << ACCESS_SHIFT;
const ENCODING_MASK: u64 = 0xff;
/// Bits of the head word that a shape says nothing of: what others have noted in the entry.
const NOTES: u64 = MARK_MASK;
const MARK_MASK: u64 = ((1 << MARK_BITS) - 1) << MARK_SHIFT;

/// What the size and the head word of an entry depend on.
#[derive(Clone, Copy)]
pub struct Shape {
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
    pub(super) fn is_large(&self) -> bool {
        self.key_len > SMALL_KEY_MAX || self.value_len > SMALL_VALUE_MAX
    }

    #[inline]
    fn head(&self) -> u64 {
        let mut head = self.encoding as u64 | (self.access as u64) << ACCESS_SHIFT;
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
        self.body_offset() + body::bytes(self.encoding) + self.key_len + self.value_len
    }
}

/// At which word of an entry with this head the root of the table is that its value is, if it is one.
#[inline]
pub fn table_root(head: u64) -> Option<usize> {
    // A hash of which fields end begins with its fields too.
    let is_table = matches!(
        (head & ENCODING_MASK) as u8,
        id::SET_TABLE | id::HASH_TABLE | id::HASH_TABLE_TIMED | id::ZSET_TREE
    );
    let before = 1 + usize::from(head & FLAG_LARGE != 0) + usize::from(head & FLAG_TTL != 0);
    is_table.then_some(before + ROOT)
}

/// The place of an entry. Copying it copies no right to use it: the views around it hold that.
#[derive(Clone, Copy)]
pub(super) struct Place(u64);

impl Place {
    /// The entry at an address.
    ///
    /// # Safety
    /// Whenever a method of this or of a copy is called, an allocation lives there that head,
    /// lengths and expiry of an entry have been written to, and the caller has the right to that
    /// access: shared to read, exclusive to write.
    #[inline(always)]
    pub unsafe fn at(address: u64) -> Self {
        Self(address)
    }

    #[inline(always)]
    pub fn address(self) -> u64 {
        self.0
    }

    #[inline(always)]
    fn pointer(self, offset: usize) -> *mut u8 {
        (self.0 as usize + offset) as *mut u8
    }

    #[inline(always)]
    fn word(self, offset: usize) -> u64 {
        // SAFETY: callers pass offsets of words inside the entry, which is 8-byte aligned; that it
        // lives and may be read is promised to `at`.
        unsafe { self.pointer(offset).cast::<u64>().read() }
    }

    #[inline(always)]
    fn set_word(self, offset: usize, word: u64) {
        // SAFETY: as in `word`; that it may be written is promised to `at`.
        unsafe { self.pointer(offset).cast::<u64>().write(word) }
    }

    #[inline(always)]
    pub fn head(self) -> u64 {
        self.word(0)
    }

    #[inline(always)]
    pub fn encoding(self) -> u8 {
        (self.head() & ENCODING_MASK) as u8
    }

    #[inline]
    pub fn has(self, flag: u64) -> bool {
        self.head() & flag != 0
    }

    /// Writes head, lengths and expiry; what others have noted is `notes`.
    #[inline]
    fn write(self, shape: &Shape, notes: u64) {
        self.set_word(0, shape.head() | notes);
        let mut offset = WORD;
        if shape.is_large() {
            self.set_word(offset, shape.key_len as u64 | (shape.value_len as u64) << 32);
            offset += WORD;
        }
        if let Some(at) = shape.expires_at {
            self.set_word(offset, at as u64);
        }
    }

    /// Writes head, lengths and expiry of a new entry, and its key.
    #[inline]
    pub fn write_new(self, shape: &Shape, key: &[u8]) {
        debug_assert_eq!(key.len(), shape.key_len);
        self.write(shape, 0);
        let offset = shape.body_offset() + body::bytes(shape.encoding);
        // SAFETY: the key's room follows the body, within the entry.
        unsafe { self.pointer(offset).copy_from_nonoverlapping(key.as_ptr(), key.len()) };
    }

    /// Writes head, lengths and expiry anew.
    #[inline]
    pub fn rewrite(self, shape: &Shape) {
        self.write(shape, self.head() & NOTES);
    }

    #[inline]
    fn ttl_offset(self) -> usize {
        WORD + WORD * self.has(FLAG_LARGE) as usize
    }

    #[inline]
    pub fn expires_at(self) -> Option<i64> {
        self.has(FLAG_TTL).then(|| self.word(self.ttl_offset()) as i64)
    }

    #[inline]
    pub fn set_expires_at(self, at: i64) {
        assert!(self.has(FLAG_TTL));
        self.set_word(self.ttl_offset(), at as u64);
    }

    #[inline]
    fn body_offset(self) -> usize {
        WORD * (1 + self.has(FLAG_LARGE) as usize + self.has(FLAG_TTL) as usize)
    }

    #[inline]
    fn key_offset(self) -> usize {
        self.body_offset() + body::bytes(self.encoding())
    }

    /// Bytes of key and of embedded value.
    #[inline]
    pub fn lengths(self) -> (usize, usize) {
        let head = self.head();
        if head & FLAG_LARGE == 0 {
            ((head >> KEY_LEN_SHIFT & 0xff) as usize, (head >> VALUE_LEN_SHIFT & 0xffff) as usize)
        } else {
            let lengths = self.word(WORD);
            ((lengths & 0xffff_ffff) as usize, (lengths >> 32) as usize)
        }
    }

    /// Where the body is.
    #[inline]
    pub fn body<T>(self) -> *mut T {
        self.pointer(self.body_offset()).cast()
    }

    /// Where the key is.
    #[inline]
    pub fn key(self) -> (*mut u8, usize) {
        (self.pointer(self.key_offset()), self.lengths().0)
    }

    /// Where an embedded value is: behind the key.
    #[inline]
    pub fn embedded(self) -> (*mut u8, usize) {
        let (key_len, len) = self.lengths();
        (self.pointer(self.key_offset() + key_len), len)
    }

    #[inline]
    pub fn access(self) -> u32 {
        (self.head() >> ACCESS_SHIFT) as u32
    }

    #[inline]
    pub fn set_access(self, clock: u32) {
        let head = self.head();
        let changed = head & !ACCESS_MASK | (clock as u64) << ACCESS_SHIFT;
        // A clean line stays clean: most accesses to a hot key fall into the same second.
        if changed != head {
            self.set_word(0, changed);
        }
    }

    /// A snapshot's mark: one of `abi::keyspace::mark`.
    pub fn mark(self) -> u8 {
        (self.head() >> MARK_SHIFT) as u8 & ((1 << MARK_BITS) - 1)
    }

    pub fn set_mark(self, mark: u8) {
        debug_assert!(mark < 1 << MARK_BITS);
        self.set_word(0, self.head() & !MARK_MASK | (mark as u64) << MARK_SHIFT);
    }

    #[inline]
    pub fn shape(self) -> Shape {
        let (key_len, value_len) = self.lengths();
        Shape {
            encoding: self.encoding(),
            raw: self.has(FLAG_RAW),
            expires_at: self.expires_at(),
            access: self.access(),
            key_len,
            value_len,
        }
    }

    /// Copies body and embedded value of another entry of the same encoding and lengths of value.
    pub fn copy_value_from(self, old: Self) {
        let body = body::bytes(old.encoding());
        let ((from, len), (to, _)) = (old.embedded(), self.embedded());
        // SAFETY: both entries have a body of this length and, behind their keys, the same room for
        // an embedded value. They are two allocations.
        unsafe {
            self.body::<u8>().copy_from_nonoverlapping(old.body::<u8>(), body);
            to.copy_from_nonoverlapping(from, len);
        }
    }
}
