//! Reading entries by their ids: `XLEN`, `XRANGE`, `XREVRANGE`.

use crate::command::stream::id::{parse_end, parse_start};
use crate::command::stream::reply;
use crate::exec::argument::{Argument, integer, key, string};
use crate::exec::context::Ctx;
use crate::exec::options::Options;
use base::args::Args;
use base::error::{Done, Error};
use store::stream::StreamId;

/// The arguments of `XRANGE`.
pub const XRANGE: &[Argument] =
    &[key("key", 0), string("start"), string("end"), integer("count").token("COUNT").optional()];
/// The arguments of `XREVRANGE`.
pub const XREVRANGE: &[Argument] = &[XRANGE[0], XRANGE[2], XRANGE[1], XRANGE[3]];
const OPTIONS: &Options = &Options::of(XRANGE);

pub fn xlen(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let len = cx.keys.stream(args.at(1))?.map_or(0, |stream| stream.entries.len());
    cx.out.count(len);
    Ok(())
}

pub fn xrange(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (start, end) = interval(args.at(2), args.at(3))?;
    range(cx, args, start, end, false)
}

pub fn xrevrange(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (start, end) = interval(args.at(3), args.at(2))?;
    range(cx, args, start, end, true)
}

fn interval(start: &[u8], end: &[u8]) -> Result<(StreamId, StreamId), Error> {
    Ok((parse_start(start)?, parse_end(end)?))
}

fn range(cx: &mut Ctx<'_>, args: Args<'_>, start: StreamId, end: StreamId, reverse: bool) -> Done {
    let mut count = usize::MAX;
    let mut options = OPTIONS.walk(args, 4);
    for option in options.by_ref() {
        count = usize::try_from(option.integer()?).unwrap_or(0);
    }
    options.finish()?;
    let Some(stream) = cx.keys.stream(args.at(1))? else {
        cx.out.array(0);
        return Ok(());
    };
    if count == 0 {
        cx.out.null_array();
    } else if reverse {
        reply::entries(&mut cx.out, stream.entries.rev_range(start, end).take(count), |_| ());
    } else {
        reply::entries(&mut cx.out, stream.entries.range(start, end).take(count), |_| ());
    }
    Ok(())
}
