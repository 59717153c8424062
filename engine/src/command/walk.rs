//! What `SCAN` and the commands that walk over one value have in common.

use crate::exec::argument::{Argument, integer, pattern};
use crate::exec::options::{GivenOption, Options, Token};
use base::args::Args;
use base::error::{self, Error};
use base::glob;
use base::resp::write::Reply;

const COUNT_DEFAULT: u64 = 10;
const INVALID_CURSOR: Error = Error::new("ERR invalid cursor");

/// The option for a pattern.
pub const MATCH: Argument = pattern("pattern").token("MATCH").optional();
/// The option for how much one call does.
pub const COUNT: Argument = integer("count").token("COUNT").optional();

const OPTIONS: &Options = &Options::of(&[MATCH, COUNT]);
const MATCH_TOKEN: Token = OPTIONS.token("MATCH");

/// What a walk is asked for.
pub struct Filter<'a> {
    pattern: Option<&'a [u8]>,
    /// Elements that a call is to see, at least.
    pub count: u64,
}

impl Default for Filter<'_> {
    fn default() -> Self {
        Self { pattern: None, count: COUNT_DEFAULT }
    }
}

impl<'a> Filter<'a> {
    /// Reads the options from argument `index` on.
    pub fn parse(args: Args<'a>, index: usize) -> Result<Self, Error> {
        let mut found = Self::default();
        let mut options = OPTIONS.walk(args, index);
        for option in options.by_ref() {
            match option.token {
                MATCH_TOKEN => found.set_pattern(&option),
                _ => found.set_count(&option)?,
            }
        }
        options.finish()?;
        Ok(found)
    }

    /// What [`MATCH`] says.
    pub fn set_pattern(&mut self, option: &GivenOption<'a>) {
        self.pattern = Some(option.value()).filter(|pattern| *pattern != b"*");
    }

    /// What [`COUNT`] says.
    pub fn set_count(&mut self, option: &GivenOption<'a>) -> Result<(), Error> {
        match option.integer()? {
            count @ 1.. => self.count = count as u64,
            _ => return Err(error::SYNTAX),
        }
        Ok(())
    }

    /// Whether the pattern fits.
    pub fn admits(&self, text: &[u8]) -> bool {
        self.pattern.is_none_or(|pattern| glob::matches(pattern, text, false))
    }
}

/// Texts of a reply that begins with a cursor, which is only known behind them.
#[derive(Default)]
pub struct Page {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Page {
    /// Adds a text.
    pub fn push(&mut self, text: &[u8]) {
        self.bytes.extend_from_slice(text);
        self.ends.push(self.bytes.len());
    }

    /// Replies with the cursor to go on with, and the texts.
    pub fn reply(&self, out: &mut Reply<'_>, cursor: u64) {
        out.array(2);
        out.bulk(itoa::Buffer::new().format(cursor).as_bytes());
        out.array(self.ends.len());
        let mut start = 0;
        for end in &self.ends {
            out.bulk(&self.bytes[start..*end]);
            start = *end;
        }
    }
}

/// An argument as a cursor.
pub fn cursor(args: Args<'_>, index: usize) -> Result<u64, Error> {
    parse_cursor(args.at(index)).ok_or(INVALID_CURSOR)
}

/// A cursor as Redis takes it, which is as C's `strtoul` does but for leading spaces.
fn parse_cursor(text: &[u8]) -> Option<u64> {
    let (negative, digits) = match text {
        [] => return Some(0),
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    Some(if negative { value.wrapping_neg() } else { value })
}

#[cfg(test)]
mod tests {
    use super::parse_cursor;

    #[test]
    fn cursors() {
        for (text, expect) in [
            ("0", Some(0)),
            ("", Some(0)),
            ("007", Some(7)),
            ("+7", Some(7)),
            ("-1", Some(u64::MAX)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("-", None),
            ("+-1", None),
            (" 1", None),
            ("1 ", None),
            ("x", None),
        ] {
            assert_eq!(parse_cursor(text.as_bytes()), expect, "{text:?}");
        }
    }
}
