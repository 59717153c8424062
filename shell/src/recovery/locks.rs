//! The locks of an arena whose server has ended: whoever held one is no more.

use abi::client::ClientShared;
use abi::lock::{Locked, RawLock};

use crate::arena::futex::ThisThread;
use crate::arena::layout;
use crate::arena::roots::Roots;

/// Opens all locks but those of the allocator and of the effects stream, which are opened with them.
///
/// # Safety
/// The roots are there, and no thread uses the arena.
pub unsafe fn open_all(roots: &Roots) {
    // SAFETY: the header is mapped, and the keyspace a root of it.
    let keyspace = unsafe { &*(*layout::header()).keyspace.as_ptr() };
    keyspace.shards.iter().for_each(|shard| open(&shard.lock));
    let shared = roots.shared();
    open_state(&shared.config.texts);
    open_state(&shared.names);
    open_state(&shared.errors);
    open_state(&shared.pubsub);
    open_state(&shared.slowlog);
    open_state(&shared.latency);
    open_state(&shared.large_requests);
    open_state(&shared.large_replies);
    open_state(&shared.scripts);
    open_state(&shared.tracking);
    open_state(&shared.acl);
    open_state(&shared.snapshot.kept);
    open_state(&shared.loading.next);
    open_state(&shared.loading.fault);
    // SAFETY: a root, and nobody else uses it.
    let clients = unsafe { &*roots.clients().as_ptr() };
    open_state(&clients.slots);
}

/// Opens the locks of a client.
pub fn open_client(client: &ClientShared) {
    open_state(&client.guarded);
}

fn open_state<T>(state: &Locked<T>) {
    open(state.raw_lock());
}

fn open(lock: &RawLock) {
    // SAFETY: no thread uses the arena, as was promised: whoever held it is no more.
    unsafe { lock.unlock(ThisThread) };
}
