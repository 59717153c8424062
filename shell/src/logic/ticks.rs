//! The rate of the processor's time stamp counter, with which logic measures commands.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// Long enough for one part in a thousand: reading the clocks takes well below 0.1 us.
const SPAN: Duration = Duration::from_micros(200);

/// See [`abi::host::Host::tick_q32_ns`].
pub extern "C" fn tick_q32_ns() -> u64 {
    static RATE: OnceLock<u64> = OnceLock::new();
    *RATE.get_or_init(measure)
}

#[cfg(target_arch = "x86_64")]
fn measure() -> u64 {
    // SAFETY: every x86-64 processor has the instruction.
    let ticks = || unsafe { core::arch::x86_64::_rdtsc() };
    let (begin, first) = (Instant::now(), ticks());
    let mut elapsed = Duration::ZERO;
    while elapsed < SPAN {
        elapsed = begin.elapsed();
    }
    let passed = ticks().saturating_sub(first).max(1);
    ((elapsed.as_nanos() << 32) / u128::from(passed)) as u64
}

#[cfg(not(target_arch = "x86_64"))]
fn measure() -> u64 {
    0
}
