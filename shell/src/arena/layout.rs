//! Where the allocator's state lies in the arena: addresses known at compile time, because the
//! arena is always mapped at the same one.
//!
//! ```text
//! 0          ArenaHeader, its last 3 KiB an AllocatorState
//! 4 KiB      LaneHeap x (LANES_MAX + 1), the last for threads that are no lane
//! 240 KiB    Central x CLASSES
//! 256 KiB    Page x pages of the arena
//! then       the pages themselves
//! ```

use abi::arena::{ALLOCATOR_STATE_BYTES, ARENA_BASE, ArenaHeader};
use abi::lock::RawLock;
use abi::stats::LANES_MAX;
use std::mem::offset_of;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use super::central::Central;
use super::classes::{CLASSES, PAGE_BYTES, PAGE_SHIFT};
use super::lane::LaneHeap;
use super::pages::{Page, PageTable};
use super::runs::RunState;

/// Heaps in the arena: one a lane and one for all threads that are no lane.
pub const HEAPS: usize = LANES_MAX + 1;
/// The heap of threads that are no lane.
pub const SHARED_HEAP: u32 = LANES_MAX as u32;
/// Bytes of the head: what lies before the heaps.
pub const HEAD_BYTES: usize = HEAPS_OFFSET as usize;
/// Where it is told how a server ended, see `shell/src/crash/record.rs`.
pub const CRASH_OFFSET: u64 = STATE_OFFSET + 1088;
/// Smallest arena: the descriptors and a little room.
pub const CAPACITY_MIN: u64 = 16 << 20;

const STATE_OFFSET: u64 = offset_of!(ArenaHeader, allocator) as u64;
const HEAPS_OFFSET: u64 = 4 << 10;
const CENTRAL_OFFSET: u64 = 240 << 10;
const TABLE_OFFSET: u64 = 256 << 10;

const _: () = assert!(size_of::<AllocatorState>() <= ALLOCATOR_STATE_BYTES);
const _: () = assert!(size_of::<AllocatorState>() <= (CRASH_OFFSET - STATE_OFFSET) as usize);
const _: () = assert!(STATE_OFFSET.is_multiple_of(align_of::<AllocatorState>() as u64));
const _: () = assert!(HEAPS_OFFSET as usize >= size_of::<ArenaHeader>());
const _: () = assert!(HEAPS_OFFSET as usize + HEAPS * size_of::<LaneHeap>() <= 240 << 10);
const _: () = assert!(CENTRAL_OFFSET as usize + CLASSES * size_of::<Central>() <= 256 << 10);

/// What the allocator keeps in `ArenaHeader::allocator`.
#[repr(C)]
pub struct AllocatorState {
    /// [`STATE_FINGERPRINT`] of the shell that made the arena.
    pub fingerprint: u64,
    /// Pages the arena spans, those of its own state included.
    pub pages: AtomicU64,
    /// Guards `runs`. Taken after the lock of a class.
    pub runs_lock: RawLock,
    /// Guards the heap of threads that are no lane. Taken before the lock of a class.
    pub shared_lock: RawLock,
    /// Heaps that may ever have been used, without the shared one.
    pub heaps_used: AtomicU32,
    /// 1 while pages are being emptied.
    pub compacting: AtomicU32,
    /// Runs of pages.
    pub runs: RunState,
    /// 1 while a run is on its way from those that are free to the system: it is listed nowhere.
    pub handing_back: AtomicU32,
    /// 1 while a server makes whole what another has left: found so, all of it is to be looked at.
    pub recovering: AtomicU32,
    /// Bytes at most that recoveries which trusted the allocator have left to nobody, since it was made.
    pub lost: AtomicU64,
}

/// Fingerprint of the allocator's own layouts, which are the shell's and not part of the ABI.
pub const STATE_FINGERPRINT: u64 = {
    let parts = [
        3,
        size_of::<AllocatorState>() as u64,
        size_of::<LaneHeap>() as u64,
        size_of::<Central>() as u64,
        size_of::<Page>() as u64,
        HEAPS as u64,
        CLASSES as u64,
        PAGE_BYTES,
    ];
    let mut hash = 0u64;
    let mut i = 0;
    while i < parts.len() {
        hash = (hash ^ parts[i]).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
        i += 1;
    }
    hash
};

/// Offset of `AllocatorState::fingerprint` in an arena, to check it before mapping anything.
pub const FINGERPRINT_OFFSET: u64 = STATE_OFFSET + offset_of!(AllocatorState, fingerprint) as u64;

