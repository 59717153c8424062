//! The keyspace as commands see it.
//!
//! [`Keys`] is the only way to a key. Invariant: it touches a shard only while its lane holds the
//! shard's lock (checked on every access, a bit test), and it is used through `&mut`, so that a
//! view of a value is the only user of that shard while it lives.
//!
//! Which lookup a command wants. None finds a key whose time has come but the last; all others
//! remove it.
//!
//! | method | for | hit or miss | access (LRU, LFU) | tells of a miss | checks the type |
//! | --- | --- | --- | --- | --- | --- |
//! | `read_typed` | reading a value | yes | yes | yes | yes |
//! | `read` | reading, of any type | yes | yes | yes | |
//! | `look`, `exists` | telling something about a key (`TTL`) | yes | | yes | |
//! | `examine` | `OBJECT` | yes | | | |
//! | `write_typed` | changing a value | | yes | | yes |
//! | `access` | changing, of any type | | yes | | |
//! | `peek` | the server's own purposes, or a key about to be removed | | | | |
//! | `find_even_expired` | telling expired from absent | | | | |
//!
//! A typed lookup by the name of the type (`Keys::list`, `Keys::list_mut`) is in `value/`, made of
//! these.

pub mod access;
pub mod ahead;
pub mod entry;
pub mod evict;
pub mod expire;
pub mod flush;
pub mod hash;
pub mod lock;
pub mod notify;
pub mod scan;
pub mod totals;
pub mod transfer;
pub mod ttl;

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

use abi::keyspace::{Shard, ShardDb, WatchedKey};
use abi::wait::BlockedKey;

use crate::command::error::{self, Error};
use crate::heap::Heap;
use crate::lane::{Lane, ReadyKey};
use crate::stats;
use crate::store::named::{Name, Named};
use crate::store::table::{Slot, Table, TableRef};
use crate::value;
use entry::{Entry, Shape};
use lock::shard_of;
use notify::Class;

/// The keys of one database, as far as their shards are locked.
pub struct Keys<'a> {
    /// The lane that works on them.
    pub lane: &'a mut Lane,
    /// The selected database.
    pub db: u32,
    /// Whether a lookup counts as an access (not for `CLIENT NO-TOUCH`).
    pub touches: bool,
    /// Whether `lane.hashes` holds the hashes of the keys of the command.
    pub(crate) looked_ahead: bool,
    /// The hash of a key that is known before the command runs: address, length, hash.
    known: (usize, usize, u64),
}

/// A key that is there.
#[derive(Clone, Copy)]
pub(crate) struct Found {
    pub(crate) slot: Slot,
    pub(crate) hash: u64,
}

impl Found {
    /// The entry.
    #[inline]
    pub(crate) fn entry<'a>(self) -> Entry<'a> {
        // SAFETY: made by `Keys::find` from a slot of a shard that is locked until the command
        // ends, and consumed before the table is changed.
        unsafe { Entry::at(self.slot.address()) }
    }
}

/// A database's part of a shard whose lock this lane holds.
///
/// A shared reference: batches of other lanes look at the tables without the lock, to fetch what
/// they will need, and so does whoever only counts.
#[derive(Clone, Copy)]
pub(crate) struct Part<'a>(&'a ShardDb);

impl<'a> Part<'a> {
    /// All keys, to look something up.
    #[inline]
    pub(crate) fn keys(self) -> TableRef<'a> {
        TableRef::new(&self.0.keys)
    }

    /// The keys with a time to live, to look something up.
    #[inline]
    pub(crate) fn expires(self) -> TableRef<'a> {
        TableRef::new(&self.0.expires)
    }

    /// All keys, to change them.
    #[inline]
    pub(crate) fn keys_mut(&mut self, heap: Heap) -> Table<'a> {
        // SAFETY: the lane holds the shard's lock, and `Keys`, which makes parts, has no other view
        // of the table in use while one of its methods changes it.
        unsafe { Table::locked(&self.0.keys, heap) }
    }

    /// The keys with a time to live, to change them.
    #[inline]
    pub(crate) fn expires_mut(&mut self, heap: Heap) -> Table<'a> {
        // SAFETY: as in `keys_mut`.
        unsafe { Table::locked(&self.0.expires, heap) }
    }

    /// See [`ShardDb::avg_ttl_ms`].
    pub(crate) fn avg_ttl_ms(self) -> &'a AtomicU64 {
        &self.0.avg_ttl_ms
    }

    /// See [`ShardDb::expire_cursor`].
    pub(crate) fn expire_cursor(self) -> &'a AtomicU64 {
        &self.0.expire_cursor
    }

    /// Exchanges everything with another part of the same shard.
    pub(crate) fn exchange(mut self, mut other: Self, heap: Heap) {
        self.keys_mut(heap).exchange(&mut other.keys_mut(heap));
        self.expires_mut(heap).exchange(&mut other.expires_mut(heap));
        let pairs = [
            (self.avg_ttl_ms(), other.avg_ttl_ms()),
            (self.expire_cursor(), other.expire_cursor()),
        ];
        for (a, b) in pairs {
            a.store(b.swap(a.load(Relaxed), Relaxed), Relaxed);
        }
    }
}

