//! Backups: snapshots that lie where an operator wants them, with what there is to say of them.
//!
//! The shell says where and when, and keeps account; logic makes the snapshot as it makes all others,
//! after the one under way. It never touches the file of data.
//!
//! - [`description`]: what a backup says of itself, and how backups are named
//! - [`mod@write`]: writing one, so that it is whole or not there
//! - [`keep`]: those in a folder, and which go
//! - [`schedule`]: when they are made by themselves; pure
//! - [`mod@shown`]: what is told of them
//! - [`restore`]: bringing one back, without a server

pub mod description;
pub mod keep;
pub mod restore;
pub mod schedule;
pub mod shown;
#[cfg(test)]
mod tests;
pub mod write;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use abi::config::{ConfigStore, id};
use abi::container::RawBytes;
use abi::host::Saving;
use abi::loading::stage;
use abi::snapshot::phase;
use abi::status::Status;
use serde::{Deserialize, Serialize};
use tokio::time::{MissedTickBehavior, interval};

use crate::client::limits::{number, text};
use crate::effects::stream_of;
use crate::process::others;
use crate::refusal::{Code, Refusal};
use crate::saving::disk::FileSystem;
use crate::saving::{self, Target, Then};
use crate::worker::clock;
use crate::worker::shared::{self, ServerShared};
use description::{Compression, Description, Origin, name_of};
use schedule::Schedule;
use shown::{Progress, Record, Scheduled, Shown};
use write::Writing;

/// How often the schedule is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How often it is looked whether one is over that a client waits for.
const WAIT: Duration = Duration::from_millis(50);
/// How many that are over are told of.
const RECORDS_MAX: usize = 20;
/// How many names are tried for one that is not taken: a second each.
const NAMES_MAX: u64 = 60;

/// The file system, for as long as the process lives.
static DISK: FileSystem = FileSystem;

/// What is asked for by the admin API. What is left out is as the settings say.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The folder that the backup is put in.
    pub dir: Option<PathBuf>,
    /// How many are kept in it; 0: all. All, if it is left out and the folder is not.
    pub keep: Option<u64>,
    /// Whether it is compressed.
    pub compress: Option<bool>,
}

/// What was asked for is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Its number, by which it is found in what is told.
    pub id: u64,
}

/// What is to be done, with the settings taken in.
#[derive(Clone)]
struct Order {
    folder: PathBuf,
    keep: u64,
    compression: Compression,
    is_scheduled: bool,
}

/// The moment of which one is.
#[derive(Clone, Copy)]
struct Moment {
    ms: u64,
    position: u64,
}

/// One that is not over.
struct Current {
    id: u64,
    order: Order,
    asked_ms: u64,
    asked: Instant,
    /// Its name, once it is being written.
    name: Option<String>,
    moment: Option<Moment>,
    /// What has been written, once it is whole.
    description: Option<Description>,
}

/// What is known.
struct State {
    asked: u64,
    made: u64,
    failed: u64,
    current: Option<Current>,
    records: VecDeque<Record>,
    schedule: Schedule,
}

static STATE: Mutex<State> = Mutex::new(State {
    asked: 0,
    made: 0,
    failed: 0,
    current: None,
    records: VecDeque::new(),
    schedule: Schedule::NEVER,
});

/// Says which logic serves: name and version.
static LOGIC: OnceLock<Box<dyn Fn() -> String + Send + Sync>> = OnceLock::new();

fn lock() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Order {
    fn new(request: Request, config: &ConfigStore, is_scheduled: bool) -> Result<Self, Refusal> {
        let set = text(config, id::BACKUP_DIR);
        let of_folder = if request.dir.is_some() { 0 } else { number(config, id::BACKUP_KEEP) };
        let dir = request.dir.unwrap_or_else(|| PathBuf::from(set));
        if dir.as_os_str().is_empty() {
            let text = "no folder is named, and the setting backup-dir is empty";
            return Err(Refusal::new(Code::BadRequest, text));
        }
        let compresses =
            request.compress.unwrap_or_else(|| number(config, id::BACKUP_COMPRESS) != 0);
        Ok(Self {
            // The working directory may be another by the time it is written.
            folder: std::path::absolute(&dir).unwrap_or(dir),
            keep: request.keep.unwrap_or(of_folder),
            compression: if compresses { Compression::Zstd } else { Compression::None },
            is_scheduled,
        })
    }
}

