//! A command's arguments and how they are read. Argument 0 is the command's name.
#![forbid(unsafe_code)]

use crate::error::{self, Error};
use crate::resp::parse::Span;

/// The arguments of one command: views of the input they came in.
#[derive(Clone, Copy)]
pub struct Args<'a> {
    data: &'a [u8],
    spans: &'a [Span],
}

impl<'a> Args<'a> {
    /// Arguments at `spans` of `data`.
    pub fn new(data: &'a [u8], spans: &'a [Span]) -> Self {
        Self { data, spans }
    }

    /// How many there are, the name included.
    #[inline]
    #[allow(clippy::len_without_is_empty, reason = "a command has at least its name")]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Bytes of all arguments together, at most: what lies between them counts too.
    #[inline]
    pub fn bytes_at_most(&self) -> usize {
        let end = self.spans.last().map_or(0, |last| last.start + last.len);
        let begin = self.spans.first().map_or(0, |first| first.start);
        end.saturating_sub(begin) as usize
    }

    /// Argument `index`, which must exist.
    #[inline]
    pub fn at(&self, index: usize) -> &'a [u8] {
        let span = self.spans[index];
        &self.data[span.start as usize..(span.start + span.len) as usize]
    }

    /// Argument `index`, if there is one.
    pub fn get(&self, index: usize) -> Option<&'a [u8]> {
        (index < self.len()).then(|| self.at(index))
    }

    /// The arguments from `index` on.
    pub fn from(&self, index: usize) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        let (data, spans) = (self.data, &self.spans[index.min(self.len())..]);
        spans.iter().map(move |s| &data[s.start as usize..(s.start + s.len) as usize])
    }

    /// The command as it came, if these are all arguments of one that came as an array of bulk
    /// strings: then these bytes are just what would be written for it.
    #[inline]
    pub fn encoded(&self) -> Option<&'a [u8]> {
        const END: &[u8] = b"\r\n";
        // Others are rare, and no worse off for being written anew.
        let (first, count) = (self.spans.first()?, self.len());
        let head = match first.len {
            0..10 => b"*1\r\n$1\r\n".len(),
            10..100 => b"*1\r\n$10\r\n".len(),
            _ => return None,
        };
        let begin = (first.start as usize).checked_sub(head)?;
        // The parser takes numbers in the one form only that is written: with this in front of them,
        // they are all it has read behind it.
        if count >= 10
            || *self.data.get(begin..)?.first_chunk()? != [b'*', b'0' + count as u8, b'\r', b'\n']
        {
            return None;
        }
        // It does not look at what stands behind a string.
        let end_of = |span: &Span| (span.start + span.len) as usize;
        let is_ended = |span: &Span| self.data.get(end_of(span)..end_of(span) + 2) == Some(END);
        let is_whole = self.spans.iter().all(is_ended);
        self.data.get(begin..end_of(self.spans.last()?) + 2).filter(|_| is_whole)
    }

    /// Without the first `count`: how a nested command is seen.
    pub fn skip(&self, count: usize) -> Args<'a> {
        Args::new(self.data, &self.spans[count..])
    }

    /// The places of all arguments but `count` from `index` on, for [`Args::at_places`].
    pub fn places_without(&self, index: usize, count: usize) -> Vec<Span> {
        [&self.spans[..index], &self.spans[index + count..]].concat()
    }

    /// The arguments at these places of the same data.
    pub fn at_places<'b>(&self, places: &'b [Span]) -> Args<'b>
    where
        'a: 'b,
    {
        Args::new(self.data, places)
    }

    /// Whether argument `index` exists and is this word, in any case.
    #[inline]
    pub fn is(&self, index: usize, word: &str) -> bool {
        self.get(index).is_some_and(|arg| arg.eq_ignore_ascii_case(word.as_bytes()))
    }

    /// Argument `index` as an integer.
    pub fn integer(&self, index: usize) -> Result<i64, Error> {
        parse_integer(self.at(index)).ok_or(error::NOT_INTEGER)
    }

    /// Argument `index` as an integer in a range; outside it, or no integer, is `otherwise`.
    pub fn integer_in(
        &self,
        index: usize,
        range: core::ops::RangeInclusive<i64>,
        otherwise: Error,
    ) -> Result<i64, Error> {
        match parse_integer(self.at(index)) {
            Some(value) if range.contains(&value) => Ok(value),
            _ => Err(otherwise),
        }
    }

    /// Argument `index` as a floating-point number.
    pub fn float(&self, index: usize) -> Result<f64, Error> {
        parse_float(self.at(index)).ok_or(error::NOT_FLOAT)
    }

    /// Argument `index` as text, with what is not UTF-8 replaced.
    pub fn text(&self, index: usize) -> std::borrow::Cow<'a, str> {
        String::from_utf8_lossy(self.at(index))
    }
}

