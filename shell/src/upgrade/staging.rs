//! The thread that copies, verifies, loads and unloads libraries, one after another.
//!
//! One that hangs is left where it is, and another takes its place: see [`super::limits`].

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use abi::host::HostRef;
use tokio::sync::mpsc::Sender;

use crate::logic::digest::Expected;
use crate::logic::generation::{Counts, Generation};
use crate::logic::image::Image;
use crate::logic::loaded::Unloaded;
use crate::logic::trust::Trusted;
use crate::logic::verify::Verdict;
use crate::logic::verify::parent::Verifier;
use crate::logic::{self, Loaded};
use crate::priority;
use crate::refusal::{Code, Refusal};

use super::audit::Audit;
use super::history::Record;
use super::journal::Keeper;
use super::trials::Trials;

/// Verdicts remembered. Going back and forth between two releases needs two.
const VERDICTS_MAX: usize = 16;
/// Jobs that may wait: one of an upgrade, and the unloading of each retiree.
const JOBS_MAX: usize = 8;

/// Work for the thread.
pub enum Job {
    /// Copy and check the library at a path.
    Stage {
        /// See above.
        path: PathBuf,
        /// The SHA-256 it must have; see [`Expected::of`].
        sha256: Option<String>,
        /// The build id it must have.
        build_id: Option<String>,
        /// Images there are already: the same bytes need not be copied and hashed again.
        held: Vec<Arc<Image>>,
    },
    /// Get an image ready to be loaded once more.
    Again(Arc<Image>),
    /// Try an image out. `fresh`: even if the same bytes passed before.
    Verify {
        /// See above.
        image: Arc<Image>,
        /// See above.
        fresh: bool,
    },
    /// Load an image as the generation with a number.
    Load {
        /// See above.
        image: Arc<Image>,
        /// See above.
        verdict: Arc<Verdict>,
        /// See above.
        number: u64,
        /// Where it counts what it does.
        counts: Counts,
    },
    /// Unload a generation that is out of use.
    Unload(Box<Generation>),
}

/// The end of a job and the time it took.
pub enum Done {
    /// Of [`Job::Stage`] and [`Job::Again`].
    Staged(Result<Arc<Image>, Refusal>, Duration),
    /// Of [`Job::Verify`].
    Verified(Result<Arc<Verdict>, Refusal>, Duration),
    /// Of [`Job::Load`].
    Loaded(Result<Box<Generation>, Refusal>, Duration),
    /// Of [`Job::Unload`], with the generation's number.
    Unloaded(u64, Result<Unloaded, Refusal>, Duration),
}

/// What the thread needs to know.
pub struct Setup {
    /// Handed to every library.
    pub host: HostRef,
    /// Lanes that need a scratch.
    pub lanes: usize,
    /// How libraries are tried out.
    pub verifier: Verifier,
    /// For how long an upgrade is on probation if it does not say.
    pub probation: Duration,
    /// Writes down what serves.
    pub journal: Keeper,
    /// Writes down who asks for what.
    pub audit: Arc<Audit>,
    /// Why the server has started with what it has started with, if that needs saying.
    pub note: Option<String>,
    /// What had happened before, of a server that goes on for another.
    pub history: Option<Vec<Record>>,
}

/// A job that has ended.
pub struct Finished {
    /// The number of the thread that did it.
    pub by: u64,
    /// How it ended.
    pub done: Done,
}

/// The thread, and jobs for it. It ends when this is dropped.
pub struct Stager {
    jobs: SyncSender<Job>,
    staging: Arc<Staging>,
}

impl Stager {
    /// Starts the first thread.
    ///
    /// # Errors
    /// If the system has no thread for it.
    pub fn start(
        host: HostRef,
        lanes: usize,
        verifier: Verifier,
        finished: Sender<Finished>,
    ) -> std::io::Result<Self> {
        let (jobs, arriving) = sync_channel(JOBS_MAX);
        let staging = Arc::new(Staging {
            host,
            lanes,
            trusted: verifier.trusted.clone(),
            trials: Mutex::new(Trials::start(verifier)?),
            verdicts: Mutex::default(),
            arriving: Mutex::new(arriving),
            finished,
            on_duty: AtomicU64::new(0),
        });
        let stager = Self { jobs, staging };
        stager.relieve()?;
        Ok(stager)
    }

    /// Hands over a job. `false`: it is not taken.
    pub fn send(&self, job: Job) -> bool {
        // Dropped here, a library could hang the thread that calls.
        self.jobs.try_send(job).map_err(core::mem::forget).is_ok()
    }

