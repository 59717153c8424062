//! What everybody may read about generations: the driver writes it, the admin API, the metrics and
//! logic read it.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use abi::config::id;
use abi::host::GenerationInfo;
use serde::{Deserialize, Serialize};

use super::history::{self, History};
use super::journal::Fault;
use super::meter::{Figures, Meter};
use crate::backup;
use crate::capture::Counted;
use crate::client::limits::text;
use crate::keeper::board::{self as kept, Own};
use crate::logic::identity::Identity;
use crate::logic::image::Image;
use crate::replay::tally::Tally;
use crate::worker::held_up::{self, HeldUp};
use crate::worker::shared;

/// The counters behind [`abi::host::Host::generation_info`]. Of this process, for the host table
/// has no other way to them.
pub static COUNTERS: Counters = Counters::new();

/// Numbers of all generations so far.
pub struct Counters {
    /// The current generation.
    pub generation: AtomicU64,
    /// Swaps, rollbacks not included.
    pub upgrades: AtomicU64,
    /// Swaps back.
    pub rollbacks: AtomicU64,
    /// Requests refused or failed.
    pub refused: AtomicU64,
    /// Canaries withdrawn.
    pub withdrawn: AtomicU64,
    /// Builds of the shell that took over.
    pub replaced: AtomicU64,
    /// Duration of the last commit in nanoseconds.
    pub last_commit_ns: AtomicU64,
    /// Libraries loaded.
    pub loaded: AtomicU64,
    /// Libraries that were closed and stayed mapped.
    pub pinned: AtomicU64,
    /// Bytes that detached libraries still had outstanding.
    pub leaked_bytes: AtomicU64,
}

impl Counters {
    const fn new() -> Self {
        Self {
            generation: AtomicU64::new(0),
            upgrades: AtomicU64::new(0),
            rollbacks: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            withdrawn: AtomicU64::new(0),
            replaced: AtomicU64::new(0),
            last_commit_ns: AtomicU64::new(0),
            loaded: AtomicU64::new(0),
            pinned: AtomicU64::new(0),
            leaked_bytes: AtomicU64::new(0),
        }
    }

    /// As logic reads them.
    pub fn info(&self) -> GenerationInfo {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        GenerationInfo {
            generation: read(&self.generation),
            upgrades: read(&self.upgrades),
            rollbacks: read(&self.rollbacks),
            refused: read(&self.refused),
            last_commit_us: read(&self.last_commit_ns).div_ceil(1000),
            loaded: read(&self.loaded) as u32,
            pinned: read(&self.pinned) as u32,
            ..GenerationInfo::default()
        }
    }
}

/// A generation, as it is shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shown {
    /// Its number.
    pub generation: u64,
    /// Who it is.
    #[serde(flatten)]
    pub identity: Identity,
    /// The file it came from.
    pub path: String,
    /// When it began to serve, Unix ms.
    pub since_ms: u64,
    /// When another took its place, Unix ms; none while it serves.
    pub replaced_ms: Option<u64>,
    /// `current`, `canary` (it serves some clients), `standby` (it serves none, or some to be compared
    /// with, and is held ready to serve again), `retiring` (a batch still runs on it) or `unloading`.
    pub state: String,
    /// Whom it serves, if neither all others nor nobody.
    #[serde(default)]
    pub share: Option<String>,
    /// Calls into it that ended in a panic.
    pub panics: u64,
    /// What it has done.
    #[serde(flatten)]
    pub figures: Figures,
}

/// A version that is being proven, as it is shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Proving {
    /// The generation.
    pub generation: u64,
    /// The step of the canary, the first being 1; none on probation.
    pub step: Option<u32>,
    /// Steps of the canary.
    pub steps: u32,
    /// Milliseconds until the step, or the probation, is over.
    pub left_ms: u64,
    /// What is worse than the version before.
    pub guard: String,
}

