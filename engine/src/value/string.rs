//! Strings: integers, short strings in the entry itself, long ones in an allocation of their own.

use abi::container::RawBytes;
use abi::keyspace::value_type;
use abi::schema::encoding;

use crate::command::args::parse_integer;
use crate::command::error::{self, Error};
use crate::keyspace::entry::{Entry, Shape};
use crate::keyspace::{Found, Keys};
use crate::store::bytes::{self, Bytes};
use crate::value;

/// Longest value kept in the entry: beyond it a copy of the key costs less than a move of both.
const EMBEDDED_MAX: usize = 4096;

/// A string's value.
pub enum Str<'a> {
    /// As stored.
    Bytes(&'a [u8]),
    /// The digits of an integer.
    Digits(Digits),
}

/// The decimal form of an integer.
pub struct Digits {
    text: [u8; 20],
    len: u8,
}

impl Digits {
    /// Of a value.
    pub fn new(value: i64) -> Self {
        let mut buffer = itoa::Buffer::new();
        let digits = buffer.format(value).as_bytes();
        let mut text = [0; 20];
        text[..digits.len()].copy_from_slice(digits);
        Self { text, len: digits.len() as u8 }
    }
}

impl Str<'_> {
    /// The bytes.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Str::Bytes(bytes) => bytes,
            Str::Digits(digits) => &digits.text[..digits.len as usize],
        }
    }
}

/// What becomes of the time to live of a key that is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ttl {
    /// It has none any more.
    Clear,
    /// It keeps the one it has.
    Keep,
    /// It ends at this Unix time in ms.
    At(i64),
}

/// The value of a string's entry.
#[inline]
pub(crate) fn view<'a>(entry: Entry<'a>) -> Str<'a> {
    match entry.encoding() {
        encoding::STRING_EMBEDDED => Str::Bytes(entry.embedded()),
        encoding::STRING_INT => Str::Digits(Digits::new(entry.integer())),
        // SAFETY: the body of this encoding is a byte string; its shard is locked for 'a.
        _ => Str::Bytes(bytes::slice(unsafe { &*entry.heap_string() })),
    }
}

/// The integer that an entry is stored as, if it is.
pub(crate) fn stored_integer(entry: Entry<'_>) -> Option<i64> {
    (entry.encoding() == encoding::STRING_INT).then(|| entry.integer())
}

/// The integer a string is, if it is one in canonical form.
pub(crate) fn integer_of(entry: Entry<'_>) -> Option<i64> {
    match entry.encoding() {
        encoding::STRING_INT => Some(entry.integer()),
        _ => parse_integer(view(entry).as_bytes()),
    }
}

