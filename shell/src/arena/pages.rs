//! Page descriptors: 64 bytes a page, kept apart from the pages so that a page no longer in use
//! can be handed back to the system whole.

use std::cell::Cell;
use std::sync::atomic::{AtomicU8, Ordering};

use super::classes::CLASSES;

/// In the place of the class of a page that is none of small blocks.
const NO_CLASS: u8 = u8::MAX;

/// What a page is. Only written under the lock of the runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// Neither end of a free run nor the start of an allocation; what zeroed memory says.
    Inner = 0,
    /// The first or last page of a free run. No other page says so.
    Free = 1,
    /// A page of small blocks.
    Small = 2,
    /// The first page of a large block.
    Large = 3,
}

/// A page's descriptor. Zero is valid and means never used.
///
/// `kind`, `run_pages` and `dirty_pages` are guarded by the lock of the runs. `prev` and `next`
/// belong to whichever list the page is in: a bin of free runs, or one of the lists of a class.
/// The rest is guarded by the lock of the class. The atomics are looked at without it.
#[repr(C, align(64))]
pub struct Page {
    kind: AtomicU8,
    /// Size class of a small page.
    class: AtomicU8,
    /// Whether it is being emptied.
    emptying: AtomicU8,
    reserved0: u8,
    /// Pages of the run; in both the first and the last page of a free run.
    pub run_pages: Cell<u32>,
    /// Pages of a free run that may be backed by memory: an upper bound.
    pub dirty_pages: Cell<u32>,
    /// The page before in its list; 0: none.
    pub prev: Cell<u32>,
    /// The page after in its list; 0: none.
    pub next: Cell<u32>,
    /// Blocks in use, cached by a lane, or fresh and claimed by a lane.
    pub out: Cell<u32>,
    /// Blocks before this one have been claimed at least once; those from it on are untouched.
    pub fresh: Cell<u32>,
    /// Blocks in the list at `free`.
    pub free_count: Cell<u32>,
    /// Address of the first free block; each holds the address of the next in its first word.
    pub free: Cell<u64>,
    reserved: [u64; 3],
}

impl Page {
    /// What this page is.
    pub fn kind(&self) -> Kind {
        match self.kind.load(Ordering::Relaxed) {
            1 => Kind::Free,
            2 => Kind::Small,
            3 => Kind::Large,
            _ => Kind::Inner,
        }
    }

    /// Says what this page is.
    pub fn set_kind(&self, kind: Kind) {
        self.kind.store(kind as u8, Ordering::Relaxed);
    }

    /// Whether this is a page of small blocks of a class. Certain for who holds the class's lock.
    pub fn is_of_class(&self, class: usize) -> bool {
        self.kind() == Kind::Small && usize::from(self.class.load(Ordering::Relaxed)) == class
    }

    /// The class of its small blocks, if it has such.
    pub fn class(&self) -> Option<usize> {
        let class = usize::from(self.class.load(Ordering::Relaxed));
        (self.kind() == Kind::Small && class < CLASSES).then_some(class)
    }

    /// Says that this is a page of small blocks of a class.
    pub fn set_class(&self, class: usize) {
        self.class.store(class as u8, Ordering::Relaxed);
    }

    /// Says that this is of no class any more.
    pub fn clear_class(&self) {
        self.class.store(NO_CLASS, Ordering::Relaxed);
    }

    /// Whether it is being emptied: its blocks are to move, and free ones are handed to nobody.
    #[inline(always)]
    pub fn is_emptying(&self) -> bool {
        self.emptying.load(Ordering::Relaxed) != 0
    }

    /// Says whether it is being emptied.
    pub fn set_emptying(&self, emptying: bool) {
        self.emptying.store(emptying.into(), Ordering::Relaxed);
    }
}

/// The table of all descriptors, indexed by page number.
#[derive(Clone, Copy)]
pub struct PageTable {
    first: *const Page,
    count: u32,
}

impl PageTable {
    /// A table of `count` descriptors.
    ///
    /// # Safety
    /// At `first` lie `count` descriptors that outlive every use of the table.
    pub const unsafe fn new(first: *const Page, count: u32) -> Self {
        Self { first, count }
    }

    /// The descriptor of a page.
    #[inline]
    pub fn get(&self, page: u32) -> &Page {
        debug_assert!(page < self.count, "page {page} is outside the arena");
        // SAFETY: by the contract of `new`; page numbers come from the runs, which stay below
        // `count`, or from live allocations.
        unsafe { &*self.first.add(page as usize) }
    }
}

