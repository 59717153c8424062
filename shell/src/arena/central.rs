//! Where lanes get small blocks and leave those they have too many of: per class, the pages that
//! have room.
//!
//! A block is either *out* (in use, or kept by a lane) or with its page. A page whose last block
//! comes back returns to the runs. A page that is being emptied gets blocks back and gives none.

use abi::lock::RawLock;
use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

use super::classes::{PAGE_BYTES, blocks_per_page, class_bytes};
use super::futex::ThisThread;
use super::pages::{Page, PageList, PageTable};
use super::runs::Run;
use super::{large, layout, poison};

/// The pages with room of one class.
#[repr(C, align(64))]
pub struct Central {
    /// Guards the lists and the descriptors of all pages of this class.
    pub(super) lock: RawLock,
    pub(super) with_room: PageList,
    /// Pages of this class.
    pub(super) pages: Cell<u32>,
    /// Pages with room that are being emptied, and are in no other list.
    pub(super) emptying: PageList,
    /// Blocks that are out. Also read without the lock.
    pub(super) out: AtomicU64,
    /// Blocks that were ever claimed, of the pages there are. Also read without the lock.
    pub(super) claimed: AtomicU64,
    reserved: [u64; 3],
}

/// Blocks on their way from a page to a lane.
pub enum Batch {
    /// A list of blocks that were in use before, linked through their first words.
    List { first: u64, count: u32 },
    /// Blocks side by side that nobody has touched yet.
    Fresh { address: u64, count: u32 },
}

/// Takes up to `max` free blocks, or all the untouched ones of a page. `None` when the arena is
/// full.
///
/// # Safety
/// An arena is mapped.
pub unsafe fn take(class: usize, max: u32) -> Option<Batch> {
    // SAFETY: the caller's promise.
    let (central, pages) = unsafe { (layout::central(class), large::table()) };
    central.locked(|| {
        if let Some(number) = central.with_room.first() {
            return Some(central.take_from(pages, number, class, max));
        }
        let Some(number) = large::take_page(class_bytes(class).into()) else {
            // What was to be emptied is needed after all.
            let number = central.spare(pages)?;
            return Some(central.take_from(pages, number, class, max));
        };
        poison::dead(layout::page_address(number), PAGE_BYTES);
        let page = pages.get(number);
        page.set_class(class);
        page.set_emptying(false);
        page.fresh.set(0);
        page.free.set(0);
        page.free_count.set(0);
        page.out.set(0);
        central.pages.set(central.pages.get() + 1);
        Some(central.claim_fresh(page, number, class))
    })
}

/// Leaves a list of `count` blocks, linked through their first words, with their pages.
///
/// # Safety
/// An arena is mapped, and the blocks are of this class and nobody's.
pub unsafe fn give(class: usize, first: u64, count: u32) {
    // SAFETY: the caller's promise.
    let (central, pages) = unsafe { (layout::central(class), large::table()) };
    central.locked(|| {
        let mut block = first;
        for _ in 0..count {
            // SAFETY: the caller's promise; a free block's first word is the next one's address.
            let next = unsafe { poison::next(block) };
            let number = layout::page_of(block);
            let page = pages.get(number);
            let had_room = has_room(page, class);
            // SAFETY: as above.
            unsafe { poison::link(block, page.free.replace(block)) };
            page.free_count.set(page.free_count.get() + 1);
            central.returned(pages, number, 1, had_room);
            block = next;
        }
    });
}

/// Leaves the last `count` untouched blocks of the page at `address` with it; the lane that gives
/// them has claimed them all.
///
/// # Safety
/// An arena is mapped, and `address` and `count` are what is left of a [`Batch::Fresh`].
pub unsafe fn give_fresh(class: usize, address: u64, count: u32) {
    // SAFETY: the caller's promise.
    let (central, pages) = unsafe { (layout::central(class), large::table()) };
    central.locked(|| {
        let number = layout::page_of(address);
        let page = pages.get(number);
        let had_room = has_room(page, class);
        page.fresh.set(page.fresh.get() - count);
        central.count_claimed(-i64::from(count));
        central.returned(pages, number, count, had_room);
    });
}

/// A page with room, and how many of its blocks are out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occupied {
    /// The page.
    pub page: u32,
    /// Blocks.
    pub out: u32,
}

/// The pages with room of a class that are not being emptied, as they were at some moment during
/// the call. The lock is held for `step` pages at a time.
///
/// # Safety
/// An arena is mapped.
pub unsafe fn survey(class: usize, step: u32) -> Vec<Occupied> {
    // SAFETY: the caller's promise.
    let (central, pages) = unsafe { (layout::central(class), large::table()) };
    let mut seen: Vec<Occupied> = Vec::new();
    // Whoever adds or takes pages meanwhile may make it see one twice, or not at all.
    let most = central.locked(|| central.pages.get()) as usize;
    let mut goes_on = true;
    while goes_on && seen.len() < most {
        central.locked(|| {
            for _ in 0..step {
                let next = central.with_room.first();
                let Some(page) = next.filter(|page| seen.first().is_none_or(|f| f.page != *page))
                else {
                    goes_on = false;
                    return;
                };
                central.with_room.remove(pages, page);
                central.with_room.push_back(pages, page);
                seen.push(Occupied { page, out: pages.get(page).out.get() });
            }
        });
    }
    seen.sort_unstable_by_key(|occupied| occupied.page);
    seen.dedup_by_key(|occupied| occupied.page);
    seen
}

