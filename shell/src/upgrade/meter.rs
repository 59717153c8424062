//! What each generation has done, as far as lanes have counted it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use abi::host::HostRef;
use serde::{Deserialize, Serialize};

use super::carried;
use super::guard::{self, Memory};
use crate::arena::counted::Counted;
use crate::logic::generation::{Counts, Generation};

/// From one look at what is recent to the next, at least.
const RECENT: Duration = Duration::from_millis(800);

/// What a generation has done, as it is shown.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Commands executed.
    pub commands: u64,
    /// Error replies.
    pub errors: u64,
    /// The median of how long its commands took, in microseconds; none before the first.
    pub p50_us: Option<f64>,
    /// The 99th percentile of the same.
    pub p99_us: Option<f64>,
    /// The 99.9th.
    pub p999_us: Option<f64>,
    /// The 99th percentile of the last second or so, as far as anybody looks so often.
    #[serde(default)]
    pub recent_p99_us: Option<f64>,
}

impl Figures {
    /// Of what was counted.
    pub fn of(counted: &Counted) -> Self {
        let mut durations = Vec::new();
        for command in counted.by_command.values() {
            durations.resize(durations.len().max(command.durations.len()), 0);
            for (sum, count) in durations.iter_mut().zip(&command.durations) {
                *sum += count;
            }
        }
        let us = |share| guard::at_share(&durations, share).map(|ns| ns as f64 / 1000.0);
        Self {
            commands: counted.commands,
            errors: counted.errors,
            p50_us: us(0.5),
            p99_us: us(0.99),
            p999_us: us(0.999),
            recent_p99_us: None,
        }
    }
}

/// Tells what a generation has counted from what others have in the same counters. Cheap to clone.
#[derive(Clone)]
pub struct Meter {
    counts: Counts,
    inner: Arc<Inner>,
}

struct Inner {
    host: HostRef,
    begin: Counted,
    memory: Memory,
    end: OnceLock<Counted>,
    recent: Mutex<Recent>,
    panics: Arc<AtomicU64>,
}

impl Meter {
    /// Of a generation that is about to serve.
    pub fn begin(host: HostRef, generation: &Generation) -> Self {
        let counts = generation.counts();
        let begin = now(host, counts);
        let panics = Arc::clone(generation.panics());
        let (memory, end) = (memory_of(host, generation.own_bytes()), OnceLock::new());
        let recent = Mutex::default();
        Self { counts, inner: Arc::new(Inner { host, begin, memory, end, recent, panics }) }
    }

    /// What memory was when it began to serve.
    pub fn memory(&self) -> Memory {
        self.inner.memory
    }

    /// What memory is now. `own_bytes`: the library's own.
    pub fn memory_now(&self, own_bytes: i64) -> Memory {
        memory_of(self.inner.host, own_bytes)
    }

    /// It serves nobody any more; another may count where it did.
    pub fn end(&self) {
        self.inner.end.get_or_init(|| now(self.inner.host, self.counts));
    }

    /// What it has counted so far.
    pub fn counted(&self) -> Counted {
        let end = self.inner.end.get().cloned();
        end.unwrap_or_else(|| now(self.inner.host, self.counts)).since(&self.inner.begin)
    }

    /// What it has done, for who is shown it.
    pub fn figures(&self) -> Figures {
        let counted = self.counted();
        let figures = Figures::of(&counted);
        let mut recent = self.inner.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let is_old = recent.at.is_none_or(|at| at.elapsed() >= RECENT);
        if is_old {
            let window = counted.clone().since(&recent.counted);
            *recent = Recent {
                at: Some(Instant::now()),
                p99_us: recent.at.and_then(|_| Figures::of(&window).p99_us),
                counted,
            };
        }
        Figures { recent_p99_us: recent.p99_us, ..figures }
    }

    /// Calls into it that ended in a panic.
    pub fn panics(&self) -> u64 {
        self.inner.panics.load(Ordering::Relaxed)
    }

    /// Where it counts.
    pub fn counts(&self) -> Counts {
        self.counts
    }
}

/// What was counted when somebody looked last.
#[derive(Default)]
struct Recent {
    at: Option<Instant>,
    counted: Counted,
    /// The 99th percentile from the look before to that one.
    p99_us: Option<f64>,
}

/// What is in a set of counters now.
pub fn now(host: HostRef, counts: Counts) -> Counted {
    Counted::now(host, counts == Counts::Second)
}

fn memory_of(host: HostRef, own_bytes: i64) -> Memory {
    let carried = carried::count(host);
    let changes = [Counts::First, Counts::Second].map(|counts| now(host, counts).changes);
    let used_bytes = carried.memory.used_bytes;
    Memory { used_bytes, own_bytes, keys: carried.keys, changes: changes.iter().sum() }
}
