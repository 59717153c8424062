//! Raw layouts of streams: nodes of packed entries in a search tree, and consumer groups beside them.
//! What is said of [`crate::container`] holds here too.

use abi_stable::StableAbi;

use crate::container::RawTable;
use crate::ptr::Ptr;

/// The id of an entry: Unix ms, and a number that tells entries of the same ms apart.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId {
    /// Milliseconds.
    pub ms: u64,
    /// The number among those of the same ms.
    pub seq: u64,
}

impl StreamId {
    /// The least.
    pub const MIN: Self = Self { ms: 0, seq: 0 };
    /// The greatest.
    pub const MAX: Self = Self { ms: u64::MAX, seq: u64::MAX };

    /// The id behind this one.
    pub const fn next(self) -> Option<Self> {
        match (self.ms, self.seq) {
            (u64::MAX, u64::MAX) => None,
            (ms, u64::MAX) => Some(Self { ms: ms + 1, seq: 0 }),
            (ms, seq) => Some(Self { ms, seq: seq + 1 }),
        }
    }

    /// The id before this one.
    pub const fn previous(self) -> Option<Self> {
        match (self.ms, self.seq) {
            (0, 0) => None,
            (ms, 0) => Some(Self { ms: ms - 1, seq: u64::MAX }),
            (ms, seq) => Some(Self { ms, seq: seq - 1 }),
        }
    }
}

/// Most slots of an [`IdNode`]: it then fills 1 KiB.
pub const ID_SLOTS: usize = 42;

/// An ordered map from ids to words: a B+ tree of [`IdNode`]s.
#[repr(C)]
#[derive(StableAbi, Debug)]
pub struct RawIds {
    /// Address of the topmost node, or zero.
    pub root: u64,
    /// Ids.
    pub count: u64,
    /// Levels above the leaves.
    pub height: u32,
    /// Zero.
    pub reserved: u32,
}

impl RawIds {
    /// Without ids, nothing allocated.
    pub const EMPTY: Self = Self { root: 0, count: 0, height: 0, reserved: 0 };
}

/// A node of the tree: this header, then `capacity` [`IdSlot`]s of which the first `count` are in use,
/// in order. There is at least one.
#[repr(C)]
#[derive(StableAbi, Debug)]
pub struct IdNode {
    /// Slots in use.
    pub count: u32,
    /// Slots that there is room for, at most [`ID_SLOTS`].
    pub capacity: u32,
    /// Zero.
    pub reserved: u64,
}

/// An id with its word. Above the leaves the word is the address of a child, and the id is greater
/// than all of the child before and at most the first of this one; that of the first child means
/// nothing.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct IdSlot {
    /// The id.
    pub id: StreamId,
    /// What it leads to.
    pub word: u64,
}

/// A stream.
#[repr(C)]
#[derive(StableAbi)]
pub struct RawStream {
    /// Its entries, and what is remembered of those it has had.
    pub entries: RawEntries,
    /// Its consumer groups.
    pub groups: RawGroups,
    /// Zero.
    pub reserved: [u64; 2],
}

impl RawStream {
    /// A stream that has never had an entry, nothing allocated.
    pub const fn new() -> Self {
        Self { entries: RawEntries::EMPTY, groups: RawGroups::new(), reserved: [0; 2] }
    }
}

impl Default for RawStream {
    fn default() -> Self {
        Self::new()
    }
}

/// The consumer groups of a stream.
#[repr(C)]
#[derive(StableAbi)]
pub struct RawGroups {
    /// Items are [`StreamGroup`].
    pub table: RawTable,
}

impl RawGroups {
    /// Without any, nothing allocated.
    pub const fn new() -> Self {
        Self { table: RawTable::new() }
    }
}

impl Default for RawGroups {
    fn default() -> Self {
        Self::new()
    }
}

/// The consumers of a group.
#[repr(C)]
#[derive(StableAbi)]
pub struct RawConsumers {
    /// Items are [`StreamConsumer`].
    pub table: RawTable,
}

impl RawConsumers {
    /// Without any, nothing allocated.
    pub const fn new() -> Self {
        Self { table: RawTable::new() }
    }
}

impl Default for RawConsumers {
    fn default() -> Self {
        Self::new()
    }
}

