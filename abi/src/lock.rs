//! The lock that shell and logic share. Part of the contract: both must change its word alike.
//!
//! State behind a lock is a [`Locked`]: the word beside the state, which is reached through a
//! [`Guard`] only. Nobody makes a reference to the state without holding the lock, and nobody a
//! reference that covers both, so that others may compare and swap the word at any time.
//!
//! The word names who holds the lock, so that whoever starts anew on the same arena knows which
//! lane died with it.

use abi_stable::StableAbi;
use core::cell::UnsafeCell;
use core::ops::{Deref, DerefMut};
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

/// How a thread takes locks: under which name, how it sleeps, how it wakes others.
pub trait Locker: Copy {
    /// Who it is.
    fn holder(self) -> Holder;
    /// Sleeps while the word is `expected`, as `FUTEX_WAIT` does; may return early.
    fn wait(self, word: &AtomicU32, expected: u32);
    /// Wakes one sleeper, as `FUTEX_WAKE` does.
    fn wake(self, word: &AtomicU32);
}

/// A futex mutex: 0 free; else its holder, with [`CONTENDED`] if somebody may be waiting.
#[repr(transparent)]
#[derive(StableAbi, Debug, Default)]
pub struct RawLock {
    word: AtomicU32,
}

const FREE: u32 = 0;
const CONTENDED: u32 = 1 << 31;
const SPINS: u32 = 64;

impl RawLock {
    /// A free lock.
    pub const fn new() -> Self {
        Self { word: AtomicU32::new(FREE) }
    }

    /// Takes the lock if it is free. Returns whether it did.
    #[inline(always)]
    pub fn try_lock(&self, holder: Holder) -> bool {
        self.replace(FREE, holder.0)
    }

    /// Takes the lock.
    #[inline(always)]
    pub fn lock(&self, by: impl Locker) {
        if !self.try_lock(by.holder()) {
            self.lock_contended(by);
        }
    }

    #[cold]
    fn lock_contended(&self, by: impl Locker) {
        for _ in 0..SPINS {
            if self.word.load(Ordering::Relaxed) == FREE && self.try_lock(by.holder()) {
                return;
            }
            core::hint::spin_loop();
        }
        loop {
            let word = self.word.load(Ordering::Relaxed);
            if word == FREE {
                // Others may still sleep, and whoever has slept cannot know: the mark stays.
                if self.replace(FREE, by.holder().0 | CONTENDED) {
                    return;
                }
            } else if word & CONTENDED != 0 || self.replace(word, word | CONTENDED) {
                by.wait(&self.word, word | CONTENDED);
            }
        }
    }

    #[inline(always)]
    fn replace(&self, old: u32, new: u32) -> bool {
        self.word.compare_exchange(old, new, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Gives the lock back.
    ///
    /// The caller must hold the lock; giving back what another holds breaks what it guards.
    #[inline(always)]
    pub fn unlock(&self, by: impl Locker) {
        if self.word.swap(FREE, Ordering::Release) & CONTENDED != 0 {
            by.wake(&self.word);
        }
    }

    /// Who holds the lock right now, if somebody does.
    pub fn holder(&self) -> Option<Holder> {
        match self.word.load(Ordering::Relaxed) & !CONTENDED {
            FREE => None,
            holder => Some(Holder(holder)),
        }
    }

    /// Whether somebody holds the lock right now. For assertions.
    pub fn is_locked(&self) -> bool {
        self.holder().is_some()
    }
}

/// State behind a lock.
#[repr(C)]
#[derive(StableAbi)]
pub struct Locked<T> {
    lock: RawLock,
    /// Zero.
    reserved: u32,
    value: UnsafeCell<T>,
}

// SAFETY: the value is reached through a guard only, of which there is one at a time; a guard may
// be made on any thread, so the value must be fit to be sent to one. What lies in the arena is:
// it refers to nothing of a thread's own.
unsafe impl<T> Sync for Locked<T> {}

impl<T> Locked<T> {
    /// A free lock around a value.
    pub const fn new(value: T) -> Self {
        Self { lock: RawLock::new(), reserved: 0, value: UnsafeCell::new(value) }
    }

    /// Takes the lock.
    #[inline]
    pub fn lock<L: Locker>(&self, by: L) -> Guard<'_, T, L> {
        self.lock.lock(by);
        Guard { locked: self, by }
    }

    /// Takes the lock if it is free.
    #[inline]
    pub fn try_lock<L: Locker>(&self, by: L) -> Option<Guard<'_, T, L>> {
        self.lock.try_lock(by.holder()).then_some(Guard { locked: self, by })
    }

    /// Who holds the lock right now, if somebody does.
    pub fn holder(&self) -> Option<Holder> {
        self.lock.holder()
    }

    /// The value, while nobody else can refer to it.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }
}

/// A held lock, and the only way to what it guards. Given back when dropped.
pub struct Guard<'a, T, L: Locker> {
    locked: &'a Locked<T>,
    by: L,
}

impl<T, L: Locker> Deref for Guard<'_, T, L> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        // SAFETY: the lock is held while this guard lives, no other guard of it exists, and nobody
        // else makes references to the value; `&self` keeps `deref_mut` away.
        unsafe { &*self.locked.value.get() }
    }
}

impl<T, L: Locker> DerefMut for Guard<'_, T, L> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as in `deref`; `&mut self` makes this the only reference to the value.
        unsafe { &mut *self.locked.value.get() }
    }
}

impl<T, L: Locker> Drop for Guard<'_, T, L> {
    #[inline]
    fn drop(&mut self) {
        self.locked.lock.unlock(self.by);
    }
}
