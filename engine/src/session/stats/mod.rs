//! What is told of the counters: sums since the last reset, by command, by error, over time.

mod commands;
mod errors;
mod histogram;
mod names;
mod reset;
mod samples;

pub use commands::{CommandTotals, command_totals};
pub use errors::{count_error, errors};
pub use histogram::{Durations, record};
pub use names::{Slots, counted, counters_of, slot_name};
pub use reset::reset;
pub use samples::{Rate, rate, sample};

use abi::stats::LaneStats;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

use base::counters::total;
use base::roots::Roots;

/// The sum of a counter over all lanes, since the last reset.
pub fn sum(roots: Roots, counter: impl Fn(&LaneStats) -> &AtomicU64) -> u64 {
    let before = reset::baseline(roots).map_or(0, |lane| counter(lane).load(Relaxed));
    total(roots, counter).wrapping_sub(before)
}
