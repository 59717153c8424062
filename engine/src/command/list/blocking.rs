//! Popping and moving that waits for an element.

use abi::keyspace::value_type;

use crate::command::list::ends::{pop_name, popped, reply};
use crate::command::list::transfer::{LMOVE, end, side_name, transfer};
use crate::exec::argument::{Argument, double};
use crate::exec::context::Ctx;
use crate::session::blocking::Awaited;
use base::args::Args;
use base::error::Done;
use store::list::End;

pub fn blpop(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    pop(cx, args, End::Front)
}

pub fn brpop(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    pop(cx, args, End::Back)
}

fn pop(cx: &mut Ctx<'_>, args: Args<'_>, end: End) -> Done {
    let last = args.len() - 1;
    let deadline = cx.deadline(args.at(last))?;
    let keys = cx.candidates(args.from(1).take(last - 1));
    for &key in &keys {
        let Some(mut list) = cx.keys.list_mut(key)? else { continue };
        cx.out.array(2);
        cx.out.bulk(key);
        list.pop(end, |element| reply(&mut cx.out, element));
        let left = list.len();
        popped(cx, key, end, 1, left);
        cx.effect(&[pop_name(end), key]);
        return Ok(());
    }
    cx.block(&keys, Awaited::value(value_type::LIST, deadline))
}

/// The arguments of `BLMOVE`: those of `LMOVE` and a timeout.
pub const BLMOVE: &[Argument] = &[LMOVE[0], LMOVE[1], LMOVE[2], LMOVE[3], double("timeout")];

pub fn blmove(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (from, to) = (end(args, 3)?, end(args, 4)?);
    move_or_wait(cx, args, from, to)
}

pub fn brpoplpush(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    move_or_wait(cx, args, End::Back, End::Front)
}

fn move_or_wait(cx: &mut Ctx<'_>, args: Args<'_>, from: End, to: End) -> Done {
    let deadline = cx.deadline(args.at(args.len() - 1))?;
    let source = args.at(1);
    if transfer(cx, source, args.at(2), from, to)? {
        cx.effect(&[b"LMOVE", source, args.at(2), side_name(from), side_name(to)]);
        return Ok(());
    }
    cx.block(&[source], Awaited::value(value_type::LIST, deadline).or_null())
}
