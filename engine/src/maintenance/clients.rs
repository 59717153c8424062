//! `maxmemory-clients`: when connections take too much memory, those that take most are closed.

use core::sync::atomic::Ordering::Relaxed;

use abi::client::flag;

use crate::session::clients;
use base::core::Core;
use base::counters::add;
use base::settings::setting;
use base::warming;

/// A limit below this would leave no room for any client.
const LIMIT_MIN: u64 = 128 * 1024;

/// Closes the largest clients until the rest is below the limit, if there is one.
pub fn tick(core: &Core) {
    let limit = limit(core.get(setting::MAXMEMORY_CLIENTS), core.get(setting::MAXMEMORY));
    let Some(limit) = limit else { return };
    let victims = choose(core, limit);
    if victims.is_empty() {
        return;
    }
    let closed = clients::kill_all(core, |client, _| victims.contains(&client.id));
    add(&core.stats.evicted_clients, closed.len() as u64);
}

/// How often it is looked whether the client is there that fills the keys from elsewhere.
const WARMER_LOOK_MS: u64 = 1000;

/// Ends filling the keys from elsewhere once the client that does it is gone.
pub fn look_for_warmer(core: &Core) {
    let (state, now_ms) = (warming::state(core.roots), core.clock.now_ms as u64);
    let id = state.client.load(Relaxed);
    let is_due = state.seen_ms.load(Relaxed).abs_diff(now_ms) >= WARMER_LOOK_MS;
    if id == 0 || !is_due {
        return;
    }
    state.seen_ms.store(now_ms, Relaxed);
    let mut is_there = false;
    clients::for_each(core, |client, _| is_there |= client.id == id);
    if !is_there {
        warming::forget(core.roots);
    }
}

/// What comes back once the clients are closed that were killed: for whoever is about to remove keys
/// instead.
#[derive(Clone, Copy, Default)]
pub struct Leaving {
    bytes: u64,
    /// When it was looked, Unix ms.
    at_ms: i64,
}

impl Leaving {
    /// Closes clients that take too much, and tells how many bytes those take that were killed and are
    /// not closed yet. Looks at most once a millisecond; 0 where clients have no limit.
    #[cold]
    pub fn bytes(&mut self, core: &Core) -> u64 {
        if core.get(setting::MAXMEMORY_CLIENTS) == 0 {
            return 0;
        }
        if self.at_ms != core.clock.now_ms {
            tick(core);
            *self = Self { bytes: clients::leaving_bytes(core), at_ms: core.clock.now_ms };
        }
        self.bytes
    }
}

/// Bytes that all clients may take; a negative setting is a share of `maxmemory` in percent.
fn limit(setting: i64, maxmemory: u64) -> Option<u64> {
    let bytes = match setting {
        0.. => setting as u64,
        percent => (u128::from(maxmemory) * u128::from(percent.unsigned_abs()) / 100) as u64,
    };
    (bytes > 0).then_some(bytes.max(LIMIT_MIN))
}

/// The ids of those to be closed, the largest first. All clients count, also those that
/// `CLIENT NO-EVICT` protects.
fn choose(core: &Core, limit: u64) -> Vec<u64> {
    let (mut total, mut candidates) = (0, Vec::new());
    clients::for_each(core, |client, _| {
        let flags = client.flags.load(Relaxed);
        if flags & flag::CLOSE_AFTER_REPLY != 0 {
            return;
        }
        let bytes = clients::memory(client);
        total += bytes;
        if flags & flag::NO_EVICT == 0 {
            candidates.push((bytes, client.id));
        }
    });
    candidates.sort_unstable_by(|a, b| b.cmp(a));
    let victims = candidates.into_iter().take_while(|(bytes, _)| {
        let is_above = total >= limit;
        total -= if is_above { bytes } else { &0 };
        is_above
    });
    victims.map(|(_, id)| id).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_bytes_or_a_share_and_not_too_small() {
        assert_eq!(limit(0, 1 << 30), None);
        assert_eq!(limit(1 << 20, 0), Some(1 << 20));
        assert_eq!(limit(1, 0), Some(LIMIT_MIN));
        assert_eq!(limit(-5, 1 << 30), Some((1 << 30) / 20));
        assert_eq!(limit(-5, 0), None, "a share of no limit is none");
        assert_eq!(limit(-100, u64::MAX), Some(u64::MAX));
    }
}