/// Asks for a backup. It begins as soon as no snapshot is under way.
///
/// # Errors
/// `bad_request`; `backup_under_way`; `busy` while data is being loaded.
pub fn ask(request: Request) -> Result<Asked, Refusal> {
    let Some(server) = shared::get() else {
        return Err(Refusal::new(Code::ShuttingDown, "there is no server"));
    };
    let order = Order::new(request, server.config(), false)?;
    begin(server, order)
}

/// Asks for a backup and waits for its end.
///
/// # Errors
/// As [`ask`]; `backup_failed`.
pub async fn make(request: Request) -> Result<Record, Refusal> {
    let Asked { id } = ask(request)?;
    let mut looks = interval(WAIT);
    loop {
        looks.tick().await;
        let record = lock().records.iter().find(|record| record.id == id).cloned();
        match record {
            None => {}
            Some(Record { error: Some(error), .. }) => {
                return Err(Refusal::new(Code::BackupFailed, error));
            }
            Some(record) => return Ok(record),
        }
    }
}

fn begin(server: &ServerShared, order: Order) -> Result<Asked, Refusal> {
    if server.is_stopping() {
        return Err(Refusal::new(Code::ShuttingDown, "the server stops"));
    }
    if server.roots_shared().loading.stage.load(Ordering::Relaxed) != stage::NONE {
        return Err(Refusal::new(Code::BackupUnderWay, "the data is still being loaded"));
    }
    let mut state = lock();
    if let Some(current) = &state.current {
        let text =
            format!("backup {} to {} is not over", current.id, current.order.folder.display());
        return Err(Refusal::new(Code::BackupUnderWay, text));
    }
    state.asked += 1;
    let id = state.asked;
    state.current = Some(Current {
        id,
        order,
        asked_ms: clock::unix_ms(),
        asked: Instant::now(),
        name: None,
        moment: None,
        description: None,
    });
    drop(state);
    server.roots_shared().snapshot.backup_wanted.store(1, Ordering::Release);
    Ok(Asked { id })
}

/// See [`abi::host::Host::backup_begin`].
pub extern "C" fn backup_begin(saving: &Saving<'_>, error: &mut RawBytes) -> Status {
    let order = lock().current.as_ref().map(|current| current.order.clone());
    let Some(order) = order else {
        return saving::told(Err("nobody waits for a backup".to_owned()), error);
    };
    keep::clean(&DISK, &order.folder, others::is_one_of_us);
    let name = free_name(&order.folder, clock::unix_ms());
    let then = Then {
        when_whole: Box::new(|| {
            end(Ok(()));
            Ok(())
        }),
        when_not: Box::new(|why| {
            end(Err(why.unwrap_or("it was given up; the server's log says why").to_owned()));
        }),
    };
    let make = || {
        let done = |description: &Description| {
            if let Some(current) = &mut lock().current {
                current.description = Some(description.clone());
            }
        };
        let (tell, done) = (Box::new(origin), Box::new(done));
        let writing = Writing::create(&DISK, &order.folder, &name, order.compression, tell, done)?;
        Ok(Box::new(writing) as Box<dyn Target>)
    };
    let begun = saving::start_with(make, saving.job, then);
    match &begun {
        Ok(true) => {
            if let Some(current) = &mut lock().current {
                current.name = Some(name);
            }
        }
        Ok(false) => end(Err("another file is being written; try again".to_owned())),
        Err(why) => end(Err(why.clone())),
    }
    saving::told(begun, error)
}

/// A name for a backup made now which none in the folder has.
fn free_name(folder: &Path, now_ms: u64) -> String {
    let names = (0..NAMES_MAX).map(|second| name_of(now_ms + second * 1000));
    let is_free = |name: &String| !folder.join(name).exists();
    names.into_iter().find(is_free).unwrap_or_else(|| name_of(now_ms))
}

/// See [`abi::host::Host::backup_from`].
pub extern "C" fn backup_from() {
    let Some(server) = shared::get() else { return };
    let position = stream_of(server.effects()).position();
    if let Some(current) = &mut lock().current {
        current.moment = Some(Moment { ms: clock::unix_ms(), position });
    }
}

