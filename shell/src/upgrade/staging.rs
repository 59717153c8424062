//! The thread that copies, verifies, loads and unloads libraries.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use abi::host::HostRef;
use tokio::sync::mpsc::Sender;

use crate::logic::Loaded;
use crate::logic::generation::Generation;
use crate::logic::image::Image;
use crate::logic::loaded::Unloaded;
use crate::logic::verify::Verdict;
use crate::logic::verify::parent::Verifier;
use crate::priority;
use crate::refusal::{Code, Refusal};

use super::trials::Trials;

/// Verdicts remembered. Going back and forth between two releases needs two.
const VERDICTS_MAX: usize = 16;
/// Jobs that may wait: one of an upgrade, and the unloading of each retiree.
const JOBS_MAX: usize = 8;

/// Work for the thread.
pub enum Job {
    /// Copy and check the library at a path. `build_id`: which it must have.
    Stage {
        /// See above.
        path: PathBuf,
        /// See above.
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
}

/// Starts the thread; it ends when the returned sender is dropped.
///
/// # Errors
/// If the system has no thread for it.
pub fn start(setup: Setup, done: Sender<Done>) -> std::io::Result<SyncSender<Job>> {
    let (jobs, arriving) = sync_channel(JOBS_MAX);
    let Setup { host, lanes, verifier } = setup;
    let trials = Trials::start(verifier)?;
    let staging = Staging { host, lanes, trials, verdicts: VecDeque::new() };
    std::thread::Builder::new()
        .name("staging".to_owned())
        .spawn(move || staging.run(&arriving, &done))?;
    Ok(jobs)
}

struct Staging {
    host: HostRef,
    lanes: usize,
    trials: Trials,
    verdicts: VecDeque<Arc<Verdict>>,
}

impl Staging {
    fn run(mut self, jobs: &Receiver<Job>, done: &Sender<Done>) {
        priority::give_way(priority::LOWEST);
        while let Ok(job) = jobs.recv() {
            if done.blocking_send(self.perform(job)).is_err() {
                return;
            }
        }
    }

    fn perform(&mut self, job: Job) -> Done {
        let start = Instant::now();
        match job {
            Job::Stage { path, build_id, held } => {
                Done::Staged(stage(&path, build_id, &held), start.elapsed())
            }
            Job::Again(image) => Done::Staged(again(&image), start.elapsed()),
            Job::Verify { image, fresh } => {
                Done::Verified(self.verify(&image, fresh), start.elapsed())
            }
            Job::Load { image, verdict, number } => {
                Done::Loaded(self.load(image, &verdict, number), start.elapsed())
            }
            Job::Unload(generation) => {
                let number = generation.number;
                Done::Unloaded(number, generation.unload(), start.elapsed())
            }
        }
    }

    /// The same bytes get the same verdict, so it is remembered; a refusal may be the machine's
    /// doing and is not.
    fn verify(&mut self, image: &Arc<Image>, fresh: bool) -> Result<Arc<Verdict>, Refusal> {
        let same = |verdict: &&Arc<Verdict>| verdict.identity.sha256 == image.sha256();
        if let Some(known) = self.verdicts.iter().find(same).filter(|_| !fresh) {
            return Ok(Arc::clone(known));
        }
        self.verdicts.retain(|verdict| !same(&verdict));
        let verdict = Arc::new(self.trials.verify(image)?);
        if self.verdicts.len() == VERDICTS_MAX {
            self.verdicts.pop_front();
        }
        self.verdicts.push_back(Arc::clone(&verdict));
        Ok(verdict)
    }

    fn load(
        &self,
        image: Arc<Image>,
        verdict: &Verdict,
        number: u64,
    ) -> Result<Box<Generation>, Refusal> {
        let loaded = Loaded::load(image, verdict, self.host)?;
        Generation::new(number, loaded, self.lanes)
    }
}

fn stage(
    path: &Path,
    build_id: Option<String>,
    held: &[Arc<Image>],
) -> Result<Arc<Image>, Refusal> {
    let same = held.iter().find(|image| image.is_copy_of(path).unwrap_or(false));
    let image = match same {
        Some(image) => again(image)?,
        None => Arc::new(Image::read(path)?),
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