/// A list of pages linked through their descriptors. Zero is an empty list: page 0 holds the
/// arena's header and is never in one.
#[repr(C)]
#[derive(Default)]
pub struct PageList {
    head: Cell<u32>,
    tail: Cell<u32>,
}

impl PageList {
    /// The first page, if any.
    pub fn first(&self) -> Option<u32> {
        Some(self.head.get()).filter(|&page| page != 0)
    }

    /// Forgets all pages in it.
    pub fn clear(&self) {
        self.head.set(0);
        self.tail.set(0);
    }

    /// The pages in it, from the first on.
    pub fn pages(&self, pages: PageTable) -> impl Iterator<Item = u32> {
        let after = move |page: u32| Some(pages.get(page).next.get()).filter(|&next| next != 0);
        std::iter::successors(self.first(), move |&page| after(page))
    }

    /// Puts a page that is in no list in front.
    pub fn push_front(&self, pages: PageTable, page: u32) {
        let head = self.head.replace(page);
        pages.get(page).prev.set(0);
        pages.get(page).next.set(head);
        match head {
            0 => self.tail.set(page),
            head => pages.get(head).prev.set(page),
        }
    }

    /// Puts a page that is in no list at the end.
    pub fn push_back(&self, pages: PageTable, page: u32) {
        let tail = self.tail.replace(page);
        pages.get(page).prev.set(tail);
        pages.get(page).next.set(0);
        match tail {
            0 => self.head.set(page),
            tail => pages.get(tail).next.set(page),
        }
    }

    /// Takes out a page that is in this list.
    pub fn remove(&self, pages: PageTable, page: u32) {
        let (prev, next) = (pages.get(page).prev.get(), pages.get(page).next.get());
        match prev {
            0 => self.head.set(next),
            prev => pages.get(prev).next.set(next),
        }
        match next {
            0 => self.tail.set(prev),
            next => pages.get(next).prev.set(prev),
        }
    }
}

#[cfg(test)]
pub mod testing {
    use super::{Page, PageTable};

    /// A table of `count` zeroed descriptors in ordinary memory.
    pub fn table(count: u32) -> PageTable {
        // SAFETY: zero is a valid value of every field, see the type.
        let zeroed = || unsafe { std::mem::zeroed::<Page>() };
        let pages: Vec<Page> = (0..count).map(|_| zeroed()).collect();
        // SAFETY: leaked, so they live for ever.
        unsafe { PageTable::new(pages.leak().as_ptr(), count) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages_in(list: &PageList, pages: PageTable) -> Vec<u32> {
        let mut page = list.first();
        let mut found = Vec::new();
        while let Some(number) = page {
            found.push(number);
            page = Some(pages.get(number).next.get()).filter(|&next| next != 0);
        }
        found
    }

    #[test]
    fn a_list_keeps_its_order_through_removals() {
        let pages = testing::table(8);
        let list = PageList::default();
        list.push_back(pages, 3);
        list.push_back(pages, 4);
        list.push_front(pages, 2);
        list.push_back(pages, 5);
        assert_eq!(pages_in(&list, pages), [2, 3, 4, 5]);
        list.remove(pages, 3);
        list.remove(pages, 5);
        list.push_back(pages, 6);
        assert_eq!(pages_in(&list, pages), [2, 4, 6]);
        list.remove(pages, 2);
        list.remove(pages, 6);
        list.remove(pages, 4);
        assert_eq!(list.first(), None);
    }

    #[test]
    fn a_descriptor_lies_as_written_in_the_document() {
        use std::mem::offset_of;
        assert_eq!((size_of::<Page>(), align_of::<Page>()), (64, 64));
        assert_eq!((offset_of!(Page, kind), offset_of!(Page, class)), (0, 1));
        assert_eq!(offset_of!(Page, emptying), 2);
        assert_eq!((offset_of!(Page, run_pages), offset_of!(Page, dirty_pages)), (4, 8));
        assert_eq!((offset_of!(Page, prev), offset_of!(Page, next)), (12, 16));
        assert_eq!((offset_of!(Page, out), offset_of!(Page, fresh)), (20, 24));
        assert_eq!((offset_of!(Page, free_count), offset_of!(Page, free)), (28, 32));
    }
}
