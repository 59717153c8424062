//! Hashes of which some fields end by themselves: the encodings of level 2.
//!
//! Looked at through [`TimedRef`], which is told the time: a field that has ended is not there, whether
//! or not anybody has removed it.

use abi::container::{RawHash, RawSortedSet, RawTable, RawTimedHash};
use abi::schema::{LEVEL_2, encoding as id};

use super::{DUMPED_AT_ONCE, PACKED};
use crate::digest::Digest;
use crate::encoding::{Encoding, MadeBy, Owned, Say, Seed, check_body};
use crate::entry::{Entry, OwnedBody, OwnedEntry};
use crate::serialized::kind;
use crate::serialized::listpack::ListpackBuf;
use crate::serialized::writer::Writer;
use crate::string::Str;
use base::heap::Heap;
use store::packed::Element;
use store::records::{Records, RecordsRef};
use store::rows::{self, Rows};
use store::sorted::{Cut, Scored, Sorted, SortedRef};
pub use store::timed::END_MAX;

/// By this time no field has ended.
const NEVER: i64 = i64::MIN;
/// Attempts to choose a field by chance that has not ended, before they are looked at in order.
const DRAWS_MAX: u32 = 16;

/// A small hash of which some fields end, behind the key in the entry.
pub const PACKED_TIMED: Encoding = Encoding {
    id: id::HASH_PACKED_TIMED,
    level: LEVEL_2,
    name: |_| "listpackex",
    check: |entry, walker, _| {
        let is_end = |row: [Element<'_>; 3]| matches!(row[2], Element::Int(0..=END_MAX));
        if !rows::checked::<3>(entry.embedded()).is_some_and(|rows| rows.iter().all(is_end)) {
            walker.wrong("its rows cannot be read");
        }
    },
    digest,
    made_by: MadeBy::Commands(remake),
    visit,
    dump_type: kind::HASH_LISTPACK_EX,
    dump: |entry, _, out| {
        let mut rows: Vec<_> = rows(entry).iter().collect();
        rows.sort_by_key(|row| end_of(row[2]).unwrap_or(i64::MAX));
        let mut listpack = ListpackBuf::default();
        rows.iter().flatten().for_each(|element| listpack.push(*element));
        out.raw(&next_end(entry).unwrap_or(0).to_le_bytes());
        out.string(&listpack.finish());
        0
    },
    ..PACKED
};

/// A hash of a record a field, and a sorted set of those that end.
pub const TABLE_TIMED: Encoding = Encoding {
    id: id::HASH_TABLE_TIMED,
    name: |_| "hashtable",
    bytes: |heap, entry| {
        let (fields, ends) = tables(entry.body());
        fields.bytes(heap) + ends.bytes(heap)
    },
    estimated_bytes: |entry| {
        let (fields, ends) = tables(entry.body());
        fields.estimated_bytes() + ends.estimated_bytes()
    },
    allocations: |entry| {
        let (fields, ends) = tables(entry.body());
        fields.len() + ends.len()
    },
    copy: |heap, seed, entry, key| {
        let (fields, ends) = tables(entry.body());
        let mut raw = OwnedBody::new(heap, empty(seed));
        Records::<true>::of(&mut raw.hash, heap, seed).copy_from(fields);
        let mut copies = Sorted::of(&mut raw.ends, heap, seed);
        ends.walk(0..ends.len(), false, &mut |end| {
            copies.set(end);
            true
        });
        OwnedEntry::with_body(&entry.shape_for(key), key, raw)
    },
    owned: Owned::by::<RawTimedHash>(),
    check: check_body::<RawTimedHash>,
    dump_type: kind::HASH_METADATA,
    dump,
    ..PACKED_TIMED
};

/// A hash without fields.
pub const fn empty(seed: Seed) -> RawTimedHash {
    RawTimedHash { hash: RawHash { fields: RawTable::new() }, ends: RawSortedSet::new(), seed }
}

fn rows(entry: Entry<'_>) -> Rows<'_, 3> {
    Rows::new(entry.embedded())
}

/// The fields of a large hash and the times at which they end.
pub(crate) const fn tables(raw: &RawTimedHash) -> (RecordsRef<'_, true>, SortedRef<'_>) {
    (RecordsRef::<true>::of(&raw.hash, raw.seed), SortedRef::of(&raw.ends, raw.seed))
}

/// As [`tables`], to change them.
pub(crate) const fn tables_mut(
    raw: &mut RawTimedHash,
    heap: Heap,
) -> (Records<'_, true>, Sorted<'_>) {
    let RawTimedHash { hash, ends, seed } = raw;
    (Records::<true>::of(hash, heap, *seed), Sorted::of(ends, heap, *seed))
}

/// The time that the last element of a row is.
#[inline]
fn end_of(element: Element<'_>) -> Option<i64> {
    match element {
        Element::Int(at) if at != 0 => Some(at),
        _ => None,
    }
}

/// When the first field of a hash ends, of those that are stored, whatever the time.
pub fn next_end(entry: Entry<'_>) -> Option<i64> {
    match entry.encoding() {
        id::HASH_PACKED_TIMED => rows(entry).iter().filter_map(|row| end_of(row[2])).min(),
        id::HASH_TABLE_TIMED => {
            let (_, ends) = tables(entry.body());
            ends.get(0).map(|first| first.score as i64)
        }
        _ => None,
    }
}

/// How many fields of a hash end.
pub fn timed_fields(entry: Entry<'_>) -> usize {
    match entry.encoding() {
        id::HASH_PACKED_TIMED => rows(entry).iter().filter(|row| end_of(row[2]).is_some()).count(),
        id::HASH_TABLE_TIMED => tables(entry.body()).1.len(),
        _ => 0,
    }
}

/// All that is stored, ended or not.
fn whole(entry: Entry<'_>) -> TimedRef<'_> {
    view(entry, NEVER)
}

fn digest(entry: Entry<'_>, digest: &mut Digest) {
    whole(entry).for_each_with_end(&mut |field, value, end| {
        let mut pair = Digest::default();
        pair.mix(field);
        pair.mix(value);
        if end.is_some() {
            pair.add(b"!!hexpire!!");
        }
        digest.add_digest(&pair);
    });
}

fn visit(entry: Entry<'_>, visit: &mut dyn FnMut(&[&[u8]])) {
    whole(entry).for_each_with_end(&mut |field, value, _| visit(&[field, value]));
}

/// Says what makes the hash: its fields, then when those end that do.
fn remake(entry: Entry<'_>, key: &[u8], say: Say<'_>) {
    whole(entry).for_each_with_end(&mut |field, value, end| {
        say(&[b"HSET", key, field, value]);
        if let Some(at) = end {
            let mut digits = itoa::Buffer::new();
            let at = digits.format(at).as_bytes();
            say(&[b"HPEXPIREAT", key, at, b"FIELDS", b"1", field]);
        }
    });
}

/// Times are told from the first one on, counted from 1; 0 is none. A place is a cursor of
/// [`RecordsRef::scan`].
fn dump(entry: Entry<'_>, from: u64, out: &mut Writer<'_>) -> u64 {
    let (fields, ends) = tables(entry.body());
    let first = next_end(entry).unwrap_or(0);
    if from == 0 {
        out.raw(&first.to_le_bytes());
        out.length(fields.len());
    }
    let mut cursor = from;
    loop {
        cursor = fields.scan(cursor, DUMPED_AT_ONCE, &mut |record| {
            let end = ends.find(record.name).map(|end| end.score as i64 - first + 1);
            out.number(end.unwrap_or(0) as u64);
            out.string(record.name);
            out.string(record.value);
        });
        if cursor == 0 || out.is_full() {
            return cursor;
        }
    }
}

/// What is called with a field, its value, and when it ends, if it does.
type EachEnding<'v> = &'v mut dyn FnMut(&[u8], &[u8], Option<i64>);

/// A hash of which some fields end, as it is at a time.
#[derive(Clone, Copy)]
pub struct TimedRef<'a> {
    form: Form<'a>,
    now_ms: i64,
}

#[derive(Clone, Copy)]
enum Form<'a> {
    Packed(Rows<'a, 3>),
    Table(RecordsRef<'a, true>, SortedRef<'a>),
}

/// The hash that an entry of one of these encodings holds, at a Unix time in ms.
pub fn view(entry: Entry<'_>, now_ms: i64) -> TimedRef<'_> {
    let form = match entry.encoding() {
        id::HASH_PACKED_TIMED => Form::Packed(rows(entry)),
        _ => {
            let (fields, ends) = tables(entry.body());
            Form::Table(fields, ends)
        }
    };
    TimedRef { form, now_ms }
}

impl<'a> TimedRef<'a> {
    /// The rows of a small one, those of fields that have ended among them.
    pub const fn rows(self) -> Option<Rows<'a, 3>> {
        match self.form {
            Form::Packed(rows) => Some(rows),
            Form::Table(..) => None,
        }
    }

    fn has_ended(self, end: Option<i64>) -> bool {
        end.is_some_and(|at| at < self.now_ms)
    }

    /// Fields that have ended and are stored.
    pub fn ended(self) -> usize {
        match self.form {
            Form::Packed(rows) => rows.iter().filter(|row| self.has_ended(end_of(row[2]))).count(),
            Form::Table(_, ends) => ends.rank(&Cut::Before(self.now_ms as f64)),
        }
    }

    /// Fields.
    pub fn len(self) -> usize {
        let stored = match self.form {
            Form::Packed(rows) => rows.len(),
            Form::Table(fields, _) => fields.len(),
        };
        stored - self.ended()
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Names of fields that have ended and are stored, at most so many, the first to end first in a
    /// large hash.
    pub fn names_of_ended(self, most: usize) -> Vec<Vec<u8>> {
        let mut names = Vec::new();
        match self.form {
            Form::Packed(rows) => {
                let ended = rows.iter().filter(|row| self.has_ended(end_of(row[2])));
                names.extend(ended.take(most).map(|row| Str::from(row[0]).as_bytes().to_vec()));
            }
            Form::Table(_, ends) => ends.walk(0..self.ended().min(most), false, &mut |end| {
                names.push(end.name.to_vec());
                true
            }),
        }
        names
    }

    /// The value of a field that is stored, and when it ends, if it does.
    fn stored(self, field: &[u8]) -> Option<(Str<'a>, Option<i64>)> {
        match self.form {
            Form::Packed(rows) => {
                let [_, value, end] = rows.at(rows.find(field.into())?);
                Some((value.into(), end_of(end)))
            }
            Form::Table(fields, ends) => {
                let record = fields.find(field)?;
                let end = ends.find(field).map(|end| end.score as i64);
                Some((Str::Bytes(record.value), end))
            }
        }
    }

    /// The value of a field, and when it ends, if it does.
    pub fn find(self, field: &[u8]) -> Option<(Str<'a>, Option<i64>)> {
        self.stored(field).filter(|(_, end)| !self.has_ended(*end))
    }

    /// Whether a field is stored that has ended.
    pub fn is_ended(self, field: &[u8]) -> bool {
        self.stored(field).is_some_and(|(_, end)| self.has_ended(end))
    }

    /// Calls `visit` with each field, its value, and when it ends, if it does.
    pub fn for_each_with_end(self, visit: EachEnding<'_>) {
        match self.form {
            Form::Packed(rows) => {
                let mut digits = [itoa::Buffer::new(), itoa::Buffer::new()];
                for [field, value, end] in rows.iter() {
                    let [one, other] = &mut digits;
                    if !self.has_ended(end_of(end)) {
                        visit(field.bytes(one), value.bytes(other), end_of(end));
                    }
                }
            }
            Form::Table(fields, ends) => fields.for_each(&mut |record| {
                let end = ends.find(record.name).map(|end| end.score as i64);
                if !self.has_ended(end) {
                    visit(record.name, record.value, end);
                }
            }),
        }
    }

    /// As [`super::HashRef::scan`].
    pub fn scan(self, cursor: u64, count: u64, visit: &mut dyn FnMut(&[u8], &[u8])) -> u64 {
        let Form::Table(fields, _) = self.form else {
            self.for_each_with_end(&mut |field, value, _| visit(field, value));
            return 0;
        };
        fields.scan(cursor, count, &mut |record| {
            if !self.is_ended(record.name) {
                visit(record.name, record.value);
            }
        })
    }

    /// As [`super::HashRef::sample`].
    pub fn sample(self, random: u64) -> Option<(Str<'a>, Str<'a>)> {
        match self.form {
            Form::Packed(rows) => {
                let mut there = rows.iter().filter(|row| !self.has_ended(end_of(row[2])));
                let [field, value, _] = there.nth(random as usize % self.len().max(1))?;
                Some((field.into(), value.into()))
            }
            Form::Table(fields, _) => {
                let mut drawn = (0..DRAWS_MAX).filter_map(|turn| {
                    fields.sample(random.rotate_left(turn * 4)).filter(|at| !self.is_ended(at.name))
                });
                let found = drawn.next().or_else(|| self.first_in(fields))?;
                Some((Str::Bytes(found.name), Str::Bytes(found.value)))
            }
        }
    }

    fn first_in(self, fields: RecordsRef<'a, true>) -> Option<store::records::Record<'a>> {
        let mut first = None;
        fields.for_each(&mut |record| {
            if first.is_none() && !self.is_ended(record.name) {
                first = Some(record);
            }
        });
        first
    }
}

/// A field of a large hash with the time at which it ends.
pub(crate) const fn scored(name: &[u8], at: i64) -> Scored<'_> {
    Scored { score: at as f64, name }
}
