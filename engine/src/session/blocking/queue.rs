//! The queue of those who wait for a key, oldest first.

use abi::client::ClientState;
use abi::ptr::Ptr;
use abi::wait::{BlockedKey, Wait, Waiter};

use super::waiting::wait_of;
use base::core::Core;
use base::lock::{ShardSet, set_of};
use base::notices::Key;
use keyspace::Keys;
use store::named::{Name, address_of, name_of};

/// Appends waiter `index` of a wait to a key's queue. Where memory runs out it is in none.
///
/// # Safety
/// The wait lives and has more than `index` waiters, of which this one is in no queue. Nobody has an
/// exclusive reference to them, and whoever frees them takes them out of their queues first.
pub(crate) unsafe fn enqueue(keys: &mut Keys<'_>, wait: Ptr<Wait>, index: usize, key: &[u8]) {
    let (hash, db) = (keys.hash(key), keys.db);
    let name = Name::of_key(key, hash, db);
    let fresh = || BlockedKey {
        head: Ptr::NULL,
        tail: Ptr::NULL,
        count: 0,
        db,
        key_len: name.bytes(),
        reserved: 0,
    };
    let mut queues = keys.awaited(hash);
    let queue = queues.find_or_add(name, fresh);
    // SAFETY: the waiter lives, as the caller promises, and is nobody's to look at before it is in
    // the queue. The queue points to live waiters, which are changed under the lock of its shard
    // only, that `awaited` has found to be held.
    unsafe {
        let waiter = (*wait.as_ptr()).waiters.as_ptr().add(index);
        waiter.write(Waiter {
            wait,
            key: Ptr::new(address_of(queue)),
            prev: queue.tail,
            next: Ptr::NULL,
            hash,
        });
        match queue.tail.as_ptr().as_mut() {
            Some(last) => last.next = Ptr::from_raw(waiter),
            None => queue.head = Ptr::from_raw(waiter),
        }
        queue.tail = Ptr::from_raw(waiter);
        queue.count += 1;
    }
}

/// Takes a waiter out of its queue if it still is in one.
///
/// # Safety
/// The waiter lives, this lane has the shard of its hash locked, and nobody uses a reference to a
/// waiter or queue of that shard.
pub(crate) unsafe fn unlink(core: &mut Core, waiter: *mut Waiter) {
    // SAFETY: as the caller promises. Its neighbours live, as they are in the queue, and all of
    // them are changed under the lock of the shard only, that `awaited` has found to be held.
    unsafe {
        let (hash, address) = ((*waiter).hash, (*waiter).key.address());
        let mut keys = Keys::new(core, 0);
        let mut queues = keys.awaited(hash);
        let Some(queue) = queues.find_address_mut(hash, address) else { return };
        let (prev, next) = ((*waiter).prev, (*waiter).next);
        match prev.as_ptr().as_mut() {
            Some(prev) => prev.next = next,
            None => queue.head = next,
        }
        match next.as_ptr().as_mut() {
            Some(next) => next.prev = prev,
            None => queue.tail = prev,
        }
        queue.count -= 1;
        (*waiter).key = Ptr::NULL;
        if queue.count == 0 {
            queues.remove(hash, address);
        }
    }
}

/// The shards of all keys that a client of this lane waits for.
pub(crate) fn lock_set(client: &ClientState) -> ShardSet {
    let Some(wait) = wait_of(client) else { return 0 };
    // SAFETY: a wait has as many waiters, which live as long, and whose hashes never change.
    let hash = |index| unsafe { (*wait.waiters.as_ptr().add(index)).hash };
    (0..wait.key_count as usize).fold(0, |set, index| set | set_of(hash(index)))
}

/// The keys that a client of this lane waits for. No shard is locked.
pub(crate) fn awaited_keys(core: &mut Core, client: &ClientState) -> Vec<Key> {
    let Some(wait) = wait_of(client) else { return Vec::new() };
    let waiters = (0..wait.key_count as usize).map(|index| {
        // SAFETY: a wait has as many waiters.
        unsafe { wait.waiters.as_ptr().add(index) }
    });
    waiters
        .filter_map(|waiter| {
            // SAFETY: the waiter lives as long as the wait, and its hash never changes.
            core.lock(set_of(unsafe { (*waiter).hash }));
            // SAFETY: a waiter changes, and its queue lives, under the lock of its shard alone,
            // which this lane has.
            let queue = unsafe { (*waiter).key.as_ptr().as_ref() };
            let key = queue.map(|queue| Key::new(queue.db, name_of(queue)));
            core.unlock();
            key
        })
        .collect()
}

/// The oldest waiter of a key, or null. The key's shard is locked.
pub(crate) fn first_waiter(core: &mut Core, db: u32, hash: u64, key: &[u8]) -> *mut Waiter {
    let mut keys = Keys::new(core, db);
    let queues = keys.awaited(hash);
    let queue = queues.find(Name::of_key(key, hash, db));
    queue.map_or(core::ptr::null_mut(), |queue| queue.head.as_ptr())
}
