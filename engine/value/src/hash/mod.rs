//! Hashes: rows of fields and values in the entry itself, or a table of fields; and the same with fields
//! that end by themselves, in [`timed`].
#![forbid(unsafe_code)]

mod buf;
#[cfg(test)]
mod tests;
mod timed;

pub use buf::{End, HashBuf, TimedBuf};
pub use timed::{END_MAX, PACKED_TIMED, TABLE_TIMED, TimedRef, next_end, timed_fields};

use abi::container::{RawHash, RawTable, RawTimedHash};
use abi::schema::{LEVEL_1, encoding as id};

use crate::digest::Digest;
use crate::encoding::{
    DUMPED_AT_ONCE, Encoding, MadeBy, NO_SEED, Owned, Seed, check_body, copy_embedded,
};
use crate::entry::{Entry, EntryMut, Making, OwnedBody, OwnedEntry};
use crate::serialized::kind;
use crate::serialized::listpack::ListpackBuf;
use crate::serialized::writer::Writer;
use crate::string::Str;
use base::heap::Heap;
use store::packed::Element;
use store::records::{Records, RecordsRef};
use store::rows::{self, Rows};
use store::sorted::{Scored, Sorted};

/// A small hash, behind the key in the entry.
pub const PACKED: Encoding = Encoding {
    id: id::HASH_PACKED,
    level: LEVEL_1,
    name: |_| "listpack",
    bytes: |_, _| 0,
    estimated_bytes: |_| 0,
    allocations: |_| 0,
    copy: copy_embedded,
    owned: Owned::NOTHING,
    check: |entry, walker, _| {
        if rows::checked::<2>(entry.embedded()).is_none() {
            walker.wrong("its rows cannot be read");
        }
    },
    digest,
    made_by: MadeBy::Parts("HSET"),
    visit,
    dump_type: kind::HASH_LISTPACK,
    dump: |entry, _, out| {
        let mut listpack = ListpackBuf::default();
        rows(entry).iter().flatten().for_each(|element| listpack.push(element));
        out.string(&listpack.finish());
        0
    },
};

/// A hash of a record a field.
pub const TABLE: Encoding = Encoding {
    id: id::HASH_TABLE,
    name: |_| "hashtable",
    bytes: |heap, entry| fields(entry, NO_SEED).bytes(heap),
    estimated_bytes: |entry| fields(entry, NO_SEED).estimated_bytes(),
    allocations: |entry| fields(entry, NO_SEED).len(),
    copy: |heap, seed, entry, key| {
        let mut raw = OwnedBody::new(heap, empty());
        Records::<true>::of(&mut raw, heap, seed).copy_from(fields(entry, seed));
        OwnedEntry::with_body(&entry.shape_for(key), key, raw)
    },
    owned: Owned::by::<RawHash>(),
    check: check_body::<RawHash>,
    dump_type: kind::HASH,
    dump,
    ..PACKED
};

/// A table without fields.
const fn empty() -> RawHash {
    RawHash { fields: RawTable::new() }
}

