//! `WATCH`: optimistic locking.
//!
//! A watched key has a record in its shard with a counter of changes. A watch remembers the
//! record and the counter; `EXEC` compares, under the locks of everything it is about to touch.
//! So a change costs a writer one lookup, and only in shards where somebody watches. The record
//! knows who watches it as well: the client is marked at once, for others to see.

use core::sync::atomic::Ordering::Relaxed;

use abi::client::{ClientShared, ClientState, flag};
use abi::container::RawVec;
use abi::keyspace::WatchedKey;

use base::lock::{ShardSet, set_of};
use keyspace::{Keys, Presence, VANISHING, WATCH_WORDS};

use base::core::Core;
use base::heap::{Heap, or_undo};
use base::vec::Words;
use store::named::{Name, Named, address_of, name_of};

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
    let client_address = address_of_client(client);
    let mut watches = Words::new(&mut client.watches, heap);
    // So that nothing fails once the record counts this watch.
    watches.reserve(WORDS as u32);
    let name = Name::of_key(key, hash, db);
    let key_len = name.bytes();
    let fresh = || WatchedKey { watches: RawVec::EMPTY, changes: 0, db, key_len };
    let mut table = keys.watched(hash);
    let record = table.find_or_add(name, fresh);
    let (address, changes) = (address_of(record), record.changes);
    if watches.as_slice().chunks_exact(WORDS).any(|watch| watch[1] == address) {
        return;
    }
    or_undo(
        &mut table,
        |table| {
            let record = table.find_address_mut(hash, address).expect("it was found just now");
            Words::new(&mut record.watches, heap).reserve(WATCH_WORDS as u32);
        },
        |table| remove_unwatched(table, hash, address, heap),
    );
    let record = table.find_address_mut(hash, address).expect("it was found just now");
    let mut of_key = Words::new(&mut record.watches, heap);
    of_key.push(client_address);
    of_key.push(changes + allowed(state));
    for word in [hash, address, changes | state] {
        watches.push(word);
    }
    client.watch_count.fetch_add(1, Relaxed);
}

fn address_of_client(client: &ClientShared) -> u64 {
    (&raw const *client) as u64
}

/// Changes to a key that leave a watch intact.
fn allowed(state: u64) -> u64 {
    if state & WAS_EXPIRED != 0 { VANISHING } else { 0 }
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
        let before = watch[2] & !(WAS_EXPIRED | WAS_ABSENT);
        if record.changes - before > allowed(watch[2]) {
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
    let client_address = address_of_client(client);
    let mut watches = Words::new(&mut client.watches, core.heap);
    for watch in watches.as_slice().chunks_exact(WORDS) {
        let (hash, address) = (watch[0], watch[1]);
        if !locked {
            core.lock(set_of(hash));
        }
        release(core, client_address, hash, address);
        if !locked {
            core.unlock();
        }
    }
    watches.free();
    client.watch_count.store(0, Relaxed);
    client.flags.fetch_and(!flag::DIRTY_WATCH, Relaxed);
}

/// Gives back a client's watch of a record, whose shard is locked, and the record with the last.
fn release(core: &mut Core, client: u64, hash: u64, address: u64) {
    let heap = core.heap;
    let mut keys = Keys::new(core, 0);
    let mut table = keys.watched(hash);
    let record = table.find_address_mut(hash, address).expect("it has a watcher");
    let mut watches = Words::new(&mut record.watches, heap);
    let at = watches.as_slice().chunks_exact(WATCH_WORDS).position(|watch| watch[0] == client);
    let at = at.expect("the client watches it") * WATCH_WORDS;
    // The last watch takes its place; of words, that is the second first.
    watches.swap_remove(at + 1);
    watches.swap_remove(at);
    remove_unwatched(&mut table, hash, address, heap);
}

/// Removes a record that nobody watches.
fn remove_unwatched(table: &mut Named<'_, WatchedKey>, hash: u64, address: u64, heap: Heap) {
    let record = table.find_address_mut(hash, address).expect("it is there");
    let mut watches = Words::new(&mut record.watches, heap);
    if watches.as_slice().is_empty() {
        watches.free();
        table.remove(hash, address);
    }
}
