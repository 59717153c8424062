//! Taking the members with the lowest or the highest scores, also waiting for one.

use abi::keyspace::value_type;

use crate::exec::argument::{Argument, double, integer, key, one_of, token};
use crate::exec::context::Ctx;
use crate::exec::first_of::{self, FirstOf};
use crate::exec::options::Options;
use crate::session::blocking::Awaited;
use base::args::Args;
use base::error::{self, Done, Error};
use base::event::Class;

/// The arguments of `ZPOPMIN` and `ZPOPMAX`.
pub const ZPOP: &[Argument] = &[key("key", 0), integer("count").optional()];
/// The arguments of `BZPOPMIN` and `BZPOPMAX`.
pub const BZPOP: &[Argument] = &[key("key", 0).multiple(), double("timeout")];

const WHERE: Argument = one_of("where", &[token("MIN"), token("MAX")]);
/// The arguments of `ZMPOP`.
pub const ZMPOP: &[Argument] = &first_of::arguments(WHERE);
/// The arguments of `BZMPOP`: those of `ZMPOP` behind a timeout.
pub const BZMPOP: &[Argument] = &[double("timeout"), ZMPOP[0], ZMPOP[1], ZMPOP[2], ZMPOP[3]];
const OPTIONS: &Options = &Options::of(ZMPOP).once();

/// An end of a sorted set.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Min,
    Max,
}

impl End {
    /// The command that takes members from it.
    fn command(self) -> &'static [u8] {
        if self == Self::Min { b"ZPOPMIN" } else { b"ZPOPMAX" }
    }

    fn event(self) -> &'static str {
        if self == Self::Min { "zpopmin" } else { "zpopmax" }
    }
}

/// How the members that are taken are told.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// One after the other.
    Flat,
    /// In pairs.
    Pairs,
    /// One after the other, behind the key.
    FlatWithKey,
    /// In pairs, the key before them.
    PairsWithKey,
}

pub fn zpopmin(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    pop(cx, args, End::Min)
}

pub fn zpopmax(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    pop(cx, args, End::Max)
}

fn pop(cx: &mut Ctx<'_>, args: Args<'_>, end: End) -> Done {
    let (count, shape) = match args.len() {
        2 => (1, Shape::Flat),
        3 => {
            let count = args.integer_in(2, 0..=i64::MAX, error::NOT_POSITIVE)? as usize;
            (count, if cx.out.resp3 { Shape::Pairs } else { Shape::Flat })
        }
        _ => return Err(error::SYNTAX),
    };
    let key = args.at(1);
    // None asked for is an error too if the key holds something else.
    let is_empty = match count {
        0 => cx.keys.zset_mut(key)?.is_none_or(|_| true),
        _ => take(cx, key, end, count, shape)? == 0,
    };
    if is_empty {
        cx.out.array(0);
    }
    Ok(())
}

/// Takes up to so many members, at least one, of a sorted set that is there, and replies with them.
/// Returns how many they were.
fn take(
    cx: &mut Ctx<'_>,
    key: &[u8],
    end: End,
    count: usize,
    shape: Shape,
) -> Result<usize, Error> {
    let Some(mut zset) = cx.keys.zset_mut(key)? else { return Ok(0) };
    let (out, view) = (&mut cx.out, zset.view());
    let count = count.min(view.len());
    match shape {
        Shape::Flat => out.array(count * 2),
        Shape::Pairs => out.array(count),
        Shape::FlatWithKey => {
            out.array(count * 2 + 1);
            out.bulk(key);
        }
        Shape::PairsWithKey => {
            out.array(2);
            out.bulk(key);
            out.array(count);
        }
    }
    let range = match end {
        End::Min => 0..count,
        End::Max => view.len() - count..view.len(),
    };
    // Nothing is taken before the reply is complete: there may be no memory for it.
    view.walk(range.clone(), end == End::Max, &mut |member| {
        if matches!(shape, Shape::Pairs | Shape::PairsWithKey) {
            out.array(2);
        }
        out.bulk(member.name);
        out.double(member.score);
        true
    });
    let removed = zset.remove_range(range);
    cx.modified_times(count, Class::ZSET, end.event(), key);
    cx.remove_if_empty(key, removed.left);
    Ok(count)
}

pub fn bzpopmin(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    pop_or_wait(cx, args, End::Min)
}

pub fn bzpopmax(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    pop_or_wait(cx, args, End::Max)
}

fn pop_or_wait(cx: &mut Ctx<'_>, args: Args<'_>, end: End) -> Done {
    let last = args.len() - 1;
    let deadline = cx.deadline(args.at(last))?;
    let keys = cx.candidates(args.from(1).take(last - 1));
    for &key in &keys {
        if take(cx, key, end, 1, Shape::FlatWithKey)? > 0 {
            cx.effect(&[end.command(), key]);
            return Ok(());
        }
    }
    cx.block(&keys, Awaited::value(value_type::ZSET, deadline))
}

fn read(args: Args<'_>, at: usize) -> Result<FirstOf<'_, End>, Error> {
    FirstOf::read(args, at, OPTIONS, (WHERE, [End::Min, End::Max]))
}

pub fn zmpop(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let request = read(args, 1)?;
    if !take_first(cx, &request.keys, &request)? {
        cx.out.null_array();
    }
    Ok(())
}

pub fn bzmpop(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let request = read(args, 2)?;
    let deadline = cx.deadline(args.at(1))?;
    let keys = cx.candidates(request.keys.iter().copied());
    if take_first(cx, &keys, &request)? {
        return Ok(());
    }
    cx.block(&keys, Awaited::value(value_type::ZSET, deadline))
}

/// Takes members of the first of some keys that holds a sorted set. Tells whether one does.
fn take_first(cx: &mut Ctx<'_>, keys: &[&[u8]], request: &FirstOf<'_, End>) -> Result<bool, Error> {
    for &key in keys {
        let taken = take(cx, key, request.end, request.count, Shape::PairsWithKey)?;
        if taken > 0 {
            let mut digits = itoa::Buffer::new();
            cx.effect(&[request.end.command(), key, digits.format(taken).as_bytes()]);
            return Ok(true);
        }
    }
    Ok(false)
}
