//! Several keys of one command: their shards, their hashes, and their memory on its way to the
//! cache, all in one pass before the command runs.

use abi::container::RawTable;

use crate::command::args::Args;
use crate::keyspace::Keys;
use crate::keyspace::hash::hash;
use crate::keyspace::lock::{ShardSet, set_of, shard_of};
use crate::lane::Lane;
use crate::store::table::{prefetch_bucket, prefetch_item};

/// Keys whose memory is fetched ahead: more would push out what was fetched first.
const FETCHED_MAX: usize = 64;
/// Hashes that stay allocated between commands.
const HASHES_KEPT: usize = 1024;

/// The shards of the keys at some arguments. Their hashes are left in `lane.hashes`, in order.
pub fn look_ahead(
    lane: &mut Lane,
    db: u32,
    args: Args<'_>,
    keys: impl Iterator<Item = usize>,
) -> ShardSet {
    let mut hashes = std::mem::take(&mut lane.hashes);
    hashes.clear();
    hashes.shrink_to(HASHES_KEPT);
    let mut set = 0;
    for index in keys {
        let hash = hash(args.at(index), lane.roots.seed);
        set |= set_of(hash);
        if hashes.len() < FETCHED_MAX {
            prefetch_bucket(lane.table_hint(db, hash), hash);
        }
        hashes.push(hash);
    }
    for &hash in hashes.iter().take(FETCHED_MAX) {
        prefetch_item(lane.table_hint(db, hash), hash);
    }
    lane.hashes = hashes;
    set
}

impl Lane {
    /// The table of a database that a hash belongs to, to be looked at without its lock.
    #[inline]
    pub(crate) fn table_hint(&self, db: u32, hash: u64) -> &'static RawTable {
        debug_assert!(db < self.roots.databases());
        // SAFETY: shards and their databases live as long as the process; the table is only read
        // through the lock-free hints, which take nothing they see for granted.
        unsafe { &(*(*self.roots.shard(shard_of(hash))).dbs.as_ptr().add(db as usize)).keys }
    }
}

impl Keys<'_> {
    /// Tells that a key is number `nth` of those that the command names, counted from 0, so that
    /// it need not be hashed again.
    #[inline]
    pub fn know_nth(&mut self, nth: usize, key: &[u8]) {
        if self.looked_ahead
            && let Some(&hash) = self.lane.hashes.get(nth)
        {
            self.know_hash(key, hash);
        }
    }
}
