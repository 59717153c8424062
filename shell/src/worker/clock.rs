//! A worker's clock: read once a loop.

use rustix::time::{ClockId, clock_gettime};

/// Time as of the last reading.
///
/// Only the monotonic clock is read each loop; Unix time is kept as a distance to it, renewed with
/// every tick, so that a step of the system's clock neither stops ticks nor is missed for long.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    monotonic_us: u64,
    unix_offset_us: i64,
}

fn read_us(id: ClockId) -> i64 {
    let time = clock_gettime(id);
    time.tv_sec * 1_000_000 + time.tv_nsec / 1_000
}

/// Unix time now, in ms.
pub fn unix_ms() -> u64 {
    (read_us(ClockId::Realtime) / 1000) as u64
}

impl Clock {
    /// A clock that has been read.
    pub fn new() -> Self {
        let mut clock = Self { monotonic_us: 0, unix_offset_us: 0 };
        clock.read();
        clock.renew();
        clock
    }

    /// Reads the time.
    #[inline]
    pub fn read(&mut self) {
        self.monotonic_us = read_us(ClockId::Monotonic) as u64;
    }

    /// Takes over another clock's reading.
    #[inline]
    pub fn follow(&mut self, other: &Self) {
        self.monotonic_us = other.monotonic_us;
    }

    /// Takes over what the system now says Unix time is.
    pub fn renew(&mut self) {
        self.unix_offset_us = read_us(ClockId::Realtime) - read_us(ClockId::Monotonic);
    }

    /// Monotonic microseconds.
    #[inline]
    pub fn monotonic_us(&self) -> u64 {
        self.monotonic_us
    }

    /// Monotonic milliseconds.
    #[inline]
    pub fn monotonic_ms(&self) -> u64 {
        self.monotonic_us / 1000
    }

    /// Unix milliseconds.
    #[inline]
    pub fn unix_ms(&self) -> u64 {
        ((self.monotonic_us as i64 + self.unix_offset_us) / 1000) as u64
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}
