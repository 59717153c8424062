//! Whether keys are there, and removing them.

use crate::exec::context::Ctx;
use base::args::Args;
use base::error::Done;
use base::event::Class;
use keyspace::{Intent, Keys};
use value;

pub fn del(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    remove(cx, args, |keys, key| keys.delete(key))
}

pub fn unlink(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    remove(cx, args, |keys, key| keys.unlink(key))
}

fn remove(cx: &mut Ctx<'_>, args: Args<'_>, remove: fn(&mut Keys<'_>, &[u8]) -> bool) -> Done {
    let mut removed = 0;
    for key in args.from(1) {
        if remove(&mut cx.keys, key) {
            cx.modified(Class::GENERIC, "del", key);
            removed += 1;
        }
    }
    cx.out.count(removed);
    Ok(())
}

pub fn exists(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let present = args.from(1).filter(|key| cx.keys.contains(key, Intent::Inspect)).count();
    cx.out.count(present);
    Ok(())
}

pub fn touch(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let present = args.from(1).filter(|key| cx.keys.contains(key, Intent::Read)).count();
    cx.out.count(present);
    Ok(())
}

pub fn kind(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let name = cx
        .keys
        .entry(args.at(1), Intent::Inspect)
        .map_or("none", |entry| value::type_name(entry.value_type()));
    cx.out.simple(name);
    Ok(())
}
