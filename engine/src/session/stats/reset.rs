//! `CONFIG RESETSTAT`.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use abi::stats::{COMMAND_SLOTS, LaneStats};

use super::histogram::Durations;
use super::{errors, samples, slot_name, total};
use base::lock::with_lock;
use base::core::Core;
use base::roots::Roots;

/// All counters that a reset concerns.
const COUNTERS: [fn(&LaneStats) -> &AtomicU64; 20] = [
    |core| &core.commands,
    |core| &core.hits,
    |core| &core.misses,
    |core| &core.expired,
    |core| &core.evicted,
    |core| &core.bytes_in,
    |core| &core.bytes_out,
    |core| &core.connections,
    |core| &core.rejected,
    |core| &core.errors,
    |core| &core.reads,
    |core| &core.writes,
    |core| &core.batches,
    |core| &core.panics,
    |core| &core.output_limit_closed,
    |core| &core.expire_time_cap,
    |core| &core.expire_us,
    |core| &core.over_maxmemory_us,
    |core| &core.published,
    |core| &core.dirty,
];

/// The counters as they were at the last reset.
pub(super) fn baseline(roots: Roots) -> Option<&'static LaneStats> {
    // SAFETY: the root lives as long as the process; the address is set once, to counters that
    // are complete and never freed.
    unsafe { ((*roots.shared()).baseline.load(Acquire) as *const LaneStats).as_ref() }
}

/// Lets all counters begin at zero again.
pub fn reset(core: &mut Core) {
    let shared = core.roots.shared();
    // SAFETY: the root lives as long as the process; the lock is atomic.
    let lock = unsafe { &(*shared).names.lock };
    with_lock(lock, core.host, || remember(core));
    errors::forget(core);
    samples::forget(core.roots);
    let now_ms = core.clock.now_ms as u64;
    // SAFETY: the root lives as long as the process; the field is atomic.
    unsafe { (*shared).stats_reset_ms.store(now_ms, Relaxed) };
}

/// Remembers what all counters are now.
fn remember(core: &Core) {
    let roots = core.roots;
    let place = baseline(roots).unwrap_or_else(|| allocate(core));
    for counter in COUNTERS {
        counter(place).store(total(roots, counter), Relaxed);
    }
    for slot in (0..COMMAND_SLOTS).take_while(|slot| slot_name(*slot, roots).is_some()) {
        let kept = &place.command[slot];
        let sum =
            |counter: fn(&LaneStats, usize) -> &AtomicU64| total(roots, |core| counter(core, slot));
        kept.calls.store(sum(|core, slot| &core.command[slot].calls), Relaxed);
        kept.time_ns.store(sum(|core, slot| &core.command[slot].time_ns), Relaxed);
        kept.rejected.store(sum(|core, slot| &core.command[slot].rejected), Relaxed);
        kept.failed.store(sum(|core, slot| &core.command[slot].failed), Relaxed);
        let mut durations = Durations::default();
        roots.all_stats().for_each(|core| durations.add(&core.command[slot]));
        if durations.count() > 0 {
            durations.copy_to(kept, core.heap);
        }
    }
}

/// The place for the counters of a reset. The lock of the names is held.
fn allocate(core: &Core) -> &'static LaneStats {
    let place = core.heap.alloc(size_of::<LaneStats>()) as *mut LaneStats;
    // SAFETY: a new allocation of the struct's size, for which zeros are valid, aligned to 64 as
    // its size is a multiple of that; it is published complete and never freed.
    unsafe {
        place.write_bytes(0, 1);
        (*core.roots.shared()).baseline.store(place as u64, Release);
        &*place
    }
}

const _: () = assert!(size_of::<LaneStats>().is_multiple_of(64));
