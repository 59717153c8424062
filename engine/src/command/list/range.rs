//! Reading and trimming by index.

use crate::command::args::{self, Args};
use crate::command::error::Done;
use crate::command::list::ends::reply;
use crate::context::Ctx;

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
