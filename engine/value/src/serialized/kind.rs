//! Types of serialized values: the byte that stands before one. Redis never gives an id to another
//! type, but ids from 22 on mean one thing to Redis and another to Valkey.

/// A string.
pub const STRING: u8 = 0;
/// A list, element by element.
pub const LIST: u8 = 1;
/// A set, member by member.
pub const SET: u8 = 2;
/// A sorted set, member by member, with scores as text.
pub const ZSET: u8 = 3;
/// A hash, field by field.
pub const HASH: u8 = 4;
/// A sorted set, member by member, with scores as eight bytes.
pub const ZSET_2: u8 = 5;
/// A value of a module, in the form of the module's own.
pub const MODULE: u8 = 6;
/// A value of a module, of parts whose length is told.
pub const MODULE_2: u8 = 7;
/// A hash as a zipmap.
pub const HASH_ZIPMAP: u8 = 9;
/// A list as a ziplist.
pub const LIST_ZIPLIST: u8 = 10;
/// A set of integers.
pub const SET_INTSET: u8 = 11;
/// A sorted set as a ziplist.
pub const ZSET_ZIPLIST: u8 = 12;
/// A hash as a ziplist.
pub const HASH_ZIPLIST: u8 = 13;
/// A list as ziplists.
pub const LIST_QUICKLIST: u8 = 14;
/// A stream as Redis has written it before 7.0: less is told of it and of its groups.
pub const STREAM_LISTPACKS: u8 = 15;
/// A hash as a listpack.
pub const HASH_LISTPACK: u8 = 16;
/// A sorted set as a listpack.
pub const ZSET_LISTPACK: u8 = 17;
/// A list as listpacks and long elements.
pub const LIST_QUICKLIST_2: u8 = 18;
/// A stream.
pub const STREAM_LISTPACKS_2: u8 = 19;
/// A set as a listpack.
pub const SET_LISTPACK: u8 = 20;
/// A stream, of whose consumers it is told when they last got an entry.
pub const STREAM_LISTPACKS_3: u8 = 21;
/// Valkey: a hash with fields that have a time to live.
pub const VALKEY_HASH_2: u8 = 22;
/// Redis: a hash with fields that have a time to live, as release candidates of Redis 7.4 have
/// written it.
pub const HASH_METADATA_PRE_GA: u8 = 22;
/// Redis: the same as a listpack.
pub const HASH_LISTPACK_EX_PRE_GA: u8 = 23;
/// Redis: a hash with fields that have a time to live.
pub const HASH_METADATA: u8 = 24;
/// Redis: the same as a listpack.
pub const HASH_LISTPACK_EX: u8 = 25;

/// Whether a type is one of hashes with fields that have a time to live.
pub const fn is_timed(id: u8) -> bool {
    matches!(id, VALKEY_HASH_2..=HASH_LISTPACK_EX)
}

/// How a part of [`LIST_QUICKLIST_2`] is: one long element.
pub const PLAIN_NODE: u64 = 1;
/// A listpack.
pub const PACKED_NODE: u64 = 2;
