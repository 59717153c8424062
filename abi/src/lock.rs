//! The lock word that shell and logic share. Part of the contract: both must change it alike.

use abi_stable::StableAbi;
use core::sync::atomic::{AtomicU32, Ordering};

/// A futex mutex: 0 free, 1 held, 2 held and perhaps waited for.
#[repr(transparent)]
#[derive(StableAbi, Debug, Default)]
pub struct RawLock {
    word: AtomicU32,
}

const FREE: u32 = 0;
const HELD: u32 = 1;
const CONTENDED: u32 = 2;
const SPINS: u32 = 64;

impl RawLock {
    /// A free lock.
    pub const fn new() -> Self {
        Self { word: AtomicU32::new(FREE) }
    }

    /// Takes the lock if it is free. Returns whether it did.
    #[inline(always)]
    pub fn try_lock(&self) -> bool {
        self.word.compare_exchange(FREE, HELD, Ordering::Acquire, Ordering::Relaxed).is_ok()
    }

    /// Takes the lock. `wait(word, expected)` must sleep while the word is `expected`, as
    /// `FUTEX_WAIT` does; it may return early.
    #[inline(always)]
    pub fn lock(&self, wait: impl Fn(&AtomicU32, u32)) {
        if !self.try_lock() {
            self.lock_contended(wait);
        }
    }

    #[cold]
    fn lock_contended(&self, wait: impl Fn(&AtomicU32, u32)) {
        for _ in 0..SPINS {
            if self.word.load(Ordering::Relaxed) == FREE && self.try_lock() {
                return;
            }
            core::hint::spin_loop();
        }
        while self.word.swap(CONTENDED, Ordering::Acquire) != FREE {
            wait(&self.word, CONTENDED);
        }
    }

    /// Gives the lock back. `wake(word)` must wake one sleeper, as `FUTEX_WAKE` does.
    ///
    /// The caller must hold the lock; giving back what another holds breaks what it guards.
    #[inline(always)]
    pub fn unlock(&self, wake: impl Fn(&AtomicU32)) {
        if self.word.swap(FREE, Ordering::Release) == CONTENDED {
            wake(&self.word);
        }
    }

    /// Whether somebody holds the lock right now. For assertions.
    pub fn is_locked(&self) -> bool {
        self.word.load(Ordering::Relaxed) != FREE
    }
}