/// What there is to say of the one under way, all of whose keys have been written.
fn origin() -> Origin {
    let moment = lock().current.as_ref().and_then(|current| current.moment);
    let Moment { ms, position } = moment.unwrap_or(Moment { ms: 0, position: 0 });
    let (run_id, keys) = shared::get().map_or_else(Default::default, |server| {
        let shared = server.roots_shared();
        let run_id = String::from_utf8_lossy(&shared.run_id).into_owned();
        (run_id, shared.snapshot.keys_written.load(Ordering::Acquire))
    });
    Origin {
        made_ms: ms,
        shell_version: env!("CARGO_PKG_VERSION").to_owned(),
        logic: LOGIC.get().map(|of| of()).unwrap_or_default(),
        run_id,
        keys,
        effects_position: position,
    }
}

/// The one under way is over: old ones go, and how it ended is told.
fn end(outcome: Result<(), String>) {
    let order = lock().current.as_ref().map(|current| current.order.clone());
    let Some(order) = order else { return };
    let (removed, faults) = match &outcome {
        Ok(()) => keep::remove_old(&DISK, &order.folder, order.keep),
        Err(_) => (Vec::new(), Vec::new()),
    };
    faults.iter().for_each(|fault| tracing::warn!("{fault}"));
    let mut state = lock();
    let Some(current) = state.current.take() else { return };
    let record = Record {
        id: current.id,
        folder: current.order.folder,
        is_scheduled: current.order.is_scheduled,
        asked_ms: current.asked_ms,
        took_ms: current.asked.elapsed().as_millis() as u64,
        description: current.description,
        error: outcome.err(),
        removed,
        faults,
    };
    match &record.error {
        None => {
            state.made += 1;
            let name = record.description.as_ref().map(|of| of.name.clone()).unwrap_or_default();
            tracing::info!(name, folder = %record.folder.display(), "a backup has its name");
        }
        Some(_) => state.failed += 1,
    }
    state.note(record);
}

impl State {
    fn note(&mut self, record: Record) {
        self.records.truncate(RECORDS_MAX - 1);
        self.records.push_front(record);
    }
}

/// What is told of backups.
pub fn shown() -> Shown {
    let Some(server) = shared::get() else { return Shown::default() };
    let config = server.config();
    let state = lock();
    let schedule = text(config, id::BACKUP_SCHEDULE);
    let schedule = (!schedule.is_empty()).then(|| Scheduled {
        schedule,
        folder: PathBuf::from(text(config, id::BACKUP_DIR)),
        next_ms: state.schedule.next_ms(),
    });
    let snapshot = &server.roots_shared().snapshot;
    Shown {
        under_way: state.current.as_ref().map(|current| {
            let is_written = current.moment.is_some();
            let only_then = |number: u64| if is_written { number } else { 0 };
            Progress {
                id: current.id,
                folder: current.order.folder.clone(),
                name: current.name.clone(),
                asked_ms: current.asked_ms,
                waits: !is_written && snapshot.phase.load(Ordering::Relaxed) != phase::NONE,
                keys: only_then(snapshot.keys.load(Ordering::Relaxed)),
                keys_written: only_then(snapshot.keys_written.load(Ordering::Relaxed)),
            }
        }),
        schedule,
        made: state.made,
        failed: state.failed,
        records: state.records.iter().cloned().collect(),
    }
}

/// Makes backups when the settings say so, for ever. `logic` tells which serves.
pub async fn run(
    server: &'static ServerShared,
    logic: impl Fn() -> String + Send + Sync + 'static,
) {
    // Set once in the life of a process, as it serves once.
    let _ = LOGIC.set(Box::new(logic));
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        looks.tick().await;
        let config = server.config();
        let text = text(config, id::BACKUP_SCHEDULE);
        if lock().schedule.is_due(&text, clock::unix_ms()) {
            make_scheduled(server);
        }
    }
}

fn make_scheduled(server: &ServerShared) {
    let begun = Order::new(Request::default(), server.config(), true)
        .and_then(|order| begin(server, order));
    let Err(refusal) = begun else { return };
    tracing::warn!(%refusal, "a backup that was due is left out");
    let mut state = lock();
    state.failed += 1;
    let record = Record {
        folder: PathBuf::from(text(server.config(), id::BACKUP_DIR)),
        is_scheduled: true,
        asked_ms: clock::unix_ms(),
        error: Some(refusal.to_string()),
        ..Record::default()
    };
    state.note(record);
}

/// Whether the schedule of the settings is one.
///
/// # Errors
/// Why it is not.
pub fn check_schedule(config: &ConfigStore) -> Result<(), String> {
    match text(config, id::BACKUP_SCHEDULE) {
        text if text.is_empty() => Ok(()),
        text => schedule::parse(&text).map(drop),
    }
}
