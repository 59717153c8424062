//! `ZSCAN`: a walk over members and scores.

use crate::command::walk::{self, Filter, Page};
use crate::exec::argument::{Argument, integer, key};
use crate::exec::context::Ctx;
use base::args::Args;
use base::error::Done;

/// The arguments of `ZSCAN`.
pub const ZSCAN: &[Argument] = &[key("key", 0), integer("cursor"), walk::MATCH, walk::COUNT];

pub fn zscan(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let cursor = walk::cursor(args, 2)?;
    let mut page = Page::default();
    let mut next = 0;
    if let Some(zset) = cx.keys.zset(args.at(1))? {
        // Options are only looked at if there is something to walk over.
        let filter = Filter::parse(args, 3)?;
        next = zset.scan(cursor, filter.count, &mut |member| {
            if filter.admits(member.name) {
                page.push(member.name);
                page.push(zset.score_text(member.score).as_bytes());
            }
        });
    }
    page.reply(&mut cx.out, next);
    Ok(())
}
