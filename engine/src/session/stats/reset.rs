//! `CONFIG RESETSTAT`.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use abi::stats::{CommandStat, LaneStats};

use super::histogram::Durations;
use super::names::{self, counted, counters_of};
use super::{errors, samples};
use crate::session::acl;
use base::core::Core;
use base::counters::total;
use base::roots::Roots;

/// All counters that a reset concerns.
const COUNTERS: [fn(&LaneStats) -> &AtomicU64; 28] = [
    |lane| &lane.commands,
    |lane| &lane.hits,
    |lane| &lane.misses,
    |lane| &lane.expired,
    |lane| &lane.evicted,
    |lane| &lane.evicted_clients,
    |lane| &lane.bytes_in,
    |lane| &lane.bytes_out,
    |lane| &lane.connections,
    |lane| &lane.rejected,
    |lane| &lane.errors,
    |lane| &lane.reads,
    |lane| &lane.writes,
    |lane| &lane.batches,
    |lane| &lane.panics,
    |lane| &lane.output_limit_closed,
    |lane| &lane.expire_time_cap,
    |lane| &lane.expire_us,
    |lane| &lane.over_maxmemory_us,
    |lane| &lane.published,
    |lane| &lane.dirty,
    |lane| &lane.defrag_hits,
    |lane| &lane.defrag_misses,
    |lane| &lane.defrag_key_hits,
    |lane| &lane.defrag_key_misses,
    |lane| &lane.defrag_us,
    |lane| &lane.scripts_beside,
    |lane| &lane.scripts_again,
];

/// The counters as they were at the last reset.
pub(super) fn baseline(roots: Roots) -> Option<&'static LaneStats> {
    // SAFETY: null, or set once to counters that are never freed and are all atomics.
    unsafe { (roots.shared().baseline.load(Acquire) as *const LaneStats).as_ref() }
}

/// Lets all counters begin at zero again.
pub fn reset(core: &mut Core) {
    let shared = core.roots.shared();
    // Two resets at a time would remember a mixture.
    let mut table = errors::locked(core);
    remember(core);
    shared.upkeep.expired_fields.store(0, Relaxed);
    errors::forget(core, &mut table);
    samples::forget(core.roots);
    acl::reset_counters(core);
    shared.upkeep.lazy_freed.store(0, Relaxed);
    shared.upkeep.stale_ppm.store(0, Relaxed);
    shared.stats_reset_ms.store(core.clock.now_ms as u64, Relaxed);
}

/// Remembers what all counters are now. The errors are locked.
fn remember(core: &Core) {
    let roots = core.roots;
    let place = baseline(roots).unwrap_or_else(|| allocate(core));
    for counter in COUNTERS {
        counter(place).store(total(roots, counter), Relaxed);
    }
    for slot in 0..names::all(core).len() as u32 {
        remember_command(core, slot, counters_of(core, place, slot));
    }
}

fn remember_command(core: &Core, slot: u32, kept: &CommandStat) {
    let lanes = || core.roots.counters().filter_map(|stats| counted(stats, slot));
    let sum = |counter: fn(&CommandStat) -> &AtomicU64| {
        lanes().map(|stat| counter(stat).load(Relaxed)).fold(0, u64::wrapping_add)
    };
    kept.calls.store(sum(|stat| &stat.calls), Relaxed);
    kept.time_ns.store(sum(|stat| &stat.time_ns), Relaxed);
    kept.rejected.store(sum(|stat| &stat.rejected), Relaxed);
    kept.failed.store(sum(|stat| &stat.failed), Relaxed);
    let mut durations = Durations::default();
    lanes().for_each(|stat| durations.add(stat));
    if durations.count() > 0 {
        durations.copy_to(kept, core.heap);
    }
}

/// The place for the counters of a reset. The errors are locked.
fn allocate(core: &Core) -> &'static LaneStats {
    let place = core.heap.alloc(size_of::<LaneStats>()) as *mut LaneStats;
    // SAFETY: a new allocation of the struct's size, for which zeros are valid, and aligned as the
    // size, a multiple of 64, makes it. It is never freed.
    unsafe {
        place.write_bytes(0, 1);
        core.roots.shared().baseline.store(place as u64, Release);
        &*place
    }
}

const _: () = assert!(size_of::<LaneStats>().is_multiple_of(64));
