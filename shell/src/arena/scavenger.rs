//! Hands free memory back to the system, off the threads that serve requests.

use rustix::fs::FallocateFlags;
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::classes::PAGE_BYTES;
use super::runs::Run;
use super::{Arena, futex, large, threads};

/// How long memory must lie idle before it is handed back.
const INTERVAL: Duration = Duration::from_millis(250);
/// Pages handed back by one call to the system, so that none holds up page faults for long.
const STEP_PAGES: u32 = 64;

const QUIET: u32 = 0;
const CALLED: u32 = 1;

static CALL: AtomicU32 = AtomicU32::new(QUIET);
/// Held while memory is handed back, so that who asks for it finds it done.
static RELEASING: Mutex<()> = Mutex::new(());

/// Calls the scavenger: much memory is free.
pub fn signal() {
    if CALL.load(Ordering::Relaxed) == QUIET && CALL.swap(CALLED, Ordering::Release) == QUIET {
        futex::wake(&CALL);
    }
}

/// Starts the thread that waits for [`signal`]. It lives as long as the process.
pub fn spawn(arena: &'static Arena) -> io::Result<()> {
    let work = move || {
        loop {
            while CALL.load(Ordering::Acquire) == QUIET {
                futex::wait(&CALL, QUIET);
            }
            release_excess(arena);
        }
    };
    std::thread::Builder::new().name("arena".into()).stack_size(64 << 10).spawn(work).map(|_| ())
}

/// Hands back what lies idle, interval by interval, until no more than the slack is left.
fn release_excess(arena: &Arena) {
    large::with_runs(|runs| runs.dirty_needed());
    loop {
        std::thread::sleep(INTERVAL);
        threads::flush_shared();
        let keep = large::with_runs(|runs| runs.dirty_needed());
        if let Err(error) = release(arena, keep) {
            tracing::warn!(%error, "free memory could not be handed back to the system");
        }
        // Before the look at what is left, so that a call that comes after it is not lost.
        CALL.store(QUIET, Ordering::SeqCst);
        if !large::with_runs(|runs| runs.has_excess()) {
            return;
        }
    }
}

/// Hands free memory back until about `keep` free pages may still hold any. Returns how many
/// pages it handed back.
pub fn release(arena: &Arena, keep: u32) -> io::Result<u64> {
    let _one_at_a_time = RELEASING.lock().unwrap_or_else(PoisonError::into_inner);
    let mut released = 0;
    while let Some(run) = large::with_runs(|runs| runs.take_dirty(keep)) {
        let punched = punch(arena, run);
        large::with_runs(|runs| runs.give_clean(run));
        punched?;
        released += u64::from(run.pages);
    }
    Ok(released)
}

fn punch(arena: &Arena, run: Run) -> io::Result<()> {
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    let end = run.start + run.pages;
    for start in (run.start..end).step_by(STEP_PAGES as usize) {
        let pages = u64::from(STEP_PAGES.min(end - start));
        let offset = u64::from(start) * PAGE_BYTES;
        rustix::fs::fallocate(arena.fd(), flags, offset, pages * PAGE_BYTES)?;
    }
    Ok(())
}
