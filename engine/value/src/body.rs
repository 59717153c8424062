//! The bodies of encodings: the part of an entry that is of one of the raw layouts.

use abi::container::{RawBytes, RawHash, RawList, RawSet, RawSortedSet, RawTimedHash};
use abi::schema::encoding as id;
use abi::stream::{RawStream, StreamId};

use base::bytes::Bytes;
use base::heap::Heap;
use base::mover::Mover;
use base::walk::Walker;
use store::list::{self, Limit, List};
use store::records::{self, Records};
use store::sorted::{self, Sorted};
use store::stream::{self, Entries, GroupPart, Groups};
use store::timed;

/// For tables whose names are not looked up.
const NO_SEED: [u64; 2] = [0; 2];

/// The body of an encoding.
///
/// # Safety
/// The body of an entry of [`Body::ENCODING`] is this type, and no other encoding's.
pub unsafe trait Body: Sized {
    /// The encoding that has it.
    const ENCODING: u8;

    /// Frees what it owns, leaving it empty.
    fn free(&mut self, heap: Heap);

    /// Moves what it owns, from a place on, until the mover is spent. Returns the place to go on at,
    /// or [`START`] when it has come to the end.
    ///
    /// A place is what the last call for this value has returned. What has changed since may be left
    /// out; a place that is no more ends it.
    fn relocate(&mut self, mover: &mut Mover, seed: [u64; 2], from: Place) -> Place;

    /// Claims all that it owns, of a body that is not believed. What is wrong is told.
    fn check(&self, walker: &mut Walker<'_>, seed: [u64; 2]);
}

/// Where moving what a body owns goes on, in terms of its encoding.
pub type Place = [u64; 5];

/// The place to start at, and what comes of the end.
pub const START: Place = [0; 5];

// SAFETY: as `abi::schema` says.
unsafe impl Body for i64 {
    const ENCODING: u8 = id::STRING_INT;

    fn free(&mut self, _heap: Heap) {}

    fn relocate(&mut self, _: &mut Mover, _: [u64; 2], _: Place) -> Place {
        START
    }

    fn check(&self, _: &mut Walker<'_>, _: [u64; 2]) {}
}

// SAFETY: as `abi::schema` says.
unsafe impl Body for RawBytes {
    const ENCODING: u8 = id::STRING_HEAP;

    fn free(&mut self, heap: Heap) {
        Bytes::new(self, heap).free();
    }

    fn relocate(&mut self, mover: &mut Mover, _: [u64; 2], _: Place) -> Place {
        Bytes::new(self, mover.heap()).relocate(mover);
        START
    }

    fn check(&self, walker: &mut Walker<'_>, _: [u64; 2]) {
        walker.claim_bytes("string", self);
    }
}

// SAFETY: as `abi::schema` says.
unsafe impl Body for RawList {
    const ENCODING: u8 = id::LIST_NODES;

    fn free(&mut self, heap: Heap) {
        // No node is filled any more: any limit will do.
        List::new(self, heap, Limit::from_setting(-2)).free();
    }

    /// A place is that of a node.
    fn relocate(&mut self, mover: &mut Mover, _: [u64; 2], from: Place) -> Place {
        let mut list = List::new(self, mover.heap(), Limit::from_setting(-2));
        [list.relocate(from[0], mover), 0, 0, 0, 0]
    }

    fn check(&self, walker: &mut Walker<'_>, _: [u64; 2]) {
        list::check(self, walker);
    }
}

// SAFETY: as `abi::schema` says.
unsafe impl Body for RawSet {
    const ENCODING: u8 = id::SET_TABLE;

    fn free(&mut self, heap: Heap) {
        Records::<false>::of(self, heap, NO_SEED).clear();
    }

    /// A place is a cursor.
    fn relocate(&mut self, mover: &mut Mover, seed: [u64; 2], from: Place) -> Place {
        let mut members = Records::<false>::of(self, mover.heap(), seed);
        [members.relocate(from[0], mover), 0, 0, 0, 0]
    }

    fn check(&self, walker: &mut Walker<'_>, seed: [u64; 2]) {
        records::check_members(self, walker, seed);
    }
}

// SAFETY: as `abi::schema` says.
unsafe impl Body for RawHash {
    const ENCODING: u8 = id::HASH_TABLE;

    fn free(&mut self, heap: Heap) {
        Records::<true>::of(self, heap, NO_SEED).clear();
    }

    /// A place is a cursor.
    fn relocate(&mut self, mover: &mut Mover, seed: [u64; 2], from: Place) -> Place {
        let mut fields = Records::<true>::of(self, mover.heap(), seed);
        [fields.relocate(from[0], mover), 0, 0, 0, 0]
    }

    fn check(&self, walker: &mut Walker<'_>, seed: [u64; 2]) {
        records::check_fields(self, walker, seed);
    }
}

// SAFETY: as `abi::schema` says.
unsafe impl Body for RawTimedHash {
    const ENCODING: u8 = id::HASH_TABLE_TIMED;

    fn free(&mut self, heap: Heap) {
        self.hash.free(heap);
        self.ends.free(heap);
    }

    /// A place is 0 and that of the fields, or 1 and that of the times.
    fn relocate(&mut self, mover: &mut Mover, seed: [u64; 2], from: Place) -> Place {
        let [part, at, more, ..] = from;
        if part == 0 {
            let [next, ..] = self.hash.relocate(mover, seed, [at, 0, 0, 0, 0]);
            return if next == 0 { [1, 0, 0, 0, 0] } else { [0, next, 0, 0, 0] };
        }
        match self.ends.relocate(mover, seed, [at, more, 0, 0, 0]) {
            START => START,
            [at, more, ..] => [1, at, more, 0, 0],
        }
    }

