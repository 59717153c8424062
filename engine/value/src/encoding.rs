//! The table of encodings: a row says all that an encoding can do.
//!
//! To add one: an id in `abi::schema::encoding`, a row in the file of its type, a line in [`ALL`],
//! and [`Body`] for its body if it has one. What a row lacks does not compile.

use abi::container::{RawBytes, RawList};
use abi::schema::encoding as id;

use crate::digest::Digest;
use crate::entry::{Entry, EntryMut, OwnedEntry};
use crate::{list, string};
use base::bytes::Bytes;
use base::heap::Heap;
use store::list::{Limit, List};

/// All that one encoding can do.
pub struct Encoding {
    /// Its id: one of `abi::schema::encoding`.
    pub id: u8,
    /// The schema level that has it first.
    pub level: u32,
    /// What `OBJECT ENCODING` calls it.
    pub name: fn(Entry<'_>) -> &'static str,
    /// Bytes that the value takes outside the entry.
    pub bytes: fn(Heap, Entry<'_>) -> usize,
    /// As `bytes`, from a look at some parts.
    pub estimated_bytes: fn(Entry<'_>) -> usize,
    /// Allocations that the value is made of, the entry left out: what freeing it costs.
    pub allocations: fn(Entry<'_>) -> usize,
    /// A copy of the entry with its value under a key. What the body owns is copied first: should
    /// memory run out, nothing is half made. Hashes are made with the seed.
    pub copy: fn(Heap, Seed, Entry<'_>, &[u8]) -> OwnedEntry,
    /// Frees what the body owns; the body is not used again. See [`free_body`].
    pub free: fn(Heap, &mut EntryMut<'_>),
    /// Adds the value to a digest, as Redis does.
    pub digest: fn(Entry<'_>, &mut Digest),
    /// Calls the visitor with each element, in order: the parts it is made of (a string or an
    /// element of a list is one).
    pub visit: Visit,
    /// Bytes of the value in a dump that is not compressed.
    pub serialized_len: fn(Entry<'_>) -> usize,
}

/// What hashes are made with.
pub type Seed = [u64; 2];

/// See [`Encoding::visit`].
pub type Visit = fn(Entry<'_>, &mut dyn FnMut(&[&[u8]]));

/// The body of an encoding.
///
/// # Safety
/// The body of an entry of [`Body::ENCODING`] is this type, and no other encoding's.
pub unsafe trait Body: Sized {
    /// The encoding that has it.
    const ENCODING: u8;

    /// Frees what it owns, leaving it empty.
    fn free(&mut self, heap: Heap);
}

// SAFETY: as `abi::schema` says.
unsafe impl Body for i64 {
    const ENCODING: u8 = id::STRING_INT;

    fn free(&mut self, _heap: Heap) {}
}

// SAFETY: as `abi::schema` says.
unsafe impl Body for RawBytes {
    const ENCODING: u8 = id::STRING_HEAP;

    fn free(&mut self, heap: Heap) {
        Bytes::new(self, heap).free();
    }
}

// SAFETY: as `abi::schema` says.
unsafe impl Body for RawList {
    const ENCODING: u8 = id::LIST_NODES;

    fn free(&mut self, heap: Heap) {
        // No node is filled any more: any limit will do.
        List::new(self, heap, Limit::from_setting(-2)).free();
    }
}

/// All encodings.
const ALL: [Known; 4] = [
    Known::with_body::<i64>(&string::INT),
    Known::without_body(&string::EMBEDDED),
    Known::with_body::<RawBytes>(&string::HEAP),
    Known::with_body::<RawList>(&list::NODES),
];

/// A row, and how large the body is.
struct Known {
    row: &'static Encoding,
    body_bytes: u8,
}

impl Known {
    const fn with_body<T: Body>(row: &'static Encoding) -> Self {
        assert!(row.id == T::ENCODING, "the body is that of another encoding");
        assert!(size_of::<T>() < NO_ENCODING as usize && align_of::<T>() <= align_of::<u64>());
        Self { row, body_bytes: size_of::<T>() as u8 }
    }

    const fn without_body(row: &'static Encoding) -> Self {
        Self { row, body_bytes: 0 }
    }
}

/// The rows by their ids.
static ROWS: [Option<&Encoding>; 1 << u8::BITS] = {
    let mut rows = [None; 1 << u8::BITS];
    let mut at = 0;
    while at < ALL.len() {
        let row = ALL[at].row;
        assert!(rows[row.id as usize].is_none(), "two encodings have the same id");
        rows[row.id as usize] = Some(row);
        at += 1;
    }
    rows
};

/// In the place of a length in [`BODY_BYTES`].
const NO_ENCODING: u8 = u8::MAX;

/// Lengths of bodies by the ids of encodings: every look at a key needs one.
static BODY_BYTES: [u8; 1 << u8::BITS] = {
    let mut bytes = [NO_ENCODING; 1 << u8::BITS];
    let mut at = 0;
    while at < ALL.len() {
        bytes[ALL[at].row.id as usize] = ALL[at].body_bytes;
        at += 1;
    }
    bytes
};

/// The row of an encoding.
///
/// # Panics
/// If it belongs to no schema level of this release.
#[inline]
pub fn row(encoding: u8) -> &'static Encoding {
    ROWS[encoding as usize].unwrap_or_else(|| unknown(encoding))
}

/// Bytes of the body of an encoding.
///
/// # Panics
/// As [`row`].
#[inline(always)]
pub fn body_bytes(encoding: u8) -> usize {
    match BODY_BYTES[encoding as usize] {
        NO_ENCODING => unknown(encoding),
        bytes => bytes as usize,
    }
}

/// Frees what an entry's body owns: [`Encoding::free`] of the encodings whose body is a `T`.
pub fn free_body<T: Body>(heap: Heap, entry: &mut EntryMut<'_>) {
    entry.body_mut::<T>().free(heap);
}

#[cold]
fn unknown(encoding: u8) -> ! {
    panic!("encoding {encoding:#04x} belongs to no schema level of this release")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_found_by_its_id_and_belongs_to_the_level_of_this_release() {
        for known in &ALL {
            assert_eq!(row(known.row.id).id, known.row.id);
            assert_eq!(known.row.level, abi::schema::LEVEL_1);
        }
    }

    #[test]
    #[should_panic(expected = "encoding 0xff belongs to no schema level")]
    fn an_unknown_encoding_has_no_row() {
        row(0xff);
    }

    #[test]
    #[should_panic(expected = "encoding 0xff belongs to no schema level")]
    fn an_unknown_encoding_has_no_body() {
        body_bytes(0xff);
    }
}
