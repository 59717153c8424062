//! The functions of a host table that concern memory, locks and time: those of the server, and of
//! the stand-in that a trial has.
//!
//! Signatures are those of [`abi::host::Host`], and so are the contracts: logic promises there
//! that an address it hands back came from here with the size it says.

use abi::arena::ArenaHeader;
use abi::ptr::Ptr;
use rustix::time::{ClockId, clock_gettime};
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use super::{classes, compaction, futex, layout};
use crate::{arena, random};

/// See [`abi::host::Host::arena`].
pub extern "C" fn arena() -> Ptr<ArenaHeader> {
    Ptr::from_raw(layout::header())
}

/// See [`abi::host::Host::alloc`].
pub extern "C" fn alloc(size: u64) -> u64 {
    arena::alloc(size)
}

/// See [`abi::host::Host::free`].
pub extern "C" fn free(address: u64, size: u64) {
    // SAFETY: the contract of the host table.
    unsafe { arena::free(address, size) }
}

/// See [`abi::host::Host::realloc`].
pub extern "C" fn realloc(address: u64, old_size: u64, new_size: u64) -> u64 {
    // SAFETY: the contract of the host table.
    unsafe { arena::realloc(address, old_size, new_size) }
}

/// See [`abi::host::Host::usable`].
pub extern "C" fn usable(size: u64) -> u64 {
    classes::rounded(size)
}

/// See [`abi::host::Host::used_bytes`].
pub extern "C" fn used_bytes() -> u64 {
    arena::used_bytes()
}

/// See [`abi::host::Host::scattered_bytes`].
pub extern "C" fn scattered_bytes() -> u64 {
    compaction::scattered_bytes()
}

/// See [`abi::host::Host::begin_compaction`].
pub extern "C" fn begin_compaction() -> u64 {
    compaction::begin()
}

/// See [`abi::host::Host::end_compaction`].
pub extern "C" fn end_compaction() {
    compaction::end();
}

/// See [`abi::host::Host::is_to_move`].
pub extern "C" fn is_to_move(address: u64) -> u32 {
    compaction::is_emptying(address).into()
}

/// See [`abi::host::Host::unix_us`].
pub extern "C" fn unix_us() -> u64 {
    let now = clock_gettime(ClockId::Realtime);
    now.tv_sec as u64 * 1_000_000 + now.tv_nsec as u64 / 1_000
}

/// See [`abi::host::Host::monotonic_ns`].
pub extern "C" fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// See [`abi::host::Host::random`].
#[allow(clippy::not_unsafe_ptr_arg_deref, reason = "the host table's functions are safe to call")]
pub extern "C" fn random(bytes: *mut u8, len: u64) {
    // SAFETY: the contract of the host table: `len` writable bytes.
    random::fill(unsafe { std::slice::from_raw_parts_mut(bytes, len as usize) });
}

/// See [`abi::host::Host::lock_wait`].
pub extern "C" fn lock_wait(word: &AtomicU32, expected: u32) {
    futex::wait(word, expected);
}

/// See [`abi::host::Host::lock_wake`].
pub extern "C" fn lock_wake(word: &AtomicU32) {
    futex::wake(word);
}

/// See [`abi::host::Host::sleep_us`].
pub extern "C" fn sleep_us(duration: u64) {
    std::thread::sleep(Duration::from_micros(duration));
}