/// A version that runs live commands beside what serves, as it is shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shadow {
    /// Who it is.
    #[serde(flatten)]
    pub identity: Identity,
    /// Of the commands, how many in a hundred.
    pub percent: f64,
    /// Milliseconds until it is over.
    pub left_ms: u64,
    /// How many may differ that are not meant to.
    pub divergences_max: u64,
    /// What was captured, and what not.
    pub captured: Counted,
    /// What came of it.
    pub tally: Tally,
}

/// A library that served before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Former {
    /// The number of the generation in which it served last.
    pub generation: u64,
    /// Who it is.
    #[serde(flatten)]
    pub identity: Identity,
}

impl Former {
    /// Name, version and number.
    pub fn label(&self) -> String {
        format!("{}, generation {}", self.identity.label(), self.generation)
    }
}

/// What the board says.
#[derive(Default)]
pub struct Content {
    /// `idle`, `staging`, `verifying`, `shadow`, `loading`, `canary`, `probation` or `comparing`.
    pub phase: &'static str,
    /// Loaded generations, the current one first. What they have done is filled in when it is read.
    pub generations: Vec<(Shown, Meter)>,
    /// What the current one runs from.
    pub image: Option<Arc<Image>>,
    /// What is being proven, and when that is over.
    pub proving: Option<(Proving, Instant)>,
    /// What runs beside what serves, and when that is over.
    pub shadow: Option<(Shadow, Instant)>,
    /// What a rollback would put back.
    pub previous: Option<Former>,
    /// What can be gone back to by its number.
    pub kept: Vec<Former>,
    /// What happened.
    pub history: History,
    /// Whether the journal could be written.
    pub journal: Option<Fault>,
}

/// The board. Cheap to clone.
#[derive(Clone, Default)]
pub struct Board {
    content: Arc<Mutex<Content>>,
}

/// `shell status`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// Process id of the server.
    pub pid: u32,
    /// Version of the shell.
    pub shell_version: String,
    /// Its TCP port; 0: none.
    pub port: u16,
    /// Its Unix socket for clients; empty: none.
    pub unixsocket: String,
    /// See [`Content::phase`].
    pub phase: String,
    /// The current generation's number.
    pub generation: u64,
    /// The schema level in force.
    #[serde(default)]
    pub schema_level: u32,
    /// The current generation.
    pub current: Option<Shown>,
    /// The generation that serves some clients.
    #[serde(default)]
    pub canary: Option<Shown>,
    /// The generation that is held ready while the current one is on probation.
    #[serde(default)]
    pub standby: Option<Shown>,
    /// What is being proven.
    #[serde(default)]
    pub proving: Option<Proving>,
    /// What runs beside what serves.
    #[serde(default)]
    pub shadow: Option<Shadow>,
    /// What a rollback would put back.
    pub previous: Option<Former>,
    /// What can be gone back to by its number, oldest first.
    pub kept: Vec<Former>,
    /// Replaced generations that are still loaded.
    pub retiring: Vec<Shown>,
    /// Swaps since the start, rollbacks not included.
    pub upgrades: u64,
    /// Swaps back since the start.
    pub rollbacks: u64,
    /// Requests refused or failed since the start.
    pub refused: u64,
    /// Canaries withdrawn since the start.
    #[serde(default)]
    pub withdrawn: u64,
    /// Builds of the shell that took over since the service was started.
    #[serde(default)]
    pub replaced: u64,
    /// The file of the build that `shell replace --rollback` would bring back.
    #[serde(default)]
    pub replaced_file: Option<PathBuf>,
    /// Libraries that were closed and stayed mapped.
    pub pinned: u64,
    /// Bytes that detached libraries still had outstanding.
    pub leaked_bytes: u64,
    /// Duration of the last commit.
    pub last_commit_us: f64,
    /// Connections.
    pub clients: u64,
    /// Keys of all databases.
    pub keys: u64,
    /// The effects stream.
    pub effects: Effects,
    /// The arena.
    pub memory: Memory,
    /// The file of data, while it is being loaded.
    pub loading: Option<Loading>,
    /// Why it could not be written down what serves.
    #[serde(default)]
    pub journal_fault: Option<String>,
    /// Workers that do not come back from what they run.
    pub held_up: Vec<HeldUp>,
    /// Backups.
    pub backups: backup::shown::Shown,
}