/// The first page that is not taken by the allocator's own state, in an arena of `pages` pages.
pub fn first_page(pages: u64) -> u32 {
    (TABLE_OFFSET + pages * size_of::<Page>() as u64).div_ceil(PAGE_BYTES) as u32
}

/// Bytes of a page's descriptor.
pub const DESCRIPTOR_BYTES: u64 = size_of::<Page>() as u64;

/// Where the descriptor of a page lies, from the start of the arena.
pub fn descriptor_offset(page: u32) -> u64 {
    TABLE_OFFSET + u64::from(page) * DESCRIPTOR_BYTES
}

/// The header.
pub fn header() -> *mut ArenaHeader {
    ARENA_BASE as *mut ArenaHeader
}

/// The allocator's state in the header. An arena must be mapped.
///
/// # Safety
/// An arena is mapped and stays so.
#[inline(always)]
pub unsafe fn state() -> &'static AllocatorState {
    // SAFETY: the bytes belong to this struct, which is valid when zeroed, and are shared with
    // other threads only through atomics and under its locks.
    unsafe { &*((ARENA_BASE + STATE_OFFSET) as *const AllocatorState) }
}

/// Sets the allocator's state in a new arena of `pages` pages.
///
/// # Safety
/// An arena is mapped, all zero, and known to the calling thread alone.
pub unsafe fn init_state(pages: u64) {
    // SAFETY: the caller's promise.
    unsafe {
        (*((ARENA_BASE + STATE_OFFSET) as *mut AllocatorState)).fingerprint = STATE_FINGERPRINT;
        state().pages.store(pages, Ordering::Release);
        state().runs.init(first_page(pages), pages as u32);
    }
}

/// The heap with this number, below [`HEAPS`].
///
/// # Safety
/// An arena is mapped and stays so.
pub unsafe fn heap(number: u32) -> &'static LaneHeap {
    debug_assert!((number as usize) < HEAPS);
    let address = ARENA_BASE + HEAPS_OFFSET + u64::from(number) * size_of::<LaneHeap>() as u64;
    // SAFETY: as for `state`; what is not atomic in a heap is used by its own lane only.
    unsafe { &*(address as *const LaneHeap) }
}

/// The pages with room of a class, which is below [`CLASSES`].
///
/// # Safety
/// An arena is mapped and stays so.
pub unsafe fn central(class: usize) -> &'static Central {
    debug_assert!(class < CLASSES);
    let address = ARENA_BASE + CENTRAL_OFFSET + (class * size_of::<Central>()) as u64;
    // SAFETY: as for `state`.
    unsafe { &*(address as *const Central) }
}

/// The descriptors of all pages.
///
/// # Safety
/// An arena of `count` pages is mapped and stays so.
#[inline]
pub unsafe fn table(count: u32) -> PageTable {
    // SAFETY: the table spans `count` descriptors, valid when zeroed.
    unsafe { PageTable::new((ARENA_BASE + TABLE_OFFSET) as *const Page, count) }
}

/// The page an address lies in.
#[inline(always)]
pub const fn page_of(address: u64) -> u32 {
    ((address - ARENA_BASE) >> PAGE_SHIFT) as u32
}

/// Where a page begins.
#[inline(always)]
pub const fn page_address(page: u32) -> u64 {
    ARENA_BASE + ((page as u64) << PAGE_SHIFT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_allocators_state_lies_as_written_in_the_document() {
        assert_eq!(offset_of!(AllocatorState, pages), 8);
        assert_eq!(offset_of!(AllocatorState, runs_lock), 16);
        assert_eq!(offset_of!(AllocatorState, shared_lock), 20);
        assert_eq!(offset_of!(AllocatorState, heaps_used), 24);
        assert_eq!(offset_of!(AllocatorState, compacting), 28);
        assert_eq!(offset_of!(AllocatorState, runs), 32);
        assert_eq!((size_of::<RunState>(), STATE_OFFSET), (1000, 1024));
        assert_eq!(offset_of!(AllocatorState, handing_back), 1032);
        assert_eq!(offset_of!(AllocatorState, lost), 1040);
    }

    #[test]
    fn pages_begin_behind_their_descriptors() {
        let pages = 1 << 24;
        let first = u64::from(first_page(pages)) * PAGE_BYTES;
        assert_eq!(first, TABLE_OFFSET + pages * 64);
        assert_eq!(page_of(page_address(77) + PAGE_BYTES - 1), 77);
    }
}
