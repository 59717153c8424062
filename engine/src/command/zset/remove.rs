//! Removing members, by name or by range.

use core::ops::Range;

use crate::command::zset::bounds;
use crate::exec::context::Ctx;
use base::args::{Args, span};
use base::error::Done;
use base::event::Class;
use keyspace::Removed;
use store::sorted::Cut;
use value::zset::ZsetRef;

pub fn zrem(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let key = args.at(1);
    let removed = cx.keys.zset_mut(key)?.map(|mut zset| zset.remove_all(args.from(2)));
    finish(cx, key, "zrem", removed)
}

/// Replies with how many members were removed, and publishes it.
fn finish(cx: &mut Ctx<'_>, key: &[u8], event: &'static str, removed: Option<Removed>) -> Done {
    cx.out.count(removed.map_or(0, |removed| removed.count));
    if let Some(removed) = removed.filter(|removed| removed.count > 0) {
        cx.modified_times(removed.count, Class::ZSET, event, key);
        cx.remove_if_empty(key, removed.left);
    }
    Ok(())
}

pub fn zremrangebyrank(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (start, stop) = (args.integer(2)?, args.integer(3)?);
    remove(cx, args.at(1), "zremrangebyrank", |zset| span(start, stop, zset.len()))
}

pub fn zremrangebyscore(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let range = bounds::scores(args.at(2), args.at(3))?;
    remove(cx, args.at(1), "zremrangebyscore", |zset| between(zset, &range))
}

pub fn zremrangebylex(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let range = bounds::names(args.at(2), args.at(3))?;
    remove(cx, args.at(1), "zremrangebylex", |zset| between(zset, &range))
}

/// The ranks between two places.
pub fn between(zset: ZsetRef<'_>, [start, end]: &[Cut<'_>; 2]) -> Range<usize> {
    let start = zset.rank(start);
    start..zset.rank(end).max(start)
}

fn remove(
    cx: &mut Ctx<'_>,
    key: &[u8],
    event: &'static str,
    range: impl Fn(ZsetRef<'_>) -> Range<usize>,
) -> Done {
    let removed = cx.keys.zset_mut(key)?.map(|mut zset| {
        let range = range(zset.view());
        zset.remove_range(range)
    });
    finish(cx, key, event, removed)
}
