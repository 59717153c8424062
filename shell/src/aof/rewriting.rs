//! What the log's writer, a rewriting and whoever changes settings have to agree on.
//!
//! A rewriting is a snapshot that is to be the next base. It begins at a position of the stream, the
//! *mark*, which is known before any effect behind it is in the stream. The writer goes on in another
//! increment from there, and once the base is whole and safe the two take the place of all that was
//! before. Whatever fails on the way, the files that the manifest names are the log as it was.
#![forbid(unsafe_code)]

use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use abi::aof::{Aof, state};

use super::files::{Files, FilesError};
use crate::saving::disk::{Disk, Output};
use crate::saving::write::Plan;

/// How long the writer waits after an error before it tries again.
const RETRY: Duration = Duration::from_millis(if cfg!(test) { 1 } else { 100 });

/// No mark.
const NONE: u64 = 0;

/// How the log goes on behind a base that is being written.
#[derive(Clone, Debug, PartialEq, Eq)]
enum GoesOn {
    /// There is no log: the base is all there is of it.
    Not,
    /// The writer has not come to the mark.
    NotYet,
    /// With the increments from this number on.
    From(u64),
    /// With the first increment of a log that begins.
    First,
    /// It does not.
    Failed(String),
}

/// A rewriting under way.
struct Rewriting {
    base: (String, u64),
    goes_on: GoesOn,
}

/// What is behind the lock.
struct Control {
    /// Whether there is to be a log.
    is_wanted: bool,
    /// Whether the process is about to end.
    is_ending: bool,
    /// How often it was turned off.
    times_off: u64,
    /// Whether the writer has joined the stream.
    is_joined: bool,
    /// How often it had been turned off when it did.
    joined_after: u64,
    /// The files, once they were looked at.
    files: Option<Files>,
    rewriting: Option<Rewriting>,
}

/// A log, whether it is on or not.
pub struct Log {
    disk: Arc<dyn Disk>,
    told: &'static Aof,
    control: Mutex<Control>,
    changed: Condvar,
    /// For who must not wait for the lock: 1 more than how often the log was turned off, while it is to
    /// be written; else 0.
    wanted_after: AtomicU64,
    /// 1 more than the position at which the rewriting under way begins; 0: none is known.
    mark: AtomicU64,
    /// The position at which the last rewriting began.
    marked: AtomicU64,
    /// 1 more than the position of the last rewriting that came to its end; 0: none has.
    rewritten_from: AtomicU64,
    /// Called with whether the log cannot be written, when that changes.
    tell_failing: fn(bool),
}

/// Why no rewriting has begun.
#[derive(Debug, thiserror::Error)]
pub enum BeginError {
    /// One is under way.
    #[error("one is under way, or the log is just beginning")]
    IsUnderWay,
    /// The files cannot be used.
    #[error(transparent)]
    Files(#[from] FilesError),
}

impl Log {
    /// One that is off. `tell_failing` is called when it can no longer be written, and when it can
    /// again.
    pub fn new(disk: Arc<dyn Disk>, told: &'static Aof, tell_failing: fn(bool)) -> Self {
        let control = Control {
            is_wanted: false,
            is_ending: false,
            times_off: 0,
            is_joined: false,
            joined_after: 0,
            files: None,
            rewriting: None,
        };
        Self {
            disk,
            told,
            control: Mutex::new(control),
            changed: Condvar::new(),
            wanted_after: AtomicU64::new(0),
            mark: AtomicU64::new(NONE),
            marked: AtomicU64::new(0),
            rewritten_from: AtomicU64::new(NONE),
            tell_failing,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Control> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is told of it.
    pub fn told(&self) -> &'static Aof {
        self.told
    }

    /// The files, looked at if they were not yet.
    fn files<'a>(
        &self,
        control: &'a mut Control,
        place: &(PathBuf, String),
    ) -> Result<&'a mut Files, FilesError> {
        if control.files.is_none() {
            control.files = Some(Files::open(Arc::clone(&self.disk), &place.0, &place.1)?);
        }
        Ok(control.files.as_mut().expect("it was put there"))
    }

    /// Takes over files that were loaded.
    pub fn take_files(&self, files: Files) {
        self.lock().files = Some(files);
    }

    /// Turns the log on, whose files are in this folder and begin with this name. `has_all`: what it
    /// has is all there is; else it begins with a base that is yet to be written.
    ///
    /// Returns whether a rewriting was under way, whose base is to be dropped.
    ///
    /// # Errors
    /// The files cannot be used.
    pub fn turn_on(&self, place: &(PathBuf, String), has_all: bool) -> Result<bool, FilesError> {
        let mut control = self.lock();
        if control.is_wanted {
            return Ok(false);
        }
        if !has_all {
            // They may lie elsewhere than the last time.
            control.files = None;
        }
        self.files(&mut control, place)?;
        let was_rewriting = give_up(&mut control, "the log was turned on");
        control.is_wanted = true;
        self.wanted_after.store(control.times_off + 1, Ordering::SeqCst);
        self.told.state.store(if has_all { state::ON } else { state::WAITING }, Ordering::SeqCst);
        self.changed.notify_all();
        Ok(was_rewriting)
    }

