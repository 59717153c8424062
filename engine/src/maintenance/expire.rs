//! The expire cycle: removes keys whose time has come though nobody asks for them.
//!
//! A cycle goes over the shards in rounds. A round looks at a few of a shard's keys with a time to
//! live and removes those whose time has come. A shard where many had gets further rounds, until
//! few have or the cycle's time is up; what is left then goes on in a background thread.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{AcqRel, Relaxed};

use abi::config::id as shell_id;
use abi::keyspace::SHARDS;
use abi::shared::Upkeep;

use crate::maintenance::background;
use base::clock::{Clock, ticks};
use value::entry::Entry;
use base::lock::ShardSet;
use keyspace::{Keys, Part};
use base::core::Core;
use base::roots::Roots;
use crate::session::{latency, pause};
use base::settings::id;
use crate::session::stats;
use store::table::TableRef;

/// Longest cycle on a worker: what a request may have to wait for it.
const WORKER_US_MAX: u64 = 1_000;
/// Places of a table looked at for each key that is wanted.
const POSITIONS_PER_KEY: u64 = 20;
/// Databases that one round looks at; of more than that, some chosen by chance.
const DATABASES_PER_ROUND: u32 = 64;
/// A mean of times to live moves this share of the way to that of the last keys seen.
const AVERAGE_WEIGHT: u64 = 50;
/// After this time a job that was handed over and never finished counts as lost.
const JOB_LOST_MS: u64 = 10_000;

/// How much a cycle does, as `active-expire-effort` has it.
#[derive(Clone, Copy)]
struct Pace {
    /// Keys a round looks at.
    keys: u64,
    /// A round in which a larger share of the keys had expired is followed by another.
    stale_percent_max: u64,
    /// Time between two ticks.
    period_us: u64,
    /// Longest cycle in the background.
    background_us_max: u64,
}

impl Pace {
    fn of(roots: Roots) -> Self {
        let effort = base::settings::number(roots, id::ACTIVE_EXPIRE_EFFORT).clamp(1, 10) as u64;
        let hz = base::settings::number(roots, shell_id::HZ).clamp(1, 500) as u64;
        let more = effort - 1;
        let period_us = 1_000_000 / hz;
        Self {
            keys: 20 + 5 * more,
            stale_percent_max: 10 - more,
            period_us,
            background_us_max: period_us * (25 + 2 * more) / 100,
        }
    }
}

/// The state of work on the whole keyspace.
pub fn upkeep(roots: Roots) -> &'static Upkeep {
    // SAFETY: the root lives as long as the process; all of the struct is atomics.
    unsafe { &(*roots.shared()).upkeep }
}

/// Whether no key may be removed unless a client asks for it.
pub(super) fn is_suspended(core: &Core) -> bool {
    pause::is_on(core.roots)
        && pause::state(core.roots).until_ms.load(Relaxed) as i64 > core.clock.now_ms
}

fn is_off(core: &Core) -> bool {
    // SAFETY: the root lives as long as the process; the switch is atomic.
    let off = unsafe { (*core.roots.shared()).active_expire_off.load(Relaxed) };
    off != 0 || is_suspended(core)
}

/// A cycle on a worker. Each shard gets its round once in a tick's time, whichever worker comes
/// first, so that no worker need know of the others.
pub fn tick(core: &mut Core) {
    if is_off(core) {
        return;
    }
    let pace = Pace::of(core.roots);
    let due = due(core, pace);
    let left = cycle(core, due, pace, WORKER_US_MAX);
    if left != 0 && claim_job(&upkeep(core.roots).expire_job_ms, core.clock.now_ms) {
        background::expire_later(core, left);
    }
}

/// A cycle on a background thread, for the shards in `pending`.
pub fn job(core: &mut Core, pending: ShardSet) {
    core.refresh();
    if !is_off(core) {
        let pace = Pace::of(core.roots);
        cycle(core, pending, pace, pace.background_us_max);
    }
    upkeep(core.roots).expire_job_ms.store(0, Relaxed);
}

/// Takes the right to hand a job over, unless one is under way. `since_ms` is the time of the last.
pub(super) fn claim_job(since_ms: &AtomicU64, now_ms: i64) -> bool {
    let since = since_ms.load(Relaxed);
    let is_free = since == 0 || since + JOB_LOST_MS < now_ms as u64;
    is_free && since_ms.compare_exchange(since, now_ms as u64, AcqRel, Relaxed).is_ok()
}

/// The shards that had no round for most of a tick's time.
fn due(core: &Core, pace: Pace) -> ShardSet {
    let oldest = (core.clock.now_ms as u64).saturating_sub(pace.period_us * 3 / 4 / 1000);
    let is_due = |index: &usize| last_round(core.roots, *index).load(Relaxed) <= oldest;
    (0..SHARDS).filter(is_due).fold(0, |set, index| set | 1 << index)
}

fn last_round(roots: Roots, index: usize) -> &'static AtomicU64 {
    // SAFETY: shards live as long as the process; the field is atomic.
    unsafe { &(*roots.shard(index)).expire_round_ms }
}

/// Gives the shards in `pending` rounds, one each, then more to those that need more. Returns
/// those that still do when the time is up.
fn cycle(core: &mut Core, mut pending: ShardSet, pace: Pace, limit_us: u64) -> ShardSet {
    let begin = ticks(core.host);
    let before = looked_at(core);
    let mut elapsed_us = 0;
    // No shard is always the one for which no time is left.
    let mut index = core.random.below(SHARDS as u64) as usize;
    while pending != 0 && elapsed_us < limit_us {
        index = next_in(pending, index);
        if !round(core, index, pace) {
            pending &= !(1 << index);
        }
        elapsed_us = core.ticks.to_ns(ticks(core.host).wrapping_sub(begin)) / 1000;
    }
    estimate_stale(core, before);
    stats::add(&core.stats.expire_us, elapsed_us);
    latency::record(core, "expire-cycle", elapsed_us / 1000);
    stats::add(&core.stats.expire_time_cap, (pending != 0) as u64);
    pending
}

