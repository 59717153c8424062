//! Hashes by their keys.
#![forbid(unsafe_code)]

use abi::container::RawHash;
use abi::keyspace::value_type;

use crate::{Found, Intent, Keys, Removed};
use base::error::Error;
use store::records::Record;
use store::rows::{self, Change, Rows, RowsBuf};
use value::hash::{self, HashBuf, HashRef};
use value::limits::Limits;
use value::string::Ttl;

impl Keys<'_> {
    pub(crate) fn hash_limits(&self) -> Limits {
        let settings = &self.core.settings;
        Limits { entries: settings.hash_entries, value_bytes: settings.hash_value_bytes }
    }

    /// The hash of a key, to be read.
    pub fn fields(&mut self, key: &[u8]) -> Result<Option<HashRef<'_>>, Error> {
        let seed = self.core.roots.seed;
        let found = self.lookup_typed(key, value_type::HASH, Intent::Read)?;
        Ok(found.map(|found| hash::view(found.into_entry(), seed)))
    }

    /// The hash of a key, to be changed.
    pub fn fields_mut(&mut self, key: &[u8]) -> Result<Option<HashMut<'_>>, Error> {
        let (limits, seed) = (self.hash_limits(), self.core.roots.seed);
        let found = self.lookup_typed(key, value_type::HASH, Intent::Write)?;
        Ok(found.map(|found| HashMut { found, limits, seed }))
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
        hash::view(self.found.entry(), self.seed)
    }

    /// The rows of a small hash.
    fn rows(&self) -> Option<Rows<'_, 2>> {
        match self.view() {
            HashRef::Packed(rows) => Some(rows),
            HashRef::Table(_) => None,
        }
    }

    /// Gives a field a value. Tells whether it is a new field. Where memory runs out nothing has
    /// changed.
    pub fn set(&mut self, field: &[u8], value: &[u8]) -> bool {
        let (heap, limits, seed) = (self.found.core().heap, self.limits, self.seed);
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
}
