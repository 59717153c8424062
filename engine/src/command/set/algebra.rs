//! What several sets have in common, together, or apart.

use crate::exec::argument::{Argument, integer, key};
use crate::exec::context::Ctx;
use crate::exec::options::Options;
use base::args::Args;
use base::error::{Done, Error};
use base::event::Class;
use keyspace::Intent;
use value::set::{SetBuf, SetRef};

const NUMKEYS: Error = Error::new("ERR numkeys should be greater than 0");
const TOO_MANY_KEYS: Error = Error::new("ERR Number of keys can't be greater than number of args");
const LIMIT_NEGATIVE: Error = Error::new("ERR LIMIT can't be negative");

/// The arguments of `SINTERCARD`.
pub const SINTERCARD: &[Argument] =
    &[integer("numkeys"), key("key", 0).multiple(), integer("limit").token("LIMIT").optional()];
const OPTIONS: &Options = &Options::of(SINTERCARD);

/// What is asked of several sets.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Intersection,
    Union,
    Difference,
}

impl Operation {
    /// The event of storing what comes of it.
    fn event(self) -> &'static str {
        match self {
            Self::Intersection => "sinterstore",
            Self::Union => "sunionstore",
            Self::Difference => "sdiffstore",
        }
    }
}

pub fn sinter(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    tell(cx, args, Operation::Intersection)
}

pub fn sunion(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    tell(cx, args, Operation::Union)
}

pub fn sdiff(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    tell(cx, args, Operation::Difference)
}

pub fn sinterstore(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    store(cx, args, Operation::Intersection)
}

pub fn sunionstore(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    store(cx, args, Operation::Union)
}

pub fn sdiffstore(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    store(cx, args, Operation::Difference)
}

/// Calls `visit` with each member that all sets have, until it returns false.
fn intersect(mut sets: Vec<Option<SetRef<'_>>>, visit: &mut dyn FnMut(&[u8]) -> bool) {
    sets.sort_by_key(|set| set.map_or(0, SetRef::len));
    let mut sets = sets.into_iter();
    let Some(Some(smallest)) = sets.next() else { return };
    let others: Vec<SetRef<'_>> = sets.flatten().collect();
    smallest.all(&mut |member| {
        let is_common = others.iter().all(|other| other.contains(member));
        !is_common || visit(member)
    });
}

/// Calls `visit` with each member that the first set has and no other.
fn subtract(sets: &[Option<SetRef<'_>>], visit: &mut dyn FnMut(&[u8])) {
    let Some((Some(first), others)) = sets.split_first() else { return };
    let mut others: Vec<SetRef<'_>> = others.iter().copied().flatten().collect();
    // A large one is the likeliest to have a member.
    others.sort_by_key(|other| core::cmp::Reverse(other.len()));
    first.for_each(&mut |member| {
        if !others.iter().any(|other| other.contains(member)) {
            visit(member);
        }
    });
}

/// The first set, if Redis makes the difference by taking from a copy of it what the others have: then
/// what comes of it keeps the encoding of the copy.
fn taken_whole<'a>(sets: &[Option<SetRef<'a>>]) -> Option<SetRef<'a>> {
    let first = (*sets.first()?)?;
    let there = || sets.iter().flatten();
    let looks = there().count() * first.len() / 2;
    let members: usize = there().map(|set| set.len()).sum();
    (looks > members).then_some(first)
}

/// The set that comes of those at the arguments from `from` on.
fn compute(
    cx: &mut Ctx<'_>,
    args: Args<'_>,
    from: usize,
    operation: Operation,
) -> Result<SetBuf, Error> {
    let mut found = cx.keys.new_set();
    let sets = cx.keys.all_members(args.from(from), Intent::Read)?;
    match operation {
        Operation::Intersection => intersect(sets, &mut |member| {
            found.add(member);
            true
        }),
        Operation::Union => sets.into_iter().flatten().for_each(|set| {
            set.for_each(&mut |member| {
                found.add(member);
            });
        }),
        Operation::Difference => {
            if let Some(first) = taken_whole(&sets) {
                first.for_each(&mut |member| {
                    found.add(member);
                });
                found = found.emptied();
            }
            subtract(&sets, &mut |member| {
                found.add(member);
            });
        }
    }
    Ok(found)
}

fn tell(cx: &mut Ctx<'_>, args: Args<'_>, operation: Operation) -> Done {
    if operation == Operation::Union {
        let found = compute(cx, args, 1, operation)?;
        let out = &mut cx.out;
        out.set(found.view().len());
        found.view().for_each(&mut |member| out.bulk(member));
        return Ok(());
    }
    let sets = cx.keys.all_members(args.from(1), Intent::Read)?;
    let out = &mut cx.out;
    let (deferred, mut count) = (out.defer_set(), 0);
    let mut tell = |member: &[u8]| {
        out.bulk(member);
        count += 1;
    };
    match operation {
        Operation::Intersection => intersect(sets, &mut |member| {
            tell(member);
            true
        }),
        _ => subtract(&sets, &mut tell),
    }
    out.finish(deferred, count);
    Ok(())
}

fn store(cx: &mut Ctx<'_>, args: Args<'_>, operation: Operation) -> Done {
    let found = compute(cx, args, 2, operation)?;
    let (key, len) = (args.at(1), found.view().len());
    cx.out.count(len);
    if len > 0 {
        cx.keys.set_members(key, found);
        cx.modified(Class::SET, operation.event(), key);
    } else if cx.keys.remove(key) {
        cx.modified(Class::GENERIC, "del", key);
    }
    Ok(())
}

pub fn sintercard(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let numkeys = args.integer_in(1, 1..=i64::MAX, NUMKEYS)? as usize;
    if numkeys > args.len() - 2 {
        return Err(TOO_MANY_KEYS);
    }
    let mut limit = 0;
    let mut options = OPTIONS.walk(args, 2 + numkeys);
    for option in options.by_ref() {
        limit = option.integer_in(0..=i64::MAX, LIMIT_NEGATIVE)? as usize;
    }
    options.finish()?;
    let sets = cx.keys.all_members(args.from(2).take(numkeys), Intent::Read)?;
    let mut count = 0;
    intersect(sets, &mut |_| {
        count += 1;
        count != limit
    });
    cx.out.count(count);
    Ok(())
}
