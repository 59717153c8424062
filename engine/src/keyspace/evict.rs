//! Making room when memory is short.
//!
//! Before each command, while a limit is set, memory in use is compared with it, and keys are
//! removed until it fits: those that suit the policy best among a few looked at by chance. What
//! was looked at and not removed stays in a small pool, so that later choices are among more.
//!
//! A command pays for a bounded time of this; the rest is a background thread's.

mod pool;

use core::sync::atomic::Ordering::{AcqRel, Relaxed};

use abi::client::{Client, flag as client_flag};

pub use pool::Pool;

use crate::background;
use crate::clock::ticks;
use crate::command::error::{self, Done};
use crate::command::spec::{Spec, flag};
use crate::keyspace::expire::{claim_job, is_suspended, upkeep};
use crate::keyspace::lock::shard_of;
use crate::keyspace::notify::Class;
use crate::keyspace::{Found, Keys};
use crate::lane::Lane;
use crate::session::{latency, multi};
use crate::settings::{Policy, id};
use crate::stats;
use pool::Candidate;

/// Longest stretch of eviction on a background thread.
const BACKGROUND_US_MAX: u64 = 10_000;
/// Keys removed between two looks at the time.
const KEYS_PER_LOOK: u32 = 16;

/// What came of an attempt to make room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// Memory is within the limit.
    Enough,
    /// It is not, but there is more to remove, or to be freed, soon.
    UnderWay,
    /// It is not, and there is nothing to remove.
    Nothing,
}

/// Before a command runs: makes room if memory is short. Fails if there is none to make and the
/// command may use more. No shard is locked.
#[inline]
pub fn make_room(lane: &mut Lane, client: &Client, spec: &Spec) -> Done {
    const GROWS: u32 = flag::WRITE | flag::DENYOOM | flag::TRANSACTION;
    let in_multi = client.flags.load(Relaxed) & client_flag::MULTI != 0;
    if lane.room_known_for == lane.settings.maxmemory && !spec.has(GROWS) && !in_multi {
        return Ok(());
    }
    let outcome = keep_limit(lane, command_us_max);
    lane.room_known_for = match outcome {
        Outcome::Enough => lane.settings.maxmemory,
        _ => 0,
    };
    if outcome == Outcome::Nothing && may_use_more(lane, client, spec) {
        return Err(error::OOM);
    }
    Ok(())
}

/// Goes on making room though no command asks for it.
pub fn tick(lane: &mut Lane) {
    if lane.settings.maxmemory != 0 {
        keep_limit(lane, command_us_max);
    }
}

/// The same on a background thread.
pub fn job(lane: &mut Lane) {
    lane.refresh();
    upkeep(lane.roots).room_job_ms.store(0, Relaxed);
    if lane.settings.maxmemory != 0 {
        keep_limit(lane, |_| BACKGROUND_US_MAX);
    }
}

/// Whether a command, or what it adds to a transaction, may use memory.
fn may_use_more(lane: &Lane, client: &Client, spec: &Spec) -> bool {
    let in_multi = client.flags.load(Relaxed) & client_flag::MULTI != 0;
    spec.has(flag::DENYOOM)
        || in_multi && !spec.has(flag::NOT_QUEUED)
        || in_multi
            && spec.has(flag::TRANSACTION)
            && multi::any_queued(lane, client, |queued| queued.has(flag::DENYOOM))
}

/// How long a command may be kept waiting, from `maxmemory-eviction-tenacity`.
fn command_us_max(lane: &Lane) -> u64 {
    match lane.number(id::MAXMEMORY_EVICTION_TENACITY) {
        tenacity @ ..=10 => 50 * tenacity.max(0) as u64,
        tenacity @ ..100 => (500.0 * 1.15f64.powi(tenacity as i32 - 10)) as u64,
        _ => u64::MAX,
    }
}

/// Makes room if memory is above the limit, and keeps account of how long it stays there.
#[inline]
fn keep_limit(lane: &mut Lane, us_max: impl Fn(&Lane) -> u64) -> Outcome {
    let outcome = match is_within_limit(lane) {
        true => Outcome::Enough,
        false => evict(lane, us_max(lane)),
    };
    let is_counted = upkeep(lane.roots).over_maxmemory_since_ns.load(Relaxed) != 0;
    if is_counted == (outcome == Outcome::Enough) {
        crossed(lane, !is_counted);
    }
    outcome
}

