//! What of a client lies under the lock of the table of clients: its texts, and what it waits for.

use abi::client::{ClientGuarded, ClientShared};

use crate::keyspace::lock::with_lock;
use crate::lane::Lane;

/// Calls `f` with what of a client lies under the table's lock, which is held meanwhile: `f` must
/// not look at the table or at another client's.
pub fn with<R>(lane: &Lane, client: &ClientShared, f: impl FnOnce(&mut ClientGuarded) -> R) -> R {
    let table = lane.roots.clients();
    // SAFETY: the root lives as long as the process. Its lock is held while `f` runs and is not
    // taken twice, so `f` has the only reference: each other is made under the same lock, here or
    // in `clients::for_each`.
    unsafe { with_lock(&(*table).lock, lane.host, || f(client.guarded.get_mut())) }
}
