//! What keys were before a script changed them that may have to be undone.
//!
//! A script that runs beside others may find in the middle that it needs a shard which somebody holds.
//! It cannot wait with shards of its own, so what it has done is undone and it runs again. Until then
//! nobody has seen any of it: its shards are locked, and its effects and reply are still with it.
#![forbid(unsafe_code)]

use core::mem;

use crate::{Intent, Keys, Presence};
use abi::host::level;
use base::heap::{Heap, if_room};
use value::entry::{Entry, OwnedEntry};

/// Bytes of a value up to which it is copied before it is changed.
const SMALL_BYTES: usize = 4 << 10;
/// Keys that are remembered at most.
const KEYS_MAX: usize = 64;

/// Keys as they were before their first change. Dropped, they are forgotten.
#[derive(Default)]
pub struct Undo {
    before: Vec<Before>,
}

/// A key as it was.
struct Before {
    db: u32,
    key: Vec<u8>,
    /// A copy of it, if it was there.
    entry: Option<OwnedEntry>,
    /// Whether it was there, but its time had come.
    was_expired: bool,
}

impl Undo {
    /// Remembers a key that is about to change, whose shard is locked. Tells whether it could: not if
    /// its value is large, or memory short.
    pub fn remember(&mut self, keys: &mut Keys<'_>, key: &[u8]) -> bool {
        let db = keys.db;
        if self.before.iter().any(|before| before.db == db && before.key == key) {
            return true;
        }
        if self.before.len() >= KEYS_MAX {
            return false;
        }
        let (now, heap, seed) = (keys.core.expiry_now_ms(), keys.core.heap, keys.core.roots.seed);
        let (mut copy, mut was_expired) = (None, false);
        if let Some(entry) = keys.entry(key, Intent::Past) {
            was_expired = entry.is_expired(now);
            if !is_small(entry, heap) {
                return false;
            }
            if !was_expired {
                if_room(|| copy = Some(entry.duplicate(heap, seed, key)));
                let Some(copy) = &mut copy else { return false };
                copy.view_mut().set_access(entry.access());
            }
        }
        self.before.push(Before { db, key: key.to_vec(), entry: copy, was_expired });
        true
    }

    /// Puts all keys back as they were and forgets them. Effects told since are to be dropped before;
    /// what has become otherwise of a key all the same is told.
    pub fn undo(&mut self, keys: &mut Keys<'_>) {
        for before in mem::take(&mut self.before) {
            keys.in_db(before.db, |keys| before.restore(keys));
        }
    }

    /// Forgets them.
    pub fn forget(&mut self) {
        self.before.clear();
    }
}

impl Before {
    fn restore(self, keys: &mut Keys<'_>) {
        let Self { db, key, entry, was_expired } = self;
        let was_there = entry.is_some();
        match entry {
            // It takes a place in the table, for which there may be no memory any more.
            Some(entry) => if_room(|| keys.put_anew(entry, Intent::Past)),
            None => {
                keys.remove(&key);
            }
        }
        let is_lost = was_there && keys.presence(&key) == Presence::Absent;
        if is_lost {
            let text = "a key is lost: a script was undone when memory had run out";
            keys.core.host.log()(level::WARN, text.into());
        }
        if was_expired || is_lost {
            keys.core.effects.deleted(db, &key);
        }
    }
}

impl Keys<'_> {
    /// Whether a key of a locked shard has no value that would take long to copy.
    pub fn is_small(&mut self, key: &[u8]) -> bool {
        let heap = self.core.heap;
        self.entry(key, Intent::Past).is_none_or(|entry| is_small(entry, heap))
    }
}

fn is_small(entry: Entry<'_>, heap: Heap) -> bool {
    entry.estimated_memory(heap) <= SMALL_BYTES
}
