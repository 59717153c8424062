//! `HSCAN`: a walk over fields.

use crate::command::walk::{self, Filter, Page};
use crate::exec::argument::{Argument, integer, key};
use crate::exec::context::Ctx;
use base::args::Args;
use base::error::Done;

/// The arguments of `HSCAN`.
pub const HSCAN: &[Argument] = &[key("key", 0), integer("cursor"), walk::MATCH, walk::COUNT];

pub fn hscan(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let cursor = walk::cursor(args, 2)?;
    let mut page = Page::default();
    let mut next = 0;
    if let Some(hash) = cx.keys.fields(args.at(1))? {
        // Options are only looked at if there is something to walk over.
        let filter = Filter::parse(args, 3)?;
        next = hash.scan(cursor, filter.count, &mut |field, value| {
            if filter.admits(field) {
                page.push(field);
                page.push(value);
            }
        });
    }
    page.reply(&mut cx.out, next);
    Ok(())
}
