//! The access clock of an entry: when it was last used, or how often.
//!
//! LRU: the low 24 bits of Unix seconds. LFU: minutes (16 bits) above a logarithmic counter (8
//! bits), as in Redis: the counter rises by chance, ever more rarely, and falls with time.
#![forbid(unsafe_code)]

use base::core::Core;
use value::entry::Entry;

const CLOCK_MASK: u32 = 0xff_ffff;
const LFU_INITIAL: u32 = 5;

/// The clock of a key made now.
#[inline]
pub fn initial(core: &Core) -> u32 {
    if core.settings.policy.is_lfu() {
        minutes(core.clock.now_ms) << 8 | LFU_INITIAL
    } else {
        lru_clock(core.clock.now_ms)
    }
}

/// The clock of a key, which was `before`, once it has been used now.
#[inline]
pub fn after_access(core: &mut Core, before: u32) -> u32 {
    if core.settings.policy.is_lfu() {
        after_access_lfu(core, before)
    } else {
        lru_clock(core.clock.now_ms)
    }
}

/// The clock of a key that was last used so many seconds ago, or is used so often: of the two the one
/// that keys are told apart by.
pub fn told(core: &Core, idle_s: Option<u64>, frequency: Option<u8>) -> u32 {
    let now = initial(core);
    match (core.settings.policy.is_lfu(), idle_s, frequency) {
        (true, _, Some(frequency)) => now & !0xff | u32::from(frequency),
        // Before the clock began it was half of it ago.
        (false, Some(idle_s), _) => u32::try_from(idle_s)
            .ok()
            .and_then(|idle_s| now.checked_sub(idle_s))
            .unwrap_or((now + CLOCK_MASK / 2) % CLOCK_MASK),
        _ => now,
    }
}

/// The clock of a key whose value is set anew: used now; its frequency goes on.
pub fn after_set(core: &mut Core, before: u32) -> u32 {
    if core.settings.policy.is_lfu() { after_access_lfu(core, before) } else { initial(core) }
}

fn after_access_lfu(core: &mut Core, before: u32) -> u32 {
    let counter = decayed(core, before);
    let rises = counter < 255 && {
        let base = counter.saturating_sub(LFU_INITIAL) as f64;
        let factor = core.settings.lfu_log_factor as f64;
        core.random.unit() < 1.0 / (base * factor + 1.0)
    };
    minutes(core.clock.now_ms) << 8 | (counter + rises as u32)
}

/// The frequency counter of a clock, with what it has lost since the last access.
fn decayed(core: &Core, access: u32) -> u32 {
    let (then, counter) = (access >> 8, access & 0xff);
    let elapsed = minutes(core.clock.now_ms).wrapping_sub(then) & 0xffff;
    match core.settings.lfu_decay_minutes {
        0 => counter,
        step => counter.saturating_sub(elapsed / step as u32),
    }
}

/// The frequency counter of a key.
pub fn frequency(core: &Core, entry: Entry<'_>) -> u32 {
    decayed(core, entry.access())
}

/// Milliseconds since a key was last used.
pub fn idle_ms(core: &Core, entry: Entry<'_>) -> u64 {
    let elapsed = lru_clock(core.clock.now_ms).wrapping_sub(entry.access()) & CLOCK_MASK;
    elapsed as u64 * 1000
}

#[inline]
fn lru_clock(now_ms: i64) -> u32 {
    (now_ms / 1000) as u32 & CLOCK_MASK
}

#[inline]
fn minutes(now_ms: i64) -> u32 {
    (now_ms / 60_000) as u32 & 0xffff
}
