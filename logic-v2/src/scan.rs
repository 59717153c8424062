//! `HSCAN … NOVALUES`, of Redis 7.4, and `ZSCAN … NOSCORES`, of Valkey 8.
#![forbid(unsafe_code)]

use engine::base::args::Args;
use engine::base::error::{Done, Error};
use engine::command::walk::{COUNT, Filter, MATCH, Page, cursor};
use engine::command::{hash, zset};
use engine::exec::argument::{Argument, integer, key, token};
use engine::exec::context::Ctx;
use engine::exec::options::{Options, Token};

const NO_VALUES: Argument = token("NOVALUES").optional();
const NO_SCORES: Argument = token("NOSCORES").optional();

/// The arguments of the engine's `HSCAN`, and one more.
pub const HSCAN: &[Argument] = &[key("key", 0), integer("cursor"), MATCH, COUNT, NO_VALUES];
/// The arguments of the engine's `ZSCAN`, and one more.
pub const ZSCAN: &[Argument] = &[key("key", 0), integer("cursor"), MATCH, COUNT, NO_SCORES];

const HASH_OPTIONS: &Options = &Options::of(HSCAN);
// Redis has a word of its own for who asks for no values of what has none.
const ZSET_OPTIONS: &Options = &Options::of(&[MATCH, COUNT, NO_SCORES, NO_VALUES]);
const MATCH_OF: Token = ZSET_OPTIONS.token("MATCH");
const COUNT_OF: Token = ZSET_OPTIONS.token("COUNT");
const NO_VALUES_OF: Token = ZSET_OPTIONS.token("NOVALUES");
const ONLY_HSCAN: Error = Error::new("ERR NOVALUES option can only be used in HSCAN");

/// Whether one of these words stands where options do.
fn names_any(args: Args<'_>, words: &[&str]) -> bool {
    (3..args.len()).any(|at| words.iter().any(|word| args.is(at, word)))
}

/// Reads options; tells whether names are told alone.
fn read<'a>(args: Args<'a>, known: &'static Options) -> Result<(Filter<'a>, bool), Error> {
    let (mut filter, mut alone) = (Filter::default(), false);
    let mut options = known.walk(args, 3);
    for option in options.by_ref() {
        match option.token {
            MATCH_OF => filter.set_pattern(&option),
            COUNT_OF => filter.set_count(&option)?,
            NO_VALUES_OF => return Err(ONLY_HSCAN),
            _ => alone = true,
        }
    }
    options.finish()?;
    Ok((filter, alone))
}

/// `HSCAN`
pub fn hscan(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    if !names_any(args, &["NOVALUES"]) {
        return hash::hscan(cx, args);
    }
    let (cursor, mut page, mut next) = (cursor(args, 2)?, Page::default(), 0);
    if let Some(found) = cx.keys.fields(args.at(1))? {
        // The word may be a pattern.
        let (filter, alone) = read(args, HASH_OPTIONS)?;
        next = found.scan(cursor, filter.count, &mut |field, value| {
            if filter.admits(field) {
                page.push(field);
                if !alone {
                    page.push(value);
                }
            }
        });
    }
    page.reply(&mut cx.out, next);
    Ok(())
}

/// `ZSCAN`
pub fn zscan(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    if !names_any(args, &["NOSCORES", "NOVALUES"]) {
        return zset::zscan(cx, args);
    }
    let (cursor, mut page, mut next) = (cursor(args, 2)?, Page::default(), 0);
    if let Some(found) = cx.keys.zset(args.at(1))? {
        let (filter, alone) = read(args, ZSET_OPTIONS)?;
        next = found.scan(cursor, filter.count, &mut |member| {
            if filter.admits(member.name) {
                page.push(member.name);
                if !alone {
                    page.push(found.score_text(member.score).as_bytes());
                }
            }
        });
    }
    page.reply(&mut cx.out, next);
    Ok(())
}
