//! Leaving an arena whole, and finding one that was left so.
//!
//! Whoever closes it has all lanes at rest, between two batches, and no mail on its way. The next to use
//! it need not walk over it: it goes on with roots, keys, clients and the allocator as they are.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use abi::arena::ArenaHeader;
use rustix::fd::AsFd;

use super::{Arena, ArenaError, layout, mapping, scavenger, threads};

const CLOSED: u64 = 1;

fn mark() -> &'static AtomicU64 {
    let header: *mut ArenaHeader = layout::header();
    // SAFETY: an arena is mapped, and the word is used through this alone.
    unsafe { AtomicU64::from_ptr(&raw mut (*header).closed) }
}

/// Marks the arena as whole. Lanes that have ended have let go of what they kept (see
/// [`super::flush`]). Nothing of this process changes it any more; nor may the caller.
pub fn close() {
    threads::flush_shared();
    scavenger::end();
    mark().store(CLOSED, Ordering::SeqCst);
}

/// Whether the arena was closed. That is known once: from here on it is in use.
pub fn reopen() -> bool {
    mark().swap(0, Ordering::SeqCst) == CLOSED
}

/// As [`close`], of an arena that lies in a file: what is in it is on the disk before the mark is.
///
/// # Errors
/// The system could not write it: it is not marked then.
pub fn close_file(arena: &Arena) -> Result<(), ArenaError> {
    let written = |error| ArenaError::Write { error };
    threads::flush_shared();
    scavenger::end();
    rustix::fs::fdatasync(arena.fd()).map_err(written)?;
    mark().store(CLOSED, Ordering::SeqCst);
    rustix::fs::fdatasync(arena.fd()).map_err(written)
}

/// As [`reopen`], of an arena in a file: that it is in use is on the disk before anything else is. Notes
/// the boot of the machine.
///
/// # Errors
/// The system could not write it.
pub fn reopen_file(arena: &Arena) -> Result<bool, ArenaError> {
    let is_whole = reopen();
    // SAFETY: an arena is mapped, and no other thread looks at its header yet.
    unsafe { (*layout::header()).boot = boot() };
    rustix::fs::fdatasync(arena.fd()).map_err(|error| ArenaError::Write { error })?;
    Ok(is_whole)
}

/// Checks that an arena in a file is what was written there: it was left whole, or the machine has run
/// since, so that its memory and the file are one.
///
/// # Errors
/// `OtherBoot`; it cannot be read.
pub fn check_boot(fd: impl AsFd, path: &Path) -> Result<(), ArenaError> {
    let (is_closed, used_in) = mapping::closed_and_boot(fd)?;
    let is_believed = is_closed || used_in == boot() && used_in != [0; 2];
    if is_believed { Ok(()) } else { Err(ArenaError::OtherBoot { path: path.into() }) }
}

/// The boot of the machine, as the kernel names it; zero if it does not.
pub fn boot() -> [u64; 2] {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    let word = |range| digits.get(range).and_then(|part| u64::from_str_radix(part, 16).ok());
    [word(0..16).unwrap_or(0), word(16..32).unwrap_or(0)]
}