fn rows(entry: Entry<'_>) -> Rows<'_, 2> {
    Rows::new(entry.embedded())
}

fn fields(entry: Entry<'_>, seed: Seed) -> RecordsRef<'_, true> {
    RecordsRef::<true>::of(entry.body::<RawHash>(), seed)
}

fn digest(entry: Entry<'_>, digest: &mut Digest) {
    plain(entry).for_each(&mut |field, value| {
        let mut pair = Digest::default();
        pair.mix(field);
        pair.mix(value);
        digest.add_digest(&pair);
    });
}

fn visit(entry: Entry<'_>, visit: &mut dyn FnMut(&[&[u8]])) {
    plain(entry).for_each(&mut |field, value| visit(&[field, value]));
}

/// A place is a cursor of [`RecordsRef::scan`].
fn dump(entry: Entry<'_>, from: u64, out: &mut Writer<'_>) -> u64 {
    let fields = fields(entry, NO_SEED);
    if from == 0 {
        out.length(fields.len());
    }
    let mut cursor = from;
    loop {
        cursor = fields.scan(cursor, DUMPED_AT_ONCE, &mut |record| {
            out.string(record.name);
            out.string(record.value);
        });
        if cursor == 0 || out.is_full() {
            return cursor;
        }
    }
}

/// A hash to read.
#[derive(Clone, Copy)]
pub enum HashRef<'a> {
    /// A small one.
    Packed(Rows<'a, 2>),
    /// A large one.
    Table(RecordsRef<'a, true>),
    /// One of which fields end.
    Timed(TimedRef<'a>),
}

/// The hash that an entry holds, at a Unix time in ms. Its fields were hashed with the seed.
#[inline]
pub fn view(entry: Entry<'_>, seed: Seed, now_ms: i64) -> HashRef<'_> {
    match entry.encoding() {
        id::HASH_PACKED => HashRef::Packed(rows(entry)),
        id::HASH_TABLE => HashRef::Table(fields(entry, seed)),
        _ => HashRef::Timed(timed::view(entry, now_ms)),
    }
}

/// All that an entry of the encodings without times holds.
fn plain(entry: Entry<'_>) -> HashRef<'_> {
    view(entry, NO_SEED, 0)
}

impl<'a> HashRef<'a> {
    /// Fields.
    #[inline]
    pub fn len(self) -> usize {
        match self {
            Self::Packed(rows) => rows.len(),
            Self::Table(fields) => fields.len(),
            Self::Timed(hash) => hash.len(),
        }
    }

    /// Whether there are none, as while the last one is taken.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The value of a field.
    #[inline]
    pub fn get(self, field: &[u8]) -> Option<Str<'a>> {
        match self {
            Self::Packed(rows) => {
                let [_, value] = rows.at(rows.find(field.into())?);
                Some(value.into())
            }
            Self::Table(fields) => fields.find(field).map(|record| Str::Bytes(record.value)),
            Self::Timed(hash) => hash.find(field).map(|(value, _)| value),
        }
    }

    /// The value of a field, and the Unix ms at which it ends, if it does.
    pub fn find(self, field: &[u8]) -> Option<(Str<'a>, Option<i64>)> {
        match self {
            Self::Timed(hash) => hash.find(field),
            _ => self.get(field).map(|value| (value, None)),
        }
    }

    /// Calls `visit` with each field and its value; those of a small hash come in the order in which
    /// they were added.
    pub fn for_each(self, visit: &mut dyn FnMut(&[u8], &[u8])) {
        match self {
            Self::Packed(rows) => {
                let mut digits = [itoa::Buffer::new(), itoa::Buffer::new()];
                for [field, value] in rows.iter() {
                    let [one, other] = &mut digits;
                    visit(field.bytes(one), value.bytes(other));
                }
            }
            Self::Table(fields) => {
                fields.for_each(&mut |record| visit(record.name, record.value));
            }
            Self::Timed(hash) => {
                hash.for_each_with_end(&mut |field, value, _| visit(field, value));
            }
        }
    }

    /// Goes on with a walk: see [`RecordsRef::scan`]. A small hash is seen whole at once.
    pub fn scan(self, cursor: u64, count: u64, visit: &mut dyn FnMut(&[u8], &[u8])) -> u64 {
        match self {
            Self::Packed(_) => {
                self.for_each(visit);
                0
            }
            Self::Table(fields) => {
                fields.scan(cursor, count, &mut |record| visit(record.name, record.value))
            }
            Self::Timed(hash) => hash.scan(cursor, count, visit),
        }
    }

    /// A field and its value, chosen by 64 random bits; none if there are none.
    pub fn sample(self, random: u64) -> Option<(Str<'a>, Str<'a>)> {
        match self {
            Self::Packed(rows) => {
                let index = random as usize % rows.len().max(1);
                rows.nth(index).map(|[field, value]| (field.into(), value.into()))
            }
            Self::Table(fields) => {
                let found = fields.sample(random)?;
                Some((Str::Bytes(found.name), Str::Bytes(found.value)))
            }
            Self::Timed(hash) => hash.sample(random),
        }
    }
}

/// The fields of a large hash, to change them, and the times at which they end.
pub fn tables_mut(raw: &mut RawTimedHash, heap: Heap) -> (Records<'_, true>, Sorted<'_>) {
    timed::tables_mut(raw, heap)
}

/// A field as one of those that end, at this Unix time in ms.
pub const fn ending(field: &[u8], at_ms: i64) -> Scored<'_> {
    timed::scored(field, at_ms)
}

/// A large hash in the place of another, which is left without fields: of a [`RawHash`] one of which
/// fields may end, or the other way round, without a time. Nothing else is changed.
pub fn take_fields(old: &mut EntryMut<'_>, new: &mut EntryMut<'_>) {
    match old.view().encoding() {
        id::HASH_TABLE => {
            let fields = core::mem::take(&mut old.body_mut::<RawHash>().fields);
            new.body_mut::<RawTimedHash>().hash.fields = fields;
        }
        _ => {
            let fields = core::mem::take(&mut old.body_mut::<RawTimedHash>().hash.fields);
            new.body_mut::<RawHash>().fields = fields;
        }
    }
}

/// An entry for a large hash, whose fields are still to come, of which some may end if `timed`.
pub fn hull(making: &Making<'_>, timed: bool, heap: Heap, seed: Seed) -> OwnedEntry {
    if timed {
        making.with_body(OwnedBody::new(heap, timed::empty(seed)))
    } else {
        making.with_body(OwnedBody::new(heap, empty()))
    }
}

/// The fields of a large hash, to change them.
pub fn fields_mut(raw: &mut RawHash, heap: Heap, seed: Seed) -> Records<'_, true> {
    Records::<true>::of(raw, heap, seed)
}

/// A field and a value as a row.
#[inline]
pub fn row<'e>(field: &'e [u8], value: &'e [u8]) -> [Element<'e>; 2] {
    [field.into(), value.into()]
}
