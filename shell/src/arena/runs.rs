//! Runs of pages: who has which, which are free, and which free ones to hand back to the system.
//!
//! Works on descriptors alone and touches no page, so it is tested without a mapping.
//!
//! Free runs are kept by size in bins, those that may still hold memory (dirty) apart from those
//! that do not (clean): dirty ones are used again first. A free run says so in its first and its
//! last page, so neighbours join in constant time. Pages from `top` on have never been used.

use std::cell::Cell;
use std::ops::Range;

use super::classes::CHUNK_PAGES;
use super::pages::{Kind, PageList, PageTable};

const BINS: usize = 60;
const EXACT_BINS: u32 = 16;
/// Runs looked at in a bin whose runs differ in size.
const SEARCH_MAX: usize = 8;
/// Dirty free pages up to which nothing is handed back.
const SLACK_PAGES: u32 = 16;

/// Free runs of either sort, by size.
#[repr(C)]
pub(super) struct Bins {
    pub(super) occupied: Cell<u64>,
    pub(super) lists: [PageList; BINS],
}

/// The state of the runs. Zero but for what [`RunState::init`] sets.
#[repr(C)]
pub struct RunState {
    pub(super) first: Cell<u32>,
    pub(super) top: Cell<u32>,
    pub(super) end: Cell<u32>,
    pub(super) live_pages: Cell<u32>,
    pub(super) dirty_free_pages: Cell<u32>,
    /// Lowest value of `dirty_free_pages` since the last [`Runs::dirty_needed`].
    pub(super) dirty_free_low: Cell<u32>,
    pub(super) dirty: Bins,
    pub(super) clean: Bins,
}

impl RunState {
    /// Makes the pages `first..end` available. `first` is above 0.
    pub fn init(&self, first: u32, end: u32) {
        assert!(0 < first && first < end, "an arena needs room for at least one page");
        self.first.set(first);
        self.top.set(first);
        self.end.set(end);
    }
}

/// A stretch of pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The first page.
    pub start: u32,
    /// How many.
    pub pages: u32,
}

impl Run {
    /// The whole chunks in it, as a run; of no pages if there are none.
    pub fn chunks(self) -> Self {
        let start = self.start.next_multiple_of(CHUNK_PAGES);
        let end = (self.start + self.pages) / CHUNK_PAGES * CHUNK_PAGES;
        Self { start, pages: end.saturating_sub(start) }
    }
}

/// Why pages may have no memory behind them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// They were never used, nor were their descriptors.
    Fresh,
    /// The memory of some was handed back.
    Holes,
}

/// The allocator of runs: a view over its state. The caller holds its lock.
pub struct Runs<'a> {
    state: &'a RunState,
    pages: PageTable,
    reserve: fn(Run, Lack) -> bool,
}

impl<'a> Runs<'a> {
    /// A view; `pages` has a descriptor for every page up to the end given to `init`. `reserve`
    /// is asked for memory for each run that is about to be used and may have none.
    pub fn new(state: &'a RunState, pages: PageTable, reserve: fn(Run, Lack) -> bool) -> Self {
        Self { state, pages, reserve }
    }

    /// Takes `pages` (above 0) pages. `None` when the arena has no such run left, or no memory for
    /// it.
    pub fn alloc(&self, pages: u32, kind: Kind) -> Option<u32> {
        if pages > self.state.end.get() {
            return None;
        }
        let start = match self.find(pages) {
            Some(start) => self.fill_and_cut(start, pages)?,
            None => self.grow(pages)?,
        };
        let page = self.pages.get(start);
        page.set_kind(kind);
        page.run_pages.set(pages);
        add(&self.state.live_pages, pages);
        Some(start)
    }

    /// Gives back what `alloc` returned.
    pub fn free(&self, run: Run) {
        debug_assert_eq!(self.pages.get(run.start).run_pages.get(), run.pages);
        self.release(run);
    }

