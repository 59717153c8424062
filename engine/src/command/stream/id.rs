//! Ids of entries as clients write them, and intervals of them.

use base::args::c_text;
use base::error::Error;
use store::stream::StreamId;

const INVALID: Error = Error::new("ERR Invalid stream ID specified as stream command argument");
const INVALID_START: Error = Error::new("ERR invalid start ID for the interval");
const INVALID_END: Error = Error::new("ERR invalid end ID for the interval");
/// Bytes of the longest text that is looked at.
const TEXT_BYTES_MAX: usize = 127;

/// An id that may lack its second part.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Parsed {
    ms: u64,
    seq: Seq,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Seq {
    Given(u64),
    Missing,
    /// `*`: to be chosen.
    Any,
}

/// The id that `XADD` is given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NewId {
    /// All of it.
    Full(StreamId),
    /// Its first part: the second one is to be chosen.
    Ms(u64),
    /// Nothing of it.
    Any,
}

impl NewId {
    /// Reads it; a missing second part is 0.
    pub fn parse(text: &[u8]) -> Result<Self, Error> {
        if text == b"*" {
            return Ok(Self::Any);
        }
        let Parsed { ms, seq } = parse_parts(text)?;
        Ok(match seq {
            Seq::Any => Self::Ms(ms),
            Seq::Given(seq) => Self::Full(StreamId { ms, seq }),
            Seq::Missing => Self::Full(StreamId { ms, seq: 0 }),
        })
    }

    /// The id behind the last one that there was; none if there is no such.
    pub fn choose(self, last: StreamId, now_ms: i64) -> Option<StreamId> {
        match self {
            Self::Full(id) => (id > last).then_some(id),
            Self::Ms(ms) if ms == last.ms => Some(StreamId { ms, seq: last.seq.checked_add(1)? }),
            Self::Ms(ms) => (ms > last.ms).then_some(StreamId { ms, seq: 0 }),
            Self::Any if now_ms as u64 > last.ms => Some(StreamId { ms: now_ms as u64, seq: 0 }),
            Self::Any => last.next(),
        }
    }
}

/// Reads an id; a missing second part is `missing_seq`.
pub fn parse_strict(text: &[u8], missing_seq: u64) -> Result<StreamId, Error> {
    let Parsed { ms, seq } = parse_parts(text)?;
    match seq {
        Seq::Given(seq) => Ok(StreamId { ms, seq }),
        Seq::Missing => Ok(StreamId { ms, seq: missing_seq }),
        Seq::Any => Err(INVALID),
    }
}

/// As [`parse_strict`]; `-` and `+` are the least and the greatest id.
pub fn parse(text: &[u8], missing_seq: u64) -> Result<StreamId, Error> {
    match c_text(text) {
        b"-" if text.len() <= TEXT_BYTES_MAX => Ok(StreamId::MIN),
        b"+" if text.len() <= TEXT_BYTES_MAX => Ok(StreamId::MAX),
        _ => parse_strict(text, missing_seq),
    }
}

/// The first id of an interval, which begins behind the given one if that is marked with `(`.
pub fn parse_start(text: &[u8]) -> Result<StreamId, Error> {
    match excluded(text) {
        Some(text) => parse_strict(text, 0)?.next().ok_or(INVALID_START),
        None => parse(text, 0),
    }
}

/// The last id of an interval, which ends before the given one if that is marked with `(`.
pub fn parse_end(text: &[u8]) -> Result<StreamId, Error> {
    match excluded(text) {
        Some(text) => parse_strict(text, u64::MAX)?.previous().ok_or(INVALID_END),
        None => parse(text, u64::MAX),
    }
}

fn excluded(text: &[u8]) -> Option<&[u8]> {
    text.strip_prefix(b"(").filter(|rest| !rest.is_empty())
}

fn parse_parts(text: &[u8]) -> Result<Parsed, Error> {
    if text.len() > TEXT_BYTES_MAX {
        return Err(INVALID);
    }
    let text = c_text(text);
    let (ms, seq) = match memchr::memchr(b'-', text) {
        Some(at) => (&text[..at], Some(&text[at + 1..])),
        None => (text, None),
    };
    let ms = parse_number(ms).ok_or(INVALID)?;
    let seq = match seq {
        None => Seq::Missing,
        Some(b"*") => Seq::Any,
        Some(seq) => Seq::Given(parse_number(seq).ok_or(INVALID)?),
    };
    Ok(Parsed { ms, seq })
}

