//! Whole values: `GET`, `SET` and their relatives.

use crate::command::string::options::{self, Expiry, SetOptions};
use crate::exec::context::Ctx;
use base::args::Args;
use base::error::{Done, Error};
use base::event::Class;
use keyspace::Intent;
use value::string::Ttl;

pub fn get(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    reply_value(cx, args.at(1)).map(|_| ())
}

/// Replies with the string of a key, or null. Tells whether there was one.
fn reply_value(cx: &mut Ctx<'_>, key: &[u8]) -> Result<bool, Error> {
    match cx.keys.string(key)? {
        Some(value) => {
            cx.out.bulk(value.as_bytes());
            Ok(true)
        }
        None => {
            cx.out.null();
            Ok(false)
        }
    }
}

pub fn strlen(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let len = cx.keys.string(args.at(1))?.map_or(0, |value| value.as_bytes().len());
    cx.out.count(len);
    Ok(())
}

pub fn set(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (key, value) = (args.at(1), args.at(2));
    if args.len() == 3 {
        cx.keys.set_string(key, value, Ttl::Clear);
        cx.modified(Class::STRING, "set", key);
        if cx.tells_effects() {
            cx.effect_as(args);
        }
        cx.out.ok();
        return Ok(());
    }
    let options = SetOptions::read(cx, args, 3)?;
    let get = options.get;
    if get {
        reply_value(cx, key)?;
    }
    let stored = permits(cx, &options, key);
    if stored {
        store(cx, key, value, options.ttl);
    }
    match (get, stored) {
        (true, _) => {}
        (false, true) => cx.out.ok(),
        (false, false) => cx.out.null(),
    }
    Ok(())
}

/// Whether `NX` and `XX` let a key be set.
fn permits(cx: &mut Ctx<'_>, options: &SetOptions, key: &[u8]) -> bool {
    match (options.only_new, options.only_known) {
        (false, false) => true,
        (only_new, _) => cx.keys.contains(key, Intent::Peek) != only_new,
    }
}

/// Sets a key and publishes it.
#[inline]
pub fn store(cx: &mut Ctx<'_>, key: &[u8], value: &[u8], ttl: Ttl) {
    cx.keys.set_string(key, value, ttl);
    cx.modified(Class::STRING, "set", key);
    if let Ttl::At(_) = ttl {
        cx.keys.notify(Class::GENERIC, "expire", key);
    }
    if cx.tells_effects() {
        tell_stored(cx, key, value, ttl);
    }
}

/// Says that a key was set: until when it lives is told in full, and no condition is left.
#[cold]
fn tell_stored(cx: &mut Ctx<'_>, key: &[u8], value: &[u8], ttl: Ttl) {
    match ttl {
        Ttl::Clear => cx.effect(&[b"SET", key, value]),
        Ttl::Keep => cx.effect(&[b"SET", key, value, b"KEEPTTL"]),
        Ttl::At(at) => {
            let mut digits = itoa::Buffer::new();
            cx.effect(&[b"SET", key, value, b"PXAT", digits.format(at).as_bytes()]);
        }
    }
}

pub fn setnx(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let key = args.at(1);
    let stored = !cx.keys.contains(key, Intent::Peek);
    if stored {
        store(cx, key, args.at(2), Ttl::Clear);
    }
    cx.out.integer(stored as i64);
    Ok(())
}

pub fn setex(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    set_with_ttl(cx, args, 1000)
}

pub fn psetex(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    set_with_ttl(cx, args, 1)
}

fn set_with_ttl(cx: &mut Ctx<'_>, args: Args<'_>, unit_ms: i64) -> Done {
    let expiry = Expiry { index: 2, unit_ms, relative: true };
    let at = expiry.resolve(cx, args)?;
    store(cx, args.at(1), args.at(3), Ttl::At(at));
    cx.out.ok();
    Ok(())
}

pub fn getset(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let key = args.at(1);
    reply_value(cx, key)?;
    store(cx, key, args.at(2), Ttl::Clear);
    Ok(())
}

pub fn getdel(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let key = args.at(1);
    if reply_value(cx, key)? && cx.keys.delete(key) {
        cx.modified(Class::GENERIC, "del", key);
        cx.effect(&[b"DEL", key]);
    }
    Ok(())
}

pub fn getex(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let key = args.at(1);
    let given = options::GETEX_OPTIONS.read(args, 2)?;
    if !reply_value(cx, key)? {
        return Ok(());
    }
    let Some(expiry) = Expiry::of(&given, &options::GETEX_EXPIRIES) else {
        if given.has(options::PERSIST) && cx.keys.persist(key) {
            cx.modified(Class::GENERIC, "persist", key);
            cx.effect(&[b"PERSIST", key]);
        }
        return Ok(());
    };
    let at = expiry.resolve(cx, args)?;
    cx.expire_at(key, at);
    Ok(())
}