impl<'a> Keys<'a> {
    /// The keys of database `db`.
    pub fn new(lane: &'a mut Lane, db: u32) -> Self {
        Self { lane, db, touches: true, looked_ahead: false, known: (0, 0, 0) }
    }

    /// Tells the hash of a key of the command about to run.
    #[inline]
    pub fn know_hash(&mut self, key: &[u8], hash: u64) {
        self.known = (key.as_ptr() as usize, key.len(), hash);
    }

    /// The hash of a key.
    #[inline]
    pub fn hash(&self, key: &[u8]) -> u64 {
        if (key.as_ptr() as usize, key.len()) == (self.known.0, self.known.1) && !key.is_empty() {
            self.known.2
        } else {
            hash::hash(key, self.lane.roots.seed)
        }
    }

    /// The shard of a hash. It must be locked.
    #[inline]
    pub(crate) fn shard(&mut self, hash: u64) -> *mut Shard {
        let index = shard_of(hash);
        assert!(self.lane.locks.holds(index), "the shard of a key is not locked");
        self.lane.roots.shard(index)
    }

    /// This database's part of the shard of a hash, which is locked.
    #[inline]
    pub(crate) fn part<'b>(&mut self, hash: u64) -> Part<'b> {
        debug_assert!(self.db < self.lane.roots.databases());
        let shard = self.shard(hash);
        // SAFETY: shards and their databases live as long as the process; `db` is below the number
        // of databases.
        Part(unsafe { &*(*shard).dbs.as_ptr().add(self.db as usize) })
    }

    /// Looks a key up. A key whose time has come is removed and not found.
    #[inline]
    pub(crate) fn find(&mut self, key: &[u8]) -> Option<Found> {
        let found = self.find_even_expired(key)?;
        if found.entry().is_expired(self.lane.clock.now_ms) {
            self.remove_expired(found);
            return None;
        }
        Some(found)
    }

    /// Looks a key up, also one whose time has come and that nobody has removed yet.
    #[inline]
    pub(crate) fn find_even_expired(&mut self, key: &[u8]) -> Option<Found> {
        let hash = self.hash(key);
        let part = self.part(hash);
        let slot = part.keys().find(hash, |address| {
            // SAFETY: items of the table are entries, and the shard is locked.
            unsafe { Entry::at(address) }.key() == key
        })?;
        Some(Found { slot, hash })
    }

    /// Looks a key up to read its value: counts a hit or a miss and an access.
    #[inline]
    pub(crate) fn find_to_read(&mut self, key: &[u8]) -> Option<Found> {
        let found = self.find_to_look(key)?;
        self.touch(found.entry());
        Some(found)
    }

    /// Looks a key up to tell something about it: counts a hit or a miss, but no access.
    #[inline]
    fn find_to_look(&mut self, key: &[u8]) -> Option<Found> {
        let found = self.find(key);
        self.count_lookup(found.is_some());
        if found.is_none() {
            self.missed(key);
        }
        found
    }

    /// Counts keys that were looked at otherwise as found.
    pub fn count_hits(&self, hits: usize) {
        stats::add(&self.lane.stats.hits, hits as u64);
    }

    #[inline]
    fn count_lookup(&self, hit: bool) {
        let stats = self.lane.stats;
        stats::add(if hit { &stats.hits } else { &stats.misses }, 1);
    }

