//! The append-only log: every effect, in files from which the data can be made again.
//!
//! It is a consumer of the effects stream, on a thread of its own, so no worker waits for the disk but
//! where that is asked for (`crate::worker::held`). Writers that are faster than the disk wait until
//! there is room in the stream, before they lock anything.
//!
//! - [`manifest`]: which files it is made of; pure
//! - [`files`]: these files, and how one set takes the place of another
//! - [`session`]: effects on their way to a file; what is safe
//! - [`syncer`]: the thread that syncs beside the writing
//! - [`gather`]: when a sync waits for those who are about to wait for it; pure
//! - [`rewriting`]: what the writer, a rewriting and settings agree on
//! - [`commands`]: what is in an increment; pure
//! - [`load`]: what is to be loaded at the start

pub mod commands;
pub mod files;
mod gather;
pub mod load;
pub mod manifest;
pub mod rewriting;
mod session;
mod syncer;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use abi::aof::state;
use abi::config::{ConfigStore, id};
use abi::container::RawBytes;
use abi::effects::{Policy as Joining, Stream};
use abi::host::Saving;
use abi::shared::attention;
use abi::snapshot::phase;
use abi::status::Status;

use crate::client::limits::{number, text};
use crate::client::open::bytes_of;
use crate::effects::{Reader, stream_of};
use crate::saving::disk::FileSystem;
use crate::saving::{self, disk::Disk};
use crate::worker::held::GATE;
use crate::worker::shared::{self, ServerShared};
use files::{Files, FilesError};
use gather::Gathering;
use rewriting::{BeginError, Log};
use session::{Policy, Session};
use syncer::Syncer;

/// Bytes taken from the stream at once.
const TAKE_BYTES: usize = 256 * 1024;
/// How long the writer sleeps when there was something to write, when there was not, and at most when
/// whoever waits wakes it.
const PAUSE: Duration = Duration::from_millis(5);
const PAUSE_IDLE: Duration = Duration::from_millis(40);
const PAUSE_RUNG: Duration = Duration::from_millis(100);
/// Until another look at a stream whose end is still being written.
const COPYING_PAUSE: Duration = Duration::from_micros(50);

/// The log of this process.
static LOG: OnceLock<Log> = OnceLock::new();
static THREAD: Mutex<Option<JoinHandle<()>>> = Mutex::new(None);

