//! Hashes that are being made, in the encoding that suits them.

use abi::container::{RawHash, RawTimedHash};
use abi::schema::encoding as id;

use super::timed::{TimedRef, empty as empty_timed, scored, tables_mut};
use super::{HashRef, empty};
use crate::digest::Digest;
use crate::encoding::Seed;
use crate::entry::{Making, OwnedBody, OwnedEntry};
use crate::limits::Limits;
use base::heap::Heap;
use store::packed::Element;
use store::records::{Records, RecordsRef};
use store::rows::{Rows, RowsBuf};
use store::sorted::SortedRef;

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

/// A hash that is being made, with times at which fields end, in the encoding that suits it: one without
/// times if none does. Dropped, it is freed.
pub struct TimedBuf {
    form: TimedForm,
    heap: Heap,
    seed: Seed,
    limits: Limits,
}

enum TimedForm {
    Packed(RowsBuf<3>),
    Table(OwnedBody<RawTimedHash>),
}

/// What becomes of a field's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It stays as it is.
    Keep,
    /// It does not end.
    Never,
    /// It ends at this Unix time in ms.
    At(i64),
}

impl TimedBuf {
    /// One without fields.
    pub fn new(heap: Heap, seed: Seed, limits: Limits) -> Self {
        Self { form: TimedForm::Packed(RowsBuf::default()), heap, seed, limits }
    }

    /// With the fields of a small hash; with those that have not ended of one whose fields end.
    pub fn of(hash: HashRef<'_>, heap: Heap, seed: Seed, limits: Limits) -> Self {
        let mut buf = Self::new(heap, seed, limits);
        match hash {
            HashRef::Timed(hash) => buf.take_all(hash),
            _ => hash.for_each(&mut |field, value| buf.push(field, value, 0)),
        }
        buf
    }

    fn take_all(&mut self, hash: TimedRef<'_>) {
        hash.for_each_with_end(&mut |field, value, end| {
            self.push(field, value, end.unwrap_or(0));
        });
    }

    /// Adds a field that is not there, whatever the limits.
    fn push(&mut self, field: &[u8], value: &[u8], end: i64) {
        match &mut self.form {
            TimedForm::Packed(rows) => rows.push([field.into(), value.into(), Element::Int(end)]),
            TimedForm::Table(_) => self.set_in_table(field, value, end),
        }
    }

    /// Fields.
    pub fn len(&self) -> usize {
        match &self.form {
            TimedForm::Packed(rows) => rows.len(),
            TimedForm::Table(raw) => RecordsRef::<true>::of(&raw.hash, self.seed).len(),
        }
    }

    /// Whether there are no fields.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// When a field ends, 0 for never; none if it is not there.
    pub fn end(&self, field: &[u8]) -> Option<i64> {
        match &self.form {
            TimedForm::Packed(rows) => {
                let [_, _, end] = rows.view().at(rows.view().find(field.into())?);
                Some(if let Element::Int(at) = end { at } else { 0 })
            }
            TimedForm::Table(raw) => {
                let fields = RecordsRef::<true>::of(&raw.hash, self.seed);
                fields.find(field)?;
                let end = SortedRef::of(&raw.ends, self.seed).find(field);
                Some(end.map_or(0, |end| end.score as i64))
            }
        }
    }

    /// Gives a field a value and a time. Tells whether it is a new field.
    pub fn set(&mut self, field: &[u8], value: &[u8], end: End) -> bool {
        let old = self.end(field);
        let end = match end {
            End::Keep => old.unwrap_or(0),
            End::Never => 0,
            End::At(at) => at,
        };
        if !(self.limits.admit(field) && self.limits.admit(value)) {
            self.make_table();
        }
        if let TimedForm::Packed(rows) = &mut self.form {
            rows.set([field.into(), value.into(), Element::Int(end)]);
            if !self.limits.allow(rows.len(), rows.as_bytes().len()) {
                self.make_table();
            }
        } else {
            self.set_in_table(field, value, end);
        }
        old.is_none()
    }

    /// Gives a field a time, or none, if it is there.
    pub fn set_end(&mut self, field: &[u8], end: Option<i64>) {
        if self.end(field).is_none() {
            return;
        }
        let end = end.unwrap_or(0);
        match &mut self.form {
            TimedForm::Packed(rows) => {
                let Some(place) = rows.view().find(field.into()) else { return };
                let [_, value, _] = rows.view().at(place);
                let mut digits = itoa::Buffer::new();
                let value = value.bytes(&mut digits).to_vec();
                rows.set([field.into(), value.as_slice().into(), Element::Int(end)]);
            }
            TimedForm::Table(_) => self.set_end_in_table(field, end),
        }
    }

