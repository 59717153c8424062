//! How many keys there are.

use abi::keyspace::SHARDS;

use crate::keyspace::lock::with_lock;
use crate::lane::Lane;
use crate::store::table::TableRef;

/// What a database holds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    /// Keys, those included whose time has come and that nobody has removed yet.
    pub keys: u64,
    /// Keys with a time to live.
    pub expires: u64,
    /// Mean time to live in ms, as far as the expire cycle has seen it.
    pub avg_ttl_ms: u64,
    /// Bytes of the tables, without the entries.
    pub table_bytes: u64,
}

/// The totals of a database. Each shard is looked at by itself.
pub fn of(lane: &Lane, db: u32) -> Totals {
    let mut totals = Totals::default();
    let mut weighted_ttl_ms = 0u128;
    for index in 0..SHARDS {
        let (keys, expires, avg_ttl_ms, bytes) = of_shard(lane, index, db);
        totals.keys += keys;
        totals.expires += expires;
        totals.table_bytes += bytes;
        weighted_ttl_ms += avg_ttl_ms as u128 * expires as u128;
    }
    let expires = totals.expires.max(1) as u128;
    totals.avg_ttl_ms = (weighted_ttl_ms / expires) as u64;
    totals
}

fn of_shard(lane: &Lane, index: usize, db: u32) -> (u64, u64, u64, u64) {
    let shard = lane.roots.shard(index);
    let read = || {
        // SAFETY: shards and their databases live as long as the process, `db` is one of them,
        // and the shard is locked.
        let part = unsafe { &*(*shard).dbs.as_ptr().add(db as usize) };
        let (keys, expires) = (TableRef::new(&part.keys), TableRef::new(&part.expires));
        let bytes = keys.bytes() + expires.bytes();
        (keys.len() as u64, expires.len() as u64, part.avg_ttl_ms, bytes as u64)
    };
    if lane.locks.holds(index) {
        return read();
    }
    // SAFETY: shards live as long as the process; the lock is atomic.
    with_lock(unsafe { &(*shard).lock }, lane.host, read)
}
