//! Huge pages: 2 MiB of the arena in one page, so that the processor finds more of a large set of
//! keys without walking page tables.
//!
//! A *chunk* is 2 MiB on a boundary of 2 MiB. The system makes a huge page of a chunk when it is
//! told to (`MADV_COLLAPSE`, Linux 6.1 and later), whatever its settings for shared memory are.
//! Nothing here is stored in the arena: another process finds the pages as they are.
//!
//! - Chunks that are about to be used are made huge *ahead*, while they are empty: that costs a
//!   quarter of the page faults it saves, and nobody waits. Once the arena no longer grows, they are
//!   given back.
//! - Chunks in use follow one by one, when nearly all of their memory is there. Who touches one
//!   meanwhile waits for half a millisecond, so they follow slowly.
//!
//! In a virtual machine the memory of a huge page may be one that its host has yet to find, which
//! takes up to ten milliseconds. Chunks are made ahead more seldom then if they are for large blocks;
//! for one in use such memory is [found](find_memory) first.

use std::ffi::c_void;
use std::io;
use std::ops::Range;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::fs::{FallocateFlags, SeekFrom};
use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, ProtFlags};

use super::classes::{CHUNK_BYTES, CHUNK_PAGES};
use super::runs::{Run, Runs};
use super::{Arena, large, layout, scavenger};

/// Of so many chunks in use one is made ahead of use: what an unused one may cost.
const AHEAD_SHARE: u32 = 32;
/// Most chunks that are made ahead.
const AHEAD_MAX: u32 = 4;
/// Processor time that one made ahead may take: page faults would take about half of it.
const AHEAD_TIME_MAX: Duration = Duration::from_millis(1);
/// After one that took longer, none is made ahead for so many times as long, unless for blocks below
/// [`SCATTERED_MAX`].
const AHEAD_PAUSE: u32 = 100;
/// Blocks of so many bytes and more are read through once found: a huge page saves them little.
const SCATTERED_MAX: u64 = 4096;
/// Bytes that may be missing in a chunk that is to become a huge page: what that may cost.
const MISSING_MAX: u64 = CHUNK_BYTES / 16;
/// Between two chunks in use. Of all requests fewer than one in a thousand may come upon one.
const PAUSE: Duration = Duration::from_millis(600);
/// The same once nothing was left to do.
const PAUSE_MAX: Duration = Duration::from_secs(64);
/// Chunks looked at between two pauses.
const LOOKS: u32 = 64;

static WANTED: AtomicBool = AtomicBool::new(false);
/// Whether the arena has grown for blocks that will be found one here, one there.
static GREW_SCATTERED: AtomicBool = AtomicBool::new(false);
static COUNT: AtomicU32 = AtomicU32::new(0);

/// Says whether huge pages are to be made from now on. Those there are stay.
pub fn want(wanted: bool) {
    WANTED.store(wanted, Ordering::Relaxed);
    scavenger::signal();
}

/// Bytes of the arena in huge pages.
pub fn bytes() -> u64 {
    u64::from(COUNT.load(Ordering::Relaxed)) * CHUNK_BYTES
}

/// Notes growth from one first unused page to another, for blocks of `block` bytes. Returns whether
/// [`Huge::prepare`] is to be told.
#[inline]
pub fn notes_growth(top: Range<u32>, block: u64) -> bool {
    let grows = top.start / CHUNK_PAGES != top.end / CHUNK_PAGES && WANTED.load(Ordering::Relaxed);
    if grows && block < SCATTERED_MAX {
        GREW_SCATTERED.store(true, Ordering::Relaxed);
    }
    grows
}

/// Chunks to be made ahead when so many pages are in use, and so many free ones will be used
/// before any others.
fn ahead(live_pages: u32, free_pages: u32) -> u32 {
    let share = live_pages / CHUNK_PAGES / AHEAD_SHARE;
    share.min(AHEAD_MAX).saturating_sub(free_pages / CHUNK_PAGES)
}

/// Where the chunks lie that are to be made ahead.
fn ahead_of(runs: &Runs<'_>) -> Range<u32> {
    let used = runs.used();
    let count = if WANTED.load(Ordering::Relaxed) {
        ahead(runs.live_pages(), used.len() as u32 - runs.live_pages())
    } else {
        0
    };
    let first = used.end.div_ceil(CHUNK_PAGES);
    first..(first + count).min(runs.end() / CHUNK_PAGES).max(first)
}

/// Which chunks are huge pages, and what is next. For whoever looks after the memory.
pub struct Huge {
    /// A bit a chunk.
    known: Vec<u64>,
    /// The end of those that were made ahead.
    ahead_end: u32,
    /// None is made ahead before.
    ahead_due: Instant,
    /// The first page never used, as [`Huge::settle`] last saw it.
    top: u32,
    /// The next one in use to look at.
    next: u32,
    /// Looks since the last one that made a huge page.
    idle_looks: u32,
    /// It has been seen that the system can.
    works: bool,
    pause: Duration,
    due: Instant,
}

