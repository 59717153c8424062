//! `LMPOP` and `BLMPOP`: popping several elements from the first of several lists.

use abi::keyspace::value_type;

use crate::command::list::ends::{pop_name, take};
use crate::command::list::transfer::{ENDS, WHERE};
use crate::exec::argument::{Argument, double};
use crate::exec::context::Ctx;
use crate::exec::first_of::{self, FirstOf};
use crate::exec::options::Options;
use crate::session::blocking::Awaited;
use base::args::Args;
use base::error::{Done, Error};
use store::list::End;

/// The arguments of `LMPOP`.
pub const LMPOP: &[Argument] = &first_of::arguments(WHERE);
/// The arguments of `BLMPOP`: those of `LMPOP` behind a timeout.
pub const BLMPOP: &[Argument] = &[double("timeout"), LMPOP[0], LMPOP[1], LMPOP[2], LMPOP[3]];
const OPTIONS: &Options = &Options::of(LMPOP).once();

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

fn read(args: Args<'_>, at: usize) -> Result<FirstOf<'_, End>, Error> {
    FirstOf::read(args, at, OPTIONS, (WHERE, ENDS))
}

/// Takes elements from the first of some keys that holds a list. Tells whether one does.
fn take_first(cx: &mut Ctx<'_>, keys: &[&[u8]], request: &FirstOf<'_, End>) -> Result<bool, Error> {
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
