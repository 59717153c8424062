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
    pub const SHELL: Self = Self(OWING - 1);

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
    /// As [`Word::replace`], but releases.
    fn give(&self, old: u32, new: u32) -> bool;
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

    #[inline(always)]
    fn give(&self, old: u32, new: u32) -> bool {
        self.compare_exchange(old, new, Ordering::Release, Ordering::Relaxed).is_ok()
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
    /// Appends what `lane` owes to the effects stream, as [`crate::effects::Stream::pay`] does.
    fn pay_for(self, lane: u32);
}

/// The word of a lock that nobody holds: this, or who held it last with [`OWING`]. Else it is its
/// holder, with [`CONTENDED`] if somebody may be waiting.
pub const FREE: u32 = 0;
const CONTENDED: u32 = 1 << 31;
/// Nobody holds the lock, but the lane that is named, which held it last, may owe the effects
/// stream what it did meanwhile. Whoever takes the lock has that appended before all else.
const OWING: u32 = 1 << 30;
const SPINS: u32 = if cfg!(test) { 1 } else { 64 };

/// Takes the lock if nobody holds it. Returns whether it did.
#[inline(always)]
pub fn try_lock<W: Word>(word: &W, by: impl Locker<W>) -> bool {
    word.replace(FREE, by.holder().0) || take(word, by, 0)
}

/// Takes the lock.
#[inline(always)]
pub fn lock<W: Word>(word: &W, by: impl Locker<W>) {
    if !word.replace(FREE, by.holder().0) {
        lock_contended(word, by);
    }
}

#[cold]
fn lock_contended<W: Word>(word: &W, by: impl Locker<W>) {
    for _ in 0..SPINS {
        if take(word, by, 0) {
            return;
        }
        core::hint::spin_loop();
    }
    loop {
        // Others may still sleep, and whoever has slept cannot know: the mark stays.
        if take(word, by, CONTENDED) {
            return;
        }
        let seen = word.load(Ordering::Relaxed);
        if is_held(seen) && (seen & CONTENDED != 0 || word.replace(seen, seen | CONTENDED)) {
            by.wait(word, seen | CONTENDED);
        }
    }
}

/// Takes a lock that nobody holds, and pays for who owes.
#[cold]
fn take<W: Word>(word: &W, by: impl Locker<W>, mark: u32) -> bool {
    let seen = word.load(Ordering::Relaxed);
    if is_held(seen) || !word.replace(seen, by.holder().0 | mark) {
        return false;
    }
    // Not before: the one who owes could take the lock in between, and owe more.
    let debtor = Holder(seen & !OWING);
    if seen != FREE
        && debtor != by.holder()
        && let Some(lane) = debtor.lane_number()
    {
        by.pay_for(lane);
    }
    true
}

fn is_held(word: u32) -> bool {
    word != FREE && word & OWING == 0
}

/// Gives the lock back, which the caller holds.
#[inline(always)]
pub fn unlock<W: Word>(word: &W, by: impl Locker<W>) {
    if word.swap(FREE, Ordering::Release) & CONTENDED != 0 {
        by.wake(word);
    }
}

/// Gives the lock back, which the caller holds, for whoever takes it next to pay what the caller
/// owes. Returns whether it did: not if somebody may be waiting, who is not to pay first.
#[inline(always)]
pub fn unlock_owing<W: Word>(word: &W, by: impl Locker<W>) -> bool {
    word.give(by.holder().0, by.holder().0 | OWING)
}

/// The caller has paid: where it was the last to hold the lock, nobody needs to pay for it.
#[inline(always)]
pub fn quit<W: Word>(word: &W, by: impl Locker<W>) {
    // If it fails somebody has taken the lock meanwhile.
    let _ = word.give(by.holder().0 | OWING, FREE);
}

/// Who holds the lock right now, if somebody does.
pub fn holder(word: &impl Word) -> Option<Holder> {
    let seen = word.load(Ordering::Relaxed);
    is_held(seen).then_some(Holder(seen & !CONTENDED))
}
