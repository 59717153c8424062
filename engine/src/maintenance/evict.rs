//! Making room when memory is short.
//!
//! Before each command, while a limit is set, memory in use is compared with it, and keys are
//! removed until it fits: those that suit the policy best among a few looked at by chance. What
//! was looked at and not removed stays in a small pool, so that later choices are among more.
//!
//! A command pays for a bounded time of this; the rest is a background thread's.

mod pool;

use core::sync::atomic::Ordering::{AcqRel, Relaxed};

pub use pool::Pool;

use crate::maintenance::background;
use crate::maintenance::expire::{claim_job, upkeep};
use crate::maintenance::snapshot;
use crate::session::latency;
use base::clock::ticks;
use base::core::Core;
use base::counters::add;
use base::lock::shard_of;
use base::settings::row::Policy;
use base::settings::setting;
use keyspace::{Intent, Keys};
use pool::Candidate;

/// Longest stretch of eviction on a background thread.
const BACKGROUND_US_MAX: u64 = 10_000;
/// Keys removed between two looks at the time.
const KEYS_PER_LOOK: u32 = 16;

/// Bytes that the effect of an evicted key takes, if its name is no longer than most.
const EFFECT_BYTES: u64 = 128;

/// What came of an attempt to make room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Memory is within the limit.
    Enough,
    /// It is not, but there is more to remove, or to be freed, soon.
    UnderWay,
    /// It is not, and there is nothing to remove.
    Nothing,
}

/// Before a command runs: makes room if memory is short. Tells whether there is none to make. No
/// shard is locked.
pub fn make_room(core: &mut Core, pool: &mut Pool) -> Outcome {
    keep_limit(core, pool, command_us_max)
}

/// Goes on making room though no command asks for it.
pub fn tick(core: &mut Core, pool: &mut Pool) {
    if core.settings.maxmemory != 0 {
        keep_limit(core, pool, command_us_max);
    }
}

/// The same on a background thread.
pub fn job(core: &mut Core, pool: &mut Pool) {
    core.refresh();
    upkeep(core.roots).room_job_ms.store(0, Relaxed);
    if core.settings.maxmemory != 0 {
        keep_limit(core, pool, |_| BACKGROUND_US_MAX);
    }
}

/// How long a command may be kept waiting, from `maxmemory-eviction-tenacity`.
fn command_us_max(core: &Core) -> u64 {
    match core.get(setting::MAXMEMORY_EVICTION_TENACITY) {
        tenacity @ ..=10 => 50 * tenacity,
        tenacity @ ..100 => (500.0 * 1.15f64.powi(tenacity as i32 - 10)) as u64,
        _ => u64::MAX,
    }
}

/// Makes room if memory is above the limit, and keeps account of how long it stays there.
#[inline]
fn keep_limit(core: &mut Core, pool: &mut Pool, us_max: impl Fn(&Core) -> u64) -> Outcome {
    let outcome = match is_within_limit(core) {
        true => Outcome::Enough,
        false => evict(core, pool, us_max(core)),
    };
    let is_counted = upkeep(core.roots).over_maxmemory_since_ns.load(Relaxed) != 0;
    if is_counted == (outcome == Outcome::Enough) {
        crossed(core, !is_counted);
    }
    outcome
}

#[inline]
fn is_within_limit(core: &Core) -> bool {
    counted_bytes(core) <= core.settings.maxmemory
}

/// Bytes in use that count. The effects stream does not, for it would have all keys evicted that
/// are to be told of; nor does what is kept for a snapshot, where evicted keys go first.
fn counted_bytes(core: &Core) -> u64 {
    let not_counted = core.effects.stream_bytes() + snapshot::held_bytes(core.roots);
    core.host.used_bytes()().saturating_sub(not_counted)
}

