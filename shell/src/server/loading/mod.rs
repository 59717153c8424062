//! Loading the data at the start: the background threads take pieces of the file until none is left.
//! Clients are accepted meanwhile, and told that they have to wait; who waits for the server to be
//! ready hears of it at the end.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use abi::container::RawBytes;
use abi::status::Status;

use super::{ServeError, take_text};
use crate::arena;
use crate::logic::generation::Online;
use crate::worker::shared::ServerShared;

/// Has logic begin to load what there is. Tells whether there is anything.
///
/// # Errors
/// There is something that cannot be loaded.
pub fn begin(lane: u32) -> Result<bool, ServeError> {
    let mut error = RawBytes::EMPTY;
    let status = Online::enter(lane).generation().load_begin(lane, &mut error);
    let reason = take_text(error);
    match status {
        Status::OK => Ok(true),
        Status::NOT_FOUND => Ok(false),
        other => Err(ServeError::Data(told(other, reason))),
    }
}

/// Why loading has ended.
fn told(status: Status, reason: String) -> String {
    match status {
        Status::FAILED => reason,
        Status::NO_MEMORY => "the arena is full: give the server more address space, or the file \
                              of its arena more space on disk"
            .to_owned(),
        Status(number) => format!("the logic failed (status {number}); its log lines say why"),
    }
}

/// What is done when all is loaded.
type WhenDone = Box<dyn FnOnce() + Send>;

/// The threads that load.
pub struct Loader {
    server: &'static ServerShared,
    /// Threads that have not ended their work yet.
    at_work: AtomicU32,
    failed: OnceLock<String>,
    when_done: Mutex<Option<WhenDone>>,
}

impl Loader {
    /// Loading by so many threads has begun.
    pub fn new(server: &'static ServerShared, threads: u32, when_done: WhenDone) -> Self {
        Self {
            server,
            at_work: AtomicU32::new(threads),
            failed: OnceLock::new(),
            when_done: Mutex::new(Some(when_done)),
        }
    }

    /// Loads as lane `lane`, to which the thread is bound, until there is nothing left to do for it.
    /// Each thread does this once. Between pieces it looks after jobs.
    pub fn work(&self, lane: u32) {
        while self.goes_on() {
            self.server.jobs().run_one(lane);
            let status = Online::enter(lane).generation().load_piece(lane);
            match status {
                Status::OK => {}
                Status::NOT_FOUND => break,
                other => self.fail(told(other, String::new())),
            }
        }
        arena::flush();
        if self.at_work.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.end(lane);
        }
    }

    fn goes_on(&self) -> bool {
        !self.server.is_stopping() && self.failed.get().is_none()
    }

    /// All threads are done.
    fn end(&self, lane: u32) {
        if !self.goes_on() {
            return;
        }
        let mut error = RawBytes::EMPTY;
        let status = Online::enter(lane).generation().load_end(lane, &mut error);
        let reason = take_text(error);
        if !status.is_ok() {
            return self.fail(told(status, reason));
        }
        let when_done = self.when_done.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(when_done) = when_done {
            when_done();
        }
    }

    /// The server does not go on without its data.
    fn fail(&self, reason: String) {
        tracing::error!("cannot load the data: {reason}");
        // Who was first has said why.
        let _ = self.failed.set(reason);
        self.server.ask_to_stop(true);
    }

    /// How it has ended, once its threads have.
    pub fn outcome(&self) -> Result<(), ServeError> {
        self.failed.get().map_or(Ok(()), |reason| Err(ServeError::Data(reason.clone())))
    }
}
