//! How many keys there are.
#![forbid(unsafe_code)]

use core::sync::atomic::Ordering::Relaxed;

use abi::keyspace::{SHARDS, ShardDb};

use crate::Keys;
use store::table;

/// What a database holds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    /// Keys, those included whose time has come and that nobody has removed yet.
    pub keys: u64,
    /// Keys with a time to live.
    pub expires: u64,
    /// Keys with parts that have a time to live.
    pub timed: u64,
    /// Mean time to live in ms, as far as the expire cycle has seen it.
    pub avg_ttl_ms: u64,
    /// Bytes of the tables of all keys, without the entries.
    pub keys_bytes: u64,
    /// Bytes of the tables of keys with a time to live, without the entries.
    pub expires_bytes: u64,
}

impl Totals {
    fn of_part(part: &ShardDb) -> Self {
        Self {
            keys: table::len(&part.keys) as u64,
            expires: (table::len(&part.expires) as u64)
                .saturating_sub(part.timed_only.load(Relaxed)),
            timed: part.timed.load(Relaxed),
            avg_ttl_ms: part.avg_ttl_ms.load(Relaxed),
            keys_bytes: table::bytes(&part.keys) as u64,
            expires_bytes: table::bytes(&part.expires) as u64,
        }
    }

    /// Both together; the mean times to live weigh as much as there are keys they are of.
    fn plus(self, other: Self) -> Self {
        let expires = self.expires + other.expires;
        let weighted = |part: Self| part.avg_ttl_ms as u128 * part.expires as u128;
        let avg_ttl_ms = (weighted(self) + weighted(other)) / expires.max(1) as u128;
        Self {
            keys: self.keys + other.keys,
            expires,
            timed: self.timed + other.timed,
            avg_ttl_ms: avg_ttl_ms as u64,
            keys_bytes: self.keys_bytes + other.keys_bytes,
            expires_bytes: self.expires_bytes + other.expires_bytes,
        }
    }
}

/// The totals of a database. Each shard is looked at by itself; in a transaction, all are locked
/// by then.
pub fn of(keys: &mut Keys<'_>) -> Totals {
    if !(0..SHARDS).any(|shard| keys.shard_len(shard) > 0) {
        return Totals::default();
    }
    let (roots, db) = (keys.core.roots, keys.db);
    let of_shard = |shard| keys.with_shard(shard, |_| Totals::of_part(roots.part(shard, db)));
    (0..SHARDS).map(of_shard).fold(Totals::default(), Totals::plus)
}
