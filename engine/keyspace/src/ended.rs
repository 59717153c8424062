//! Fields of hashes whose time has come: they are removed by whoever comes by, and that is told.
//!
//! A look at a hash sees none of them ([`value::hash::TimedRef`]), so when they are removed is a matter
//! of memory alone. But who replays the effects sees them until it is told that they are gone: so a
//! field that has ended is told to be gone before it is written to.
#![forbid(unsafe_code)]

use core::sync::atomic::Ordering::Relaxed;

use abi::container::RawTimedHash;

use crate::{Found, Keys, expiry};
use base::event::Class;
use base::heap::if_room;
use value::hash::{self, HashRef, TimedBuf, TimedRef};

/// Fields of a large hash that one visit removes at most.
const AT_ONCE: usize = 32;

impl Found<'_> {
    /// The hash, if fields of it end, at the time that commands go by.
    pub(crate) fn timed(&self) -> Option<TimedRef<'_>> {
        if !self.entry().listing().timed {
            return None;
        }
        match hash::view(self.entry(), self.seed(), self.now_ms()) {
            HashRef::Timed(hash) => Some(hash),
            _ => None,
        }
    }

    /// Removes fields of a hash that have ended: all of a small one, some of a large one. None if
    /// nothing is left of it, and so the key is gone. Where memory runs out nothing has changed.
    #[cold]
    pub(crate) fn without_ended(mut self) -> Option<Self> {
        let left = self.remove_ended();
        self.unless_emptied(left)
    }

    /// As [`Found::without_ended`], which is left out where memory runs out, or nothing is to change.
    #[cold]
    pub(crate) fn without_ended_if_room(mut self) -> Option<Self> {
        if expiry::keeps_expired(self.core()) {
            return Some(self);
        }
        let mut left = None;
        if_room(|| left = self.remove_ended());
        self.unless_emptied(left)
    }

    fn unless_emptied(self, left: Option<usize>) -> Option<Self> {
        if left == Some(0) {
            self.remove_emptied();
            return None;
        }
        Some(self)
    }

    /// Returns how many fields are left of those that are stored; where none is, the entry may be as it
    /// was. None if nothing was to be removed.
    fn remove_ended(&mut self) -> Option<usize> {
        let stored = self.timed()?;
        let most = if stored.rows().is_some() { usize::MAX } else { AT_ONCE };
        let names = stored.names_of_ended(most);
        if names.is_empty() {
            return None;
        }
        let left = if stored.rows().is_some() {
            self.rewrite_small(|buf| buf.len())
        } else {
            self.remove_from_tables(&names)
        };
        self.tell_ended(&names);
        Some(left)
    }

    /// Has a small hash, without the fields that have ended, changed by `change`. One that is empty then
    /// stays as it was.
    pub(crate) fn rewrite_small<R>(&mut self, change: impl FnOnce(&mut TimedBuf) -> R) -> R {
        let mut result = None;
        self.rewrite_small_if(|buf| {
            result = Some(change(buf));
            true
        });
        result.expect("the change was called")
    }

    /// As [`Found::rewrite_small`], which is left out if `change` says so. Tells whether it was done.
    pub(crate) fn rewrite_small_if(&mut self, change: impl FnOnce(&mut TimedBuf) -> bool) -> bool {
        let (heap, seed, now) = (self.core().heap, self.seed(), self.now_ms());
        let limits = crate::hash::limits(self.core());
        let mut buf = TimedBuf::of(hash::view(self.entry(), seed, now), heap, seed, limits);
        let is_wanted = change(&mut buf) && !buf.is_empty();
        if is_wanted {
            self.exchange_for(|making| buf.finish(making));
        }
        is_wanted
    }

    /// Removes fields of a large hash that are stored. Returns how many are left.
    pub(crate) fn remove_from_tables(&mut self, names: &[Vec<u8>]) -> usize {
        let heap = self.core().heap;
        let mut entry = self.entry_mut();
        let (mut fields, mut ends) = hash::tables_mut(entry.body_mut::<RawTimedHash>(), heap);
        for name in names {
            ends.remove(name);
            fields.remove(name);
        }
        let left = fields.view().len();
        self.has_changed();
        if left > 0 {
            self.settle_form();
        }
        left
    }

    /// A large hash of which no field ends becomes one of the encoding for that, if there is memory.
    pub(crate) fn settle_form(&mut self) {
        if hash::timed_fields(self.entry()) == 0 {
            if_room(|| self.change_form(false));
        }
    }

    /// Makes a large hash one of which fields may end, or none.
    pub(crate) fn change_form(&mut self, timed: bool) {
        let (heap, seed) = (self.core().heap, self.seed());
        self.hand_over_to(|making| hash::hull(making, timed, heap, seed), hash::take_fields);
    }

    /// Says that fields are gone because they have ended.
    pub(crate) fn tell_ended(&mut self, names: &[Vec<u8>]) {
        let (db, key) = (self.db(), self.entry().key().to_vec());
        let core = self.core();
        core.effects.fields_deleted(db, &key, names);
        core.roots.shared().upkeep.expired_fields.fetch_add(names.len() as u64, Relaxed);
        let mut keys = Keys::new(core, db);
        keys.signal_watchers_unasked(&key);
        keys.notify(Class::HASH, "hexpired", &key);
    }

    /// Removes a key because no field is left: who has been told of the fields knows.
    fn remove_emptied(self) {
        let (db, key) = (self.db(), self.entry().key().to_vec());
        let core = self.discard_emptied();
        Keys::new(core, db).notify(Class::GENERIC, "del", &key);
    }
}
