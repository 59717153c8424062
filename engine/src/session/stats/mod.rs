//! Counters: each core writes its own, everybody reads the sum.
//!
//! Counters only rise. A reset remembers what they were, and the difference is what is told, so
//! that no core ever writes another's.

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

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use abi::host::HostRef;
use abi::shared::Shared;
use abi::stats::{COMMAND_SLOTS, LaneStats};

use base::lock::with_lock;
use base::roots::Roots;

/// Longest name of a command.
pub const NAME_BYTES: usize = 32;

/// Adds to a counter that only the calling core writes.
#[inline(always)]
pub fn add(counter: &AtomicU64, by: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(by), Relaxed);
}

/// The sum of a counter over all lanes, since the last reset.
pub fn sum(roots: Roots, counter: impl Fn(&LaneStats) -> &AtomicU64) -> u64 {
    let before = reset::baseline(roots).map_or(0, |core| counter(core).load(Relaxed));
    total(roots, counter).wrapping_sub(before)
}

/// The sum of a counter over all lanes, since the start.
pub fn total(roots: Roots, counter: impl Fn(&LaneStats) -> &AtomicU64) -> u64 {
    roots.all_stats().map(|core| counter(core).load(Relaxed)).fold(0, u64::wrapping_add)
}

/// The slot of a command's name, given out on first use. `None` when all are taken.
///
/// The list is append-only, and a name is complete before the count that shows it: readers take
/// no lock.
pub fn command_slot(name: &str, roots: Roots, host: HostRef) -> Option<u16> {
    let mut padded = [0u8; NAME_BYTES];
    padded[..name.len()].copy_from_slice(name.as_bytes());
    let shared: *mut Shared = roots.shared();
    // SAFETY: the root lives as long as the process; lock and count are atomics.
    let (lock, count) = unsafe { (&(*shared).names.lock, &(*shared).names.count) };
    with_lock(lock, host, || {
        let names = published(roots);
        if let Some(slot) = names.iter().position(|known| *known == padded) {
            return Some(slot as u16);
        }
        let slot = names.len();
        if slot == COMMAND_SLOTS {
            return None;
        }
        // SAFETY: within the array; beyond the published count only the lock's holder looks.
        unsafe { (&raw mut (*shared).names.names[slot]).write(padded) };
        count.store(slot as u32 + 1, Release);
        Some(slot as u16)
    })
}

/// The names that have slots.
fn published(roots: Roots) -> &'static [[u8; NAME_BYTES]] {
    let shared: *mut Shared = roots.shared();
    // SAFETY: the root lives as long as the process; published names never change.
    unsafe {
        let count = (*shared).names.count.load(Acquire) as usize;
        let first = (&raw const (*shared).names.names).cast::<[u8; NAME_BYTES]>();
        core::slice::from_raw_parts(first, count.min(COMMAND_SLOTS))
    }
}

/// The name that has a slot.
pub fn slot_name(slot: usize, roots: Roots) -> Option<&'static str> {
    let name = published(roots).get(slot)?;
    let len = name.iter().position(|&b| b == 0).unwrap_or(name.len());
    core::str::from_utf8(&name[..len]).ok()
}
