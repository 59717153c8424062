//! Snapshots: all keys as they were at one moment, in a file, while they go on changing.
//!
//! `keyspace::snapshot` says how a moment is kept. Here is who goes on with it, and what comes of it:
//!
//! 1. [`begin()`] has the shell make the file, locks all shards for an instant, and hands the file's
//!    head over.
//! 2. A background thread goes on ([`job`]), in steps of some 40 µs under the lock of one shard, which
//!    takes turns with the others, so that whoever waits for one gets it. Where it stands is in the
//!    arena after each job, so that the next may be done by another release. [`save`] does the same in
//!    the place of a command, with all shards locked from the beginning to the end.
//! 3. The shell writes. While it has much to write the walk pauses, and what changes meanwhile is
//!    kept, up to a bound.
//! 4. [`conclude`](step) notes how it ended, once the shell says that the file is safe.
//!
//! Invariant: whoever goes on with it has entered its lane in `in_step` before, and what it has
//! made is with the shell before it leaves that. So of two threads one goes on, and one that broke
//! off in the middle is found out: then the snapshot has failed.

mod points;
pub mod rewrite;
mod step;
mod stop;

pub use keyspace::snapshot::{has_failed, held_bytes};
pub use points::{are_any as has_save_points, tick};
pub use step::job;
pub use stop::{asked_by_signal, stop};

use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

use abi::container::RawBytes;
use abi::host::{Saving, level};
use abi::job::Job;
use abi::snapshot::{Snapshot, phase};
use abi_stable::std_types::RStr;

use crate::maintenance::background;
use crate::session::scripts;
use base::attention;
use base::bytes::take_text;
use base::core::Core;
use base::counters::total;
use base::effects::write_command;
use base::error::Error;
use base::lock::ALL_SHARDS;
use base::roots::Roots;
use base::settings::setting;
use keyspace::snapshot::begin::{self, Sizes};
use keyspace::snapshot::{self as kept, Form, Purpose, Records};
use rewrite::Asked;
use value::rdb::write;

/// Redis syncs a file after so many bytes, if it does before the end.
const SYNC_BYTES: u64 = 4 << 20;
/// The version of Redis whose files these are, whichever release writes them.
const REDIS_VERSION: &str = "7.0.15";
/// Bytes that may be kept for a snapshot, and the share of all that is in use, in percent, that may
/// be besides.
const HELD_BYTES_MAX: u64 = 64 << 20;
const HELD_PERCENT_MAX: u64 = 2;

/// Why no snapshot has begun.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// One is under way.
    UnderWay,
    /// It has failed; the log says why.
    Failed,
}

/// The state of snapshots.
pub fn state(roots: Roots) -> &'static Snapshot {
    kept::state(roots)
}

/// Whether one is under way.
pub fn is_under_way(roots: Roots) -> bool {
    state(roots).phase.load(Relaxed) != phase::NONE
}

/// Whether the one under way is the file of data.
pub fn is_data_under_way(roots: Roots) -> bool {
    is_under_way(roots) && kept::purpose(roots) == Purpose::Data
}

/// Whether the one under way is another than the file of data.
pub fn is_other_under_way(roots: Roots) -> bool {
    is_under_way(roots) && kept::purpose(roots) != Purpose::Data
}

/// Why commands that write are refused, if they are: snapshots are to be made by themselves, and the
/// last has failed; or the append-only log cannot be written.
pub fn refusal(core: &Core) -> Option<Error> {
    refusal_of_data(core).or_else(|| rewrite::refusal(core))
}

fn refusal_of_data(core: &Core) -> Option<Error> {
    const REFUSED: Error = Error::new(
        "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to \
         disk. Commands that may modify the data set are disabled, because this instance is \
         configured to report errors during writes if RDB snapshotting fails \
         (stop-writes-on-bgsave-error option). Please check the Redis logs for details about the RDB \
         error.",
    );
    let is_refused = kept::has_failed(core.roots)
        && core.get(setting::STOP_WRITES_ON_BGSAVE_ERROR)
        && has_save_points(core);
    is_refused.then_some(REFUSED)
}

/// Whether so much is kept for the one under way that nobody is to add to it. What was flushed as a
/// whole is not looked at: it cannot be kept from coming.
pub fn holds_much(core: &Core) -> bool {
    let held = state(core.roots).held_bytes.load(Relaxed);
    let share = || core.host.used_bytes()() / 100 * HELD_PERCENT_MAX;
    held > HELD_BYTES_MAX && held > HELD_BYTES_MAX + share()
}

/// When the last was safe, in Unix seconds; when the server started, if none has been.
pub fn saved_s(roots: Roots) -> u64 {
    match state(roots).saved_s.load(Relaxed) {
        0 => roots.shared().started_ms / 1000,
        saved_s => saved_s,
    }
}

