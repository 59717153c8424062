//! Walking over all keys of an arena that is not believed, and completing what that has mended.

use core::sync::atomic::Ordering::Relaxed;
use std::collections::{HashMap, HashSet};

use abi::container::RawTable;
use abi::keyspace::{SHARDS, Shard, ShardDb, WatchedKey, anew};
use abi::ptr::Ptr;
use abi::tracking::TrackedKey;
use abi::wait::{BlockedKey, Waiter};

use crate::{CHANGE, Keys, entry_hash};
use base::hash::hash;
use base::heap::Heap;
use base::lock::{ALL_SHARDS, shard_of};
use base::roots::Roots;
use base::walk::{About, Walker};
use store::named::{self, Record, name_of};
use store::table::{Checked, Table, check};
use value::entry::{self, Listing};

/// What others have that keys are held against.
#[derive(Default)]
pub struct Beside {
    /// The places in queues that waiting clients have, by their addresses.
    pub waiters: HashSet<u64>,
    /// Entries that were being changed, in a way that may have left them half changed.
    pub half_changed: HashSet<u64>,
    /// Keys, by database and hash, of transactions and scripts that did not come to their end.
    pub half_run: HashSet<(u32, u64)>,
}

/// Walks over all keys, and what is beside them for those who watch or await them or have them in a
/// cache.
pub fn walk(walker: &mut Walker<'_>, roots: Roots, beside: &Beside) {
    let mut awaited = HashSet::new();
    for number in 0..SHARDS {
        for db in 0..roots.databases() {
            walker.turn_to(About::Part { shard: number, db });
            check_part(walker, roots, number, db, beside);
        }
        walker.turn_to(About::Part { shard: number, db: 0 });
        let (shard, first) = (roots.shard(number), roots.part(number, 0));
        check_beside(walker, roots, (shard, first), beside, &mut awaited);
    }
    if walker.mends() {
        beside.waiters.iter().for_each(|waiter| forget_if_lost(*waiter, &awaited));
    }
}

/// Has one who waits for a key that is not awaited any more wait for none.
fn forget_if_lost(waiter: u64, awaited: &HashSet<u64>) {
    // SAFETY: one of the waiters of a client that waits, which were claimed; nobody else runs.
    let waiter = unsafe { &mut *(waiter as *mut Waiter) };
    if !awaited.contains(&waiter.key.address()) {
        (waiter.key, waiter.prev, waiter.next) = (Ptr::NULL, Ptr::NULL, Ptr::NULL);
    }
}

fn check_part(walker: &mut Walker<'_>, roots: Roots, shard: usize, db: u32, beside: &Beside) {
    let (part, at) = (roots.part(shard, db), About::Part { shard, db });
    let mut with_ttl = HashMap::new();
    let (mut timed, mut timed_only) = (0, 0);
    let keys = check(&part.keys, walker, "keys", &mut |walker, address| {
        let checked = check_entry(walker, roots, (shard, db, address), beside);
        walker.turn_to(at);
        let checked = checked?;
        let Listing { ttl, timed: is_timed } = checked.listing;
        if ttl || is_timed {
            with_ttl.insert(address, checked.hash);
        }
        timed += u64::from(is_timed);
        timed_only += u64::from(is_timed && !ttl);
        Some(checked.hash)
    });
    let expires =
        check(&part.expires, walker, "keys with a time to live", &mut |walker, address| {
            let hash = with_ttl.remove(&address);
            if hash.is_none() {
                walker.wrong(format_args!("{address:#x} is no key with a time to live"));
            }
            hash
        });
    let counted = [part.timed.load(Relaxed), part.timed_only.load(Relaxed)];
    if counted != [timed, timed_only] {
        walker.wrong(format_args!("{timed} keys have parts that end, and not {}", counted[0]));
    }
    if !with_ttl.is_empty() {
        let missing = with_ttl.len();
        walker.wrong(format_args!("{missing} keys are not among those with a time to live"));
    }
    walker.settle(true);
    walker.take_wrong();
    note_anew(walker, part, anew::KEYS, keys.is_sound);
    let are_listed = with_ttl.is_empty() && counted == [timed, timed_only];
    note_anew(walker, part, anew::EXPIRES, expires.is_sound && are_listed);
}

/// Notes in a walk that mends that a table is to be made anew.
fn note_anew(walker: &Walker<'_>, part: &ShardDb, bit: u64, is_sound: bool) {
    if walker.mends() && !is_sound {
        part.anew.fetch_or(bit, Relaxed);
    }
}

/// Walks over a key. None: it is to be taken out.
fn check_entry(
    walker: &mut Walker<'_>,
    roots: Roots,
    (shard, db, address): (usize, u32, u64),
    beside: &Beside,
) -> Option<entry::Checked> {
    walker.settle(true);
    walker.take_wrong();
    let checked = entry::check(walker, address, db, roots.seed);
    if checked.is_some_and(|checked| shard_of(checked.hash) != shard) {
        walker.wrong("it is in the shard of other keys");
    }
    if checked.is_some_and(|checked| beside.half_run.contains(&(db, checked.hash))) {
        walker.wrong("what has changed it did not come to its end");
    }
    if beside.half_changed.contains(&address) {
        walker.wrong("it was being changed");
    }
    if !walker.take_wrong() || !walker.mends() {
        return checked;
    }
    walker.settle(false);
    walker.dropped("it is dropped");
    None
}

