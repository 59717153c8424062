//! Which heap the calling thread uses, and the allocator's front door.

use abi::stats::LANES_MAX;
use std::cell::Cell;
use std::marker::PhantomData;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

use super::futex::ThisThread;
use super::lane::LaneHeap;
use super::{is_mapped, layout};

thread_local! {
    /// The heap of the lane this thread is; null for a thread that is none.
    static HEAP: Cell<*const LaneHeap> = const { Cell::new(ptr::null()) };
    /// The number of that lane, plus one; 0 for a thread that is none.
    static LANE: Cell<u32> = const { Cell::new(0) };
    /// Gives the lane up when the thread ends.
    static FOR_LIFE: Cell<Option<ForLife>> = const { Cell::new(None) };
}

static BOUND: [AtomicBool; LANES_MAX] = [const { AtomicBool::new(false) }; LANES_MAX];

/// A thread's hold on a lane. The lane's heap stays as it is when this is dropped, for whichever
/// thread is the lane next.
pub struct Binding {
    lane: u32,
    /// It is about the thread that made it.
    not_send: PhantomData<*const ()>,
}

impl Drop for Binding {
    fn drop(&mut self) {
        HEAP.set(ptr::null());
        LANE.set(0);
        BOUND[self.lane as usize].store(false, Ordering::Release);
    }
}

/// A hold on a lane that has no next thread.
struct ForLife {
    _binding: Binding,
}

impl Drop for ForLife {
    fn drop(&mut self) {
        flush();
    }
}

/// Makes the calling thread a lane (below `LANES_MAX`) until what is returned is dropped: it gets
/// the lane's heap. Threads that are no lane share one, behind a lock.
///
/// # Panics
/// If there is no arena, or another thread is that lane, or this thread is one already.
pub fn enter(lane: u32) -> Binding {
    assert!(is_mapped(), "lane {lane} starts before there is an arena");
    assert!(HEAP.get().is_null(), "the thread is a lane already and cannot become lane {lane}");
    let was_bound = BOUND[lane as usize].swap(true, Ordering::Acquire);
    assert!(!was_bound, "another thread is lane {lane}");
    // SAFETY: an arena is mapped.
    let (state, heap) = unsafe { (layout::state(), layout::heap(lane)) };
    if state.heaps_used.load(Ordering::Relaxed) <= lane {
        state.heaps_used.fetch_max(lane + 1, Ordering::AcqRel);
    }
    HEAP.set(heap);
    LANE.set(lane + 1);
    Binding { lane, not_send: PhantomData }
}

/// The lane that the calling thread is, if it is one.
#[inline]
pub fn lane() -> Option<u32> {
    LANE.get().checked_sub(1)
}

/// As [`enter`], until the thread ends.
pub fn bind_thread(lane: u32) {
    FOR_LIFE.set(Some(ForLife { _binding: enter(lane) }));
}

/// Lets go of part of the memory the calling lane keeps for its next requests. To be called a few
/// times a second; costs microseconds at most. Does nothing on a thread that is no lane: the heap
/// those share is looked after.
pub fn trim() {
    let heap = HEAP.get();
    if !heap.is_null() {
        // SAFETY: the heap is this thread's own.
        unsafe { (*heap).trim() };
    }
}

/// Lets go of all free memory the calling lane keeps, before it does nothing for a while. Does
/// nothing on a thread that is no lane.
pub fn flush() {
    let heap = HEAP.get();
    if !heap.is_null() {
        // SAFETY: the heap is this thread's own.
        unsafe { (*heap).flush() };
    }
}

/// Lets go of all free memory kept for threads that are no lane.
pub fn flush_shared() {
    // SAFETY: `with_shared_heap` gives the calling thread the right to the heap.
    with_shared_heap(|heap| unsafe { heap.flush() });
}

/// The calling lane begins something: what it takes from here on may be nobody's yet, if it is found
/// half done. Does nothing on a thread that is no lane.
#[inline]
pub fn begin() {
    let heap = HEAP.get();
    if !heap.is_null() {
        // SAFETY: the heap is this thread's own.
        unsafe { (*heap).begin() };
    }
}

