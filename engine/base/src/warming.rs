//! What has been changed since the keys are being filled from elsewhere; see `abi::warming`.
#![forbid(unsafe_code)]

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

use abi::warming::{CLASSES, Warming};

use crate::attention::{self, WARMING};
use crate::roots::Roots;

/// How it stands.
pub fn state(roots: Roots) -> &'static Warming {
    &roots.shared().warming
}

/// Whether somebody fills.
pub fn is_on(roots: Roots) -> bool {
    attention::has(roots, WARMING)
}

/// The word and the bit of a hash.
fn place(roots: Roots, hash: u64) -> Option<(&'static AtomicU64, u64)> {
    // Not the bits that choose the shard: those of a shard would share an eighth of the words.
    let class = (hash >> 6) % CLASSES;
    let word = roots.warming_bits()?.get((class / 64) as usize)?;
    Some((word, 1 << (class % 64)))
}

/// The key with this hash, whose shard is locked, is about to be changed or removed, or is asked to
/// be.
#[inline(always)]
pub fn note(roots: Roots, hash: u64) {
    if attention::is_any(roots) {
        note_if_on(roots, hash);
    }
}

#[cold]
fn note_if_on(roots: Roots, hash: u64) {
    if is_on(roots)
        && let Some((word, bit)) = place(roots, hash)
        && word.load(Relaxed) & bit == 0
    {
        word.fetch_or(bit, Relaxed);
    }
}

/// Whether the key with this hash, whose shard is locked, may have been changed or removed.
pub fn was_touched(roots: Roots, hash: u64) -> bool {
    place(roots, hash).is_none_or(|(word, bit)| word.load(Relaxed) & bit != 0)
}

/// All keys of a database go, or are of another from here on. Every shard is locked.
pub fn end(roots: Roots) {
    if is_on(roots) {
        state(roots).is_over.store(1, Relaxed);
    }
}

/// The client that fills is not there any more.
pub fn forget(roots: Roots) {
    attention::set(roots, WARMING, false);
    state(roots).client.store(0, Relaxed);
}
