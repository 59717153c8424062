//! Several keys of one command: their shards, their hashes, and their memory on its way to the
//! cache, all in one pass before the command runs.
#![forbid(unsafe_code)]

use base::args::Args;
use base::core::Core;
use base::hash::hash;
use base::lock::{ShardSet, set_of, shard_of};
use base::roots::Roots;
use store::table::{
    Inner, prefetch_bucket, prefetch_inner_bucket, prefetch_inner_item, prefetch_item,
};
use value::entry::table_root;

/// Keys whose memory is fetched ahead: more would push out what was fetched first.
const FETCHED_MAX: usize = 64;
/// Hashes that stay allocated between commands.
const HASHES_KEPT: usize = 1024;

/// Has the bucket of a hash fetched into the cache.
#[inline]
pub fn fetch_bucket(roots: Roots, db: u32, hash: u64) {
    prefetch_bucket(&roots.part(shard_of(hash), db).keys, hash);
}

/// Has the entry of a hash fetched into the cache, by a look at its bucket.
#[inline]
pub fn fetch_item(roots: Roots, db: u32, hash: u64) {
    prefetch_item(&roots.part(shard_of(hash), db).keys, hash);
}

/// Has the bucket of a field or member fetched into the cache, by a look at the entry of a hash, if
/// the value is a table.
#[inline]
pub fn fetch_part_bucket(roots: Roots, db: u32, of: u64, part: &[u8]) -> Option<Inner> {
    let table = &roots.part(shard_of(of), db).keys;
    prefetch_inner_bucket(table, of, || hash(part, roots.seed), table_root)
}

/// Has a field or member fetched into the cache, by a look at its bucket.
#[inline]
pub fn fetch_part(roots: Roots, inner: Inner) {
    prefetch_inner_item(&roots.part(0, 0).keys, inner);
}

/// The shards of the keys at some arguments. Their hashes are left in `hashes`, in order.
pub fn look_ahead(
    core: &Core,
    hashes: &mut Vec<u64>,
    db: u32,
    args: Args<'_>,
    keys: impl Iterator<Item = usize>,
) -> ShardSet {
    let roots = core.roots;
    hashes.clear();
    hashes.shrink_to(HASHES_KEPT);
    let mut set = 0;
    for index in keys {
        let hash = hash(args.at(index), roots.seed);
        set |= set_of(hash);
        if hashes.len() < FETCHED_MAX {
            fetch_bucket(roots, db, hash);
        }
        hashes.push(hash);
    }
    hashes.iter().take(FETCHED_MAX).for_each(|hash| fetch_item(roots, db, *hash));
    set
}
