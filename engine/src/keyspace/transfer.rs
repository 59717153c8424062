//! Whole entries: putting one under a key, another key, another database.

use abi::keyspace::SHARDS;

use crate::keyspace::entry::{self, Entry};
use crate::keyspace::notify::Class;
use crate::keyspace::{Found, Keys};
use crate::lane::ReadyKey;
use crate::session::watch;
use crate::settings;
use crate::store::named::name_of;
use crate::value;

impl Keys<'_> {
    /// Runs `f` on the keys of another database.
    pub fn in_db<R>(&mut self, db: u32, f: impl FnOnce(&mut Self) -> R) -> R {
        let selected = core::mem::replace(&mut self.db, db);
        let result = f(self);
        self.db = selected;
        result
    }

    /// Puts an entry where its key leads, in the place of what is there. Tells whether something
    /// was.
    pub(crate) fn put(&mut self, entry: Entry<'_>) -> bool {
        let key = entry.key();
        let Some(found) = self.find(key) else {
            self.insert(self.hash(key), entry);
            return false;
        };
        let old = self.substitute(found, entry);
        let lazily = self.lane.number(settings::id::LAZYFREE_LAZY_SERVER_DEL) != 0;
        // SAFETY: out of the tables, nothing refers to it.
        unsafe { value::free(self.lane, old, lazily) };
        if entry::is_waitable(entry.kind()) {
            self.signal_ready(found.hash, key);
        }
        true
    }

    /// As [`Keys::put`], by a command that removes what was there and makes a new key.
    fn put_anew(&mut self, entry: Entry<'_>) {
        if self.put(entry) {
            self.notify(Class::NEW, "new", entry.key());
        }
    }

    /// Gives a key that is there another name, which is not the one it has.
    pub fn rename(&mut self, from: &[u8], to: &[u8]) {
        let Some(found) = self.find(from) else { return };
        self.put_anew(found.entry().with_key(self.lane.heap, to));
        if let Some(found) = self.find_even_expired(from) {
            let old = self.detach(found);
            // SAFETY: out of the tables; its body lives on in the renamed entry.
            unsafe { old.free(self.lane.heap) };
        }
    }

    /// Makes a copy of a key that is there under another name or in another database.
    pub fn copy(&mut self, from: &[u8], to: &[u8], db: u32) {
        let Some(found) = self.find(from) else { return };
        let copy = value::duplicate(self.lane.heap, found.entry(), to);
        copy.set_access(self.initial_access());
        self.in_db(db, |keys| keys.put_anew(copy));
    }

    /// Moves a key to another database, unless it has a key of this name. Tells whether it did.
    pub fn move_to(&mut self, key: &[u8], db: u32) -> bool {
        let Some(found) = self.find(key) else { return false };
        if self.in_db(db, |keys| keys.access(key).is_some()) {
            return false;
        }
        self.in_db(db, |keys| keys.insert(found.hash, found.entry()));
        self.detach(found);
        true
    }

    /// Exchanges the keys of two databases. Every shard is locked.
    pub fn swap_databases(&mut self, a: u32, b: u32) {
        for index in 0..SHARDS {
            self.touch_watchers_of_swapped(index, a, b);
            let heap = self.lane.heap;
            let [one, other] = [a, b].map(|db| self.in_db(db, |keys| keys.part_at(index)));
            one.exchange(other, heap);
            for db in [a, b] {
                self.in_db(db, |keys| keys.signal_all_ready(index));
            }
        }
    }

    /// Counts a change to each watched key that the exchange of two databases concerns.
    fn touch_watchers_of_swapped(&mut self, index: usize, a: u32, b: u32) {
        // The shard is the low bits of a hash.
        let mut watched = self.watched(index as u64);
        if watched.is_empty() {
            return;
        }
        for (db, other) in [(a, b), (b, a)] {
            watch::touch_all(&mut watched, db, |key| {
                let before = self.in_db(db, |keys| keys.presence(key));
                let after = self.in_db(other, |keys| keys.presence(key));
                match (before, after) {
                    (Presence::Live, _) | (_, Presence::Live) => watch::CHANGE,
                    (Presence::Expired, _) => watch::VANISHING,
                    (Presence::Absent, _) => 0,
                }
            });
        }
    }

    /// What is where a key leads; nothing is removed.
    pub(crate) fn presence(&mut self, key: &[u8]) -> Presence {
        let now = self.lane.clock.now_ms;
        match self.find_even_expired(key).map(Found::entry) {
            Some(entry) if entry.is_expired(now) => Presence::Expired,
            Some(_) => Presence::Live,
            None => Presence::Absent,
        }
    }

    /// Remembers which keys of the database somebody waits for in a locked shard have come into
    /// being.
    fn signal_all_ready(&mut self, index: usize) {
        let (mut awaited, db) = (Vec::new(), self.db);
        self.awaited(index as u64).for_each(&mut |queue| {
            if queue.db == db {
                awaited.push(name_of(queue).to_vec());
            }
        });
        for key in awaited {
            if self.peek(&key).is_some_and(|entry| entry::is_waitable(entry.kind())) {
                self.lane.ready.push(ReadyKey { db: self.db, key });
            }
        }
    }
}

/// What is where a key leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    /// A key.
    Live,
    /// A key whose time has come and that nobody has removed yet.
    Expired,
    /// Nothing.
    Absent,
}
