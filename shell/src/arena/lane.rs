//! A lane's heap: the fast path. Blocks a lane frees serve its next requests, whichever lane they
//! came from, so that neither path needs an atomic operation or looks at a page.
//!
//! Invariant: whoever finds the heap after the end of the process, at any instruction, finds a list of
//! free blocks that ends, and untouched blocks that are the lane's. A block is linked before the list
//! begins with it, and the count of untouched blocks falls before the first of them is another. What
//! counts blocks and bytes may be behind by one, and one block may be nobody's. While more than that is
//! under way, `busy` says so.

use std::cell::Cell;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, compiler_fence};

use super::central::{self, Batch};
use super::classes::{CLASSES, SMALL_MAX, cache_limit, class_bytes, class_of_last, rounded};
use super::{compaction, large, layout, poison};

/// What freed blocks are filled with in debug builds.
const POISON: u8 = 0xdf;

/// A lane's free blocks of one class. Zero is valid: it holds none and has room for none.
#[repr(C)]
pub(super) struct LaneClass {
    /// Address of the first free block, each of which holds the next one's; 0: none.
    pub(super) free: Cell<u64>,
    /// Address of the next untouched block.
    pub(super) fresh: Cell<u64>,
    /// Untouched blocks from there on.
    pub(super) fresh_count: Cell<u32>,
    /// Blocks that may still join the list.
    pub(super) room: Cell<u32>,
    /// Bytes of a block; 0 until the class is first used.
    pub(super) bytes: Cell<u32>,
    reserved: u32,
}

/// The heap of a lane. Counters may be read by anyone, the rest belongs to the lane.
#[repr(C, align(64))]
pub struct LaneHeap {
    /// Bytes ever allocated here.
    pub(super) allocated: AtomicU64,
    /// Bytes ever freed here.
    pub(super) freed: AtomicU64,
    /// 1 while pages are being emptied: beside what every free writes.
    pub(super) compacting: AtomicU32,
    /// 1 while blocks are on their way between the lists here and the pages.
    pub(super) busy: AtomicU32,
    /// Bytes of large blocks ever allocated here.
    pub(super) large_allocated: AtomicU64,
    /// Bytes of large blocks ever freed here.
    pub(super) large_freed: AtomicU64,
    /// `allocated` and `freed` as they were when the lane last began something.
    pub(super) begun_at: [AtomicU64; 2],
    /// Bytes of messages posted from here, less those that came to their end here; it wraps around.
    pub(super) posted: AtomicU64,
    pub(super) classes: [LaneClass; CLASSES],
}

impl LaneHeap {
    /// Bytes ever freed here, then bytes ever allocated. What was freed here may have been
    /// allocated by another lane.
    pub fn totals(&self) -> (u64, u64) {
        let freed = self.freed.load(Ordering::Acquire);
        (freed, self.allocated.load(Ordering::Acquire))
    }

