//! Changing fields.

use crate::exec::context::Ctx;
use base::args::Args;
use base::error::{self, Done, Error};
use base::event::Class;

pub fn hset(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let added = set(cx, args)?;
    cx.out.count(added);
    Ok(())
}

pub fn hmset(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    set(cx, args)?;
    cx.out.ok();
    Ok(())
}

/// Gives fields their values. Returns how many are new.
fn set(cx: &mut Ctx<'_>, args: Args<'_>) -> Result<usize, Error> {
    if args.len() % 2 == 1 {
        return Err(error::wrong_arity(cx.spec.name));
    }
    let (key, pairs) = (args.at(1), args.len() / 2 - 1);
    let fields = (0..pairs).map(|pair| [args.at(2 * pair + 2), args.at(2 * pair + 3)]);
    let added = cx.keys.set_fields(key, fields)?;
    cx.modified_times(pairs, Class::HASH, "hset", key);
    Ok(added)
}

pub fn hsetnx(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (key, field) = (args.at(1), args.at(2));
    let hash = cx.keys.fields_mut(key)?;
    let is_there = hash.is_some_and(|hash| hash.view().get(field).is_some());
    if !is_there {
        cx.keys.set_fields(key, [[field, args.at(3)]].into_iter())?;
        cx.modified(Class::HASH, "hset", key);
    }
    cx.out.integer((!is_there).into());
    Ok(())
}

pub fn hdel(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let key = args.at(1);
    let Some(mut hash) = cx.keys.fields_mut(key)? else {
        cx.out.integer(0);
        return Ok(());
    };
    let removed = hash.remove_all(args.from(2));
    cx.out.count(removed.count);
    if removed.count > 0 {
        cx.modified_times(removed.count, Class::HASH, "hdel", key);
        cx.remove_if_empty(key, removed.left);
    }
    Ok(())
}
