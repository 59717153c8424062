//! Keys that blocked clients wait for.

use abi::wait::BlockedKey;

use crate::Keys;
use base::lock::shard_of;
use base::notices::{Key, Ready, Whom};
use store::named::{Name, Named, name_of};
use value::entry::Entry;

impl Keys<'_> {
    /// The queues of those who wait for keys, in the shard of a hash, which is locked.
    #[inline]
    pub fn awaited(&mut self, hash: u64) -> Named<'_, BlockedKey> {
        let (heap, seed) = (self.core.heap, self.core.roots.seed);
        let shard = self.shard_at(shard_of(hash));
        // SAFETY: as in `watched`.
        unsafe { Named::new(&shard.blocked, heap, seed) }
    }

    /// Notes that some of those who wait for a key must look at it, if somebody does.
    pub(crate) fn signal_awaited(&mut self, hash: u64, key: &[u8], whom: Whom) {
        let db = self.db;
        let awaited = self.awaited(hash);
        if !awaited.is_empty() && awaited.find(Name::of_key(key, hash, db)).is_some() {
            self.core.notices.note_ready(Ready { key: Key::new(db, key), whom });
        }
    }

    /// Notes that those who wait for a value like that of a new key must look at it.
    pub(crate) fn signal_new(&mut self, hash: u64, entry: Entry<'_>) {
        let kind = entry.value_type();
        if value::is_awaitable(kind) {
            self.signal_awaited(hash, entry.key(), Whom::Type(kind));
        }
    }

    /// Notes that those who wait for any key of the database in a locked shard must look at it: for
    /// commands that change a whole database.
    pub(crate) fn signal_all_awaited(&mut self, shard: usize) {
        let (mut names, db) = (Vec::new(), self.db);
        self.awaited(shard as u64).for_each(&mut |queue| {
            if queue.db == db {
                names.push(name_of(queue).to_vec());
            }
        });
        for name in names {
            self.core.notices.note_ready(Ready { key: Key { db, name }, whom: Whom::All });
        }
    }
}
