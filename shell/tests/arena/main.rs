//! The arena in a process of its own: a process has one, and these tests count its bytes.
//!
//! Tests take turns through [`turn`], so that each sees only its own allocations.

mod compaction;
mod files;
mod lanes;
mod memory;
mod process;
#[cfg(sanitised)]
mod sanitised;

use shell::arena::{self, Arena, Options};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

static TURN: Mutex<()> = Mutex::new(());

/// The arena of this test binary, for one test at a time.
fn turn() -> (&'static Arena, MutexGuard<'static, ()>) {
    static ARENA: OnceLock<&'static Arena> = OnceLock::new();
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let arena = ARENA.get_or_init(|| arena::create(&Options::default()).expect("an arena"));
    (arena, turn)
}

/// Runs `work` on a new thread that is the given lane, to its end.
fn on_lane<R: Send>(lane: u32, work: impl FnOnce() -> R + Send) -> R {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            arena::bind_thread(lane);
            work()
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// A live allocation whose bytes follow from its seed.
struct Block {
    address: u64,
    size: u64,
    seed: u64,
}

impl Block {
    fn new(size: u64, seed: u64) -> Self {
        let address = arena::alloc(size);
        assert_ne!(address, 0, "the arena is full");
        assert!(address.is_multiple_of(if size.is_multiple_of(64) { 64 } else { 8 }));
        let block = Self { address, size, seed };
        block.bytes().fill_with_pattern(seed);
        block
    }

    fn bytes(&self) -> Bytes<'_> {
        // SAFETY: the block is live and this test's own.
        Bytes(unsafe {
            std::slice::from_raw_parts_mut(self.address as *mut u8, self.size as usize)
        })
    }

    fn resize(&mut self, size: u64) {
        // SAFETY: the block is live and has this size.
        self.address = unsafe { arena::realloc(self.address, self.size, size) };
        assert_ne!(self.address, 0, "the arena is full");
        let kept = self.size.min(size) as usize;
        self.size = size;
        self.bytes().check_pattern(self.seed, kept);
        self.bytes().fill_with_pattern(self.seed);
    }

    /// Moves it, if it lies where everything is to be moved from.
    fn make_way(&mut self) {
        if arena::compaction::is_emptying(self.address) {
            std::mem::replace(self, Self::new(self.size, self.seed)).free();
        }
    }

    fn free(self) {
        self.bytes().check_pattern(self.seed, self.size as usize);
        // SAFETY: the block is live, has this size, and is forgotten here.
        unsafe { arena::free(self.address, self.size) };
    }
}

struct Bytes<'a>(&'a mut [u8]);

impl Bytes<'_> {
    /// Writes enough of the bytes to notice that blocks overlap.
    fn fill_with_pattern(&mut self, seed: u64) {
        for i in places(self.0.len()) {
            self.0[i] = pattern(seed, i);
        }
    }

    fn check_pattern(&self, seed: u64, len: usize) {
        for i in places(len) {
            assert_eq!(self.0[i], pattern(seed, i), "byte {i} of {}", self.0.len());
        }
    }
}

/// The first bytes, and every 512th.
fn places(len: usize) -> impl Iterator<Item = usize> {
    (0..len.min(32)).chain((512..len).step_by(512))
}

fn pattern(seed: u64, i: usize) -> u8 {
    (seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(i as u64) >> 7) as u8
}
