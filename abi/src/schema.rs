//! Encodings of stored state and the schema level each belongs to.
//!
//! A level names the newest encodings that may be written. A release reads a range of levels and
//! writes within one; while it is on probation it writes only what its predecessor reads.

/// The level of all encodings but those of fields that end by themselves.
pub const LEVEL_1: u32 = 1;
/// The level that adds fields of hashes with a time to live of their own.
pub const LEVEL_2: u32 = 2;

/// Encoding ids of entries (bits 0..8 of the head word). The upper four bits are the type, one of
/// [`crate::keyspace::value_type`]; the lower four tell a type's encodings apart. An id is never
/// used again for another form.
pub mod encoding {
    /// A string that is a 64-bit integer: the body is an `i64`. Level 1.
    pub const STRING_INT: u8 = 0x00;
    /// A string stored after the key in the entry itself: no body. Level 1.
    pub const STRING_EMBEDDED: u8 = 0x01;
    /// A string of its own allocation: the body is a `RawBytes`. Level 1.
    pub const STRING_HEAP: u8 = 0x02;
    /// A list of packed nodes: the body is a `RawList`. Level 1.
    pub const LIST_NODES: u8 = 0x10;
    /// A set of integers, stored after the key in the entry itself (`container::ints`): no body.
    /// Level 1.
    pub const SET_INTS: u8 = 0x20;
    /// A small set, stored after the key in the entry itself (`container::rows`): no body. Level 1.
    pub const SET_PACKED: u8 = 0x21;
    /// A set of a record a member: the body is a `RawSet`. Level 1.
    pub const SET_TABLE: u8 = 0x22;
    /// A small sorted set, stored after the key in the entry itself (`container::rows`): no body.
    /// Level 1.
    pub const ZSET_PACKED: u8 = 0x30;
    /// A sorted set of a record a member: the body is a `RawSortedSet`. Level 1.
    pub const ZSET_TREE: u8 = 0x31;
    /// A small hash, stored after the key in the entry itself (`container::rows`): no body.
    /// Level 1.
    pub const HASH_PACKED: u8 = 0x40;
    /// A hash of a record a field: the body is a `RawHash`. Level 1.
    pub const HASH_TABLE: u8 = 0x41;
    /// A small hash with fields that end by themselves, stored after the key in the entry itself
    /// (`container::rows`): no body. A row is a field, its value, and the Unix ms at which it ends, 0
    /// for never. Level 2.
    pub const HASH_PACKED_TIMED: u8 = 0x42;
    /// A hash of a record a field, some of which end by themselves: the body is a `RawTimedHash`.
    /// Level 2.
    pub const HASH_TABLE_TIMED: u8 = 0x43;
    /// A stream: the body is a `RawStream`. Level 1.
    pub const STREAM_NODES: u8 = 0x60;

    /// Whether parts of a value may end by themselves: whoever looks for what is to end has to find it.
    #[inline]
    pub const fn is_timed(id: u8) -> bool {
        id & !1 == HASH_PACKED_TIMED
    }

    /// The type that an encoding is one of.
    pub const fn value_type(id: u8) -> u8 {
        id >> 4
    }
}
