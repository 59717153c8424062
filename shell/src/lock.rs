//! Taking the locks that lie in the arena.

use abi::lock::RawLock;

use crate::arena::futex;

/// A held lock; given back when dropped.
pub struct Held<'a>(&'a RawLock);

/// Takes the lock, sleeping if need be.
pub fn hold(lock: &RawLock) -> Held<'_> {
    lock.lock(futex::wait);
    Held(lock)
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.unlock(futex::wake);
    }
}
