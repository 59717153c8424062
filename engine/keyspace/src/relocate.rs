//! Moving what keys are made of, a position of a shard's tables at a time.

use crate::{Found, Keys};
use base::counters::add;
use base::hash::hash;
use base::mover::Mover;
use store::table::prefetch_line;
use value::body::{Place, START};
use value::entry::Entry;

/// Where moving goes on in a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The position in the table of keys.
    pub position: u64,
    /// The hash of the key there: those before it in order of hashes are done.
    pub hash: u64,
    /// Which of the keys with this hash it is, in order of their names.
    pub nth: u64,
    /// What of its value is next.
    pub place: Place,
}

impl Standing {
    /// At a position, of which nothing is done.
    pub const fn at(position: u64) -> Self {
        Self { position, hash: 0, nth: 0, place: START }
    }
}

impl Keys<'_> {
    /// Moves what the keys at a position of a locked shard are made of, and their part of the table,
    /// until the mover is spent. Returns where to go on: there, or at the next position, if any.
    ///
    /// A walk from position 0 on comes by every key that is there throughout, and all of its value
    /// but what is changed meanwhile.
    pub fn relocate(
        &mut self,
        shard: usize,
        from: Standing,
        mover: &mut Mover,
    ) -> Option<Standing> {
        let mut addresses = Vec::new();
        let heap = self.core.heap;
        let mut part = self.part_at(shard);
        let next = part.keys_mut(heap).relocate(from.position, mover, &mut |_, item| {
            prefetch_line(item.address());
            addresses.push(item.address());
        });
        let mut at = from;
        let mut is_first = true;
        for (hash, nth, address) in self.in_order(&addresses) {
            if (hash, nth) < (from.hash, from.nth) {
                continue;
            }
            let place = if (hash, nth) == (from.hash, from.nth) { from.place } else { START };
            at = Standing { hash, nth, place, ..at };
            if mover.is_spent() && !is_first {
                return Some(at);
            }
            is_first = false;
            at.place = self.relocate_key(shard, hash, address, place, mover);
            if at.place != START {
                return Some(at);
            }
        }
        next.map(Standing::at)
    }

    /// Moves what the table of keys with a time to live is made of, at a position of a locked shard.
    /// Returns the next position, if any.
    pub fn relocate_expires(
        &mut self,
        shard: usize,
        position: u64,
        mover: &mut Mover,
    ) -> Option<u64> {
        let heap = self.core.heap;
        let mut part = self.part_at(shard);
        part.expires_mut(heap).relocate(position, mover, &mut |_, _| ())
    }

    /// Entries of a locked shard, in order of the hashes of their keys; each with that, and which of
    /// those with the same it is.
    fn in_order(&self, addresses: &[u64]) -> Vec<(u64, u64, u64)> {
        let seed = self.core.roots.seed;
        // SAFETY: an item of the table, found just now; the shard is locked.
        let key = |address: u64| unsafe { Entry::at(address) }.key();
        let mut all: Vec<_> =
            addresses.iter().map(|entry| (hash(key(*entry), seed), 0, *entry)).collect();
        all.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| key(a.2).cmp(key(b.2))));
        for at in 1..all.len() {
            if all[at].0 == all[at - 1].0 {
                all[at].1 = all[at - 1].1 + 1;
            }
        }
        all
    }

    /// Moves an entry and what its value owns, from a place on. Returns where that goes on.
    fn relocate_key(
        &mut self,
        shard: usize,
        hash: u64,
        address: u64,
        from: Place,
        mover: &mut Mover,
    ) -> Place {
        let before = mover.moved;
        let Some(slot) = self.part_at(shard).keys().find_address(hash, address) else {
            return START;
        };
        // SAFETY: just found, and the table has not been changed since.
        let mut found = unsafe { self.found(slot, hash) };
        found.make_way(mover);
        // However few looks there are, it comes on in the value.
        mover.allow(1);
        let place = found.relocate_value(from, mover);
        let stats = self.core.stats;
        let is_hit = mover.moved != before;
        add(if is_hit { &stats.defrag_key_hits } else { &stats.defrag_key_misses }, 1);
        place
    }

    /// Counts what a mover has done.
    pub fn count_moved(&self, mover: &Mover) {
        add(&self.core.stats.defrag_hits, mover.moved);
        add(&self.core.stats.defrag_misses, mover.stayed);
    }
}

impl Found<'_> {
    /// Moves what the value owns outside of the entry, from a place on.
    fn relocate_value(&mut self, from: Place, mover: &mut Mover) -> Place {
        let seed = self.core().roots.seed;
        let relocate = self.entry().row().owned.relocate;
        relocate(mover, seed, &mut self.entry_to_move(), from)
    }
}