    /// Turns it off. Returns whether a rewriting was under way, whose base is to be dropped.
    pub fn turn_off(&self) -> bool {
        let mut control = self.lock();
        control.is_wanted = false;
        control.is_joined = false;
        control.times_off += 1;
        self.wanted_after.store(0, Ordering::SeqCst);
        self.told.state.store(state::OFF, Ordering::SeqCst);
        self.told.wanted.store(0, Ordering::SeqCst);
        let was_rewriting = give_up(&mut control, "the log was turned off");
        self.changed.notify_all();
        was_rewriting
    }

    /// The process is about to end: the writer writes what there is, and ends.
    pub fn end(&self) {
        let mut control = self.lock();
        control.is_ending = true;
        self.wanted_after.store(0, Ordering::SeqCst);
        give_up(&mut control, "the server stops");
        self.changed.notify_all();
    }

    /// Whether it is to be written that was wanted when it had been turned off so often.
    pub fn is_wanted(&self, times_off: u64) -> bool {
        self.wanted_after.load(Ordering::SeqCst) == times_off + 1
    }

    /// Waits until it is to be written. Returns how often it was turned off before; none: it will be
    /// written no more.
    pub fn wait_until_wanted(&self) -> Option<u64> {
        let is_idle = |control: &mut Control| !control.is_wanted && !control.is_ending;
        let waited = self.changed.wait_while(self.lock(), is_idle);
        let control = waited.unwrap_or_else(PoisonError::into_inner);
        (!control.is_ending).then_some(control.times_off)
    }

    /// The writer has joined the stream, for a log that was wanted when it had been turned off so
    /// often: from here on it comes to every mark.
    pub fn join(&self, times_off: u64) {
        let mut control = self.lock();
        control.is_joined = control.times_off == times_off;
        control.joined_after = times_off;
    }

    /// It leaves the stream: no rewriting can rely on it any more.
    pub fn leave(&self) {
        let mut control = self.lock();
        control.is_joined = false;
        if control.rewriting.as_ref().is_some_and(|rewriting| rewriting.goes_on != GoesOn::Not) {
            give_up(&mut control, "the log was left");
            self.changed.notify_all();
        }
    }

    /// Opens the increment with which a log goes on that has all there is.
    pub fn go_on(&self) -> Result<Option<Box<dyn Output>>, FilesError> {
        let mut control = self.lock();
        if self.told.state.load(Ordering::SeqCst) != state::ON {
            return Ok(None);
        }
        let Some(files) = &mut control.files else { return Ok(None) };
        let increment = files.go_on()?;
        self.told.bytes.store(files.bytes(), Ordering::Relaxed);
        self.told.base_bytes.store(files.base_bytes(), Ordering::Relaxed);
        Ok(Some(increment.output))
    }

    // What the writer asks.

    /// Where a rewriting begins, whose mark was not passed.
    pub fn mark(&self) -> Option<u64> {
        self.mark.load(Ordering::Acquire).checked_sub(1)
    }

    /// The writer has come to the mark: the increment with which it goes on, if it does.
    pub fn begin_increment(&self, position: u64) -> Option<Box<dyn Output>> {
        let mut control = self.lock();
        // Taken once, whatever becomes of it.
        let is_current = self.mark.swap(NONE, Ordering::AcqRel) == position + 1;
        let Control { files: Some(files), rewriting: Some(rewriting), .. } = &mut *control else {
            return None;
        };
        if !is_current || rewriting.goes_on != GoesOn::NotYet {
            return None;
        }
        let begun = match self.told.state.load(Ordering::SeqCst) {
            state::ON => files.begin_increment().map(|new| (new.output, GoesOn::From(new.number))),
            _ => files.begin_first().map(|output| (output, GoesOn::First)),
        };
        let (output, goes_on) = match begun {
            Ok((output, goes_on)) => (Some(output), goes_on),
            Err(error) => (None, GoesOn::Failed(error.to_string())),
        };
        rewriting.goes_on = goes_on;
        self.changed.notify_all();
        output
    }

    /// The writer could not write. Tells whether it is to try again, after a pause.
    pub fn goes_on_after(&self, error: &io::Error) -> bool {
        self.cannot_write(error);
        let control = self.lock();
        // It may have been turned off and on again: then another goes on.
        let goes_on = |control: &mut Control| {
            control.is_wanted && !control.is_ending && control.times_off == control.joined_after
        };
        let waited = self.changed.wait_timeout_while(control, RETRY, goes_on);
        let (mut control, _) = waited.unwrap_or_else(PoisonError::into_inner);
        goes_on(&mut control)
    }

    /// Notes that the log cannot be written, or not be synced.
    pub fn cannot_write(&self, error: &io::Error) {
        // What the system gives no number for is an error of input and output.
        let errno = error.raw_os_error().unwrap_or(rustix::io::Errno::IO.raw_os_error()) as u32;
        if self.told.errno.swap(errno, Ordering::SeqCst) == 0 {
            tracing::error!(
                %error,
                "cannot write the append-only log: commands that write are refused until it can be \
                 written; check the folder's disk"
            );
            (self.tell_failing)(true);
        }
    }