    /// Makes a run longer without moving it. Returns whether there was room behind it.
    pub fn extend(&self, run: Run, pages: u32) -> bool {
        let wanted = pages - run.pages;
        let next = run.start + run.pages;
        if next != self.state.top.get() && self.pages.get(next).kind() != Kind::Free {
            return false;
        }
        let free = if next == self.state.top.get() { 0 } else { self.run_pages(next) };
        if free >= wanted {
            if self.fill_and_cut(next, wanted).is_none() {
                return false;
            }
        } else if next + free == self.state.top.get() && self.can_grow(free, wanted) {
            if free > 0 {
                self.unlink(next);
            }
            self.state.top.set(next + wanted);
        } else {
            return false;
        }
        self.pages.get(run.start).run_pages.set(pages);
        add(&self.state.live_pages, wanted);
        true
    }

    /// Makes a run shorter, to `pages` (above 0).
    pub fn shrink(&self, run: Run, pages: u32) {
        self.pages.get(run.start).run_pages.set(pages);
        self.release(Run { start: run.start + pages, pages: run.pages - pages });
    }

    /// Takes a free run that may hold memory, the largest first, while more than `keep` dirty
    /// pages are free. The caller hands its memory back to the system, and then the run here by
    /// [`Runs::give_clean`].
    ///
    /// Whole chunks go first, so that no huge page is broken up while another way is left. A run is
    /// left alone if taking it would go below `keep` by more than it is above now.
    pub fn take_dirty(&self, keep: u32) -> Option<Run> {
        let excess = self.state.dirty_free_pages.get().saturating_sub(keep);
        if excess == 0 {
            return None;
        }
        self.take_chunks(excess).or_else(|| self.take_largest(excess))
    }

    /// Takes the whole chunks of a free run. What lies before and after them stays.
    fn take_chunks(&self, excess: u32) -> Option<Run> {
        let run = self.dirty_run(bin_of(CHUNK_PAGES), excess, |run, dirty| {
            let chunks = run.chunks().pages;
            chunks > 0 && dirty > run.pages - chunks
        })?;
        let dirty = self.pages.get(run.start).dirty_pages.get();
        self.unlink(run.start);
        let chunks = run.chunks();
        let end = chunks.start + chunks.pages;
        let before = Run { start: run.start, pages: chunks.start - run.start };
        let after = Run { start: end, pages: run.start + run.pages - end };
        for rest in [before, after].into_iter().filter(|rest| rest.pages > 0) {
            self.link(rest, dirty.min(rest.pages));
        }
        Some(chunks)
    }

    fn take_largest(&self, excess: u32) -> Option<Run> {
        let run = self.dirty_run(0, excess, |_, _| true)?;
        self.unlink(run.start);
        Some(run)
    }

    /// A run with dirty pages that `suits`, from the bins from `bin` on, the last first. Told are
    /// the run and how many of its pages are dirty.
    fn dirty_run(&self, bin: usize, excess: u32, suits: impl Fn(Run, u32) -> bool) -> Option<Run> {
        let bins = &self.state.dirty;
        let mut occupied = bins.occupied.get() & (u64::MAX << bin);
        while occupied != 0 {
            let bin = 63 - occupied.leading_zeros() as usize;
            let mut candidate = bins.lists[bin].first();
            for _ in 0..SEARCH_MAX {
                let Some(start) = candidate else { break };
                let page = self.pages.get(start);
                let (run, dirty) =
                    (Run { start, pages: page.run_pages.get() }, page.dirty_pages.get());
                if dirty <= 2 * excess && suits(run, dirty) {
                    return Some(run);
                }
                candidate = Some(page.next.get()).filter(|&next| next != 0);
            }
            occupied &= !(1 << bin);
        }
        None
    }

    /// Gives back a run from [`Runs::take_dirty`], now without memory.
    pub fn give_clean(&self, run: Run) {
        self.join(run, 0);
    }

    /// Whether enough dirty pages are free for handing them back to be worth it.
    pub fn has_excess(&self) -> bool {
        self.state.dirty_free_pages.get() > self.dirty_max()
    }

    /// How many dirty free pages to keep: those that were used at some time since the last call,
    /// and some slack. What lay idle all the while can be handed back, but a load that frees and
    /// allocates by turns keeps what it needs.
    pub fn dirty_needed(&self) -> u32 {
        self.dirty_used().max(self.dirty_max() / 2)
    }

