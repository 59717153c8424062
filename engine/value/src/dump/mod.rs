//! Whole values as the bytes of Redis's dumps and files, both ways.
//!
//! A value is written by its encoding's row ([`Encoding::dump`](crate::encoding::Encoding)), in steps
//! if so wished, and read by the row of its type in [`kinds`].
//!
//! ```text
//! payload   type u8, value, version u16, checksum u64 of all before it (little-endian)
//! ```
#![forbid(unsafe_code)]

pub mod kinds;

pub use kinds::Building;

use crate::entry::{Entry, OwnedEntry};
use crate::serialized::fault::Fault;
use crate::serialized::reader::Reader;
use crate::serialized::writer::Writer;
use base::crc64::crc64;
use base::lzf::Compressor;
use kinds::Reads;

/// The version that is written: all that values need has been there since.
pub const VERSION: u16 = 10;
/// Bytes behind the value.
const FOOTER_BYTES: usize = 10;
/// Bytes of the checksum, at the end of them.
const CHECKSUM_BYTES: usize = 8;

/// Appends a whole value, without its type.
pub fn write(entry: Entry<'_>, out: &mut Vec<u8>, compressor: Option<&mut Compressor>) {
    let mut writer = Writer::new(out, compressor, usize::MAX);
    let mut place = 0;
    loop {
        place = (entry.row().dump)(entry, place, &mut writer);
        if place == 0 {
            break;
        }
    }
}

/// The payload that `DUMP` returns for a value.
pub fn payload(entry: Entry<'_>, compressor: Option<&mut Compressor>) -> Vec<u8> {
    let mut out = vec![entry.row().dump_type];
    write(entry, &mut out, compressor);
    seal(&mut out);
    out
}

/// Appends version and checksum.
fn seal(out: &mut Vec<u8>) {
    out.extend(VERSION.to_le_bytes());
    out.extend(crc64(out).to_le_bytes());
}

/// The version of a payload, and its type and value; none if its checksum is wrong.
pub fn open(payload: &[u8]) -> Option<(u16, &[u8])> {
    let (sealed, checksum) = payload.split_last_chunk::<CHECKSUM_BYTES>()?;
    let (value, version) = sealed.split_last_chunk()?;
    debug_assert_eq!(payload.len() - value.len(), FOOTER_BYTES);
    let is_sound = crc64(sealed).to_le_bytes() == *checksum;
    is_sound.then_some((u16::from_le_bytes(*version), value))
}

/// An entry that holds the value behind a type, as a file or payload of this version has both.
///
/// # Errors
/// The bytes are no such value, or one that is not read: nothing is left behind. What follows the
/// value is not looked at.
pub fn load(
    bytes: &[u8],
    version: u16,
    reads: &Reads,
    building: &Building<'_>,
) -> Result<OwnedEntry, Fault> {
    let mut reader = Reader::new(bytes);
    let id = reader.byte()?;
    let kind = reads.kind(id, version).ok_or(Fault::damage(0, "a value of an unknown type"))?;
    (kind.load)(&mut reader, building)
}

#[cfg(test)]
mod tests;
