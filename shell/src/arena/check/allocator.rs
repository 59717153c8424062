//! What the allocator says of the arena, and whether that is of one piece.

use std::collections::HashMap;
use std::sync::atomic::Ordering::Relaxed;

use super::super::classes::{CLASSES, blocks_per_page, cache_limit, class_bytes};
use super::super::large;
use super::super::layout::{self, SHARED_HEAP, page_of};
use super::super::pages::{Kind, PageTable};
use super::super::poison;
use super::super::runs::{Bins, RunState, bin_of};
use super::claims::Claims;

/// Who is told what is wrong.
type Tell<'t> = &'t mut dyn FnMut(String);

/// Walks over all of the allocator's state, and notes what is free.
pub fn check(claims: &mut Claims, tell: Tell<'_>) {
    // SAFETY: the caller of `begin` has an arena mapped.
    let (state, table) = unsafe { (layout::state(), large::table()) };
    check_runs(&state.runs, table, tell);
    let pages = state.runs.first.get()..state.runs.top.get();
    for class in 0..CLASSES {
        check_class(class, pages.clone(), table, claims, tell);
    }
    let heaps = state.heaps_used.load(Relaxed).min(SHARED_HEAP);
    for heap in (0..heaps).chain([SHARED_HEAP]) {
        check_heap(heap, claims, tell);
    }
}

/// Blocks that are neither free nor claimed, and the bytes they take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unclaimed {
    /// Blocks.
    pub blocks: u64,
    /// Bytes.
    pub bytes: u64,
}

/// What a walk has not come to: nothing refers to it. Tells what the allocator counts otherwise.
pub fn unclaimed(claims: &Claims, tell: Tell<'_>) -> Unclaimed {
    // SAFETY: as in `check`.
    let (state, table) = unsafe { (layout::state(), large::table()) };
    let mut found = Unclaimed::default();
    for number in state.runs.first.get()..state.runs.top.get() {
        let page = table.get(number);
        let (in_use, bytes) = match (page.kind(), page.class()) {
            (Kind::Small, Some(class)) => {
                let free = claims.free_count(number).min(page.fresh.get());
                (page.fresh.get() - free, u64::from(class_bytes(class)))
            }
            // How much of its last page is in use only its owner knows.
            (Kind::Large, _) => (1, u64::from(page.run_pages.get()) << 16),
            _ => continue,
        };
        let blocks = u64::from(in_use.saturating_sub(claims.count(number)));
        found.blocks += blocks;
        found.bytes += blocks * bytes;
    }
    let counted = super::super::used_bytes();
    if found == Unclaimed::default() && counted != claims.bytes() {
        let bytes = claims.bytes();
        tell(format!("allocator: it counts {counted} bytes in use, and {bytes} are"));
    }
    found
}

fn check_runs(runs: &RunState, table: PageTable, tell: Tell<'_>) {
    let (mut free, mut live, mut number) = (HashMap::new(), 0, runs.first.get());
    let mut was_free = false;
    while number < runs.top.get() {
        let page = table.get(number);
        let pages = match page.kind() {
            Kind::Small => 1,
            Kind::Large | Kind::Free => page.run_pages.get(),
            Kind::Inner => 0,
        };
        if pages == 0 || pages > runs.top.get() - number {
            tell(format!("allocator: page {number} begins a run of no possible length"));
            number += 1;
            continue;
        }
        let is_free = page.kind() == Kind::Free;
        if is_free {
            let last = table.get(number + pages - 1);
            if was_free || last.kind() != Kind::Free || last.run_pages.get() != pages {
                tell(format!("allocator: the free run at page {number} is not of one piece"));
            }
            free.insert(number, pages);
        } else {
            live += pages;
        }
        (number, was_free) = (number + pages, is_free);
    }
    let mut dirty = check_bins(&runs.dirty, true, table, &mut free, tell);
    dirty += check_bins(&runs.clean, false, table, &mut free, tell);
    if let Some(start) = free.keys().next() {
        tell(format!("allocator: {} free runs are not listed, one at page {start}", free.len()));
    }
    let told = (runs.live_pages.get(), runs.dirty_free_pages.get());
    if told != (live, dirty) {
        tell(format!(
            "allocator: {live} pages are in use and {dirty} free and dirty, not {told:?}"
        ));
    }
}

