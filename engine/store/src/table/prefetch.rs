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
    if let Some(place) = window(raw).and_then(|window| locate(raw, hash, &window)) {
        prefetch_line(place.bucket);
    }
}

/// Bytes of an item that are prefetched: an entry of a short key and a value of 64 bytes. It may
/// begin anywhere in a line, so that it lies in two or three.
const ITEM_BYTES: u64 = 88;

/// Prefetches the item that `hash` probably finds: its first [`ITEM_BYTES`]. Needs no lock; reads the
/// bucket, which [`prefetch_bucket`] should have brought in.
#[inline]
pub fn prefetch_item(raw: &RawTable, hash: u64) {
    if let Some(address) = window(raw).and_then(|window| locate_item(raw, hash, &window)) {
        prefetch_line(address);
        prefetch_line(address + BUCKET_BYTES as u64);
        prefetch_line(address + ITEM_BYTES - 1);
    }
}

/// A table inside of an item of another: its root word, as it was when it was looked at, and the hash
/// of what is to be looked up in it.
#[derive(Clone, Copy)]
pub struct Inner {
    root: u64,
    hash: u64,
}

/// Prefetches the bucket that `inner` belongs to in a table inside of the item that `hash` probably
/// finds. `root_at` tells from the item's first word at which of its words that table's root is, if
/// it has one. Needs no lock; reads the item, which [`prefetch_item`] should have brought in.
#[inline]
pub fn prefetch_inner_bucket(
    raw: &RawTable,
    hash: u64,
    inner: impl FnOnce() -> u64,
    root_at: impl Fn(u64) -> Option<usize>,
) -> Option<Inner> {
    let window = window(raw)?;
    // What is there by now may be anything: only where it is must be right.
    let item = readable(locate_item(raw, hash, &window)? & !7, 8, &window)?;
    // SAFETY: aligned and in the window.
    let at = root_at(unsafe { word(item) })?;
    // SAFETY: as above.
    let root = unsafe { word(readable(item + 8 * at as u64, 8, &window)?) };
    let hash = inner();
    prefetch_line(locate_from(root, hash, &window)?.bucket);
    Some(Inner { root, hash })
}

/// Prefetches the item that an inner table probably holds. Needs no lock; reads the bucket, which
/// [`prefetch_inner_bucket`] should have brought in.
#[inline]
pub fn prefetch_inner_item(raw: &RawTable, inner: Inner) {
    let item = window(raw)
        .and_then(|window| item_in(locate_from(inner.root, inner.hash, &window)?, &window));
    if let Some(address) = item {
        prefetch_line(address);
    }
}

/// Where an item should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Address of its bucket.
    pub bucket: u64,
    /// Address of the other bucket of the pair.
    pub other: u64,
    /// The item's tag.
    pub tag: u64,
}

/// Where the item of `hash` should be, if its bucket lies in `window`.
#[inline]
pub(super) fn locate(raw: &RawTable, hash: u64, window: &Range<u64>) -> Option<Place> {
    locate_from(raw.root.load(Relaxed), hash, window)
}

/// As [`locate`], of a table by its root word, which may by now be none.
#[inline]
pub(super) fn locate_from(root: u64, hash: u64, window: &Range<u64>) -> Option<Place> {
    // SAFETY: nothing but addresses is asked of it.
    let segment = match unsafe { Root::decode(root) } {
        Root::Empty => return None,
        Root::Single(segment) => segment,
        Root::Directory(directory) => {
            let word_at = 8 * prefix(hash, directory.bits) as u64;
            let address = directory.address.wrapping_add(word_at);
            // SAFETY: aligned and in the window; of what it names only the address is asked.
            unsafe { Segment::decode(word(readable(address, 8, window)?)) }
        }
    };
    // A word that is no longer a directory's can name any address and number of buckets.
    let tag = segment.tag(hash);
    let index = segment.index(tag);
    let address = |index| segment.address.wrapping_add((index * BUCKET_BYTES) as u64);
    let bucket = readable(address(index), BUCKET_BYTES, window)?;
    Some(Place { bucket, other: address(index ^ 1), tag })
}

/// The item of `hash`, if its bucket lies in `window` and the item in that.
#[inline]
pub(super) fn locate_item(raw: &RawTable, hash: u64, window: &Range<u64>) -> Option<u64> {
    item_in(locate(raw, hash, window)?, window)
}

/// The item at a place that [`locate`] gave, if it lies in its bucket or the other of the pair.
#[inline]
fn item_in(place: Place, window: &Range<u64>) -> Option<u64> {
    let found = tagged(place.bucket, place.tag);
    // SAFETY: the last word of the bucket, which lies in the window.
    let last = unsafe { word(place.bucket + BUCKET_BYTES as u64 - 8) };
    if found.is_some() || !bucket::tells_spilled(last) {
        return found;
    }
    tagged(readable(place.other, BUCKET_BYTES, window)?, place.tag)
}

/// The item with this tag in the bucket at an address that is 64-byte aligned, all of it mapped.
#[inline]
fn tagged(bucket: u64, tag: u64) -> Option<u64> {
    // SAFETY: one of the bucket's words.
    let slot = |i: usize| unsafe { word(bucket + 8 * i as u64) };
    let matches = bucket::matching_words(slot, tag);
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
