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

use crate::maintenance::background;
use base::clock::ticks;
use base::error::{Done, self};
use crate::exec::spec::{Spec, flag};
use crate::maintenance::expire::{claim_job, is_suspended, upkeep};
use base::lock::shard_of;
use base::event::Class;
use keyspace::{Found, Keys};
use base::core::Core;
use crate::session::latency;
use crate::exec::transaction;
use base::settings::{Policy, id};
use crate::session::stats;
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
pub fn make_room(core: &mut Core, client: &Client, spec: &Spec) -> Done {
    const GROWS: u32 = flag::WRITE | flag::DENYOOM | flag::TRANSACTION;
    let in_multi = client.flags.load(Relaxed) & client_flag::MULTI != 0;
    if core.room_known_for == core.settings.maxmemory && !spec.has(GROWS) && !in_multi {
        return Ok(());
    }
    let outcome = keep_limit(core, command_us_max);
    core.room_known_for = match outcome {
        Outcome::Enough => core.settings.maxmemory,
        _ => 0,
    };
    if outcome == Outcome::Nothing && may_use_more(core, client, spec) {
        return Err(error::OOM);
    }
    Ok(())
}

/// Goes on making room though no command asks for it.
pub fn tick(core: &mut Core) {
    if core.settings.maxmemory != 0 {
        keep_limit(core, command_us_max);
    }
}

/// The same on a background thread.
pub fn job(core: &mut Core) {
    core.refresh();
    upkeep(core.roots).room_job_ms.store(0, Relaxed);
    if core.settings.maxmemory != 0 {
        keep_limit(core, |_| BACKGROUND_US_MAX);
    }
}

/// Whether a command, or what it adds to a transaction, may use memory.
fn may_use_more(core: &Core, client: &Client, spec: &Spec) -> bool {
    let in_multi = client.flags.load(Relaxed) & client_flag::MULTI != 0;
    spec.has(flag::DENYOOM)
        || in_multi && !spec.has(flag::NOT_QUEUED)
        || in_multi
            && spec.has(flag::TRANSACTION)
            && multi::any_queued(core, client, |queued| queued.has(flag::DENYOOM))
}

/// How long a command may be kept waiting, from `maxmemory-eviction-tenacity`.
fn command_us_max(core: &Core) -> u64 {
    match core.number(id::MAXMEMORY_EVICTION_TENACITY) {
        tenacity @ ..=10 => 50 * tenacity.max(0) as u64,
        tenacity @ ..100 => (500.0 * 1.15f64.powi(tenacity as i32 - 10)) as u64,
        _ => u64::MAX,
    }
}

/// Makes room if memory is above the limit, and keeps account of how long it stays there.
#[inline]
fn keep_limit(core: &mut Core, us_max: impl Fn(&Core) -> u64) -> Outcome {
    let outcome = match is_within_limit(core) {
        true => Outcome::Enough,
        false => evict(core, us_max(core)),
    };
    let is_counted = upkeep(core.roots).over_maxmemory_since_ns.load(Relaxed) != 0;
    if is_counted == (outcome == Outcome::Enough) {
        crossed(core, !is_counted);
    }
    outcome
}

#[inline]
fn is_within_limit(core: &Core) -> bool {
    core.host.used_bytes()() <= core.settings.maxmemory
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
        stats::add(&core.stats.over_maxmemory_us, now.saturating_sub(then) / 1000);
    }
}

/// Removes keys until memory is within the limit or the time is up.
#[cold]
fn evict(core: &mut Core, limit_us: u64) -> Outcome {
    if is_suspended(core) {
        return Outcome::UnderWay;
    }
    if core.settings.policy == Policy::NoEviction {
        return Outcome::Nothing;
    }
    let begin = ticks(core.host);
    let outcome = evict_until(core, begin, limit_us);
    latency::record(core, "eviction-cycle", elapsed_us(core, begin) / 1000);
    outcome
}

fn elapsed_us(core: &Core, begin: u64) -> u64 {
    core.ticks.to_ns(ticks(core.host).wrapping_sub(begin)) / 1000
}

fn evict_until(core: &mut Core, begin: u64, limit_us: u64) -> Outcome {
    let lazily = core.number(id::LAZYFREE_LAZY_EVICTION) != 0;
    let outcome = loop {
        for _ in 0..KEYS_PER_LOOK {
            if is_memory_coming_back(core) {
                return Outcome::UnderWay;
            }
            if !evict_one(core, lazily) {
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

/// Whether memory will be within the limit once background threads have freed what they have: room
/// must not be made for it twice.
fn is_memory_coming_back(core: &Core) -> bool {
    let coming = upkeep(core.roots).lazy_bytes.load(Relaxed);
    coming != 0 && core.host.used_bytes()().saturating_sub(coming) <= core.settings.maxmemory
}

/// Removes the key that suits the policy best among those known. Tells whether there was one.
fn evict_one(core: &mut Core, lazily: bool) -> bool {
    // Out of the core while it is used, as it looks at keys through the core.
    let mut pool = std::mem::take(&mut core.eviction);
    pool.prepare(core.settings.policy);
    let mut evicted = false;
    while !evicted && pool.fill(core) {
        while let Some(candidate) = pool.best()
            && !evicted
        {
            evicted = evict_candidate(core, &candidate, lazily);
        }
    }
    core.eviction = pool;
    evicted
}

/// Removes a candidate if it still is one.
fn evict_candidate(core: &mut Core, candidate: &Candidate, lazily: bool) -> bool {
    let policy = core.settings.policy;
    let mut keys = Keys::new(core, candidate.db);
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
        stats::add(&self.core.stats.evicted, 1);
        self.touch_watchers(key);
        self.notify(Class::EVICTED, "evicted", key);
    }
}
