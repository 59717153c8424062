//! Commands that look at all keys of a database.

use crate::exec::argument::{Argument, integer, pattern, string};
use crate::exec::context::Ctx;
use crate::exec::options::{Options, Token};
use base::args::Args;
use base::error::{self, Done, Error};
use base::glob;
use keyspace::Cursor;
use value::entry::Entry;

const COUNT_DEFAULT: u64 = 10;

/// The arguments of `SCAN`.
pub const SCAN: &[Argument] = &[
    integer("cursor"),
    pattern("pattern").token("MATCH").optional(),
    integer("count").token("COUNT").optional(),
    string("type").token("TYPE").optional().since("6.0.0"),
];
const OPTIONS: &Options = &Options::of(SCAN);
const MATCH: Token = OPTIONS.token("MATCH");
const COUNT: Token = OPTIONS.token("COUNT");
const TYPE: Token = OPTIONS.token("TYPE");

pub fn dbsize(cx: &mut Ctx<'_>, _args: Args<'_>) -> Done {
    cx.out.count(cx.keys.count());
    Ok(())
}

pub fn randomkey(cx: &mut Ctx<'_>, _args: Args<'_>) -> Done {
    let key = cx.keys.random_key();
    cx.out.bulk_or_null(key.as_deref());
    Ok(())
}

pub fn keys(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (out, pattern) = (&mut cx.out, args.at(1));
    let array = out.defer_array();
    let mut found = 0;
    cx.keys.for_each(&mut |entry| {
        if glob::matches(pattern, entry.key(), false) {
            out.bulk(entry.key());
            found += 1;
        }
    });
    out.finish(array, found);
    Ok(())
}

/// Which keys `SCAN` is asked for.
struct Filter<'a> {
    pattern: Option<&'a [u8]>,
    kind: Option<&'a [u8]>,
    count: u64,
}

impl<'a> Filter<'a> {
    fn parse(args: Args<'a>) -> Result<Self, Error> {
        let mut found = Self { pattern: None, kind: None, count: COUNT_DEFAULT };
        let mut options = OPTIONS.walk(args, 2);
        for option in options.by_ref() {
            match option.token {
                MATCH => found.pattern = Some(option.value()).filter(|pattern| *pattern != b"*"),
                COUNT => match option.integer()? {
                    count @ 1.. => found.count = count as u64,
                    _ => return Err(error::SYNTAX),
                },
                TYPE => found.kind = Some(option.value()),
                _ => {}
            }
        }
        options.finish()?;
        Ok(found)
    }

    /// Whether a key is wanted. Looking at its type counts as a hit.
    fn admits(&self, entry: Entry<'_>, hits: &mut usize) -> bool {
        if self.pattern.is_some_and(|pattern| !glob::matches(pattern, entry.key(), false)) {
            return false;
        }
        self.kind.is_none_or(|kind| {
            *hits += 1;
            kind.eq_ignore_ascii_case(value::type_name(entry.value_type()).as_bytes())
        })
    }
}

pub fn scan(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let cursor = parse_cursor(args.at(1)).ok_or(Error::new("ERR invalid cursor"))?;
    let filter = Filter::parse(args)?;
    // The cursor comes before the keys but is only known behind them.
    let (mut bytes, mut ends, mut hits) = (Vec::new(), Vec::new(), 0);
    let next = cx.keys.scan(Cursor::from_number(cursor), filter.count, &mut |entry| {
        if filter.admits(entry, &mut hits) {
            bytes.extend_from_slice(entry.key());
            ends.push(bytes.len());
        }
    });
    cx.keys.count_hits(hits);
    cx.out.array(2);
    cx.out.bulk(itoa::Buffer::new().format(next.to_number()).as_bytes());
    cx.out.array(ends.len());
    let mut start = 0;
    for end in ends {
        cx.out.bulk(&bytes[start..end]);
        start = end;
    }
    Ok(())
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
