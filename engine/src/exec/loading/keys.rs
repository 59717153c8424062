//! The keys of a piece.

use core::sync::atomic::AtomicU64;
use core::sync::atomic::Ordering::Relaxed;

use abi::host::level;
use abi::loading::Loading;
use abi::schema::LEVEL_2;

use super::fault::{Trouble, told_key};
use super::piece::Piece;
use crate::exec::schema;
use crate::exec::thread::Exec;
use base::core::Core;
use base::crc64::{crc64, followed_by_zeros};
use base::loading;
use base::settings::setting;
use keyspace::{Arrivals, Keys, Restoring, access};
use value::dump;
use value::dump::kinds::OF_FILES;
use value::entry::OwnedEntry;
use value::rdb::{Head, Key, Record, Records};
use value::serialized::fault::Cause;
use value::serialized::kind;

const DOUBLED: &str = "a key that was in the file before";
/// A key takes a byte for its type, and two for its length and its value at least.
const RECORD_BYTES_MIN: usize = 3;
/// Keys without elements that are told one by one.
const EMPTY_TOLD: u64 = 10;
/// A file of fewer bytes is loaded before anybody asks how far it is.
const TOLD_BYTES_MIN: u64 = 64 << 20;
/// How often it is told how far a larger one is.
const TOLD_TIMES: u64 = 10;

/// What came of some records.
#[derive(Default)]
struct Counts {
    loaded: u64,
    expired: u64,
    empty: u64,
    /// The schema level that may be raised to, where a value needs it.
    level_max: u32,
}

/// Makes the keys of a piece, and enters them.
pub fn make(core: &mut Core, exec: &mut Exec, file: &[u8], piece: &Piece) -> Result<(), Trouble> {
    let state = loading::state(core.roots);
    // Taken, so that what is in it goes if this is broken off.
    let mut arrivals = exec.arrivals.take().unwrap_or_default();
    let mut keys = Keys::new(core, 0);
    let mut counts = Counts::default();
    let replaces = state.replaces.load(Relaxed) != 0;
    // At the start nobody has asked to be able to go back to an older release.
    counts.level_max = if replaces { 0 } else { exec.release.schema_level };
    let made = make_all(&mut keys, file, piece, &mut arrivals, &mut counts);
    let entered = keys.enter_loaded(&mut arrivals, replaces);
    exec.arrivals = Some(arrivals);
    entered.map_err(|at| Trouble::damage(at, DOUBLED)).and(made)?;
    sum_up(core, state, file, piece);
    count(core, state, &counts, (piece.end - piece.from.at) as u64);
    Ok(())
}

fn make_all(
    keys: &mut Keys<'_>,
    file: &[u8],
    piece: &Piece,
    arrivals: &mut Arrivals,
    counts: &mut Counts,
) -> Result<(), Trouble> {
    let mut records = Records::new(file, piece.version, piece.from);
    while records.place().at < piece.end {
        let at = records.place().at;
        match records.read().map_err(|fault| Trouble::of_record(records.reader.begin(), fault))? {
            Record::Key(key) => {
                delay(keys.core);
                if let Some((hash, entry)) = make_key(keys, &mut records, &key, piece, counts)? {
                    arrivals.add(key.db as u32, hash, at, entry);
                }
            }
            Record::Sizes(all, with_ttl) => {
                // No more than the file has room for.
                let most =
                    |number: u64| number.min((file.len() / RECORD_BYTES_MIN) as u64) as usize;
                let db = u32::try_from(records.place().db).unwrap_or(u32::MAX);
                keys.in_db(db, |keys| keys.reserve(most(all), most(with_ttl)));
            }
            Record::End => break,
            _ => {}
        }
    }
    match records.place().at == piece.end {
        true => Ok(()),
        false => Err(Trouble::damage(piece.from.at, "records that do not end where they seem to")),
    }
}