impl Default for Huge {
    /// None is known to be huge.
    fn default() -> Self {
        let now = Instant::now();
        Self {
            known: Vec::new(),
            ahead_end: 0,
            ahead_due: now,
            top: 0,
            next: 0,
            idle_looks: 0,
            works: false,
            pause: PAUSE,
            due: now,
        }
    }
}

impl Huge {
    /// How long until [`Huge::look`] is due; none if it is not wanted.
    pub fn until_due(&self) -> Option<Duration> {
        let wanted = WANTED.load(Ordering::Relaxed);
        wanted.then(|| self.due.saturating_duration_since(Instant::now()))
    }

    /// Makes chunks huge that will be used next. To be called when the arena has grown.
    pub fn prepare(&mut self, arena: &Arena) {
        self.pause = PAUSE;
        self.due = self.due.min(Instant::now() + PAUSE);
        let wanted = large::with_runs(ahead_of);
        // Space in a file is reserved and given back by others.
        if arena.is_file {
            return;
        }
        let is_worth_it = GREW_SCATTERED.swap(false, Ordering::Relaxed);
        for chunk in wanted.start.max(self.ahead_end)..wanted.end {
            if !is_worth_it && Instant::now() < self.ahead_due {
                return;
            }
            let begun = thread_cpu_time();
            self.make_ahead(arena, chunk);
            self.pace(thread_cpu_time() - begun, Instant::now());
        }
    }

    fn make_ahead(&mut self, arena: &Arena, chunk: u32) {
        self.ahead_end = chunk + 1;
        let offset = u64::from(chunk) * CHUNK_BYTES;
        // The system does not make a huge page of nothing at all.
        if rustix::fs::fallocate(arena.fd(), FallocateFlags::empty(), offset, 4096).is_ok() {
            self.collapse(chunk);
        }
    }

    /// One more was made ahead and took so much processor time.
    fn pace(&mut self, took: Duration, now: Instant) {
        if took > AHEAD_TIME_MAX {
            self.ahead_due = now + took * AHEAD_PAUSE;
        }
    }

    /// Looks for a chunk in use that is worth it, and makes it huge. One at a time.
    pub fn look(&mut self, arena: &Arena) {
        let used = large::with_runs(|runs| runs.used());
        let chunks = used.start.div_ceil(CHUNK_PAGES)..used.end / CHUNK_PAGES;
        let count = chunks.len() as u32;
        for _ in 0..LOOKS.min(count) {
            let chunk = if chunks.contains(&self.next) { self.next } else { chunks.start };
            self.next = chunk + 1;
            self.idle_looks += 1;
            if !self.is_known(chunk) && is_nearly_full(arena, chunk) {
                find_memory();
                forget_mapping(chunk);
                if self.collapse(chunk) {
                    self.idle_looks = 0;
                }
                break;
            }
        }
        self.pause = if self.idle_looks < count { PAUSE } else { (self.pause * 2).min(PAUSE_MAX) };
        self.due = Instant::now() + self.pause;
    }

    /// Gives back chunks made ahead that are not needed any more.
    pub fn give_back_ahead(&mut self, arena: &Arena) -> io::Result<()> {
        self.give_back(arena, |runs, chunk| chunk < ahead_of(runs).end)
    }

    /// Gives back all chunks made ahead if the arena has not grown since the last call. Returns
    /// whether that is so.
    pub fn settle(&mut self, arena: &Arena) -> io::Result<bool> {
        let top = large::with_runs(|runs| runs.used().end);
        let is_settled = std::mem::replace(&mut self.top, top) == top;
        if is_settled {
            self.give_back(arena, |_, _| false)?;
        }
        Ok(is_settled)
    }