    /// Has no field end: what going back to a release takes that does not know of times.
    pub fn forget_ends(&mut self) {
        match &mut self.form {
            TimedForm::Packed(rows) => {
                let mut plain = RowsBuf::default();
                for [field, value, _] in rows.view().iter() {
                    plain.push([field, value, Element::Int(0)]);
                }
                *rows = plain;
            }
            TimedForm::Table(raw) => tables_mut(raw, self.heap).1.clear(),
        }
    }

    /// Whether any field ends.
    pub fn any_ends(&self) -> bool {
        match &self.form {
            TimedForm::Packed(rows) => rows.view().iter().any(|row| row[2] != Element::Int(0)),
            TimedForm::Table(raw) => !SortedRef::of(&raw.ends, self.seed).is_empty(),
        }
    }

    /// Its fields with their values, in no order, as one number that tells one hash from another.
    pub fn content(&self) -> Digest {
        let mut content = Digest::default();
        let mut add = |field: &[u8], value: &[u8]| {
            let mut pair = Digest::default();
            pair.mix(field);
            pair.mix(value);
            content.add_digest(&pair);
        };
        match &self.form {
            TimedForm::Packed(rows) => {
                let mut digits = [itoa::Buffer::new(), itoa::Buffer::new()];
                for [field, value, _] in rows.view().iter() {
                    let [one, other] = &mut digits;
                    add(field.bytes(one), value.bytes(other));
                }
            }
            TimedForm::Table(raw) => {
                let fields = RecordsRef::<true>::of(&raw.hash, self.seed);
                fields.for_each(&mut |record| add(record.name, record.value));
            }
        }
        content
    }

    /// Removes a field. Tells whether it was there.
    pub fn remove(&mut self, field: &[u8]) -> bool {
        match &mut self.form {
            TimedForm::Packed(rows) => rows.remove(field.into()),
            TimedForm::Table(raw) => {
                let (mut fields, mut ends) = tables_mut(raw, self.heap);
                ends.remove(field);
                fields.remove(field)
            }
        }
    }

    fn set_in_table(&mut self, field: &[u8], value: &[u8], end: i64) {
        if let TimedForm::Table(raw) = &mut self.form {
            tables_mut(raw, self.heap).0.set(field, value);
        }
        self.set_end_in_table(field, end);
    }

    fn set_end_in_table(&mut self, field: &[u8], end: i64) {
        if let TimedForm::Table(raw) = &mut self.form {
            let (_, mut ends) = tables_mut(raw, self.heap);
            if end == 0 {
                ends.remove(field);
            } else {
                ends.set(scored(field, end));
            }
        }
    }

    fn make_table(&mut self) {
        let TimedForm::Packed(rows) = &mut self.form else { return };
        let rows = core::mem::take(rows);
        self.form = TimedForm::Table(OwnedBody::new(self.heap, empty_timed(self.seed)));
        let mut digits = [itoa::Buffer::new(), itoa::Buffer::new()];
        for [field, value, end] in rows.view().iter() {
            let [one, other] = &mut digits;
            let end = if let Element::Int(at) = end { at } else { 0 };
            self.set_in_table(field.bytes(one), value.bytes(other), end);
        }
    }

    /// An entry that holds it.
    pub fn finish(self, making: &Making<'_>) -> OwnedEntry {
        match self.form {
            TimedForm::Packed(rows) => finish_packed(&rows, self.heap, making),
            TimedForm::Table(mut raw) if SortedRef::of(&raw.ends, self.seed).is_empty() => {
                let fields = core::mem::take(&mut raw.hash.fields);
                making.with_body(OwnedBody::new(self.heap, RawHash { fields }))
            }
            TimedForm::Table(raw) => making.with_body(raw),
        }
    }
}

fn finish_packed(rows: &RowsBuf<3>, heap: Heap, making: &Making<'_>) -> OwnedEntry {
    if rows.view().iter().any(|row| row[2] != Element::Int(0)) {
        return making.embedded(heap, id::HASH_PACKED_TIMED, rows.as_bytes());
    }
    let mut plain = RowsBuf::<2>::default();
    rows.view().iter().for_each(|[field, value, _]| plain.push([field, value]));
    making.embedded(heap, id::HASH_PACKED, plain.as_bytes())
}
