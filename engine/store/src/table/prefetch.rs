//! Hints for a batch: bring into the cache what the next commands will look up.
//!
//! These run without the lock while others change the table, so what they read may be stale or no
//! longer a table at all. Nothing but an address to prefetch is ever derived from it.
//!
//! Invariant: only the root word is read through a reference, which is legal because nobody has an
//! exclusive one to a table that hints look at (see [`Table::locked`](super::Table::locked)). What
//! lies behind it may by now be anything, with whoever owns it writing there: it is read as plain
//! volatile words, without any reference.

use abi::arena::{ARENA_BASE, ARENA_CAPACITY_MAX, ArenaHeader};
use abi::container::RawTable;
use core::ops::Range;
use core::sync::atomic::Ordering::Relaxed;

use super::bucket::{self, ADDRESS, BUCKET_BYTES};
use super::segment::{Root, Segment, prefix};

/// Addresses that may be read whatever is there: those of the arena, which is never unmapped.
/// None for a table outside of it, as unit tests have, and in a sanitised build, which stops whoever
/// reads a block that has been freed meanwhile.
#[inline(always)]
fn window(raw: &RawTable) -> Option<Range<u64>> {
    let inside = ARENA_BASE..ARENA_BASE + ARENA_CAPACITY_MAX;
    if cfg!(sanitised) || !inside.contains(&(raw as *const RawTable as u64)) {
        return None;
    }
    // SAFETY: something lies in the arena, so it is mapped and begins with its header, whose
    // capacity never changes.
    let capacity = unsafe { (*(ARENA_BASE as *const ArenaHeader)).capacity_bytes };
    Some(ARENA_BASE..ARENA_BASE + capacity)
}

/// Prefetches the bucket that `hash` belongs to. Needs no lock.
#[inline]
pub fn prefetch_bucket(raw: &RawTable, hash: u64) {
    if let Some(address) = window(raw).and_then(|window| locate(raw, hash, &window)) {
        prefetch_line(address);
    }
}

/// Prefetches the item that `hash` probably finds: its first two lines. Needs no lock; reads the
/// bucket, which [`prefetch_bucket`] should have brought in.
#[inline]
pub fn prefetch_item(raw: &RawTable, hash: u64) {
    if let Some(address) = window(raw).and_then(|window| locate_item(raw, hash, &window)) {
        prefetch_line(address);
        prefetch_line(address + BUCKET_BYTES as u64);
    }
}

/// Where the bucket of `hash` should be, if that lies in `window`.
#[inline]
pub(super) fn locate(raw: &RawTable, hash: u64, window: &Range<u64>) -> Option<u64> {
    // SAFETY: nothing but addresses is asked of it.
    let segment = match unsafe { Root::decode(raw.root.load(Relaxed)) } {
        Root::Empty => return None,
        Root::Single(segment) => segment,
        Root::Directory(directory) => {
            let address = directory.address + 8 * prefix(hash, directory.bits) as u64;
            // SAFETY: aligned and in the window; of what it names only the address is asked.
            unsafe { Segment::decode(word(readable(address, 8, window)?)) }
        }
    };
    // A word that is no longer a directory's can have any depth.
    let index = prefix(hash << (segment.depth & 63), segment.bits);
    readable(segment.address + (index * BUCKET_BYTES) as u64, BUCKET_BYTES, window)
}

/// Where the item of `hash` should be, if the bucket lies in `window`.
#[inline]
pub(super) fn locate_item(raw: &RawTable, hash: u64, window: &Range<u64>) -> Option<u64> {
    let address = locate(raw, hash, window)?;
    // SAFETY: the bucket's address is 64-byte aligned, and all of it is in the window.
    let slot = |i: usize| unsafe { word(address + 8 * i as u64) };
    let matches = bucket::matching_words(slot, bucket::tag(hash));
    (matches != 0).then(|| slot(matches.trailing_zeros() as usize) & ADDRESS)
}

/// The word at `address`, whatever it means by now; torn or stale if somebody is writing there.
///
/// # Safety
/// The address is a multiple of 8 and mapped.
#[inline(always)]
unsafe fn word(address: u64) -> u64 {
    // SAFETY: as the caller promises; every value of a word is valid.
    unsafe { (address as *const u64).read_volatile() }
}

#[inline(always)]
fn readable(address: u64, size: usize, window: &Range<u64>) -> Option<u64> {
    (address >= window.start && address <= window.end - size as u64).then_some(address)
}

/// Asks for the cache line at `address`, which need not be valid.
#[inline(always)]
pub fn prefetch_line(address: u64) {
    #[cfg(target_arch = "x86_64")]
    {
        use core::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: a prefetch has no effect but on the cache, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(address as *const i8) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = address;
}
