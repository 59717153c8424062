//! Loading the data at the start: the background threads take pieces of the file until none is left.
//! Clients are accepted meanwhile, and told that they have to wait; who waits for the server to be
//! ready hears of it at the end.
//!
//! A log is loaded file by file: a base as any file of data, and then its commands, by one thread.

mod commands;
mod replies;

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use abi::config::id;
use abi::container::RawBytes;
use abi::loading::stage;
use abi::shared::attention;
use abi::status::Status;

use super::{ServeError, take_text};
use crate::aof;
use crate::aof::load::Found;
use crate::arena;
use crate::arena::futex::ThisThread;
use crate::client::limits::{number, text};
use crate::logic::roster::Online;
use crate::worker::clock;
use crate::worker::shared::ServerShared;

/// Begins to load what there is: the log if the settings ask for one, else the file of data. None:
/// there is nothing.
///
/// # Errors
/// There is something that cannot be loaded.
pub fn begin(
    server: &'static ServerShared,
    threads: u32,
    when_done: WhenDone,
) -> Result<Result<Loader, WhenDone>, ServeError> {
    if !aof::is_asked_for(server.config()) {
        return Ok(match begin_data(server.workers())? {
            true => Ok(Loader::new(server, threads, when_done, None)),
            false => Err(when_done),
        });
    }
    let found = aof::load::find(aof::disk(), &aof::place(server.config()));
    let found = found.map_err(|error| ServeError::Data(error.to_string()))?;
    if found.paths.is_empty() {
        warn_of_data(server);
        aof::go_on(server, found.files).map_err(ServeError::Data)?;
        return Ok(Err(when_done));
    }
    set_loading(server, true);
    if is_data(&found.paths[0])? {
        begin_part(server.workers(), &found.paths[0])?;
    }
    Ok(Ok(Loader::new(server, threads, when_done, Some(found))))
}

/// A file of data is not loaded where there is to be a log.
fn warn_of_data(server: &ServerShared) {
    let name = text(server.config(), id::DBFILENAME);
    if std::fs::exists(&name).unwrap_or(false) {
        tracing::warn!(
            file = %name,
            "appendonly is on and there is no append-only log: the file of data is not loaded. To begin \
             a log with it, start without appendonly, and then send CONFIG SET appendonly yes"
        );
    }
}

/// Whether a file begins as one of data does.
fn is_data(path: &Path) -> Result<bool, ServeError> {
    let mut begin = [0; 9];
    let read = File::open(path).and_then(|mut file| file.read(&mut begin));
    let read = read.map_err(|error| ServeError::Data(format!("{}: {error}", path.display())))?;
    Ok(begin[..read].starts_with(b"REDIS") || begin[..read].starts_with(b"VALKEY"))
}

/// Has logic begin to load a file of a log.
fn begin_part(lane: u32, path: &Path) -> Result<(), ServeError> {
    let mut error = RawBytes::EMPTY;
    let path = path.to_string_lossy();
    let status = Online::enter(lane).generation().load_file(lane, &path, &mut error);
    let reason = take_text(error);
    match status {
        Status::OK => Ok(()),
        Status::NOT_FOUND => Err(ServeError::Data(format!("{path} is not there"))),
        other => Err(ServeError::Data(told(other, reason))),
    }
}

/// Whether commands that need the data are refused.
fn set_loading(server: &ServerShared, is_loading: bool) {
    let (loading, word) = (&server.roots_shared().loading, &server.roots_shared().attention);
    if is_loading {
        loading.started_ms.store(clock::unix_ms(), Ordering::Relaxed);
        loading.stage.store(stage::LOADING, Ordering::SeqCst);
        word.fetch_or(attention::LOADING, Ordering::SeqCst);
    } else {
        loading.is_part.store(0, Ordering::SeqCst);
        word.fetch_and(!attention::LOADING, Ordering::SeqCst);
        loading.stage.store(stage::NONE, Ordering::SeqCst);
    }
}

/// Has logic begin to load the file of data. Tells whether there is one.
///
/// # Errors
/// There is something that cannot be loaded.
fn begin_data(lane: u32) -> Result<bool, ServeError> {
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

/// Has logic end the loading of a file of data.
fn end_data(lane: u32) -> Result<(), String> {
    let mut error = RawBytes::EMPTY;
    let status = Online::enter(lane).generation().load_end(lane, &mut error);
    let reason = take_text(error);
    if status.is_ok() { Ok(()) } else { Err(told(status, reason)) }
}

/// Where the records of the file end that was loaded, and its checksum.
fn end_of_records(server: &ServerShared) -> usize {
    /// The version from which on there is a checksum.
    const CHECKSUM_SINCE: u32 = 5;
    let next = server.roots_shared().loading.next.lock(ThisThread);
    next.end as usize + if next.version >= CHECKSUM_SINCE { size_of::<u64>() } else { 0 }
}

/// What is done when all is loaded.
pub type WhenDone = Box<dyn FnOnce() + Send>;

/// The threads that load.
pub struct Loader {
    server: &'static ServerShared,
    /// Threads that have not ended their work yet.
    at_work: AtomicU32,
    failed: OnceLock<String>,
    when_done: Mutex<Option<WhenDone>>,
    /// The log, if that is what is loaded.
    found: Mutex<Option<Found>>,
}

impl Loader {
    /// Loading by so many threads has begun.
    fn new(
        server: &'static ServerShared,
        threads: u32,
        when_done: WhenDone,
        found: Option<Found>,
    ) -> Self {
        Self {
            server,
            at_work: AtomicU32::new(threads),
            failed: OnceLock::new(),
            when_done: Mutex::new(Some(when_done)),
            found: Mutex::new(found),
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
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner).take();
        let outcome = match found {
            Some(found) => self.end_log(lane, found),
            None => end_data(lane).map(|()| true),
        };
        match outcome {
            Ok(true) => {}
            Ok(false) => return,
            Err(reason) => return self.fail(reason),
        }
        let when_done = self.when_done.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(when_done) = when_done {
            when_done();
        }
    }

    /// All threads are done with the base, if it is a file of data: loads all else there is. Tells
    /// whether the server goes on.
    fn end_log(&self, lane: u32, found: Found) -> Result<bool, String> {
        let Found { files, paths } = found;
        let is_cut_allowed = number(self.server.config(), id::AOF_LOAD_TRUNCATED) != 0;
        for (index, path) in paths.iter().enumerate() {
            let from = match index == 0 && is_data(path).map_err(|error| error.to_string())? {
                true => {
                    end_data(lane)?;
                    end_of_records(self.server)
                }
                false => 0,
            };
            let Some(end) = commands::load(self.server, lane, path, from)? else {
                return Ok(false);
            };
            if end.is_cut {
                let (shown, at) = (path.display(), end.valid);
                if index + 1 < paths.len() || !is_cut_allowed {
                    return Err(format!(
                        "{shown}: byte {at}: it ends in the middle of a command or transaction; `shell \
                         check` can save what is before, and aof-load-truncated yes loads that if it is \
                         the last file of the log"
                    ));
                }
                tracing::warn!(path = %shown, at, "the log ends in the middle of a command or transaction, \
                     which is left out: the file is cut off there");
                files.truncate(path, at).map_err(|error| error.to_string())?;
            }
        }
        tracing::info!("DB loaded from append only file");
        aof::go_on(self.server, files)?;
        set_loading(self.server, false);
        Ok(true)
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
