//! Counters: each lane writes its own, everybody reads the sum.
//!
//! Counters only rise. A reset remembers what they were, and the difference is what is told, so
//! that no lane ever writes another's.

use abi::stats::LaneStats;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

use crate::roots::Roots;

/// Adds to a counter of the calling lane.
///
/// A plain load and store: nobody else writes it.
#[inline(always)]
pub fn add(counter: &AtomicU64, by: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(by), Relaxed);
}

/// The sum of a counter over all lanes since the server has been started.
pub fn total(roots: Roots, counter: impl Fn(&LaneStats) -> &AtomicU64) -> u64 {
    roots.counters().map(|stats| counter(stats).load(Relaxed)).fold(0, u64::wrapping_add)
}