/// Sleeps for as many microseconds as `key-load-delay` says; for 1, once in so many keys, if that is
/// negative.
fn delay(core: &mut Core) {
    let us = match core.get(setting::KEY_LOAD_DELAY) {
        0 => return,
        us @ 1.. => us as u64,
        one_in => u64::from(core.random.below(one_in.unsigned_abs()) == 0),
    };
    core.host.sleep_us()(us);
}

/// Makes a key's entry, with its hash. None: it is left out.
fn make_key(
    keys: &Keys<'_>,
    records: &mut Records<'_>,
    key: &Key,
    piece: &Piece,
    counts: &mut Counts,
) -> Result<Option<(u64, OwnedEntry)>, Trouble> {
    let damaged = |records: &Records<'_>, fault| Trouble::of_record(records.reader.begin(), fault);
    if has_ended(keys.core, key) {
        counts.expired += 1;
        records.pass_value(key).map_err(|fault| damaged(records, fault))?;
        return Ok(None);
    }
    let name = records.name(key).map_err(|fault| damaged(records, fault))?;
    if kind::is_timed(key.kind) && counts.level_max >= LEVEL_2 {
        schema::raise(keys.core, LEVEL_2);
    }
    let access = access::told(keys.core, key.idle_s, key.frequency);
    let building = keys.building(&Restoring { key: &name, expires_at: key.expires_at, access });
    match dump::load_value(&mut records.reader, key.kind, piece.version, &OF_FILES, &building) {
        Ok(entry) => {
            counts.loaded += 1;
            Ok(Some((keys.hash(&name), entry)))
        }
        Err(fault) if fault.cause == Cause::Empty => {
            counts.empty += 1;
            tell_empty(keys.core, counts.empty, key, &name);
            records.return_to_value(key);
            records.pass_value(key).map_err(|fault| damaged(records, fault))?;
            Ok(None)
        }
        Err(fault) => Err(Trouble::of_value(&records.reader, fault, key, &name)),
    }
}

/// Whether the key's time had come when loading began. In a log nothing expires but by its `DEL`: what
/// follows may be about the key.
fn has_ended(core: &Core, key: &Key) -> bool {
    let state = loading::state(core.roots);
    let now = state.started_ms.load(Relaxed) as i64;
    key.expires_at.is_some_and(|at| at < now) && state.is_part.load(Relaxed) == 0
}

/// Tells of a key without elements, unless it is one of many; in this piece there were so many.
fn tell_empty(core: &Core, here: u64, key: &Key, name: &[u8]) {
    if loading::state(core.roots).keys_empty.load(Relaxed) + here <= EMPTY_TOLD {
        let text = format!("left out of the file: {} has no elements", told_key(key, name));
        core.host.log()(level::WARN, text.as_str().into());
    }
}

/// Adds the checksum of a piece to that of the file.
fn sum_up(core: &Core, state: &Loading, file: &[u8], piece: &Piece) {
    let head = Head { version: piece.version };
    if head.has_checksum() && core.get(setting::RDBCHECKSUM) {
        let sum = crc64(&file[piece.summed_from()..piece.end]);
        let sum = followed_by_zeros(sum, (file.len() - piece.end) as u64);
        state.checksum.fetch_xor(sum, Relaxed);
    }
}

fn count(core: &Core, state: &Loading, counts: &Counts, bytes: u64) {
    let add = |counter: &AtomicU64, by: u64| counter.fetch_add(by, Relaxed);
    let keys = add(&state.keys_loaded, counts.loaded) + counts.loaded;
    add(&state.keys_expired, counts.expired);
    add(&state.keys_empty, counts.empty);
    let before = add(&state.loaded_bytes, bytes);
    let total = state.total_bytes.load(Relaxed).max(1);
    let tenths = |bytes: u64| bytes as u128 * u128::from(TOLD_TIMES) / u128::from(total);
    if total >= TOLD_BYTES_MIN && tenths(before) != tenths(before + bytes) {
        let percent = (before + bytes) as u128 * 100 / u128::from(total);
        let text = format!("loading: {percent} % of {total} bytes, {keys} keys");
        core.host.log()(level::INFO, text.as_str().into());
    }
}
