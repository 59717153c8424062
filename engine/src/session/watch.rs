//! `WATCH`: optimistic locking.
//!
//! A watched key has a record in its shard with a counter of changes. A watch remembers the
//! record and the counter; `EXEC` compares, under the locks of everything it is about to touch.
//! So a change costs a writer one lookup, and only in shards where somebody watches.

use core::sync::atomic::Ordering::Relaxed;

use abi::client::ClientState;
use abi::keyspace::WatchedKey;

use base::lock::{ShardSet, set_of};
use keyspace::{Keys, Presence, VANISHING};

use base::core::Core;
use base::vec::Words;
use store::named::{Name, address_of, name_of};

/// Words a watch takes in `Client::watches`: hash, record, its changes with [`WAS_EXPIRED`].
const WORDS: usize = 3;
/// The key's time had come before it was watched: that it vanishes is no change. Before anything
/// else can become of it, it vanishes, which counts as [`VANISHING`].
const WAS_EXPIRED: u64 = 1 << 63;
/// The key was not there when it was watched: if one whose time has come takes its place (by
/// `SWAPDB`), that is no change.
const WAS_ABSENT: u64 = 1 << 62;

/// Watches a key, whose shard is locked. Watching it twice is watching it once.
pub fn add(keys: &mut Keys<'_>, client: &mut ClientState, key: &[u8]) {
    let (hash, heap, db) = (keys.hash(key), keys.core.heap, keys.db);
    let state = match keys.presence(key) {
        Presence::Live => 0,
        Presence::Expired => WAS_EXPIRED,
        Presence::Absent => WAS_ABSENT,
    };
    let mut watches = Words::new(&mut client.watches, heap);
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

/// The shards of all keys a client watches.
pub fn lock_set(core: &Core, client: &mut ClientState) -> ShardSet {
    let watches = Words::new(&mut client.watches, core.heap);
    watches.as_slice().chunks_exact(WORDS).fold(0, |set, watch| set | set_of(watch[0]))
}

/// Whether no watched key has changed. The shards of [`lock_set`] are locked.
pub fn all_unchanged(keys: &mut Keys<'_>, client: &mut ClientState) -> bool {
    let heap = keys.core.heap;
    let watches = Words::new(&mut client.watches, heap).as_slice().to_vec();
    watches.chunks_exact(WORDS).all(|watch| {
        let table = keys.watched(watch[0]);
        let record = table.find_address(watch[0], watch[1]).expect("it has a watcher");
        let allowed = if watch[2] & WAS_EXPIRED != 0 { VANISHING } else { 0 };
        if record.changes - (watch[2] & !(WAS_EXPIRED | WAS_ABSENT)) > allowed {
            return false;
        }
        let (db, name) = (record.db, name_of(record).to_vec());
        let presence = keys.in_db(db, |keys| keys.presence(&name));
        presence != Presence::Expired || watch[2] & (WAS_EXPIRED | WAS_ABSENT) != 0
    })
}

/// Forgets all watches of a client. `locked`: the shards of [`lock_set`] are locked already.
pub fn clear(core: &mut Core, client: &mut ClientState, locked: bool) {
    if client.watches.capacity == 0 {
        return;
    }
    let mut watches = Words::new(&mut client.watches, core.heap);
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
    client.watch_count.store(0, Relaxed);
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
