//! Time to live of single keys. The sweep over all keys is in `expire`.

use crate::keyspace::notify::Class;
use crate::keyspace::{Found, Keys, expire};
use crate::settings;
use crate::stats;

impl Keys<'_> {
    /// Gives a key a time to live that ends at this Unix time in ms. Tells whether it is there.
    pub fn expire_at(&mut self, key: &[u8], at_ms: i64) -> bool {
        let Some(found) = self.find(key) else { return false };
        self.set_expiry(found, Some(at_ms));
        true
    }

    /// Takes a key's time to live away. Tells whether it had one.
    pub fn persist(&mut self, key: &[u8]) -> bool {
        match self.find(key) {
            Some(found) if found.entry().has_ttl() => {
                self.set_expiry(found, None);
                true
            }
            _ => false,
        }
    }

    /// Changes the expiry of what was found; the entry may move.
    pub(crate) fn set_expiry(&mut self, found: Found, at_ms: Option<i64>) {
        let entry = found.entry();
        match (entry.has_ttl(), at_ms) {
            (true, Some(at)) => entry.set_expires_at(at),
            (false, None) => {}
            _ => {
                let moved = entry.with_expiry(self.lane.heap, at_ms);
                self.replace(found, moved);
            }
        }
    }

    /// Whether keys whose time has come are not found, but not removed either.
    pub(super) fn keeps_expired(&self) -> bool {
        self.lane.reads_only && expire::is_suspended(self.lane)
    }

    /// Removes a key whose time has come and says so. For a command that only reads it stays while
    /// clients are paused: nothing is to change then.
    #[cold]
    pub(crate) fn remove_expired(&mut self, found: Found) {
        if self.keeps_expired() {
            return;
        }
        let lazily = self.lane.number(settings::id::LAZYFREE_LAZY_EXPIRE) != 0;
        let key = found.entry().key().to_vec();
        self.discard(found, lazily);
        stats::add(&self.lane.stats.expired, 1);
        self.touch_watchers(&key);
        self.notify(Class::EXPIRED, "expired", &key);
    }
}
