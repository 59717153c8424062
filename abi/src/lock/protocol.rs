//! How a lock's word is changed.
//!
//! The atomic is that of whoever has this file as a module: the processor's, and in unit tests also
//! one that lets a scheduler change threads at each of its uses.

use super::AtomicU32;
use core::sync::atomic::Ordering;

/// Who holds a lock: a lane, or a thread of the shell that has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder(u32);

impl Holder {
    /// A thread of the shell that runs no logic.
    pub const SHELL: Self = Self(CONTENDED - 1);

    /// A lane.
    pub const fn lane(number: u32) -> Self {
        Self(number + 1)
    }

    /// The lane's number; none for a thread that has none.
    pub const fn lane_number(self) -> Option<u32> {
        if self.0 == Self::SHELL.0 { None } else { Some(self.0 - 1) }
    }
}

/// How a thread takes locks: under which name, how it sleeps, how it wakes others.
pub trait Locker: Copy {
    /// Who it is.
    fn holder(self) -> Holder;
    /// Sleeps while the word is `expected`, as `FUTEX_WAIT` does; may return early.
    fn wait(self, word: &AtomicU32, expected: u32);
    /// Wakes one sleeper, as `FUTEX_WAKE` does.
    fn wake(self, word: &AtomicU32);
}

/// The word of a lock that nobody holds; else it is its holder, with [`CONTENDED`] if somebody may
/// be waiting.
pub const FREE: u32 = 0;
const CONTENDED: u32 = 1 << 31;
const SPINS: u32 = if cfg!(test) { 1 } else { 64 };

/// Takes the lock if it is free. Returns whether it did.
#[inline(always)]
pub fn try_lock(word: &AtomicU32, holder: Holder) -> bool {
    replace(word, FREE, holder.0)
}

/// Takes the lock.
#[inline(always)]
pub fn lock(word: &AtomicU32, by: impl Locker) {
    if !try_lock(word, by.holder()) {
        lock_contended(word, by);
    }
}

#[cold]
fn lock_contended(word: &AtomicU32, by: impl Locker) {
    for _ in 0..SPINS {
        if word.load(Ordering::Relaxed) == FREE && try_lock(word, by.holder()) {
            return;
        }
        core::hint::spin_loop();
    }
    loop {
        let seen = word.load(Ordering::Relaxed);
        if seen == FREE {
            // Others may still sleep, and whoever has slept cannot know: the mark stays.
            if replace(word, FREE, by.holder().0 | CONTENDED) {
                return;
            }
        } else if seen & CONTENDED != 0 || replace(word, seen, seen | CONTENDED) {
            by.wait(word, seen | CONTENDED);
        }
    }
}

#[inline(always)]
fn replace(word: &AtomicU32, old: u32, new: u32) -> bool {
    word.compare_exchange(old, new, Ordering::Acquire, Ordering::Relaxed).is_ok()
}

/// Gives the lock back, which the caller holds.
#[inline(always)]
pub fn unlock(word: &AtomicU32, by: impl Locker) {
    if word.swap(FREE, Ordering::Release) & CONTENDED != 0 {
        by.wake(word);
    }
}

/// Who holds the lock right now, if somebody does.
pub fn holder(word: &AtomicU32) -> Option<Holder> {
    match word.load(Ordering::Relaxed) & !CONTENDED {
        FREE => None,
        holder => Some(Holder(holder)),
    }
}
