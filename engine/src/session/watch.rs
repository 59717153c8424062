//! `WATCH`: optimistic locking.
//!
//! A watched key has a record in its shard with a counter of changes. A watch remembers the
//! record and the counter; `EXEC` compares, under the locks of everything it is about to touch.
//! So a change costs a writer one lookup, and only in shards where somebody watches.

use core::sync::atomic::Ordering::Relaxed;
use std::collections::HashSet;

use abi::client::ClientShared;
use abi::container::RawVec;
use abi::keyspace::WatchedKey;

use crate::session::clients;
use base::lock::{ShardSet, set_of};
use keyspace::{Keys, Presence, VANISHING};

use base::core::Core;
use base::vec::{self, Words};
use store::named::{Name, address_of, name_of};

/// Words a watch takes in `ClientGuarded::watches`: hash, record, its changes with [`WAS_EXPIRED`].
const WORDS: usize = 3;
/// The key's time had come before it was watched: that it vanishes is no change. Before anything
/// else can become of it, it vanishes, which counts as [`VANISHING`].
const WAS_EXPIRED: u64 = 1 << 63;
/// The key was not there when it was watched: if one whose time has come takes its place (by
/// `SWAPDB`), that is no change.
const WAS_ABSENT: u64 = 1 << 62;

/// Watches a key, whose shard is locked. Watching it twice is watching it once.
pub fn add(keys: &mut Keys<'_>, client: &ClientShared, key: &[u8]) {
    let (hash, heap, db) = (keys.hash(key), keys.core.heap, keys.db);
    let state = match keys.presence(key) {
        Presence::Live => 0,
        Presence::Expired => WAS_EXPIRED,
        Presence::Absent => WAS_ABSENT,
    };
    let mut guarded = client.guarded.lock(keys.core.locker());
    let mut watches = Words::new(&mut guarded.watches, heap);
    // So that nothing fails once the record counts this watch.
    watches.reserve(WORDS as u32);
    let name = Name::of_key(key, hash, db);
    let fresh = || WatchedKey { watchers: 0, db, changes: 0, key_len: name.bytes(), reserved: 0 };
    let mut table = keys.watched(hash);
    let record = table.find_or_add(name, fresh);
    let address = address_of(record);
    if watches.as_slice().chunks_exact(WORDS).any(|watch| watch[1] == address) {
        return;
    }
    record.watchers += 1;
    for word in [hash, address, record.changes | state] {
        watches.push(word);
    }
    client.watch_count.fetch_add(1, Relaxed);
}

/// A client's watches, one after the other.
fn of(core: &Core, client: &ClientShared) -> Vec<u64> {
    if client.watch_count.load(Relaxed) == 0 {
        return Vec::new();
    }
    vec::slice(&client.guarded.lock(core.locker()).watches).to_vec()
}

/// The shards of all keys a client watches.
pub fn lock_set(core: &Core, client: &ClientShared) -> ShardSet {
    of(core, client).chunks_exact(WORDS).fold(0, |set, watch| set | set_of(watch[0]))
}

/// Whether no watched key has changed. The shards of [`lock_set`] are locked.
pub fn all_unchanged(keys: &mut Keys<'_>, client: &ClientShared) -> bool {
    of(keys.core, client).chunks_exact(WORDS).all(|watch| {
        let table = keys.watched(watch[0]);
        let record = table.find_address(watch[0], watch[1]).expect("it has a watcher");
        if has_changed(record, watch) {
            return false;
        }
        let (db, name) = (record.db, name_of(record).to_vec());
        let presence = keys.in_db(db, |keys| keys.presence(&name));
        presence != Presence::Expired || watch[2] & (WAS_EXPIRED | WAS_ABSENT) != 0
    })
}

/// Whether a watched key has changed since it is watched.
fn has_changed(record: &WatchedKey, watch: &[u64]) -> bool {
    let allowed = if watch[2] & WAS_EXPIRED != 0 { VANISHING } else { 0 };
    record.changes > (watch[2] & !(WAS_EXPIRED | WAS_ABSENT)) + allowed
}

/// Whether a key that a client of this lane watches has changed. Locks shards unless all are.
pub fn is_dirty(core: &mut Core, client: &ClientShared) -> bool {
    any_changed(core, &of(core, client))
}

/// The ids of the clients of all lanes of which a watched key has changed. Locks shards unless all
/// are.
pub fn dirty_clients(core: &mut Core) -> HashSet<u64> {
    let mut watching = Vec::new();
    clients::for_each(core, |client, guarded| {
        if client.watch_count.load(Relaxed) > 0 {
            watching.push((client.id, vec::slice(&guarded.watches).to_vec()));
        }
    });
    watching.retain(|(_, watches)| any_changed(core, watches));
    watching.into_iter().map(|(id, _)| id).collect()
}

/// Whether a key has changed. Of watches that are over, none may have.
fn any_changed(core: &mut Core, watches: &[u64]) -> bool {
    watches.chunks_exact(WORDS).any(|watch| {
        let needed = set_of(watch[0]);
        let held = core.locked() & needed != 0;
        if !held {
            core.lock(needed);
        }
        let mut keys = Keys::new(core, 0);
        let table = keys.watched(watch[0]);
        let record = table.find_address(watch[0], watch[1]);
        let has_changed = record.is_some_and(|record| has_changed(record, watch));
        if !held {
            core.unlock();
        }
        has_changed
    })
}

/// Forgets all watches of a client. `locked`: the shards of [`lock_set`] are locked already.
pub fn clear(core: &mut Core, client: &ClientShared, locked: bool) {
    if client.watch_count.load(Relaxed) == 0 {
        return;
    }
    let mut guarded = client.guarded.lock(core.locker());
    let mut raw = core::mem::replace(&mut guarded.watches, RawVec::EMPTY);
    client.watch_count.store(0, Relaxed);
    drop(guarded);
    let mut watches = Words::new(&mut raw, core.heap);
    for watch in watches.as_slice().chunks_exact(WORDS) {
        let (hash, address) = (watch[0], watch[1]);
        if !locked {
            core.lock(set_of(hash));
        }
        release(core, hash, address);
        if !locked {
            core.unlock();
        }
    }
    watches.free();
}

/// Gives back one watch of a record, whose shard is locked, and the record with the last.
fn release(core: &mut Core, hash: u64, address: u64) {
    let mut keys = Keys::new(core, 0);
    let mut table = keys.watched(hash);
    let record = table.find_address_mut(hash, address).expect("it has a watcher");
    record.watchers -= 1;
    if record.watchers == 0 {
        table.remove(hash, address);
    }
}
