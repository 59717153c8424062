//! Strings: integers, short strings in the entry itself, long ones in an allocation of their own.
#![forbid(unsafe_code)]

use abi::container::RawBytes;
use abi::schema::{LEVEL_1, encoding as id};

use crate::encoding::{Encoding, MadeBy, Owned, check_body, copy_embedded};
use crate::entry::{Entry, EntryMut, Making, OwnedBody, OwnedEntry, Shape};
use crate::serialized::kind;
use base::args::parse_integer;
use base::bytes;
use base::heap::Heap;
use store::packed::Element;

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

impl<'a> From<Element<'a>> for Str<'a> {
    #[inline]
    fn from(element: Element<'a>) -> Self {
        match element {
            Element::Bytes(bytes) => Self::Bytes(bytes),
            Element::Int(value) => Self::Digits(Digits::new(value)),
        }
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

/// A 64-bit integer in the entry.
pub const INT: Encoding = Encoding {
    id: id::STRING_INT,
    level: LEVEL_1,
    name: |_| "int",
    bytes: |_, _| 0,
    estimated_bytes: |_| 0,
    allocations: |_| 0,
    copy: |heap, _, entry, key| {
        let body = OwnedBody::new(heap, *entry.body::<i64>());
        OwnedEntry::with_body(&entry.shape_for(key), key, body)
    },
    owned: Owned::NOTHING,
    check: |_, _, _| {},
    digest: |entry, digest| entry.mix_parts_into(digest),
    made_by: MadeBy::Parts("SET"),
    visit: visit_string,
    dump_type: kind::STRING,
    dump: |entry, _, out| {
        out.string(view(entry).as_bytes());
        0
    },
};

/// A string behind the key in the entry.
pub const EMBEDDED: Encoding = Encoding {
    id: id::STRING_EMBEDDED,
    name: |entry| {
        const EMBSTR_MAX: usize = 44;
        if entry.is_raw() || entry.embedded().len() > EMBSTR_MAX { "raw" } else { "embstr" }
    },
    copy: copy_embedded,
    ..INT
};

/// A string in an allocation of its own.
pub const HEAP: Encoding = Encoding {
    id: id::STRING_HEAP,
    name: |_| "raw",
    bytes: |heap, entry| heap.usable(entry.body::<RawBytes>().capacity as usize),
    estimated_bytes: |entry| entry.body::<RawBytes>().capacity as usize,
    allocations: |_| 1,
    copy: |heap, _, entry, key| {
        let raw = bytes::from_slice(view(entry).as_bytes(), heap);
        OwnedEntry::with_body(&entry.shape_for(key), key, OwnedBody::new(heap, raw))
    },
    owned: Owned::by::<RawBytes>(),
    check: check_body::<RawBytes>,
    ..INT
};

fn visit_string(entry: Entry<'_>, visit: &mut dyn FnMut(&[&[u8]])) {
    visit(&[view(entry).as_bytes()]);
}

/// The value of a string's entry.
#[inline]
pub fn view(entry: Entry<'_>) -> Str<'_> {
    match entry.encoding() {
        id::STRING_EMBEDDED => Str::Bytes(entry.embedded()),
        id::STRING_INT => Str::Digits(Digits::new(*entry.body())),
        _ => Str::Bytes(bytes::slice(entry.body())),
    }
}

/// The integer that an entry is stored as, if it is.
pub fn stored_integer(entry: Entry<'_>) -> Option<i64> {
    (entry.encoding() == id::STRING_INT).then(|| *entry.body())
}

/// The integer a string is, if it is one in canonical form.
pub fn integer_of(entry: Entry<'_>) -> Option<i64> {
    stored_integer(entry).or_else(|| parse_integer(view(entry).as_bytes()))
}

impl Making<'_> {
    /// An entry that holds a string, in the encoding that suits it.
    #[inline]
    pub fn string(&self, heap: Heap, value: &[u8]) -> OwnedEntry {
        match as_integer(value) {
            Some(integer) => self.with_body(OwnedBody::new(heap, integer)),
            None => self.text(heap, value, false),
        }
    }

    /// An entry that holds a string that is not kept as an integer, and maybe to be called `raw`
    /// whatever its length.
    #[inline]
    pub fn text(&self, heap: Heap, value: &[u8], raw: bool) -> OwnedEntry {
        if value.len() > EMBEDDED_MAX {
            return self.long(heap, bytes::from_slice(value, heap));
        }
        let shape = Shape { raw, value_len: value.len(), ..self.shape(id::STRING_EMBEDDED) };
        OwnedEntry::embedded(heap, &shape, self.key, &[value])
    }

    /// An entry that holds a string in an allocation of its own.
    pub fn long(&self, heap: Heap, value: RawBytes) -> OwnedEntry {
        self.with_body(OwnedBody::new(heap, value))
    }
}

/// Gives an entry another string in place, where that can be done. Returns whether it was.
#[inline]
pub fn overwrite(
    entry: &mut EntryMut<'_>,
    heap: Heap,
    value: &[u8],
    expires_at: Option<i64>,
) -> bool {
    if entry.view().has_ttl() != expires_at.is_some() {
        return false;
    }
    let done = match (entry.view().encoding(), as_integer(value)) {
        (id::STRING_INT, Some(integer)) => {
            *entry.body_mut() = integer;
            true
        }
        (id::STRING_EMBEDDED, None) if value.len() <= EMBEDDED_MAX => {
            entry.overwrite_embedded(heap, value)
        }
        _ => false,
    };
    if let (true, Some(at)) = (done, expires_at) {
        entry.set_expires_at(at);
    }
    done
}

/// The integer a value is stored as, if it is stored as one.
#[inline]
fn as_integer(value: &[u8]) -> Option<i64> {
    if value.len() <= 20 { parse_integer(value) } else { None }
}

impl Ttl {
    /// The expiry that comes of it, for a key that had `old`.
    pub fn expiry(self, old: Option<i64>) -> Option<i64> {
        match self {
            Ttl::Clear => None,
            Ttl::Keep => old,
            Ttl::At(at) => Some(at),
        }
    }
}