/// A number as C's `strtoull` reads it, but for one below zero that is written as Redis writes it.
fn parse_number(text: &[u8]) -> Option<u64> {
    const SPACE: &[u8] = b" \t\n\x0b\x0c\r";
    if base::args::parse_integer(text).is_some_and(|number| number < 0) {
        return None;
    }
    let start = text.iter().position(|byte| !SPACE.contains(byte))?;
    let (negative, digits) = match &text[start..] {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    if digits.is_empty() {
        return None;
    }
    let mut value = 0u64;
    for digit in digits {
        let digit = digit.wrapping_sub(b'0');
        value = value.checked_mul(10)?.checked_add((digit < 10).then_some(digit)?.into())?;
    }
    Some(if negative { value.wrapping_neg() } else { value })
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn id(ms: u64, seq: u64) -> StreamId {
        StreamId { ms, seq }
    }

    #[test]
    fn ids_in_all_forms() {
        for (text, expect) in [
            ("5", Some(id(5, 7))),
            ("5-0", Some(id(5, 0))),
            ("18446744073709551615-18446744073709551615", Some(StreamId::MAX)),
            ("18446744073709551616", None),
            ("05-00", Some(id(5, 0))),
            (" 5-+1", Some(id(5, 1))),
            ("5--5", None),
            ("5--05", Some(id(5, 5u64.wrapping_neg()))),
            ("5-", None),
            ("-5", None),
            ("5-1-1", None),
            ("5 ", None),
            ("5-*", None),
            ("", None),
            ("-", None),
            ("+", None),
            ("5\0x", Some(id(5, 7))),
        ] {
            assert_eq!(parse_strict(text.as_bytes(), 7).ok(), expect, "{text:?}");
        }
        assert_eq!((parse(b"-", 0), parse(b"+", 0)), (Ok(StreamId::MIN), Ok(StreamId::MAX)));
        assert_eq!(parse_strict(&[b'1'; 200], 0), Err(INVALID));
    }

    #[test]
    fn ends_of_intervals() {
        assert_eq!(parse_start(b"(5-1"), Ok(id(5, 2)));
        assert_eq!(parse_start(b"(5"), Ok(id(5, 1)));
        assert_eq!(parse_end(b"(5"), Ok(id(5, u64::MAX - 1)));
        assert_eq!(parse_end(b"(5-0"), Ok(id(4, u64::MAX)));
        assert_eq!(parse_end(b"5"), Ok(id(5, u64::MAX)));
        assert_eq!(parse_end(b"(0-0"), Err(INVALID_END));
        assert_eq!(parse_start(b"(-"), Err(INVALID));
        assert_eq!(parse_start(b"("), Err(INVALID));
        let max = b"(18446744073709551615-18446744073709551615";
        assert_eq!(parse_start(max), Err(INVALID_START));
    }

    #[test]
    fn new_ids_are_behind_the_last() {
        let choose =
            |text: &str, last| NewId::parse(text.as_bytes()).expect("it is one").choose(last, 9);
        assert_eq!(choose("*", id(5, 5)), Some(id(9, 0)));
        assert_eq!(choose("*", id(9, 5)), Some(id(9, 6)));
        assert_eq!(choose("*", id(20, u64::MAX)), Some(id(21, 0)));
        assert_eq!(choose("*", StreamId::MAX), None);
        assert_eq!(choose("5-*", id(5, 5)), Some(id(5, 6)));
        assert_eq!(choose("5-*", id(5, u64::MAX)), None);
        assert_eq!(choose("6-*", id(5, 5)), Some(id(6, 0)));
        assert_eq!(choose("0-*", StreamId::MIN), Some(id(0, 1)));
        assert_eq!(choose("4-*", id(5, 5)), None);
        assert_eq!(choose("5-6", id(5, 5)), Some(id(5, 6)));
        assert_eq!(choose("5", id(5, 5)), None);
    }
}
