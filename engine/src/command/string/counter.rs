//! Numbers kept as strings: `INCR` and its relatives.

use crate::command::args::Args;
use crate::command::error::{self, Done};
use crate::context::Ctx;
use crate::keyspace::notify::Class;

pub fn incr(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    add(cx, args.at(1), 1)
}

/// Adds to the integer value of a key and replies with the sum.
fn add(cx: &mut Ctx<'_>, key: &[u8], by: i64) -> Done {
    let old = cx.keys.integer(key)?.unwrap_or(0);
    let sum = old.checked_add(by).ok_or(error::OVERFLOW)?;
    cx.keys.set_integer(key, sum);
    cx.changed(Class::STRING, "incrby", key);
    cx.out.integer(sum);
    Ok(())
}
