//! Changing a whole database.

use abi::keyspace::SHARDS;

use crate::background;
use crate::keyspace::Keys;
use crate::session::watch;
use crate::stats;
use crate::store::table::{Table, TableRef};

impl Keys<'_> {
    /// Removes all keys of all databases.
    pub fn flush_all(&mut self, lazily: bool) {
        let selected = self.db;
        for db in 0..self.lane.roots.databases() {
            self.db = db;
            self.flush(lazily);
        }
        self.db = selected;
    }

    /// Removes all keys of the database, locking a shard at a time. `lazily`: a background thread
    /// frees them.
    pub fn flush(&mut self, lazily: bool) {
        let removed: usize = (0..SHARDS).map(|index| self.flush_shard(index, lazily)).sum();
        stats::add(&self.lane.stats.dirty, removed as u64);
    }

    /// Removes the keys of a shard and tells how many there were.
    fn flush_shard(&mut self, index: usize, lazily: bool) -> usize {
        if self.shard_len(index) == 0 {
            return 0;
        }
        let heap = self.lane.heap;
        let (keys, expires) = self.with_shard(index, |keys| {
            keys.touch_watchers_of_present(index);
            let part = keys.part_at(index);
            part.avg_ttl_ms = 0;
            let (keys, expires) = (&mut part.keys, &mut part.expires);
            (Table::new(keys, heap).take(), Table::new(expires, heap).take())
        });
        let removed = TableRef::new(&keys).len();
        background::free_tables(self.lane, keys, expires, lazily);
        removed
    }

    /// Tells those who watch a key of a locked shard that is there that it changes.
    fn touch_watchers_of_present(&mut self, index: usize) {
        let shard = self.lane.roots.shard(index);
        // SAFETY: the shard is locked by this lane.
        let watched = unsafe { &(*shard).watched };
        if TableRef::new(watched).is_empty() {
            return;
        }
        let db = self.db;
        watch::touch_all(watched, db, |key| self.find_even_expired(key).is_some());
    }
}
