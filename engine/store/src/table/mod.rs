//! The hash table: a segmented extendible hash table of item addresses.
//!
//! A lookup goes root word, directory word, bucket (one cache line), item. Growth and shrinkage
//! work on one segment at a time, so that no operation moves more than a few hundred items; only
//! the directory, a word for some hundred items, is copied as a whole when it doubles.
//!
//! A segment grows by a fifth or so at a time and is split after some of these steps. Only then its
//! items are read: how they move within it is told by their tags. An item for which its bucket has
//! no room goes to the other bucket of the pair, the neighbouring cache line, before a chain is begun.
//! Segments grow in turn, in order of hashes, whenever the table as a whole is crowded, so that those
//! made at a time also end at a time and leave whole pages behind. So a large table takes 11 to 12
//! bytes an item, whatever its size.
//!
//! Invariant: an item lies in the chain that begins with its bucket or, if that is marked, in the
//! chain of the other bucket of the pair.

mod bucket;
mod check;
mod prefetch;
mod relocate;
mod reserve;
mod resize;
mod segment;
#[cfg(test)]
mod tests;
mod walk;

pub use prefetch::{
    Inner, prefetch_bucket, prefetch_inner_bucket, prefetch_inner_item, prefetch_item,
    prefetch_line,
};

pub use check::{Checked, check};
pub use relocate::Item;

use abi::container::{Bucket, RawTable};
use core::ops::Deref;
use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

use base::heap::Heap;
/// Bits of a position of [`TableRef::scan`] that may be set, from the most significant on.
pub const POSITION_BITS: u32 = segment::DIRECTORY_BITS_MAX + bucket::PLACE_BITS;

use bucket::{ADDRESS, BUCKET_BYTES};
use segment::{Directory, Root, Segment};

/// An item found in a table. Valid until the table is changed.
#[derive(Clone, Copy, Debug)]
pub struct Slot {
    /// Address of the slot.
    place: u64,
    /// What the slot holds.
    word: u64,
}

impl Slot {
    /// The item's address.
    #[inline(always)]
    pub const fn address(self) -> u64 {
        self.word & ADDRESS
    }

    /// The slot itself.
    ///
    /// # Safety
    /// It was found in a table that has not been changed since, and is not until the reference is
    /// no longer used.
    #[inline(always)]
    unsafe fn cell<'a>(self) -> &'a AtomicU64 {
        // SAFETY: as the caller promises, the slot is still one of the table's.
        unsafe { &*(self.place as *const AtomicU64) }
    }
}

/// Items in a table. Needs no lock.
#[inline(always)]
pub fn len(raw: &RawTable) -> usize {
    raw.count.load(Relaxed) as usize
}

/// Bytes of a table's own structure, as asked from the heap; the items are not counted. Needs no
/// lock: it may be out by what happens meanwhile.
pub fn bytes(raw: &RawTable) -> usize {
    let buckets = raw.buckets.load(Relaxed) as usize + raw.overflows.load(Relaxed) as usize;
    // SAFETY: neither a bucket nor a word is asked of it.
    let directory = match unsafe { Root::decode(raw.root.load(Relaxed)) } {
        Root::Empty | Root::Single(_) => 0,
        Root::Directory(directory) => Directory::bytes(directory.bits),
    };
    buckets * BUCKET_BYTES + directory
}

/// A table to look things up in. The caller holds the lock that guards it.
#[derive(Clone, Copy)]
pub struct TableRef<'a> {
    raw: &'a RawTable,
}

impl<'a> TableRef<'a> {
    /// A view of `raw`.
    ///
    /// # Safety
    /// `raw` has only ever been changed through [`Table`]. Nobody changes it while this is used:
    /// the caller holds the lock that guards it, or has it to itself, and does not either.
    #[inline(always)]
    pub const unsafe fn new(raw: &'a RawTable) -> Self {
        Self { raw }
    }

    /// Items.
    #[inline(always)]
    pub fn len(&self) -> usize {
        len(self.raw)
    }