/// The integer whose canonical decimal form this is: no sign but `-`, no leading zeros or spaces.
#[inline]
pub fn parse_integer(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [b'0'] if !negative => return Some(0),
        [b'1'..=b'9', ..] if digits.len() <= 19 => {}
        _ => return None,
    }
    let mut value: u64 = 0;
    for &digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        // At most 19 digits: below 10^19, which fits.
        value = value * 10 + (digit - b'0') as u64;
    }
    if negative {
        (value <= 1 << 63).then(|| (value as i64).wrapping_neg())
    } else {
        i64::try_from(value).ok()
    }
}

/// A floating-point number: no spaces around it, not NaN, neither so large that it overflows nor so
/// small that nothing is left of it.
pub fn parse_float(text: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(text).ok()?;
    let plain = text.trim_start_matches(['+', '-']);
    let spelled = ["inf", "infinity"].iter().any(|w| plain.eq_ignore_ascii_case(w));
    let value: f64 = match hexadecimal(text) {
        Some(value) => value,
        None => text.parse().ok()?,
    };
    let is_lost = value == 0.0 && has_digits(plain);
    (!value.is_nan() && !is_lost && (value.is_finite() || spelled)).then_some(value)
}

/// Whether a decimal number has other digits than zeros before its exponent.
fn has_digits(text: &str) -> bool {
    let mantissa = text.split(['e', 'E', 'x', 'X']).next().unwrap_or_default();
    mantissa.bytes().any(|byte| matches!(byte, b'1'..=b'9'))
}

/// What C sees of a text: up to its first zero byte.
pub fn c_text(text: &[u8]) -> &[u8] {
    text.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// A number as C's `strtod` reads one that ends with the text or its first zero byte. Nothing at all
/// is 0.
pub fn parse_c_float(text: &[u8]) -> Option<f64> {
    match c_text(text) {
        b"" => Some(0.0),
        text => parse_float(text.trim_ascii_start()),
    }
}

/// A hexadecimal integer such as `0x1f`, which C's `strtod` takes too.
fn hexadecimal(text: &str) -> Option<f64> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1.0, digits),
        None => (1.0, text.strip_prefix('+').unwrap_or(text)),
    };
    let digits = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"))?;
    u64::from_str_radix(digits, 16).ok().map(|value| sign * value as f64)
}

/// The indices from `start` to `stop`, both included, of `len` items. Negative ones count from the
/// end; what lies outside is left out.
#[inline]
pub fn span(start: i64, stop: i64, len: usize) -> core::ops::Range<usize> {
    let from_end = |index: i64| if index < 0 { index.saturating_add(len as i64) } else { index };
    let first = from_end(start).max(0) as usize;
    let end = (from_end(stop).saturating_add(1).max(0) as usize).min(len);
    if first < end { first..end } else { 0..0 }
}

