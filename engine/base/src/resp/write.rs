//! Replies. A command says what it means; the writer knows both protocols.

use abi::container::RawBuffer;

use crate::buffer::Buffer;
use crate::heap::Heap;

/// Bytes of a reply of one line, but for errors and texts: a kind, an integer, the line's end.
const LINE_MAX: usize = 32;

/// A client's output, in its protocol.
pub struct Reply<'a> {
    buffer: Buffer<'a>,
    /// Whether the client speaks RESP3.
    pub resp3: bool,
}

/// A place in the output where the length of an aggregate goes once it is known.
#[must_use]
pub struct Deferred {
    at: usize,
    kind: u8,
}

/// A type byte, a number of one or two digits, CRLF, and how long that is.
#[inline(always)]
fn short_header(kind: u8, number: i64) -> Option<([u8; 8], usize)> {
    let digit = |n: i64| b'0' + n as u8;
    match number {
        0..=9 => Some(([kind, digit(number), b'\r', b'\n', 0, 0, 0, 0], 4)),
        10..=99 => {
            let (tens, ones) = (digit(number / 10), digit(number % 10));
            Some(([kind, tens, ones, b'\r', b'\n', 0, 0, 0], 5))
        }
        _ => None,
    }
}

impl<'a> Reply<'a> {
    /// Appends to a raw output.
    pub fn new(raw: &'a mut RawBuffer, heap: Heap, resp3: bool) -> Self {
        Self { buffer: Buffer::new(raw, heap), resp3 }
    }

    /// Bytes not yet sent, this reply's included.
    pub fn len(&self) -> usize {
        self.buffer.len()
    }

    /// Whether nothing waits to be sent.
    pub fn is_empty(&self) -> bool {
        self.buffer.len() == 0
    }

    /// Takes back what was written since the output had this length.
    pub fn truncate(&mut self, len: usize) {
        self.buffer.truncate(len);
    }

    /// Makes room for a reply of one line, so that it is not the reply for which there is no memory.
    #[inline]
    pub fn reserve_line(&mut self) {
        self.buffer.reserve(LINE_MAX);
    }

    /// What was written since the output had this length.
    pub fn since(&self, len: usize) -> &[u8] {
        &self.buffer.as_slice()[len..]
    }

    /// Bytes that are already in protocol form.
    #[inline]
    pub fn raw(&mut self, bytes: &[u8]) {
        self.buffer.append(bytes);
    }

    /// `OK`
    #[inline]
    pub fn ok(&mut self) {
        self.raw(b"+OK\r\n");
    }

    /// A simple string: no CR or LF.
    pub fn simple(&mut self, text: &str) {
        debug_assert!(!text.contains(['\r', '\n']));
        self.raw(b"+");
        self.raw(text.as_bytes());
        self.raw(b"\r\n");
    }

    /// An error, its code first: `ERR what went wrong`. CR and LF become spaces.
    pub fn error(&mut self, text: &[u8]) {
        self.raw(b"-");
        let end =
            text.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n')).map_or(0, |at| at + 1);
        for part in text[..end].split_inclusive(|b| matches!(b, b'\r' | b'\n')) {
            match part.split_last() {
                Some((b'\r' | b'\n', head)) => {
                    self.raw(head);
                    self.raw(b" ");
                }
                _ => self.raw(part),
            }
        }
        self.raw(b"\r\n");
    }

    /// A type byte, a number, CRLF.
    #[inline]
    fn header(&mut self, kind: u8, number: i64) {
        match short_header(kind, number) {
            Some((line, len)) => self.buffer.append_start(&line, len),
            None => self.long_header(kind, number),
        }
    }

    fn long_header(&mut self, kind: u8, number: i64) {
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(number).as_bytes();
        let mut line = [0u8; 24];
        line[0] = kind;
        line[1..=digits.len()].copy_from_slice(digits);
        line[digits.len() + 1] = b'\r';
        line[digits.len() + 2] = b'\n';
        self.raw(&line[..digits.len() + 3]);
    }

    /// An integer.
    #[inline]
    pub fn integer(&mut self, value: i64) {
        self.header(b':', value);
    }

    /// A length or count as an integer.
    #[inline]
    pub fn count(&mut self, value: usize) {
        self.header(b':', value as i64);
    }

    /// A byte string.
    #[inline]
    pub fn bulk(&mut self, bytes: &[u8]) {
        match short_header(b'$', bytes.len() as i64) {
            Some((line, len)) => self.buffer.append_framed(&line, len, bytes, b"\r\n"),
            None => self.long_bulk(bytes),
        }
    }

