//! Captured commands: what one did, with the values of its keys before and after, for another version
//! to be given the same. See `abi::capture`.

use abi::capture::{ABSENT, Capturing, FORMAT, HEAD_BYTES, SAME, at, flag as record_flag, outcome};
use abi::client::flag as client_flag;
use abi::stats::FAMILIES;
use abi_stable::std_types::RSlice;

use crate::exec::aftermath;
use crate::exec::call::Call;
use crate::exec::context::{ClientCtx, Ctx, Mode};
use crate::exec::index::KeyRule;
use crate::exec::spec::{Code, Spec, flag};
use base::args::Args;
use base::attention;
use base::clock::ticks;
use base::core::Core;
use keyspace::{Intent, Keys};
use value::dump;

/// A buffer that has grown beyond this is not kept.
const KEPT_MAX: usize = 1 << 20;

/// Room for a record, kept from one to the next.
#[derive(Default)]
pub struct Room {
    record: Vec<u8>,
    /// Which arguments are keys.
    keys: Vec<usize>,
}

/// A command that is being captured.
pub struct Capture {
    room: Room,
    /// Its keys' values are not to take more.
    bytes_max: u64,
    /// When it began, and what capturing it had taken by then.
    began: u64,
    cost_ticks: u64,
    /// Where its reply begins.
    output: usize,
}

/// Begins to capture a command whose shards are locked, if it is among those that are.
#[cold]
pub fn begin(cx: &mut ClientCtx<'_>, call: &Call, args: Args<'_>) -> Option<Capture> {
    let core = &mut *cx.data.keys.core;
    if cx.data.mode != Mode::Direct || !attention::has(core.roots, attention::CAPTURE) {
        return None;
    }
    let Capturing { share, bytes_max, .. } = core.host.capturing()();
    if core.random.next_u64() >> 32 >= share {
        return None;
    }
    let entered = ticks(core.host);
    let mut room = core::mem::take(&mut cx.exec.capture);
    if let Err(why) = write_before(&mut cx.data, &mut room, bytes_max, call, args) {
        cx.exec.capture = room;
        hand_over(cx.data.core(), entered, why, &[]);
        return None;
    }
    let output = cx.data.out.len();
    let core = cx.data.core();
    core.effects.tap();
    core.ended_at = None;
    let began = ticks(core.host);
    let cost_ticks = began.wrapping_sub(entered);
    Some(Capture { room, bytes_max, began, cost_ticks, output })
}

/// The command has run, its shards are still locked.
pub fn end(cx: &mut ClientCtx<'_>, call: &Call, args: Args<'_>, capture: Capture) {
    let Capture { mut room, bytes_max, began, cost_ticks, output } = capture;
    let ended = ticks(cx.data.core().host);
    let waits = cx.session.has(client_flag::BLOCKED | client_flag::POSTPONED);
    let record = &mut room.record;
    let core = cx.data.core();
    let elapsed_ns = core.ticks.to_ns(ended.wrapping_sub(began));
    record[at::ELAPSED_NS..at::ELAPSED_NS + 8].copy_from_slice(&elapsed_ns.to_le_bytes());
    write_after(&mut cx.data.keys, record, (&room.keys, args), call.spec.may_change_keys());
    text(record, cx.data.out.since(output.min(cx.data.out.len())));
    cx.data.core().effects.untap(|said| text(record, said));
    let len = record.len() as u32;
    record[at::LEN..at::LEN + 4].copy_from_slice(&len.to_le_bytes());
    let outcome = match () {
        () if waits => outcome::WAITS,
        () if record.len() as u64 > bytes_max.saturating_mul(4) => outcome::TOO_LARGE,
        () => outcome::RECORD,
    };
    let handed: &[u8] = if outcome == outcome::RECORD { record } else { &[] };
    hand_over(cx.data.core(), ended.wrapping_sub(cost_ticks), outcome, handed);
    room.record.clear();
    room.record.shrink_to(KEPT_MAX);
    cx.exec.capture = room;
}

/// Tells the shell. `since`: capturing has taken all the time from then on.
fn hand_over(core: &mut Core, since: u64, outcome: u32, record: &[u8]) {
    let host = core.host;
    let cost_ns = core.ticks.to_ns(ticks(host).wrapping_sub(since));
    host.captured()(outcome, cost_ns, RSlice::from_slice(record));
    core.ended_at = None;
}

/// Writes all of a record that is known before the command runs, or says why there is to be none.
fn write_before(
    cx: &mut Ctx<'_>,
    room: &mut Room,
    bytes_max: u64,
    call: &Call,
    args: Args<'_>,
) -> Result<(), u32> {
    find_keys(cx, &mut room.keys, call, args)?;
    if args.bytes_at_most() as u64 > bytes_max {
        return Err(outcome::TOO_LARGE);
    }
    let record = &mut room.record;
    record.clear();
    write_head(cx, record, call.spec, room.keys.len());
    text(record, call.spec.name.as_bytes());
    text(record, FAMILIES[call.spec.group as usize].as_bytes());
    write_request(record, args);
    let mut left = bytes_max;
    for key in room.keys.iter().map(|index| args.at(*index)) {
        text(record, key);
        write_value(&mut cx.keys, record, key, &mut left)?;
    }
    Ok(())
}