/// As [`span`], but an end before the first item means the first item, as strings have it.
#[inline]
pub fn clamped_span(start: i64, end: i64, len: usize) -> core::ops::Range<usize> {
    let end = if end < 0 { end.saturating_add(len as i64).max(0) } else { end };
    span(start, end, len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers() {
        for (text, expect) in [
            ("0", Some(0)),
            ("-1", Some(-1)),
            ("9223372036854775807", Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN)),
            ("9223372036854775808", None),
            ("-9223372036854775809", None),
            ("99999999999999999999", None),
            ("", None),
            ("-", None),
            ("-0", None),
            ("01", None),
            ("+1", None),
            (" 1", None),
            ("1 ", None),
            ("1a", None),
        ] {
            assert_eq!(parse_integer(text.as_bytes()), expect, "{text:?}");
        }
    }

    #[test]
    fn floats() {
        for (text, expect) in [
            ("1.5", Some(1.5)),
            ("-inf", Some(f64::NEG_INFINITY)),
            ("1e5", Some(1e5)),
            ("0x10", Some(16.0)),
            ("nan", None),
            (" 1", None),
            ("1e999", None),
            ("", None),
        ] {
            assert_eq!(parse_float(text.as_bytes()), expect, "{text:?}");
        }
    }

    #[test]
    fn encoded_as_they_came() {
        let check = |resp: &str, spans: &[(u32, u32)], expect: Option<&str>| {
            let span = |(start, len): &(u32, u32)| Span { start: *start, len: *len };
            let spans: Vec<_> = spans.iter().map(span).collect();
            let args = Args::new(resp.as_bytes(), &spans);
            assert_eq!(args.encoded(), expect.map(str::as_bytes), "{resp:?}");
        };
        let long = format!("*2\r\n$3\r\nDEL\r\n$12\r\n{}\r\n", "k".repeat(12));
        check(&long, &[(8, 3), (18, 12)], Some(&long));
        let behind = format!("x{long}y");
        check(&behind, &[(9, 3), (19, 12)], Some(&long));
        let name = "*1\r\n$10\r\nunsubscrib\r\n";
        check(name, &[(9, 10)], Some(name));
        // Without its name, without what comes after it, an inline command, arguments left out.
        check(&long, &[(18, 12)], None);
        check(&long, &[(8, 3)], None);
        check("DEL k\r\n", &[(0, 3), (4, 1)], None);
        check("*3\r\n$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n", &[(8, 1), (22, 1)], None);
        check("*02\r\n$3\r\nDEL\r\n$1\r\nk\r\n", &[(9, 3), (18, 1)], None);
        check("*2\r\n$03\r\nDEL\r\n$1\r\nk\r\n", &[(9, 3), (18, 1)], None);
        // What ends a string is not looked at when it is parsed.
        check("*2\r\n$3\r\nDELxx$1\r\nk\r\n", &[(8, 3), (17, 1)], None);
        check("*2\r\n$3\r\nDEL\r\n$1\r\nkxx", &[(8, 3), (17, 1)], None);
    }

    #[test]
    fn floats_as_c_reads_them() {
        for (text, expect) in [
            (&b"1.5"[..], Some(1.5)),
            (b"", Some(0.0)),
            (b" 7", Some(7.0)),
            (b"7 ", None),
            (b"  ", None),
            (b"3\0x", Some(3.0)),
            (b"x", None),
            (b"-inf", Some(f64::NEG_INFINITY)),
            (b"nan", None),
        ] {
            assert_eq!(parse_c_float(text), expect, "{:?}", String::from_utf8_lossy(text));
        }
    }

    #[test]
    fn clamped_spans() {
        for (start, end, len, expect) in [
            (0, -100, 5, 0..1),
            (-1, -100, 5, 0..0),
            (-100, -101, 5, 0..1),
            (-3, -1, 5, 2..5),
            (0, -1, 0, 0..0),
            (4, 9, 5, 4..5),
            (5, 9, 5, 0..0),
        ] {
            assert_eq!(clamped_span(start, end, len), expect, "{start} {end} of {len}");
        }
    }

    #[test]
    fn spans() {
        for (start, stop, len, expect) in [
            (0, -1, 5, 0..5),
            (1, 3, 5, 1..4),
            (-2, -1, 5, 3..5),
            (-100, 100, 5, 0..5),
            (3, 1, 5, 0..0),
            (5, 9, 5, 0..0),
            (0, -6, 5, 0..0),
            (0, 0, 0, 0..0),
            (i64::MIN, i64::MAX, 3, 0..3),
            (i64::MAX, i64::MIN, 3, 0..0),
        ] {
            assert_eq!(span(start, stop, len), expect, "{start} {stop} of {len}");
        }
    }
}
