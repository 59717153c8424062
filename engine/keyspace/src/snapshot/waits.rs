//! Who has to wait for a snapshot before it changes a key.

use core::sync::atomic::Ordering::Relaxed;

use super::{Due, LARGE_BYTES, due, is_ahead, state};
use crate::{Intent, Keys};
use base::lock::shard_of;

impl Keys<'_> {
    /// Whether a key may be ahead of a snapshot's walk. Its shard need not be locked.
    pub fn may_be_ahead_of_snapshot(&self, key: &[u8]) -> bool {
        let hash = self.hash(key);
        let walked = self.core.roots.part(shard_of(hash), self.db).walked.load(Relaxed);
        is_ahead(walked, hash)
    }

    /// Whether a key of a locked shard is ahead of a snapshot's walk with a value that would take long
    /// to write: then it is written next, and who wants to change it waits for that.
    pub fn waits_for_snapshot(&mut self, key: &[u8]) -> bool {
        let (at, heap) = ((self.db, self.hash(key)), self.core.heap);
        let Some(entry) = self.entry(key, Intent::Past) else { return false };
        let (bytes, mark) = (entry.estimated_memory(heap), entry.mark());
        if bytes < LARGE_BYTES {
            return false;
        }
        let due = due(self.core, at, mark);
        if let Due::Whole(_) = due {
            let state = state(self.core.roots);
            state.wanted.store(at.1, Relaxed);
            state.wanted_db.store(u64::from(at.0) + 1, Relaxed);
        }
        due != Due::Nothing
    }
}
