//! Going on with a snapshot.

use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};

use abi::container::RawBytes;
use abi::host::{SavingInfo, level, saving};
use abi::keyspace::SHARDS;
use abi::snapshot::{Snapshot, phase};
use abi_stable::std_types::RSlice;

use super::{Refused, begin_due, fail, go_on_later, is_under_way, state};
use base::attention;
use base::bytes::take_text;
use base::clock::ticks;
use base::core::Core;
use base::crc64::Checksum;
use base::lock::ALL_SHARDS;
use base::settings::setting;
use keyspace::Keys;
use keyspace::snapshot::walk::{self, Step};
use keyspace::snapshot::{self as kept, Form, Purpose, Records, begin};
use value::rdb::write;

/// How long a step takes, about, with a shard locked: whoever wants it meanwhile waits so long.
const STEP_US: u64 = 40;
/// How long a job takes, about: then others have their turn.
const JOB_US: u64 = 10_000;
/// Bytes of records that are handed to the shell at once.
const RECORDS_BYTES: usize = 256 << 10;
/// Bytes that the shell has yet to write at which the walk pauses.
const QUEUED_BYTES_MAX: u64 = 8 << 20;
/// How long whoever cannot leave waits for the shell, or for a shard.
const WAIT_US: u64 = 500;

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// There is more to do.
    More,
    /// Nothing before the shell has written what it has.
    Wait,
    /// It is over.
    End,
}