    /// Whether there are no items.
    #[inline(always)]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Finds the item with this hash for which `is_item` holds. It is asked about items whose tag
    /// and bucket fit, nearly always one or none.
    #[inline(always)]
    pub fn find(&self, hash: u64, mut is_item: impl FnMut(u64) -> bool) -> Option<Slot> {
        let segment = self.segment(hash)?;
        let tag = segment.tag(hash);
        let index = segment.index(tag);
        let home = segment.bucket(index);
        if let Some(found) = find_in(home, tag, &mut is_item) {
            return Some(found);
        }
        if !bucket::goes_on(home) {
            return None;
        }
        let other = bucket::has_spilled(home).then(|| segment.other(index));
        find_in_chain(other, tag, &mut is_item)
            .or_else(|| find_in_chain(bucket::next(home), tag, &mut is_item))
    }

    /// Finds an item by its address.
    #[inline]
    pub fn find_address(&self, hash: u64, address: u64) -> Option<Slot> {
        self.find(hash, |found| found == address)
    }

    #[inline(always)]
    fn root(&self) -> Root<'a> {
        // SAFETY: nobody else changes the table, as was promised to `new`; what it owns is freed by
        // `Table` alone, which then uses nothing that it decoded before.
        unsafe { Root::decode(self.raw.root.load(Relaxed)) }
    }

    /// The segment that `hash` belongs to.
    #[inline(always)]
    fn segment(&self, hash: u64) -> Option<Segment<'a>> {
        match self.root() {
            Root::Empty => None,
            Root::Single(segment) => Some(segment),
            Root::Directory(directory) => Some(directory.segment_of(hash)),
        }
    }
}

/// Finds the item with `tag` for which `is_item` holds in a bucket alone.
#[inline(always)]
fn find_in(bucket: &Bucket, tag: u64, is_item: &mut impl FnMut(u64) -> bool) -> Option<Slot> {
    let mut matches = bucket::matching(bucket, tag);
    while matches != 0 {
        let cell = bucket::slot(bucket, matches);
        let word = cell.load(Relaxed);
        if is_item(word & ADDRESS) {
            return Some(Slot { place: cell as *const AtomicU64 as u64, word });
        }
        matches &= matches - 1;
    }
    None
}

/// As [`find_in`], from a bucket on through the chain behind it.
#[inline(never)]
fn find_in_chain(
    from: Option<&Bucket>,
    tag: u64,
    is_item: &mut impl FnMut(u64) -> bool,
) -> Option<Slot> {
    let mut part = from;
    while let Some(bucket) = part {
        if let Some(found) = find_in(bucket, tag, is_item) {
            return Some(found);
        }
        part = bucket::next(bucket);
    }
    None
}

/// A table to change. The caller holds the lock that guards it.
pub struct Table<'a> {
    view: TableRef<'a>,
    heap: Heap,
}

impl<'a> Deref for Table<'a> {
    type Target = TableRef<'a>;

    #[inline(always)]
    fn deref(&self) -> &TableRef<'a> {
        &self.view
    }
}

impl<'a> Table<'a> {
    /// A view of `raw`, which is all zeros or has only ever been changed through such views with
    /// the same heap.
    #[inline(always)]
    pub const fn new(raw: &'a mut RawTable, heap: Heap) -> Self {
        // SAFETY: it is borrowed exclusively, and this is what changes it.
        unsafe { Self::shared(raw, heap) }
    }

    /// As [`Table::new`], of a table that others look at without the lock: for their sake there is
    /// no exclusive reference to it.
    ///
    /// # Safety
    /// The caller holds the lock that guards it, and while this changes it uses no other view of
    /// it and nothing found through one.
    #[inline(always)]
    pub const unsafe fn shared(raw: &'a RawTable, heap: Heap) -> Self {
        // SAFETY: as the caller promises; this alone changes it, and then uses no view made before.
        Self { view: unsafe { TableRef::new(raw) }, heap }
    }