    /// How many dirty free pages were used at some time since the last call of this, or of
    /// [`Runs::dirty_needed`].
    pub fn dirty_used(&self) -> u32 {
        let now = self.state.dirty_free_pages.get();
        let idle = self.state.dirty_free_low.replace(now);
        now - idle
    }

    /// Begins anew: `used`, in order, are the runs in use, and all others of the pages that have ever
    /// been used are free. They may hold memory.
    pub fn restore(&self, used: impl Iterator<Item = (Run, Kind)>) {
        let state = self.state;
        for bins in [&state.dirty, &state.clean] {
            bins.occupied.set(0);
            bins.lists.iter().for_each(PageList::clear);
        }
        for counter in [&state.live_pages, &state.dirty_free_pages, &state.dirty_free_low] {
            counter.set(0);
        }
        let Range { start: mut next, end: top } = self.used();
        for (run, kind) in used {
            self.restore_free(next..run.start);
            (run.start..run.start + run.pages)
                .for_each(|page| self.pages.get(page).set_kind(Kind::Inner));
            self.pages.get(run.start).set_kind(kind);
            self.pages.get(run.start).run_pages.set(run.pages);
            add(&state.live_pages, run.pages);
            next = run.start + run.pages;
        }
        self.restore_free(next..top);
    }

    fn restore_free(&self, pages: Range<u32>) {
        for page in pages.clone() {
            self.pages.get(page).set_kind(Kind::Inner);
            self.pages.get(page).clear_class();
            self.pages.get(page).set_emptying(false);
        }
        if !pages.is_empty() {
            let run = Run { start: pages.start, pages: pages.len() as u32 };
            self.link(run, run.pages);
        }
    }

    /// The pages that have ever been used.
    pub fn used(&self) -> Range<u32> {
        self.state.first.get()..self.state.top.get()
    }

    /// Where the arena ends.
    pub fn end(&self) -> u32 {
        self.state.end.get()
    }

    /// Pages in use.
    pub fn live_pages(&self) -> u32 {
        self.state.live_pages.get()
    }

    fn dirty_max(&self) -> u32 {
        SLACK_PAGES.max(self.state.live_pages.get() / 64)
    }

    fn run_pages(&self, start: u32) -> u32 {
        self.pages.get(start).run_pages.get()
    }

    /// Whether the `tail` free pages that end where those begin that were never used can become
    /// `pages`, and have memory then.
    fn can_grow(&self, tail: u32, pages: u32) -> bool {
        let (start, missing) = (self.state.top.get(), pages - tail);
        self.state.end.get() - start >= missing
            && (self.reserve)(Run { start, pages: missing }, Lack::Fresh)
            && (tail == 0 || self.fill(Run { start: start - tail, pages: tail }))
    }

    /// Sees to it that the first `run.pages` pages of a free run have memory.
    fn fill(&self, run: Run) -> bool {
        let has_holes = self.pages.get(run.start).dirty_pages.get() < self.run_pages(run.start);
        !has_holes || (self.reserve)(run, Lack::Holes)
    }

    fn fill_and_cut(&self, start: u32, pages: u32) -> Option<u32> {
        self.fill(Run { start, pages }).then(|| self.cut(start, pages))
    }

    fn find(&self, pages: u32) -> Option<u32> {
        self.find_in(&self.state.dirty, pages).or_else(|| self.find_in(&self.state.clean, pages))
    }

    fn find_in(&self, bins: &Bins, pages: u32) -> Option<u32> {
        let bin = bin_of(pages);
        let mut candidate = bins.lists[bin].first();
        for _ in 0..SEARCH_MAX {
            let Some(start) = candidate else { break };
            if self.run_pages(start) >= pages {
                return Some(start);
            }
            candidate = Some(self.pages.get(start).next.get()).filter(|&next| next != 0);
        }
        let larger = bins.occupied.get() & (u64::MAX << (bin + 1));
        bins.lists[(larger != 0).then_some(larger.trailing_zeros() as usize)?].first()
    }

