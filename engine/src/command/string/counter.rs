//! Numbers kept as strings: `INCR` and its relatives.

use crate::exec::context::Ctx;
use base::args::Args;
use base::error::{self, Done, Error};
use base::event::Class;
use base::number::Extended;
use value::string::Ttl;

const NOT_A_NUMBER: Error = Error::new("ERR increment would produce NaN or Infinity");
const DECREMENT: Error = Error::new("ERR decrement would overflow");

pub fn incr(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    add(cx, args.at(1), 1)
}

pub fn decr(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    add(cx, args.at(1), -1)
}

pub fn incrby(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    add(cx, args.at(1), args.integer(2)?)
}

pub fn decrby(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let by = args.integer(2)?.checked_neg().ok_or(DECREMENT)?;
    add(cx, args.at(1), by)
}

/// Adds to the integer value of a key and replies with the sum.
fn add(cx: &mut Ctx<'_>, key: &[u8], by: i64) -> Done {
    let sum = cx.keys.add_integer(key, by)?;
    cx.modified(Class::STRING, "incrby", key);
    cx.out.integer(sum);
    Ok(())
}

pub fn incrbyfloat(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let key = args.at(1);
    let old = match cx.keys.string_to_change(key)? {
        Some(value) => Extended::parse(value.as_bytes()).ok_or(error::NOT_FLOAT)?,
        None => Extended::from(0),
    };
    let by = Extended::parse(args.at(2)).ok_or(error::NOT_FLOAT)?;
    let sum = old.plus(by).ok_or(NOT_A_NUMBER)?.to_string();
    cx.keys.set_text(key, sum.as_bytes(), Ttl::Keep);
    cx.modified(Class::STRING, "incrbyfloat", key);
    // Another machine may add differently.
    cx.effect(&[b"SET", key, sum.as_bytes(), b"KEEPTTL"]);
    cx.out.bulk(sum.as_bytes());
    Ok(())
}
