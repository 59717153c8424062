//! A key that has been found, and all that can become of it.

use core::sync::atomic::AtomicU64;

use crate::{Keys, Part, entry_hash, expiry, garbage, snapshot};
use base::core::Core;
use base::counters;
use base::event::Class;
use base::lock::shard_of;
use base::mover::Mover;
use base::notices::Whom;
use base::settings::setting;
use base::warming;
use store::rows::Change;
use store::table::Slot;
use value::entry::{Entry, EntryMut, Listing, Making, OwnedEntry, Shape};

/// What was removed of a value. One of which nothing is left is as it was: its key goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Removed {
    /// How many parts.
    pub count: usize,
    /// How many are left.
    pub left: usize,
}

impl Removed {
    /// Whether a value that is made anew without what was removed is to take the place of the old.
    pub(crate) fn is_to_be_done(self) -> bool {
        self.count > 0 && self.left > 0
    }
}

/// A key that is there. While it lives, nothing else on this lane touches keys.
pub struct Found<'k> {
    core: &'k mut Core,
    db: u32,
    slot: Slot,
    hash: u64,
}

impl Keys<'_> {
    /// What was found in a slot of the table that a hash belongs to.
    ///
    /// # Safety
    /// The slot was found there, and the table has not been changed since.
    #[inline(always)]
    pub(crate) unsafe fn found(&mut self, slot: Slot, hash: u64) -> Found<'_> {
        Found { db: self.db, core: self.core, slot, hash }
    }
}