/// Keys that this core's cycles have looked at, and those of them whose time had come.
fn looked_at(core: &Core) -> (u64, u64) {
    (core.stats.expire_seen.load(Relaxed), core.stats.expire_stale.load(Relaxed))
}

/// Moves the estimate of the share of stale keys a twentieth of the way to what a cycle has seen.
fn estimate_stale(core: &Core, before: (u64, u64)) {
    const MILLION: u64 = 1_000_000;
    let (seen, stale) = looked_at(core);
    let share = ((stale - before.1) * MILLION).checked_div(seen - before.0).unwrap_or(0);
    // Two cycles at once may overwrite each other's estimate: it is one all the same.
    let estimate = &upkeep(core.roots).stale_ppm;
    estimate.store((estimate.load(Relaxed) * 19 + share) / 20, Relaxed);
}

/// The first shard of a set that comes behind one, going round.
fn next_in(set: ShardSet, index: usize) -> usize {
    let from = (index + 1) % SHARDS;
    (from + set.rotate_right(from as u32).trailing_zeros() as usize) % SHARDS
}

/// A round in a shard. Tells whether it should have another.
fn round(core: &mut Core, index: usize, pace: Pace) -> bool {
    core.clock = Clock::read(core.host);
    last_round(core.roots, index).store(core.clock.now_ms as u64, Relaxed);
    let databases = core.roots.databases();
    let first = match databases {
        0..=DATABASES_PER_ROUND => 0,
        more => core.random.below(more as u64) as u32,
    };
    let mut again = false;
    for offset in 0..databases.min(DATABASES_PER_ROUND) {
        let db = (first + offset) % databases;
        if !TableRef::new(core.roots.tables(index, db).1).is_empty() {
            let mut keys = Keys::new(core, db);
            again |= keys.with_shard(index, |keys| keys.expire_some(index, pace));
        }
    }
    again
}

/// What a round has seen.
#[derive(Default)]
struct Seen {
    /// Addresses of entries whose time has come.
    expired: Vec<u64>,
    /// Others, and their times to live together.
    live: u64,
    ttl_ms: u64,
}

impl Seen {
    fn count(&self) -> u64 {
        self.expired.len() as u64 + self.live
    }

    fn look_at(&mut self, address: u64, now_ms: i64) {
        // SAFETY: callers pass items of a table of entries whose shard is locked.
        let at = unsafe { Entry::at(address) }.expires_at().unwrap_or(i64::MAX);
        if at < now_ms {
            self.expired.push(address);
        } else {
            self.live += 1;
            self.ttl_ms = self.ttl_ms.saturating_add((at - now_ms) as u64);
        }
    }
}

impl Keys<'_> {
    /// Looks at some keys of a locked shard, from where the last round ended, and removes those
    /// whose time has come. Tells whether so many had that it should go on.
    fn expire_some(&mut self, index: usize, pace: Pace) -> bool {
        let now = self.core.clock.now_ms;
        let part = self.part_at(index);
        let (seen, whole) = look_at_some(part, pace.keys, now);
        stats::add(&self.core.stats.expire_seen, seen.count());
        stats::add(&self.core.stats.expire_stale, seen.expired.len() as u64);
        if let Some(mean) = seen.ttl_ms.checked_div(seen.live) {
            let moved = match part.avg_ttl_ms().load(Relaxed) {
                0 => mean,
                old => old - old / AVERAGE_WEIGHT + mean / AVERAGE_WEIGHT,
            };
            part.avg_ttl_ms().store(moved, Relaxed);
        }
        for address in &seen.expired {
            self.remove_expired_at(index, *address);
        }
        if part.expires().is_empty() {
            part.avg_ttl_ms().store(0, Relaxed);
        }
        let stale = seen.expired.len() as u64 * 100 > seen.count() * pace.stale_percent_max;
        !whole && (stale || seen.count() == 0)
    }
}

/// Looks at about `count` keys with a time to live. Tells also whether those were all.
fn look_at_some(part: Part<'_>, count: u64, now_ms: i64) -> (Seen, bool) {
    let table = part.expires();
    let start = part.expire_cursor().load(Relaxed);
    let mut seen = Seen::default();
    let (mut position, mut wrapped, mut whole) = (start, false, false);
    for _ in 0..count * POSITIONS_PER_KEY {
        match table.scan(position, &mut |address| seen.look_at(address, now_ms)) {
            Some(next) => position = next,
            None => (position, wrapped) = (0, true),
        }
        whole = wrapped && position >= start;
        if whole || seen.count() >= count {
            break;
        }
    }
    part.expire_cursor().store(position, Relaxed);
    // The place where it started may have been the middle of a bucket, which then came twice.
    seen.expired.sort_unstable();
    seen.expired.dedup();
    (seen, whole)
}

#[cfg(test)]
mod tests {
    use super::next_in;

    #[test]
    fn every_shard_of_a_set_gets_its_turn() {
        for set in [1, 1 << 63, 0b1011, u64::MAX, 1 << 63 | 1] {
            let mut index = 17;
            let mut seen = 0u64;
            for _ in 0..set.count_ones() {
                index = next_in(set, index);
                assert_eq!(seen >> index & 1, 0, "{index} comes twice in {set:b}");
                seen |= 1 << index;
            }
            assert_eq!(seen, set);
        }
    }
}
