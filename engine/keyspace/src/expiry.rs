//! Time to live: of single keys, and what an expire cycle sees of a shard.

use core::sync::atomic::Ordering::Relaxed;

use crate::{Intent, Keys, Part};
use base::core::Core;
use base::counters;
use value::entry::Entry;
use value::hash::next_end;

/// Places of a table looked at for each key that is wanted.
const POSITIONS_PER_KEY: u64 = 20;
/// A mean of times to live moves this share of the way to that of the last keys seen.
const AVERAGE_WEIGHT: u64 = 50;

impl Keys<'_> {
    /// Gives a key a time to live that ends at this Unix time in ms. Tells whether it is there.
    pub fn expire_at(&mut self, key: &[u8], at_ms: i64) -> bool {
        let found = self.lookup(key, Intent::Peek);
        found.map(|found| found.set_expiry(Some(at_ms))).is_some()
    }

    /// Takes a key's time to live away. Tells whether it had one.
    pub fn persist(&mut self, key: &[u8]) -> bool {
        match self.lookup(key, Intent::Peek) {
            Some(found) if found.entry().has_ttl() => {
                found.set_expiry(None);
                true
            }
            _ => false,
        }
    }

    /// Removes entries of a locked shard, whose time has come, or parts of them whose has.
    ///
    /// # Safety
    /// Entries of this database's table in that shard are at the addresses, which all differ.
    pub(crate) unsafe fn expire_at_addresses(&mut self, shard: usize, addresses: &[u64]) {
        for address in addresses {
            // SAFETY: as the caller promises: the others are still there.
            let Some(found) = (unsafe { self.found_at(shard, *address) }) else { continue };
            if found.entry().is_expired(found.now_ms()) {
                found.expire();
            } else {
                found.without_ended_if_room();
            }
        }
    }

    /// Looks at some keys with a time to live of a locked shard, about `count`, from where the last
    /// round ended, and removes those whose time has come.
    pub fn expire_round(&mut self, shard: usize, count: u64) -> Round {
        let now = self.core.clock.now_ms;
        let part = self.part_at(shard);
        let (mut ttls, expired, whole) = look_at_some(&part, count, now);
        move_average(&part, &ttls);
        ttls.stale = expired.len() as u64;
        // SAFETY: items of the table, without doubles, of a shard that has stayed locked.
        unsafe { self.expire_at_addresses(shard, &expired) };
        counters::add(&self.core.stats.expire_seen, ttls.seen());
        counters::add(&self.core.stats.expire_stale, ttls.stale);
        let part = self.part_at(shard);
        if part.expires().is_empty() {
            part.avg_ttl_ms().store(0, Relaxed);
        }
        Round { ttls, whole }
    }
}

/// What a round of an expire cycle has come to.
pub struct Round {
    /// What it has seen.
    pub ttls: Ttls,
    /// Whether it has seen all there is.
    pub whole: bool,
}

/// Times to live that a round has seen.
#[derive(Default)]
pub struct Ttls {
    /// Keys whose time had come.
    pub stale: u64,
    live: u64,
    live_ms: u64,
    /// Keys that do not end themselves, and no part of which has.
    in_part: u64,
}

impl Ttls {
    /// Keys.
    pub fn seen(&self) -> u64 {
        self.stale + self.live + self.in_part
    }
}

/// Whether keys whose time has come are not found, but not removed either: for a command that only
/// reads while clients are paused, or while it is to change nothing.
pub(crate) fn keeps_expired(core: &Core) -> bool {
    core.reads_only && (core.reads_change_nothing || core.is_paused())
}

/// Looks at about `count` keys with a time to live: what was seen, the addresses of those whose
/// time has come, and whether those were all.
fn look_at_some(part: &Part<'_>, count: u64, now_ms: i64) -> (Ttls, Vec<u64>, bool) {
    let table = part.expires();
    let start = part.expire_cursor().load(Relaxed);
    let (mut ttls, mut expired) = (Ttls::default(), Vec::new());
    let (mut position, mut wrapped, mut whole) = (start, false, false);
    for _ in 0..count * POSITIONS_PER_KEY {
        let next = table.scan(position, &mut |address| {
            // SAFETY: an item of a table of entries whose shard is locked.
            let entry = unsafe { Entry::at(address) };
            let ends_at = if entry.listing().timed { next_end(entry) } else { None };
            let first = entry.expires_at().unwrap_or(i64::MAX).min(ends_at.unwrap_or(i64::MAX));
            if first < now_ms {
                expired.push(address);
            } else if let Some(at) = entry.expires_at() {
                ttls.live += 1;
                ttls.live_ms = ttls.live_ms.saturating_add((at - now_ms) as u64);
            } else {
                ttls.in_part += 1;
            }
        });
        (position, wrapped) = next.map_or((0, true), |next| (next, wrapped));
        whole = wrapped && position >= start;
        if whole || expired.len() as u64 + ttls.live + ttls.in_part >= count {
            break;
        }
    }
    part.expire_cursor().store(position, Relaxed);
    // The place where it started may have been the middle of a bucket, which then came twice.
    expired.sort_unstable();
    expired.dedup();
    (ttls, expired, whole)
}

/// Moves the mean of times to live towards that of those just seen.
fn move_average(part: &Part<'_>, ttls: &Ttls) {
    let Some(mean) = ttls.live_ms.checked_div(ttls.live) else { return };
    let moved = match part.avg_ttl_ms().load(Relaxed) {
        0 => mean,
        old => old - old / AVERAGE_WEIGHT + mean / AVERAGE_WEIGHT,
    };
    part.avg_ttl_ms().store(moved, Relaxed);
}
