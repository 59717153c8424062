//! `LMPOP` and `BLMPOP`: popping several elements from the first of several lists.

use abi::keyspace::value_type;

use crate::command::list::ends::{pop_name, take};
use crate::command::list::transfer::{WHERE, end};
use crate::exec::argument::{Argument, double, integer, key};
use crate::exec::context::Ctx;
use crate::exec::options::Options;
use crate::session::blocking::Awaited;
use base::args::Args;
use base::error::{self, Done, Error};
use store::list::End;

const NUMKEYS: Error = Error::new("ERR numkeys should be greater than 0");
const COUNT: Error = Error::new("ERR count should be greater than 0");

/// The arguments of `LMPOP`.
pub const LMPOP: &[Argument] = &[
    integer("numkeys"),
    key("key", 0).multiple(),
    WHERE,
    integer("count").token("COUNT").optional(),
];
/// The arguments of `BLMPOP`: those of `LMPOP` behind a timeout.
pub const BLMPOP: &[Argument] = &[double("timeout"), LMPOP[0], LMPOP[1], LMPOP[2], LMPOP[3]];
const OPTIONS: &Options = &Options::of(LMPOP).once();

/// What is to be taken, and from which arguments.
struct Request<'a> {
    keys: Vec<&'a [u8]>,
    end: End,
    count: usize,
}

pub fn lmpop(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let request = read(args, 1)?;
    if !take_first(cx, &request.keys, &request)? {
        cx.out.null_array();
    }
    Ok(())
}

pub fn blmpop(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let request = read(args, 2)?;
    let deadline = cx.deadline(args.at(1))?;
    let keys = cx.candidates(request.keys.iter().copied());
    if take_first(cx, &keys, &request)? {
        return Ok(());
    }
    cx.block(&keys, Awaited::value(value_type::LIST, deadline))
}

/// Reads `numkeys key … end [COUNT count]` from argument `at` on.
fn read(args: Args<'_>, at: usize) -> Result<Request<'_>, Error> {
    let numkeys = args.integer_in(at, 1..=i64::MAX, NUMKEYS)? as usize;
    let behind = at.saturating_add(1).saturating_add(numkeys);
    if behind >= args.len() {
        return Err(error::SYNTAX);
    }
    let end = end(args, behind)?;
    let mut count = 1;
    let mut options = OPTIONS.walk(args, behind + 1);
    for option in options.by_ref() {
        count = option.integer_in(1..=i64::MAX, COUNT)? as usize;
    }
    options.finish()?;
    let keys = args.from(at + 1).take(numkeys).collect();
    Ok(Request { keys, end, count })
}

/// Takes elements from the first of some keys that holds a list. Tells whether one does.
fn take_first(cx: &mut Ctx<'_>, keys: &[&[u8]], request: &Request<'_>) -> Result<bool, Error> {
    for &key in keys {
        if cx.keys.list_mut(key)?.is_some() {
            cx.out.array(2);
            cx.out.bulk(key);
            let taken = take(cx, key, request.end, request.count)?;
            let mut digits = itoa::Buffer::new();
            cx.effect(&[pop_name(request.end), key, digits.format(taken).as_bytes()]);
            return Ok(true);
        }
    }
    Ok(false)
}
