//! How busy threads are, and for how long that is to be taken for granted.

use super::clock::Clock;

/// Long enough for the share to mean something, short enough to act on.
const WINDOW_US: u64 = 50_000;

/// The first time for which work that was held up stays spread; each time doubles it.
const HOLD_MS: u64 = 1_000;
const HOLD_MS_MAX: u64 = 8_000;
/// After this long without anything of the kind the next time counts as the first.
const FORGET_MS: u64 = 120_000;

/// The share of time that was spent at work, window by window.
#[derive(Debug)]
pub struct Load {
    since_us: u64,
    busy_us: u64,
}

impl Load {
    /// The first window begins now. `busy_us`: time at work so far.
    pub fn new(clock: &Clock, busy_us: u64) -> Self {
        Self { since_us: clock.monotonic_us(), busy_us }
    }

    /// Whether the window is over.
    #[inline]
    pub fn is_complete(&self, clock: &Clock) -> bool {
        clock.monotonic_us() >= self.since_us + WINDOW_US
    }

    /// Time at work over time passed, in the window that ends now. `busy_us`: time at work so far.
    pub fn share(&mut self, clock: &Clock, busy_us: u64) -> f64 {
        let before = std::mem::replace(self, Self::new(clock, busy_us));
        let passed_us = self.since_us.saturating_sub(before.since_us).max(1);
        busy_us.saturating_sub(before.busy_us) as f64 / passed_us as f64
    }
}

/// Until when work stays spread because something had held up the one thread that did it all.
#[derive(Debug, Default)]
pub struct Hold {
    last_ms: u64,
    length_ms: u64,
}

impl Hold {
    /// It happened once more.
    pub fn extend(&mut self, now_ms: u64) {
        let again = now_ms.saturating_sub(self.last_ms) < FORGET_MS;
        self.length_ms =
            if again { (self.length_ms * 2).clamp(HOLD_MS, HOLD_MS_MAX) } else { HOLD_MS };
        self.last_ms = now_ms;
    }

    /// Whether the work may be gathered again.
    pub fn is_over(&self, now_ms: u64) -> bool {
        now_ms >= self.last_ms + self.length_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_grows_while_things_keep_happening() {
        let mut hold = Hold::default();
        assert!(hold.is_over(0));
        hold.extend(1_000_000);
        assert!(!hold.is_over(1_000_000 + HOLD_MS - 1));
        assert!(hold.is_over(1_000_000 + HOLD_MS));
        for _ in 0..20 {
            hold.extend(1_100_000);
        }
        assert!(!hold.is_over(1_100_000 + HOLD_MS_MAX - 1));
        assert!(hold.is_over(1_100_000 + HOLD_MS_MAX));
        hold.extend(1_100_000 + FORGET_MS);
        assert!(hold.is_over(1_100_000 + FORGET_MS + HOLD_MS));
    }

    #[test]
    fn shares_are_of_their_own_window() {
        let mut clock = Clock::new();
        let mut load = Load::new(&clock, 700);
        assert!(!load.is_complete(&clock));
        let mut later = clock;
        while later.monotonic_us() < clock.monotonic_us() + WINDOW_US {
            later.read();
        }
        assert!(load.is_complete(&later));
        let passed_us = later.monotonic_us() - clock.monotonic_us();
        assert!((load.share(&later, 700 + passed_us / 2) - 0.5).abs() < 0.01);
        clock.follow(&later);
        assert!(!load.is_complete(&clock));
        assert!(load.share(&clock, 700 + passed_us / 2) < 0.01);
    }
}