    fn give_back(
        &mut self,
        arena: &Arena,
        is_needed: impl Fn(&Runs<'_>, u32) -> bool,
    ) -> io::Result<()> {
        while let Some(chunk) = self.ahead_end.checked_sub(1) {
            let run = Run { start: chunk * CHUNK_PAGES, pages: CHUNK_PAGES };
            // The lock keeps anybody from growing into it meanwhile.
            let given = large::with_runs(|runs| {
                let is_used = run.start < runs.used().end;
                (!is_used && !is_needed(runs, chunk)).then(|| scavenger::punch(arena, run))
            });
            let Some(punched) = given else { break };
            punched?;
            self.ahead_end = chunk;
            self.forget(run);
        }
        Ok(())
    }

    /// Pages are about to be handed back: where they lie is no huge page any more.
    pub fn forget(&mut self, run: Run) {
        for chunk in run.start / CHUNK_PAGES..(run.start + run.pages).div_ceil(CHUNK_PAGES) {
            if self.is_known(chunk) {
                self.known[chunk as usize / 64] &= !(1 << (chunk % 64));
                COUNT.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    /// Makes a huge page of a chunk. Returns whether it is known to have succeeded.
    fn collapse(&mut self, chunk: u32) -> bool {
        let start = layout::page_address(chunk * CHUNK_PAGES) as *mut c_void;
        // SAFETY: the range is part of the arena's mapping; what is in it does not change.
        if unsafe { libc::madvise(start, CHUNK_BYTES as usize, libc::MADV_COLLAPSE) } == 0 {
            self.works = true;
            self.note(chunk);
            return true;
        }
        let error = io::Error::last_os_error();
        // Other errors, or this one where it has worked before, are about this chunk, now.
        if !self.works && error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) {
            WANTED.store(false, Ordering::Relaxed);
            tracing::info!(
                "no huge pages for the arena: they need Linux 6.1, and memory rather than a file \
                 on disk; it goes on without"
            );
        }
        false
    }

    fn is_known(&self, chunk: u32) -> bool {
        self.known.get(chunk as usize / 64).is_some_and(|bits| bits >> (chunk % 64) & 1 == 1)
    }

    fn note(&mut self, chunk: u32) {
        if !self.is_known(chunk) {
            let word = chunk as usize / 64;
            if word >= self.known.len() {
                self.known.resize(word + 1, 0);
            }
            self.known[word] |= 1 << (chunk % 64);
            COUNT.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn thread_cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.try_into().unwrap_or_default()
}

/// Whether so much of a chunk's memory is there that a huge page costs little more.
fn is_nearly_full(arena: &Arena, chunk: u32) -> bool {
    let mut at = u64::from(chunk) * CHUNK_BYTES;
    let (end, mut missing) = (at + CHUNK_BYTES, 0);
    while missing <= MISSING_MAX {
        let Ok(hole) = rustix::fs::seek(arena.fd(), SeekFrom::Hole(at)) else { return false };
        if hole >= end {
            return true;
        }
        // There is no data behind the last.
        at = rustix::fs::seek(arena.fd(), SeekFrom::Data(hole)).map_or(end, |data| data.min(end));
        missing += at - hole;
    }
    false
}

/// Has memory ready that makes a huge page: what was just given back is the first to be taken again.
fn find_memory() {
    let bytes = CHUNK_BYTES as usize;
    let (access, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE);
    // SAFETY: a mapping of its own, which nobody else knows. It is large enough for a whole chunk on
    // a boundary, of which one byte is written before all of it goes.
    unsafe {
        let Ok(start) = rustix::mm::mmap_anonymous(ptr::null_mut(), 2 * bytes, access, flags)
        else {
            return;
        };
        let chunk = start.byte_add(start.addr().next_multiple_of(bytes) - start.addr());
        chunk.cast::<u8>().write_volatile(0);
        // Without one, the next huge page takes longer.
        let _ = libc::madvise(chunk, bytes, libc::MADV_COLLAPSE);
        let unmapped = rustix::mm::munmap(start, 2 * bytes);
        debug_assert!(unmapped.is_ok(), "only a range that is no mapping is refused");
    }
}

/// Has the next one to touch the chunk look for its pages anew. The system then makes one page of
/// them in a quarter of the time.
fn forget_mapping(chunk: u32) {
    let start = layout::page_address(chunk * CHUNK_PAGES) as *mut c_void;
    // SAFETY: the mapping is shared: what is in it stays in the memory behind it.
    let advised =
        unsafe { rustix::mm::madvise(start, CHUNK_BYTES as usize, Advice::LinuxDontNeed) };
    debug_assert!(advised.is_ok(), "only a range that is no mapping is refused");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_made_ahead_is_a_small_share_of_what_is_in_use() {
        assert_eq!(ahead(31 * CHUNK_PAGES, 0), 0);
        assert_eq!(ahead(32 * CHUNK_PAGES, 0), 1);
        assert_eq!(ahead(100 * CHUNK_PAGES, CHUNK_PAGES), 2);
        assert_eq!(ahead(100 * CHUNK_PAGES, 3 * CHUNK_PAGES), 0);
        assert_eq!(ahead(10_000 * CHUNK_PAGES, 0), AHEAD_MAX);
    }

    #[test]
    fn none_is_made_ahead_for_a_while_after_one_that_was_dear() {
        let mut huge = Huge::default();
        let now = huge.ahead_due;
        huge.pace(AHEAD_TIME_MAX, now);
        assert_eq!(huge.ahead_due, now);
        huge.pace(7 * AHEAD_TIME_MAX, now);
        assert_eq!(huge.ahead_due, now + 700 * AHEAD_TIME_MAX);
    }
}
