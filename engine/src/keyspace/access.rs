//! The access clock of an entry: when it was last used, or how often.
//!
//! LRU: the low 24 bits of Unix seconds. LFU: minutes (16 bits) above a logarithmic counter (8
//! bits), as in Redis: the counter rises by chance, ever more rarely, and falls with time.

use crate::keyspace::Keys;
use crate::keyspace::entry::Entry;

const CLOCK_MASK: u32 = 0xff_ffff;
const LFU_INITIAL: u32 = 5;

impl Keys<'_> {
    /// The clock of a key made now.
    #[inline]
    pub(crate) fn initial_access(&self) -> u32 {
        if self.lane.settings.policy.is_lfu() {
            minutes(self.lane.clock.now_ms) << 8 | LFU_INITIAL
        } else {
            lru_clock(self.lane.clock.now_ms)
        }
    }

    /// Counts an access to a key.
    #[inline]
    pub(crate) fn touch(&mut self, entry: Entry<'_>) {
        if !self.touches {
            return;
        }
        if self.lane.settings.policy.is_lfu() {
            self.touch_lfu(entry);
        } else {
            entry.set_access(lru_clock(self.lane.clock.now_ms));
        }
    }

    fn touch_lfu(&mut self, entry: Entry<'_>) {
        let counter = self.frequency(entry);
        let rises = counter < 255 && {
            let base = counter.saturating_sub(LFU_INITIAL) as f64;
            let factor = self.lane.settings.lfu_log_factor as f64;
            self.lane.random.unit() < 1.0 / (base * factor + 1.0)
        };
        let now = minutes(self.lane.clock.now_ms);
        entry.set_access(now << 8 | (counter + rises as u32));
    }

    /// The frequency counter of a key, with what it has lost since the last access.
    pub fn frequency(&self, entry: Entry<'_>) -> u32 {
        let access = entry.access();
        let (then, counter) = (access >> 8, access & 0xff);
        let elapsed = minutes(self.lane.clock.now_ms).wrapping_sub(then) & 0xffff;
        match self.lane.settings.lfu_decay_minutes {
            0 => counter,
            step => counter.saturating_sub(elapsed / step as u32),
        }
    }

    /// Milliseconds since a key was last used.
    pub fn idle_ms(&self, entry: Entry<'_>) -> u64 {
        let elapsed = lru_clock(self.lane.clock.now_ms).wrapping_sub(entry.access()) & CLOCK_MASK;
        elapsed as u64 * 1000
    }
}

#[inline]
fn lru_clock(now_ms: i64) -> u32 {
    (now_ms / 1000) as u32 & CLOCK_MASK
}

#[inline]
fn minutes(now_ms: i64) -> u32 {
    (now_ms / 60_000) as u32 & 0xffff
}
