//! Keys that clients may have in caches of their own: each has a record in its shard, by its name
//! alone, whatever the database, with those who are to hear when it changes.
//!
//! A record is made under the lock under which the key was read, and is gone once its clients are
//! told: whoever reads the key again is remembered anew.

use core::sync::atomic::Ordering::Relaxed;

use abi::client_ref::ClientRef;
use abi::container::RawVec;
use abi::keyspace::SHARDS;
use abi::tracking::{TrackedKey, TrackingTotals, interest};

use crate::{Keys, garbage};
use base::garbage::{Garbage, GarbagePlace};
use base::lock::shard_of;
use base::mover::Mover;
use base::notices::{Changed, Invalid};
use base::vec::{self, Words};
use store::named::{Name, Named, address_of, name_of};
use store::table;

impl Keys<'_> {
    /// The records of tracked keys in a locked shard.
    fn tracked(&mut self, shard: usize) -> Named<'_, TrackedKey> {
        let (heap, seed) = (self.core.heap, self.core.roots.seed);
        let shard = self.shard_at(shard);
        // SAFETY: as in `watched`.
        unsafe { Named::new(&shard.tracked, heap, seed) }
    }

    /// Says who is to hear of changes to keys of a locked shard.
    pub(crate) fn set_interest(&self, shard: usize, bit: u32, is_set: bool) {
        // Only the holder of the lock stores.
        let word = &self.shard_at(shard).interest;
        let others = word.load(Relaxed) & !bit;
        word.store(if is_set { others | bit } else { others }, Relaxed);
    }

    fn tracking_totals(&self) -> &'static TrackingTotals {
        &self.core.roots.shared().tracking_totals
    }

    /// Remembers that the client with this id may keep a key, whose shard is locked, in a cache of
    /// its own. Where memory runs out nothing has changed.
    pub fn track(&mut self, key: &[u8], client: u64) {
        let (hash, heap) = (self.hash(key), self.core.heap);
        let shard = shard_of(hash);
        let name = Name::of_key(key, hash, 0);
        let mut is_new_key = false;
        let fresh = || {
            is_new_key = true;
            let others = RawVec::EMPTY;
            TrackedKey { first: client, others, key_len: name.bytes(), reserved: 0 }
        };
        let mut table = self.tracked(shard);
        let record = table.find_or_add(name, fresh);
        let is_new_item = is_new_key
            || record.first != client
                && Words::new(&mut record.others, heap).insert_in_order(client);
        self.set_interest(shard, interest::KEYS, true);
        let totals = self.tracking_totals();
        totals.keys.fetch_add(is_new_key.into(), Relaxed);
        totals.items.fetch_add(is_new_item.into(), Relaxed);
    }

    /// Notes that a key has changed, for those who are to hear of it: `interest` says whether there are
    /// any, as bits of [`interest`].
    pub(crate) fn note_change(
        &mut self,
        key: &[u8],
        hash: u64,
        interest: u32,
        by: Option<ClientRef>,
    ) {
        if interest & interest::PREFIXES != 0 {
            self.core.notices.note_changed(Changed { key: key.to_vec(), by });
        }
        if interest & interest::KEYS != 0
            && let Some(record) = self.tracked(shard_of(hash)).find(Name::of_key(key, hash, 0))
        {
            let address = address_of(record);
            self.untrack(hash, address, by);
        }
    }

    /// Forgets a tracked key of a locked shard, and notes it for its clients.
    fn untrack(&mut self, hash: u64, address: u64, by: Option<ClientRef>) {
        let (heap, shard) = (self.core.heap, shard_of(hash));
        let mut table = self.tracked(shard);
        let record = table.find_address_mut(hash, address).expect("it was just found");
        let mut clients = vec![record.first];
        clients.extend_from_slice(vec::slice(&record.others));
        let key = name_of(record).to_vec();
        Words::new(&mut record.others, heap).free();
        table.remove(hash, address);
        let is_last = table.is_empty();
        if is_last {
            self.set_interest(shard, interest::KEYS, false);
        }
        let totals = self.tracking_totals();
        totals.keys.fetch_sub(1, Relaxed);
        totals.items.fetch_sub(clients.len() as u64, Relaxed);
        self.core.notices.note_invalid(Invalid { key, clients, by });
    }

    /// Forgets a tracked key of a locked shard, chosen at random, if there is one, and notes it for
    /// its clients.
    pub fn untrack_one(&mut self, shard: usize) {
        let (random, seed) = (self.core.random.next_u64(), self.core.roots.seed);
        let table = self.tracked(shard);
        let Some(record) = table.view().sample(random) else { return };
        let (address, hash) = (address_of(record), base::hash::hash(name_of(record), seed));
        self.untrack(hash, address, None);
    }

    /// Forgets all tracked keys, and notes that nothing is to stay in any client's cache. Every shard
    /// is locked.
    pub(crate) fn untrack_all(&mut self) {
        let TrackingTotals { clients, keys, items, .. } = self.tracking_totals();
        if clients.load(Relaxed) == 0 && keys.load(Relaxed) == 0 {
            return;
        }
        (0..SHARDS).for_each(|shard| self.untrack_shard(shard));
        keys.store(0, Relaxed);
        items.store(0, Relaxed);
        self.core.notices.note_all_invalid();
    }

    /// Forgets the tracked keys of a locked shard. Many are freed in the background: nobody is held up
    /// for as long.
    fn untrack_shard(&mut self, shard: usize) {
        self.core.running.discards();
        let table = self.tracked(shard).take();
        self.set_interest(shard, interest::KEYS, false);
        let keys = table::len(&table);
        let bytes = keys * size_of::<TrackedKey>();
        // SAFETY: it was just taken out of the shard with its records.
        let garbage =
            unsafe { Garbage::new(GarbagePlace::Tracked(table), keys as u64, bytes as u64) };
        if keys > garbage::LAZY_MIN {
            self.core.notices.note_garbage(garbage);
        } else {
            garbage::free(self.core.heap, garbage);
        }
    }

    /// Moves what remembers tracked keys, at a position of a locked shard's table of them. Returns the
    /// next position, if any.
    pub fn relocate_tracked(
        &mut self,
        shard: usize,
        position: u64,
        mover: &mut Mover,
    ) -> Option<u64> {
        let heap = self.core.heap;
        let mut relocate_owned = |mover: &mut Mover, record: &mut TrackedKey| {
            Words::new(&mut record.others, heap).relocate(mover);
        };
        // SAFETY: nobody keeps an address of these records; they are found by their names.
        unsafe { self.tracked(shard).relocate(position, mover, &mut relocate_owned) }
    }

    /// From now on changes to all keys are noted with [`base::notices::Notices::note_changed`]. Every
    /// shard is locked.
    pub fn note_all_changes(&mut self) {
        (0..SHARDS).for_each(|shard| self.set_interest(shard, interest::PREFIXES, true));
    }

    /// Nobody wants to hear of changes to all keys any more, as far as this lane has their shards
    /// locked: none can come in between who sees that there is nobody.
    pub fn end_noting_changes(&mut self) {
        for shard in (0..SHARDS).filter(|shard| self.core.has_locked(*shard)) {
            self.set_interest(shard, interest::PREFIXES, false);
        }
    }
}