    /// Takes pages that were never used, together with a free run that ends where those begin.
    fn grow(&self, pages: u32) -> Option<u32> {
        let top = self.state.top.get();
        let tail = self.free_before(top).map_or(0, |run| run.pages);
        if tail >= pages {
            // The search looked at too few runs of its bin to find this one.
            return self.fill_and_cut(top - tail, pages);
        }
        if !self.can_grow(tail, pages) {
            return None;
        }
        if tail > 0 {
            self.unlink(top - tail);
        }
        self.state.top.set(top - tail + pages);
        Some(top - tail)
    }

    /// The free run that ends right before `page`.
    fn free_before(&self, page: u32) -> Option<Run> {
        if page == self.state.first.get() || self.pages.get(page - 1).kind() != Kind::Free {
            return None;
        }
        let pages = self.run_pages(page - 1);
        Some(Run { start: page - pages, pages })
    }

    /// Takes the first `pages` pages of a free run; the rest stays free.
    fn cut(&self, start: u32, pages: u32) -> u32 {
        let whole = self.run_pages(start);
        let dirty = self.pages.get(start).dirty_pages.get();
        self.unlink(start);
        if whole > pages {
            let rest = Run { start: start + pages, pages: whole - pages };
            self.link(rest, dirty.min(rest.pages));
        }
        start
    }

    fn release(&self, run: Run) {
        self.pages.get(run.start).set_kind(Kind::Inner);
        self.state.live_pages.set(self.state.live_pages.get() - run.pages);
        self.join(run, run.pages);
    }

    /// Makes a run free, joined with the free runs on either side.
    fn join(&self, run: Run, dirty: u32) {
        let (mut whole, mut dirty) = (run, dirty);
        if let Some(before) = self.free_before(run.start) {
            dirty += self.pages.get(before.start).dirty_pages.get();
            self.unlink(before.start);
            whole = Run { start: before.start, pages: whole.pages + before.pages };
        }
        let next = run.start + run.pages;
        if next < self.state.top.get() && self.pages.get(next).kind() == Kind::Free {
            dirty += self.pages.get(next).dirty_pages.get();
            whole.pages += self.run_pages(next);
            self.unlink(next);
        }
        self.link(whole, dirty);
    }

    fn link(&self, run: Run, dirty: u32) {
        for page in [run.start, run.start + run.pages - 1] {
            self.pages.get(page).set_kind(Kind::Free);
            self.pages.get(page).run_pages.set(run.pages);
        }
        self.pages.get(run.start).dirty_pages.set(dirty);
        add(&self.state.dirty_free_pages, dirty);
        let (bins, bin) = (self.bins(dirty), bin_of(run.pages));
        bins.lists[bin].push_front(self.pages, run.start);
        bins.occupied.set(bins.occupied.get() | 1 << bin);
    }

    /// Takes a free run out of its bin; its ends no longer say that they are free.
    fn unlink(&self, start: u32) {
        let page = self.pages.get(start);
        let (pages, dirty) = (page.run_pages.get(), page.dirty_pages.get());
        let (bins, bin) = (self.bins(dirty), bin_of(pages));
        bins.lists[bin].remove(self.pages, start);
        if bins.lists[bin].first().is_none() {
            bins.occupied.set(bins.occupied.get() & !(1 << bin));
        }
        let dirty_free = self.state.dirty_free_pages.get() - dirty;
        self.state.dirty_free_pages.set(dirty_free);
        self.state.dirty_free_low.set(dirty_free.min(self.state.dirty_free_low.get()));
        page.set_kind(Kind::Inner);
        self.pages.get(start + pages - 1).set_kind(Kind::Inner);
    }

    fn bins(&self, dirty: u32) -> &Bins {
        if dirty > 0 { &self.state.dirty } else { &self.state.clean }
    }
}

fn add(cell: &Cell<u32>, by: u32) {
    cell.set(cell.get() + by);
}

/// The bin of runs of this length: one a length up to 16 pages, then two a doubling. Every run in
/// a later bin is longer than every run in an earlier one.
pub(super) fn bin_of(pages: u32) -> usize {
    if pages <= EXACT_BINS {
        return pages as usize - 1;
    }
    let exponent = 31 - pages.leading_zeros();
    let half = (pages >> (exponent - 1)) & 1;
    (EXACT_BINS + (exponent - 4) * 2 + half) as usize
}

#[cfg(test)]
mod tests;
