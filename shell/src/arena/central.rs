//! Where lanes get small blocks and leave those they have too many of: per class, the pages that
//! have room.
//!
//! A block is either *out* (in use, or kept by a lane) or with its page. A page whose last block
//! comes back returns to the runs.

use abi::lock::RawLock;
use std::cell::Cell;

use super::classes::{PAGE_BYTES, blocks_per_page, class_bytes};
use super::futex::ThisThread;
use super::pages::{Kind, Page, PageList, PageTable};
use super::runs::Run;
use super::{large, layout, poison};

/// The pages with room of one class.
#[repr(C, align(64))]
pub struct Central {
    /// Guards the list and the descriptors of all pages of this class.
    lock: RawLock,
    with_room: PageList,
    /// Pages of this class.
    pages: Cell<u32>,
    reserved: [u64; 6],
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
            let page = pages.get(number);
            let batch = match page.free_count.get() {
                0 => claim_fresh(page, number, class),
                // SAFETY: the list belongs to the page, and the page to this class.
                _ => unsafe { unlink_free(page, max) },
            };
            if !has_room(page, class) {
                central.with_room.remove(pages, number);
            }
            return Some(batch);
        }
        let number = large::take_run(1, Kind::Small)?;
        poison::dead(layout::page_address(number), PAGE_BYTES);
        let page = pages.get(number);
        page.class.set(class as u8);
        page.fresh.set(0);
        page.free.set(0);
        page.free_count.set(0);
        page.out.set(0);
        central.pages.set(central.pages.get() + 1);
        Some(claim_fresh(page, number, class))
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
        central.returned(pages, number, count, had_room);
    });
}

impl Central {
    fn locked<R>(&self, work: impl FnOnce() -> R) -> R {
        self.lock.lock(ThisThread);
        let result = work();
        // SAFETY: locked above, and the work under it is done.
        unsafe { self.lock.unlock(ThisThread) };
        result
    }

    /// Counts blocks that came back to a page; lists the page, or returns it when it is empty.
    fn returned(&self, pages: PageTable, number: u32, count: u32, had_room: bool) {
        let page = pages.get(number);
        page.out.set(page.out.get() - count);
        if page.out.get() == 0 {
            if had_room {
                self.with_room.remove(pages, number);
            }
            self.pages.set(self.pages.get() - 1);
            large::give_run(Run { start: number, pages: 1 });
        } else if !had_room {
            // At the end: the longer a page waits for its turn, the likelier it empties.
            self.with_room.push_back(pages, number);
        }
    }
}

fn has_room(page: &Page, class: usize) -> bool {
    page.free_count.get() > 0 || page.fresh.get() < blocks_per_page(class)
}

fn claim_fresh(page: &Page, number: u32, class: usize) -> Batch {
    let claimed = page.fresh.replace(blocks_per_page(class));
    let count = blocks_per_page(class) - claimed;
    page.out.set(page.out.get() + count);
    let offset = u64::from(claimed) * u64::from(class_bytes(class));
    debug_assert!(offset < PAGE_BYTES);
    Batch::Fresh { address: layout::page_address(number) + offset, count }
}

/// Takes up to `max` blocks off a page's list.
///
/// # Safety
/// The page's list is not empty and its blocks are mapped.
unsafe fn unlink_free(page: &Page, max: u32) -> Batch {
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
    Batch::List { first, count }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::offset_of;

    #[test]
    fn a_class_lies_as_written_in_the_document() {
        assert_eq!((offset_of!(Central, lock), offset_of!(Central, with_room)), (0, 4));
        assert_eq!((offset_of!(Central, pages), size_of::<Central>()), (12, 64));
    }
}
