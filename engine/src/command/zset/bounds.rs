//! Ends of ranges of scores and of names, as commands take them.

use base::args::{c_text, parse_c_float};
use base::error::Error;
use store::sorted::Cut;

const NOT_FLOAT: Error = Error::new("ERR min or max is not a float");
const NOT_NAME: Error = Error::new("ERR min or max not valid string range item");

/// The places where a range of scores begins and ends: `1.5`, or `(1.5` without that score.
pub fn scores(min: &[u8], max: &[u8]) -> Result<[Cut<'static>; 2], Error> {
    let (min, without_min) = score(min)?;
    let (max, without_max) = score(max)?;
    Ok([
        if without_min { Cut::Behind(min) } else { Cut::Before(min) },
        if without_max { Cut::Before(max) } else { Cut::Behind(max) },
    ])
}

/// A score, and whether it is not part of the range.
fn score(text: &[u8]) -> Result<(f64, bool), Error> {
    let (digits, is_left_out) = match text {
        [b'(', digits @ ..] => (digits, true),
        digits => (digits, false),
    };
    Ok((number(digits).ok_or(NOT_FLOAT)?, is_left_out))
}

/// A number as C's `strtod` reads one that ends with the text or its first zero byte. One too large is
/// infinite, one too small nothing.
fn number(text: &[u8]) -> Option<f64> {
    let beyond = || {
        let text = std::str::from_utf8(c_text(text).trim_ascii_start()).ok()?;
        text.parse().ok().filter(|value| !f64::is_nan(*value))
    };
    parse_c_float(text).or_else(beyond)
}

/// The places where a range of names begins and ends: `[name`, or `(name` without that name; `-` and
/// `+` are before and behind all.
pub fn names<'a>(min: &'a [u8], max: &'a [u8]) -> Result<[Cut<'a>; 2], Error> {
    let place = |text: &'a [u8], is_start: bool| match text {
        b"-" => Ok(Cut::Before(f64::NEG_INFINITY)),
        b"+" => Ok(Cut::Behind(f64::INFINITY)),
        [b'[', name @ ..] if is_start => Ok(Cut::BeforeName(name)),
        [b'[', name @ ..] => Ok(Cut::BehindName(name)),
        [b'(', name @ ..] if is_start => Ok(Cut::BehindName(name)),
        [b'(', name @ ..] => Ok(Cut::BeforeName(name)),
        _ => Err(NOT_NAME),
    };
    Ok([place(min, true)?, place(max, false)?])
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn numbers() {
        for (text, expect) in [
            (&b"1.5"[..], Some(1.5)),
            (b"", Some(0.0)),
            (b" 7", Some(7.0)),
            (b"7 ", None),
            (b" ", None),
            (b"3\0x", Some(3.0)),
            (b"x", None),
            (b"+inf", Some(f64::INFINITY)),
            (b"-Infinity", Some(f64::NEG_INFINITY)),
            (b"1e999", Some(f64::INFINITY)),
            (b"1e-999", Some(0.0)),
            (b"0x10", Some(16.0)),
            (b"nan", None),
        ] {
            assert_eq!(number(text), expect, "{:?}", String::from_utf8_lossy(text));
        }
    }
}