    fn check(&self, walker: &mut Walker<'_>, seed: [u64; 2]) {
        timed::check(self, walker, seed);
    }
}

// SAFETY: as `abi::schema` says.
unsafe impl Body for RawSortedSet {
    const ENCODING: u8 = id::ZSET_TREE;

    fn free(&mut self, heap: Heap) {
        Sorted::of(self, heap, NO_SEED).clear();
    }

    /// A place is 0 and a cursor of the table, or 1 and a rank.
    fn relocate(&mut self, mover: &mut Mover, seed: [u64; 2], from: Place) -> Place {
        let place = match from {
            [0, cursor, ..] => sorted::Place::Table(cursor),
            [_, rank, ..] => sorted::Place::Rank(rank),
        };
        match Sorted::of(self, mover.heap(), seed).relocate(place, mover) {
            Some(sorted::Place::Table(cursor)) => [0, cursor, 0, 0, 0],
            Some(sorted::Place::Rank(rank)) => [1, rank, 0, 0, 0],
            None => START,
        }
    }

    fn check(&self, walker: &mut Walker<'_>, seed: [u64; 2]) {
        sorted::check(self, walker, seed);
    }
}

// SAFETY: as `abi::schema` says.
unsafe impl Body for RawStream {
    const ENCODING: u8 = id::STREAM_NODES;

    fn free(&mut self, heap: Heap) {
        Entries::new(&mut self.entries, heap).clear();
        Groups::new(&mut self.groups, heap, NO_SEED).clear();
    }

    /// A place is 0 and the id of a node, or that of a group and what of it is next: 1 and the id of a
    /// pending entry, or 2, a consumer and the id of one of its pending entries.
    fn relocate(&mut self, mover: &mut Mover, seed: [u64; 2], from: Place) -> Place {
        let [part, group, consumer, ms, seq] = from;
        let id = StreamId { ms, seq };
        if part == 0
            && let Some(StreamId { ms, seq }) =
                Entries::new(&mut self.entries, mover.heap()).relocate(id, mover)
        {
            return [0, 0, 0, ms, seq];
        }
        let place = match part {
            0 => stream::Place::START,
            1 => stream::Place { group, part: GroupPart::Pending(id) },
            _ => stream::Place { group, part: GroupPart::Consumer(consumer, id) },
        };
        let mut groups = Groups::new(&mut self.groups, mover.heap(), seed);
        let Some(stream::Place { group, part }) = groups.relocate(place, mover) else {
            return START;
        };
        match part {
            GroupPart::Pending(StreamId { ms, seq }) => [1, group, 0, ms, seq],
            GroupPart::Consumer(consumer, StreamId { ms, seq }) => [2, group, consumer, ms, seq],
        }
    }

    fn check(&self, walker: &mut Walker<'_>, seed: [u64; 2]) {
        stream::check_entries(&self.entries, walker);
        stream::check_groups(&self.groups, walker, seed);
    }
}

/// All encodings, with the bytes of their bodies.
const ALL: [(u8, u8); 14] = [
    of::<i64>(),
    without(id::STRING_EMBEDDED),
    of::<RawBytes>(),
    of::<RawList>(),
    without(id::SET_INTS),
    without(id::SET_PACKED),
    of::<RawSet>(),
    without(id::ZSET_PACKED),
    of::<RawSortedSet>(),
    without(id::HASH_PACKED),
    of::<RawHash>(),
    without(id::HASH_PACKED_TIMED),
    of::<RawTimedHash>(),
    of::<RawStream>(),
];

const fn of<T: Body>() -> (u8, u8) {
    assert!(size_of::<T>() < NO_ENCODING as usize && align_of::<T>() <= align_of::<u64>());
    (T::ENCODING, size_of::<T>() as u8)
}

/// An encoding whose value is stored behind the key.
const fn without(encoding: u8) -> (u8, u8) {
    (encoding, 0)
}

/// In the place of a length in [`BYTES`].
const NO_ENCODING: u8 = u8::MAX;

/// Lengths of bodies by the ids of encodings: every look at a key needs one.
static BYTES: [u8; 1 << u8::BITS] = {
    let mut bytes = [NO_ENCODING; 1 << u8::BITS];
    let mut at = 0;
    while at < ALL.len() {
        let (encoding, len) = ALL[at];
        assert!(bytes[encoding as usize] == NO_ENCODING, "an encoding has two bodies");
        bytes[encoding as usize] = len;
        at += 1;
    }
    bytes
};

/// Whether an encoding has a body or none, and not nothing is known of it.
pub(crate) const fn is_known(encoding: u8) -> bool {
    let mut at = 0;
    while at < ALL.len() {
        if ALL[at].0 == encoding {
            return true;
        }
        at += 1;
    }
    false
}

/// Bytes of the body of an encoding.
///
/// # Panics
/// If it belongs to no schema level of this release.
#[inline(always)]
pub fn bytes(encoding: u8) -> usize {
    match BYTES[encoding as usize] {
        NO_ENCODING => unknown(encoding),
        bytes => bytes as usize,
    }
}

#[cold]
pub(crate) fn unknown(encoding: u8) -> ! {
    panic!("encoding {encoding:#04x} belongs to no schema level of this release")
}

#[cfg(test)]
mod tests {
    #[test]
    #[should_panic(expected = "encoding 0xff belongs to no schema level")]
    fn an_unknown_encoding_has_no_body() {
        super::bytes(0xff);
    }
}