    /// Looks a key up to change its value: counts an access, but neither hit nor miss.
    #[inline]
    pub(crate) fn find_to_write(&mut self, key: &[u8]) -> Option<Found> {
        let found = self.find(key)?;
        self.touch(found.entry());
        Some(found)
    }

    /// The entry of a key, without counting anything.
    pub fn peek(&mut self, key: &[u8]) -> Option<Entry<'_>> {
        self.find(key).map(Found::entry)
    }

    /// The entry of a key, counted as an access, a hit or a miss.
    pub fn read(&mut self, key: &[u8]) -> Option<Entry<'_>> {
        self.find_to_read(key).map(Found::entry)
    }

    /// The entry of a key that a command tells something about, such as `TTL`: a hit or a miss,
    /// but no access.
    pub fn look(&mut self, key: &[u8]) -> Option<Entry<'_>> {
        self.find_to_look(key).map(Found::entry)
    }

    /// What `show` makes of the entry of a key that `OBJECT` looks at: as [`Keys::look`], but
    /// nobody is told of a miss.
    pub fn examine<R>(
        &mut self,
        key: &[u8],
        show: impl FnOnce(&Self, Entry<'_>) -> R,
    ) -> Option<R> {
        let found = self.find(key);
        self.count_lookup(found.is_some());
        found.map(|found| show(self, found.entry()))
    }

    /// The entry of a key that is about to be changed: an access, but neither hit nor miss.
    pub fn access(&mut self, key: &[u8]) -> Option<Entry<'_>> {
        self.find_to_write(key).map(Found::entry)
    }

    /// Whether a key is there: a hit or a miss, but no access.
    pub fn exists(&mut self, key: &[u8]) -> bool {
        self.find_to_look(key).is_some()
    }

    /// Reads a key of a type: its entry, none, or an error when it has another type.
    #[inline]
    pub(crate) fn read_typed(&mut self, key: &[u8], kind: u8) -> Result<Option<Found>, Error> {
        check_type(self.find_to_read(key), kind)
    }

    /// As [`Keys::read_typed`], to change the value.
    #[inline]
    pub(crate) fn write_typed(&mut self, key: &[u8], kind: u8) -> Result<Option<Found>, Error> {
        check_type(self.find_to_write(key), kind)
    }

    /// Adds an entry whose key is not there.
    pub(crate) fn insert(&mut self, hash: u64, entry: Entry<'_>) {
        let (heap, hash_of) = (self.lane.heap, self.hash_of());
        let mut part = self.part(hash);
        part.keys_mut(heap).insert(hash, entry.address(), hash_of);
        if entry.has_ttl() {
            part.expires_mut(heap).insert(hash, entry.address(), hash_of);
        }
        if entry::is_waitable(entry.kind()) {
            self.signal_ready(hash, entry.key());
        }
        self.notify(Class::NEW, "new", entry.key());
    }

    /// Puts `new` in the place of an entry of the same key. The old one's value is the caller's
    /// to have freed or moved; its allocation is freed here.
    pub(crate) fn replace(&mut self, found: Found, new: Entry<'_>) {
        let old = self.substitute(found, new);
        // SAFETY: both tables now refer to the new entry.
        unsafe { old.free(self.lane.heap) };
    }

    /// As [`Keys::replace`], but the old entry is the caller's as a whole.
    pub(crate) fn substitute<'b>(&mut self, found: Found, new: Entry<'_>) -> Entry<'b> {
        let (heap, hash_of) = (self.lane.heap, self.hash_of());
        let (hash, old) = (found.hash, found.entry());
        let mut part = self.part(hash);
        part.keys_mut(heap).replace(found.slot, new.address());
        let mut expires = part.expires_mut(heap);
        let listed = old.has_ttl().then(|| expires.find_address(hash, old.address())).flatten();
        match (listed, new.has_ttl()) {
            (Some(slot), true) => expires.replace(slot, new.address()),
            (Some(slot), false) => {
                expires.remove(slot, hash);
            }
            (None, true) => expires.insert(hash, new.address(), hash_of),
            (None, false) => {}
        }
        old
    }

    /// Takes a key out of the tables. The entry with its value is the caller's.
    pub(crate) fn detach<'b>(&mut self, found: Found) -> Entry<'b> {
        let heap = self.lane.heap;
        let entry = found.entry();
        let mut part = self.part(found.hash);
        if entry.has_ttl() {
            let mut expires = part.expires_mut(heap);
            if let Some(slot) = expires.find_address(found.hash, entry.address()) {
                expires.remove(slot, found.hash);
            }
        }
        part.keys_mut(heap).remove(found.slot, found.hash);
        entry
    }

    /// Removes a key and frees its value here and now. Tells whether it was there.
    pub fn remove(&mut self, key: &[u8]) -> bool {
        let Some(found) = self.find(key) else { return false };
        self.discard(found, false);
        true
    }

    /// Removes a key; a value that takes long to free is left to a background thread.
    pub fn remove_lazily(&mut self, key: &[u8]) -> bool {
        let Some(found) = self.find(key) else { return false };
        self.discard(found, true);
        true
    }

    /// Removes what was found and frees it.
    pub(crate) fn discard(&mut self, found: Found, lazily: bool) {
        let entry = self.detach(found);
        // SAFETY: out of the tables, nothing refers to it.
        unsafe { value::free(self.lane, entry, lazily) };
    }

    /// A key has changed: counts it, and tells those who watch it.
    ///
    /// Every command that changes a key calls this, or [`Keys::changed`] which also notifies.
    pub fn touched(&mut self, key: &[u8]) {
        self.count_changes(1);
        self.touch_watchers(key);
    }

    /// Counts changes, for `rdb_changes_since_last_save`.
    #[inline]
    pub fn count_changes(&mut self, times: usize) {
        stats::add(&self.lane.stats.dirty, times as u64);
    }

    /// A key has changed: tells those who watch it and publishes the keyspace event.
    #[inline]
    pub fn changed(&mut self, class: Class, event: &str, key: &[u8]) {
        self.touched(key);
        self.notify(class, event, key);
    }

    /// Those who watch keys, in the shard of a hash, which is locked.
    #[inline]
    pub(crate) fn watched<'b>(&mut self, hash: u64) -> Named<'b, WatchedKey> {
        let (shard, heap, seed) = (self.shard(hash), self.lane.heap, self.lane.roots.seed);
        // SAFETY: the shard is locked by this lane; what the table holds is made by such views
        // alone, and none is made while another is in use.
        unsafe { Named::new(&mut (*shard).watched, heap, seed) }
    }

    /// Those who wait for keys, in the shard of a hash, which is locked.
    #[inline]
    pub(crate) fn awaited<'b>(&mut self, hash: u64) -> Named<'b, BlockedKey> {
        let (shard, heap, seed) = (self.shard(hash), self.lane.heap, self.lane.roots.seed);
        // SAFETY: as in `watched`.
        unsafe { Named::new(&mut (*shard).blocked, heap, seed) }
    }

    /// Tells those who watch a key that it has changed.
    #[inline]
    pub(crate) fn touch_watchers(&mut self, key: &[u8]) {
        let hash = self.hash(key);
        let mut watched = self.watched(hash);
        if !watched.is_empty()
            && let Some(record) = watched.find_mut(Name::of_key(key, hash, self.db))
        {
            record.changes += 1;
        }
    }

    /// Remembers that a key has come into being if somebody waits for it.
    pub(crate) fn signal_ready(&mut self, hash: u64, key: &[u8]) {
        let awaited = self.awaited(hash);
        if !awaited.is_empty() && awaited.find(Name::of_key(key, hash, self.db)).is_some() {
            self.lane.ready.push(ReadyKey { db: self.db, key: key.to_vec() });
        }
    }

    /// The hash of an entry's key, for tables that grow.
    pub(crate) fn hash_of(&self) -> impl Fn(u64) -> u64 + Copy + use<> {
        let seed = self.lane.roots.seed;
        // SAFETY: items of the tables are entries, and the table's shard is locked.
        move |address| hash::hash(unsafe { Entry::at(address) }.key(), seed)
    }

    /// The shape of a new entry for a key.
    pub(crate) fn new_shape(&self, key: &[u8], kind: u8, encoding: u8) -> Shape {
        Shape {
            kind,
            encoding,
            raw: false,
            expires_at: None,
            access: self.initial_access(),
            key_len: key.len(),
            value_len: 0,
        }
    }
}

#[inline]
fn check_type(found: Option<Found>, kind: u8) -> Result<Option<Found>, Error> {
    match found {
        Some(found) if found.entry().kind() != kind => Err(error::WRONG_TYPE),
        found => Ok(found),
    }
}
