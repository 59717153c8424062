//! Reading and trimming by index.

use crate::command::list::ends::reply;
use crate::exec::context::Ctx;
use base::args::{self, Args};
use base::error::Done;
use base::event::Class;

pub fn llen(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let len = cx.keys.list(args.at(1))?.map_or(0, |list| list.len());
    cx.out.count(len);
    Ok(())
}

pub fn lindex(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let Some(list) = cx.keys.list(args.at(1))? else {
        cx.out.null();
        return Ok(());
    };
    match index_in(args.integer(2)?, list.len()).and_then(|index| list.get(index)) {
        Some(element) => reply(&mut cx.out, element),
        None => cx.out.null(),
    }
    Ok(())
}

pub fn lrange(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (start, stop) = (args.integer(2)?, args.integer(3)?);
    let Some(list) = cx.keys.list(args.at(1))? else {
        cx.out.array(0);
        return Ok(());
    };
    let range = args::span(start, stop, list.len());
    cx.out.array(range.len());
    let elements = list.iter_from(range.start).take(range.len());
    elements.for_each(|element| reply(&mut cx.out, element));
    Ok(())
}

pub fn ltrim(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (start, stop) = (args.integer(2)?, args.integer(3)?);
    let key = args.at(1);
    cx.out.ok();
    let Some(mut list) = cx.keys.list_mut(key)? else { return Ok(()) };
    let len = list.len();
    let kept = args::span(start, stop, len);
    if kept.is_empty() {
        list.free();
    } else {
        list.trim(kept.start, kept.end - 1);
    }
    cx.modified_times(len - kept.len(), Class::LIST, "ltrim", key);
    cx.remove_if_empty(key, kept.len());
    Ok(())
}

/// The place an index means in a list of this length: negative ones count from the end.
pub fn index_in(index: i64, len: usize) -> Option<usize> {
    let index = if index < 0 { index.checked_add(len as i64)? } else { index };
    usize::try_from(index).ok().filter(|index| *index < len)
}
