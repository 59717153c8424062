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

    /// The integer of a key that is about to be changed.
    pub fn integer(&mut self, key: &[u8]) -> Result<Option<i64>, Error> {
        match self.write_typed(key, value_type::STRING)? {
            Some(found) => integer_of(found.entry()).map(Some).ok_or(error::NOT_INTEGER),
            None => Ok(None),
        }
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
        let access = if self.lane.settings.policy.is_lfu() {
            self.touch(old);
            old.access()
        } else {
            self.initial_access()
        };
        let new = self.new_string(key, value, expires_at, access);
        self.exchange(found, new);
    }

    /// Sets a key to an integer, keeping its time to live.
    pub fn set_integer(&mut self, key: &[u8], value: i64) {
        match self.find(key) {
            Some(found) if found.entry().encoding() == encoding::STRING_INT => {
                found.entry().set_integer(value);
            }
            _ => self.set_string(key, itoa::Buffer::new().format(value).as_bytes(), Ttl::Keep),
        }
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
    pub(crate) fn new_string(
        &self,
        key: &[u8],
        value: &[u8],
        expires_at: Option<i64>,
        access: u32,
    ) -> Entry<'static> {
        let heap = self.lane.heap;
        let shape = |encoding, value_len| Shape {
            kind: value_type::STRING,
            encoding,
            raw: false,
            expires_at,
            access,
            key_len: key.len(),
            value_len,
        };
        if let Some(integer) = as_integer(value) {
            let entry = Entry::allocate(heap, &shape(encoding::STRING_INT, 0), key);
            entry.set_integer(integer);
            entry
        } else if value.len() <= EMBEDDED_MAX {
            let entry = Entry::allocate(heap, &shape(encoding::STRING_EMBEDDED, value.len()), key);
            entry.embedded_mut().copy_from_slice(value);
            entry
        } else {
            let raw = bytes::from_slice(value, heap);
            let entry = Entry::allocate(heap, &shape(encoding::STRING_HEAP, 0), key);
            // SAFETY: the body of a new entry is this lane's to write.
            unsafe { entry.heap_string().write(raw) };
            entry
        }
    }

    /// The bytes of a key's string, to be changed in place; an empty string if there is none.
    /// `OBJECT ENCODING` calls it `raw` from then on.
    pub fn edit_string(&mut self, key: &[u8]) -> Result<Bytes<'_>, Error> {
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
                let new = self.heap_entry(key, RawBytes::EMPTY, None, self.initial_access());
                self.insert(self.hash(key), new);
                new
            }
        };
        // SAFETY: the body of this encoding is a byte string; the shard is locked, and the borrow
        // of `self` that is returned keeps other views away.
        Ok(Bytes::new(unsafe { &mut *entry.heap_string() }, heap))
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
