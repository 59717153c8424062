//! Keys that clients watch: each has a record in its shard with a counter of changes.

use core::sync::atomic::Ordering::Relaxed;

use abi::keyspace::WatchedKey;
use abi::tracking::interest;

use crate::{Keys, Presence};
use base::lock::shard_of;
use store::named::{Name, Named, name_of};
use store::table;

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
        self.signal_change(key, true);
    }

    /// As [`Keys::signal_watchers`], of a change that no client has asked for.
    pub(crate) fn signal_watchers_unasked(&mut self, key: &[u8]) {
        self.signal_change(key, false);
    }

    #[inline(always)]
    fn signal_change(&mut self, key: &[u8], is_asked: bool) {
        let hash = self.hash(key);
        let shard = self.shard_at(shard_of(hash));
        let interest = shard.interest.load(Relaxed) & !interest::SNAPSHOT;
        if table::len(&shard.watched) as u64 | u64::from(interest) != 0 {
            self.tell_of_change(key, hash, interest, is_asked);
        }
    }

    #[cold]
    fn tell_of_change(&mut self, key: &[u8], hash: u64, interest: u32, is_asked: bool) {
        self.count_change(key, hash);
        if interest != 0 {
            let by = self.core.running.client().filter(|_| is_asked);
            self.note_change(key, hash, interest, by);
        }
    }

    /// Counts a change to a key, if it is watched.
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
