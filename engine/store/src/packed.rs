//! Elements as bytes: the encoding that `abi::container::packed` lays down.
//!
//! Elements of lists have a tail, so that they can be walked from either end; those of rows have
//! none.
#![forbid(unsafe_code)]

use abi::container::packed::{INT16, INT32, INT64, STR6_MAX, STR16, STR32};

/// First byte of a string with its length in that byte.
const STR6: u8 = 0x80;
/// Largest integer that is its own first byte.
const INT7_MAX: i64 = 127;
/// Longest encoding of an integer, which is longer than what stands before a text.
const PREFIX_BYTES_MAX: usize = 9;
/// Longest canonical decimal of an `i64`.
const DIGITS_MAX: usize = 20;

/// An element: a byte string, or the integer whose canonical decimal form it is.
///
/// A string that is such a decimal is never held as `Bytes`, so that equal elements compare equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element<'a> {
    /// Any other string.
    Bytes(&'a [u8]),
    /// An integer.
    Int(i64),
}

impl<'a> From<&'a [u8]> for Element<'a> {
    #[inline]
    fn from(bytes: &'a [u8]) -> Self {
        integer(bytes).map_or(Self::Bytes(bytes), Self::Int)
    }
}

impl<'a> Element<'a> {
    /// The element as a byte string. `digits` holds those of an integer.
    #[inline]
    pub fn bytes<'b>(self, digits: &'b mut itoa::Buffer) -> &'b [u8]
    where
        'a: 'b,
    {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Int(value) => digits.format(value).as_bytes(),
        }
    }

    /// Bytes of head and payload: the whole encoding without a tail.
    #[inline(always)]
    pub fn body_len(self) -> usize {
        match self {
            Self::Bytes(bytes) if bytes.len() <= STR6_MAX => 1 + bytes.len(),
            Self::Bytes(bytes) if bytes.len() <= usize::from(u16::MAX) => 3 + bytes.len(),
            Self::Bytes(bytes) => 5 + bytes.len(),
            Self::Int(0..=INT7_MAX) => 1,
            Self::Int(value) if i16::try_from(value).is_ok() => 3,
            Self::Int(value) if i32::try_from(value).is_ok() => 5,
            Self::Int(_) => 9,
        }
    }

    /// Bytes of the whole encoding.
    #[inline(always)]
    pub fn encoded_len(self) -> usize {
        let body = self.body_len();
        body + tail_len(body)
    }

    /// Writes the encoding to `out`, which is [`Element::encoded_len`] bytes long.
    ///
    /// # Panics
    /// If `out` is too short, or a string is 4 GiB or longer.
    #[inline(always)]
    pub fn encode(self, out: &mut [u8]) {
        let body = self.body_len();
        let (head, tail) = out.split_at_mut(body);
        self.encode_body(head);
        if let [only] = tail {
            *only = body as u8;
        } else {
            encode_tail(tail, body);
        }
    }

    /// The encoding in two pieces: what stands before the text of a string, with its length, and the
    /// text. An integer is all in the first.
    #[inline]
    pub fn pieces(self) -> ([u8; PREFIX_BYTES_MAX], usize, &'a [u8]) {
        let mut prefix = [0; PREFIX_BYTES_MAX];
        let (len, text): (_, &[u8]) = match self {
            Self::Bytes(text) => (self.body_len() - text.len(), text),
            Self::Int(_) => (self.body_len(), &[]),
        };
        match self {
            Self::Bytes(text) => encode_length(&mut prefix[..len], text.len()),
            Self::Int(value) => encode_integer(&mut prefix[..len], value),
        }
        (prefix, len, text)
    }

    /// Its first byte.
    #[inline(always)]
    pub fn head(self) -> u8 {
        match self {
            Self::Bytes(bytes) if bytes.len() <= STR6_MAX => STR6 | bytes.len() as u8,
            Self::Bytes(bytes) if bytes.len() <= usize::from(u16::MAX) => STR16,
            Self::Bytes(_) => STR32,
            Self::Int(value @ 0..=INT7_MAX) => value as u8,
            Self::Int(value) if i16::try_from(value).is_ok() => INT16,
            Self::Int(value) if i32::try_from(value).is_ok() => INT32,
            Self::Int(_) => INT64,
        }
    }

    /// Writes the encoding without its first byte and without a tail to `out`, which is as long. The
    /// first byte [`is_sized`].
    ///
    /// # Panics
    /// If `out` is of another length.
    #[inline(always)]
    pub fn encode_rest(self, out: &mut [u8]) {
        match self {
            Self::Bytes(bytes) => out.copy_from_slice(bytes),
            Self::Int(value) => {
                let len = out.len();
                out.copy_from_slice(&value.to_le_bytes()[..len]);
            }
        }
    }

    /// Writes the encoding without a tail to `out`, which is [`Element::body_len`] bytes long.
    ///
    /// # Panics
    /// As [`Element::encode`].
    #[inline(always)]
    pub fn encode_body(self, out: &mut [u8]) {
        match self {
            Self::Bytes(bytes) => {
                let (head, payload) = out.split_at_mut(out.len() - bytes.len());
                payload.copy_from_slice(bytes);
                encode_length(head, bytes.len());
            }
            Self::Int(value) => encode_integer(out, value),
        }
    }
}

