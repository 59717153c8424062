//! Strings by their keys.
#![forbid(unsafe_code)]

use abi::container::RawBytes;
use abi::keyspace::value_type;
use abi::schema::encoding;

use crate::{Found, Intent, Keys, access};
use base::bytes::{self, Bytes};
use base::error::{self, Error};
use value::entry::{Making, OwnedEntry};
use value::string::{self, Str, Ttl};

impl Keys<'_> {
    /// The string of a key, to be read.
    #[inline]
    pub fn string(&mut self, key: &[u8]) -> Result<Option<Str<'_>>, Error> {
        self.string_for(key, Intent::Read)
    }

    /// The string of a key that is about to be changed: counts neither hit nor miss.
    pub fn string_to_change(&mut self, key: &[u8]) -> Result<Option<Str<'_>>, Error> {
        self.string_for(key, Intent::Write)
    }

    #[inline(always)]
    fn string_for(&mut self, key: &[u8], intent: Intent) -> Result<Option<Str<'_>>, Error> {
        let found = self.lookup_typed(key, value_type::STRING, intent)?;
        Ok(found.map(|found| string::view(found.into_entry())))
    }

    /// Adds to the integer of a key, which is 0 if there is none, keeping its time to live.
    /// Returns the sum.
    #[inline]
    pub fn add_integer(&mut self, key: &[u8], by: i64) -> Result<i64, Error> {
        let Some(mut found) = self.lookup_typed(key, value_type::STRING, Intent::Write)? else {
            self.set_integer(key, by);
            return Ok(by);
        };
        let old = string::integer_of(found.entry()).ok_or(error::NOT_INTEGER)?;
        let sum = old.checked_add(by).ok_or(error::OVERFLOW)?;
        match found.entry().encoding() {
            encoding::STRING_INT => *found.entry_to_store_to().body_mut() = sum,
            _ => self.set_integer(key, sum),
        }
        Ok(sum)
    }

    /// Sets a key to a string, whatever it held before.
    #[inline]
    pub fn set_string(&mut self, key: &[u8], value: &[u8], ttl: Ttl) {
        let (heap, records_access) = (self.core.heap, self.records_access);
        let Some(mut found) = self.lookup(key, Intent::Peek) else {
            let making = self.making(key, ttl);
            return self.insert(self.hash(key), making.string(heap, value));
        };
        let expires_at = ttl.expiry(found.entry().expires_at());
        // What lies apart is never overwritten, and only written for a snapshot when it has to be.
        let is_overwritten = found.entry().encoding() != encoding::STRING_HEAP
            && string::overwrite(&mut found.entry_mut(), heap, value, expires_at);
        found.has_changed();
        if is_overwritten {
            // A value set anew counts as used now; its frequency goes on.
            if records_access {
                found.record_access();
            }
            return;
        }
        let making = found.making_anew(key, ttl);
        found.supersede(making.string(heap, value));
    }

    /// Sets a key to an integer, keeping its time to live.
    fn set_integer(&mut self, key: &[u8], value: i64) {
        self.set_string(key, itoa::Buffer::new().format(value).as_bytes(), Ttl::Keep);
    }

    /// As [`Keys::set_string`], but an integer is not recognized: `OBJECT ENCODING` calls the
    /// value by its length.
    pub fn set_text(&mut self, key: &[u8], value: &[u8], ttl: Ttl) {
        let heap = self.core.heap;
        self.set_anew(key, ttl, |making| making.text(heap, value, false));
    }

    /// As [`Keys::set_string`], but `OBJECT ENCODING` calls the value `raw`.
    pub fn set_raw(&mut self, key: &[u8], value: &[u8], ttl: Ttl) {
        let heap = self.core.heap;
        self.set_anew(key, ttl, |making| making.text(heap, value, true));
    }

    /// Puts a new entry of a string in the place of what a key held.
    fn set_anew<'k>(&mut self, key: &'k [u8], ttl: Ttl, make: impl Fn(Making<'k>) -> OwnedEntry) {
        match self.lookup(key, Intent::Peek) {
            Some(mut found) => {
                let making = found.making_anew(key, ttl);
                found.supersede(make(making));
            }
            None => {
                let entry = make(self.making(key, ttl));
                self.insert(self.hash(key), entry);
            }
        }
    }

    /// What the entry of a key that is not there is to have beside its value.
    pub(crate) fn making<'k>(&self, key: &'k [u8], ttl: Ttl) -> Making<'k> {
        Making { key, expires_at: ttl.expiry(None), access: access::initial(self.core) }
    }

    /// The bytes of a key's string, to be changed in place: at least `len_min`, filled up with
    /// zeros, also if there is no such key. Tells whether any had to be added. `OBJECT ENCODING`
    /// calls the value `raw` from then on.
    pub fn edit_string(&mut self, key: &[u8], len_min: usize) -> Result<(Bytes<'_>, bool), Error> {
        let heap = self.core.heap;
        let found = self.lookup_typed(key, value_type::STRING, Intent::Write)?;
        let is_new = found.is_none();
        match found {
            Some(found) => found.make_raw(key),
            None => {
                // Complete before it can be found: should memory run out, nothing is left behind.
                let mut raw = RawBytes::EMPTY;
                Bytes::new(&mut raw, heap).resize(len_min);
                let entry = self.making(key, Ttl::Clear).long(heap, raw);
                self.insert(self.hash(key), entry);
            }
        }
        let mut bytes = self.raw_bytes(key);
        let grown = is_new || bytes.len() < len_min;
        bytes.grow(len_min);
        Ok((bytes, grown))
    }

    /// The bytes of a key's string, to be changed in place, if there is such a key and `check` finds
    /// nothing wrong with what it holds. `OBJECT ENCODING` calls the value `raw` from then on.
    ///
    /// # Errors
    /// The key holds another type, or `check` fails: nothing has changed.
    pub(crate) fn edit_checked_string(
        &mut self,
        key: &[u8],
        intent: Intent,
        check: impl FnOnce(&[u8]) -> Result<(), Error>,
    ) -> Result<Option<Bytes<'_>>, Error> {
        let Some(found) = self.lookup_typed(key, value_type::STRING, intent)? else {
            return Ok(None);
        };
        check(string::view(found.entry()).as_bytes())?;
        found.make_raw(key);
        Ok(Some(self.raw_bytes(key)))
    }

    /// The bytes of a key's string that is there and has an allocation of its own.
    fn raw_bytes(&mut self, key: &[u8]) -> Bytes<'_> {
        let heap = self.core.heap;
        let found = self.lookup(key, Intent::Past).expect("it is there, or was made just now");
        Bytes::new(found.into_entry_mut().into_body_mut(), heap)
    }
}

impl Found<'_> {
    /// Gives a string an allocation of its own, if it has none.
    fn make_raw(mut self, key: &[u8]) {
        if self.entry().encoding() == encoding::STRING_HEAP {
            return;
        }
        let heap = self.core().heap;
        let old = self.entry();
        let making = Making { key, expires_at: old.expires_at(), access: old.access() };
        let raw = bytes::from_slice(string::view(old).as_bytes(), heap);
        self.supersede(making.long(heap, raw));
    }

    /// What an entry that takes this one's place is to have beside its value.
    fn making_anew<'k>(&mut self, key: &'k [u8], ttl: Ttl) -> Making<'k> {
        let old = self.entry();
        let (expires_at, access) = (ttl.expiry(old.expires_at()), old.access());
        Making { key, expires_at, access: access::after_set(self.core(), access) }
    }
}
