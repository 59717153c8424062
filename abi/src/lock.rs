//! The lock that shell and logic share. Part of the contract: both must change its word alike.
//!
//! State behind a lock is a [`Locked`]: the word beside the state, which is reached through a
//! [`Guard`] only. Nobody makes a reference to the state without holding the lock, and nobody a
//! reference that covers both, so that others may compare and swap the word at any time.
//!
//! The word names who holds the lock, so that whoever starts anew on the same arena knows which
//! lane died with it.

#[cfg(test)]
mod interleavings;
pub(crate) mod protocol;

pub use protocol::{Holder, Locker};

use abi_stable::StableAbi;
use core::cell::UnsafeCell;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::AtomicU32;

/// A futex mutex, as [`protocol`] has it.
#[repr(transparent)]
#[derive(StableAbi, Debug, Default)]
pub struct RawLock {
    word: AtomicU32,
}

impl RawLock {
    /// A free lock.
    pub const fn new() -> Self {
        Self { word: AtomicU32::new(protocol::FREE) }
    }

    /// Takes the lock if nobody holds it. Returns whether it did.
    #[inline(always)]
    pub fn try_lock(&self, by: impl Locker) -> bool {
        protocol::try_lock(&self.word, by)
    }

    /// Takes the lock. Returns whether it had to wait.
    #[inline(always)]
    pub fn lock(&self, by: impl Locker) -> bool {
        protocol::lock(&self.word, by)
    }

    /// Gives the lock back.
    ///
    /// # Safety
    /// The caller holds the lock, and no longer uses what it guards; or whoever held it is no more.
    #[inline(always)]
    pub unsafe fn unlock(&self, by: impl Locker) {
        protocol::unlock(&self.word, by);
    }

    /// Who holds the lock right now, if somebody does.
    pub fn holder(&self) -> Option<Holder> {
        protocol::holder(&self.word)
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
// be made on any thread, so the value must be fit to be sent to one. What can lie in the arena is:
// it refers to nothing of a thread's own.
unsafe impl<T: StableAbi> Sync for Locked<T> {}

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
        self.lock.try_lock(by).then_some(Guard { locked: self, by })
    }

    /// Who holds the lock right now, if somebody does.
    pub fn holder(&self) -> Option<Holder> {
        self.lock.holder()
    }

    /// The value whether it is locked or not, for who knows that nobody else refers to it.
    pub const fn as_ptr(&self) -> *mut T {
        self.value.get()
    }

    /// The lock, for who is the only one left of those that take it.
    pub const fn raw_lock(&self) -> &RawLock {
        &self.lock
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
        // SAFETY: a guard exists while the lock is held, and its last use is over.
        unsafe { self.locked.lock.unlock(self.by) };
    }
}