/// Begins, or ends, the count of the time during which memory is above the limit.
#[cold]
fn crossed(core: &Core, above: bool) {
    let (since, now) = (&upkeep(core.roots).over_maxmemory_since_ns, core.host.monotonic_ns()());
    if above {
        let _ = since.compare_exchange(0, now, AcqRel, Relaxed);
        return;
    }
    let then = since.swap(0, AcqRel);
    if then != 0 {
        add(&core.stats.over_maxmemory_us, now.saturating_sub(then) / 1000);
    }
}

/// Removes keys until memory is within the limit or the time is up.
#[cold]
fn evict(core: &mut Core, pool: &mut Pool, limit_us: u64) -> Outcome {
    if core.is_paused() {
        return Outcome::UnderWay;
    }
    let leaving = pool.leaving.bytes(core);
    if is_coming_back(core, leaving) {
        return Outcome::UnderWay;
    }
    if core.settings.policy == Policy::NoEviction {
        return Outcome::Nothing;
    }
    let begin = ticks(core.host);
    core.ended_at = None;
    let outcome = evict_until(core, pool, leaving, begin, limit_us);
    latency::record(core, "eviction-cycle", elapsed_us(core, begin) / 1000);
    outcome
}

fn elapsed_us(core: &Core, begin: u64) -> u64 {
    core.ticks.to_ns(ticks(core.host).wrapping_sub(begin)) / 1000
}

fn evict_until(
    core: &mut Core,
    pool: &mut Pool,
    leaving: u64,
    begin: u64,
    limit_us: u64,
) -> Outcome {
    let lazily = core.get(setting::LAZYFREE_LAZY_EVICTION);
    let outcome = loop {
        for _ in 0..KEYS_PER_LOOK {
            let freed_soon = upkeep(core.roots).lazy_bytes.load(Relaxed);
            if is_coming_back(core, leaving + freed_soon) {
                return Outcome::UnderWay;
            }
            // Who holds writers back holds this back too.
            if !core.effects.has_room(EFFECT_BYTES) {
                return Outcome::UnderWay;
            }
            if !evict_one(core, pool, lazily) {
                return nothing_left(core);
            }
            if is_within_limit(core) {
                return Outcome::Enough;
            }
        }
        if elapsed_us(core, begin) >= limit_us {
            break Outcome::UnderWay;
        }
    };
    if claim_job(&upkeep(core.roots).room_job_ms, core.clock.now_ms) {
        background::make_room_later(core);
    }
    outcome
}

fn nothing_left(core: &Core) -> Outcome {
    match upkeep(core.roots).lazy_pending.load(Relaxed) {
        0 => Outcome::Nothing,
        _ => Outcome::UnderWay,
    }
}

/// Whether memory will be within the limit once so many bytes come back, which background threads or
/// the workers of killed clients are about to free: room must not be made for it twice.
fn is_coming_back(core: &Core, coming: u64) -> bool {
    coming != 0 && counted_bytes(core).saturating_sub(coming) <= core.settings.maxmemory
}

/// Removes the key that suits the policy best among those known. Tells whether there was one.
fn evict_one(core: &mut Core, pool: &mut Pool, lazily: bool) -> bool {
    pool.prepare(core.settings.policy);
    let mut evicted = false;
    while !evicted && pool.fill(core) {
        while let Some(candidate) = pool.best()
            && !evicted
        {
            evicted = evict_candidate(core, &candidate, lazily);
        }
    }
    evicted
}

/// Removes a candidate if it still is one.
fn evict_candidate(core: &mut Core, candidate: &Candidate, lazily: bool) -> bool {
    let policy = core.settings.policy;
    let mut keys = Keys::new(core, candidate.db);
    let (key, hash) = (&candidate.key, candidate.hash);
    keys.with_shard(shard_of(hash), |keys| match keys.lookup_hashed(key, hash, Intent::Past) {
        Some(found) if candidate.is_unchanged(found.entry(), policy) => {
            found.evict(lazily);
            true
        }
        _ => false,
    })
}