/// Has pages of a class emptied from now on, those of them that still have room. Returns how many.
///
/// # Safety
/// An arena is mapped.
pub unsafe fn empty(class: usize, chosen: &[u32]) -> u32 {
    // SAFETY: the caller's promise.
    let (central, pages) = unsafe { (layout::central(class), large::table()) };
    central.locked(|| {
        let mut marked = 0;
        for &number in chosen {
            let page = pages.get(number);
            if page.is_of_class(class) && !page.is_emptying() && has_room(page, class) {
                central.with_room.remove(pages, number);
                central.emptying.push_back(pages, number);
                page.set_emptying(true);
                marked += 1;
            }
        }
        marked
    })
}

/// Has pages of a class emptied no more, `most` at a time. Returns whether there are others.
///
/// # Safety
/// An arena is mapped.
pub unsafe fn keep(class: usize, most: u32) -> bool {
    // SAFETY: the caller's promise.
    let (central, pages) = unsafe { (layout::central(class), large::table()) };
    central.locked(|| {
        let left = (0..most).try_for_each(|_| central.spare(pages).map(|_| ()));
        left.is_some() && central.emptying.first().is_some()
    })
}

/// Bytes of blocks of a class that are free beside others that are not, in memory that is there.
///
/// # Safety
/// An arena is mapped.
pub unsafe fn scattered_bytes(class: usize) -> u64 {
    // SAFETY: the caller's promise.
    let central = unsafe { layout::central(class) };
    let out = central.out.load(Ordering::Relaxed);
    let free = central.claimed.load(Ordering::Relaxed).saturating_sub(out);
    free * u64::from(class_bytes(class))
}

impl Central {
    fn locked<R>(&self, work: impl FnOnce() -> R) -> R {
        self.lock.lock(ThisThread);
        let result = work();
        // SAFETY: locked above, and the work under it is done.
        unsafe { self.lock.unlock(ThisThread) };
        result
    }

    /// Takes blocks from a page in the list of those with room.
    fn take_from(&self, pages: PageTable, number: u32, class: usize, max: u32) -> Batch {
        let page = pages.get(number);
        let batch = match page.free_count.get() {
            0 => self.claim_fresh(page, number, class),
            // SAFETY: the list belongs to the page, and the page to this class.
            _ => unsafe { self.unlink_free(page, max) },
        };
        if !has_room(page, class) {
            self.with_room.remove(pages, number);
        }
        batch
    }

    /// Gives up emptying a page: others get its blocks again.
    fn spare(&self, pages: PageTable) -> Option<u32> {
        let number = self.emptying.first()?;
        self.emptying.remove(pages, number);
        pages.get(number).set_emptying(false);
        self.with_room.push_back(pages, number);
        Some(number)
    }

    /// Counts blocks that came back to a page; lists the page, or returns it when it is empty.
    fn returned(&self, pages: PageTable, number: u32, count: u32, had_room: bool) {
        let page = pages.get(number);
        page.out.set(page.out.get() - count);
        self.count_out(-i64::from(count));
        if page.out.get() == 0 {
            if page.is_emptying() {
                self.emptying.remove(pages, number);
                page.set_emptying(false);
            } else if had_room {
                self.with_room.remove(pages, number);
            }
            self.count_claimed(-i64::from(page.fresh.get()));
            self.pages.set(self.pages.get() - 1);
            page.clear_class();
            large::give_run(Run { start: number, pages: 1 });
        } else if !had_room {
            // At the end: the longer a page waits for its turn, the likelier it empties.
            self.with_room.push_back(pages, number);
        }
    }

    fn claim_fresh(&self, page: &Page, number: u32, class: usize) -> Batch {
        let claimed = page.fresh.replace(blocks_per_page(class));
        let count = blocks_per_page(class) - claimed;
        page.out.set(page.out.get() + count);
        self.count_out(i64::from(count));
        self.count_claimed(i64::from(count));
        let offset = u64::from(claimed) * u64::from(class_bytes(class));
        debug_assert!(offset < PAGE_BYTES);
        Batch::Fresh { address: layout::page_address(number) + offset, count }
    }

    /// Takes up to `max` blocks off a page's list.
    ///
    /// # Safety
    /// The page's list is not empty and its blocks are mapped.
    unsafe fn unlink_free(&self, page: &Page, max: u32) -> Batch {
        let count = page.free_count.get().min(max);
        let first = page.free.get();
        let mut rest = first;
        for _ in 0..count {
            // SAFETY: `count` blocks are in the list, each holding the next one's address.
            rest = unsafe { poison::next(rest) };
        }
        page.free.set(rest);
        page.free_count.set(page.free_count.get() - count);
        page.out.set(page.out.get() + count);
        self.count_out(i64::from(count));
        Batch::List { first, count }
    }

    fn count_out(&self, by: i64) {
        let sum = self.out.load(Ordering::Relaxed).wrapping_add_signed(by);
        self.out.store(sum, Ordering::Relaxed);
    }

    fn count_claimed(&self, by: i64) {
        let sum = self.claimed.load(Ordering::Relaxed).wrapping_add_signed(by);
        self.claimed.store(sum, Ordering::Relaxed);
    }
}

fn has_room(page: &Page, class: usize) -> bool {
    page.free_count.get() > 0 || page.fresh.get() < blocks_per_page(class)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::offset_of;

    #[test]
    fn a_class_lies_as_written_in_the_document() {
        assert_eq!((offset_of!(Central, lock), offset_of!(Central, with_room)), (0, 4));
        assert_eq!((offset_of!(Central, pages), size_of::<Central>()), (12, 64));
        assert_eq!((offset_of!(Central, emptying), offset_of!(Central, out)), (16, 24));
        assert_eq!(offset_of!(Central, claimed), 32);
    }
}
