//! A thread that syncs the log while another writes it.
#![forbid(unsafe_code)]

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::saving::disk::Output;

/// A sync that is over.
#[derive(Debug)]
pub struct Done {
    /// The position in the stream up to which all was written when it began.
    pub position: u64,
    /// How it ended.
    pub outcome: io::Result<()>,
}

#[derive(Default)]
struct State {
    asked: Option<(Box<dyn Output>, u64)>,
    is_busy: bool,
    done: Option<Done>,
    is_over: bool,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let mut state = self.lock();
        while !state.is_over {
            let Some((mut output, position)) = state.asked.take() else {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            drop(state);
            let outcome = output.sync();
            state = self.lock();
            state.done = Some(Done { position, outcome });
            state.is_busy = false;
            self.changed.notify_all();
        }
    }
}

/// The thread. It ends when this is dropped, once it is done with what it is at.
pub struct Syncer(Arc<Shared>);

impl Syncer {
    /// Starts it. None: the system has no thread for it.
    pub fn start() -> Option<Self> {
        let shared = Arc::<Shared>::default();
        let of_thread = Arc::clone(&shared);
        let thread = thread::Builder::new().name("aof-sync".to_owned());
        thread.spawn(move || of_thread.run()).ok()?;
        Some(Self(shared))
    }

    /// Whether it is at a sync.
    pub fn is_busy(&self) -> bool {
        self.0.lock().is_busy
    }

    /// Has a file synced, of which all up to a position was written. One at a time.
    pub fn sync(&self, output: Box<dyn Output>, position: u64) {
        let mut state = self.0.lock();
        state.asked = Some((output, position));
        state.is_busy = true;
        self.0.changed.notify_all();
    }

    /// How the last sync ended, once.
    pub fn take_done(&mut self) -> Option<Done> {
        self.0.lock().done.take()
    }

    /// Waits until it is at none.
    pub fn wait(&self) {
        let mut state = self.0.lock();
        while state.is_busy {
            state = self.0.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for Syncer {
    fn drop(&mut self) {
        self.0.lock().is_over = true;
        self.0.changed.notify_all();
    }
}
