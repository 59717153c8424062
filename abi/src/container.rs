//! Raw layouts of the containers that live in the arena. The algorithms over them are views in
//! the engine; a layout here never changes meaning.
//!
//! Invariant: what a container's fields say is true whenever it can be looked at: the views rest on
//! it and cannot check it. So nobody sets them but the views, and who makes one of zeros. None can
//! be copied, as its memory is its own: a slice of it is borrowed from it.

use abi_stable::StableAbi;
use core::sync::atomic::{AtomicU32, AtomicU64};

use crate::ptr::Ptr;

/// An owned byte string. `capacity == 0` means nothing is allocated.
#[repr(C)]
#[derive(StableAbi, Debug)]
pub struct RawBytes {
    /// The allocation, or null.
    pub data: Ptr<u8>,
    /// Bytes in use.
    pub len: u64,
    /// Bytes allocated.
    pub capacity: u64,
}

impl RawBytes {
    /// Empty, nothing allocated.
    pub const EMPTY: Self = Self { data: Ptr::NULL, len: 0, capacity: 0 };
}

/// A byte queue: bytes are appended at `end` and consumed from `start`.
///
/// `lent` tells that the allocation belongs to the worker and must not be freed or kept beyond
/// the batch; the shell moves what is left to an allocation of the client's own.
#[repr(C)]
#[derive(StableAbi, Debug)]
pub struct RawBuffer {
    /// The allocation, or null.
    pub data: Ptr<u8>,
    /// First byte not yet consumed.
    pub start: u64,
    /// One past the last byte appended.
    pub end: u64,
    /// Bytes allocated.
    pub capacity: u64,
    /// 1 while `data` is the worker's own buffer, else 0.
    pub lent: u64,
}

impl RawBuffer {
    /// Empty, nothing allocated.
    pub const EMPTY: Self = Self { data: Ptr::NULL, start: 0, end: 0, capacity: 0, lent: 0 };

    /// Bytes appended and not yet consumed.
    pub const fn len(&self) -> usize {
        (self.end - self.start) as usize
    }

    /// Whether nothing is left to consume.
    pub const fn is_empty(&self) -> bool {
        self.start == self.end
    }
}

/// A growable array of `u64` words: ids, addresses, packed pairs.
#[repr(C)]
#[derive(StableAbi, Debug)]
pub struct RawVec {
    /// The allocation, or null.
    pub data: Ptr<u64>,
    /// Words in use.
    pub len: u32,
    /// Words allocated.
    pub capacity: u32,
}

impl RawVec {
    /// Empty, nothing allocated.
    pub const EMPTY: Self = Self { data: Ptr::NULL, len: 0, capacity: 0 };
}

/// Slots in a [`Bucket`].
pub const BUCKET_SLOTS: usize = 8;

/// Buckets that a segment of a table with several segments has at least, and is made with.
pub const SEGMENT_BUCKETS: usize = 32;

/// One cache line of a hash table.
///
/// A slot is zero when empty. Otherwise bits 3..48 are the item's address (8-byte aligned) and
/// bits 48..64 are the tag: the 16 bits of the item's hash that follow its segment's depth, with the
/// lowest of them set, so that the tag of an empty slot or of a link, zero, matches no item. When bit
/// 0 of the last slot is set, that slot is instead the address of an overflow bucket, which continues
/// this one. When bit 1 of it is set, items that belong here may lie in the other bucket of the
/// pair, the one whose number in the segment differs in the lowest bit.
///
/// In a chain of buckets only the last one has empty slots, and an overflow bucket holds at least
/// two items.
///
/// Slots are atomics so that a reader that holds no lock (prefetch of a batch) may look at them;
/// what it sees is a hint, never followed without the lock.
#[repr(C, align(64))]
#[derive(StableAbi)]
pub struct Bucket {
    /// The slots.
    pub slots: [AtomicU64; BUCKET_SLOTS],
}

/// A hash table of pointers to items that carry their own key.
///
/// An item's place is given by the top bits of its hash, so walking pairs of buckets in order walks
/// hashes in order, however often the table has grown or shrunk meanwhile: that is what `SCAN`
/// relies on.
///
/// A segment has `n` buckets, 1 or an even number: an item whose tag is `t` belongs to bucket
/// `(t >> 1) * n >> 15`. Its *word* is its address (64-byte aligned, in bits 6..48), its depth in bits
/// 0..5 (the number of leading hash bits that all its items share) and `n` in bits 48..64.
///
/// `root` is zero while the table is empty, so that a reader without the lock sees what belongs
/// together in one word. Otherwise it is
///
/// - with bit 5 clear: the word of the only segment, of depth 0;
/// - with bit 5 set: the address, in bits 6..48, of a directory of `1 << (root & 31)` words of
///   segments in an allocation of at least 64 bytes. Equal neighbours are one segment.
///
/// All fields zero is a valid, empty table. They are atomics for the sake of readers without the
/// lock; only the holder of the lock stores.
#[repr(C)]
#[derive(StableAbi)]
pub struct RawTable {
    /// Items.
    pub count: AtomicU64,
    /// The single segment or the directory, and which of them it is.
    pub root: AtomicU64,
    /// Buckets of the segments owned.
    pub buckets: AtomicU32,
    /// Overflow buckets owned.
    pub overflows: AtomicU32,
    /// Where growth goes on, as the first hash of a segment: those before it have had their turn.
    pub swept: AtomicU64,
}