/// Changes to keys that the last has not.
pub fn unsaved_changes(roots: Roots) -> u64 {
    changes(roots).saturating_sub(state(roots).saved_changes.load(Relaxed))
}

fn changes(roots: Roots) -> u64 {
    total(roots, |lane| &lane.dirty)
}

/// Begins a snapshot that a background thread goes on with. It is of the moment at which this is
/// called.
pub fn begin(core: &mut Core) -> Result<(), Refused> {
    set_out_as(core, Purpose::Data)
}

/// Has the append-only log rewritten as soon as that may be. None: there can be none here.
pub fn ask_for_rewriting(core: &Core) -> Option<Asked> {
    let asked = rewrite::ask(core)?;
    if asked == Asked::Begins {
        background::snapshot_later(core);
    }
    Some(asked)
}

/// Begins a rewriting that is due, while nothing is under way. Tells whether it did.
fn begin_due_rewriting(core: &mut Core) -> bool {
    // One that cannot begin has said so, and when it is tried again.
    rewrite::take_due(core) && set_out_as(core, Purpose::Aof).is_ok()
}

/// Whether the shell has asked for a backup.
fn is_backup_due(core: &Core) -> bool {
    state(core.roots).backup_wanted.load(Relaxed) != 0
}

/// Begins what is due, while nothing is under way: on a background thread, as files are made for it.
fn begin_due(core: &mut Core) {
    if !begin_due_rewriting(core) {
        begin_due_backup(core);
    }
}

/// Begins a backup that the shell has asked for, while nothing is under way.
fn begin_due_backup(core: &mut Core) {
    let wanted = &state(core.roots).backup_wanted;
    if wanted.load(Relaxed) == 0 || wanted.swap(0, Relaxed) == 0 {
        return;
    }
    // One that has failed has told the shell, which tells who asked.
    if set_out_as(core, Purpose::Backup) == Err(Refused::UnderWay) {
        // Somebody has begun another just now.
        wanted.store(1, Relaxed);
    }
}

/// As [`begin`], for a purpose.
fn set_out_as(core: &mut Core, purpose: Purpose) -> Result<(), Refused> {
    set_out(core, purpose)?;
    let text = match purpose {
        Purpose::Data => "a snapshot has begun in the background",
        Purpose::Aof => "the append-only log is being rewritten in the background",
        Purpose::Backup => "a backup has begun in the background",
    };
    core.host.log()(level::INFO, text.into());
    go_on_later(core);
    Ok(())
}

/// Writes a snapshot here and now, with every shard locked. One that is under way is waited for by
/// nobody: it is refused.
pub fn save(core: &mut Core) -> Result<(), Refused> {
    let is_locked = core.locked() == ALL_SHARDS;
    if !is_locked {
        core.lock(ALL_SHARDS);
    }
    if is_other_under_way(core.roots) {
        // However that ends.
        let _ = step::to_the_end(core);
    }
    let had_failed = kept::has_failed(core.roots);
    let outcome = set_out(core, Purpose::Data).and_then(|()| step::to_the_end(core));
    if outcome == Err(Refused::Failed) {
        // Who asked is told, and those that are made by themselves are another matter.
        attention::set(core.roots, attention::FAILED, had_failed);
    }
    if !is_locked {
        core.unlock();
    }
    outcome
}

/// Gives up the one under way without an error, if there is one and it is the file of data.
pub fn drop_of_data(core: &Core) {
    if kept::purpose(core.roots) == Purpose::Data {
        drop_under_way(core);
    }
}

/// Gives up the one under way, if there is one, without an error.
pub fn drop_under_way(core: &Core) {
    if is_under_way(core.roots) {
        kept::give_up(core, None);
    }
}

/// Has a snapshot begin as soon as there is none under way.
pub fn schedule(core: &Core) {
    state(core.roots).scheduled.store(1, Relaxed);
}

/// Has a background thread go on.
fn go_on_later(core: &Core) {
    let state = state(core.roots);
    state.job_ms.store(core.clock.now_ms as u64, Relaxed);
    if !background::snapshot_later(core) {
        state.job_ms.store(0, Relaxed);
    }
}

