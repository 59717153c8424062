//! Numbers in fields.

use crate::exec::context::Ctx;
use base::args::{Args, parse_integer};
use base::error::{self, Done, Error};
use base::event::Class;
use base::number::Extended;

const NOT_INTEGER: Error = Error::new("ERR hash value is not an integer");
const NOT_FLOAT: Error = Error::new("ERR hash value is not a float");
const NOT_FINITE: Error = Error::new("ERR value is NaN or Infinity");
const NOT_A_NUMBER: Error = Error::new("ERR increment would produce NaN or Infinity");

/// The number that a field holds, read by `parse`; none if there is no such field.
fn number<T>(
    cx: &mut Ctx<'_>,
    args: Args<'_>,
    parse: fn(&[u8]) -> Option<T>,
    otherwise: Error,
) -> Result<Option<T>, Error> {
    let hash = cx.keys.fields_mut(args.at(1))?;
    let value = hash.as_ref().and_then(|hash| hash.view().get(args.at(2)));
    value.map(|value| parse(value.as_bytes()).ok_or(otherwise)).transpose()
}

pub fn hincrby(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (key, field, by) = (args.at(1), args.at(2), args.integer(3)?);
    let old = number(cx, args, parse_integer, NOT_INTEGER)?.unwrap_or(0);
    let sum = old.checked_add(by).ok_or(error::OVERFLOW)?;
    let mut digits = itoa::Buffer::new();
    cx.keys.set_field_on(key, field, digits.format(sum).as_bytes())?;
    cx.modified(Class::HASH, "hincrby", key);
    cx.out.integer(sum);
    Ok(())
}

pub fn hincrbyfloat(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (key, field) = (args.at(1), args.at(2));
    let by = Extended::parse(args.at(3)).ok_or(error::NOT_FLOAT)?;
    if by.is_infinite() {
        return Err(NOT_FINITE);
    }
    let old = number(cx, args, Extended::parse, NOT_FLOAT)?.unwrap_or(Extended::from(0));
    let sum = old.plus(by).ok_or(NOT_A_NUMBER)?.to_string();
    let ends = cx.keys.set_field_on(key, field, sum.as_bytes())?;
    cx.modified(Class::HASH, "hincrbyfloat", key);
    // Another machine may add differently.
    match ends {
        true => cx.effect(&[b"HSETEX", key, b"KEEPTTL", b"FIELDS", b"1", field, sum.as_bytes()]),
        false => cx.effect(&[b"HSET", key, field, sum.as_bytes()]),
    }
    cx.out.bulk(sum.as_bytes());
    Ok(())
}
