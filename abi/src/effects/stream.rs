//! A stream as it is held: its root, and the functions it needs.

use super::layout::EffectsStream;
use super::sync::Ordering;
use crate::lock::{Holder, Locker};

/// Most bytes that a `SELECT` takes.
pub const SELECT_MAX: u64 = 33;

/// The functions that the stream needs, as the host table has them: made from one.
#[derive(Clone, Copy)]
pub struct Calls {
    holder: Holder,
    lock_wait: extern "C" fn(&core::sync::atomic::AtomicU32, u32),
    lock_wake: extern "C" fn(&core::sync::atomic::AtomicU32),
    pub(super) alloc: extern "C" fn(u64) -> u64,
    pub(super) free: extern "C" fn(u64, u64),
}

impl Calls {
    /// These.
    ///
    /// # Safety
    /// They keep the contracts of [`crate::host::Host`].
    pub const unsafe fn new(
        lock_wait: extern "C" fn(&core::sync::atomic::AtomicU32, u32),
        lock_wake: extern "C" fn(&core::sync::atomic::AtomicU32),
        alloc: extern "C" fn(u64) -> u64,
        free: extern "C" fn(u64, u64),
    ) -> Self {
        Self { holder: Holder::SHELL, lock_wait, lock_wake, alloc, free }
    }

    /// These, as a lane uses them.
    pub const fn by_lane(self, lane: u32) -> Self {
        Self { holder: Holder::lane(lane), ..self }
    }
}

impl Locker for Calls {
    fn holder(self) -> Holder {
        self.holder
    }

    fn wait(self, word: &core::sync::atomic::AtomicU32, expected: u32) {
        (self.lock_wait)(word, expected);
    }

    fn wake(self, word: &core::sync::atomic::AtomicU32) {
        (self.lock_wake)(word);
    }
}

/// A stream and what it needs to work.
#[derive(Clone, Copy)]
pub struct Stream<'a> {
    pub(super) raw: &'a EffectsStream,
    pub(super) calls: Calls,
}

/// The memory of a ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ring {
    /// Where it is.
    pub address: u64,
    /// How large it is.
    pub capacity: u64,
}

impl<'a> Stream<'a> {
    /// The stream that is stored in `raw`.
    pub fn new(raw: &'a EffectsStream, calls: Calls) -> Self {
        Self { raw, calls }
    }

    /// The stream as a lane uses it.
    pub fn by_lane(self, lane: u32) -> Self {
        Self { calls: self.calls.by_lane(lane), ..self }
    }

    /// Whether somebody reads. All that a write without consumers looks at.
    ///
    /// A consumer that joins misses the effects of writes that looked before. To miss none, look
    /// while the shards are held; who joins then holds each shard once before it reads the data.
    #[inline(always)]
    pub fn is_on(&self) -> bool {
        self.raw.active.load(Ordering::Relaxed) != 0
    }

    /// Where the next effect begins.
    pub fn position(&self) -> u64 {
        self.raw.position.load(Ordering::Acquire)
    }

    /// Where the stream ends, from where on it is to be understood without what is before: the next
    /// effect says its database.
    pub fn begin_anew(&self) -> u64 {
        let tail = self.tail();
        tail.forget_db();
        tail.position()
    }

    /// Whether there is a ring.
    pub fn is_open(&self) -> bool {
        self.raw.ring.load(Ordering::Relaxed) != 0
    }
}
