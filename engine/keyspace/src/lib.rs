//! The keyspace as commands see it. It knows nothing of clients and commands.
//!
//! [`Keys`] is the only way to a key: [`Keys::lookup`] with an [`Intent`], and for a value of a type
//! the methods named after the type. Invariants:
//!
//! - A shard is touched only while its lane holds the shard's lock: checked on every access, a bit
//!   test.
//! - `Keys` has the lane's core exclusively, and all that is found borrows it: so a view of an entry
//!   is the only one in use on this lane while it lives, and no shard is unlocked meanwhile.
//! - What is noticed (an event, a removal, a key that somebody waits for) is left in the core's
//!   notices: nothing here calls a client or a command.

pub mod access;
pub mod ahead;
mod awaited;
pub mod check;
mod dump;
mod ended;
mod expiry;
mod flush;
mod found;
pub mod garbage;
mod hash;
mod hyperloglog;
mod list;
mod loaded;
mod lookup;
mod part;
mod relocate;
mod scan;
mod schema;
mod set;
pub mod snapshot;
mod stream;
mod string;
pub mod totals;
mod tracked;
mod transfer;
mod undo;
mod watched;
mod zset;

pub use dump::Restoring;
pub use expiry::{Round, Ttls};
pub use found::{Found, Removed};
pub use hash::HashMut;
pub use loaded::Arrivals;
pub use lookup::Intent;
pub use part::Part;
pub use relocate::Standing;
pub use scan::Cursor;
pub use schema::{Revert, Seen};
pub use set::SetMut;
pub use transfer::Presence;
pub use undo::Undo;
pub use watched::{CHANGE, VANISHING};
pub use zset::{Operand, ZsetMut};

use base::core::Core;
use base::counters;
use base::event::Class;
use base::hash::hash;
use base::heap::or_undo;
use base::notices::Whom;
use base::settings::setting;
use value::entry::{Entry, Listing, OwnedEntry};

/// The keys of one database, as far as their shards are locked.
pub struct Keys<'a> {
    /// The core of the lane that works on them.
    pub core: &'a mut Core,
    /// The selected database.
    pub db: u32,
    /// Whether a lookup counts as an access (not for `CLIENT NO-TOUCH`).
    pub records_access: bool,
    /// Hashes of the keys that the command names, in order, if they were made beforehand.
    ahead: &'a [u64],
    hint: Hint,
}

/// The hash of a key that was made before the command runs.
#[derive(Clone, Copy, Default)]
struct Hint {
    address: usize,
    len: usize,
    hash: u64,
}

impl<'a> Keys<'a> {
    /// The keys of database `db`.
    pub fn new(core: &'a mut Core, db: u32) -> Self {
        Self { core, db, records_access: true, ahead: &[], hint: Hint::default() }
    }

    /// Tells the hashes of the keys that the command names, in order.
    pub fn set_ahead(&mut self, hashes: &'a [u64]) {
        self.ahead = hashes;
    }

    /// Tells the hash of a key, so that it need not be made again.
    #[inline]
    pub fn hint(&mut self, key: &[u8], hash: u64) {
        self.hint = Hint { address: key.as_ptr() as usize, len: key.len(), hash };
    }

    /// Tells that a key is number `nth` of those that the command names, counted from 0.
    #[inline]
    pub fn hint_nth(&mut self, nth: usize, key: &[u8]) {
        if let Some(&hash) = self.ahead.get(nth) {
            self.hint(key, hash);
        }
    }

    /// The hash of a key.
    #[inline]
    pub fn hash(&self, key: &[u8]) -> u64 {
        let hint = self.hint;
        // No key is at the address of the hint there is by default.
        if key.as_ptr() as usize == hint.address && key.len() == hint.len {
            hint.hash
        } else {
            hash(key, self.core.roots.seed)
        }
    }

    /// Runs `f` on the keys of another database.
    pub fn in_db<R>(&mut self, db: u32, f: impl FnOnce(&mut Self) -> R) -> R {
        let selected = core::mem::replace(&mut self.db, db);
        let result = f(self);
        self.db = selected;
        result
    }

    /// Adds an entry whose key is not there. Where memory runs out nothing has changed.
    pub fn insert(&mut self, hash: u64, entry: OwnedEntry) {
        self.enlist(hash, entry.view());
        self.arrived(hash, entry.into_address(), None);
    }

    /// Puts an entry where its key leads, in the place of what is there, which is freed. Tells
    /// whether something was. Where memory runs out nothing has changed.
    pub fn upsert(&mut self, entry: OwnedEntry) -> bool {
        let hash = self.hash(entry.view().key());
        let replaced = self.upsert_at(hash, entry.view(), Intent::Peek);
        self.arrived(hash, entry.into_address(), replaced)
    }