impl RawTable {
    /// A table without items, nothing allocated.
    pub const fn new() -> Self {
        Self {
            count: AtomicU64::new(0),
            root: AtomicU64::new(0),
            buckets: AtomicU32::new(0),
            overflows: AtomicU32::new(0),
            swept: AtomicU64::new(0),
        }
    }
}

impl Default for RawTable {
    fn default() -> Self {
        Self::new()
    }
}

/// A list value: a doubly linked list of packed nodes.
#[repr(C)]
#[derive(StableAbi, Debug)]
pub struct RawList {
    /// First node, or null.
    pub head: Ptr<ListNode>,
    /// Last node, or null.
    pub tail: Ptr<ListNode>,
    /// Elements in all nodes.
    pub len: u64,
    /// Nodes.
    pub nodes: u32,
    /// Of the node that who moves nodes goes on with, bits 3..35 of its address, or 1 if those are 0;
    /// 0 for none. It goes with the node: so who remembers the address can tell that it is there.
    pub bookmark: u32,
}

impl RawList {
    /// A list without elements.
    pub const EMPTY: Self =
        Self { head: Ptr::NULL, tail: Ptr::NULL, len: 0, nodes: 0, bookmark: 0 };
}

/// A hash with many or large fields: its table's items are records with a value (see [`record`]).
#[repr(C)]
#[derive(StableAbi)]
pub struct RawHash {
    /// The fields.
    pub fields: RawTable,
}

/// A hash with many or large fields, some of which end by themselves.
///
/// The members of `ends` are names of fields that are there, and their scores the Unix ms at which
/// those end: the first is the next to go. A hash of which no field ends is a [`RawHash`] as soon as
/// there is memory to make it one.
#[repr(C)]
#[derive(StableAbi)]
pub struct RawTimedHash {
    /// The fields, all of them. The first part of the body, where that of a [`RawHash`] has it.
    pub hash: RawHash,
    /// When those end that do.
    pub ends: RawSortedSet,
    /// What names in both are hashed with: [`crate::arena::ArenaHeader::hash_seed`], so that fields
    /// can be looked up by whoever has the entry alone.
    pub seed: [u64; 2],
}

/// A set with many or large members: its table's items are records without a value (see
/// [`record`]).
#[repr(C)]
#[derive(StableAbi)]
pub struct RawSet {
    /// The members.
    pub members: RawTable,
}

/// A sorted set with many or large members: a table of [`scored`] records by name, and a B+ tree of
/// the same records in order of score, then of name.
#[repr(C)]
#[derive(StableAbi)]
pub struct RawSortedSet {
    /// The members.
    pub members: RawTable,
    /// Address of the topmost node of the tree, or zero.
    pub root: u64,
    /// Levels of [`TreeInner`] above the leaves.
    pub height: u32,
    /// Zero.
    pub reserved: u32,
}

impl RawSortedSet {
    /// A sorted set without members, nothing allocated.
    pub const fn new() -> Self {
        Self { members: RawTable::new(), root: 0, height: 0, reserved: 0 }
    }
}

impl Default for RawSortedSet {
    fn default() -> Self {
        Self::new()
    }
}

/// Most members of a [`TreeLeaf`]: it then fills 1 KiB.
pub const LEAF_MEMBERS: usize = 125;

/// Most children of a [`TreeInner`]: so many fit into 1 KiB.
pub const INNER_CHILDREN: usize = 31;

/// A leaf of a sorted set's tree: this header, then `capacity` words of which the first `count` are
/// members, in order. There is at least one.
///
/// The sort key of a member is a number of 128 bits: the order of its score (see [`scored`]) and below
/// it the first eight bytes of its name, big-endian, filled up with zeros. So keys are in the order of
/// members, though some may have the same. A word has the address of the member's record in bits
/// 0..48, and in bits 48..64 a prefix of its sort key: `(key - base) >> shift`, 0 for a key below
/// `base` and `0xffff` for one that is too large. So a search reads few records, mostly one.
#[repr(C)]
#[derive(StableAbi, Debug)]
pub struct TreeLeaf {
    /// The upper half of what prefixes are counted from.
    pub base_score: u64,
    /// Its lower half.
    pub base_name: u64,
    /// Bits of the difference that prefixes leave out, below 128.
    pub shift: u32,
    /// Members.
    pub count: u16,
    /// Words after this header, at most [`LEAF_MEMBERS`].
    pub capacity: u16,
}