impl<'k> Found<'k> {
    /// The entry.
    #[inline(always)]
    pub fn entry(&self) -> Entry<'_> {
        // SAFETY: the slot's table holds entries and has not been changed since the slot was found:
        // this has the core exclusively, through which alone it could be. The shard is locked, and
        // stays so for as long.
        unsafe { Entry::at(self.slot.address()) }
    }

    /// The entry, to change it.
    #[inline(always)]
    pub fn entry_mut(&mut self) -> EntryMut<'_> {
        self.keep_for_snapshot();
        self.core.running.changes(self.slot.address());
        self.entry_to_move()
    }

    /// The entry, to change it by a single store: nobody can find it half changed.
    #[inline(always)]
    pub fn entry_to_store_to(&mut self) -> EntryMut<'_> {
        self.keep_for_snapshot();
        self.entry_to_move()
    }

    /// The entry has been changed, and is whole.
    #[inline(always)]
    pub fn has_changed(&self) {
        self.core.running.has_changed();
    }

    /// The entry, to change what is no part of a snapshot: where things lie, when it was used.
    #[inline(always)]
    pub(crate) fn entry_to_move(&mut self) -> EntryMut<'_> {
        // SAFETY: as in `entry`; `&mut self` keeps other views away.
        unsafe { EntryMut::at(self.slot.address()) }
    }

    /// The entry is about to change, or to be used elsewhere: what a snapshot under way has yet to
    /// write of it is kept.
    #[inline(always)]
    fn keep_for_snapshot(&mut self) {
        if snapshot::concerns(self.core.roots, self.hash) {
            // SAFETY: as in `entry_to_move`; the entry is in the table of this hash and database.
            unsafe { snapshot::keep(self.core, self.db, self.hash, self.slot.address()) };
        }
    }

    /// The entry, for as long as the keys are borrowed.
    #[inline(always)]
    pub fn into_entry(self) -> Entry<'k> {
        // SAFETY: as in `entry`; this held the core exclusively for 'k and ends here, so nothing
        // else uses it before 'k is over.
        unsafe { Entry::at(self.slot.address()) }
    }

    /// The entry, to change it, for as long as the keys are borrowed.
    #[inline(always)]
    pub fn into_entry_mut(mut self) -> EntryMut<'k> {
        self.keep_for_snapshot();
        self.core.running.changes(self.slot.address());
        // SAFETY: as in `into_entry`.
        unsafe { EntryMut::at(self.slot.address()) }
    }

    pub(crate) fn core(&mut self) -> &mut Core {
        self.core
    }

    pub(crate) fn db(&self) -> u32 {
        self.db
    }

    /// What names in values are hashed with.
    pub(crate) fn seed(&self) -> [u64; 2] {
        self.core.roots.seed
    }

    /// The time by which parts of values have ended.
    pub(crate) fn now_ms(&self) -> i64 {
        self.core.expiry_now_ms()
    }

    /// The hash of the key.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// Milliseconds since the key was last used.
    pub fn idle_ms(&self) -> u64 {
        crate::access::idle_ms(self.core, self.entry())
    }

    /// How often the key is used: the counter of LFU.
    pub fn frequency(&self) -> u32 {
        crate::access::frequency(self.core, self.entry())
    }

    /// Counts an access to the key.
    #[inline]
    pub fn record_access(&mut self) {
        let before = self.entry().access();
        let clock = crate::access::after_access(self.core, before);
        self.entry_to_move().set_access(clock);
    }

    fn part(&mut self) -> Part<'_> {
        let part = self.core.roots.part(shard_of(self.hash), self.db);
        // SAFETY: the shard is locked for as long as this lives, and this has the core exclusively,
        // through which alone other views could be made; `&mut self` ends those of the entry.
        unsafe { Part::of(part) }
    }

    /// Puts another entry of the same key in its place. The old one is the caller's, who has it
    /// retired, and the new one the tables'. Where memory runs out nothing has changed.
    pub(crate) fn replace_by(mut self, new: Entry<'_>) -> OwnedEntry {
        self.relist(new.address(), new.listing());
        self.put(new.address())
    }

    /// Puts the address of another entry of the same key into the slot, and returns the old one.
    fn put(&mut self, address: u64) -> OwnedEntry {
        self.has_changed();
        let (heap, slot) = (self.core.heap, self.slot);
        // SAFETY: the table has not been changed since the slot was found. Afterwards nothing
        // refers to the old entry: neither of the two tables, nor a view, which `&mut self` ends.
        unsafe {
            self.slot = self.part().keys_mut(heap).replace(slot, address);
            OwnedEntry::from_address(slot.address(), heap)
        }
    }

    /// Puts another entry of the same key, type and time to live in the place of this one, and frees
    /// the old one; this goes on with the new one. Where memory runs out nothing has changed.
    pub(crate) fn exchange(&mut self, new: OwnedEntry) {
        debug_assert_eq!(self.entry().value_type(), new.view().value_type());
        debug_assert_eq!(self.entry().expires_at(), new.view().expires_at());
        self.relist(new.view().address(), new.view().listing());
        let old = self.put(new.into_address());
        self.retire(old, false);
        self.mark_for_snapshot();
    }

    /// Frees an entry that was here until now, once no snapshot needs it.
    fn retire(&mut self, old: OwnedEntry, lazily: bool) {
        if let Some(old) = snapshot::retire(self.core, (self.db, self.hash), old) {
            garbage::dispose(self.core, old, lazily);
        }
    }

    /// The entry has come to be here.
    fn mark_for_snapshot(&mut self) {
        // SAFETY: as in `entry_to_move`.
        unsafe { snapshot::mark(self.core, (self.db, self.hash), self.slot.address()) };
    }

    /// Changes an embedded value: where it is, if it has the room. Where memory runs out nothing has
    /// changed.
    #[inline]
    pub(crate) fn change(&mut self, change: &Change<'_>) {
        let heap = self.core.heap;
        let is_changed = self.entry_mut().change(heap, change);
        self.has_changed();
        if !is_changed {
            let new = self.entry().changed(heap, change);
            self.exchange(new);
        }
    }

    /// As [`Found::change`], of a whole value.
    pub(crate) fn change_all(&mut self, value: &[u8]) {
        let len = self.entry().embedded().len();
        self.change(&Change { head: &[], removed: 0..len, added: value });
    }

    /// As [`Found::exchange`], by an entry that is made with the same key, time to live and access.
    pub(crate) fn exchange_for(&mut self, make: impl FnOnce(&Making<'_>) -> OwnedEntry) {
        let old = self.entry();
        let (expires_at, access) = (old.expires_at(), old.access());
        let new = make(&Making { key: old.key(), expires_at, access });
        self.exchange(new);
    }

    /// Puts an entry in the place of this one, as [`Found::exchange_for`], that `take` gives what the value
    /// owns: nothing of it is copied. Where memory runs out nothing has changed.
    pub(crate) fn hand_over_to(
        &mut self,
        make: impl FnOnce(&Making<'_>) -> OwnedEntry,
        take: impl FnOnce(&mut EntryMut<'_>, &mut EntryMut<'_>),
    ) {
        self.keep_for_snapshot();
        let old = self.entry();
        let (expires_at, access) = (old.expires_at(), old.access());
        let mut new = make(&Making { key: old.key(), expires_at, access });
        self.relist(new.view().address(), new.view().listing());
        // From here on nothing fails.
        take(&mut self.entry_mut(), &mut new.view_mut());
        drop(self.put(new.into_address()));
        self.mark_for_snapshot();
    }

    /// Takes the entry out of the tables; this is not used as a key that is there after it.
    fn take_out(&mut self) -> OwnedEntry {
        self.has_changed();
        warming::note(self.core.roots, self.hash);
        let (heap, slot, hash) = (self.core.heap, self.slot, self.hash);
        let listing = self.entry().listing();
        let (db, entry) = (self.db, slot.address());
        // SAFETY: as in `entry`; it stays in the table for as long as this view is used.
        Keys::new(self.core, db).signal_awaited(
            hash,
            unsafe { Entry::at(entry) }.key(),
            Whom::Nobody,
        );
        let mut part = self.part();
        if listing.is_any() {
            part.unlist(hash, entry, heap);
            part.count_listed(listing, Listing::default());
        }
        // SAFETY: the table has not been changed since the slot was found. Afterwards nothing
        // refers to the entry: neither of the two tables, nor a view, as callers end here.
        unsafe {
            part.keys_mut(heap).remove(slot, hash);
            OwnedEntry::from_address(slot.address(), heap)
        }
    }

    /// Has the keys of which something ends hold the entry at an address in the place of this one, or
    /// no longer this one. Where memory runs out nothing has changed.
    fn relist(&mut self, address: u64, listing: Listing) {
        let (heap, hash, seed) = (self.core.heap, self.hash, self.core.roots.seed);
        let (old, before) = (self.slot.address(), self.entry().listing());
        let mut part = self.part();
        let mut expires = part.expires_mut(heap);
        let listed = before.is_any().then(|| expires.find_address(hash, old)).flatten();
        match (listed, listing.is_any()) {
            // SAFETY: just found, and the table is changed by nobody else.
            (Some(slot), true) => unsafe {
                expires.replace(slot, address);
            },
            (Some(slot), false) => {
                // SAFETY: as above.
                unsafe { expires.remove(slot, hash) };
            }
            (None, true) => expires.insert(hash, address, entry_hash(seed)),
            (None, false) => {}
        }
        part.count_listed(before, listing);
    }

    /// Puts another entry of the same key in its place and frees the old one. Who waits for the key
    /// is told. Where memory runs out nothing has changed.
    pub fn supersede(mut self, new: OwnedEntry) {
        self.relist(new.view().address(), new.view().listing());
        let old = self.put(new.view().address());
        Keys::new(self.core, self.db).arrived(self.hash, new.into_address(), Some(old));
    }

    /// Gives it another time to live, or none; the entry may move.
    pub fn set_expiry(mut self, at_ms: Option<i64>) {
        match (self.entry().has_ttl(), at_ms) {
            (true, Some(at)) => self.entry_to_store_to().set_expires_at(at),
            (false, None) => {}
            _ => self.reshape(|shape| Shape { expires_at: at_ms, ..shape }),
        }
    }

    /// Puts an entry of another shape in its place that takes over the value.
    fn reshape(mut self, change: impl FnOnce(Shape) -> Shape) {
        self.keep_for_snapshot();
        let old = self.entry();
        let shape = change(old.shape());
        let moved = old.moved(self.core.heap, &shape, old.key());
        self.relist(moved.view().address(), moved.view().listing());
        // SAFETY: the old entry is freed in the same breath, without its value.
        unsafe { self.put(moved.complete().into_address()).free_hull() };
        self.mark_for_snapshot();
    }

    /// Moves the entry, if it is to move; its value stays as it is.
    pub(crate) fn make_way(&mut self, mover: &mut Mover) {
        let (address, size) = (self.slot.address(), self.entry().shape().size());
        let listing = self.entry().listing();
        // SAFETY: the entry's allocation, to which the tables alone refer, and nothing to what is in
        // it: `put` has that end. `&mut self` keeps views of it away.
        unsafe {
            mover.relocate(address, size, |moved| {
                self.relist(moved, listing);
                self.put(moved).into_address();
            });
        }
    }

    /// Takes the key out of the tables. The entry is the caller's, for use elsewhere.
    pub fn detach(mut self) -> OwnedEntry {
        self.keep_for_snapshot();
        self.take_out()
    }

    /// Removes the key and frees its value; one that takes long in the background if `lazily`.
    pub fn discard(mut self, lazily: bool) {
        let old = self.take_out();
        self.retire(old, lazily);
    }

    /// As [`Found::discard`], of a value of which nothing is left. Returns what this had.
    pub(crate) fn discard_emptied(mut self) -> &'k mut Core {
        let old = self.take_out();
        self.retire(old, false);
        self.core
    }

    /// Removes the key because its time has come, and says so. For a command that only reads it
    /// stays while clients are paused: nothing is to change then.
    #[cold]
    pub(crate) fn expire(self) {
        if expiry::keeps_expired(self.core) {
            return;
        }
        let lazily = self.core.get(setting::LAZYFREE_LAZY_EXPIRE);
        let stats = self.core.stats;
        self.remove_unasked(lazily, Class::EXPIRED, "expired", &stats.expired);
    }

    /// Removes the key to make room, and says so.
    pub fn evict(self, lazily: bool) {
        let stats = self.core.stats;
        self.remove_unasked(lazily, Class::EVICTED, "evicted", &stats.evicted);
    }

    /// Removes a key that no command asked to be removed.
    fn remove_unasked(
        mut self,
        lazily: bool,
        class: Class,
        event: &'static str,
        counter: &AtomicU64,
    ) {
        let key = self.entry().key().to_vec();
        let old = self.take_out();
        self.retire(old, lazily);
        counters::add(counter, 1);
        let mut keys = Keys::new(self.core, self.db);
        keys.signal_watchers_unasked(&key);
        keys.notify(class, event, &key);
        keys.core.effects.deleted(self.db, &key);
    }
}
