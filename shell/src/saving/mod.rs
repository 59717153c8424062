//! Files that logic has written in the background, a part at a time: snapshots.
//!
//! Logic hands bytes over and goes on; a thread of the file's own writes them, so that a slow disk
//! holds up neither a worker nor a generation that is to retire. Logic is asked to pause by what is
//! queued, and told by a job when to go on.

pub mod disk;
#[cfg(test)]
pub mod faulty;
#[cfg(test)]
mod tests;
pub mod write;

use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use abi::container::RawBytes;
use abi::host::{Saving, SavingInfo, saving as state};
use abi::job::Job;
use abi::status::Status;
use abi_stable::std_types::RSlice;

use crate::client::open::bytes_of;
use crate::worker::shared;
use disk::FileSystem;
use write::{Plan, Unfinished, WriteError};

/// Queued bytes below which logic is told that there is room again.
const ROOM_BYTES: usize = 4 << 20;
/// How long the end of the process waits for what is left of a file to be removed.
const DROP_MAX: Duration = Duration::from_secs(2);

/// What becomes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// There is more to come.
    Open,
    /// It is whole.
    Keep,
    /// Nobody wants it.
    Drop,
}

/// What logic and the thread know of a file.
struct Progress {
    queue: Vec<u8>,
    /// Bytes that the thread has taken and not written yet.
    in_hand: usize,
    written: u64,
    end: End,
    outcome: Option<Result<(), String>>,
}

/// A file that is being written.
struct Work {
    progress: Mutex<Progress>,
    changed: Condvar,
    job: Job,
}

impl Work {
    fn new(job: Job) -> Self {
        let progress =
            Progress { queue: Vec::new(), in_hand: 0, written: 0, end: End::Open, outcome: None };
        Self { progress: Mutex::new(progress), changed: Condvar::new(), job }
    }

    fn lock(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes the file and has done what is to be done with it when it is whole.
    fn run(&self, file: Box<dyn Target>, then: Then) -> Result<(), String> {
        let outcome = self.finish(file).map_err(|error| error.to_string());
        if matches!(outcome, Ok(true)) {
            return (then.when_whole)();
        }
        (then.when_not)(outcome.as_ref().err().map(String::as_str));
        outcome.map(drop)
    }

    /// Writes the file. Tells whether it is there.
    fn finish(&self, mut file: Box<dyn Target>) -> Result<bool, WriteError> {
        let is_whole = self.write(&mut *file)?;
        if is_whole {
            file.finish()?;
        }
        Ok(is_whole)
    }

    /// Writes what comes until the end. Tells whether the file is to be kept.
    fn write(&self, file: &mut dyn Target) -> Result<bool, WriteError> {
        let mut part = Vec::new();
        loop {
            let end = self.take(&mut part);
            match end {
                End::Drop => return Ok(false),
                End::Keep if part.is_empty() => return Ok(true),
                End::Open | End::Keep => file.append(&part)?,
            }
        }
    }

    /// Waits for something to do, and takes what is queued in the place of what has been written.
    fn take(&self, part: &mut Vec<u8>) -> End {
        let mut progress = self.lock();
        progress.written += part.len() as u64;
        progress.in_hand = 0;
        part.clear();
        while progress.queue.is_empty() && progress.end == End::Open {
            progress = self.changed.wait(progress).unwrap_or_else(PoisonError::into_inner);
        }
        let had_too_much = progress.queue.len() > ROOM_BYTES;
        std::mem::swap(part, &mut progress.queue);
        progress.in_hand = part.len();
        let end = progress.end;
        drop(progress);
        if had_too_much {
            self.tell();
        }
        end
    }

    /// Has logic look.
    fn tell(&self) {
        if let Some(server) = shared::get() {
            // Refused only once the server stops.
            server.jobs().submit(self.job);
        }
    }

    fn conclude(&self, outcome: Result<(), String>) {
        let mut progress = self.lock();
        progress.queue = Vec::new();
        progress.in_hand = 0;
        progress.outcome = Some(outcome);
        drop(progress);
        self.changed.notify_all();
        self.tell();
    }

    fn end(&self, end: End) {
        let mut progress = self.lock();
        if progress.end == End::Open {
            progress.end = end;
            self.changed.notify_all();
        }
    }

    fn info(&self) -> (SavingInfo, String) {
        let progress = self.lock();
        let (state, error) = match (&progress.outcome, progress.end) {
            (Some(Err(error)), _) => (state::FAILED, error.clone()),
            (Some(Ok(())), End::Keep) => (state::DONE, String::new()),
            (Some(Ok(())), _) => (state::NONE, String::new()),
            (None, _) => (state::UNDER_WAY, String::new()),
        };
        let queued_bytes = (progress.queue.len() + progress.in_hand) as u64;
        let written_bytes = progress.written;
        (SavingInfo { state, queued_bytes, written_bytes, ..SavingInfo::default() }, error)
    }
}

/// The file under way, or the last.
static WORK: Mutex<Option<Arc<Work>>> = Mutex::new(None);

fn current() -> MutexGuard<'static, Option<Arc<Work>>> {
    WORK.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What is written to, from its beginning to its end. Dropped before that, it is removed.
pub trait Target: Send {
    /// Appends bytes.
    fn append(&mut self, bytes: &[u8]) -> Result<(), WriteError>;
    /// Makes what was appended safe, and gives it its name.
    fn finish(self: Box<Self>) -> Result<(), WriteError>;
}

impl Target for Unfinished<'_> {
    fn append(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        Unfinished::append(self, bytes)
    }