/// Takes the runs in bins out of those that are free. Returns how many of their pages are dirty.
fn check_bins(
    bins: &Bins,
    are_dirty: bool,
    table: PageTable,
    free: &mut HashMap<u32, u32>,
    tell: Tell<'_>,
) -> u32 {
    let mut dirty = 0;
    for (bin, list) in bins.lists.iter().enumerate() {
        if (bins.occupied.get() >> bin & 1 != 0) != list.first().is_some() {
            tell(format!("allocator: bin {bin} of free runs is marked wrongly"));
        }
        for start in list.pages(table) {
            let pages = free.remove(&start);
            let dirty_pages = table.get(start).dirty_pages.get();
            if pages.map(bin_of) != Some(bin) || (dirty_pages > 0) != are_dirty {
                tell(format!("allocator: page {start} is in bin {bin} of free runs and not to be"));
                break;
            }
            dirty += dirty_pages;
        }
    }
    dirty
}

fn check_class(
    class: usize,
    pages: std::ops::Range<u32>,
    table: PageTable,
    claims: &mut Claims,
    tell: Tell<'_>,
) {
    // SAFETY: as in `check`.
    let central = unsafe { layout::central(class) };
    let mut wrong = |text: String| tell(format!("allocator, class {class}: {text}"));
    let (mut count, mut out, mut claimed, mut with_room) = (0, 0, 0, 0);
    for number in pages.filter(|number| table.get(*number).class() == Some(class)) {
        let page = table.get(number);
        let (fresh, free) = (page.fresh.get(), page.free_count.get());
        if fresh > blocks_per_page(class) || page.out.get() + free != fresh {
            wrong(format!(
                "page {number} has {} blocks out, {free} free of {fresh}",
                page.out.get()
            ));
        }
        (count, out, claimed) = (count + 1, out + page.out.get(), claimed + fresh);
        with_room += u32::from(free > 0 || fresh < blocks_per_page(class));
        if !note_list(claims, page.free.get(), free.min(fresh), Some(number)).0 {
            wrong(format!("the free blocks of page {number} are not of one list"));
        }
    }
    let is_listed = |number: &u32| table.get(*number).class() == Some(class);
    let listed = [&central.with_room, &central.emptying]
        .map(|list| list.pages(table).take(count as usize + 1).filter(is_listed).count() as u32);
    if listed.iter().sum::<u32>() != with_room {
        wrong(format!("{with_room} pages have room, and {listed:?} are listed"));
    }
    let told = (central.pages.get(), central.out.load(Relaxed), central.claimed.load(Relaxed));
    if told != (count, out.into(), claimed.into()) {
        wrong(format!("{count} pages, {out} blocks out, {claimed} ever claimed, not {told:?}"));
    }
}

/// What a lane keeps.
fn check_heap(number: u32, claims: &mut Claims, tell: Tell<'_>) {
    // SAFETY: as in `check`.
    let heap = unsafe { layout::heap(number) };
    for class in 0..CLASSES {
        let kept = &heap.classes[class];
        let bytes = u64::from(kept.bytes.get());
        let cached = match bytes {
            0 => 0,
            _ => cache_limit(class).saturating_sub(kept.room.get()),
        };
        let (is_whole, end) = note_list(claims, kept.free.get(), cached, None);
        let fresh = (0..u64::from(kept.fresh_count.get())).map(|i| kept.fresh.get() + i * bytes);
        let are_fresh = fresh.filter(|block| !claims.note_free(*block)).count() == 0;
        if !is_whole || end != 0 || !are_fresh {
            tell(format!(
                "allocator: what heap {number} keeps of class {class} is not of one piece"
            ));
        }
    }
}

/// Notes the blocks of a list as free, which are to be of a page if one is named. Tells whether all
/// are blocks that were not known to be free, and what is behind the last.
fn note_list(claims: &mut Claims, first: u64, count: u32, page: Option<u32>) -> (bool, u64) {
    let mut block = first;
    for _ in 0..count {
        let is_there = claims.block(block) != 0 && page.is_none_or(|page| page == page_of(block));
        if !is_there || !claims.note_free(block) {
            return (false, block);
        }
        // SAFETY: a block of the arena, which is mapped; it is free, or else so much for that.
        block = unsafe { poison::next(block) };
    }
    (true, block)
}