    /// Notes that it can be written, and, unless `is_believed` is missing, relied on.
    pub fn can_write(&self, is_believed: bool) {
        let errno = &self.told.errno;
        if is_believed && errno.load(Ordering::Relaxed) != 0 && errno.swap(0, Ordering::SeqCst) != 0
        {
            tracing::info!("the append-only log can be written again");
            (self.tell_failing)(false);
        }
    }

    /// The position of the last rewriting that came to its end.
    pub fn rewritten_from(&self) -> Option<u64> {
        self.rewritten_from.load(Ordering::Acquire).checked_sub(1)
    }

    /// Has the log rewritten, if that is not under way.
    pub fn want_rewriting(&self) {
        if self.lock().rewriting.is_none() {
            self.told.wanted.store(1, Ordering::SeqCst);
        }
    }

    /// Whether a log that has no base yet waits for another rewriting than the one whose increment
    /// it writes.
    pub fn has_lost_first(&self) -> bool {
        if self.told.state.load(Ordering::SeqCst) != state::WAITING {
            return false;
        }
        let control = self.lock();
        let goes_on = control.rewriting.as_ref().map(|rewriting| &rewriting.goes_on);
        self.told.state.load(Ordering::SeqCst) == state::WAITING && goes_on != Some(&GoesOn::First)
    }

    // What a rewriting does.

    /// Begins a rewriting: how its base is to be written, whose name ends in `ending`.
    pub fn begin_rewriting(
        &self,
        place: &(PathBuf, String),
        ending: &str,
        sync_bytes: u64,
    ) -> Result<Plan, BeginError> {
        let mut control = self.lock();
        let is_on = control.is_wanted;
        if control.rewriting.is_some() || is_on && !control.is_joined {
            return Err(BeginError::IsUnderWay);
        }
        let files = self.files(&mut control, place)?;
        let base = files.next_base(ending);
        let plan = files.plan(&base.0, sync_bytes);
        let goes_on = if is_on { GoesOn::NotYet } else { GoesOn::Not };
        self.mark.store(NONE, Ordering::Release);
        control.rewriting = Some(Rewriting { base, goes_on });
        Ok(plan)
    }

    /// The rewriting is of this moment: where the stream ends now.
    pub fn set_mark(&self, position: u64) {
        self.marked.store(position, Ordering::Release);
        self.mark.store(position + 1, Ordering::Release);
    }

    /// The base is not to be had.
    pub fn drop_rewriting(&self) {
        let mut control = self.lock();
        control.rewriting = None;
        self.mark.store(NONE, Ordering::Release);
        if let Some(files) = control.files.as_ref()
            && self.told.state.load(Ordering::SeqCst) == state::WAITING
        {
            files.remove_first();
        }
    }

    /// The base is whole and safe: it takes the place of what was before, as soon as the log goes on
    /// behind it.
    ///
    /// # Errors
    /// Why it does not. Then the log is as it was.
    pub fn install(&self) -> Result<(), String> {
        let mut control = self.lock();
        let is_awaited = |control: &mut Control| {
            let goes_on = control.rewriting.as_ref().map(|rewriting| &rewriting.goes_on);
            goes_on == Some(&GoesOn::NotYet)
        };
        let waited = self.changed.wait_while(control, is_awaited);
        control = waited.unwrap_or_else(PoisonError::into_inner);
        let rewriting = control.rewriting.take().ok_or("it was given up")?;
        let files = control.files.as_mut().ok_or("it was given up")?;
        let name = rewriting.base.0.clone();
        let installed = match rewriting.goes_on {
            GoesOn::Failed(why) => Err(why),
            GoesOn::From(number) => told(files.rebase(rewriting.base, number)),
            GoesOn::Not | GoesOn::NotYet => told(files.rebase(rewriting.base, u64::MAX)),
            GoesOn::First => told(files.rebase_on_first(rewriting.base).map(drop)),
        };
        if installed.is_err() {
            files.remove_unnamed(&name);
            return installed;
        }
        let bytes = files.bytes();
        self.told.bytes.store(bytes, Ordering::Relaxed);
        self.told.base_bytes.store(bytes, Ordering::Relaxed);
        self.rewritten_from.store(self.marked.load(Ordering::Acquire) + 1, Ordering::Release);
        if self.told.state.load(Ordering::SeqCst) == state::WAITING && control.is_wanted {
            self.told.state.store(state::ON, Ordering::SeqCst);
            tracing::info!("the append-only log is on");
        }
        Ok(())
    }
}

fn told<T>(outcome: Result<T, FilesError>) -> Result<T, String> {
    outcome.map_err(|error| error.to_string())
}

/// Gives the rewriting under way up. Tells whether there was one.
fn give_up(control: &mut Control, why: &str) -> bool {
    match &mut control.rewriting {
        Some(rewriting) => {
            rewriting.goes_on = GoesOn::Failed(why.to_owned());
            true
        }
        None => false,
    }
}