/// Which arguments are keys; an error where those are not all that the command depends on.
fn find_keys(
    cx: &mut Ctx<'_>,
    keys: &mut Vec<usize>,
    call: &Call,
    args: Args<'_>,
) -> Result<(), u32> {
    let elsewhere = flag::CHANGES_ELSEWHERE | flag::RUNS_SCRIPT | flag::TRANSACTION;
    if matches!(call.spec.code, Code::Client(_)) || call.spec.has(elsewhere) {
        return Err(outcome::NOT_KEYS_ALONE);
    }
    keys.clear();
    match call.keys {
        KeyRule::None | KeyRule::All | KeyRule::Patterns => return Err(outcome::BEYOND_ITS_KEYS),
        KeyRule::One(at) if args.len() > at as usize => keys.push(at as usize),
        _ => keys.extend(call.spec.key_indices(args)),
    }
    let core = cx.core();
    let is_elsewhere = aftermath::databases(core, 0, call).len() > 1;
    let reads_beyond = call.spec.reads_beyond.is_some_and(|reads| reads(args).is_some());
    match keys.is_empty() || is_elsewhere || reads_beyond || core.applies_effects {
        true => Err(outcome::BEYOND_ITS_KEYS),
        false => Ok(()),
    }
}

fn write_head(cx: &mut Ctx<'_>, record: &mut Vec<u8>, spec: &Spec, keys: usize) {
    let mut flags = if cx.out.resp3 { record_flag::RESP3 } else { 0 };
    if spec.may_change_keys() {
        flags |= record_flag::CHANGES;
    }
    let (db, time_us) = (cx.keys.db, cx.core().clock.now_us as u64);
    record.resize(HEAD_BYTES, 0);
    record[at::FORMAT] = FORMAT;
    record[at::RULE] = spec.compared;
    record[at::FLAGS] = flags;
    record[at::DB..at::DB + 4].copy_from_slice(&db.to_le_bytes());
    record[at::KEYS..at::KEYS + 4].copy_from_slice(&(keys as u32).to_le_bytes());
    record[at::TIME_US..at::TIME_US + 8].copy_from_slice(&time_us.to_le_bytes());
}

/// The command as an array of bulk strings.
fn write_request(record: &mut Vec<u8>, args: Args<'_>) {
    if let Some(encoded) = args.encoded() {
        return text(record, encoded);
    }
    let begin = open(record);
    let mut digits = itoa::Buffer::new();
    let mut line = |record: &mut Vec<u8>, kind: u8, number: usize| {
        record.push(kind);
        record.extend_from_slice(digits.format(number).as_bytes());
        record.extend_from_slice(b"\r\n");
    };
    line(record, b'*', args.len());
    for arg in args.from(0) {
        line(record, b'$', arg.len());
        record.extend_from_slice(arg);
        record.extend_from_slice(b"\r\n");
    }
    close(record, begin);
}

/// What a key holds before the command runs.
fn write_value(
    keys: &mut Keys<'_>,
    record: &mut Vec<u8>,
    key: &[u8],
    left: &mut u64,
) -> Result<(), u32> {
    let (heap, now_ms) = (keys.core.heap, keys.core.clock.now_ms);
    if let Some(entry) = keys.entry(key, Intent::Past) {
        if entry.expires_at().is_some_and(|at| at <= now_ms) {
            return Err(outcome::EXPIRED_KEY);
        }
        let bytes = entry.estimated_memory(heap) as u64;
        *left = left.checked_sub(bytes).ok_or(outcome::TOO_LARGE)?;
    }
    write_state(keys, record, key);
    Ok(())
}

/// What the keys hold once it has run.
fn write_after(
    keys: &mut Keys<'_>,
    record: &mut Vec<u8>,
    (indices, args): (&[usize], Args<'_>),
    may_have_changed: bool,
) {
    for key in indices.iter().map(|index| args.at(*index)) {
        match may_have_changed {
            true => write_state(keys, record, key),
            false => record.extend_from_slice(&SAME.to_le_bytes()),
        }
    }
}

/// A key's value as a dump, behind it when it ends, Unix ms, 0 for never.
fn write_state(keys: &mut Keys<'_>, record: &mut Vec<u8>, key: &[u8]) {
    let Some(entry) = keys.entry(key, Intent::Past) else {
        return record.extend_from_slice(&ABSENT.to_le_bytes());
    };
    let begin = open(record);
    dump::payload(entry, None, &mut |piece| record.extend_from_slice(piece));
    close(record, begin);
    record.extend_from_slice(&entry.expires_at().unwrap_or(0).to_le_bytes());
}

/// Bytes with their number before them.
fn text(record: &mut Vec<u8>, bytes: &[u8]) {
    record.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    record.extend_from_slice(bytes);
}

/// Leaves room for how many bytes come from here on; for [`close`].
fn open(record: &mut Vec<u8>) -> usize {
    record.extend_from_slice(&[0; 4]);
    record.len()
}

fn close(record: &mut [u8], begin: usize) {
    let len = (record.len() - begin) as u32;
    record[begin - 4..begin].copy_from_slice(&len.to_le_bytes());
}