/// The right to go on with the snapshot, for one lane at a time.
struct Turn(&'static Snapshot);

impl Turn {
    /// Takes it, if no other lane has it. If this one had it, it has broken off in the middle, and
    /// the snapshot is given up.
    fn take(core: &Core) -> Option<Self> {
        let (state, me) = (state(core.roots), core.id + 1);
        match state.in_step.compare_exchange(0, me, AcqRel, Acquire) {
            Ok(_) => {}
            Err(lane) if lane == me => kept::give_up(core, Some("it was broken off")),
            Err(_) => return None,
        }
        Some(Self(state))
    }

    /// Gives it back: all that was made is with the shell.
    fn leave(self) {
        self.0.in_step.store(0, Release);
    }
}

/// Finds out, between commands, whether this lane has broken off in the middle of a step.
pub(super) fn recover(core: &Core) {
    if state(core.roots).in_step.load(Relaxed) == core.id + 1
        && let Some(turn) = Turn::take(core)
    {
        turn.leave();
    }
}

/// Goes on for a while on a background thread.
pub fn job(core: &mut Core) {
    core.refresh();
    if !is_under_way(core.roots) {
        begin_due(core);
    }
    let Some(turn) = Turn::take(core) else { return };
    let next = go_on(core, JOB_US);
    turn.leave();
    match next {
        Next::More => go_on_later(core),
        // Until somebody has a reason to.
        Next::Wait | Next::End => state(core.roots).job_ms.store(0, Relaxed),
    }
}

/// Goes on to the end, with every shard locked.
pub(super) fn to_the_end(core: &mut Core) -> Result<(), Refused> {
    loop {
        let next = Turn::take(core).map_or(Next::Wait, |turn| {
            let next = go_on(core, u64::MAX);
            turn.leave();
            next
        });
        match next {
            Next::End if !kept::has_failed(core.roots) => return Ok(()),
            Next::End => return Err(Refused::Failed),
            Next::More => {}
            Next::Wait => core.host.sleep_us()(WAIT_US),
        }
    }
}

/// Goes on for about a time.
fn go_on(core: &mut Core, us: u64) -> Next {
    let begin = ticks(core.host);
    loop {
        let next = match state(core.roots).phase.load(Acquire) {
            phase::WALKING | phase::GIVEN_UP => walk_on(core, begin, us),
            phase::ENDING => conclude(core),
            phase::BEGINNING => Next::Wait,
            _ => Next::End,
        };
        if next != Next::More || elapsed_us(core, begin) >= us {
            return next;
        }
    }
}

fn elapsed_us(core: &Core, begin: u64) -> u64 {
    core.ticks.to_ns(ticks(core.host).wrapping_sub(begin)) / 1000
}

/// Walks on for about a time.
fn walk_on(core: &mut Core, begin: u64, us: u64) -> Next {
    let mut records = Records::follow(core.roots, state(core.roots));
    loop {
        let before = state(core.roots).keys_written.load(Relaxed);
        let step = step(core, &mut records);
        dawdle(core, before);
        // What is to be freed, and whatever else was noticed.
        if core.locked() == 0 {
            core.unlock();
        }
        if records.bytes.len() >= RECORDS_BYTES {
            hand_over(core, &mut records);
        }
        let next = match step {
            Step::Done => finish(core, &mut records),
            Step::Busy => {
                core.host.sleep_us()(WAIT_US);
                Next::More
            }
            Step::More => Next::More,
        };
        let waits = has_much_to_write(core);
        if next != Next::More || waits || elapsed_us(core, begin) >= us {
            hand_over(core, &mut records);
            return if waits && next == Next::More { Next::Wait } else { next };
        }
    }
}

/// Takes the time for the keys written since `before` that a test may ask for: so many microseconds
/// for each, or one for as many as a negative number says.
fn dawdle(core: &Core, before: u64) {
    let delay = core.get(setting::RDB_KEY_SAVE_DELAY);
    let keys = state(core.roots).keys_written.load(Relaxed) - before;
    let us = if delay < 0 { keys / delay.unsigned_abs() } else { keys * delay as u64 };
    if us > 0 && core.locked() == 0 {
        core.host.sleep_us()(us.min(JOB_US));
    }
}

/// Whether the shell is to write first.
fn has_much_to_write(core: &Core) -> bool {
    kept::is_walking(core.roots) && saving_info(core).0.queued_bytes > QUEUED_BYTES_MAX
}

/// Takes a step. `Done`: all has been written.
fn step(core: &mut Core, records: &mut Records) -> Step {
    // Nothing else can be written before its end.
    match walk::large(core, records) {
        Step::Done => {}
        step => return step,
    }
    match walk::wanted(core, records) {
        Step::Done => {}
        step => return step,
    }
    let begin = ticks(core.host);
    let mut is_over = |core: &Core| elapsed_us(core, begin) >= STEP_US;
    let state = state(core.roots);
    let is_walked = state.db.load(Relaxed) >= core.roots.databases().into();
    if is_walked || kept::held_bytes(core.roots) > 0 {
        let step = walk::resume(core, records, &mut is_over);
        if is_walked || step != Step::Done {
            return step;
        }
    }
    walk_shard(core, state, records, &mut is_over)
}

/// Goes on in the next of the shards that the walk is not done with in the database.
fn walk_shard(
    core: &mut Core,
    state: &Snapshot,
    records: &mut Records,
    is_over: &mut dyn FnMut(&Core) -> bool,
) -> Step {
    let (db, left) = (state.db.load(Relaxed), state.left.load(Relaxed));
    let from = state.shard.load(Relaxed) as u32 % SHARDS as u32;
    let shard = (from + left.rotate_right(from).trailing_zeros()) as usize % SHARDS;
    state.shard.store(shard as u64 + 1, Relaxed);
    let is_locked = core.has_locked(shard);
    if !is_locked && !core.lock_soon(1 << shard) {
        return Step::Busy;
    }
    let step = Keys::new(core, 0).walk(shard, db, records, is_over);
    if !is_locked {
        core.unlock();
    }
    if step == Step::Done {
        let left = left & !(1 << shard);
        state.left.store(if left == 0 { ALL_SHARDS } else { left }, Relaxed);
        state.db.store(if left == 0 { db + 1 } else { db }, Relaxed);
    }
    Step::More
}

/// Hands records to the shell, as what follows in the file.
pub(super) fn hand_over(core: &Core, records: &mut Records) {
    let state = state(core.roots);
    records.remember(state);
    if records.bytes.is_empty() || !kept::is_walking(core.roots) {
        return records.bytes.clear();
    }
    let mut checksum = Checksum::resume(state.checksum.load(Relaxed));
    checksum.add(&records.bytes);
    state.checksum.store(checksum.value(), Relaxed);
    append(core, &records.bytes);
    records.bytes.clear();
}

/// Appends to the file. If that has failed the snapshot has.
fn append(core: &Core, bytes: &[u8]) {
    if core.host.save_append()(RSlice::from_slice(bytes)).is_ok() {
        return;
    }
    kept::give_up(core, Some(&saving_info(core).1));
}

/// The walk has come by everything.
fn finish(core: &mut Core, records: &mut Records) -> Next {
    let state = state(core.roots);
    if kept::is_walking(core.roots) {
        end_file(core, records);
    }
    begin::end(core);
    // It may have been given up just now.
    let is_whole =
        state.phase.compare_exchange(phase::WALKING, phase::ENDING, AcqRel, Relaxed).is_ok();
    core.host.save_end()(is_whole.into());
    if is_whole {
        return conclude(core);
    }
    // What is left of the file is to be gone before there can be another.
    if saving_info(core).0.state == saving::UNDER_WAY {
        return Next::Wait;
    }
    note_duration(core);
    state.phase.store(phase::NONE, Release);
    Next::End
}

/// Hands the last records over, and what is behind them in a file of dumps.
fn end_file(core: &Core, records: &mut Records) {
    if kept::form(core.roots) == Form::Commands {
        return hand_over(core, records);
    }
    write::end(&mut records.bytes);
    hand_over(core, records);
    let sum = state(core.roots).checksum.load(Relaxed);
    append(core, &write::checksum(core.get(setting::RDBCHECKSUM).then_some(sum)));
}

/// How far the file has come, and why it has failed if it has.
fn saving_info(core: &Core) -> (SavingInfo, String) {
    let mut error = RawBytes::EMPTY;
    let info = core.host.save_info()(&mut error);
    (info, take_text(&mut error, core.heap))
}

/// Notes how long it took. One whose caller waited for it is not told of.
fn note_duration(core: &Core) {
    let state = state(core.roots);
    let took_ns = core.host.monotonic_ns()().saturating_sub(state.began_ns.load(Relaxed));
    let took_s = took_ns / 1_000_000_000 + 1;
    match (kept::purpose(core.roots), core.roots.aof()) {
        (Purpose::Aof, Some(aof)) => {
            aof.took_s.store(u32::try_from(took_s).unwrap_or(u32::MAX), Relaxed);
            aof.held_peak.store(state.held_peak.load(Relaxed), Relaxed);
        }
        (Purpose::Backup, _) => {}
        _ if core.locked() == 0 => state.took_s.store(took_s, Relaxed),
        _ => {}
    }
}

/// Notes that the file of data is safe.
fn note_saved(core: &Core) {
    let state = state(core.roots);
    state.saved_s.store(core.host.unix_us()() / 1_000_000, Relaxed);
    state.saved_changes.store(state.changes.load(Relaxed), Relaxed);
    attention::set(core.roots, attention::FAILED, false);
}

/// Looks whether the file is safe, and notes how it ended.
fn conclude(core: &Core) -> Next {
    let state = state(core.roots);
    let (info, text) = saving_info(core);
    match info.state {
        saving::UNDER_WAY => return Next::Wait,
        saving::DONE => {
            match (kept::purpose(core.roots), core.roots.aof()) {
                (Purpose::Aof, Some(aof)) => aof.failures.store(0, Relaxed),
                (Purpose::Backup, _) => {}
                _ => note_saved(core),
            }
            let keys = state.keys_written.load(Relaxed);
            let what = match kept::purpose(core.roots) {
                Purpose::Data => "a snapshot",
                Purpose::Aof => "a base of the append-only log",
                Purpose::Backup => "a backup",
            };
            let line = format!("{what} is on disk: {keys} keys, {} bytes", info.written_bytes);
            core.host.log()(level::INFO, line.as_str().into());
        }
        _ => fail(core, &text),
    }
    note_duration(core);
    state.phase.store(phase::NONE, Release);
    Next::End
}
