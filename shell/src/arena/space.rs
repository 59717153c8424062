//! Space on disk for an arena that is a file.
//!
//! A file is sparse: its pages take space when they are first written, and on a full disk that
//! write is a SIGBUS. So space is reserved before a page is used: for pages that were never used,
//! and for holes that the scavenger has punched. Then a full disk is a full arena.

use rustix::fd::AsFd;
use rustix::fs::{FallocateFlags, SealFlags};
use rustix::io::{Errno, Result, retry_on_intr};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use super::classes::PAGE_BYTES;
use super::layout::{self, DESCRIPTOR_BYTES};
use super::runs::{Lack, Run};

/// Pages of which space is reserved at once: their descriptors fill a page of the system.
const STEP_PAGES: u32 = 64;
/// What a server needs to start.
pub const START_BYTES: u64 = 16 << 20;

/// Space is reserved for all pages below this one that were never handed back. Changed under the
/// lock of the runs.
static RESERVED: AtomicU32 = AtomicU32::new(0);
/// Whether the log has told that the disk is full.
static TOLD: AtomicBool = AtomicBool::new(false);

/// Whether the arena is a file and not memory, which is sealed against any change of size.
pub fn is_file(fd: impl AsFd) -> bool {
    !rustix::fs::fcntl_get_seals(fd).is_ok_and(|seals| seals.contains(SealFlags::GROW))
}

/// Reserves what an empty arena of `pages` pages begins with.
pub fn reserve_start(fd: impl AsFd, pages: u64) -> Result<()> {
    allocate(&fd, 0, layout::descriptor_offset(0))?;
    let start = layout::first_page(pages);
    let end = start + (START_BYTES / PAGE_BYTES) as u32;
    reserve_pages(fd, Run { start, pages: end.min(pages as u32) - start })
}

/// Reserves space for a run of this process's arena that may have none. Returns whether it has.
/// The caller holds the lock of the runs.
pub fn reserve(run: Run, lack: Lack) -> bool {
    let Some(arena) = super::global().filter(|arena| arena.is_file) else { return true };
    let reserved = match lack {
        Lack::Holes => allocate(&arena.fd, offset(run.start), offset(run.pages)),
        Lack::Fresh => reserve_fresh(&arena.fd, run, (arena.capacity_bytes / PAGE_BYTES) as u32),
    };
    match reserved {
        Ok(()) => TOLD.store(false, Ordering::Relaxed),
        Err(error) if !TOLD.swap(true, Ordering::Relaxed) => {
            tracing::warn!(%error, "the disk of the arena file has no space: the arena is full");
        }
        Err(_) => {}
    }
    reserved.is_ok()
}

/// Whole steps at once if there is space for them. `end`: pages of the arena.
fn reserve_fresh(fd: impl AsFd, run: Run, end: u32) -> Result<()> {
    let needed = run.start + run.pages;
    if needed <= RESERVED.load(Ordering::Relaxed) {
        return Ok(());
    }
    let start = run.start / STEP_PAGES * STEP_PAGES;
    let ample = needed.next_multiple_of(STEP_PAGES).min(end);
    let reach = match reserve_pages(&fd, Run { start, pages: ample - start }) {
        Err(Errno::NOSPC) => {
            reserve_pages(&fd, Run { start, pages: needed - start }).map(|()| needed)
        }
        outcome => outcome.map(|()| ample),
    }?;
    RESERVED.store(reach, Ordering::Relaxed);
    Ok(())
}

/// Reserves space for pages and for their descriptors.
fn reserve_pages(fd: impl AsFd, run: Run) -> Result<()> {
    let descriptors = u64::from(run.pages) * DESCRIPTOR_BYTES;
    allocate(&fd, layout::descriptor_offset(run.start), descriptors)?;
    allocate(&fd, offset(run.start), offset(run.pages))
}

fn offset(pages: u32) -> u64 {
    u64::from(pages) * PAGE_BYTES
}

/// What is reserved already stays as it is.
fn allocate(fd: impl AsFd, offset: u64, bytes: u64) -> Result<()> {
    retry_on_intr(|| rustix::fs::fallocate(&fd, FallocateFlags::empty(), offset, bytes))
}
