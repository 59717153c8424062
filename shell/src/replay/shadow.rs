//! A shadow: a version that runs a share of the live commands beside the one that serves.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::Task;
use super::parent::Replay;
use super::tally::Tally;
use crate::capture::{Capture, Counted, Wanted};
use crate::logic::image::Image;
use crate::priority;
use crate::refusal::{Code, Refusal};

/// How long the thread waits for more, and for its process.
const TURN: Duration = Duration::from_millis(5);
/// Bytes that wait for the process; until it has taken some, no more are fetched.
const PENDING_MAX: usize = 4 << 20;

/// What has become of it.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// What came of the commands.
    pub tally: Tally,
    /// What was captured, and what not.
    pub counted: Counted,
    /// Whether commands are captured for it by now.
    pub is_open: bool,
    /// That it has ended: well, or why not.
    pub ended: Option<Result<(), Refusal>>,
}

/// The shadow. It ends when this is dropped.
pub struct Shadow {
    capture: Arc<Capture>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    /// No more commands are wanted: what is there is run, and then it is over.
    is_ending: AtomicBool,
    /// Nobody wants to know any more.
    is_dropped: AtomicBool,
    seen: Mutex<Seen>,
}

impl Shared {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shadow {
    /// Starts one of an image that has passed its trial, run by `program`.
    ///
    /// # Errors
    /// As [`Capture::begin`]; `io` if there is no thread.
    pub fn start(
        program: PathBuf,
        image: Arc<Image>,
        wanted: &Wanted,
        task: Task,
    ) -> Result<Self, Refusal> {
        let capture = Arc::new(Capture::begin(wanted)?);
        let shared = Arc::new(Shared::default());
        let feeder = Feeder { capture: Arc::clone(&capture), shared: Arc::clone(&shared) };
        let work = move || {
            priority::give_way(priority::LOW);
            feeder.run(&program, &image, task);
        };
        let spawned = std::thread::Builder::new().name("shadow".to_owned()).spawn(work);
        spawned.map_err(|e| Refusal::new(Code::Io, format!("no thread for the shadow: {e}")))?;
        Ok(Self { capture, shared })
    }

    /// What has become of it.
    pub fn look(&self) -> Seen {
        self.shared.seen().clone()
    }

    /// No more commands: what was captured is run, then it ends.
    pub fn end(&self) {
        self.shared.is_ending.store(true, Ordering::Relaxed);
    }
}

impl Drop for Shadow {
    fn drop(&mut self) {
        self.shared.is_dropped.store(true, Ordering::Relaxed);
        self.capture.give_back();
    }
}

/// What its thread works with.
struct Feeder {
    capture: Arc<Capture>,
    shared: Arc<Shared>,
}

impl Feeder {
    fn run(self, program: &std::path::Path, image: &Image, task: Task) {
        let ended = Replay::start(program, image, task).and_then(|mut replay| {
            let fed = self.feed(&mut replay);
            self.note(&replay);
            fed
        });
        self.capture.close();
        self.shared.seen().ended = Some(ended);
    }

    fn feed(&self, replay: &mut Replay) -> Result<(), Refusal> {
        let (mut pending, mut back) = (Vec::new(), Vec::new());
        let mut is_open = false;
        while !self.shared.is_dropped.load(Ordering::Relaxed) {
            if !is_open && replay.is_ready() {
                self.capture.open();
                self.shared.seen().is_open = true;
                is_open = true;
            }
            let is_ending = self.shared.is_ending.load(Ordering::Relaxed) && replay.is_ready();
            if is_ending {
                self.capture.close();
            }
            if pending.len() < PENDING_MAX {
                self.capture.take(&mut pending);
            }
            if is_ending && pending.is_empty() {
                return replay.finish(&mut back);
            }
            replay.turn(&mut pending, &mut back, TURN)?;
            if pending.is_empty() {
                // A report wakes it, too: what has come by then goes together.
                std::thread::sleep(TURN);
            }
            self.note(replay);
        }
        Ok(())
    }

    fn note(&self, replay: &Replay) {
        let counted = self.capture.counted();
        let mut seen = self.shared.seen();
        (seen.counted, seen.tally) = (counted, replay.tally().clone());
    }
}
