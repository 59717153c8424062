//! The table of encodings: a row says all that an encoding can do.
//!
//! To add one: an id in `abi::schema::encoding`, a row in the file of its type, a place in [`row`].
//! What a row lacks does not compile.

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
    /// memory run out, nothing is half made.
    pub copy: fn(Heap, Entry<'_>, &[u8]) -> OwnedEntry,
    /// Frees what the body owns; the body is not used again.
    pub free: fn(Heap, &mut EntryMut<'_>),
    /// Adds the value to a digest, as Redis does.
    pub digest: fn(Entry<'_>, &mut Digest),
    /// Calls the visitor with each element, in order: the parts it is made of (a string or an
    /// element of a list is one).
    pub visit: Visit,
    /// Bytes of the value in a dump that is not compressed.
    pub serialized_len: fn(Entry<'_>) -> usize,
}

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
        List::new(self, heap, Limit::from_setting(-2)).free();
    }
}

/// The row of an encoding.
///
/// # Panics
/// If it belongs to no schema level of this release.
#[inline]
pub fn row(encoding: u8) -> &'static Encoding {
    match encoding {
        id::STRING_INT => &string::INT,
        id::STRING_EMBEDDED => &string::EMBEDDED,
        id::STRING_HEAP => &string::HEAP,
        id::LIST_NODES => &list::NODES,
        other => unknown(other),
    }
}

/// Bytes of the body of an encoding.
///
/// # Panics
/// As [`row`].
#[inline]
pub const fn body_bytes(encoding: u8) -> usize {
    match BODY_BYTES[encoding as usize] {
        UNREADABLE => unreadable(),
        bytes => bytes as usize,
    }
}

const UNREADABLE: u8 = u8::MAX;

/// A table, as every comparison of a key asks: a `match` becomes a jump that is hard to predict.
static BODY_BYTES: [u8; 256] = {
    let mut bytes = [UNREADABLE; 256];
    bytes[id::STRING_INT as usize] = size_of::<i64>() as u8;
    bytes[id::STRING_EMBEDDED as usize] = 0;
    bytes[id::STRING_HEAP as usize] = size_of::<RawBytes>() as u8;
    bytes[id::LIST_NODES as usize] = size_of::<RawList>() as u8;
    bytes
};

#[cold]
fn unknown(encoding: u8) -> ! {
    panic!("encoding {encoding:#04x} belongs to no schema level of this release")
}

#[cold]
const fn unreadable() -> ! {
    panic!("an encoding belongs to no schema level of this release")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_stands_under_its_own_id() {
        for row_of in [&string::INT, &string::EMBEDDED, &string::HEAP, &list::NODES] {
            assert_eq!(row(row_of.id).id, row_of.id);
            assert_ne!(BODY_BYTES[row_of.id as usize], UNREADABLE);
            assert_eq!(row_of.level, abi::schema::LEVEL_1);
        }
    }
}
