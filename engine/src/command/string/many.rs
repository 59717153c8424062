//! Several keys at once.

use crate::exec::context::Ctx;
use base::args::Args;
use base::error::{self, Done};
use base::event::Class;
use base::heap::or_undo;
use keyspace::Intent;
use value::string::Ttl;

pub fn mget(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    cx.out.array(args.len() - 1);
    for (nth, key) in args.from(1).enumerate() {
        cx.keys.hint_nth(nth, key);
        // A value of another type is none.
        match cx.keys.string(key) {
            Ok(Some(value)) => cx.out.bulk(value.as_bytes()),
            Ok(None) | Err(_) => cx.out.null(),
        }
    }
    Ok(())
}

pub fn mset(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    if args.len().is_multiple_of(2) {
        return Err(error::wrong_arity(cx.spec.name));
    }
    set_all(cx, args, |cx, count| tell_set(cx, args, count));
    cx.out.ok();
    Ok(())
}

/// Sets all keys. Where memory runs out, `undo` is told how many are set by then.
fn set_all(cx: &mut Ctx<'_>, args: Args<'_>, undo: impl FnOnce(&mut Ctx<'_>, usize)) {
    or_undo(
        &mut (cx, 0),
        |(cx, count)| {
            for (nth, index) in (1..args.len()).step_by(2).enumerate() {
                let key = args.at(index);
                cx.keys.hint_nth(nth, key);
                cx.keys.set_string(key, args.at(index + 1), Ttl::Clear);
                cx.modified(Class::STRING, "set", key);
                *count += 1;
            }
        },
        |(cx, count)| undo(cx, *count),
    );
}

/// What these keys held before is gone: that they are set is the effect of a command that fails.
fn tell_set(cx: &mut Ctx<'_>, args: Args<'_>, count: usize) {
    if count > 0 {
        let set = args.from(1).take(2 * count);
        let parts: Vec<&[u8]> = std::iter::once(&b"MSET"[..]).chain(set).collect();
        cx.effect(&parts);
    }
}

pub fn msetnx(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    if args.len().is_multiple_of(2) {
        return Err(error::wrong_arity(cx.spec.name));
    }
    let none_there = args.from(1).step_by(2).all(|key| !cx.keys.contains(key, Intent::Peek));
    if none_there {
        set_all(cx, args, |cx, count| {
            args.from(1).step_by(2).take(count).for_each(|key| {
                cx.keys.remove(key);
            });
        });
    }
    cx.out.integer(none_there as i64);
    Ok(())
}
