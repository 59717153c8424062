//! Leaving an arena whole, and finding one that was left so.
//!
//! Whoever closes it has all lanes at rest, between two batches, and no mail on its way. The next to use
//! it need not walk over it: it goes on with roots, keys, clients and the allocator as they are.

use std::sync::atomic::{AtomicU64, Ordering};

use abi::arena::ArenaHeader;

use super::{layout, scavenger, threads};

const CLOSED: u64 = 1;

fn mark() -> &'static AtomicU64 {
    let header: *mut ArenaHeader = layout::header();
    // SAFETY: an arena is mapped, and the word is used through this alone.
    unsafe { AtomicU64::from_ptr(&raw mut (*header).closed) }
}

/// Marks the arena as whole. Lanes that have ended have let go of what they kept (see
/// [`super::flush`]). Nothing of this process changes it any more; nor may the caller.
pub fn close() {
    threads::flush_shared();
    scavenger::end();
    mark().store(CLOSED, Ordering::SeqCst);
}

/// Whether the arena was closed. That is known once: from here on it is in use.
pub fn reopen() -> bool {
    mark().swap(0, Ordering::SeqCst) == CLOSED
}
