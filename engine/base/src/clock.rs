//! Time: a coarse clock read once for many commands, and a cheap one to measure each of them.

use abi::host::HostRef;

/// Commands that together took longer than this do not see the same time.
const STALE_NS: u64 = 100_000;

/// Time as commands see it: the same throughout one command or transaction, and for several short
/// ones of a batch.
#[derive(Clone, Copy, Default)]
pub struct Clock {
    /// Unix time in milliseconds.
    pub now_ms: i64,
    /// Unix time in microseconds.
    pub now_us: i64,
    /// What commands have taken since it was read.
    age_ns: u64,
}

impl Clock {
    /// The time now.
    pub fn read(host: HostRef) -> Self {
        let now_us = host.unix_us()() as i64;
        Self { now_ms: now_us / 1000, now_us, age_ns: 0 }
    }

    /// Has time pass by what a command took, and reads the time anew if that matters.
    #[inline]
    pub fn pass(&mut self, elapsed_ns: u64, host: HostRef) {
        self.age_ns += elapsed_ns;
        if self.age_ns > STALE_NS {
            *self = Self::read(host);
        }
    }
}

/// Converts [`ticks`] to nanoseconds.
#[derive(Clone, Copy)]
pub struct Ticks {
    ns_per_tick_q32: u64,
}

/// A counter that rises at a constant rate and costs a few nanoseconds to read.
#[inline(always)]
pub fn ticks(host: HostRef) -> u64 {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        let _ = host;
        // SAFETY: every x86-64 processor has the instruction.
        unsafe { core::arch::x86_64::_rdtsc() }
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    host.monotonic_ns()()
}

impl Ticks {
    /// The counter's rate, as the shell has measured it.
    pub fn of(host: HostRef) -> Self {
        let ns_per_tick_q32 =
            if cfg!(target_arch = "x86_64") { host.tick_q32_ns()() } else { 1 << 32 };
        Self { ns_per_tick_q32 }
    }

    /// Nanoseconds in a number of ticks.
    #[inline]
    pub fn to_ns(self, ticks: u64) -> u64 {
        ((ticks as u128 * self.ns_per_tick_q32 as u128) >> 32) as u64
    }
}
