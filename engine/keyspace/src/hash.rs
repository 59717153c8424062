//! Hashes by their keys.
#![forbid(unsafe_code)]

use abi::container::{RawHash, RawTimedHash};
use abi::keyspace::value_type;

use crate::{Found, Intent, Keys, Removed};
use base::core::Core;
use base::error::Error;
use store::records::Record;
use store::rows::{self, Change, Rows, RowsBuf};
use value::hash::{self, End, HashBuf, HashRef, TimedBuf};
use value::limits::Limits;
use value::string::Ttl;

/// What hashes are small.
pub(crate) fn limits(core: &Core) -> Limits {
    let settings = &core.settings;
    Limits { entries: settings.hash_entries, value_bytes: settings.hash_value_bytes }
}

impl Keys<'_> {
    pub(crate) fn hash_limits(&self) -> Limits {
        limits(self.core)
    }

    /// The hash of a key, to be read.
    #[inline]
    pub fn fields(&mut self, key: &[u8]) -> Result<Option<HashRef<'_>>, Error> {
        let (seed, now) = (self.core.roots.seed, self.core.expiry_now_ms());
        let found = self.lookup_typed(key, value_type::HASH, Intent::Read)?;
        let Some(found) = found else { return Ok(None) };
        if !found.entry().listing().timed {
            return Ok(Some(hash::view(found.into_entry(), seed, now)));
        }
        let found = found.without_ended_if_room();
        let hash = found.map(|found| hash::view(found.into_entry(), seed, now));
        Ok(hash.filter(|hash| !hash.is_empty()))
    }

    /// The hash of a key, to be changed.
    pub fn fields_mut(&mut self, key: &[u8]) -> Result<Option<HashMut<'_>>, Error> {
        let (limits, seed) = (self.hash_limits(), self.core.roots.seed);
        let found = self.lookup_typed(key, value_type::HASH, Intent::Write)?;
        let found = match found {
            Some(found) if found.entry().listing().timed => found.without_ended(),
            found => found,
        };
        Ok(found.map(|found| HashMut { found, limits, seed }))
    }

    /// Gives a field of a key's hash a value, which ends when it did before; makes the hash if there is
    /// none. Tells whether it ends. Where memory runs out nothing has changed.
    pub fn set_field_on(&mut self, key: &[u8], field: &[u8], value: &[u8]) -> Result<bool, Error> {
        match self.fields_mut(key)? {
            Some(mut hash) if hash.is_timed() => {
                let ends = matches!(hash.view().find(field), Some((_, Some(_))));
                hash.set_until(&[[field, value]], End::Keep);
                Ok(ends)
            }
            Some(mut hash) => {
                hash.set(field, value);
                Ok(false)
            }
            None => self.set_fields(key, [[field, value]].into_iter()).map(|_| false),
        }
    }

    /// As [`Keys::set_fields`]; says what becomes of the times at which the fields end.
    pub fn set_fields_until<'e>(
        &mut self,
        key: &[u8],
        fields: impl Iterator<Item = [&'e [u8]; 2]>,
        end: End,
    ) -> Result<usize, Error> {
        if let Some(mut hash) = self.fields_mut(key)? {
            return Ok(hash.set_until(&fields.collect::<Vec<_>>(), end));
        }
        let mut buf = TimedBuf::new(self.core.heap, self.core.roots.seed, self.hash_limits());
        let added = fields.filter(|[field, value]| buf.set(field, value, end)).count();
        let entry = buf.finish(&self.making(key, Ttl::Clear));
        self.insert(self.hash(key), entry);
        Ok(added)
    }

    /// Gives fields of a key's hash, of which there is at least one, their values, one after the
    /// other; makes the hash if there is none. Returns how many fields are new.
    /// Where memory runs out nothing has changed.
    pub fn set_fields<'e>(
        &mut self,
        key: &[u8],
        mut fields: impl ExactSizeIterator<Item = [&'e [u8]; 2]>,
    ) -> Result<usize, Error> {
        if let Some(mut hash) = self.fields_mut(key)? {
            return Ok(hash.set_all(fields));
        }
        let mut buf = HashBuf::new(self.core.heap, self.core.roots.seed, self.hash_limits());
        let added = fields.by_ref().filter(|[field, value]| buf.set(field, value)).count();
        let entry = buf.finish(&self.making(key, Ttl::Clear));
        self.insert(self.hash(key), entry);
        Ok(added)
    }
}