    /// Enters an entry, whose key is not there, in the tables.
    fn enlist(&mut self, hash: u64, entry: Entry<'_>) {
        let (heap, hash_of) = (self.core.heap, entry_hash(self.core.roots.seed));
        let address = entry.address();
        let mut part = self.part(hash);
        let listing = entry.listing();
        if !listing.is_any() {
            return part.keys_mut(heap).insert(hash, address, hash_of);
        }
        part.expires_mut(heap).insert(hash, address, hash_of);
        or_undo(
            &mut part,
            |part| part.keys_mut(heap).insert(hash, address, hash_of),
            |part| part.unlist(hash, address, heap),
        );
        part.count_listed(Listing::default(), listing);
    }

    /// Enters an entry in the tables, in the place of one of the same key, which is the caller's.
    fn upsert_at(&mut self, hash: u64, entry: Entry<'_>, intent: Intent) -> Option<OwnedEntry> {
        if let Some(found) = self.lookup_hashed(entry.key(), hash, intent) {
            return Some(found.replace_by(entry));
        }
        self.enlist(hash, entry);
        None
    }

    /// The entry at an address has come into the tables, maybe in the place of another. Tells
    /// whether it was.
    fn arrived(&mut self, hash: u64, address: u64, replaced: Option<OwnedEntry>) -> bool {
        // SAFETY: it was just entered in the tables of a shard that this lane holds locked, and
        // nothing changes it or takes it out before this returns.
        unsafe { snapshot::mark(self.core, (self.db, hash), address) };
        // SAFETY: as above.
        let entry = unsafe { Entry::at(address) };
        match replaced {
            Some(old) => {
                // As in Redis, nobody is woken who waits for a value like the new one.
                if value::is_awaitable(old.view().value_type()) {
                    self.signal_awaited(hash, entry.key(), Whom::Nobody);
                }
                let lazily = self.core.get(setting::LAZYFREE_LAZY_SERVER_DEL);
                if let Some(old) = snapshot::retire(self.core, (self.db, hash), old) {
                    garbage::dispose(self.core, old, lazily);
                }
                true
            }
            None => {
                self.signal_new(hash, entry);
                self.notify(Class::NEW, "new", entry.key());
                false
            }
        }
    }

    /// Removes a key because nothing is left or has come of its value, also one whose time has come.
    /// Tells whether it was there. As of every removal, a value that takes long to free is left to a
    /// background thread if the setting for its reason says so: here `lazyfree-lazy-server-del`.
    pub fn remove(&mut self, key: &[u8]) -> bool {
        let lazily = self.core.get(setting::LAZYFREE_LAZY_SERVER_DEL);
        self.discard(key, Intent::Past, lazily)
    }

    /// Removes a key because a client asks for it: `lazyfree-lazy-user-del`.
    pub fn delete(&mut self, key: &[u8]) -> bool {
        let lazily = self.core.get(setting::LAZYFREE_LAZY_USER_DEL);
        self.discard(key, Intent::Peek, lazily)
    }

    /// Removes a key because it is given a time that has passed: `lazyfree-lazy-expire`.
    pub fn delete_as_expired(&mut self, key: &[u8]) -> bool {
        let lazily = self.core.get(setting::LAZYFREE_LAZY_EXPIRE);
        self.discard(key, Intent::Peek, lazily)
    }

    /// Removes a key; a value that takes long to free is left to a background thread.
    pub fn unlink(&mut self, key: &[u8]) -> bool {
        self.discard(key, Intent::Peek, true)
    }

    fn discard(&mut self, key: &[u8], intent: Intent, lazily: bool) -> bool {
        let found = self.lookup(key, intent);
        found.map(|found| found.discard(lazily)).is_some()
    }

    /// A key has been modified: counts it, and tells those who watch it or have it in a cache.
    ///
    /// Every command that modifies a key calls this, or [`Keys::modified`] which also notifies.
    #[inline]
    pub fn signal_modified(&mut self, key: &[u8]) {
        self.count_changes(1);
        self.signal_watchers(key);
    }

    /// A key has been modified: tells those who watch it and publishes the keyspace event.
    #[inline]
    pub fn modified(&mut self, class: Class, event: &'static str, key: &[u8]) {
        self.signal_modified(key);
        self.notify(class, event, key);
    }

    /// Counts keys that were looked at otherwise as found.
    pub fn count_hits(&self, hits: usize) {
        counters::add(&self.core.stats.hits, hits as u64);
    }

    /// Counts changes, for `rdb_changes_since_last_save`.
    #[inline]
    pub fn count_changes(&mut self, times: usize) {
        counters::add(&self.core.stats.dirty, times as u64);
    }

    /// Has an event on a key published if its class is asked for.
    #[inline]
    pub fn notify(&mut self, class: Class, event: &'static str, key: &[u8]) {
        self.core.note_event(class, event, self.db, key);
    }
}

/// The hash of an entry's key by the entry's address, for tables that grow.
fn entry_hash(seed: [u64; 2]) -> impl Fn(u64) -> u64 + Copy {
    // SAFETY: only called by a table of entries for its items, by whoever has its shard locked and
    // is changing the table: no other view of an entry is in use.
    move |address| hash(unsafe { Entry::at(address) }.key(), seed)
}