    fn finish(self: Box<Self>) -> Result<(), WriteError> {
        Unfinished::finish(*self)
    }
}

/// Called when a file is not to be had, with the reason if it has failed.
pub type WhenNot = Box<dyn FnOnce(Option<&str>) + Send>;

/// What is done when a file is at its end, before that is told.
pub struct Then {
    /// It is whole, safe and has its name.
    pub when_whole: Box<dyn FnOnce() -> Result<(), String> + Send>,
    /// It has failed, or nobody wants it.
    pub when_not: WhenNot,
}

impl Then {
    /// Nothing.
    fn nothing() -> Self {
        Self { when_whole: Box::new(|| Ok(())), when_not: Box::new(|_| ()) }
    }
}

/// See [`abi::host::Host::save_begin`].
pub extern "C" fn begin(saving: &Saving<'_>, error: &mut RawBytes) -> Status {
    let plan = plan(Path::new(saving.path.as_str()), saving.sync_bytes);
    told(start(plan, saving.job, Then::nothing()), error)
}

/// How a beginning is told to logic.
pub fn told(begun: Result<bool, String>, error: &mut RawBytes) -> Status {
    match begun {
        Ok(true) => Status::OK,
        Ok(false) => Status::REFUSED,
        Err(text) => {
            // Without memory for the text the status must do.
            *error = bytes_of(text.as_bytes()).unwrap_or(RawBytes::EMPTY);
            Status::FAILED
        }
    }
}

/// How a file is written that has this path now: the working directory may be another by the time
/// it gets its name.
fn plan(path: &Path, sync_bytes: u64) -> Plan {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.into());
    let name = format!("temp-{}.rdb", std::process::id());
    Plan { temporary: path.with_file_name(name), path, sync_bytes }
}

/// Begins to write a file, and says what is done at its end. Tells whether it does: not
/// while another is being written.
///
/// # Errors
/// The file cannot be made, or there is no thread to write it.
pub fn start(plan: Plan, job: Job, then: Then) -> Result<bool, String> {
    start_with(|| Ok(Box::new(Unfinished::create(&FileSystem, plan)?)), job, then)
}

/// As [`start`], of what `make` makes.
///
/// # Errors
/// It cannot be made, or there is no thread to write it.
pub fn start_with(
    make: impl FnOnce() -> Result<Box<dyn Target>, WriteError>,
    job: Job,
    then: Then,
) -> Result<bool, String> {
    let mut current = current();
    if current.as_ref().is_some_and(|work| work.lock().outcome.is_none()) {
        return Ok(false);
    }
    let file = make().map_err(|error| error.to_string())?;
    let work = Arc::new(Work::new(job));
    let of_thread = Arc::clone(&work);
    let body = move || of_thread.conclude(of_thread.run(file, then));
    let thread = thread::Builder::new().name("saving".to_owned()).spawn(body);
    thread.map_err(|error| format!("cannot start a thread that writes the file: {error}"))?;
    *current = Some(work);
    Ok(true)
}

/// See [`abi::host::Host::save_append`].
pub extern "C" fn append(bytes: RSlice<'_, u8>) -> Status {
    let Some(work) = current().clone() else { return Status::REFUSED };
    let mut progress = work.lock();
    if progress.outcome.is_some() || progress.end != End::Open {
        return Status::REFUSED;
    }
    progress.queue.extend_from_slice(bytes.as_slice());
    work.changed.notify_all();
    Status::OK
}

/// See [`abi::host::Host::save_end`].
pub extern "C" fn end(keep: u32) {
    if let Some(work) = &*current() {
        work.end(if keep != 0 { End::Keep } else { End::Drop });
    }
}

/// See [`abi::host::Host::save_info`].
pub extern "C" fn info(error: &mut RawBytes) -> SavingInfo {
    *error = RawBytes::EMPTY;
    let Some(work) = current().clone() else { return SavingInfo::default() };
    let (info, text) = work.info();
    if !text.is_empty() {
        *error = bytes_of(text.as_bytes()).unwrap_or(RawBytes::EMPTY);
    }
    info
}

/// Whether a file is being written.
pub fn is_under_way() -> bool {
    current().as_ref().is_some_and(|work| work.lock().outcome.is_none())
}

/// Drops a file that is still being written, soon.
pub fn give_up_soon() {
    if let Some(work) = current().clone() {
        work.end(End::Drop);
    }
}

/// Drops a file that is still being written, for the process is about to end.
pub fn give_up() {
    let Some(work) = current().clone() else { return };
    work.end(End::Drop);
    let progress = work.lock();
    let is_under_way = |progress: &mut Progress| progress.outcome.is_none();
    drop(work.changed.wait_timeout_while(progress, DROP_MAX, is_under_way));
}