/// A hash of a key, to be changed.
pub struct HashMut<'k> {
    found: Found<'k>,
    limits: Limits,
    seed: [u64; 2],
}

impl HashMut<'_> {
    /// The hash, to read it.
    #[inline]
    pub fn view(&self) -> HashRef<'_> {
        hash::view(self.found.entry(), self.seed, self.found.now_ms())
    }

    /// Whether fields of it end.
    #[inline]
    fn is_timed(&self) -> bool {
        self.found.entry().listing().timed
    }

    /// The rows of a small hash.
    fn rows(&self) -> Option<Rows<'_, 2>> {
        match self.view() {
            HashRef::Packed(rows) => Some(rows),
            HashRef::Table(_) | HashRef::Timed(_) => None,
        }
    }

    /// Gives a field a value. Tells whether it is a new field. Where memory runs out nothing has
    /// changed.
    pub fn set(&mut self, field: &[u8], value: &[u8]) -> bool {
        let (heap, limits, seed) = (self.found.core().heap, self.limits, self.seed);
        if self.is_timed() {
            return self.set_until(&[[field, value]], End::Never) > 0;
        }
        let Some(rows) = self.rows() else {
            let raw = self.found.entry_mut().into_body_mut::<RawHash>();
            return hash::fields_mut(raw, heap, seed).set(field, value);
        };
        let row = hash::row(field, value);
        let place = rows.find(row[0]);
        let len = rows.len() + usize::from(place.is_none());
        let bytes = rows.bytes() + field.len() + value.len();
        let is_small = limits.admit(field) && limits.admit(value) && limits.allow(len, bytes);
        if !is_small {
            let mut buf = HashBuf::of(rows, heap, seed, limits);
            let added = buf.set(field, value);
            self.found.exchange_for(|making| buf.finish(making));
            return added;
        }
        let end = rows.bytes();
        let (removed, elements) = match place {
            Some(place) => (place.rest..place.end, &row[1..]),
            None => (end..end, &row[..]),
        };
        let mut added = Vec::new();
        rows::encode(&mut added, elements);
        self.found.change(&Change { head: &rows::head(len), removed, added: &added });
        place.is_none()
    }

    /// As [`HashMut::set`], of several fields, one after the other. Returns how many are new.
    fn set_all<'e>(&mut self, mut fields: impl ExactSizeIterator<Item = [&'e [u8]; 2]>) -> usize {
        if fields.len() == 1 {
            return fields.next().map_or(0, |[field, value]| usize::from(self.set(field, value)));
        }
        if self.is_timed() {
            return self.set_until(&fields.collect::<Vec<_>>(), End::Never);
        }
        let (heap, limits, seed) = (self.found.core().heap, self.limits, self.seed);
        match self.rows() {
            Some(rows) => {
                let mut buf = HashBuf::of(rows, heap, seed, limits);
                let added = fields.filter(|[field, value]| buf.set(field, value)).count();
                self.found.exchange_for(|making| buf.finish(making));
                added
            }
            None => {
                let raw = self.found.entry_mut().into_body_mut::<RawHash>();
                let records = fields.map(|[name, value]| Record { name, value });
                hash::fields_mut(raw, heap, seed).set_all(records)
            }
        }
    }

    /// Removes fields, of which there is at least one. Where memory runs out nothing has changed.
    pub fn remove_all<'e>(&mut self, fields: impl Iterator<Item = &'e [u8]>) -> Removed {
        if self.is_timed() {
            return self.remove_timed(fields);
        }
        let (heap, seed) = (self.found.core().heap, self.seed);
        let Some(rows) = self.rows() else {
            let raw = self.found.entry_mut().into_body_mut::<RawHash>();
            let mut table = hash::fields_mut(raw, heap, seed);
            let count = fields.filter(|field| table.remove(field)).count();
            return Removed { count, left: table.view().len() };
        };
        let mut left = RowsBuf::from(rows);
        let count = fields.filter(|field| left.remove((*field).into())).count();
        let removed = Removed { count, left: left.len() };
        if removed.is_to_be_done() {
            self.found.change_all(left.as_bytes());
        }
        removed
    }

    /// Gives fields, of which there is at least one, values, one after the other, and says when they end.
    /// Returns how many are new.
    pub fn set_until(&mut self, fields: &[[&[u8]; 2]], end: End) -> usize {
        if self.is_small() {
            return self.found.rewrite_small(|buf| {
                fields.iter().filter(|[field, value]| buf.set(field, value, end)).count()
            });
        }
        if !self.is_timed() {
            if !matches!(end, End::At(_)) {
                return self.set_all(fields.iter().copied());
            }
            self.found.change_form(true);
        }
        // Whoever is told of effects still has those that have ended.
        let mut ended = self.ended(fields.iter().map(|[field, _]| *field));
        ended.sort_unstable();
        ended.dedup();
        let heap = self.found.core().heap;
        let mut entry = self.found.entry_mut();
        let (mut stored, mut ends) = hash::tables_mut(entry.body_mut::<RawTimedHash>(), heap);
        let records = fields.iter().map(|[name, value]| Record { name, value });
        let added = stored.set_all(records) + ended.len();
        for [field, _] in fields {
            match end {
                End::At(at) => ends.set(hash::ending(field, at)),
                End::Never => {
                    ends.remove(field);
                }
                End::Keep if ended.iter().any(|name| name == field) => {
                    ends.remove(field);
                }
                End::Keep => {}
            }
        }
        self.found.has_changed();
        if !ended.is_empty() {
            self.found.tell_ended(&ended);
        }
        self.found.settle_form();
        added
    }

    /// Has fields that are there end at a Unix time in ms, or not any more.
    pub fn set_ends(&mut self, fields: &[&[u8]], at: Option<i64>) {
        if fields.is_empty() {
            return;
        }
        if self.is_small() {
            return self.found.rewrite_small(|buf| {
                fields.iter().for_each(|field| buf.set_end(field, at));
            });
        }
        match (self.is_timed(), at) {
            (false, None) => return,
            (false, Some(_)) => self.found.change_form(true),
            (true, _) => {}
        }
        let heap = self.found.core().heap;
        let mut entry = self.found.entry_mut();
        let (_, mut ends) = hash::tables_mut(entry.body_mut::<RawTimedHash>(), heap);
        for field in fields {
            match at {
                Some(at) => ends.set(hash::ending(field, at)),
                None => {
                    ends.remove(field);
                }
            }
        }
        self.found.has_changed();
        self.found.settle_form();
    }

    fn is_small(&self) -> bool {
        match self.view() {
            HashRef::Packed(_) => true,
            HashRef::Table(_) => false,
            HashRef::Timed(hash) => hash.rows().is_some(),
        }
    }

    /// Those of some fields that are stored and have ended.
    fn ended<'e>(&self, fields: impl Iterator<Item = &'e [u8]>) -> Vec<Vec<u8>> {
        let HashRef::Timed(hash) = self.view() else { return Vec::new() };
        fields.filter(|field| hash.is_ended(field)).map(<[u8]>::to_vec).collect()
    }

    fn remove_timed<'e>(&mut self, fields: impl Iterator<Item = &'e [u8]>) -> Removed {
        if self.is_small() {
            return self.found.rewrite_small(|buf| {
                let count = fields.filter(|field| buf.remove(field)).count();
                Removed { count, left: buf.len() }
            });
        }
        let mut names: Vec<_> =
            fields.filter(|field| self.view().get(field).is_some()).map(<[u8]>::to_vec).collect();
        names.sort_unstable();
        names.dedup();
        let left =
            if names.is_empty() { usize::MAX } else { self.found.remove_from_tables(&names) };
        Removed { count: names.len(), left }
    }
}
