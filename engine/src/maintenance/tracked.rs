//! `tracking-table-max-keys`: when more keys are remembered for clients that have them in caches of
//! their own, some are forgotten, and these clients are told.

use core::sync::atomic::Ordering::Relaxed;

use abi::keyspace::SHARDS;

use base::core::Core;
use base::lock::set_of;
use base::settings::setting;
use keyspace::Keys;

/// Keys that are forgotten at most after a command of a client that tracks keys.
pub const AFTER_COMMAND: u64 = 1000;
/// Keys that are forgotten at most in a tick.
pub const IN_TICK: u64 = 20_000;

/// Forgets keys at random until there are no more than may be, but at most `effort`. No shard is
/// locked.
pub fn trim(core: &mut Core, effort: u64) {
    let totals = &core.roots.shared().tracking_totals;
    let limit = core.get(setting::TRACKING_TABLE_MAX_KEYS);
    if limit == 0 {
        return;
    }
    for _ in 0..effort {
        if totals.keys.load(Relaxed) <= limit {
            return;
        }
        let Some(shard) = any_with_keys(core) else { return };
        core.lock(set_of(shard as u64));
        Keys::new(core, 0).untrack_one(shard);
        core.unlock();
    }
}

/// A shard that seems to have tracked keys.
fn any_with_keys(core: &mut Core) -> Option<usize> {
    let first = core.random.next_u64() as usize;
    let mut shards = (0..SHARDS).map(|step| (first.wrapping_add(step)) % SHARDS);
    shards.find(|shard| core.roots.shard(*shard).tracked.count.load(Relaxed) > 0)
}