#[inline(always)]
fn encode_length(head: &mut [u8], len: usize) {
    match head {
        [first] => *first = STR6 | len as u8,
        [first, rest @ ..] if rest.len() == 2 => {
            *first = STR16;
            rest.copy_from_slice(&(len as u16).to_le_bytes());
        }
        [first, rest @ ..] => {
            *first = STR32;
            let len = u32::try_from(len).expect("an element is shorter than 4 GiB");
            rest.copy_from_slice(&len.to_le_bytes());
        }
        [] => {}
    }
}

fn encode_integer(body: &mut [u8], value: i64) {
    match body {
        [only] => *only = value as u8,
        [first, payload @ ..] => {
            *first = match payload.len() {
                2 => INT16,
                4 => INT32,
                _ => INT64,
            };
            let len = payload.len();
            payload.copy_from_slice(&value.to_le_bytes()[..len]);
        }
        [] => {}
    }
}

/// Bytes of the tail of an element with `body` bytes of head and payload.
#[inline(always)]
const fn tail_len(body: usize) -> usize {
    if body < 1 << 7 { 1 } else { body.ilog2() as usize / 7 + 1 }
}

fn encode_tail(tail: &mut [u8], body: usize) {
    let mut rest = body;
    for byte in tail.iter_mut().rev() {
        *byte = rest as u8 | 0x80;
        rest >>= 7;
    }
    tail[0] &= 0x7f;
}

/// The element at the start of `bytes`, and how many bytes it takes with its tail.
///
/// # Panics
/// If there is none.
#[inline(always)]
pub fn first(bytes: &[u8]) -> (Element<'_>, usize) {
    let (element, body) = first_body(bytes);
    (element, body + tail_len(body))
}

/// As [`first`], of an element without a tail.
///
/// # Panics
/// If there is none.
#[inline(always)]
pub fn first_body(bytes: &[u8]) -> (Element<'_>, usize) {
    match bytes[0] {
        head if head < STR6 => (Element::Int(i64::from(head)), 1),
        head if head < INT16 => string(bytes, 1, usize::from(head & !STR6)),
        head => first_long(bytes, head),
    }
}

/// How many bytes the element at the start of `bytes` takes without a tail.
///
/// # Panics
/// If there is none.
#[inline(always)]
pub fn first_body_len(bytes: &[u8]) -> usize {
    match bytes[0] {
        head if head < STR6 => 1,
        head if head < INT16 => 1 + usize::from(head & !STR6),
        head => first_long(bytes, head).1,
    }
}

/// Whether an element with this first byte is as long as that says.
#[inline]
pub const fn is_sized(head: u8) -> bool {
    head < STR16
}

/// How many bytes follow the first one of an element, which [`is_sized`].
#[inline(always)]
pub const fn sized_len(head: u8) -> usize {
    match head {
        0..STR6 => 0,
        STR6..INT16 => (head & !STR6) as usize,
        INT16 => 2,
        INT32 => 4,
        _ => 8,
    }
}

/// The element with this first byte, which [`is_sized`], of which the others are at the start of
/// `bytes`, and how many those are.
///
/// # Panics
/// If they are not all there.
#[inline(always)]
pub fn sized(head: u8, bytes: &[u8]) -> (Element<'_>, usize) {
    let len = sized_len(head);
    let rest = &bytes[..len];
    let element = match head {
        0..STR6 => Element::Int(i64::from(head)),
        STR6..INT16 => Element::Bytes(rest),
        INT16 => Element::Int(i16::from_le_bytes(whole(rest)).into()),
        INT32 => Element::Int(i32::from_le_bytes(whole(rest)).into()),
        _ => Element::Int(i64::from_le_bytes(whole(rest))),
    };
    (element, len)
}

fn whole<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.try_into().expect("an element is complete")
}

fn first_long(bytes: &[u8], head: u8) -> (Element<'_>, usize) {
    match head {
        INT16 => (Element::Int(i16::from_le_bytes(array(bytes)).into()), 3),
        INT32 => (Element::Int(i32::from_le_bytes(array(bytes)).into()), 5),
        INT64 => (Element::Int(i64::from_le_bytes(array(bytes))), 9),
        STR16 => string(bytes, 3, u16::from_le_bytes(array(bytes)).into()),
        STR32 => string(bytes, 5, u32::from_le_bytes(array(bytes)) as usize),
        _ => unreachable!("no element begins with {head:#x}"),
    }
}

