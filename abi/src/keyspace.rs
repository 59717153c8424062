//! The keyspace: shards, their databases, and the layout of an entry.

use abi_stable::StableAbi;
use core::sync::atomic::{AtomicU32, AtomicU64};

use crate::container::RawTable;
use crate::effects::Debt;
use crate::lock::RawLock;
use crate::ptr::Ptr;
use crate::root::RootHead;

/// Shards of every keyspace: bits 0..6 of a key's hash. A set of shards fits a `u64`.
pub const SHARDS: usize = 64;

/// Root of the keys.
#[repr(C)]
#[derive(StableAbi)]
pub struct Keyspace {
    /// [`crate::root::kind::KEYSPACE`]
    pub head: RootHead,
    /// Databases in every shard.
    pub databases: u32,
    /// How a key's hash is made, and so where a key is placed: one of [`placement`].
    pub placement: u32,
    /// The encodings that may be written.
    pub schema: Schema,
    /// Zero.
    pub reserved: [u64; 5],
    /// The shards. Locked in ascending order.
    pub shards: [Shard; SHARDS],
}

/// The schema level in force, and a pass over all keys that concerns it.
///
/// Raised by the shell when an operator makes a release final. To lower it, the shell stores the level
/// first, then asks for a pass: a command looks at the level with its shards locked, so once the
/// pass has been to a shard nothing newer comes to be there.
#[repr(C)]
#[derive(StableAbi)]
pub struct Schema {
    /// The newest level whose encodings may be written; 0 is 1.
    pub level: AtomicU64,
    /// What a pass is to do: one of [`pass`]. Set by the shell, set to `NONE` by logic at the end.
    pub pass: AtomicU64,
    /// The shard at which the pass stands.
    pub shard: AtomicU64,
    /// The database in it.
    pub db: AtomicU64,
    /// The position in the table of keys of which something ends.
    pub position: AtomicU64,
    /// Values of encodings above level 1 that the pass has come by.
    pub values: AtomicU64,
    /// Parts in them that no encoding of level 1 can tell.
    pub parts: AtomicU64,
    /// When a background thread was asked to go on, Unix ms; 0: none is at it.
    pub job_ms: AtomicU64,
}

/// Values of [`Schema::pass`].
pub mod pass {
    /// None is under way.
    pub const NONE: u64 = 0;
    /// Values of encodings above level 1 are counted.
    pub const COUNT: u64 = 1;
    /// They are made values of encodings of level 1.
    pub const CONVERT: u64 = 2;
    /// One was found to have become another in that, and left as it was: the pass has broken off.
    pub const FAILED: u64 = 3;
}

/// Values of [`Keyspace::placement`]. A release refuses an arena whose placement it does not know.
pub mod placement {
    /// The hash of the key's bytes, seeded with [`crate::arena::ArenaHeader::hash_seed`]: bits
    /// 0..6 choose the shard, bits 6..22 are the tag in a slot, the top bits the place in a table.
    pub const SEEDED: u32 = 1;
}

/// One shard: what its lock guards.
#[repr(C, align(64))]
#[derive(StableAbi)]
pub struct Shard {
    /// Guards everything below.
    pub lock: RawLock,
    /// Who is to hear of changes to keys: bits of [`crate::tracking::interest`].
    pub interest: AtomicU32,
    /// One [`ShardDb`] a database.
    pub dbs: Ptr<ShardDb>,
    /// Effects of what was done here that may not be in the stream yet.
    pub debt: Debt,
    /// Items are [`WatchedKey`].
    pub watched: RawTable,
    /// Items are [`crate::wait::BlockedKey`].
    pub blocked: RawTable,
    /// When the expire cycle was last here, Unix ms. Also read without the lock.
    pub expire_round_ms: AtomicU64,
    /// Items are [`crate::tracking::TrackedKey`].
    pub tracked: RawTable,
}

/// One database's part of a shard.
///
/// Only the holder of the shard's lock changes it, but others look at its tables at any time: so
/// all of it is atomics, and nobody ever has an exclusive reference to it.
#[repr(C, align(64))]
#[derive(StableAbi)]
pub struct ShardDb {
    /// Items are entries.
    pub keys: RawTable,
    /// The entries among them that have a time to live, or whose value has parts that do. Owns none of
    /// them.
    pub expires: RawTable,
    /// Running mean of the time to live seen by the expire cycle, in ms.
    pub avg_ttl_ms: AtomicU64,
    /// Hash prefix where the expire cycle goes on.
    pub expire_cursor: AtomicU64,
    /// The database in which these keys were when the snapshot under way began: they are part of it
    /// as keys of that. Only while
    /// [`crate::tracking::interest::SNAPSHOT`] is set.
    pub walk_db: AtomicU64,
    /// How far the snapshot's walk has come: it is done with all keys whose hashes are below this
    /// position. [`crate::snapshot::WALKED`]: with all there are.
    pub walked: AtomicU64,
    /// Which of the tables are to be made anew of what is in them: bits of [`anew`]. 0 but between
    /// the two halves of a recovery.
    pub anew: AtomicU64,
    /// Of `expires`, those with parts that have a time to live.
    pub timed: AtomicU64,
    /// Of those, the ones that have no time to live of their own.
    pub timed_only: AtomicU64,
    /// Zero.
    pub reserved: u64,
}

