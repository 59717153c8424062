//! Changes inside of a list.

use crate::command::list::range::index_in;
use crate::exec::argument::{Argument, key, one_of, string, token};
use crate::exec::context::Ctx;
use base::args::Args;
use base::error::{self, Done};
use base::event::Class;
use store::list::End;

pub fn lset(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let key = args.at(1);
    let mut list = cx.keys.list_mut(key)?.ok_or(error::NO_SUCH_KEY)?;
    let index = index_in(args.integer(2)?, list.len()).ok_or(error::INDEX_RANGE)?;
    list.set(index, args.at(3));
    cx.modified(Class::LIST, "lset", key);
    cx.out.ok();
    Ok(())
}

const SIDE: Argument = one_of("where", &[token("BEFORE"), token("AFTER")]);

/// The arguments of `LINSERT`.
pub const LINSERT: &[Argument] = &[key("key", 0), SIDE, string("pivot"), string("element")];

pub fn linsert(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let side = SIDE.choose(args, 2, [End::Front, End::Back]).ok_or(error::SYNTAX)?;
    let key = args.at(1);
    let Some(mut list) = cx.keys.list_mut(key)? else {
        cx.out.integer(0);
        return Ok(());
    };
    if !list.insert_beside(args.at(3), side, args.at(4)) {
        cx.out.integer(-1);
        return Ok(());
    }
    cx.out.count(list.len());
    cx.modified(Class::LIST, "linsert", key);
    Ok(())
}

pub fn lrem(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let key = args.at(1);
    let count = args.integer(2)?;
    let Some(mut list) = cx.keys.list_mut(key)? else {
        cx.out.integer(0);
        return Ok(());
    };
    let from = if count < 0 { End::Back } else { End::Front };
    let most = if count == 0 { usize::MAX } else { count.unsigned_abs() as usize };
    let removed = list.remove(from, most, args.at(3));
    let left = list.len();
    cx.out.count(removed);
    if removed > 0 {
        cx.modified_times(removed, Class::LIST, "lrem", key);
        cx.remove_if_empty(key, left);
    }
    Ok(())
}
