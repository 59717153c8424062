//! How a lock's word is changed.
//!
//! The atomic is the processor's, and in unit tests also one that lets a scheduler change threads at
//! each of its uses.

use core::sync::atomic::{AtomicU32, Ordering};

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

/// What a lock's word needs of an atomic.
pub trait Word {
    /// As that of [`AtomicU32`].
    fn load(&self, order: Ordering) -> u32;
    /// As that of [`AtomicU32`].
    fn swap(&self, new: u32, order: Ordering) -> u32;
    /// Whether it was `old` and is now `new`: acquires if so.
    fn replace(&self, old: u32, new: u32) -> bool;
}

impl Word for AtomicU32 {
    #[inline(always)]
    fn load(&self, order: Ordering) -> u32 {
        self.load(order)
    }

    #[inline(always)]
    fn swap(&self, new: u32, order: Ordering) -> u32 {
        self.swap(new, order)
    }

    #[inline(always)]
    fn replace(&self, old: u32, new: u32) -> bool {
        self.compare_exchange(old, new, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }
}

/// How a thread takes locks: under which name, how it sleeps, how it wakes others.
pub trait Locker<W: Word = AtomicU32>: Copy {
    /// Who it is.
    fn holder(self) -> Holder;
    /// Sleeps while the word is `expected`, as `FUTEX_WAIT` does; may return early.
    fn wait(self, word: &W, expected: u32);
    /// Wakes one sleeper, as `FUTEX_WAKE` does.
    fn wake(self, word: &W);
}

/// The word of a lock that nobody holds. Else it is its holder, with [`CONTENDED`] if somebody may
/// be waiting.
pub const FREE: u32 = 0;
const CONTENDED: u32 = 1 << 31;
const SPINS: u32 = if cfg!(test) { 1 } else { 64 };

/// Takes the lock if nobody holds it. Returns whether it did.
#[inline(always)]
pub fn try_lock<W: Word>(word: &W, by: impl Locker<W>) -> bool {
    word.replace(FREE, by.holder().0)
}

/// Takes the lock. Returns whether it had to wait.
#[inline(always)]
pub fn lock<W: Word>(word: &W, by: impl Locker<W>) -> bool {
    let is_free = try_lock(word, by);
    if !is_free {
        lock_contended(word, by);
    }
    !is_free
}

#[cold]
fn lock_contended<W: Word>(word: &W, by: impl Locker<W>) {
    for _ in 0..SPINS {
        if word.load(Ordering::Relaxed) == FREE && try_lock(word, by) {
            return;
        }
        core::hint::spin_loop();
    }
    loop {
        let seen = word.load(Ordering::Relaxed);
        if seen == FREE {
            // Others may still sleep, and whoever has slept cannot know: the mark stays.
            if word.replace(FREE, by.holder().0 | CONTENDED) {
                return;
            }
        } else if seen & CONTENDED != 0 || word.replace(seen, seen | CONTENDED) {
            by.wait(word, seen | CONTENDED);
        }
    }
}

/// Gives the lock back, which the caller holds.
#[inline(always)]
pub fn unlock<W: Word>(word: &W, by: impl Locker<W>) {
    if word.swap(FREE, Ordering::Release) & CONTENDED != 0 {
        by.wake(word);
    }
}

/// Who holds the lock right now, if somebody does.
pub fn holder(word: &impl Word) -> Option<Holder> {
    let seen = word.load(Ordering::Relaxed);
    (seen != FREE).then_some(Holder(seen & !CONTENDED))
}
