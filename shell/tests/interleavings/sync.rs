//! The types of `src/sync.rs`, each of whose uses lets the scheduler choose who goes on.

use std::io;
use std::sync::Arc;

use shuttle::sync::Condvar;
pub use shuttle::sync::{Mutex, MutexGuard, PoisonError, atomic};

/// Stands in for a poll and its waker: it can be slept in, and a sleeper be woken.
#[derive(Clone, Default)]
pub struct Waker {
    rings: Arc<Rings>,
}

#[derive(Default)]
struct Rings {
    counts: Mutex<Counts>,
    rung: Condvar,
}

#[derive(Default)]
struct Counts {
    pending: bool,
    all: u32,
}

impl Waker {
    /// Ends a sleep: the one under way, or the next.
    pub fn wake(&self) -> io::Result<()> {
        let mut counts = self.rings.counts.lock().unwrap();
        counts.pending = true;
        counts.all += 1;
        self.rings.rung.notify_one();
        Ok(())
    }

    /// Sleeps until woken.
    pub fn sleep(&self) {
        let mut counts = self.rings.counts.lock().unwrap();
        while !counts.pending {
            counts = self.rings.rung.wait(counts).unwrap();
        }
        counts.pending = false;
    }

    /// How often it was rung.
    pub fn rings(&self) -> u32 {
        self.rings.counts.lock().unwrap().all
    }
}