    fn long_bulk(&mut self, bytes: &[u8]) {
        // One reservation for the whole reply: header of at most 24 bytes, payload, CRLF.
        self.buffer.reserve(bytes.len() + 26);
        self.long_header(b'$', bytes.len() as i64);
        self.raw(bytes);
        self.raw(b"\r\n");
    }

    /// A byte string, or null.
    pub fn bulk_or_null(&mut self, bytes: Option<&[u8]>) {
        match bytes {
            Some(bytes) => self.bulk(bytes),
            None => self.null(),
        }
    }

    /// An integer as a byte string.
    pub fn bulk_integer(&mut self, value: i64) {
        self.bulk(itoa::Buffer::new().format(value).as_bytes());
    }

    /// No value.
    #[inline]
    pub fn null(&mut self) {
        self.raw(if self.resp3 { b"_\r\n" } else { b"$-1\r\n" });
    }

    /// No array: what an aborted transaction or a blocking command in vain replies.
    pub fn null_array(&mut self) {
        self.raw(if self.resp3 { b"_\r\n" } else { b"*-1\r\n" });
    }

    /// An array of this many elements, which follow.
    #[inline]
    pub fn array(&mut self, len: usize) {
        self.header(b'*', len as i64);
    }

    /// A map of this many pairs, which follow; in RESP2 an array of twice as many.
    pub fn map(&mut self, pairs: usize) {
        if self.resp3 { self.header(b'%', pairs as i64) } else { self.array(pairs * 2) }
    }

    /// A set of this many elements, which follow.
    pub fn set(&mut self, len: usize) {
        self.header(if self.resp3 { b'~' } else { b'*' }, len as i64);
    }

    /// Out-of-band data of this many elements, which follow.
    pub fn push(&mut self, len: usize) {
        self.header(if self.resp3 { b'>' } else { b'*' }, len as i64);
    }

    /// Attributes of this many pairs, which follow. Only for RESP3.
    pub fn attribute(&mut self, pairs: usize) {
        debug_assert!(self.resp3);
        self.header(b'|', pairs as i64);
    }

    /// A truth value; in RESP2 1 or 0.
    pub fn boolean(&mut self, value: bool) {
        match (self.resp3, value) {
            (true, true) => self.raw(b"#t\r\n"),
            (true, false) => self.raw(b"#f\r\n"),
            (false, value) => self.integer(value as i64),
        }
    }

    /// A floating-point number; in RESP2 a byte string.
    pub fn double(&mut self, value: f64) {
        self.number(&format_double(value));
    }

    /// A finite floating-point number without an exponent, with 17 decimals at most; in RESP2 a byte
    /// string.
    pub fn decimal(&mut self, value: f64) {
        self.number(&format_decimal(value));
    }

    fn number(&mut self, text: &str) {
        if self.resp3 {
            self.raw(b",");
            self.raw(text.as_bytes());
            self.raw(b"\r\n");
        } else {
            self.bulk(text.as_bytes());
        }
    }

    /// An integer of any size, in digits; in RESP2 a byte string.
    pub fn big_number(&mut self, digits: &str) {
        if self.resp3 {
            self.raw(b"(");
            self.raw(digits.as_bytes());
            self.raw(b"\r\n");
        } else {
            self.bulk(digits.as_bytes());
        }
    }

    /// Text of a format of three letters (`txt`, `mkd`); in RESP2 a byte string.
    pub fn verbatim(&mut self, format: &str, text: &[u8]) {
        debug_assert_eq!(format.len(), 3);
        if self.resp3 {
            self.header(b'=', text.len() as i64 + 4);
            self.raw(format.as_bytes());
            self.raw(b":");
            self.raw(text);
            self.raw(b"\r\n");
        } else {
            self.bulk(text);
        }
    }

    /// An array of simple strings, as `HELP` subcommands give.
    pub fn simple_lines(&mut self, lines: &[&str]) {
        self.array(lines.len());
        lines.iter().for_each(|line| self.simple(line));
    }

    /// Begins an array whose length is not yet known.
    pub fn defer_array(&mut self) -> Deferred {
        Deferred { at: self.len(), kind: b'*' }
    }

    /// Begins a map whose length is not yet known.
    pub fn defer_map(&mut self) -> Deferred {
        Deferred { at: self.len(), kind: b'%' }
    }

    /// Begins a set whose length is not yet known.
    pub fn defer_set(&mut self) -> Deferred {
        Deferred { at: self.len(), kind: b'~' }
    }

