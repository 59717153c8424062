//! The allocator made anew of what is in use.

use std::sync::atomic::Ordering::Relaxed;

use abi::lock::RawLock;

use super::super::classes::{CLASSES, blocks_per_page, class_bytes};
use super::super::futex::ThisThread;
use super::super::layout::{self, HEAPS, page_address};
use super::super::pages::{Kind, Page, PageTable};
use super::super::runs::{Run, Runs};
use super::super::{large, poison, space};
use super::claims::Claims;

/// Makes the allocator anew: what was claimed is in use, and all else is free. Whatever it says of
/// itself but what its pages are is not looked at.
///
/// # Safety
/// Nobody else uses the arena, and what was not claimed is nobody's.
pub unsafe fn rebuild(claims: &Claims) {
    // SAFETY: the claims are of a mapped arena.
    let (state, table) = unsafe { (layout::state(), large::table()) };
    for lock in [&state.runs_lock, &state.shared_lock] {
        open(lock);
    }
    state.compacting.store(0, Relaxed);
    (0..HEAPS as u32).for_each(forget_heap);
    // SAFETY: as above.
    let first = unsafe { layout::heap(0) };
    first.allocated.store(claims.bytes(), Relaxed);
    first.large_allocated.store(claims.large_bytes(), Relaxed);
    state.handing_back.store(0, Relaxed);
    state.lost.store(0, Relaxed);
    let runs = Runs::new(&state.runs, table, space::reserve);
    let used = runs.used();
    runs.restore(used.filter_map(|page| run_at(page, table, claims)));
    (0..CLASSES).for_each(|class| restore_class(class, table, &runs, claims));
}

/// Opens a lock whose holder is no more.
fn open(lock: &RawLock) {
    // SAFETY: nobody else uses the arena, so whoever held it is no more.
    unsafe { lock.unlock(ThisThread) };
}

fn forget_heap(number: u32) {
    // SAFETY: as in `rebuild`.
    let heap = unsafe { layout::heap(number) };
    let counters = [&heap.allocated, &heap.freed, &heap.large_allocated, &heap.large_freed];
    let marks = heap.begun_at.iter().chain([&heap.posted]);
    counters.into_iter().chain(marks).for_each(|counter| counter.store(0, Relaxed));
    heap.compacting.store(0, Relaxed);
    heap.busy.store(0, Relaxed);
    for class in &heap.classes {
        class.free.set(0);
        class.fresh.set(0);
        for count in [&class.fresh_count, &class.room, &class.bytes] {
            count.set(0);
        }
    }
}

/// The run in use that begins at a page, if one does.
fn run_at(page: u32, table: PageTable, claims: &Claims) -> Option<(Run, Kind)> {
    let kind = table.get(page).kind();
    let pages = match kind {
        Kind::Small => u32::from(claims.count(page) > 0),
        Kind::Large => claims.large_pages(page)?,
        _ => return None,
    };
    (pages > 0).then_some((Run { start: page, pages }, kind))
}

fn restore_class(class: usize, table: PageTable, runs: &Runs<'_>, claims: &Claims) {
    // SAFETY: as in `rebuild`.
    let central = unsafe { layout::central(class) };
    open(&central.lock);
    central.with_room.clear();
    central.emptying.clear();
    let (mut pages, mut out, mut claimed) = (0, 0, 0);
    for number in runs.used().filter(|number| table.get(*number).class() == Some(class)) {
        let page = table.get(number);
        restore_page(page, number, class, claims);
        pages += 1;
        out += u64::from(page.out.get());
        claimed += u64::from(page.fresh.get());
        if page.free_count.get() > 0 || page.fresh.get() < blocks_per_page(class) {
            central.with_room.push_back(table, number);
        }
    }
    central.pages.set(pages);
    central.out.store(out, Relaxed);
    central.claimed.store(claimed, Relaxed);
}

/// Lists the blocks of a page that are free.
fn restore_page(page: &Page, number: u32, class: usize, claims: &Claims) {
    page.set_emptying(false);
    page.fresh.set(page.fresh.get().min(blocks_per_page(class)));
    page.free.set(0);
    page.free_count.set(0);
    let free = (0..page.fresh.get()).rev().filter(|index| !claims.has(number, *index));
    for index in free {
        let block = page_address(number) + u64::from(index) * u64::from(class_bytes(class));
        // SAFETY: a block of the page that nobody has, as the caller of `rebuild` promises.
        unsafe { poison::link(block, page.free.replace(block)) };
        page.free_count.set(page.free_count.get() + 1);
    }
    page.out.set(page.fresh.get() - page.free_count.get());
}
