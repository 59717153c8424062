//! Removing all keys of a database.
#![forbid(unsafe_code)]

use core::sync::atomic::Ordering::Relaxed;

use abi::keyspace::SHARDS;

use crate::garbage::{self, DetachedTables};
use crate::{Keys, snapshot};
use base::warming;

impl Keys<'_> {
    /// Removes all keys of all databases.
    pub fn flush_all(&mut self, lazily: bool) {
        let databases = 0..self.core.roots.databases();
        let detached = self.with_all_shards(|keys| {
            // While all shards are locked: whatever comes after is done after it everywhere.
            keys.core.effects.command(keys.db, &[b"FLUSHALL"]);
            warming::end(keys.core.roots);
            keys.untrack_all();
            databases.flat_map(|db| keys.in_db(db, Self::detach_all)).collect()
        });
        self.free_detached(detached, lazily);
    }

    /// Removes all keys of the database. `lazily`: a background thread frees them.
    pub fn flush(&mut self, lazily: bool) {
        let detached = self.with_all_shards(|keys| {
            keys.core.effects.command(keys.db, &[b"FLUSHDB"]);
            warming::end(keys.core.roots);
            keys.untrack_all();
            keys.detach_all()
        });
        self.free_detached(detached, lazily);
    }

    /// Takes all keys out of the database, whose shards are locked.
    fn detach_all(&mut self) -> Vec<DetachedTables> {
        let indices = (0..SHARDS).filter(|index| self.shard_len(*index) > 0);
        indices.collect::<Vec<_>>().into_iter().map(|index| self.detach_shard(index)).collect()
    }

    fn detach_shard(&mut self, index: usize) -> DetachedTables {
        self.signal_watchers_of_present(index);
        self.signal_all_awaited(index);
        let heap = self.core.heap;
        self.core.running.discards();
        let mut part = self.part_at(index);
        part.avg_ttl_ms().store(0, Relaxed);
        let mut tables = DetachedTables::out_of(&mut part, heap);
        let keys = tables.keys_mut();
        snapshot::hand_over_table(self.core, (self.db, index), keys, garbage::estimated_bytes);
        tables
    }

    /// Frees what was taken out: not earlier than others may go on, for it can take long.
    fn free_detached(&mut self, detached: Vec<DetachedTables>, lazily: bool) {
        for tables in detached {
            self.count_changes(tables.count());
            garbage::dispose_tables(self.core, tables, lazily);
        }
    }
}
