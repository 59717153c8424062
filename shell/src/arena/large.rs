//! Large blocks: runs of whole pages, and the lock around the runs.

use super::classes::{PAGE_BYTES, pages_of, rounded};
use super::futex::ThisThread;
use super::pages::{Kind, PageTable};
use super::runs::{Run, Runs};
use super::{huge, layout, poison, scavenger, space};
use std::sync::atomic::Ordering;

/// The descriptors of all pages of the mapped arena.
///
/// # Safety
/// An arena is mapped.
#[inline]
pub unsafe fn table() -> PageTable {
    // SAFETY: the caller's promise; `pages` is set before the arena is published.
    unsafe { layout::table(layout::state().pages.load(Ordering::Relaxed) as u32) }
}

/// Runs `work` on the runs, under their lock.
pub fn with_runs<R>(work: impl FnOnce(&Runs<'_>) -> R) -> R {
    // SAFETY: only called by those who were promised a mapped arena.
    let (state, pages) = unsafe { (layout::state(), table()) };
    state.runs_lock.lock(ThisThread);
    let result = work(&Runs::new(&state.runs, pages, space::reserve));
    // SAFETY: locked above, and the work under it is done.
    unsafe { state.runs_lock.unlock(ThisThread) };
    result
}

/// Takes a page for blocks of `block` bytes. `None` when the arena is full.
pub fn take_page(block: u64) -> Option<u32> {
    growing(block, |runs| runs.alloc(1, Kind::Small))
}

/// Gives a run back.
pub fn give_run(run: Run) {
    freeing(|runs| runs.free(run));
}

/// Allocates a large block; 0 when the arena is full.
pub fn alloc(size: u64) -> u64 {
    let Some(pages) = pages_of(size) else { return 0 };
    let Some(start) = growing(size, |runs| runs.alloc(pages, Kind::Large)) else { return 0 };
    mark(Run { start, pages }, size);
    layout::page_address(start)
}

/// Frees a large block.
///
/// # Safety
/// `address` came from [`alloc`] with this size.
pub unsafe fn free(address: u64, size: u64) {
    let run = checked_run(address, size);
    poison::dead(address, u64::from(run.pages) * PAGE_BYTES);
    give_run(run);
}

/// Makes a large block longer or shorter without moving it. Returns whether that could be done.
///
/// # Safety
/// As for [`free`]; both sizes are large.
pub unsafe fn resize(address: u64, old_size: u64, new_size: u64) -> bool {
    let run = checked_run(address, old_size);
    let Some(pages) = pages_of(new_size) else { return false };
    if pages > run.pages && !growing(new_size, |runs| runs.extend(run, pages)) {
        return false;
    }
    mark(Run { pages: pages.max(run.pages), ..run }, new_size);
    if pages < run.pages {
        freeing(|runs| runs.shrink(run, pages));
    }
    true
}

/// Marks what a block of `size` bytes takes of its run as somebody's, and the rest as nobody's.
#[inline(always)]
fn mark(run: Run, size: u64) {
    let (address, live) = (layout::page_address(run.start), rounded(size));
    poison::live(address, live);
    poison::dead(address + live, u64::from(run.pages) * PAGE_BYTES - live);
}

/// Runs what may use more of the arena than before, for blocks of `block` bytes, and calls the
/// scavenger when it does.
fn growing<R>(block: u64, work: impl FnOnce(&Runs<'_>) -> R) -> R {
    let (result, top) = with_runs(|runs| {
        let before = runs.used().end;
        (work(runs), before..runs.used().end)
    });
    if huge::notes_growth(top, block) {
        scavenger::signal();
    }
    result
}

/// Runs what makes pages free, and calls the scavenger when that makes many.
fn freeing(work: impl FnOnce(&Runs<'_>)) {
    let has_excess = with_runs(|runs| {
        work(runs);
        runs.has_excess()
    });
    if has_excess {
        scavenger::signal();
    }
}

fn checked_run(address: u64, size: u64) -> Run {
    let start = layout::page_of(address);
    // SAFETY: a block exists, so an arena is mapped.
    let table = unsafe { table() };
    let (page, pages) = (table.get(start), pages_of(size).unwrap_or(0));
    let matches = page.kind() == Kind::Large
        && page.run_pages.get() == pages
        && layout::page_address(start) == address;
    assert!(matches, "no block of {size} bytes lives at {address:#x}");
    Run { start, pages }
}
