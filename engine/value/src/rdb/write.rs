//! Writing: each function appends a record, or the beginning of one.

use abi::schema::encoding;

use super::{CHECKSUM_BYTES, MAGIC_REDIS, opcode};
use crate::dump::{VERSION, VERSION_TIMED};
use crate::entry::Entry;
use crate::serialized::writer::Writer;
use crate::string;
use base::lzf::Compressor;

/// Bytes of a string above which it is written in parts, if parts are wanted.
const LONG_STRING: usize = 1 << 20;

/// What is told of how a key was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Used {
    /// Nothing.
    Untold,
    /// For so many seconds it was not.
    NotFor(u64),
    /// So often, as LFU counts.
    Times(u8),
}

/// Magic and version, of a file in which fields of hashes may end or not.
pub fn head(out: &mut Vec<u8>, timed: bool) {
    let version = if timed { VERSION_TIMED } else { VERSION };
    out.extend_from_slice(MAGIC_REDIS);
    out.extend_from_slice(format!("{version:04}").as_bytes());
}

/// A field about the file.
pub fn aux(out: &mut Vec<u8>, name: &str, value: &str) {
    out.push(opcode::AUX);
    let mut writer = Writer::new(out, None, usize::MAX);
    writer.string(name.as_bytes());
    writer.string(value.as_bytes());
}

/// A library of functions.
pub fn library(out: &mut Vec<u8>, compressor: Option<&mut Compressor>, source: &[u8]) {
    out.push(opcode::FUNCTION2);
    Writer::new(out, compressor, usize::MAX).string(source);
}

/// The keys that follow are in this database.
pub fn select(out: &mut Vec<u8>, db: u64) {
    out.push(opcode::SELECTDB);
    Writer::new(out, None, usize::MAX).number(db);
}

/// How many keys the database has, and how many of them have a time to live.
pub fn sizes(out: &mut Vec<u8>, keys: usize, with_ttl: usize) {
    out.push(opcode::RESIZEDB);
    let mut writer = Writer::new(out, None, usize::MAX);
    writer.length(keys);
    writer.length(with_ttl);
}

/// All of a key's record that is before its value.
pub fn begin_key(
    out: &mut Vec<u8>,
    compressor: Option<&mut Compressor>,
    entry: Entry<'_>,
    used: Used,
) {
    if let Some(at_ms) = entry.expires_at() {
        out.push(opcode::EXPIRETIME_MS);
        out.extend_from_slice(&at_ms.to_le_bytes());
    }
    match used {
        Used::Untold => {}
        Used::NotFor(seconds) => {
            out.push(opcode::IDLE);
            Writer::new(out, None, usize::MAX).number(seconds);
        }
        Used::Times(times) => out.extend_from_slice(&[opcode::FREQ, times]),
    }
    out.push(entry.row().dump_type);
    Writer::new(out, compressor, usize::MAX).string(entry.key());
}

/// Appends some of a value, `bytes` or a little more, from a place on: 0 at first. Returns where to
/// go on, or 0 at its end.
///
/// A long string that is begun in parts is written as it is: it could only be compressed as a whole.
pub fn value(
    out: &mut Vec<u8>,
    compressor: Option<&mut Compressor>,
    entry: Entry<'_>,
    place: u64,
    bytes: usize,
) -> u64 {
    if entry.encoding() == encoding::STRING_HEAP {
        let text = string::view(entry);
        let text = text.as_bytes();
        if place != 0 || text.len() > LONG_STRING && bytes < text.len() {
            return part(out, text, place as usize, bytes) as u64;
        }
    }
    (entry.row().dump)(entry, place, &mut Writer::new(out, compressor, bytes))
}

/// Appends some of a string as it is. Returns where to go on, or 0 at its end.
fn part(out: &mut Vec<u8>, text: &[u8], from: usize, bytes: usize) -> usize {
    if from == 0 {
        Writer::new(out, None, usize::MAX).length(text.len());
    }
    let end = from.saturating_add(bytes).min(text.len());
    out.extend_from_slice(&text[from..end]);
    if end == text.len() { 0 } else { end }
}

/// The end of the records; the checksum is still to come.
pub fn end(out: &mut Vec<u8>) {
    out.push(opcode::EOF);
}

/// The checksum of all before it; none if it is not to be looked at.
pub fn checksum(value: Option<u64>) -> [u8; CHECKSUM_BYTES] {
    value.unwrap_or(0).to_le_bytes()
}
