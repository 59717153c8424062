//! Client-side caching: which clients may have which keys in caches of their own.
//!
//! What a shard's lock guards of it is beside the shard's keys, so that reading a key and
//! remembering that it was read are one step to whoever changes it. The rest is [`Tracking`].

use abi_stable::StableAbi;
use core::sync::atomic::AtomicU64;

use crate::client::ClientShared;
use crate::container::{RawBuffer, RawTable, RawVec};
use crate::ptr::Ptr;

/// Bits of [`crate::keyspace::Shard::interest`]: who is to hear of changes to the shard's keys.
pub mod interest {
    /// Clients that have some of them in their caches: [`super::TrackedKey`].
    pub const KEYS: u32 = 1 << 0;
    /// Clients that are told of all keys with a prefix. It may be set when there are none any more.
    pub const PREFIXES: u32 = 1 << 1;
    /// The snapshot under way, before they are made: see [`crate::snapshot`]. Not a matter of caches.
    pub const SNAPSHOT: u32 = 1 << 2;
}

/// A key that at least one client may have in its cache, from whichever database. Followed by
/// `key_len` bytes of key.
///
/// It knows clients by their ids, which are never used again: one that is gone, or tracks no keys
/// any more, is passed over when the key changes, and forgotten with the record.
#[repr(C)]
#[derive(StableAbi)]
pub struct TrackedKey {
    /// The id of one client.
    pub first: u64,
    /// The ids of the others, in ascending order.
    pub others: RawVec,
    /// Bytes of key that follow this struct.
    pub key_len: u32,
    /// Zero.
    pub reserved: u32,
}

/// What does not belong to a shard.
#[repr(C)]
#[derive(StableAbi)]
pub struct Tracking {
    /// The clients concerned, found by their ids. Items are [`TrackingClient`].
    pub clients: RawTable,
    /// Prefixes of keys that clients are told of. Items are [`crate::shared::Channel`], whose
    /// subscribers are ids of clients.
    pub prefixes: RawTable,
}

/// A client that has tracked keys, or that is told of keys for another. Followed by its id as 8
/// little-endian bytes. There from the first time on that the client is either, until it is closed.
#[repr(C)]
#[derive(StableAbi)]
pub struct TrackingClient {
    /// What others may look at of the client: it leaves the table of clients first, and is freed
    /// after this.
    pub client: Ptr<ClientShared>,
    /// Pushes to it that its worker has not taken yet, as they go out.
    pub waiting: RawBuffer,
    /// The prefixes it is told of. Items are [`crate::client::Subscription`].
    pub prefixes: RawTable,
    /// 1: there was no memory for a push, so all it has in its cache may be wrong.
    pub has_missed: u32,
    /// Bytes of id that follow this struct: 8.
    pub name_len: u32,
}

/// How much there is, to be told without a lock.
#[repr(C)]
#[derive(StableAbi)]
pub struct TrackingTotals {
    /// Clients that track keys.
    pub clients: AtomicU64,
    /// [`TrackedKey`]s of all shards.
    pub keys: AtomicU64,
    /// Ids in them.
    pub items: AtomicU64,
    /// Zero.
    pub reserved: u64,
}
