//! The expire cycle: removes keys whose time has come though nobody asks for them.
//!
//! A cycle goes over the shards in rounds. A round looks at a few of a shard's keys with a time to
//! live and removes those whose time has come. A shard where many had gets further rounds, until
//! few have or the cycle's time is up; what is left then goes on in a background thread.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::{AcqRel, Relaxed};

use abi::keyspace::SHARDS;
use abi::shared::Upkeep;

use crate::maintenance::background;
use crate::session::latency;
use base::clock::{Clock, ticks};
use base::core::Core;
use base::counters::add;
use base::lock::ShardSet;
use base::roots::Roots;
use base::settings::{self, setting};
use keyspace::{Keys, Round};
use store::table;

/// Longest cycle on a worker: what a request may have to wait for it.
const WORKER_US_MAX: u64 = 1_000;
/// Databases that one round looks at; of more than that, some chosen by chance.
const DATABASES_PER_ROUND: u32 = 64;
/// Bytes that the effect of an expired key takes, if its name is no longer than most.
const EFFECT_BYTES: u64 = 128;
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
    /// Whether so many keys of a round were stale that it should go on.
    fn wants_another(self, round: &Round) -> bool {
        let (seen, stale) = (round.ttls.seen(), round.ttls.stale);
        !round.whole && (seen == 0 || stale * 100 > seen * self.stale_percent_max)
    }

    fn of(roots: Roots) -> Self {
        let effort = settings::get(roots, setting::ACTIVE_EXPIRE_EFFORT).clamp(1, 10);
        let hz = settings::get(roots, setting::HZ).clamp(1, 500);
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
    &roots.shared().upkeep
}

fn is_off(core: &Core) -> bool {
    core.roots.shared().active_expire_off.load(Relaxed) != 0 || core.is_paused()
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
    &roots.shard(index).expire_round_ms
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
    add(&core.stats.expire_us, elapsed_us);
    latency::record(core, "expire-cycle", elapsed_us / 1000);
    add(&core.stats.expire_time_cap, (pending != 0) as u64);
    pending
}

/// Keys that this lane's cycles have looked at, and those of them whose time had come.
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

/// A round in a shard, unless there is no room to tell what it does. Tells whether it should have
/// another.
fn round(core: &mut Core, index: usize, pace: Pace) -> bool {
    if !core.effects.has_room(pace.keys * EFFECT_BYTES) {
        return false;
    }
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
        if table::len(&core.roots.part(index, db).expires) > 0 {
            // One that somebody holds for long has its turn another time.
            if !core.lock_soon(1 << index) {
                return false;
            }
            let round = Keys::new(core, db).expire_round(index, pace.keys);
            core.unlock();
            again |= pace.wants_another(&round);
        }
    }
    again
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
