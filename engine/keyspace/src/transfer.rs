//! Whole entries: another key, another database.

use abi::keyspace::SHARDS;

use crate::{CHANGE, Intent, Keys, VANISHING, access};
use base::event::Class;
use base::warming;
use value::entry::{Entry, OwnedEntry, Shape};

impl Keys<'_> {
    /// Puts an entry where its key leads, as a new key, whatever was there. The intent says whether a key
    /// whose time has come is told to have expired.
    pub fn put_anew(&mut self, entry: OwnedEntry, intent: Intent) {
        let hash = self.hash(entry.view().key());
        let replaced = self.upsert_at(hash, entry.view(), intent);
        self.arrived_anew(hash, entry.into_address(), replaced);
    }

    /// Gives a key that is there another name, which is not the one it has.
    pub fn rename(&mut self, from: &[u8], to: &[u8]) {
        let heap = self.core.heap;
        let Some(old) = self.entry(from, Intent::Peek) else { return };
        let shape = Shape { key_len: to.len(), ..old.shape() };
        let moved = old.moved(heap, &shape, to);
        let hash = self.hash(to);
        let replaced = self.upsert_at(hash, moved.view(), Intent::Peek);
        // Both entries have the value for now; from here on nothing fails before one has it.
        if let Some(old) = self.lookup(from, Intent::Past) {
            old.detach().free_hull();
        }
        // SAFETY: the old entry has just been freed without its value.
        let new = unsafe { moved.complete() };
        self.arrived_anew(hash, new.into_address(), replaced);
    }

    /// As [`Keys::arrived`], by a command that removes what was there and makes a new key.
    fn arrived_anew(&mut self, hash: u64, address: u64, replaced: Option<OwnedEntry>) {
        if self.arrived(hash, address, replaced) {
            // SAFETY: as in `arrived`.
            let entry = unsafe { Entry::at(address) };
            self.signal_new(hash, entry);
            self.notify(Class::NEW, "new", entry.key());
        }
    }

    /// Makes a copy of a key that is there under another name or in another database.
    pub fn copy(&mut self, from: &[u8], to: &[u8], db: u32) {
        let (heap, seed) = (self.core.heap, self.core.roots.seed);
        let access = access::initial(self.core);
        let Some(entry) = self.entry(from, Intent::Peek) else { return };
        let mut copy = entry.duplicate(heap, seed, to);
        copy.view_mut().set_access(access);
        self.in_db(db, |keys| keys.put_anew(copy, Intent::Peek));
    }

    /// Moves a key to another database, unless it has a key of this name. Tells whether it did.
    pub fn move_to(&mut self, key: &[u8], db: u32) -> bool {
        if !self.contains(key, Intent::Peek)
            || self.in_db(db, |keys| keys.contains(key, Intent::Write))
        {
            return false;
        }
        let hash = self.hash(key);
        let Some(entry) = self.entry(key, Intent::Past) else { return false };
        let address = entry.address();
        // SAFETY: it stays where it is and as it is while it is entered in the other database.
        self.in_db(db, |keys| keys.enlist(hash, unsafe { Entry::at(address) }));
        if let Some(found) = self.lookup(key, Intent::Past) {
            found.detach().into_address();
        }
        self.in_db(db, |keys| keys.arrived(hash, address, None));
        true
    }

    /// Exchanges the keys of two databases. Every shard is locked.
    pub fn swap_databases(&mut self, a: u32, b: u32) {
        warming::end(self.core.roots);
        self.untrack_all();
        for index in 0..SHARDS {
            self.signal_watchers_of_swapped(index, a, b);
            self.exchange_parts(index, a, b);
            for db in [a, b] {
                self.in_db(db, |keys| keys.signal_all_awaited(index));
            }
        }
    }

    /// Counts a change to each watched key that the exchange of two databases concerns.
    fn signal_watchers_of_swapped(&mut self, index: usize, a: u32, b: u32) {
        for (db, other) in [(a, b), (b, a)] {
            self.in_db(db, |keys| {
                keys.signal_watchers_of_all(index, |keys, key| {
                    let before = keys.presence(key);
                    let after = keys.in_db(other, |keys| keys.presence(key));
                    match (before, after) {
                        (Presence::Live, _) | (_, Presence::Live) => CHANGE,
                        (Presence::Expired, _) => VANISHING,
                        (Presence::Absent, _) => 0,
                    }
                });
            });
        }
    }

    /// What is where a key leads; nothing is removed.
    pub fn presence(&mut self, key: &[u8]) -> Presence {
        let now = self.core.expiry_now_ms();
        match self.entry(key, Intent::Past) {
            Some(entry) if entry.is_expired(now) => Presence::Expired,
            Some(_) => Presence::Live,
            None => Presence::Absent,
        }
    }
}

/// What is where a key leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// A key.
    Live,
    /// A key whose time has come and that nobody has removed yet.
    Expired,
    /// Nothing.
    Absent,
}