impl Keys<'_> {
    /// The string of a key, to be read.
    #[inline]
    pub fn string(&mut self, key: &[u8]) -> Result<Option<Str<'_>>, Error> {
        Ok(self.read_typed(key, value_type::STRING)?.map(|found| view(found.entry())))
    }

    /// The string of a key that is about to be changed: counts neither hit nor miss.
    pub fn string_to_change(&mut self, key: &[u8]) -> Result<Option<Str<'_>>, Error> {
        Ok(self.write_typed(key, value_type::STRING)?.map(|found| view(found.entry())))
    }

    /// Adds to the integer of a key, which is 0 if there is none, keeping its time to live.
    /// Returns the sum.
    #[inline]
    pub fn add_integer(&mut self, key: &[u8], by: i64) -> Result<i64, Error> {
        let Some(found) = self.write_typed(key, value_type::STRING)? else {
            self.set_integer(key, by);
            return Ok(by);
        };
        let entry = found.entry();
        let old = integer_of(entry).ok_or(error::NOT_INTEGER)?;
        let sum = old.checked_add(by).ok_or(error::OVERFLOW)?;
        match entry.encoding() {
            encoding::STRING_INT => entry.set_integer(sum),
            _ => self.set_integer(key, sum),
        }
        Ok(sum)
    }

    /// Sets a key to a string, whatever it held before.
    #[inline]
    pub fn set_string(&mut self, key: &[u8], value: &[u8], ttl: Ttl) {
        let Some(found) = self.find(key) else {
            let entry = self.new_string(key, value, ttl.expiry(None), self.initial_access());
            return self.insert(self.hash(key), entry);
        };
        let old = found.entry();
        let expires_at = ttl.expiry(old.expires_at());
        if self.overwrite(old, value, expires_at) {
            // A value set anew counts as used now; its frequency goes on.
            return self.touch(old);
        }
        let access = self.access_after_set(old);
        let new = self.new_string(key, value, expires_at, access);
        self.exchange(found, new);
    }

    /// Sets a key to an integer, keeping its time to live.
    fn set_integer(&mut self, key: &[u8], value: i64) {
        self.set_string(key, itoa::Buffer::new().format(value).as_bytes(), Ttl::Keep);
    }

    /// As [`Keys::set_string`], but an integer is not recognized: `OBJECT ENCODING` calls the
    /// value by its length.
    pub fn set_text(&mut self, key: &[u8], value: &[u8], ttl: Ttl) {
        self.set_anew(key, ttl, |keys, expires_at, access| {
            keys.new_text(key, value, expires_at, access, false)
        });
    }

    /// As [`Keys::set_string`], but `OBJECT ENCODING` calls the value `raw`.
    pub fn set_raw(&mut self, key: &[u8], value: &[u8], ttl: Ttl) {
        self.set_anew(key, ttl, |keys, expires_at, access| {
            keys.new_text(key, value, expires_at, access, true)
        });
    }

    /// Puts an entry of a string, made from its expiry and its access clock, in the place of what
    /// a key held.
    fn set_anew(
        &mut self,
        key: &[u8],
        ttl: Ttl,
        make: impl FnOnce(&Self, Option<i64>, u32) -> Entry<'static>,
    ) {
        let Some(found) = self.find(key) else {
            let entry = make(self, ttl.expiry(None), self.initial_access());
            return self.insert(self.hash(key), entry);
        };
        let expires_at = ttl.expiry(found.entry().expires_at());
        let access = self.access_after_set(found.entry());
        let new = make(self, expires_at, access);
        self.exchange(found, new);
    }

    /// The access clock of a key whose value is set anew: used now; its frequency goes on.
    fn access_after_set(&mut self, old: Entry<'_>) -> u32 {
        if !self.lane.settings.policy.is_lfu() {
            return self.initial_access();
        }
        self.touch(old);
        old.access()
    }

    /// Puts another entry of the same key in the place of one, freeing the old value.
    pub(crate) fn exchange(&mut self, found: Found, new: Entry<'_>) {
        let old = found.entry();
        // SAFETY: the old body is not used again: `replace` frees the entry.
        unsafe { value::free_body(self.lane.heap, old) };
        self.replace(found, new);
        if crate::keyspace::entry::is_waitable(new.kind()) {
            self.signal_ready(found.hash, new.key());
        }
    }

    /// Overwrites in place what can be overwritten in place.
    #[inline]
    fn overwrite(&mut self, old: Entry<'_>, value: &[u8], expires_at: Option<i64>) -> bool {
        if old.has_ttl() != expires_at.is_some() {
            return false;
        }
        let integer = as_integer(value);
        let done = match (old.encoding(), integer) {
            (encoding::STRING_INT, Some(integer)) => {
                old.set_integer(integer);
                true
            }
            (encoding::STRING_EMBEDDED, None) if value.len() <= EMBEDDED_MAX => {
                old.overwrite_embedded(self.lane.heap, value)
            }
            _ => false,
        };
        if let (true, Some(at)) = (done, expires_at) {
            old.set_expires_at(at);
        }
        done
    }

    /// A new entry that holds a string, in the encoding that suits it.
    #[inline]
    pub(crate) fn new_string(
        &self,
        key: &[u8],
        value: &[u8],
        expires_at: Option<i64>,
        access: u32,
    ) -> Entry<'static> {
        let Some(integer) = as_integer(value) else {
            return self.new_text(key, value, expires_at, access, false);
        };
        let shape = Shape {
            expires_at,
            access,
            ..self.new_shape(key, value_type::STRING, encoding::STRING_INT)
        };
        let entry = Entry::allocate(self.lane.heap, &shape, key);
        entry.set_integer(integer);
        entry
    }

    /// A new entry that holds a string that is not kept as an integer, and maybe to be called
    /// `raw` whatever its length.
    #[inline]
    fn new_text(
        &self,
        key: &[u8],
        value: &[u8],
        expires_at: Option<i64>,
        access: u32,
        raw: bool,
    ) -> Entry<'static> {
        if value.len() > EMBEDDED_MAX {
            let long = bytes::from_slice(value, self.lane.heap);
            return self.heap_entry(key, long, expires_at, access);
        }
        let shape = Shape {
            raw,
            expires_at,
            access,
            value_len: value.len(),
            ..self.new_shape(key, value_type::STRING, encoding::STRING_EMBEDDED)
        };
        let entry = Entry::allocate(self.lane.heap, &shape, key);
        entry.embedded_mut().copy_from_slice(value);
        entry
    }

    /// The bytes of a key's string, to be changed in place: at least `len_min`, filled up with
    /// zeros, also if there is no such key. Tells whether any had to be added. `OBJECT ENCODING`
    /// calls the value `raw` from then on.
    pub fn edit_string(&mut self, key: &[u8], len_min: usize) -> Result<(Bytes<'_>, bool), Error> {
        let heap = self.lane.heap;
        let found = self.write_typed(key, value_type::STRING)?;
        let entry = match found {
            Some(found) if found.entry().encoding() == encoding::STRING_HEAP => found.entry(),
            Some(found) => {
                let old = found.entry();
                let raw = bytes::from_slice(view(old).as_bytes(), heap);
                let new = self.heap_entry(key, raw, old.expires_at(), old.access());
                self.exchange(found, new);
                new
            }
            None => {
                // Complete before it can be found: should memory run out, nothing is left behind.
                let mut raw = RawBytes::EMPTY;
                Bytes::new(&mut raw, heap).resize(len_min);
                let new = self.heap_entry(key, raw, None, self.initial_access());
                self.insert(self.hash(key), new);
                new
            }
        };
        // SAFETY: the body of this encoding is a byte string; the shard is locked, and the borrow
        // of `self` that is returned keeps other views away.
        let mut bytes = Bytes::new(unsafe { &mut *entry.heap_string() }, heap);
        let grown = found.is_none() || bytes.len() < len_min;
        bytes.grow(len_min);
        Ok((bytes, grown))
    }

    fn heap_entry(
        &self,
        key: &[u8],
        raw: RawBytes,
        expires_at: Option<i64>,
        access: u32,
    ) -> Entry<'static> {
        let shape = Shape {
            expires_at,
            access,
            ..self.new_shape(key, value_type::STRING, encoding::STRING_HEAP)
        };
        let entry = Entry::allocate(self.lane.heap, &shape, key);
        // SAFETY: the body of a new entry is this lane's to write.
        unsafe { entry.heap_string().write(raw) };
        entry
    }
}

/// The integer a value is stored as, if it is stored as one.
#[inline]
fn as_integer(value: &[u8]) -> Option<i64> {
    if value.len() <= 20 { parse_integer(value) } else { None }
}

impl Ttl {
    fn expiry(self, old: Option<i64>) -> Option<i64> {
        match self {
            Ttl::Clear => None,
            Ttl::Keep => old,
            Ttl::At(at) => Some(at),
        }
    }
}
