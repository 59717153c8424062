//! Counters: each lane writes its own, everybody reads the sum.
//!
//! Counters only rise. A reset remembers what they were, and the difference is what is told, so
//! that no lane ever writes another's.

mod commands;
mod errors;
mod histogram;
mod reset;
mod samples;

pub use commands::{CommandTotals, command_totals};
pub use errors::{count_error, errors};
pub use histogram::{Durations, record};
pub use reset::reset;
pub use samples::{Rate, rate, sample};

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use abi::shared::{CommandNames, Shared};
use abi::stats::{COMMAND_SLOTS, LaneStats};

use crate::roots::Roots;

/// Adds to a counter that only the calling lane writes.
#[inline(always)]
pub fn add(counter: &AtomicU64, by: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(by), Relaxed);
}

/// The sum of a counter over all lanes, since the last reset.
pub fn sum(roots: Roots, counter: impl Fn(&LaneStats) -> &AtomicU64) -> u64 {
    let before = reset::baseline(roots).map_or(0, |lane| counter(lane).load(Relaxed));
    total(roots, counter).wrapping_sub(before)
}

/// The sum of a counter over all lanes, since the start.
pub fn total(roots: Roots, counter: impl Fn(&LaneStats) -> &AtomicU64) -> u64 {
    roots.all_stats().map(|lane| counter(lane).load(Relaxed)).fold(0, u64::wrapping_add)
}

/// The slot of a command's name, given out on first use. `None` when all are taken.
///
/// Called while a release is being attached, on the control thread: the list is append-only and
/// a name is complete before the count that shows it.
pub fn command_slot(name: &str, roots: Roots) -> Option<u16> {
    let shared: *mut Shared = roots.shared();
    // SAFETY: the root lives as long as the process. Names are only written here, by the one
    // thread that attaches releases, beyond the published count.
    let names: &mut CommandNames = unsafe { &mut (*shared).names };
    let count = names.count.load(Relaxed) as usize;
    let mut padded = [0u8; 32];
    padded[..name.len()].copy_from_slice(name.as_bytes());
    if let Some(slot) = names.names[..count].iter().position(|known| *known == padded) {
        return Some(slot as u16);
    }
    if count == COMMAND_SLOTS {
        return None;
    }
    names.names[count] = padded;
    names.count.store(count as u32 + 1, core::sync::atomic::Ordering::Release);
    Some(count as u16)
}

/// The name that has a slot.
pub fn slot_name(slot: usize, roots: Roots) -> Option<&'static str> {
    let shared: *mut Shared = roots.shared();
    // SAFETY: the root lives as long as the process; published names never change.
    let names: &CommandNames = unsafe { &(*shared).names };
    let count = names.count.load(core::sync::atomic::Ordering::Acquire) as usize;
    let name = names.names[..count].get(slot)?;
    let len = name.iter().position(|&b| b == 0).unwrap_or(name.len());
    core::str::from_utf8(&name[..len]).ok()
}
