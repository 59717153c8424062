//! The allocator as a process has left it that ended in the middle of its work: whether it may be
//! believed, and what is then put right.
//!
//! What is shared changes under locks, and what a lane does beyond its own lists it marks
//! ([`LaneHeap`]'s `busy`). Where neither is found all of it is whole but for two things of a lane's
//! heap: its counts may be behind by one block, and one block may be in no list and nobody's. The counts
//! are made anew of the lists.

use std::sync::atomic::Ordering::{Relaxed, SeqCst};

use super::super::classes::{CLASSES, blocks_per_page, cache_limit, class_bytes};
use super::super::compaction;
use super::super::lane::LaneHeap;
use super::super::large;
use super::super::layout::{self, HEAPS, SHARED_HEAP, page_address, page_of};
use super::super::pages::PageTable;
use super::super::poison;
use super::claims::Claims;

/// Whether nobody was inside the allocator, beyond the lists of its own lane. To be asked before any
/// lock is opened.
///
/// # Safety
/// Nobody uses the arena, which is mapped.
pub unsafe fn is_quiet() -> bool {
    // SAFETY: the caller's promise.
    let (state, centrals, heaps) = unsafe {
        let centrals = (0..CLASSES).map(|class| layout::central(class));
        (layout::state(), centrals, all_heaps())
    };
    let locks = [&state.runs_lock, &state.shared_lock];
    let mut all = locks.into_iter().chain(centrals.map(|central| &central.lock));
    state.handing_back.load(Relaxed) == 0
        && all.all(|lock| !lock.is_locked())
        && heaps.into_iter().all(|heap| heap.busy.load(Relaxed) == 0)
}

/// Notes that the arena is being made whole, or that it is. Tells whether that was under way before.
///
/// # Safety
/// As for [`is_quiet`].
pub unsafe fn note_recovering(is_under_way: bool) -> bool {
    // SAFETY: the caller's promise.
    let place = &unsafe { layout::state() }.recovering;
    place.swap(is_under_way.into(), SeqCst) != 0
}

/// Bytes at most that lanes had taken, or were giving back, since they last began something, and that
/// messages take which were on their way.
///
/// # Safety
/// As for [`is_quiet`].
pub unsafe fn bytes_in_hand() -> u64 {
    // SAFETY: the caller's promise.
    let heaps = unsafe { all_heaps() };
    let posted = heaps.iter().fold(0u64, |sum, heap| sum.wrapping_add(heap.posted.load(Relaxed)));
    let taken = heaps.iter().map(|heap| {
        let since = |counter: u64, begun: u64| counter.saturating_sub(begun);
        let [allocated, freed] = heap.begun_at.each_ref().map(|begun| begun.load(Relaxed));
        since(heap.allocated.load(Relaxed), allocated) + since(heap.freed.load(Relaxed), freed)
    });
    taken.sum::<u64>() + u64::try_from(posted as i64).unwrap_or(0)
}

/// Bytes at most that recoveries have left to nobody since the allocator was made.
///
/// # Safety
/// As for [`is_quiet`].
pub unsafe fn lost_bytes() -> u64 {
    // SAFETY: the caller's promise.
    unsafe { layout::state() }.lost.load(Relaxed)
}

/// Puts right what counts in the lanes' heaps, and says which blocks they keep: claims that believe the
/// allocator. None: something is otherwise than it can be.
///
/// # Safety
/// As for [`is_quiet`], which has said yes.
pub unsafe fn settle() -> Option<Claims> {
    // SAFETY: the caller's promise.
    let (state, table, heaps) = unsafe { (layout::state(), large::table(), all_heaps()) };
    let used = state.runs.first.get()..state.runs.top.get();
    let mut claims = Claims::trusting(table, used);
    let mut kept_bytes = 0;
    for heap in &heaps {
        for class in 0..CLASSES {
            kept_bytes += settle_class(heap, class, table, &mut claims)?;
        }
    }
    // SAFETY: as above.
    let out = (0..CLASSES).map(|class| unsafe {
        layout::central(class).out.load(Relaxed) * u64::from(class_bytes(class))
    });
    let small = out.sum::<u64>().checked_sub(kept_bytes)?;
    count_anew(&heaps, small)?;
    Some(claims)
}

/// Has nobody's memory be counted as lost, and pages be emptied no more. The allocator is in use.
///
/// # Safety
/// As for [`is_quiet`].
pub unsafe fn complete(lost: u64) {
    // SAFETY: the caller's promise.
    let (state, heaps) = unsafe { (layout::state(), all_heaps()) };
    state.lost.fetch_add(lost, Relaxed);
    heaps.iter().for_each(|heap| {
        heap.begin();
        heap.posted.store(0, Relaxed);
    });
    compaction::end();
    heaps.iter().for_each(|heap| heap.set_compacting(false));
}

/// The heaps of all lanes, and that of threads that are none.
///
/// # Safety
/// An arena is mapped.
unsafe fn all_heaps() -> Vec<&'static LaneHeap> {
    // SAFETY: the caller's promise.
    (0..HEAPS as u32).map(|number| unsafe { layout::heap(number) }).collect()
}

/// Counts what a heap keeps of a class. Returns how many bytes that is; none if it cannot be.
fn settle_class(
    heap: &LaneHeap,
    class: usize,
    table: PageTable,
    claims: &mut Claims,
) -> Option<u64> {
    let (kept, bytes) = (&heap.classes[class], u64::from(class_bytes(class)));
    if kept.bytes.get() == 0 {
        return (kept.free.get() == 0 && kept.fresh_count.get() == 0).then_some(0);
    }
    let (mut count, mut block) = (0, kept.free.get());
    while block != 0 {
        // A block that is free twice is told here, too, so a list that goes in circles ends.
        let is_of_class = claims.block(block) != 0 && table.get(page_of(block)).is_of_class(class);
        if count == cache_limit(class) || !is_of_class || !claims.note_free(block) {
            return None;
        }
        count += 1;
        // SAFETY: a free block of this heap.
        block = unsafe { poison::next(block) };
    }
    kept.room.set(cache_limit(class) - count);
    let fresh = u64::from(kept.fresh_count.get());
    if fresh > 0 {
        let (first, page) = (kept.fresh.get(), page_of(kept.fresh.get()));
        let end = page_address(page) + u64::from(blocks_per_page(class)) * bytes;
        let are_there = table.get(page).is_of_class(class) && first + fresh * bytes <= end;
        let are_free = (0..fresh).all(|index| claims.note_free(first + index * bytes));
        if !are_there || !are_free {
            return None;
        }
    }
    Some((u64::from(count) + fresh) * bytes)
}

/// Has the counters of all heaps say together what is in use: so many bytes of small blocks, and of
/// large ones what they say themselves.
fn count_anew(heaps: &[&LaneHeap], small: u64) -> Option<()> {
    let sum = |count: fn(&LaneHeap) -> u64| heaps.iter().map(|heap| count(heap)).sum::<u64>();
    let large = sum(|heap| heap.large_allocated.load(Relaxed))
        .checked_sub(sum(|heap| heap.large_freed.load(Relaxed)))?;
    let told =
        sum(|heap| heap.allocated.load(Relaxed)).wrapping_sub(sum(|heap| heap.freed.load(Relaxed)));
    let short = (small + large).wrapping_sub(told) as i64;
    let shared = heaps[SHARED_HEAP as usize];
    let counter = if short > 0 { &shared.allocated } else { &shared.freed };
    counter.fetch_add(short.unsigned_abs(), Relaxed);
    Some(())
}