/// The entries of a stream.
#[repr(C)]
#[derive(StableAbi, Debug)]
pub struct RawEntries {
    /// Words are addresses of [`StreamNode`], each under the id that its deltas are counted from.
    pub nodes: RawIds,
    /// Entries.
    pub len: u64,
    /// The greatest id that there ever was.
    pub last: StreamId,
    /// The greatest id that was ever removed by its id.
    pub max_deleted: StreamId,
    /// Entries ever added.
    pub added: u64,
}

impl RawEntries {
    /// Without entries, nothing allocated.
    pub const EMPTY: Self = Self {
        nodes: RawIds::EMPTY,
        len: 0,
        last: StreamId::MIN,
        max_deleted: StreamId::MIN,
        added: 0,
    };
}

/// A node of a stream: this header, then `capacity_bytes` bytes. They begin with what the fields of the
/// node's first entry are like, its form: their number, the first byte of each value, each name. The
/// entries are at `start..end`, in order of their ids:
///
/// ```text
/// head          1 byte
/// length of what follows           unless SAME_FORM
/// ms            unless SAME_MS: minus that of the base
/// seq           if the head has SEQ_FOLLOWS in its place; with SAME_MS minus that of the base
/// number of fields                 unless SAME_FIELDS
/// name, value, name, value …       with SAME_FIELDS the values only,
///                                  with SAME_FORM these without their first bytes
/// ```
///
/// Numbers and lengths are in groups of 7 bits, the least significant first, with bit 7 set on each
/// byte but the last. Names and values are [packed elements](crate::container::packed) without their
/// tails.
#[repr(C)]
#[derive(StableAbi, Debug)]
pub struct StreamNode {
    /// The id that deltas are counted from: that of the first entry that was put here.
    pub base: StreamId,
    /// The greatest id that was ever here: trimming by an id removes a node only when it is below.
    pub top: StreamId,
    /// First byte of the first entry, from the start of the data.
    pub start: u32,
    /// One past the last byte of the last entry.
    pub end: u32,
    /// First byte of the last entry.
    pub last: u32,
    /// Bytes of data after this header.
    pub capacity_bytes: u32,
    /// Entries, at least one.
    pub count: u32,
    /// Entries that were here and have been removed.
    pub deleted: u32,
    /// Bytes of the listpack that such a node would be in Redis: it tells when a node is full.
    pub listpack_bytes: u32,
    /// Bytes that the values of an entry with `SAME_FORM` take.
    pub form_bytes: u32,
}

/// Bits of the first byte of an entry of a [`StreamNode`].
pub mod entry_head {
    /// Its fields have the names of the node's.
    pub const SAME_FIELDS: u8 = 1 << 0;
    /// It is of the same ms as the node's base.
    pub const SAME_MS: u8 = 1 << 1;
    /// Its fields have the names of the node's, and its values the first bytes of those of its first
    /// entry, which tell their lengths.
    pub const SAME_FORM: u8 = 1 << 2;
    /// Where its seq begins.
    pub const SEQ_SHIFT: u32 = 3;
    /// In the place of a seq that has no room there.
    pub const SEQ_FOLLOWS: u8 = 0x1f;
}

/// A consumer group. Followed by `name_len` bytes of name.
#[repr(C)]
#[derive(StableAbi)]
pub struct StreamGroup {
    /// The greatest id that was delivered.
    pub last: StreamId,
    /// How many entries of all that there ever were have been read, or -1 if that is not known.
    pub read: i64,
    /// Entries that were delivered and not acknowledged: words are addresses of [`PendingEntry`].
    pub pending: RawIds,
    /// Who reads for the group.
    pub consumers: RawConsumers,
    /// Bytes of name that follow this struct.
    pub name_len: u32,
    /// Zero.
    pub reserved0: u32,
    /// Zero.
    pub reserved: u64,
}

/// A consumer of a group. Followed by `name_len` bytes of name.
#[repr(C)]
#[derive(StableAbi)]
pub struct StreamConsumer {
    /// When it was last heard of, Unix ms.
    pub seen_ms: i64,
    /// When it last got an entry, Unix ms, or -1 if it never has.
    pub active_ms: i64,
    /// Its share of the group's pending entries, with the same words.
    pub pending: RawIds,
    /// Bytes of name that follow this struct.
    pub name_len: u32,
    /// Zero.
    pub reserved: u32,
}

/// An entry that was delivered and not acknowledged.
#[repr(C)]
#[derive(StableAbi)]
pub struct PendingEntry {
    /// To whom.
    pub consumer: Ptr<StreamConsumer>,
    /// When it last was, Unix ms.
    pub delivered_ms: i64,
    /// How often.
    pub deliveries: u64,
}
