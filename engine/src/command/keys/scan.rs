//! Commands that look at all keys of a database.

use crate::command::walk::{self, Filter, Page};
use crate::exec::argument::{Argument, integer, string};
use crate::exec::context::Ctx;
use crate::exec::options::{Options, Token};
use base::args::Args;
use base::error::{Done, Error};
use base::glob;
use keyspace::Cursor;
use value::entry::Entry;

/// The arguments of `SCAN`.
pub const SCAN: &[Argument] = &[
    integer("cursor"),
    walk::MATCH,
    walk::COUNT,
    string("type").token("TYPE").optional().since("6.0.0"),
];
const OPTIONS: &Options = &Options::of(SCAN);
const MATCH: Token = OPTIONS.token("MATCH");
const COUNT: Token = OPTIONS.token("COUNT");

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
    let (array, all) = (out.defer_array(), pattern == b"*");
    let mut found = 0;
    cx.keys.for_each(&mut |entry| {
        if all || glob::matches(pattern, entry.key(), false) {
            out.bulk(entry.key());
            found += 1;
        }
    });
    out.finish(array, found);
    Ok(())
}

/// Which keys `SCAN` is asked for.
#[derive(Default)]
struct Wanted<'a> {
    filter: Filter<'a>,
    kind: Option<&'a [u8]>,
}

impl<'a> Wanted<'a> {
    fn parse(args: Args<'a>) -> Result<Self, Error> {
        let mut found = Self::default();
        let mut options = OPTIONS.walk(args, 2);
        for option in options.by_ref() {
            match option.token {
                MATCH => found.filter.set_pattern(&option),
                COUNT => found.filter.set_count(&option)?,
                _ => found.kind = Some(option.value()),
            }
        }
        options.finish()?;
        Ok(found)
    }

    /// Whether a key has the type that is wanted. Looking at that counts as a hit.
    fn has_kind(&self, entry: Entry<'_>, hits: &mut usize) -> bool {
        self.kind.is_none_or(|kind| {
            *hits += 1;
            kind.eq_ignore_ascii_case(value::type_name(entry.value_type()).as_bytes())
        })
    }
}

pub fn scan(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let cursor = walk::cursor(args, 1)?;
    let wanted = Wanted::parse(args)?;
    let (mut page, mut hits) = (Page::default(), 0);
    let from = Cursor::from_number(cursor);
    let admits = |key: &[u8]| wanted.filter.admits(key);
    let next = cx.keys.scan(from, wanted.filter.count, &admits, &mut |entry| {
        if wanted.has_kind(entry, &mut hits) {
            page.push(entry.key());
        }
    });
    cx.keys.count_hits(hits);
    page.reply(&mut cx.out, next.to_number());
    Ok(())
}
