//! `CONFIG RESETSTAT`.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use abi::stats::{COMMAND_SLOTS, LaneStats};

use super::histogram::Durations;
use super::{errors, samples, slot_name, total};
use crate::keyspace::lock::with_lock;
use crate::lane::Lane;
use crate::roots::Roots;

/// All counters that a reset concerns.
const COUNTERS: [fn(&LaneStats) -> &AtomicU64; 20] = [
    |lane| &lane.commands,
    |lane| &lane.hits,
    |lane| &lane.misses,
    |lane| &lane.expired,
    |lane| &lane.evicted,
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
];

/// The counters as they were at the last reset.
pub(super) fn baseline(roots: Roots) -> Option<&'static LaneStats> {
    // SAFETY: the root lives as long as the process; the address is set once, to counters that
    // are complete and never freed.
    unsafe { ((*roots.shared()).baseline.load(Acquire) as *const LaneStats).as_ref() }
}

/// Lets all counters begin at zero again.
pub fn reset(lane: &mut Lane) {
    let shared = lane.roots.shared();
    // SAFETY: the root lives as long as the process; the lock is atomic.
    let lock = unsafe { &(*shared).names.lock };
    with_lock(lock, lane.host, || remember(lane));
    errors::forget(lane);
    samples::forget(lane.roots);
    let now_ms = lane.clock.now_ms as u64;
    // SAFETY: the root lives as long as the process; the field is atomic.
    unsafe { (*shared).stats_reset_ms.store(now_ms, Relaxed) };
}

/// Remembers what all counters are now.
fn remember(lane: &Lane) {
    let roots = lane.roots;
    let place = baseline(roots).unwrap_or_else(|| allocate(lane));
    for counter in COUNTERS {
        counter(place).store(total(roots, counter), Relaxed);
    }
    for slot in (0..COMMAND_SLOTS).take_while(|slot| slot_name(*slot, roots).is_some()) {
        let kept = &place.command[slot];
        let sum =
            |counter: fn(&LaneStats, usize) -> &AtomicU64| total(roots, |lane| counter(lane, slot));
        kept.calls.store(sum(|lane, slot| &lane.command[slot].calls), Relaxed);
        kept.time_ns.store(sum(|lane, slot| &lane.command[slot].time_ns), Relaxed);
        kept.rejected.store(sum(|lane, slot| &lane.command[slot].rejected), Relaxed);
        kept.failed.store(sum(|lane, slot| &lane.command[slot].failed), Relaxed);
        let mut durations = Durations::default();
        roots.all_stats().for_each(|lane| durations.add(&lane.command[slot]));
        if durations.count() > 0 {
            durations.copy_to(kept, lane.heap);
        }
    }
}

/// The place for the counters of a reset. The lock of the names is held.
fn allocate(lane: &Lane) -> &'static LaneStats {
    let place = lane.heap.alloc(size_of::<LaneStats>()) as *mut LaneStats;
    // SAFETY: a new allocation of the struct's size, for which zeros are valid, aligned to 64 as
    // its size is a multiple of that; it is published complete and never freed.
    unsafe {
        place.write_bytes(0, 1);
        (*lane.roots.shared()).baseline.store(place as u64, Release);
        &*place
    }
}

const _: () = assert!(size_of::<LaneStats>().is_multiple_of(64));
