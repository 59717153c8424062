//! Moving an element from list to list.

use crate::command::list::ends::{popped, push_event};
use crate::exec::argument::{Argument, key, one_of, token};
use crate::exec::context::Ctx;
use base::args::Args;
use base::error::{self, Done, Error};
use base::event::Class;
use store::list::End;

/// An end of a list.
pub const WHERE: Argument = one_of("where", &[token("LEFT"), token("RIGHT")]);
/// What its words stand for.
pub const ENDS: [End; 2] = [End::Front, End::Back];

/// The arguments of `LMOVE`.
pub const LMOVE: &[Argument] =
    &[key("source", 0), key("destination", 1), WHERE.named("wherefrom"), WHERE.named("whereto")];

pub fn lmove(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (from, to) = (end(args, 3)?, end(args, 4)?);
    if !transfer(cx, args.at(1), args.at(2), from, to)? {
        cx.out.null();
    }
    Ok(())
}

pub fn rpoplpush(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    if !transfer(cx, args.at(1), args.at(2), End::Back, End::Front)? {
        cx.out.null();
    }
    Ok(())
}

/// The word for an end.
pub fn side_name(end: End) -> &'static [u8] {
    if end == End::Front { b"LEFT" } else { b"RIGHT" }
}

/// Argument `index` as an end.
pub fn end(args: Args<'_>, index: usize) -> Result<End, Error> {
    WHERE.choose(args, index, ENDS).ok_or(error::SYNTAX)
}

/// Moves an element and replies with it. Tells whether there was one.
pub fn transfer(
    cx: &mut Ctx<'_>,
    source: &[u8],
    destination: &[u8],
    from: End,
    to: End,
) -> Result<bool, Error> {
    if cx.keys.list_mut(source)?.is_none() {
        return Ok(false);
    }
    // Its type is checked before anything is taken.
    cx.keys.list_mut(destination)?;
    let mut moved = Vec::new();
    let Some(list) = cx.keys.list_mut(source)? else { return Ok(false) };
    list.view().visit_from(from, 1, |element| {
        moved.extend_from_slice(element.bytes(&mut itoa::Buffer::new()));
    });
    cx.out.bulk(&moved);
    // Taken last: there may be no memory for the others. In one list that finds the same element
    // at the end, if it was put there.
    cx.keys.push_to_list(destination, to, [&moved[..]].into_iter())?;
    let Some(mut list) = cx.keys.list_mut(source)? else { return Ok(false) };
    list.drop(from, 1);
    let left = list.len();
    // The move counts as one change.
    cx.modified_times(0, Class::LIST, push_event(to), destination);
    popped(cx, source, from, 1, if source == destination { 1 } else { left });
    Ok(true)
}
