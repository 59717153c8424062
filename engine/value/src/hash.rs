//! Hashes: rows of fields and values in the entry itself, or a table of fields.
#![forbid(unsafe_code)]

use abi::container::{RawHash, RawTable};
use abi::schema::{LEVEL_1, encoding as id};

use crate::digest::Digest;
use crate::encoding::{
    DUMPED_AT_ONCE, Encoding, MadeBy, NO_SEED, Owned, Seed, check_body, copy_embedded,
};
use crate::entry::{Entry, Making, OwnedBody, OwnedEntry};
use crate::limits::Limits;
use crate::serialized::kind;
use crate::serialized::listpack::ListpackBuf;
use crate::serialized::writer::Writer;
use crate::string::Str;
use base::heap::Heap;
use store::packed::Element;
use store::records::{Records, RecordsRef};
use store::rows::{self, Rows, RowsBuf};

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
    view(entry, NO_SEED).for_each(&mut |field, value| {
        let mut pair = Digest::default();
        pair.mix(field);
        pair.mix(value);
        digest.add_digest(&pair);
    });
}

fn visit(entry: Entry<'_>, visit: &mut dyn FnMut(&[&[u8]])) {
    view(entry, NO_SEED).for_each(&mut |field, value| visit(&[field, value]));
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
    /// Any other.
    Table(RecordsRef<'a, true>),
}

/// The hash that an entry holds. Its fields were hashed with the seed.
#[inline]
pub fn view(entry: Entry<'_>, seed: Seed) -> HashRef<'_> {
    match entry.encoding() {
        id::HASH_PACKED => HashRef::Packed(rows(entry)),
        _ => HashRef::Table(fields(entry, seed)),
    }
}

impl<'a> HashRef<'a> {
    /// Fields.
    #[inline]
    pub fn len(self) -> usize {
        match self {
            Self::Packed(rows) => rows.len(),
            Self::Table(fields) => fields.len(),
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
        }
    }
}

/// A hash that is being made, in the encoding that suits it. Dropped, it is freed.
pub struct HashBuf {
    form: Form,
    heap: Heap,
    seed: Seed,
    limits: Limits,
}

enum Form {
    Packed(RowsBuf<2>),
    Table(OwnedBody<RawHash>),
}

impl HashBuf {
    /// One without fields.
    pub fn new(heap: Heap, seed: Seed, limits: Limits) -> Self {
        Self { form: Form::Packed(RowsBuf::default()), heap, seed, limits }
    }

    /// With the fields of a small hash.
    pub fn of(rows: Rows<'_, 2>, heap: Heap, seed: Seed, limits: Limits) -> Self {
        Self { form: Form::Packed(rows.into()), ..Self::new(heap, seed, limits) }
    }

    /// Whether there are no fields.
    pub fn is_empty(&self) -> bool {
        match &self.form {
            Form::Packed(rows) => rows.is_empty(),
            Form::Table(raw) => RecordsRef::<true>::of(raw, self.seed).is_empty(),
        }
    }

    /// Gives a field a value. Tells whether it is a new field.
    pub fn set(&mut self, field: &[u8], value: &[u8]) -> bool {
        if !(self.limits.admit(field) && self.limits.admit(value)) {
            return self.table().set(field, value);
        }
        let added = match &mut self.form {
            Form::Packed(rows) => rows.set([field.into(), value.into()]),
            Form::Table(_) => return self.table().set(field, value),
        };
        if let Form::Packed(rows) = &self.form
            && !self.limits.allow(rows.len(), rows.as_bytes().len())
        {
            self.table();
        }
        added
    }

    /// The table, which it is from now on.
    fn table(&mut self) -> Records<'_, true> {
        let (heap, seed) = (self.heap, self.seed);
        if let Form::Packed(rows) = &self.form {
            let mut raw = OwnedBody::new(heap, empty());
            let mut table = Records::<true>::of(&mut raw, heap, seed);
            HashRef::Packed(rows.view()).for_each(&mut |field, value| {
                table.set(field, value);
            });
            self.form = Form::Table(raw);
        }
        match &mut self.form {
            Form::Table(raw) => Records::<true>::of(raw, heap, seed),
            Form::Packed(_) => unreachable!("it has just been made a table"),
        }
    }

    /// An entry that holds it.
    pub fn finish(self, making: &Making<'_>) -> OwnedEntry {
        match self.form {
            Form::Packed(rows) => making.embedded(self.heap, id::HASH_PACKED, rows.as_bytes()),
            Form::Table(raw) => making.with_body(raw),
        }
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
