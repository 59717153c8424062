//! Handing over to a server of another build, or stopping so that a later one goes on: all threads rest
//! at a boundary, what is on its way arrives, and the arena is left whole.
//!
//! ```text
//! ask ──► threads rest ──► may it be? ──► mail, log, allocator ──► arena closed ──► this process ends
//!             └─ not in time ─┴─ no ──► threads go on, as if nothing had been
//! ```

use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use abi::loading::stage;
use abi::snapshot::phase;
use std::sync::atomic::Ordering::SeqCst;
use tokio::sync::{Notify, oneshot};

use super::threads::Threads;
use crate::keeper::board::{self, Own};
use crate::refusal::{Code, Refusal};
use crate::worker::hand_over;
use crate::worker::shared::ServerShared;
use crate::{aof, arena, saving};

/// What is told to the next server, made when all threads rest, of when they began to.
pub type Told = Box<dyn FnOnce() -> Result<OwnedFd, Refusal> + Send>;

/// That somebody wants it.
pub struct Asked {
    /// How long workers may take to come to a boundary. Nobody is served meanwhile.
    pub patience: Duration,
    /// What the next server is told, or why it may not be after all.
    pub told: Told,
    /// Where it is said that it is not to be, and why.
    pub refused: oneshot::Sender<Refusal>,
}

static ASKED: Mutex<Option<Asked>> = Mutex::new(None);
static BELL: Notify = Notify::const_new();

/// Has the control thread hand over.
pub fn ask(asked: Asked) {
    *ASKED.lock().unwrap_or_else(PoisonError::into_inner) = Some(asked);
    BELL.notify_one();
}

/// Completes when somebody has asked.
pub(super) async fn asked() -> Asked {
    loop {
        BELL.notified().await;
        if let Some(asked) = ASKED.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return asked;
        }
    }
}

/// Threads that rest, with what is told to the next server.
pub struct Resting {
    threads: Threads,
    told: OwnedFd,
    rested_ns: u64,
    /// Kept, for whoever has asked waits as long as this process is there.
    _asker: oneshot::Sender<Refusal>,
}

/// Has the threads rest, if it may be. Else they go on.
pub(super) fn rest(
    server: &'static ServerShared,
    mut threads: Threads,
    asked: Asked,
) -> Result<Resting, Threads> {
    let Asked { patience, told, refused } = asked;
    let rested_ns = board::monotonic_ns();
    let rests = threads.rest(Instant::now() + patience);
    let outcome = match rests {
        true => may_be(server).and_then(|()| told()),
        false => {
            let text =
                format!("a command runs for longer than {patience:?}; nobody was disconnected");
            Err(Refusal::new(Code::Busy, text))
        }
    };
    match outcome {
        Ok(told) => Ok(Resting { threads, told, rested_ns, _asker: refused }),
        Err(refusal) => {
            if rests {
                threads.go_on();
            }
            // Who has asked may be gone.
            let _ = refused.send(refusal);
            Err(threads)
        }
    }
}

/// Whether all there is lies in the arena, of a server whose threads may rest.
///
/// # Errors
/// `busy`: something goes on that does not.
pub fn may_be(server: &ServerShared) -> Result<(), Refusal> {
    let shared = server.roots_shared();
    let busy = |what: &str| Err(Refusal::new(Code::Busy, what));
    if shared.loading.stage.load(SeqCst) != stage::NONE {
        return busy("data is being loaded");
    }
    if shared.snapshot.phase.load(SeqCst) != phase::NONE || saving::is_under_way() {
        return busy("a snapshot is being written");
    }
    if server.aof().state.load(SeqCst) == abi::aof::state::WAITING {
        return busy("the append-only log has just been turned on, and has yet to be begun");
    }
    if server.aof().errno.load(SeqCst) != 0 {
        return busy("the append-only log cannot be written; its log lines say why");
    }
    Ok(())
}

impl Resting {
    /// Leaves everything to the next server. Nobody but the caller is left to change anything.
    pub(super) fn hand_over(self) -> ! {
        let Self { threads, told, rested_ns, .. } = self;
        close(threads);
        if let Some(board) = board::get() {
            board.note_own(Own::Carried, told);
            board.hands_over(rested_ns);
        }
        // SAFETY: ends the process at once: sockets stay open, and nothing is done in the name of who
        // goes on.
        unsafe { libc::_exit(0) }
    }
}

/// Has all that is on its way arrive, and leaves the arena whole, with all clients in it. This process
/// may not use it any more.
pub fn close(threads: Threads) {
    let mut workers = threads.into_workers();
    // The calling thread may be a lane; another can be each of them.
    let closing = thread::Builder::new().spawn(move || {
        hand_over::settle(&mut workers);
        aof::finish();
        hand_over::settle(&mut workers);
        workers.into_iter().for_each(|worker| worker.leave());
    });
    let closed = closing.map(thread::JoinHandle::join);
    arena::flush();
    match closed {
        Ok(Ok(())) => arena::closing::close(),
        // Whoever goes on finds it as after a crash.
        Ok(Err(_)) => tracing::error!("what was on its way has not all arrived"),
        Err(error) => tracing::error!(%error, "there is no thread to leave everything whole with"),
    }
}