#[inline(always)]
fn string(bytes: &[u8], head: usize, len: usize) -> (Element<'_>, usize) {
    (Element::Bytes(&bytes[head..head + len]), head + len)
}

/// The bytes behind the first.
fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    *bytes[1..].first_chunk().expect("an element is complete")
}

/// How many bytes the element at the end of `bytes` takes.
///
/// # Panics
/// If there is none.
#[inline(always)]
pub fn last_len(bytes: &[u8]) -> usize {
    let mut body = 0;
    let mut tail = 0;
    for &byte in bytes.iter().rev() {
        body |= usize::from(byte & 0x7f) << (7 * tail);
        tail += 1;
        if byte & 0x80 == 0 {
            break;
        }
    }
    body + tail
}

/// The integer of which `bytes` is the canonical decimal form: no sign but a minus, no zero in
/// front, within `i64`.
#[inline]
pub fn integer(bytes: &[u8]) -> Option<i64> {
    match bytes {
        [b'0'] => Some(0),
        [b'1'..=b'9', ..] if bytes.len() < DIGITS_MAX => decimal(bytes, false),
        [b'-', digits @ ..] if matches!(digits, [b'1'..=b'9', ..]) && bytes.len() <= DIGITS_MAX => {
            decimal(digits, true)
        }
        _ => None,
    }
}

/// The number of at most 19 digits, or nothing if there is something else or it is too large.
fn decimal(digits: &[u8], negative: bool) -> Option<i64> {
    let mut value = 0u64;
    for &digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        value = value * 10 + u64::from(digit - b'0');
    }
    if negative { 0i64.checked_sub_unsigned(value) } else { i64::try_from(value).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(element: Element<'_>) -> Vec<u8> {
        let mut out = vec![0xee; element.encoded_len()];
        element.encode(&mut out);
        out
    }

    fn check(bytes: &[u8]) {
        let element = Element::from(bytes);
        assert_eq!(element.bytes(&mut itoa::Buffer::new()), bytes);
        let mut line = b"before".to_vec();
        line.extend(encoded(element));
        assert_eq!(last_len(&line), element.encoded_len());
        line.extend(b"after");
        assert_eq!(first(&line[6..]), (element, element.encoded_len()));
    }

    #[test]
    fn every_form_reads_back_from_both_ends() {
        for len in
            [0, 1, 62, 63, 64, 124, 125, 127, 128, 200, 16_380, 16_381, 16_384, 65_535, 65_536]
        {
            check(&vec![b'x'; len]);
        }
        check(&vec![b'x'; (1 << 21) + 7]);
        let edges = [0i64, 127, 128, 255, 1 << 15, 1 << 31, i64::MAX, i64::MIN];
        for value in edges.iter().flat_map(|&v| [v.wrapping_sub(1), v, v.wrapping_neg()]) {
            check(value.to_string().as_bytes());
        }
    }

    #[test]
    fn the_encoding_is_as_laid_down() {
        let check = |text: &[u8], bytes: &[u8]| assert_eq!(encoded(text.into()), bytes);
        check(b"", &[0x80, 1]);
        check(b"5", &[5, 1]);
        check(b"127", &[0x7f, 1]);
        check(b"-1", &[0xc0, 0xff, 0xff, 3]);
        check(b"40000", &[0xc1, 0x40, 0x9c, 0, 0, 5]);
        check(b"-2147483649", &[0xc2, 0xff, 0xff, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 9]);
        check(b"ab", &[0x82, b'a', b'b', 3]);
        let long = encoded(Element::Bytes(&[b'x'; 300]));
        assert_eq!(long[..3], [0xd0, 0x2c, 0x01]);
        // 303 is 2 * 128 + 47.
        assert_eq!(long[303..], [0x02, 0xaf]);
        assert_eq!(encoded(Element::Bytes(&[b'x'; 65_536]))[..5], [0xd1, 0, 0, 1, 0]);
    }

    #[test]
    fn only_canonical_decimals_are_integers() {
        let not = ["", "-", "+1", "01", "-0", "-01", " 1", "1 ", "1x", "0x1", "1.0", "--1"];
        let too_large = ["9223372036854775808", "-9223372036854775809", "99999999999999999999"];
        for text in not.iter().chain(&too_large) {
            assert_eq!(integer(text.as_bytes()), None, "{text}");
        }
        for value in [0, 1, -1, 10, i64::MAX, i64::MIN] {
            assert_eq!(integer(value.to_string().as_bytes()), Some(value));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_read_back(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            check(&bytes);
        }

        #[test]
        fn integers_are_found_as_the_standard_library_prints_them(value: i64, text in "-?[0-9]{0,21}") {
            check(value.to_string().as_bytes());
            let canonical = text.parse::<i64>().ok().filter(|value| value.to_string() == text);
            prop_assert_eq!(integer(text.as_bytes()), canonical);
        }
    }
}
