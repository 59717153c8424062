//! The atomics and the lock of the stream.
//!
//! In this crate's own unit tests they are those of `shuttle`, which runs the real code through
//! many interleavings of its threads. Everywhere else they are the processor's.

#[cfg(test)]
pub use self::explored::*;
#[cfg(not(test))]
pub use self::real::*;

#[cfg(not(test))]
mod real {
    pub use crate::lock::RawLock as Lock;
    pub use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

    /// Where another thread may come in between although no atomic is touched.
    #[inline(always)]
    pub fn step() {}
}

#[cfg(test)]
mod explored {
    use crate::lock::Locker;
    pub use shuttle::sync::atomic::{AtomicU32, AtomicU64, Ordering};
    pub use shuttle::thread::yield_now as pause;

    /// Lets the scheduler change threads, as it does before every use of an atomic.
    pub fn step() {
        AtomicU32::new(0).load(Ordering::SeqCst);
    }

    /// As [`crate::lock::RawLock`], which cannot be told of a scheduler.
    #[derive(Default)]
    pub struct Lock(AtomicU32);

    impl Lock {
        pub fn lock(&self, _by: impl Locker) {
            while self.0.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed).is_err() {
                pause();
            }
        }

        pub unsafe fn unlock(&self, _by: impl Locker) {
            self.0.store(0, Ordering::Release);
        }
    }
}