/// A node of a sorted set's tree above the leaves. Of each array the first `count` are in use.
#[repr(C)]
#[derive(StableAbi, Debug)]
pub struct TreeInner {
    /// Children, at least one.
    pub count: u64,
    /// Zero.
    pub reserved: [u64; 3],
    /// Of each child, the order of its first member's score.
    pub scores: [u64; INNER_CHILDREN],
    /// Of each child, the address of its first member's record.
    pub firsts: [u64; INNER_CHILDREN],
    /// The addresses of the children: leaves, or nodes a level lower.
    pub children: [u64; INNER_CHILDREN],
    /// Members below each child.
    pub members: [u64; INNER_CHILDREN],
}

/// A node of a list: this header, then `capacity_bytes` bytes of which `start..end` hold packed
/// elements (see [`packed`]). Free room may be at both ends, so that both ends push in O(1).
#[repr(C)]
#[derive(StableAbi, Debug)]
pub struct ListNode {
    /// The node before, or null.
    pub prev: Ptr<ListNode>,
    /// The node after, or null.
    pub next: Ptr<ListNode>,
    /// First byte of the first element, from the start of the data.
    pub start: u32,
    /// One past the last byte of the last element.
    pub end: u32,
    /// Bytes of data after this header.
    pub capacity_bytes: u32,
    /// Elements in this node.
    pub count: u32,
}

/// An item of a table of names, each with or without a value: one allocation of
///
/// ```text
/// length of the name, the name, length of the value, the value
/// ```
///
/// where what follows the name is there in tables with values only, fields of hashes. A length is
/// written in groups of 7 bits, the least significant first, with bit 7 set on each byte but the
/// last. The item's hash is that of its name, made as that of a key.
pub mod record {}

/// A member of a large sorted set: one allocation of
///
/// ```text
/// score f64, length of the name, the name
/// ```
///
/// with the length and the hash as in [`record`]. No score is NaN. The order of a score is an
/// integer that compares as scores do: the bits of the `f64`, all inverted if it is negative, else
/// with the top bit set; both zeros have that of +0.
pub mod scored {}

/// Rows of packed elements in one byte string: what small hashes (rows of field and value), small
/// sets (rows of a member) and small sorted sets (rows of a member and its score) are.
///
/// A score is an integer if it is one of at most 2^62 in magnitude, else a string of the eight bytes
/// of the `f64`, little-endian; -0 is the integer 0. The rows of a sorted set are in order of score, then of member.
///
/// The first two bytes are the number of rows, little-endian; [`rows::UNCOUNTED`] if there are as many
/// or more. Then the rows, in the order in which they came if they have no other, each as many elements as a row has. An
/// element is as in [`packed`], without its tail. No two rows have the same first element.
pub mod rows {
    /// Bytes before the first row.
    pub const HEAD_BYTES: usize = 2;
    /// In the place of a number of rows that the head has no room for.
    pub const UNCOUNTED: u16 = u16::MAX;
}

/// A set of integers in one byte string: first the bytes of each, 2, 4 or 8, in one byte; then the
/// integers, signed and little-endian, in ascending order. They are as wide as any of them that was
/// ever in the set has needed.
pub mod ints {
    /// Bytes before the first integer.
    pub const HEAD_BYTES: usize = 1;
}

/// The packed encoding of elements, used by list nodes and, without the tails, by [`rows`].
///
/// An element is `head payload tail`. The head gives the payload's kind and length, the tail gives
/// the element's whole length so that it can be walked from the end.
///
/// | first byte | payload | meaning |
/// | --- | --- | --- |
/// | `0xxxxxxx` | none | the integer 0..=127 |
/// | `10xxxxxx` | x bytes | a string of up to 63 bytes |
/// | `0xc0` | 2 bytes | an `i16`, little-endian |
/// | `0xc1` | 4 bytes | an `i32`, little-endian |
/// | `0xc2` | 8 bytes | an `i64`, little-endian |
/// | `0xd0` | `u16` length, bytes | a string |
/// | `0xd1` | `u32` length, bytes | a string |
///
/// A byte string is stored as an integer exactly when it is that integer's canonical decimal form.
///
/// The tail is the length of head and payload in 7-bit groups, most significant group first when
/// read forwards; the byte nearest the next element is the least significant group. Bit 7 is set
/// on every byte but the one read last when walking backwards.
pub mod packed {
    /// Tag of a 2-byte integer.
    pub const INT16: u8 = 0xc0;
    /// Tag of a 4-byte integer.
    pub const INT32: u8 = 0xc1;
    /// Tag of an 8-byte integer.
    pub const INT64: u8 = 0xc2;
    /// Tag of a string with a 2-byte length.
    pub const STR16: u8 = 0xd0;
    /// Tag of a string with a 4-byte length.
    pub const STR32: u8 = 0xd1;
    /// Longest string with its length in the first byte.
    pub const STR6_MAX: usize = 63;
}