    /// Begins a string whose length is not yet known: what [`Reply::raw`] appends from here on.
    pub fn defer_bulk(&mut self) -> Deferred {
        Deferred { at: self.len(), kind: b'$' }
    }

    /// Ends a string that was begun.
    pub fn finish_bulk(&mut self, deferred: Deferred) {
        let len = self.len() - deferred.at;
        self.insert(deferred.at, format!("${len}\r\n").as_bytes());
        self.raw(b"\r\n");
    }

    /// Tells the length of what was begun: elements, or pairs of a map.
    pub fn finish(&mut self, deferred: Deferred, len: usize) {
        let (kind, len) = match (deferred.kind, self.resp3) {
            (b'%', false) => (b'*', len * 2),
            (_, false) => (b'*', len),
            (kind, true) => (kind, len),
        };
        let mut line = vec![kind];
        line.extend_from_slice(itoa::Buffer::new().format(len).as_bytes());
        line.extend_from_slice(b"\r\n");
        self.insert(deferred.at, &line);
    }

    /// Puts bytes before what was written since the output had this length.
    pub fn insert(&mut self, at: usize, bytes: &[u8]) {
        // Appended, then turned to the front.
        let behind = self.len() - at;
        self.buffer.append(bytes);
        self.buffer.as_mut_slice()[at..].rotate_left(behind);
    }
}

/// Significant digits of a number.
const DIGITS: usize = 17;

/// A number as C's `%.17g` writes it.
pub fn format_double(value: f64) -> String {
    if value.is_nan() {
        return "nan".into();
    }
    if value.is_infinite() {
        return if value > 0.0 { "inf" } else { "-inf" }.into();
    }
    if value == value.trunc() && value.abs() < 1e17 && (value != 0.0 || value.is_sign_positive()) {
        return itoa::Buffer::new().format(value as i64).to_owned();
    }
    // All digits are wanted exactly: `d.dddde-5`.
    let text = format!("{:.*e}", DIGITS - 1, value.abs());
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let sign = if value < 0.0 || 1.0 / value < 0.0 { "-" } else { "" };
    let plain = digits.replace('.', "");
    let text = match exponent {
        0.. if (exponent as usize) < DIGITS => {
            let (whole, rest) = plain.split_at(exponent as usize + 1);
            format!("{whole}.{rest}")
        }
        -4..0 => format!("0.{}{plain}", "0".repeat((-1 - exponent) as usize)),
        _ => {
            let direction = if exponent < 0 { '-' } else { '+' };
            let digits = without_zeros(digits);
            return format!("{sign}{digits}e{direction}{:02}", exponent.abs());
        }
    };
    format!("{sign}{}", without_zeros(&text))
}

/// A finite number as Redis writes one for people: C's `%.17f` without zeros at its end.
fn format_decimal(value: f64) -> String {
    const DECIMALS: usize = 17;
    match without_zeros(&format!("{value:.DECIMALS$}")) {
        "-0" => "0".into(),
        text => text.into(),
    }
}

/// A number with a point without zeros at its end.
fn without_zeros(text: &str) -> &str {
    text.trim_end_matches('0').trim_end_matches('.')
}

#[cfg(test)]
mod tests {
    use super::{format_decimal, format_double};

    #[test]
    fn decimals() {
        for (value, expect) in [
            (0.0, "0"),
            (-0.0, "0"),
            (-1e-20, "0"),
            (-180.0, "-180"),
            (0.1, "0.10000000000000001"),
            (2f64.powi(-17), "0.00000762939453125"),
            (13.361_389_338_970_184, "13.36138933897018433"),
        ] {
            assert_eq!(format_decimal(value), expect);
        }
    }

    /// What `printf("%.17g")` writes.
    #[test]
    fn doubles() {
        for (value, expect) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-7.0, "-7"),
            (3.5, "3.5"),
            (0.1, "0.10000000000000001"),
            (-3.15, "-3.1499999999999999"),
            (1e16, "10000000000000000"),
            (99999999999999984.0, "99999999999999984"),
            (1e17, "1e+17"),
            (-1e17, "-1e+17"),
            (1.5e300, "1.5000000000000001e+300"),
            (1e-4, "0.0001"),
            (1.25e-5, "1.2500000000000001e-05"),
            (2f64.powi(-10), "0.0009765625"),
            (5e-324, "4.9406564584124654e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN, "nan"),
        ] {
            assert_eq!(format_double(value), expect);
        }
    }
}
