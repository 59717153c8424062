//! Tells AddressSanitizer which bytes of the arena are nobody's, so that whoever touches one is
//! stopped there and then. To it the arena is one mapping, in use from end to end.
//!
//! Only for the sanitised build (`--cfg sanitised`); in every other, nothing of this is left.
//!
//! Nobody's are blocks that are free or untouched, what is left over at the end of a page of small
//! blocks or of a large block's last page, and free runs. A page that was never taken is not
//! marked: marks for the whole address space would take an eighth of it in memory. All of a live
//! block may be touched, also what it has beyond the size it was asked for with, because its owner
//! may use that: see [`abi::host::Host::usable`]. The marks are this process's own; one that
//! attaches to an arena begins without any.
//!
//! Free blocks are linked through their first words, which only [`next`] and [`link`] may touch.

#[cfg(sanitised)]
unsafe extern "C" {
    fn __asan_poison_memory_region(address: *const std::ffi::c_void, bytes: usize);
    fn __asan_unpoison_memory_region(address: *const std::ffi::c_void, bytes: usize);
}

/// Says that these bytes are somebody's from now on. To be said by their new owner.
#[inline(always)]
pub fn live(_address: u64, _bytes: u64) {
    #[cfg(sanitised)]
    // SAFETY: it changes the sanitiser's own notes, for any range of addresses.
    unsafe {
        __asan_unpoison_memory_region(_address as *const _, _bytes as usize);
    }
}

/// Says that these bytes are nobody's from now on. To be said by their last owner, before anybody
/// else can become the next.
#[inline(always)]
pub fn dead(_address: u64, _bytes: u64) {
    #[cfg(sanitised)]
    // SAFETY: as for `live`.
    unsafe {
        __asan_poison_memory_region(_address as *const _, _bytes as usize);
    }
}

/// The block that a free block leads to.
///
/// # Safety
/// The block is free, linked, and in a list of the caller's.
#[inline(always)]
pub unsafe fn next(block: u64) -> u64 {
    live(block, 8);
    // SAFETY: the caller's promise; a free block holds the next one's address.
    let next = unsafe { *(block as *const u64) };
    dead(block, 8);
    next
}

/// Links a free block to another.
///
/// # Safety
/// The block is free and the caller's, and at least a word long, as all are.
#[inline(always)]
pub unsafe fn link(block: u64, next: u64) {
    live(block, 8);
    // SAFETY: the caller's promise.
    unsafe { *(block as *mut u64) = next };
    dead(block, 8);
}
