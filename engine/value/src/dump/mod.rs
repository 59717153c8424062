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
pub mod streams;

pub use kinds::Building;

use crate::entry::{Entry, OwnedEntry};
use crate::serialized::fault::Fault;
use crate::serialized::reader::Reader;
use crate::serialized::writer::Writer;
use base::crc64::{Checksum, crc64};
use base::lzf::Compressor;
use kinds::Reads;

/// The version that is written: all that values need has been there since, but for fields that end.
pub const VERSION: u16 = 10;
/// The version that is written where fields of hashes end.
pub const VERSION_TIMED: u16 = 12;
/// Bytes of the checksum, at the end of a payload.
const CHECKSUM_BYTES: usize = 8;
/// Bytes from which on a piece is complete.
const PIECE_BYTES: usize = 64 << 10;

/// Hands out a value piece by piece, without its type.
pub fn pieces(
    entry: Entry<'_>,
    mut compressor: Option<&mut Compressor>,
    take: &mut dyn FnMut(&[u8]),
) {
    let (mut piece, mut place) = (Vec::new(), 0);
    loop {
        let mut writer = Writer::new(&mut piece, compressor.as_deref_mut(), PIECE_BYTES);
        place = (entry.row().dump)(entry, place, &mut writer);
        take(&piece);
        piece.clear();
        if place == 0 {
            break;
        }
    }
}

/// Hands out the payload that `DUMP` returns for a value, piece by piece.
pub fn payload(entry: Entry<'_>, compressor: Option<&mut Compressor>, take: &mut dyn FnMut(&[u8])) {
    let mut checksum = Checksum::default();
    let mut tell = |bytes: &[u8]| {
        checksum.add(bytes);
        take(bytes);
    };
    tell(&[entry.row().dump_type]);
    pieces(entry, compressor, &mut tell);
    let version = if entry.listing().timed { VERSION_TIMED } else { VERSION };
    tell(&version.to_le_bytes());
    take(&checksum.value().to_le_bytes());
}

/// The version of a payload, and its type and value; none if its checksum is wrong and `is_checked`.
pub fn open(payload: &[u8], is_checked: bool) -> Option<(u16, &[u8])> {
    let (sealed, checksum) = payload.split_last_chunk::<CHECKSUM_BYTES>()?;
    let (value, version) = sealed.split_last_chunk()?;
    let is_sound = !is_checked || crc64(sealed).to_le_bytes() == *checksum;
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
    load_value(&mut reader, id, version, reads, building)
}

/// As [`load`], of a value before which its type was read: the reader stands behind it then.
pub fn load_value(
    reader: &mut Reader<'_>,
    id: u8,
    version: u16,
    reads: &Reads,
    building: &Building<'_>,
) -> Result<OwnedEntry, Fault> {
    let kind = reads.kind(id, version).ok_or(Fault::damage(0, "a value of an unknown type"))?;
    (kind.load)(reader, building)
}

#[cfg(test)]
mod tests;