    /// Adds an item, which must not be there. `address` is a multiple of 8, below 2^48 and not
    /// zero. `hash_of` gives the hash of items whose segment has to be split.
    #[inline]
    pub fn insert(&mut self, hash: u64, address: u64, hash_of: impl Fn(u64) -> u64) {
        debug_assert!(address != 0 && address & !ADDRESS == 0 && address.is_multiple_of(8));
        if self.is_crowded() {
            self.sweep(&hash_of);
        }
        let stored = match self.segment(hash) {
            Some(segment) => segment.put(segment.tag(hash) | address),
            None => false,
        };
        if !stored {
            self.insert_growing(hash, address, &hash_of);
        }
        self.raw.count.store(self.len() as u64 + 1, Relaxed);
    }

    /// Puts another item with the same hash in the place of one. Returns the slot as it is then.
    ///
    /// # Safety
    /// The slot was found in this table, which has not been changed since.
    #[inline]
    pub unsafe fn replace(&mut self, slot: Slot, address: u64) -> Slot {
        debug_assert!(address != 0 && address & !ADDRESS == 0 && address.is_multiple_of(8));
        // SAFETY: as the caller promises; the table is not changed before the store.
        let cell = unsafe { slot.cell() };
        let word = slot.word & !ADDRESS | address;
        cell.store(word, Relaxed);
        Slot { word, ..slot }
    }

    /// Removes an item found with `hash` and returns its address. The item itself is the caller's.
    ///
    /// # Safety
    /// The slot was found in this table, which has not been changed since.
    #[inline]
    pub unsafe fn remove(&mut self, slot: Slot, hash: u64) -> u64 {
        if let Some(segment) = self.segment(hash) {
            let index = segment.index(segment.tag(hash));
            let (home, other) = (segment.bucket(index), segment.other(index));
            let is_spilled = bucket::has_spilled(home) && bucket::chain_has(other, slot.place);
            let head = if is_spilled { other } else { home };
            // SAFETY: as the caller promises, and `&mut self` keeps what was found otherwise from
            // being used: `head` is no overflow bucket, and the slot is one of its chain.
            if unsafe { bucket::unlink(head, slot.cell(), &self.heap) } {
                self.raw.overflows.store(self.raw.overflows.load(Relaxed) - 1, Relaxed);
            }
            self.raw.count.store(self.len() as u64 - 1, Relaxed);
            if self.is_sparse(head) {
                self.shrink(hash);
            }
        }
        slot.address()
    }

    /// Calls `visit` with each item, then frees all structure. The items are `visit`'s to free.
    pub fn clear(&mut self, visit: &mut dyn FnMut(u64)) {
        self.for_each(visit);
        self.release();
    }

    /// Exchanges all items with another table that has the same heap.
    pub fn exchange(&mut self, other: &mut Table<'_>) {
        let (a, b) = (self.raw, other.raw);
        for (a, b) in [(&a.count, &b.count), (&a.root, &b.root), (&a.swept, &b.swept)] {
            a.store(b.swap(a.load(Relaxed), Relaxed), Relaxed);
        }
        for (a, b) in [(&a.buckets, &b.buckets), (&a.overflows, &b.overflows)] {
            a.store(b.swap(a.load(Relaxed), Relaxed), Relaxed);
        }
    }

    /// Moves everything out, leaving an empty table.
    pub fn take(&mut self) -> RawTable {
        let taken = RawTable::new();
        taken.count.store(self.raw.count.swap(0, Relaxed), Relaxed);
        taken.root.store(self.raw.root.swap(0, Relaxed), Relaxed);
        taken.swept.store(self.raw.swept.swap(0, Relaxed), Relaxed);
        taken.buckets.store(self.raw.buckets.swap(0, Relaxed), Relaxed);
        taken.overflows.store(self.raw.overflows.swap(0, Relaxed), Relaxed);
        taken
    }
}
