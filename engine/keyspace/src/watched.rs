//! Keys that clients watch: each has a record in its shard with a counter of changes.

use abi::client_ref::ClientRef;
use abi::keyspace::WatchedKey;

use crate::{Keys, Presence};
use base::core::Core;
use base::lock::shard_of;
use store::named::{Name, Named, name_of};

/// What [`Keys::signal_watchers_of_all`] counts for a key that changes: more than for one that
/// vanishes.
pub const CHANGE: u64 = 2;
/// What is counted for a key whose time had come and that is now removed.
pub const VANISHING: u64 = 1;

impl Keys<'_> {
    /// The records of watched keys in the shard of a hash, which is locked.
    #[inline]
    pub fn watched(&mut self, hash: u64) -> Named<'_, WatchedKey> {
        let (heap, seed) = (self.core.heap, self.core.roots.seed);
        let shard = self.shard_at(shard_of(hash));
        // SAFETY: the shard is locked by this lane; what the table holds is made by such views
        // alone, and `&mut self` keeps another from being made while this is used.
        unsafe { Named::new(&shard.watched, heap, seed) }
    }

    /// Tells those who watch a key, or have it in a cache of their own, that it has changed.
    #[inline]
    pub fn signal_watchers(&mut self, key: &[u8]) {
        self.signal_watchers_by(key, |core| core.running.client());
    }

    /// As [`Keys::signal_watchers`], of a change that no client has asked for.
    pub(crate) fn signal_watchers_unasked(&mut self, key: &[u8]) {
        self.signal_watchers_by(key, |_| None);
    }

    #[inline(always)]
    fn signal_watchers_by(&mut self, key: &[u8], by: impl Fn(&Core) -> Option<ClientRef>) {
        let hash = self.hash(key);
        if !self.watched(hash).is_empty() {
            self.count_change(key, hash);
        }
        let interest = self.interest(hash);
        if interest != 0 {
            let by = by(self.core);
            self.note_change(key, hash, interest, by);
        }
    }

    /// Counts a change to a key, if it is watched.
    #[cold]
    fn count_change(&mut self, key: &[u8], hash: u64) {
        let db = self.db;
        if let Some(record) = self.watched(hash).find_mut(Name::of_key(key, hash, db)) {
            record.changes += 1;
        }
    }

    /// Counts changes to the watched keys of the database in a locked shard, as many as `changes`
    /// says for each: for commands that change a whole database.
    pub(crate) fn signal_watchers_of_all(
        &mut self,
        shard: usize,
        mut changes: impl FnMut(&mut Self, &[u8]) -> u64,
    ) {
        // The shard is the low bits of a hash.
        let (any_hash, db) = (shard as u64, self.db);
        let mut names = Vec::new();
        self.watched(any_hash).for_each(&mut |record| {
            if record.db == db {
                names.push(name_of(record).to_vec());
            }
        });
        for name in names {
            let count = changes(self, &name);
            let hash = self.hash(&name);
            if let Some(record) = self.watched(any_hash).find_mut(Name::of_key(&name, hash, db)) {
                record.changes += count;
            }
        }
    }

    /// Tells those who watch a key of a locked shard that is there that it changes.
    pub(crate) fn signal_watchers_of_present(&mut self, shard: usize) {
        self.signal_watchers_of_all(shard, |keys, key| match keys.presence(key) {
            Presence::Live => CHANGE,
            Presence::Expired => VANISHING,
            Presence::Absent => 0,
        });
    }
}