    /// Puts another thread in the place of the one that hangs.
    ///
    /// # Errors
    /// If the system has no thread for it. Then jobs are taken until there are too many, and none
    /// is done.
    pub fn relieve(&self) -> std::io::Result<()> {
        let staging = Arc::clone(&self.staging);
        staging.on_duty.fetch_add(1, Ordering::SeqCst);
        let work = move || staging.run();
        std::thread::Builder::new().name("staging".to_owned()).spawn(work).map(drop)
    }

    /// The number of the thread whose work counts.
    pub fn on_duty(&self) -> u64 {
        self.staging.on_duty.load(Ordering::SeqCst)
    }
}

/// What one thread after another works with.
struct Staging {
    host: HostRef,
    lanes: usize,
    trusted: Option<Trusted>,
    trials: Mutex<Trials>,
    verdicts: Mutex<VecDeque<Arc<Verdict>>>,
    arriving: Mutex<Receiver<Job>>,
    finished: Sender<Finished>,
    on_duty: AtomicU64,
}

impl Staging {
    fn run(&self) {
        priority::give_way(priority::LOWEST);
        while let Some((job, by)) = self.next() {
            let done = self.perform(job);
            let is_on_duty = self.on_duty.load(Ordering::SeqCst) == by;
            // What nobody waits for any more is undone here, where it may hang again.
            if !is_on_duty || self.finished.blocking_send(Finished { by, done }).is_err() {
                return;
            }
        }
    }

    /// A job, and the number under which it is done: a thread that was relieved as it had just
    /// finished is as good as its successor.
    fn next(&self) -> Option<(Job, u64)> {
        let job = locked(&self.arriving).recv().ok()?;
        Some((job, self.on_duty.load(Ordering::SeqCst)))
    }

    fn perform(&self, job: Job) -> Done {
        let start = Instant::now();
        match job {
            Job::Stage { path, sha256, build_id, held } => {
                let staged = stage(&path, sha256.as_deref(), build_id.as_deref(), &held);
                Done::Staged(staged, start.elapsed())
            }
            Job::Again(image) => Done::Staged(again(&image), start.elapsed()),
            Job::Verify { image, fresh } => {
                Done::Verified(self.verify(&image, fresh), start.elapsed())
            }
            Job::Load { image, verdict, number, counts } => {
                let loaded = Loaded::load(image, &verdict, self.host);
                let made = loaded.and_then(|l| Generation::new(number, l, self.lanes, counts));
                Done::Loaded(made, start.elapsed())
            }
            Job::Unload(generation) => {
                let number = generation.number;
                Done::Unloaded(number, generation.unload(), start.elapsed())
            }
        }
    }

    /// The same bytes get the same verdict, so it is remembered; a refusal may be the machine's
    /// doing and is not.
    fn verify(&self, image: &Arc<Image>, fresh: bool) -> Result<Arc<Verdict>, Refusal> {
        let same = |verdict: &&Arc<Verdict>| verdict.identity.sha256 == image.sha256();
        let mut verdicts = locked(&self.verdicts);
        if let Some(known) = verdicts.iter().find(same).filter(|_| !fresh) {
            // The same bytes may come with another signature.
            self.trusted.as_ref().map_or(Ok(()), |trusted| trusted.check(image))?;
            return Ok(Arc::clone(known));
        }
        verdicts.retain(|verdict| !same(&verdict));
        drop(verdicts);
        let verdict = Arc::new(locked(&self.trials).verify(image)?);
        let mut verdicts = locked(&self.verdicts);
        if verdicts.len() == VERDICTS_MAX {
            verdicts.pop_front();
        }
        verdicts.push_back(Arc::clone(&verdict));
        Ok(verdict)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn stage(
    path: &Path,
    sha256: Option<&str>,
    build_id: Option<&str>,
    held: &[Arc<Image>],
) -> Result<Arc<Image>, Refusal> {
    let same = held.iter().find(|image| image.is_copy_of(path).unwrap_or(false));
    let image = match same {
        Some(image) => {
            Expected::of(path, sha256)?.map_or(Ok(()), |expected| expected.check(image))?;
            again(image)?
        }
        None => Arc::new(logic::read(path, sha256)?),
    };
    match build_id {
        Some(expected) if !expected.eq_ignore_ascii_case(image.build_id()) => {
            let message =
                format!("{} has build id {}, not {expected}", path.display(), image.build_id());
            Err(Refusal::new(Code::BuildIdMismatch, message))
        }
        _ => Ok(image),
    }
}

/// The image itself, or another of the same bytes if a library still runs from it.
fn again(image: &Arc<Image>) -> Result<Arc<Image>, Refusal> {
    if image.is_open() { image.duplicate().map(Arc::new) } else { Ok(Arc::clone(image)) }
}
