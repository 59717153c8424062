//! Pushing and popping at the ends.

use crate::exec::argument::{Argument, integer, key};
use crate::exec::context::Ctx;
use base::args::Args;
use base::error::{self, Done, Error};
use base::event::Class;
use base::resp::write::Reply;
use store::list::{Element, End};

pub fn lpush(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    push(cx, args, End::Front)
}

pub fn rpush(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    push(cx, args, End::Back)
}

fn push(cx: &mut Ctx<'_>, args: Args<'_>, end: End) -> Done {
    let key = args.at(1);
    let len = cx.keys.push_to_list(key, end, args.from(2))?;
    cx.out.count(len);
    cx.modified_times(args.len() - 2, Class::LIST, push_event(end), key);
    Ok(())
}

pub fn lpushx(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    push_if_there(cx, args, End::Front)
}

pub fn rpushx(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    push_if_there(cx, args, End::Back)
}

fn push_if_there(cx: &mut Ctx<'_>, args: Args<'_>, end: End) -> Done {
    if cx.keys.list_mut(args.at(1))?.is_none() {
        cx.out.integer(0);
        return Ok(());
    }
    push(cx, args, end)
}

/// The arguments of `LPOP` and `RPOP`.
pub const POP: &[Argument] = &[key("key", 0), integer("count").optional().since("6.2.0")];

pub fn lpop(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    pop(cx, args, End::Front)
}

pub fn rpop(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    pop(cx, args, End::Back)
}

fn pop(cx: &mut Ctx<'_>, args: Args<'_>, end: End) -> Done {
    let key = args.at(1);
    match args.len() {
        2 => pop_one(cx, key, end),
        3 => {
            let count = args.integer_in(2, 0..=i64::MAX, error::NOT_POSITIVE)? as usize;
            pop_many(cx, key, end, count)
        }
        _ => Err(error::wrong_arity(cx.spec.name)),
    }
}

fn pop_one(cx: &mut Ctx<'_>, key: &[u8], end: End) -> Done {
    let Some(mut list) = cx.keys.list_mut(key)? else {
        cx.out.null();
        return Ok(());
    };
    list.pop(end, |element| reply(&mut cx.out, element));
    let left = list.len();
    popped(cx, key, end, 1, left);
    Ok(())
}

fn pop_many(cx: &mut Ctx<'_>, key: &[u8], end: End, count: usize) -> Done {
    match cx.keys.list_mut(key)? {
        None => cx.out.null_array(),
        Some(_) if count == 0 => cx.out.array(0),
        Some(_) => {
            take(cx, key, end, count)?;
        }
    }
    Ok(())
}

/// Takes up to so many elements, at least one, of a list that is there, and replies with them.
/// Returns how many they were.
pub fn take(cx: &mut Ctx<'_>, key: &[u8], end: End, count: usize) -> Result<usize, Error> {
    let Some(mut list) = cx.keys.list_mut(key)? else { return Ok(0) };
    let count = count.min(list.len());
    cx.out.array(count);
    // Nothing is taken before the reply is complete: there may be no memory for it.
    list.view().visit_from(end, count, |element| reply(&mut cx.out, element));
    list.drop(end, count);
    let left = list.len();
    popped(cx, key, end, count, left);
    Ok(count)
}

/// The command that takes one element from an end.
pub fn pop_name(end: End) -> &'static [u8] {
    if end == End::Front { b"LPOP" } else { b"RPOP" }
}

/// After elements were taken from a list: publishes it, and removes the key if none are left.
pub fn popped(cx: &mut Ctx<'_>, key: &[u8], end: End, count: usize, left: usize) {
    let event = if end == End::Front { "lpop" } else { "rpop" };
    cx.modified_times(count, Class::LIST, event, key);
    cx.remove_if_empty(key, left);
}

/// The event of a push at an end.
pub fn push_event(end: End) -> &'static str {
    if end == End::Front { "lpush" } else { "rpush" }
}

/// Writes an element.
pub fn reply(out: &mut Reply<'_>, element: Element<'_>) {
    out.bulk(element.bytes(&mut itoa::Buffer::new()));
}
