//! Looks after the memory behind the arena, off the threads that serve requests: hands back to the
//! system what is free, and makes huge pages of what is in use.

use rustix::fs::FallocateFlags;
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::classes::{CHUNK_PAGES, PAGE_BYTES};
use super::huge::Huge;
use super::runs::Run;
use super::{Arena, futex, large, threads};

/// How long memory must lie idle before it is handed back.
const INTERVAL: Duration = Duration::from_millis(250);
/// Pages handed back by one call to the system, so that none holds up page faults for long.
const STEP_PAGES: u32 = 2 * CHUNK_PAGES;

const QUIET: u32 = 0;
const CALLED: u32 = 1;

static CALL: AtomicU32 = AtomicU32::new(QUIET);
/// Held while memory is handed back too, so that who asks for it finds it done.
static HUGE: LazyLock<Mutex<Huge>> = LazyLock::new(Mutex::default);

/// Held by the thread but while it waits.
static AT_WORK: Mutex<()> = Mutex::new(());

/// Calls the scavenger: much memory is free, or the arena has grown.
pub fn signal() {
    if CALL.load(Ordering::Relaxed) == QUIET && CALL.swap(CALLED, Ordering::Release) == QUIET {
        futex::wake(&CALL);
    }
}

/// Starts the thread that waits for [`signal`]. It lives as long as the process.
pub fn spawn(arena: &'static Arena) -> io::Result<()> {
    let work = move || {
        loop {
            wait();
            let at_work = begin_work();
            // Whatever comes after this is another call.
            if CALL.swap(QUIET, Ordering::SeqCst) == CALLED {
                huge().prepare(arena);
                if large::with_runs(|runs| runs.has_excess()) {
                    release_excess(arena, at_work);
                }
            } else if huge().until_due().is_some_and(|left| left.is_zero()) {
                if let Err(error) = settle(arena) {
                    told(&error);
                }
                huge().look(arena);
            }
        }
    };
    std::thread::Builder::new().name("arena".into()).stack_size(64 << 10).spawn(work).map(|_| ())
}

fn begin_work() -> MutexGuard<'static, ()> {
    AT_WORK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Has the thread do nothing more, for the arena is about to be another process's. Waits until it is done
/// with what it is at.
pub fn end() {
    // For the life of the process.
    std::mem::forget(begin_work());
}

/// Waits for a call, or until it is time to look for huge pages to make.
fn wait() {
    let timeout = huge().until_due();
    if CALL.load(Ordering::Acquire) == QUIET && timeout.is_none_or(|left| !left.is_zero()) {
        futex::wait_for(&CALL, QUIET, timeout);
    }
}

fn huge() -> MutexGuard<'static, Huge> {
    HUGE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Hands back what lies idle, interval by interval, until no more than the slack is left.
fn release_excess(arena: &Arena, mut at_work: MutexGuard<'_, ()>) {
    large::with_runs(|runs| runs.dirty_needed());
    while large::with_runs(|runs| runs.has_excess()) {
        drop(at_work);
        std::thread::sleep(INTERVAL);
        at_work = begin_work();
        threads::flush_shared();
        let keep = large::with_runs(|runs| runs.dirty_needed());
        if let Err(error) = release(arena, keep) {
            told(&error);
        }
    }
}

/// Hands back, if the arena no longer grows, what was made ahead of use and what lay idle since the
/// last call.
fn settle(arena: &Arena) -> io::Result<()> {
    let is_settled = huge().settle(arena)?;
    let keep = large::with_runs(|runs| runs.dirty_used());
    if is_settled {
        release(arena, keep)?;
    }
    Ok(())
}

fn told(error: &io::Error) {
    tracing::warn!(%error, "free memory could not be handed back to the system");
}

/// Hands free memory back until about `keep` free pages may still hold any. Returns how many
/// pages it handed back.
pub fn release(arena: &Arena, keep: u32) -> io::Result<u64> {
    let mut huge = huge();
    let mut released = 0;
    huge.give_back_ahead(arena)?;
    while let Some(run) = large::with_runs(|runs| runs.take_dirty(keep)) {
        huge.forget(run);
        let punched = punch(arena, run);
        large::with_runs(|runs| runs.give_clean(run));
        punched?;
        released += u64::from(run.pages);
    }
    Ok(released)
}

/// Hands the memory of a run back that is nobody's.
pub fn punch(arena: &Arena, run: Run) -> io::Result<()> {
    let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    let (mut start, end) = (run.start, run.start + run.pages);
    while start < end {
        // Never a part of two chunks where it can be all of one.
        let step_end = (start + 1).next_multiple_of(STEP_PAGES).min(end);
        let offset = u64::from(start) * PAGE_BYTES;
        let bytes = u64::from(step_end - start) * PAGE_BYTES;
        rustix::fs::fallocate(arena.fd(), flags, offset, bytes)?;
        start = step_end;
    }
    Ok(())
}
