//! Where a piece of a file ends.

use abi::loading::NextPiece;

use super::fault::Trouble;
use super::{about, is_faulty, note};
use crate::exec::release::Release;
use base::core::Core;
use value::rdb::{HEAD_BYTES, Place, Record, Records};

/// Bytes from which on a piece is complete.
const BYTES: usize = 256 << 10;
/// Keys that a piece has at most: their entries are made before the first is entered, and are still
/// in the cache then.
const KEYS: usize = 1024;

/// Some records in a row.
#[derive(Clone, Copy, Debug)]
pub struct Piece {
    /// Where it begins, and what is known there.
    pub from: Place,
    /// Where it ends.
    pub end: usize,
    /// The version of the format.
    pub version: u16,
}

impl Piece {
    /// Where the bytes begin whose checksum is made with this piece's.
    pub fn summed_from(&self) -> usize {
        if self.from.at == HEAD_BYTES { 0 } else { self.from.at }
    }
}

/// Takes the next piece. What is no key is acted upon at once, in the order of the file. None: there is
/// none left.
pub fn take(core: &Core, release: &Release, next: &mut NextPiece, file: &[u8]) -> Option<Piece> {
    if next.is_over != 0 || is_faulty(core) {
        return None;
    }
    let (from, version) = (Place { at: next.at as usize, db: next.db }, next.version as u16);
    let mut records = Records::new(file, version, from);
    let mut place = from;
    for _ in 0..KEYS {
        match pass(core, release, &mut records) {
            Ok(is_over) => {
                place = records.place();
                if is_over {
                    (next.is_over, next.end) = (1, place.at as u64);
                }
            }
            Err(trouble) => {
                // What is before it is looked at all the same: something may be wrong there too.
                next.is_over = 1;
                note(core, trouble);
            }
        }
        if next.is_over != 0 || place.at - from.at >= BYTES {
            break;
        }
    }
    (next.at, next.db) = (place.at as u64, place.db);
    Some(Piece { from, end: place.at, version })
}

/// Passes over the next key with all that is before it. Tells whether there is none, but the end.
fn pass(core: &Core, release: &Release, records: &mut Records<'_>) -> Result<bool, Trouble> {
    loop {
        let begin = records.place().at;
        let record = records.read();
        let record = record.map_err(|fault| Trouble::of_record(records.reader.begin(), fault))?;
        match record {
            Record::Key(key) => {
                let passed = records.pass_value(&key);
                return passed.map(|()| false).map_err(|fault| {
                    let name = records.name(&key).unwrap_or_default();
                    Trouble::of_value(&records.reader, fault, &key, &name)
                });
            }
            Record::End => return Ok(true),
            other => about::apply(core, release, &other, begin)?,
        }
    }
}
