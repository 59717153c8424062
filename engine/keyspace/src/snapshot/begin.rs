//! The beginning and the end of a walk.

use core::sync::atomic::Ordering::{Relaxed, Release};

use abi::keyspace::SHARDS;
use abi::snapshot::{WALKED, phase};
use abi::tracking::interest;

use super::state;
use crate::Keys;
use base::attention;
use base::core::Core;
use base::lock::ALL_SHARDS;
use store::table;

/// Keys of a database, and how many of them have a time to live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sizes {
    /// The database.
    pub db: u32,
    /// Keys, those included whose time has come and that nobody has removed yet.
    pub keys: usize,
    /// Those with a time to live.
    pub with_ttl: usize,
    /// Those with parts that have one.
    pub timed: usize,
}

/// Begins the walk, with every shard locked by this lane: the snapshot is of this moment. Returns what
/// there is in each database that has keys.
///
/// # Panics
/// If a shard is not locked.
pub fn begin(core: &mut Core) -> Vec<Sizes> {
    let state = state(core.roots);
    let mut all = Vec::new();
    for db in 0..core.roots.databases() {
        let mut sizes = Sizes { db, keys: 0, with_ttl: 0, timed: 0 };
        for shard in 0..SHARDS {
            assert!(core.has_locked(shard), "every shard is locked");
            let part = core.roots.part(shard, db);
            part.walk_db.store(db.into(), Relaxed);
            let keys = table::len(&part.keys);
            part.walked.store(if keys == 0 { WALKED } else { 0 }, Relaxed);
            sizes.keys += keys;
            sizes.timed += part.timed.load(Relaxed) as usize;
            let timed_only = part.timed_only.load(Relaxed) as usize;
            sizes.with_ttl += table::len(&part.expires).saturating_sub(timed_only);
        }
        if sizes.keys > 0 {
            all.push(sizes);
        }
    }
    for shard in 0..SHARDS {
        Keys::new(core, 0).set_interest(shard, interest::SNAPSHOT, true);
    }
    state.keys.store(all.iter().map(|sizes| sizes.keys as u64).sum(), Relaxed);
    for counter in [&state.keys_written, &state.db, &state.shard, &state.selected, &state.checksum]
    {
        counter.store(0, Relaxed);
    }
    state.left.store(ALL_SHARDS, Relaxed);
    state.held_peak.store(state.held_bytes.load(Relaxed), Relaxed);
    state.wanted_db.store(0, Relaxed);
    attention::set(core.roots, attention::SNAPSHOT, true);
    state.phase.store(phase::WALKING, Release);
    all
}

/// Ends the walk, which has come by everything: nobody looks out for it any more.
pub fn end(core: &mut Core) {
    attention::set(core.roots, attention::SNAPSHOT, false);
    for shard in 0..SHARDS {
        Keys::new(core, 0)
            .with_shard(shard, |keys| keys.set_interest(shard, interest::SNAPSHOT, false));
    }
}