/// Bits of [`ShardDb::anew`].
pub mod anew {
    /// [`super::ShardDb::keys`].
    pub const KEYS: u64 = 1;
    /// [`super::ShardDb::expires`].
    pub const EXPIRES: u64 = 2;
    /// [`super::Shard::watched`], told by the part of database 0, as the next ones are.
    pub const WATCHED: u64 = 4;
    /// [`super::Shard::blocked`].
    pub const BLOCKED: u64 = 8;
    /// [`super::Shard::tracked`].
    pub const TRACKED: u64 = 16;
}

/// A key that at least one client watches.
///
/// Followed by `key_len` bytes of key. `EXEC` compares `changes` with what it was at `WATCH`.
#[repr(C)]
#[derive(StableAbi)]
pub struct WatchedKey {
    /// Watches that refer to this.
    pub watchers: u32,
    /// Database of the key.
    pub db: u32,
    /// Changes to the key since this was made.
    pub changes: u64,
    /// Bytes of key that follow this struct.
    pub key_len: u32,
    /// Zero.
    pub reserved: u32,
}

/// The layout of an entry: one allocation that holds a key and its value.
///
/// ```text
/// offset  size
/// 0       8     head word, see below
/// 8       8     lengths, only with LARGE: key length u32, embedded value length u32
/// +       8     absolute expiry in Unix ms (i64), only with TTL
/// +       n     body, by encoding: i64, RawBytes, RawList, RawSet, RawSortedSet,
///               RawHash, RawTimedHash, RawStream, or none
/// +       k     key bytes
/// +       v     value bytes, only of an encoding without a body: an embedded string, integers of a
///               set, rows of a small set, sorted set or hash
/// ```
///
/// Head word, bits from the least significant:
///
/// ```text
/// 0..8    encoding, from which the type follows: see `schema::encoding`
/// 8       TTL      9  LARGE             10      RAW: a short string that OBJECT ENCODING calls raw
/// 11..13  a snapshot's mark             13..16  zero
/// 16..24  key length, without LARGE     24..40  embedded value length, without LARGE
/// 40..64  access clock: LRU seconds, or LFU minutes (16) and counter (8)
/// ```
pub mod entry {
    /// The key has a time to live.
    pub const FLAG_TTL: u64 = 1 << 8;
    /// Lengths are in a word of their own.
    pub const FLAG_LARGE: u64 = 1 << 9;
    /// `OBJECT ENCODING` of this string is `raw` whatever its length.
    pub const FLAG_RAW: u64 = 1 << 10;
    /// Bit of a snapshot's mark.
    pub const MARK_SHIFT: u32 = 11;
    /// Bits of a snapshot's mark.
    pub const MARK_BITS: u32 = 2;
    /// Longest key without [`FLAG_LARGE`].
    pub const SMALL_KEY_MAX: usize = 255;
    /// Longest embedded value without [`FLAG_LARGE`].
    pub const SMALL_VALUE_MAX: usize = 65_535;
    /// Bit of the key length.
    pub const KEY_LEN_SHIFT: u32 = 16;
    /// Bit of the value length.
    pub const VALUE_LEN_SHIFT: u32 = 24;
    /// Bit of the access clock.
    pub const ACCESS_SHIFT: u32 = 40;
    /// Bits of the access clock.
    pub const ACCESS_BITS: u32 = 24;
}

/// What a snapshot that walks over the keys has noted in an entry that it has not reached yet.
/// The walk takes the mark away when it comes by.
pub mod mark {
    /// Nothing: the walk is to write it, or no walk is under way.
    pub const NONE: u8 = 0;
    /// It was written out before it was changed: the walk passes over it.
    pub const WRITTEN: u8 = 1;
    /// It came to be here after the walk began and is no part of it.
    pub const NOT_PART: u8 = 2;
    /// It is being written in steps, and changed by nobody meanwhile.
    pub const BEING_WRITTEN: u8 = 3;
}

/// Types of value, as `TYPE` names them. The ids are those of Redis's object types, and the upper
/// half of an encoding's id.
pub mod value_type {
    /// A byte string or integer.
    pub const STRING: u8 = 0;
    /// A list.
    pub const LIST: u8 = 1;
    /// A set.
    pub const SET: u8 = 2;
    /// A sorted set.
    pub const ZSET: u8 = 3;
    /// A hash.
    pub const HASH: u8 = 4;
    /// A stream.
    pub const STREAM: u8 = 6;
}