/// Makes the file and begins the walk.
fn set_out(core: &mut Core, purpose: Purpose) -> Result<(), Refused> {
    let state = state(core.roots);
    if state.phase.compare_exchange(phase::NONE, phase::BEGINNING, AcqRel, Acquire).is_err() {
        return Err(Refused::UnderWay);
    }
    kept::set_purpose(core.roots, purpose, form_of(core, purpose));
    match (purpose, core.roots.aof()) {
        (Purpose::Aof, Some(aof)) => _ = aof.rewrites.fetch_add(1, Relaxed),
        (Purpose::Backup, _) => {}
        _ => {
            state.tried_s.store(core.clock.now_ms as u64 / 1000, Relaxed);
            state.begun.fetch_add(1, Relaxed);
        }
    }
    state.began_ns.store(core.host.monotonic_ns()(), Relaxed);
    if let Err(text) = make_file(core, purpose) {
        fail(core, &text);
        if purpose == Purpose::Data {
            state.took_s.store(1, Relaxed);
        }
        state.phase.store(phase::NONE, Relaxed);
        return Err(Refused::Failed);
    }
    let is_locked = core.locked() == ALL_SHARDS;
    if !is_locked {
        core.lock(ALL_SHARDS);
    }
    let sizes = begin::begin(core);
    state.changes.store(changes(core.roots), Relaxed);
    tell_moment(core, purpose);
    // What is told behind that moment may be in them already, and nothing before is missing.
    let libraries = scripts::libraries(core);
    if !is_locked {
        core.unlock();
    }
    let mut records = Records::follow(core.roots, state);
    head(core, &mut records, &libraries, &sizes);
    step::hand_over(core, &mut records);
    Ok(())
}

/// What the file is to be made of.
fn form_of(core: &Core, purpose: Purpose) -> Form {
    match purpose == Purpose::Aof && !core.get(setting::AOF_USE_RDB_PREAMBLE) {
        true => Form::Commands,
        false => Form::Dumps,
    }
}

/// Tells the shell that the snapshot is of this moment, if it has to know: every shard is locked.
fn tell_moment(core: &mut Core, purpose: Purpose) {
    if purpose == Purpose::Data {
        return;
    }
    core.pay();
    match purpose {
        Purpose::Aof => core.host.rewrite_from()(),
        _ => core.host.backup_from()(),
    }
}

fn make_file(core: &Core, purpose: Purpose) -> Result<(), String> {
    let path = match (purpose, kept::form(core.roots)) {
        (Purpose::Data, _) => String::from_utf8_lossy(&core.text(setting::DBFILENAME)).into_owned(),
        (_, Form::Dumps) => "rdb".to_owned(),
        (_, Form::Commands) => "aof".to_owned(),
    };
    let is_synced = core.get(match purpose {
        Purpose::Data | Purpose::Backup => setting::RDB_SAVE_INCREMENTAL_FSYNC,
        Purpose::Aof => setting::AOF_REWRITE_INCREMENTAL_FSYNC,
    });
    let saving = Saving {
        path: RStr::from_str(&path),
        sync_bytes: if is_synced { SYNC_BYTES } else { 0 },
        job: Job { kind: background::job::SNAPSHOT, reserved: 0, arguments: [0; 6] },
    };
    let mut error = RawBytes::EMPTY;
    let status = match purpose {
        Purpose::Data => core.host.save_begin()(&saving, &mut error),
        Purpose::Aof => core.host.rewrite_begin()(&saving, &mut error),
        Purpose::Backup => core.host.backup_begin()(&saving, &mut error),
    };
    let text = take_text(&mut error, core.heap);
    if status.is_ok() { Ok(()) } else { Err(text) }
}

/// What is before the keys.
fn head(
    core: &mut Core,
    records: &mut Records,
    libraries: &[scripts::LibraryText],
    sizes: &[Sizes],
) {
    if kept::form(core.roots) == Form::Commands {
        let load = |library: &scripts::LibraryText| {
            let words: [&[u8]; 3] = [b"FUNCTION", b"LOAD", &library.source];
            write_command(&mut records.bytes, words.into_iter());
        };
        return libraries.iter().for_each(load);
    }
    let out = &mut records.bytes;
    write::head(out, sizes.iter().any(|sizes| sizes.timed > 0));
    write::aux(out, "redis-ver", REDIS_VERSION);
    write::aux(out, "redis-bits", &usize::BITS.to_string());
    write::aux(out, "ctime", &(core.clock.now_ms / 1000).to_string());
    write::aux(out, "used-mem", &core.host.used_bytes()().to_string());
    let is_base = kept::purpose(core.roots) == Purpose::Aof;
    write::aux(out, "aof-base", if is_base { "1" } else { "0" });
    let compresses = core.get(setting::RDBCOMPRESSION);
    for library in libraries {
        let compressor = compresses.then_some(&mut core.compressor);
        write::library(out, compressor, &library.source);
    }
    for sizes in sizes {
        records.select(sizes.db.into());
        write::sizes(&mut records.bytes, sizes.keys, sizes.with_ttl);
    }
}

/// Notes that the snapshot has failed.
fn fail(core: &Core, text: &str) {
    match text.is_empty() {
        true => kept::note_failure(core, text),
        false => {
            kept::note_failure(core, &format!("{text}; check the folder's rights and its space"))
        }
    }
}
