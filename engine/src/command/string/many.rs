//! Several keys at once.

use crate::exec::context::Ctx;
use base::args::Args;
use base::error::{self, Done};
use base::event::Class;
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
    set_all(cx, args);
    cx.out.ok();
    Ok(())
}

fn set_all(cx: &mut Ctx<'_>, args: Args<'_>) {
    for (nth, index) in (1..args.len()).step_by(2).enumerate() {
        let key = args.at(index);
        cx.keys.hint_nth(nth, key);
        cx.keys.set_string(key, args.at(index + 1), Ttl::Clear);
        cx.modified(Class::STRING, "set", key);
    }
}

pub fn msetnx(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    if args.len().is_multiple_of(2) {
        return Err(error::wrong_arity(cx.spec.name));
    }
    let none_there = args.from(1).step_by(2).all(|key| !cx.keys.contains(key, Intent::Peek));
    if none_there {
        set_all(cx, args);
    }
    cx.out.integer(none_there as i64);
    Ok(())
}
