//! The table of encodings: a row says all that an encoding can do.
//!
//! To add one: an id in `abi::schema::encoding`, its body or that it has none in `body.rs`, a row in
//! the file of its type, a line in [`ALL`]. What a row lacks does not compile.
#![forbid(unsafe_code)]

use crate::body;
use crate::encoding::Encoding;
use crate::entry::Entry;
use crate::{hash, list, set, stream, string, zset};

/// All encodings. Which of them have a body, and which, is in `body.rs`.
const ALL: [&Encoding; 14] = [
    &string::INT,
    &string::EMBEDDED,
    &string::HEAP,
    &list::NODES,
    &set::INTS,
    &set::PACKED,
    &set::TABLE,
    &zset::PACKED,
    &zset::TREE,
    &hash::PACKED,
    &hash::TABLE,
    &hash::PACKED_TIMED,
    &hash::TABLE_TIMED,
    &stream::NODES,
];

/// The rows by their ids.
static ROWS: [Option<&Encoding>; 1 << u8::BITS] = {
    let mut rows = [None; 1 << u8::BITS];
    let mut at = 0;
    while at < ALL.len() {
        let row = ALL[at];
        assert!(rows[row.id as usize].is_none(), "two encodings have the same id");
        assert!(body::is_known(row.id), "nothing is said of the encoding's body");
        rows[row.id as usize] = Some(row);
        at += 1;
    }
    rows
};

/// The row of an encoding.
///
/// # Panics
/// If it belongs to no schema level of this release.
#[inline]
pub fn row(encoding: u8) -> &'static Encoding {
    ROWS[encoding as usize].unwrap_or_else(|| body::unknown(encoding))
}

impl Entry<'_> {
    /// What its encoding can do.
    #[inline]
    pub fn row(self) -> &'static Encoding {
        row(self.encoding())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_found_by_its_id_and_belongs_to_a_level() {
        for known in ALL {
            assert_eq!(row(known.id).id, known.id);
            let is_timed = abi::schema::encoding::is_timed(known.id);
            let level = if is_timed { abi::schema::LEVEL_2 } else { abi::schema::LEVEL_1 };
            assert_eq!(known.level, level);
        }
    }

    #[test]
    #[should_panic(expected = "encoding 0xff belongs to no schema level")]
    fn an_unknown_encoding_has_no_row() {
        row(0xff);
    }
}