/// So many bytes of a message are on their way, or, below 0, are no more.
pub fn note_posted(bytes: i64) {
    let heap = HEAP.get();
    if !heap.is_null() {
        // SAFETY: the heap is this thread's own.
        unsafe { (*heap).note_posted(bytes) };
    } else if is_mapped() {
        // SAFETY: an arena is mapped; the counter is an atomic that needs no lock.
        unsafe { layout::heap(layout::SHARED_HEAP) }.note_posted(bytes);
    }
}

/// See [`abi::host::Host::alloc`]. Size 0 is served as 1.
#[inline]
pub fn alloc(size: u64) -> u64 {
    let heap = HEAP.get();
    if heap.is_null() {
        return alloc_shared(size);
    }
    // SAFETY: the heap is this thread's own.
    unsafe { (*heap).alloc(size) }
}

/// See [`abi::host::Host::free`].
///
/// # Safety
/// `address` came from [`alloc`] or [`realloc`] with this size, and nothing refers to it any more.
#[inline]
pub unsafe fn free(address: u64, size: u64) {
    let heap = HEAP.get();
    if heap.is_null() {
        // SAFETY: the caller's promise.
        return unsafe { free_shared(address, size) };
    }
    // SAFETY: the heap is this thread's own; the rest is the caller's promise.
    unsafe { (*heap).free(address, size) }
}

/// Resizes a block where it is, or says that it cannot be.
///
/// # Safety
/// As for [`free`], with `old_size` for the size.
pub unsafe fn resize(address: u64, old_size: u64, new_size: u64) -> bool {
    // SAFETY: the caller's promise.
    with_heap(|heap| unsafe { heap.resize(address, old_size, new_size) })
}

/// See [`abi::host::Host::realloc`].
///
/// # Safety
/// As for [`free`], with `old_size` for the size; only what this returns is valid afterwards,
/// unless it is 0.
pub unsafe fn realloc(address: u64, old_size: u64, new_size: u64) -> u64 {
    // SAFETY: the caller's promise.
    if with_heap(|heap| unsafe { heap.resize(address, old_size, new_size) }) {
        return address;
    }
    let moved = alloc(new_size);
    if moved != 0 {
        let kept = old_size.min(new_size) as usize;
        // SAFETY: both blocks are live, distinct and hold at least `kept` bytes.
        unsafe {
            ptr::copy_nonoverlapping(address as *const u8, moved as *mut u8, kept);
            free(address, old_size);
        }
    }
    moved
}

#[cold]
fn alloc_shared(size: u64) -> u64 {
    // SAFETY: `with_shared_heap` gives the calling thread the right to the heap.
    with_shared_heap(|heap| unsafe { heap.alloc(size) })
}

#[cold]
unsafe fn free_shared(address: u64, size: u64) {
    // SAFETY: as above; the rest is the caller's promise.
    with_shared_heap(|heap| unsafe { heap.free(address, size) })
}

/// Runs `work` on the calling lane's heap, or on the shared one.
fn with_heap<R>(work: impl FnOnce(&LaneHeap) -> R) -> R {
    let heap = HEAP.get();
    if heap.is_null() {
        return with_shared_heap(work);
    }
    // SAFETY: the heap is this thread's own, and an arena is never unmapped.
    work(unsafe { &*heap })
}

/// Runs `work` on the heap of all threads that are no lane, under its lock.
fn with_shared_heap<R>(work: impl FnOnce(&LaneHeap) -> R) -> R {
    assert!(is_mapped(), "memory was asked for before there is an arena");
    // SAFETY: an arena is mapped.
    let (state, heap) = unsafe { (layout::state(), layout::heap(layout::SHARED_HEAP)) };
    state.shared_lock.lock(ThisThread);
    let result = work(heap);
    // SAFETY: locked above, and the work under it is done.
    unsafe { state.shared_lock.unlock(ThisThread) };
    result
}