#[inline]
fn is_within_limit(lane: &Lane) -> bool {
    lane.host.used_bytes()() <= lane.settings.maxmemory
}

/// Begins, or ends, the count of the time during which memory is above the limit.
#[cold]
fn crossed(lane: &Lane, above: bool) {
    let (since, now) = (&upkeep(lane.roots).over_maxmemory_since_ns, lane.host.monotonic_ns()());
    if above {
        let _ = since.compare_exchange(0, now, AcqRel, Relaxed);
        return;
    }
    let then = since.swap(0, AcqRel);
    if then != 0 {
        stats::add(&lane.stats.over_maxmemory_us, now.saturating_sub(then) / 1000);
    }
}

/// Removes keys until memory is within the limit or the time is up.
#[cold]
fn evict(lane: &mut Lane, limit_us: u64) -> Outcome {
    if is_suspended(lane) {
        return Outcome::UnderWay;
    }
    if lane.settings.policy == Policy::NoEviction {
        return Outcome::Nothing;
    }
    let begin = ticks(lane.host);
    let outcome = evict_until(lane, begin, limit_us);
    latency::record(lane, "eviction-cycle", elapsed_us(lane, begin) / 1000);
    outcome
}

fn elapsed_us(lane: &Lane, begin: u64) -> u64 {
    lane.ticks.to_ns(ticks(lane.host).wrapping_sub(begin)) / 1000
}

fn evict_until(lane: &mut Lane, begin: u64, limit_us: u64) -> Outcome {
    let lazily = lane.number(id::LAZYFREE_LAZY_EVICTION) != 0;
    let outcome = loop {
        for _ in 0..KEYS_PER_LOOK {
            if is_memory_coming_back(lane) {
                return Outcome::UnderWay;
            }
            if !evict_one(lane, lazily) {
                return nothing_left(lane);
            }
            if is_within_limit(lane) {
                return Outcome::Enough;
            }
        }
        if elapsed_us(lane, begin) >= limit_us {
            break Outcome::UnderWay;
        }
    };
    if claim_job(&upkeep(lane.roots).room_job_ms, lane.clock.now_ms) {
        background::make_room_later(lane);
    }
    outcome
}

fn nothing_left(lane: &Lane) -> Outcome {
    match upkeep(lane.roots).lazy_pending.load(Relaxed) {
        0 => Outcome::Nothing,
        _ => Outcome::UnderWay,
    }
}

/// Whether memory will be within the limit once background threads have freed what they have: room
/// must not be made for it twice.
fn is_memory_coming_back(lane: &Lane) -> bool {
    let coming = upkeep(lane.roots).lazy_bytes.load(Relaxed);
    coming != 0 && lane.host.used_bytes()().saturating_sub(coming) <= lane.settings.maxmemory
}

/// Removes the key that suits the policy best among those known. Tells whether there was one.
fn evict_one(lane: &mut Lane, lazily: bool) -> bool {
    // Out of the lane while it is used, as it looks at keys through the lane.
    let mut pool = std::mem::take(&mut lane.eviction);
    pool.prepare(lane.settings.policy);
    let mut evicted = false;
    while !evicted && pool.fill(lane) {
        while let Some(candidate) = pool.best()
            && !evicted
        {
            evicted = evict_candidate(lane, &candidate, lazily);
        }
    }
    lane.eviction = pool;
    evicted
}

/// Removes a candidate if it still is one.
fn evict_candidate(lane: &mut Lane, candidate: &Candidate, lazily: bool) -> bool {
    let policy = lane.settings.policy;
    let mut keys = Keys::new(lane, candidate.db);
    keys.know_hash(&candidate.key, candidate.hash);
    keys.with_shard(shard_of(candidate.hash), |keys| match keys.find_even_expired(&candidate.key) {
        Some(found) if candidate.is_unchanged(found.entry(), policy) => {
            keys.evict(found, &candidate.key, lazily);
            true
        }
        _ => false,
    })
}

impl Keys<'_> {
    /// Removes what was found to make room.
    fn evict(&mut self, found: Found, key: &[u8], lazily: bool) {
        self.discard(found, lazily);
        stats::add(&self.lane.stats.evicted, 1);
        self.touch_watchers(key);
        self.notify(Class::EVICTED, "evicted", key);
    }
}
