//! The table of encodings: a row says all that an encoding can do.
//!
//! To add one: an id in `abi::schema::encoding`, its body or that it has none in `body.rs`, a row in
//! the file of its type, a line in [`ALL`]. What a row lacks does not compile.

use crate::body::{self, Body};
use crate::digest::Digest;
use crate::entry::{Entry, EntryMut, OwnedEntry};
use crate::serialized::writer::Writer;
use crate::{hash, list, set, string, zset};
use base::heap::Heap;

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
    /// The command that makes the value of its parts, in the order in which they are visited, when
    /// they follow the key.
    pub made_by: &'static str,
    /// Calls the visitor with each element, in order: the parts it is made of (a string or an
    /// element of a list is one, a member of a sorted set its score and its name).
    pub visit: Visit,
    /// The type of a dump of it: one of `serialized::kind`.
    pub dump_type: u8,
    /// Writes the value as dumps of that type have it.
    pub dump: Dump,
}

/// What hashes are made with.
pub type Seed = [u64; 2];

/// For a view through which nothing is looked up by its hash.
pub const NO_SEED: Seed = [0; 2];

/// See [`Encoding::dump`]. Goes on from a place, 0 being the start, until the writer is full; returns
/// where to go on, or 0 at the end. The value is the same until then.
pub type Dump = fn(Entry<'_>, u64, &mut Writer<'_>) -> u64;

/// Records of a table that are dumped before the writer is asked whether it is full.
pub(crate) const DUMPED_AT_ONCE: u64 = 16;

/// See [`Encoding::visit`].
pub type Visit = fn(Entry<'_>, &mut dyn FnMut(&[&[u8]]));

/// All encodings. Which of them have a body, and which, is in `body.rs`.
const ALL: [&Encoding; 11] = [
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

/// [`Encoding::copy`] of the encodings whose value lies behind the key in the entry.
pub fn copy_embedded(heap: Heap, _: Seed, entry: Entry<'_>, key: &[u8]) -> OwnedEntry {
    OwnedEntry::embedded(heap, &entry.shape_for(key), key, &[entry.embedded()])
}

/// Frees what an entry's body owns: [`Encoding::free`] of the encodings whose body is a `T`.
pub fn free_body<T: Body>(heap: Heap, entry: &mut EntryMut<'_>) {
    entry.body_mut::<T>().free(heap);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_found_by_its_id_and_belongs_to_the_level_of_this_release() {
        for known in ALL {
            assert_eq!(row(known.id).id, known.id);
            assert_eq!(known.level, abi::schema::LEVEL_1);
        }
    }

    #[test]
    #[should_panic(expected = "encoding 0xff belongs to no schema level")]
    fn an_unknown_encoding_has_no_row() {
        row(0xff);
    }
}
