//! Whole values: `GET`, `SET` and their relatives.

use crate::command::args::{Args, Options};
use crate::command::error::{self, Done, Error};
use crate::context::Ctx;
use crate::keyspace::notify::Class;
use crate::value::string::Ttl;

pub fn get(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    match cx.keys.string(args.at(1))? {
        Some(value) => cx.out.bulk(value.as_bytes()),
        None => cx.out.null(),
    }
    Ok(())
}

/// What `SET` is asked for beyond the value.
struct SetOptions {
    ttl: Ttl,
    only_new: bool,
    only_old: bool,
    get: bool,
}

pub fn set(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (key, value) = (args.at(1), args.at(2));
    if args.len() == 3 {
        cx.keys.set_string(key, value, Ttl::Clear);
        cx.changed(Class::STRING, "set", key);
        cx.out.ok();
        return Ok(());
    }
    let options = set_options(cx, args)?;
    if options.get {
        match cx.keys.string(key)? {
            Some(old) => cx.out.bulk(old.as_bytes()),
            None => cx.out.null(),
        }
    }
    let present = (options.only_new || options.only_old) && cx.keys.peek(key).is_some();
    if options.only_new && present || options.only_old && !present {
        if !options.get {
            cx.out.null();
        }
        return Ok(());
    }
    cx.keys.set_string(key, value, options.ttl);
    cx.changed(Class::STRING, "set", key);
    if let Ttl::At(_) = options.ttl {
        cx.keys.notify(Class::GENERIC, "expire", key);
    }
    if !options.get {
        cx.out.ok();
    }
    Ok(())
}

fn set_options(cx: &Ctx<'_>, args: Args<'_>) -> Result<SetOptions, Error> {
    let mut found = SetOptions { ttl: Ttl::Clear, only_new: false, only_old: false, get: false };
    let mut options = args.options(3);
    while !options.is_done() {
        if !found.only_old && options.take("NX") {
            found.only_new = true;
        } else if !found.only_new && options.take("XX") {
            found.only_old = true;
        } else if options.take("GET") {
            found.get = true;
        } else if found.ttl == Ttl::Clear && options.take("KEEPTTL") {
            found.ttl = Ttl::Keep;
        } else if found.ttl == Ttl::Clear
            && let Some(ttl) = take_expiry(cx, args, &mut options)?
        {
            found.ttl = Ttl::At(ttl);
        } else {
            return Err(error::SYNTAX);
        }
    }
    Ok(found)
}

/// Reads `EX seconds` or one of its relatives: the Unix time in ms that is meant.
pub fn take_expiry(
    cx: &Ctx<'_>,
    args: Args<'_>,
    options: &mut Options<'_>,
) -> Result<Option<i64>, Error> {
    let now = cx.keys.lane.clock.now_ms;
    for (word, unit_ms, from) in
        [("EX", 1000, now), ("PX", 1, now), ("EXAT", 1000, 0), ("PXAT", 1, 0)]
    {
        let Some(index) = options.take_with_value(word) else { continue };
        let value = args.integer(index)?;
        let at = Some(value)
            .filter(|value| *value > 0)
            .and_then(|value| value.checked_mul(unit_ms))
            .and_then(|ms| ms.checked_add(from))
            .ok_or_else(|| error::invalid_expire(cx.spec.name))?;
        return Ok(Some(at));
    }
    Ok(None)
}