    /// Notes that the lane begins something: what it has taken from here on may be nobody's yet.
    #[inline(always)]
    pub fn begin(&self) {
        for (place, counter) in self.begun_at.iter().zip([&self.allocated, &self.freed]) {
            place.store(counter.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }

    /// Notes that so many bytes of messages are on their way, or are no more.
    #[inline]
    pub fn note_posted(&self, bytes: i64) {
        self.posted.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Does what may not be trusted if it is found half done.
    #[inline(always)]
    fn busily<R>(&self, work: impl FnOnce() -> R) -> R {
        self.busy.store(1, Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst);
        let result = work();
        compiler_fence(Ordering::SeqCst);
        self.busy.store(0, Ordering::Relaxed);
        result
    }

    /// See [`abi::host::Host::alloc`].
    ///
    /// # Safety
    /// The caller is this heap's lane, or holds the lock that stands for it.
    #[inline(always)]
    pub unsafe fn alloc(&self, size: u64) -> u64 {
        let last = size.wrapping_sub(1);
        if last >= SMALL_MAX {
            return self.alloc_large(size);
        }
        let class = self.class(last);
        let block = class.free.get();
        if block != 0 {
            // SAFETY: a free block of this lane holds the next one's address.
            class.free.set(unsafe { poison::next(block) });
            compiler_fence(Ordering::SeqCst);
            class.room.set(class.room.get() + 1);
            self.count(&self.allocated, u64::from(class.bytes.get()));
            poison::live(block, u64::from(class.bytes.get()));
            return block;
        }
        // SAFETY: the caller's promise.
        unsafe { self.alloc_fresh(class_of_last(last)) }
    }

    /// See [`abi::host::Host::free`].
    ///
    /// # Safety
    /// As for [`LaneHeap::alloc`]; `address` is a live block that was asked for with `size`.
    #[inline(always)]
    pub unsafe fn free(&self, address: u64, size: u64) {
        let last = size.wrapping_sub(1);
        if last >= SMALL_MAX {
            // SAFETY: the caller's promise.
            return unsafe { self.free_large(address, size) };
        }
        debug_assert!(is_block(address, class_of_last(last)), "{address:#x} is no block of {size}");
        if self.is_compacting() && compaction::is_emptying(address) {
            // SAFETY: the caller's promise.
            return unsafe { self.free_apart(address, size) };
        }
        let class = self.class(last);
        if class.room.get() == 0 {
            // SAFETY: the caller's promise.
            unsafe { self.make_room(class_of_last(last)) };
        }
        // SAFETY: the block is nobody's any more, and at least a word long.
        unsafe {
            bury(address, size, class.bytes.get());
            poison::link(address, class.free.get());
        }
        compiler_fence(Ordering::SeqCst);
        class.free.set(address);
        compiler_fence(Ordering::SeqCst);
        class.room.set(class.room.get() - 1);
        self.count(&self.freed, u64::from(class.bytes.get()));
    }

    /// Frees a block of a page that is being emptied: it is to serve nobody, so the page has it at
    /// once.
    ///
    /// # Safety
    /// As for [`LaneHeap::free`], of a small block.
    #[cold]
    unsafe fn free_apart(&self, address: u64, size: u64) {
        let number = class_of_last(size.wrapping_sub(1));
        let bytes = class_bytes(number);
        // SAFETY: the block is nobody's any more.
        self.busily(|| unsafe {
            bury(address, size, bytes);
            central::give(number, address, 1);
        });
        self.count(&self.freed, u64::from(bytes));
    }

    /// Resizes a block in place, or says that it has to move.
    ///
    /// # Safety
    /// As for [`LaneHeap::free`], with `old_size` for the size.
    #[inline]
    pub unsafe fn resize(&self, address: u64, old_size: u64, new_size: u64) -> bool {
        let (old, new) = (rounded(old_size), rounded(new_size));
        if old == new {
            return true;
        }
        if old <= SMALL_MAX || new <= SMALL_MAX {
            return false;
        }
        self.busily(|| {
            // SAFETY: the caller's promise.
            let resized = unsafe { large::resize(address, old_size, new_size) };
            if resized {
                self.count_large(new.saturating_sub(old), old.saturating_sub(new));
            }
            resized
        })
    }

    /// Hands back half of the free blocks, and all untouched ones. Called regularly it lets the
    /// memory of an idle lane go, at little cost to a busy one. While pages are being emptied all
    /// go, as some may be theirs.
    ///
    /// # Safety
    /// As for [`LaneHeap::alloc`].
    pub unsafe fn trim(&self) {
        for number in 0..CLASSES {
            let cached = self.cached(number);
            let count = if self.is_compacting() { cached } else { cached.div_ceil(2) };
            // SAFETY: the caller's promise.
            unsafe { self.give_back(number, count) };
        }
    }

    /// Hands back everything this lane keeps.
    ///
    /// # Safety
    /// As for [`LaneHeap::alloc`].
    pub unsafe fn flush(&self) {
        for number in 0..CLASSES {
            // SAFETY: the caller's promise.
            unsafe { self.give_back(number, self.cached(number)) };
        }
    }

    /// Says whether pages are being emptied.
    pub fn set_compacting(&self, compacting: bool) {
        self.compacting.store(compacting.into(), Ordering::Relaxed);
    }

    #[inline(always)]
    fn is_compacting(&self) -> bool {
        self.compacting.load(Ordering::Relaxed) != 0
    }

    #[inline(always)]
    fn class(&self, last_offset: u64) -> &LaneClass {
        debug_assert!(last_offset < SMALL_MAX);
        // SAFETY: below SMALL_MAX every class is below CLASSES, as the tests of the classes show.
        unsafe { self.classes.get_unchecked(class_of_last(last_offset)) }
    }

    /// Adds to a counter that only this lane writes.
    #[inline(always)]
    fn count(&self, counter: &AtomicU64, bytes: u64) {
        counter.store(counter.load(Ordering::Relaxed) + bytes, Ordering::Release);
    }

    /// Counts bytes of large blocks that were allocated and freed.
    fn count_large(&self, allocated: u64, freed: u64) {
        for counter in [&self.allocated, &self.large_allocated] {
            self.count(counter, allocated);
        }
        for counter in [&self.freed, &self.large_freed] {
            self.count(counter, freed);
        }
    }

    fn cached(&self, number: usize) -> u32 {
        let class = &self.classes[number];
        if class.bytes.get() == 0 { 0 } else { cache_limit(number) - class.room.get() }
    }

    #[inline(never)]
    unsafe fn alloc_fresh(&self, number: usize) -> u64 {
        let class = &self.classes[number];
        if class.fresh_count.get() == 0 {
            // SAFETY: the caller of `alloc` promised.
            return unsafe { self.refill(number) };
        }
        self.next_fresh(class)
    }

    fn next_fresh(&self, class: &LaneClass) -> u64 {
        let block = class.fresh.get();
        class.fresh_count.set(class.fresh_count.get() - 1);
        compiler_fence(Ordering::SeqCst);
        class.fresh.set(block + u64::from(class.bytes.get()));
        compiler_fence(Ordering::SeqCst);
        self.count(&self.allocated, u64::from(class.bytes.get()));
        poison::live(block, u64::from(class.bytes.get()));
        block
    }

    /// Gets blocks from the pages and allocates one of them.
    #[cold]
    unsafe fn refill(&self, number: usize) -> u64 {
        self.prepare(number);
        let has_taken = self.busily(|| {
            // SAFETY: this heap lies in a mapped arena.
            let batch = unsafe { central::take(number, cache_limit(number) / 2) };
            batch.map(|batch| self.keep(number, &batch))
        });
        match has_taken {
            None => 0,
            // SAFETY: the caller's promise, and there are blocks now.
            Some(()) => unsafe { self.alloc(u64::from(class_bytes(number))) },
        }
    }

    /// Keeps blocks that came from the pages, of which it has none.
    fn keep(&self, number: usize, batch: &Batch) {
        let class = &self.classes[number];
        match *batch {
            Batch::Fresh { address, count } => {
                class.fresh.set(address);
                class.fresh_count.set(count);
            }
            Batch::List { first, count } => {
                // SAFETY: the blocks now belong to this lane. The last one's word leads on to a
                // block that does not, so the list is ended there.
                unsafe { end_list(first, count) };
                class.free.set(first);
                class.room.set(class.room.get() - count);
            }
        }
    }

    /// Makes room in a full list.
    #[cold]
    unsafe fn make_room(&self, number: usize) {
        if self.classes[number].bytes.get() == 0 {
            return self.prepare(number);
        }
        // SAFETY: the caller of `free` promised.
        unsafe { self.give_list(number, cache_limit(number).div_ceil(2)) };
    }

    /// Gives a class used for the first time its block size and its room.
    fn prepare(&self, number: usize) {
        let class = &self.classes[number];
        if class.bytes.get() == 0 {
            class.bytes.set(class_bytes(number));
            class.room.set(cache_limit(number));
        }
    }

    unsafe fn give_back(&self, number: usize, count: u32) {
        let class = &self.classes[number];
        if count > 0 {
            // SAFETY: the caller says it is the lane, and at most all blocks are given.
            unsafe { self.give_list(number, count) };
        }
        if class.fresh_count.get() > 0 {
            self.busily(|| {
                let fresh = class.fresh_count.replace(0);
                // SAFETY: this is what is left of the lane's claim.
                unsafe { central::give_fresh(number, class.fresh.get(), fresh) };
            });
        }
    }

    /// Hands the first `count` blocks of the list back.
    unsafe fn give_list(&self, number: usize, count: u32) {
        let class = &self.classes[number];
        let first = class.free.get();
        let mut rest = first;
        for _ in 0..count {
            // SAFETY: at least `count` blocks are in the list.
            rest = unsafe { poison::next(rest) };
        }
        self.busily(|| {
            class.free.set(rest);
            class.room.set(class.room.get() + count);
            // SAFETY: the lane has just let go of them.
            unsafe { central::give(number, first, count) };
        });
    }

    #[cold]
    fn alloc_large(&self, size: u64) -> u64 {
        if size == 0 {
            // SAFETY: reached only from `alloc`, whose caller promised.
            return unsafe { self.alloc(1) };
        }
        self.busily(|| {
            let address = large::alloc(size);
            if address != 0 {
                self.count_large(rounded(size), 0);
            }
            address
        })
    }

    #[cold]
    unsafe fn free_large(&self, address: u64, size: u64) {
        if size == 0 {
            // SAFETY: the caller's promise; size 0 is served as 1.
            return unsafe { self.free(address, 1) };
        }
        self.busily(|| {
            // SAFETY: the caller's promise.
            unsafe { large::free(address, size) };
            self.count_large(0, rounded(size));
        });
    }
}

/// Ends a list after `count` (above 0) blocks.
unsafe fn end_list(first: u64, count: u32) {
    let mut last = first;
    for _ in 1..count {
        // SAFETY: the caller owns `count` linked blocks.
        last = unsafe { poison::next(last) };
    }
    // SAFETY: as above.
    unsafe { poison::link(last, 0) };
}

/// Sees to it that tests notice who still reads a block of `bytes`, of which `size` were asked for.
///
/// # Safety
/// The block is nobody's any more.
#[inline(always)]
unsafe fn bury(address: u64, size: u64, bytes: u32) {
    if cfg!(debug_assertions) {
        // SAFETY: as the caller promises; the block has this many bytes.
        unsafe { std::ptr::write_bytes(address as *mut u8, POISON, size as usize) };
    }
    poison::dead(address, u64::from(bytes));
}

/// Whether a block of this class can begin at the address. For assertions.
fn is_block(address: u64, class: usize) -> bool {
    let number = layout::page_of(address);
    // SAFETY: a heap exists, so an arena is mapped.
    let pages = unsafe { large::table() };
    let page = pages.get(number);
    let offset = address - layout::page_address(number);
    page.is_of_class(class) && offset.is_multiple_of(u64::from(class_bytes(class)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::offset_of;

    #[test]
    fn a_heap_lies_as_written_in_the_document() {
        assert_eq!((offset_of!(LaneHeap, allocated), offset_of!(LaneHeap, freed)), (0, 8));
        assert_eq!((offset_of!(LaneHeap, compacting), offset_of!(LaneHeap, classes)), (16, 64));
        assert_eq!((offset_of!(LaneHeap, busy), offset_of!(LaneHeap, large_allocated)), (20, 24));
        assert_eq!((offset_of!(LaneHeap, begun_at), offset_of!(LaneHeap, posted)), (40, 56));
        assert_eq!(size_of::<LaneHeap>(), 2624);
        assert_eq!((offset_of!(LaneClass, free), offset_of!(LaneClass, fresh)), (0, 8));
        assert_eq!((offset_of!(LaneClass, fresh_count), offset_of!(LaneClass, room)), (16, 20));
        assert_eq!((offset_of!(LaneClass, bytes), size_of::<LaneClass>()), (24, 32));
    }
}