fn log(server: &'static ServerShared) -> &'static Log {
    LOG.get_or_init(|| Log::new(disk(), server.aof(), tell_failing))
}

/// Commands that write are refused while the log cannot be written.
fn tell_failing(is_failing: bool) {
    let Some(server) = shared::get() else { return };
    let word = &server.roots_shared().attention;
    match is_failing {
        true => word.fetch_or(attention::AOF_FAILED, Ordering::SeqCst),
        false => word.fetch_and(!attention::AOF_FAILED, Ordering::SeqCst),
    };
    GATE.fail(is_failing);
    // Who has only read need not wait.
    server.nudge_workers();
}

/// Where the settings say that the log is: its folder, and what its files' names begin with.
pub fn place(config: &ConfigStore) -> (PathBuf, String) {
    (PathBuf::from(text(config, id::APPENDDIRNAME)), text(config, id::APPENDFILENAME))
}

/// Whether the settings say that there is to be one.
pub fn is_asked_for(config: &ConfigStore) -> bool {
    number(config, id::APPENDONLY) != 0
}

/// Goes on with a log that was loaded: with these files.
///
/// # Errors
/// They cannot be written.
pub fn go_on(server: &'static ServerShared, files: Files) -> Result<(), String> {
    let log = log(server);
    log.take_files(files);
    let told = |error: FilesError| error.to_string();
    log.turn_on(&place(server.config()), true).map_err(told)?;
    // Before anybody can write: nothing is to be missing.
    let reader = join(server)?;
    let output = log.go_on().map_err(told)?;
    log.join(0);
    GATE.let_pass(reader.position());
    hold_at_once(server);
    start(server, log, Some((reader, output)))
}

fn join(server: &ServerShared) -> Result<Reader, String> {
    GATE.follow(stream_of(server.effects()));
    Reader::join(stream_of(server.effects()), "aof", Joining::Hold, None)
        .map_err(|error| error.to_string())
}

/// What a session begins with.
type Begun = (Reader, Option<Box<dyn saving::disk::Output>>);

/// Starts the writer, if it does not run.
fn start(
    server: &'static ServerShared,
    log: &'static Log,
    begun: Option<Begun>,
) -> Result<(), String> {
    let mut thread = THREAD.lock().unwrap_or_else(PoisonError::into_inner);
    if thread.is_some() {
        return Ok(());
    }
    let body = move || run(server, log, begun);
    let spawned = thread::Builder::new().name("aof".to_owned()).spawn(body);
    *thread = Some(spawned.map_err(|error| format!("cannot start a thread for the log: {error}"))?);
    Ok(())
}

/// Has replies held from now on, if the settings say so: before the writer comes to look at them.
pub fn hold_at_once(server: &ServerShared) {
    let is_on = server.aof().state.load(Ordering::SeqCst) == state::ON;
    if is_on && policy(server.config()) == Policy::Always {
        GATE.hold(true);
        GATE.wake();
    }
}

fn policy(config: &ConfigStore) -> Policy {
    match number(config, id::APPENDFSYNC) {
        1 => Policy::Always,
        2 => Policy::No,
        _ => Policy::Everysec,
    }
}

/// Takes over that the setting `appendonly` has changed.
///
/// # Errors
/// The reply of Redis; the log has the details.
pub fn changed(server: &'static ServerShared) -> Result<(), String> {
    const CANNOT: &str = "Unable to turn on AOF. Check server logs.";
    let log = log(server);
    if !is_asked_for(server.config()) {
        if log.turn_off() {
            saving::give_up_soon();
        }
        GATE.wake();
        return Ok(());
    }
    let begun = log.turn_on(&place(server.config()), false).map_err(|error| error.to_string());
    if matches!(begun, Ok(true)) {
        saving::give_up_soon();
    }
    begun.and_then(|_| start(server, log, None)).map_err(|error| {
        tracing::warn!(%error, "cannot turn the append-only log on");
        log.turn_off();
        CANNOT.to_owned()
    })
}

/// The process is about to end, and nothing is written any more: waits until all that was is in the
/// log, and safe.
pub fn finish() {
    let Some(log) = LOG.get() else { return };
    log.end();
    GATE.wake();
    let thread = THREAD.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(thread) = thread {
        // One that panicked has said so; the process ends anyway.
        let _ = thread.join();
    }
}

/// The thread.
fn run(server: &'static ServerShared, log: &'static Log, begun: Option<Begun>) {
    let stream = stream_of(server.effects());
    GATE.attend();
    let mut begun = begun;
    while let Some(times_off) = log.wait_until_wanted() {
        let next = begun.take().map_or_else(|| begin(server, log, times_off), Ok);
        match next {
            Ok((reader, output)) => {
                let session = Session::new(output, reader.position(), Syncer::start());
                write(server, log, (stream, times_off), reader, session);
                log.leave();
            }
            Err(error) => {
                tracing::error!(%error, "cannot begin the append-only log; trying again");
                thread::sleep(Duration::from_secs(1));
            }
        }
    }
}

fn begin(server: &'static ServerShared, log: &Log, times_off: u64) -> Result<Begun, String> {
    let reader = join(server)?;
    let output = log.go_on().map_err(|error| error.to_string())?;
    log.join(times_off);
    if output.is_none() {
        // From here on nothing is missed: the first base may be of any moment.
        log.want_rewriting();
    }
    Ok((reader, output))
}

/// Writes the log until it is turned off.
fn write(
    server: &'static ServerShared,
    log: &Log,
    (stream, times_off): (Stream<'static>, u64),
    mut reader: Reader,
    mut session: Session,
) {
    let config = server.config();
    let mut buffer = vec![0; TAKE_BYTES];
    let mut gathering = Gathering::default();
    log.told().safe.store(reader.position(), Ordering::SeqCst);
    GATE.let_pass(reader.position());
    loop {
        let is_last = !log.is_wanted(times_off);
        if !is_last {
            gather_more(config, &mut gathering);
        }
        let held = GATE.held();
        let goal = if is_last { stream.position() } else { stream.frontier() };
        let begin = session.position();
        if goal > begin && number(config, id::AOF_TIMESTAMP_ENABLED) != 0 {
            session.stamp(unix_s());
        }
        if !take(log, &mut session, &mut reader, &mut buffer, goal) {
            return;
        }
        session.look_for_mark(log);
        session.repair(log);
        if session.is_writing() && log.has_lost_first() {
            session.wait_for_first();
        }
        if is_last {
            session.sync_now(log);
            GATE.hold(false);
            GATE.take(None);
            log.can_write(true);
            server.nudge_workers();
            return;
        }
        let began = Instant::now();
        settle(server, log, &mut session);
        if session.position() != begin {
            gathering.synced(held, GATE.held(), began.elapsed());
        }
        GATE.take(Some(session.position()));
        pause(config, session.position() != begin);
    }
}

/// Takes what is in the stream up to a position, and writes it.
fn take(
    log: &Log,
    session: &mut Session,
    reader: &mut Reader,
    buffer: &mut [u8],
    goal: u64,
) -> bool {
    while reader.position() < goal {
        let left = usize::try_from(goal - reader.position()).unwrap_or(usize::MAX);
        let room = buffer.len().min(left);
        match reader.take(&mut buffer[..room]) {
            Ok(0) => thread::sleep(COPYING_PAUSE),
            Ok(len) => session.put(log, &buffer[..len]),
            Err(error) => {
                // What is missing is in the next base.
                tracing::error!(%error, "the append-only log has lost its place, and begins anew");
                log.told().state.store(state::WAITING, Ordering::SeqCst);
                return false;
            }
        }
        session.write_all(log);
    }
    true
}

/// Syncs, and lets those go on who wait for it.
fn settle(server: &ServerShared, log: &Log, session: &mut Session) {
    let config = server.config();
    let policy = policy(config);
    let is_put_off = number(config, id::NO_APPENDFSYNC_ON_REWRITE) != 0
        && server.roots_shared().snapshot.phase.load(Ordering::Relaxed) != phase::NONE;
    session.sync_as(log, policy, is_put_off);
    let is_on = log.told().state.load(Ordering::SeqCst) == state::ON;
    let may_go = GATE.let_pass(log.told().safe.load(Ordering::SeqCst));
    let is_another = GATE.hold(is_on && policy == Policy::Always);
    if may_go || is_another {
        server.nudge_workers();
    }
}

/// Waits for those whose replies the last sync has let go, if the next is worth that.
fn gather_more(config: &ConfigStore, gathering: &mut Gathering) {
    let from = GATE.held();
    let time = gathering.time(from);
    if policy(config) != Policy::Always || time.is_zero() {
        return;
    }
    let end = Instant::now() + time;
    while gathering.is_missing_some(GATE.held())
        && let Some(left) = end.checked_duration_since(Instant::now())
    {
        GATE.sleep_a_moment(left);
    }
    gathering.waited(from, GATE.held());
}

fn pause(config: &ConfigStore, was_busy: bool) {
    let is_rung = policy(config) == Policy::Always;
    GATE.sleep(match (is_rung, was_busy) {
        (true, true) => PAUSE,
        (true, false) => PAUSE_RUNG,
        (false, true) => PAUSE,
        (false, false) => PAUSE_IDLE,
    });
}

fn unix_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

/// See [`abi::host::Host::rewrite_begin`].
pub extern "C" fn rewrite_begin(saving: &Saving<'_>, error: &mut RawBytes) -> Status {
    let Some(server) = shared::get() else { return Status::REFUSED };
    let log = log(server);
    let plan = match log.begin_rewriting(&place(server.config()), &saving.path, saving.sync_bytes) {
        Ok(plan) => plan,
        Err(BeginError::IsUnderWay) => return Status::REFUSED,
        Err(BeginError::Files(cause)) => {
            // Without memory for the text the status must do.
            *error = bytes_of(cause.to_string().as_bytes()).unwrap_or(RawBytes::EMPTY);
            return Status::FAILED;
        }
    };
    let then = saving::Then {
        when_whole: Box::new(move || log.install().inspect(|()| hold_at_once(server))),
        when_not: Box::new(move |_| log.drop_rewriting()),
    };
    let begun = saving::start(plan, saving.job, then);
    if !matches!(begun, Ok(true)) {
        log.drop_rewriting();
    }
    saving::told(begun, error)
}

/// See [`abi::host::Host::rewrite_from`].
pub extern "C" fn rewrite_from() {
    let Some(server) = shared::get() else { return };
    let position = stream_of(server.effects()).begin_anew();
    log(server).set_mark(position);
}

/// The disk of this process.
pub fn disk() -> Arc<dyn Disk> {
    Arc::new(FileSystem)
}
