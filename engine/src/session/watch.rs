//! `WATCH`: optimistic locking.
//!
//! A watched key has a record in its shard with a counter of changes. A watch remembers the
//! record and the counter; `EXEC` compares, under the locks of everything it is about to touch.
//! So a change costs a writer one lookup, and only in shards where somebody watches.

use core::sync::atomic::Ordering::Relaxed;

use abi::client::ClientState;
use abi::container::RawTable;
use abi::keyspace::WatchedKey;

use crate::keyspace::Keys;
use crate::keyspace::lock::{ShardSet, set_of, shard_of};
use crate::keyspace::transfer::Presence;
use crate::lane::Lane;
use crate::store::table::{Table, TableRef};
use crate::store::vec::Words;

/// Words a watch takes in `Client::watches`: hash, record, its changes with [`WAS_EXPIRED`].
const WORDS: usize = 3;
/// The key's time had come before it was watched: that it vanishes is no change. Before anything
/// else can become of it, it vanishes, which counts as [`VANISHING`].
const WAS_EXPIRED: u64 = 1 << 63;
/// The key was not there when it was watched: if one whose time has come takes its place (by
/// `SWAPDB`), that is no change.
const WAS_ABSENT: u64 = 1 << 62;

fn key_of<'a>(watched: &WatchedKey) -> &'a [u8] {
    let start = (&raw const *watched).wrapping_add(1).cast::<u8>();
    // SAFETY: the key's bytes follow the struct in the same allocation.
    unsafe { core::slice::from_raw_parts(start, watched.key_len as usize) }
}

/// The item of a table of watched keys.
///
/// # Safety
/// The address is that of an item, its shard is locked, and no other reference to it is used.
unsafe fn item<'a>(address: u64) -> &'a mut WatchedKey {
    // SAFETY: as the caller promises.
    unsafe { &mut *(address as *mut WatchedKey) }
}

fn find(watched: &RawTable, db: u32, hash: u64, key: &[u8]) -> Option<u64> {
    let is_key = |address| {
        // SAFETY: an item of the table, whose shard the caller has locked.
        let item = unsafe { item(address) };
        item.db == db && key_of(item) == key
    };
    TableRef::new(watched).find(hash, is_key).map(|slot| slot.address())
}

/// Counts a change to a key. Its shard is locked.
#[cold]
pub fn touch(watched: &mut RawTable, db: u32, hash: u64, key: &[u8]) {
    if let Some(address) = find(watched, db, hash, key) {
        // SAFETY: an item of the table, whose shard is locked.
        unsafe { item(address) }.changes += 1;
    }
}

/// What [`touch_all`] counts for a key that changes: more than for one that vanishes.
pub const CHANGE: u64 = 2;
/// What is counted for a key whose time had come and that is now removed.
pub const VANISHING: u64 = 1;

/// Counts changes to the watched keys of a database in a locked shard, as many as `changes` says
/// for each: for commands that change a whole database.
pub fn touch_all(watched: &RawTable, db: u32, mut changes: impl FnMut(&[u8]) -> u64) {
    TableRef::new(watched).for_each(&mut |address| {
        // SAFETY: an item of the table, whose shard the caller has locked.
        let item = unsafe { item(address) };
        if item.db == db {
            item.changes += changes(key_of(item));
        }
    });
}

/// Watches a key, whose shard is locked. Watching it twice is watching it once.
pub fn add(keys: &mut Keys<'_>, client: &mut ClientState, key: &[u8]) {
    let (hash, heap, db) = (keys.hash(key), keys.lane.heap, keys.db);
    let state = match keys.presence(key) {
        Presence::Live => 0,
        Presence::Expired => WAS_EXPIRED,
        Presence::Absent => WAS_ABSENT,
    };
    let shard = keys.shard(hash);
    // SAFETY: the shard is locked by this lane.
    let table = unsafe { &mut (*shard).watched };
    let address = find(table, db, hash, key).unwrap_or_else(|| {
        let address = heap.alloc(size_of::<WatchedKey>() + key.len());
        let fresh =
            WatchedKey { watchers: 0, db, changes: 0, key_len: key.len() as u32, reserved: 0 };
        let place = address as *mut WatchedKey;
        // SAFETY: a new allocation with room for the struct and the key behind it.
        unsafe {
            place.write(fresh);
            core::ptr::copy_nonoverlapping(key.as_ptr(), place.add(1).cast(), key.len());
        }
        let seed = keys.lane.roots.seed;
        // SAFETY: items of the table, whose shard is locked.
        let hash_of = move |a| crate::keyspace::hash::hash(key_of(unsafe { item(a) }), seed);
        Table::new(table, heap).insert(hash, address, hash_of);
        address
    });
    let mut watches = Words::new(&mut client.watches, heap);
    if watches.as_slice().chunks_exact(WORDS).any(|watch| watch[1] == address) {
        return;
    }
    // SAFETY: an item of the table, whose shard is locked.
    let record = unsafe { item(address) };
    record.watchers += 1;
    watches.push(hash);
    watches.push(address);
    watches.push(record.changes | state);
    client.watch_count.fetch_add(1, Relaxed);
}

/// The shards of all keys a client watches.
pub fn lock_set(lane: &Lane, client: &mut ClientState) -> ShardSet {
    let watches = Words::new(&mut client.watches, lane.heap);
    watches.as_slice().chunks_exact(WORDS).fold(0, |set, watch| set | set_of(watch[0]))
}

/// Whether no watched key has changed. The shards of [`lock_set`] are locked.
pub fn all_unchanged(keys: &mut Keys<'_>, client: &mut ClientState) -> bool {
    let heap = keys.lane.heap;
    let watches = Words::new(&mut client.watches, heap).as_slice().to_vec();
    watches.chunks_exact(WORDS).all(|watch| {
        // SAFETY: the record lives while it has watchers, and its shard is locked.
        let record = unsafe { item(watch[1]) };
        let allowed = if watch[2] & WAS_EXPIRED != 0 { VANISHING } else { 0 };
        if record.changes - (watch[2] & !(WAS_EXPIRED | WAS_ABSENT)) > allowed {
            return false;
        }
        let presence = keys.in_db(record.db, |keys| keys.presence(key_of(record)));
        presence != Presence::Expired || watch[2] & (WAS_EXPIRED | WAS_ABSENT) != 0
    })
}

/// Forgets all watches of a client. `locked`: the shards of [`lock_set`] are locked already.
pub fn clear(lane: &mut Lane, client: &mut ClientState, locked: bool) {
    if client.watches.len == 0 {
        return;
    }
    let mut watches = Words::new(&mut client.watches, lane.heap);
    for watch in watches.as_slice().chunks_exact(WORDS) {
        let (hash, address) = (watch[0], watch[1]);
        if !locked {
            lane.locks.acquire(set_of(hash));
        }
        release(lane, hash, address);
        if !locked {
            lane.locks.release();
        }
    }
    watches.free();
    client.watch_count.store(0, Relaxed);
}

/// Gives back one watch of a record, and the record with the last.
fn release(lane: &mut Lane, hash: u64, address: u64) {
    let shard = lane.roots.shard(shard_of(hash));
    // SAFETY: the record has at least this watch, and its shard is locked by this lane.
    unsafe {
        let record = item(address);
        record.watchers -= 1;
        if record.watchers > 0 {
            return;
        }
        let size = size_of::<WatchedKey>() + record.key_len as usize;
        let mut table = Table::new(&mut (*shard).watched, lane.heap);
        if let Some(slot) = table.find_address(hash, address) {
            table.remove(slot, hash);
        }
        lane.heap.free(address, size);
    }
}
