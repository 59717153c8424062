//! When a sync for which replies are held should wait a moment itself; pure.
//!
//! While a sync is under way others come, who wait for the next. Were that to begin at once, those
//! whose replies this one lets go would come back in the middle of it: two halves of all clients would
//! take turns, and each sync serve one of them. So the next waits until they are back, for no longer
//! than a part of what a sync takes; and where that has been in vain, it does not for a while.
#![forbid(unsafe_code)]

use std::time::Duration;

/// The part of a sync's time that the next may wait.
const PART: u32 = 2;
/// The longest that one waits.
const WAIT_MAX: Duration = Duration::from_millis(2);
/// Waits shorter than this are not worth going to sleep for.
const WAIT_MIN: Duration = Duration::from_micros(40);
/// log2 of the most syncs that go without a wait after one that was in vain.
const SKIPPED_BITS_MAX: u32 = 8;

/// What is known of the syncs before. Replies are counted from the beginning on: how many have been
/// held so far.
#[derive(Debug, Default)]
pub struct Gathering {
    /// Replies held when the last sync began.
    begun_at: u64,
    /// Replies that are to be held until the next begins.
    expected: u64,
    /// How long the last took.
    took: Duration,
    /// Waits in vain, one after the other.
    in_vain: u32,
    /// Syncs that go without a wait.
    skips: u32,
}

impl Gathering {
    /// How long the next sync may wait at most, with so many replies held so far.
    pub fn time(&self, held: u64) -> Duration {
        let time = (self.took / PART).min(WAIT_MAX);
        let is_due = self.skips == 0 && self.is_missing_some(held) && time >= WAIT_MIN;
        if is_due { time } else { Duration::ZERO }
    }

    /// Whether some are not back yet.
    pub fn is_missing_some(&self, held: u64) -> bool {
        held - self.begun_at < self.expected
    }

    /// A wait is over, that had begun with so many held.
    pub fn waited(&mut self, from: u64, held: u64) {
        let missing = (self.begun_at + self.expected).saturating_sub(from);
        if (held - from) * 2 >= missing {
            self.in_vain = 0;
        } else {
            self.in_vain = (self.in_vain + 1).min(SKIPPED_BITS_MAX);
            self.skips = 1 << self.in_vain;
        }
    }

    /// A sync is over, that had begun with so many held.
    pub fn synced(&mut self, began_at: u64, held: u64, took: Duration) {
        // Who is let go now, and who has come meanwhile.
        self.expected = held - self.begun_at;
        self.begun_at = began_at;
        self.took = took;
        self.skips = self.skips.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SYNC: Duration = Duration::from_millis(1);

    #[test]
    fn two_halves_that_take_turns_become_one() {
        let mut gathering = Gathering::default();
        // 25 had come before the first sync, as many during it.
        gathering.synced(25, 50, SYNC);
        assert_eq!(gathering.time(50), SYNC / PART, "those of the first are to come back");
        assert!(gathering.is_missing_some(74));
        assert!(!gathering.is_missing_some(75));
        gathering.waited(50, 75);
        gathering.synced(75, 75, SYNC);
        assert_eq!(gathering.time(125), Duration::ZERO, "all 50 are back");
        assert_eq!(gathering.time(124), SYNC / PART);
    }

    #[test]
    fn who_does_not_come_back_is_waited_for_less_and_less() {
        let mut gathering = Gathering::default();
        let (mut held, mut waits) = (0, 0);
        for _ in 0..1000 {
            held += 1;
            if gathering.time(held) > Duration::ZERO {
                waits += 1;
                gathering.waited(held, held);
            }
            // Another comes meanwhile; both think for long before they come again.
            gathering.synced(held, held + 1, SYNC);
            held += 1;
        }
        assert!(waits < 15, "{waits}");
    }

    #[test]
    fn a_quick_sync_waits_for_nobody() {
        let mut gathering = Gathering::default();
        gathering.synced(25, 50, Duration::from_micros(20));
        assert_eq!(gathering.time(50), Duration::ZERO);
    }
}