/// Walks over what is beside the keys of a shard.
fn check_beside(
    walker: &mut Walker<'_>,
    roots: Roots,
    (shard, first): (&Shard, &ShardDb),
    beside: &Beside,
    awaited: &mut HashSet<u64>,
) {
    let seed = roots.seed;
    let watched = named::check::<WatchedKey>(&shard.watched, walker, seed, &mut |_, _| {});
    let blocked = named::check::<BlockedKey>(&shard.blocked, walker, seed, &mut |walker, key| {
        awaited.insert(named::address_of(key));
        if !check_queue(walker, key, beside) && walker.mends() {
            link_anew(key, beside);
        }
    });
    let tracked = named::check::<TrackedKey>(&shard.tracked, walker, seed, &mut |walker, key| {
        walker.claim_words("ids of clients", &key.others);
    });
    walker.settle(true);
    walker.take_wrong();
    let tables = [(anew::WATCHED, watched), (anew::BLOCKED, blocked), (anew::TRACKED, tracked)];
    for (bit, Checked { is_sound, .. }) in tables {
        note_anew(walker, first, bit, is_sound);
    }
}

/// Walks over the queue of those who wait for a key. False: it is not whole.
fn check_queue(walker: &mut Walker<'_>, key: &BlockedKey, beside: &Beside) -> bool {
    let own = named::address_of(key);
    let (mut count, mut before, mut at) = (0, 0, key.head.address());
    let mut is_whole = true;
    while at != 0 && count <= key.count && is_whole {
        is_whole = beside.waiters.contains(&at);
        if is_whole {
            // SAFETY: one of the waiters of a client that waits, which were claimed.
            let waiter = unsafe { &*(at as *const Waiter) };
            is_whole = waiter.key.address() == own && waiter.prev.address() == before;
            (before, at, count) = (at, waiter.next.address(), count + 1);
        }
    }
    is_whole &= count == key.count && before == key.tail.address();
    if !is_whole {
        walker.wrong("the queue of those who wait for a key is not of one piece");
    }
    is_whole
}

/// Makes the queue of a key anew of those who wait for it.
fn link_anew(key: &BlockedKey, beside: &Beside) {
    let own = named::address_of(key);
    // SAFETY: waiters of clients that wait, which were claimed, and the record of the key; nobody else
    // runs, and what is read of them before is not used after.
    unsafe {
        let waits_for_it = |at: &&u64| (*(**at as *const Waiter)).key.address() == own;
        let mut queue: Vec<u64> = beside.waiters.iter().filter(waits_for_it).copied().collect();
        queue.sort_by_key(|at| {
            let wait = (*(*at as *const Waiter)).wait;
            if wait.is_null() { 0 } else { (*wait.as_ptr()).since_ns }
        });
        let at = |index: usize| Ptr::new(queue.get(index).copied().unwrap_or(0));
        for (index, waiter) in queue.iter().enumerate() {
            let waiter = *waiter as *mut Waiter;
            (*waiter).prev = index.checked_sub(1).map_or(Ptr::NULL, at);
            (*waiter).next = at(index + 1);
        }
        let raw = own as *mut BlockedKey;
        (*raw).head = at(0);
        (*raw).tail = queue.len().checked_sub(1).map_or(Ptr::NULL, at);
        (*raw).count = queue.len() as u32;
    }
}

impl Keys<'_> {
    /// Makes anew the tables that a walk has mended and found not to be as lookups need them. Every
    /// shard is locked.
    pub fn make_anew(&mut self) {
        assert_eq!(self.core.locked(), ALL_SHARDS, "all shards are locked");
        let (roots, heap) = (self.core.roots, self.core.heap);
        for number in 0..SHARDS {
            let shard = roots.shard(number);
            for db in 0..roots.databases() {
                let bits = roots.part(number, db).anew.swap(0, Relaxed);
                self.db = db;
                self.make_part_anew(number, bits);
                if bits & anew::KEYS != 0 {
                    // Some may be gone.
                    self.signal_watchers_of_all(number, |_, _| CHANGE);
                }
                make_named_anew::<WatchedKey>(&shard.watched, heap, roots, bits & anew::WATCHED);
                make_named_anew::<BlockedKey>(&shard.blocked, heap, roots, bits & anew::BLOCKED);
                make_named_anew::<TrackedKey>(&shard.tracked, heap, roots, bits & anew::TRACKED);
            }
        }
        self.db = 0;
    }

    fn make_part_anew(&mut self, shard: usize, bits: u64) {
        let (heap, hash_of) = (self.core.heap, entry_hash(self.core.roots.seed));
        let mut part = self.part_at(shard);
        if bits & anew::KEYS != 0 {
            part.keys_mut(heap).rebuild(hash_of);
        }
        if bits & anew::EXPIRES != 0 {
            let mut with_ttl = Vec::new();
            part.keys().for_each(&mut |address| {
                // SAFETY: an item of the table, which nobody else looks at or changes.
                let listing = unsafe { entry::Entry::at(address) }.listing();
                if listing.is_any() {
                    with_ttl.push((address, listing));
                }
            });
            part.forget_listed();
            let mut expires = part.expires_mut(heap);
            // They are the other table's.
            expires.clear(&mut |_| {});
            for (at, _) in &with_ttl {
                expires.insert(hash_of(*at), *at, hash_of);
            }
            for (_, listing) in with_ttl {
                part.count_listed(Listing::default(), listing);
            }
        }
    }
}

/// Makes a table of records anew, if that is wanted.
fn make_named_anew<R: Record>(raw: &RawTable, heap: Heap, roots: Roots, wanted: u64) {
    if wanted != 0 {
        // SAFETY: its shard is locked, and no other view of it is in use; its items are such records.
        let mut table = unsafe { Table::shared(raw, heap) };
        // SAFETY: as above.
        table.rebuild(|item| hash(name_of(unsafe { &*(item as *const R) }), roots.seed));
    }
}