/// A file that is being loaded, as it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loading {
    /// Bytes of which keys have been made.
    pub loaded_bytes: u64,
    /// Bytes that it has.
    pub total_bytes: u64,
}

/// The arena, as it is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Bytes in use.
    pub used_bytes: u64,
    /// Bytes in huge pages.
    pub huge_page_bytes: u64,
}

/// The effects stream, as it is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Effects {
    /// Where it ends.
    pub position: u64,
    /// Who reads it.
    pub readers: u64,
    /// Bytes it takes.
    pub bytes: u64,
}

impl Board {
    /// Exclusive access. Held for moments only.
    pub fn lock(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is running, with what it carries.
    pub fn status(&self, carried: super::carried::Carried) -> Status {
        let content = self.lock();
        let mut shown: Vec<Shown> = content.generations.iter().map(shown_with_figures).collect();
        let mut take = |state: &str| {
            let at = shown.iter().position(|shown| shown.state == state)?;
            Some(shown.remove(at))
        };
        let (current, canary, standby) = (take("current"), take("canary"), take("standby"));
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Status {
            pid: std::process::id(),
            shell_version: env!("CARGO_PKG_VERSION").to_owned(),
            port: shared::get().map_or(0, |server| server.listeners().port()),
            unixsocket: shared::get()
                .map(|server| text(server.config(), id::UNIXSOCKET))
                .unwrap_or_default(),
            phase: content.phase.to_owned(),
            generation: read(&COUNTERS.generation),
            schema_level: carried.schema_level,
            current,
            canary,
            standby,
            proving: content.proving.as_ref().map(|(proving, ends)| Proving {
                left_ms: ends.saturating_duration_since(Instant::now()).as_millis() as u64,
                ..proving.clone()
            }),
            shadow: content.shadow.as_ref().map(|(shadow, ends)| Shadow {
                left_ms: ends.saturating_duration_since(Instant::now()).as_millis() as u64,
                ..shadow.clone()
            }),
            retiring: shown,
            previous: content.previous.clone(),
            kept: content.kept.clone(),
            upgrades: read(&COUNTERS.upgrades),
            rollbacks: read(&COUNTERS.rollbacks),
            refused: read(&COUNTERS.refused),
            withdrawn: read(&COUNTERS.withdrawn),
            replaced: read(&COUNTERS.replaced),
            replaced_file: program_before(),
            pinned: read(&COUNTERS.pinned),
            leaked_bytes: read(&COUNTERS.leaked_bytes),
            last_commit_us: read(&COUNTERS.last_commit_ns) as f64 / 1000.0,
            clients: carried.clients,
            keys: carried.keys,
            effects: carried.effects,
            memory: carried.memory,
            loading: carried.loading,
            journal_fault: content.journal.as_ref().and_then(Fault::get),
            held_up: held_up::all(),
            backups: backup::shown(),
        }
    }

    /// Name and version of the logic that serves.
    pub fn serving(&self) -> String {
        let content = self.lock();
        content.generations.first().map(|(shown, _)| shown.identity.label()).unwrap_or_default()
    }

    /// What happened, oldest first.
    pub fn history(&self) -> history::Shown {
        history::Shown { records: self.lock().history.records().cloned().collect() }
    }
}

/// The file of the program that ran before, if it is kept.
fn program_before() -> Option<PathBuf> {
    let board = kept::get().filter(|board| board.own(Own::ProgramBefore).is_some())?;
    Some(board.file_of(Own::ProgramBefore))
}

fn shown_with_figures((shown, meter): &(Shown, Meter)) -> Shown {
    let figures = meter.figures();
    Shown { panics: meter.panics(), figures, ..shown.clone() }
}
