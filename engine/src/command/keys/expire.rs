//! Time to live: giving it, taking it away, telling it.

use crate::exec::argument::{Argument, one_of, token};
use crate::exec::context::Ctx;
use crate::exec::options::{Given, Options, Token};
use base::args::Args;
use base::error::{self, Done, Error};
use base::event::Class;
use keyspace::Intent;
use value::entry::Entry;

const MS: i64 = 1;
const SECONDS: i64 = 1000;

pub fn expire(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let now = cx.keys.core.clock.now_ms;
    expire_from(cx, args, now, SECONDS)
}

pub fn pexpire(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let now = cx.keys.core.clock.now_ms;
    expire_from(cx, args, now, MS)
}

pub fn expireat(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    expire_from(cx, args, 0, SECONDS)
}

pub fn pexpireat(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    expire_from(cx, args, 0, MS)
}

/// Makes a key end at a time given in units of so many ms from a Unix time in ms.
fn expire_from(cx: &mut Ctx<'_>, args: Args<'_>, from_ms: i64, unit_ms: i64) -> Done {
    let key = args.at(1);
    let condition = Condition::read(args)?;
    let at = args
        .integer(2)?
        .checked_mul(unit_ms)
        .and_then(|ms| ms.checked_add(from_ms))
        .ok_or_else(|| error::invalid_expire(cx.spec.name))?;
    let Some(old) = cx.keys.entry(key, Intent::Write).map(Entry::expires_at) else {
        cx.out.integer(0);
        return Ok(());
    };
    let allowed = condition.allows(old, at);
    if allowed {
        cx.expire_at(key, at);
    }
    cx.out.integer(allowed as i64);
    Ok(())
}

/// When a new time to live is to be taken.
pub const WHEN: Argument =
    one_of("condition", &[token("NX"), token("XX"), token("GT"), token("LT")])
        .optional()
        .since("7.0.0");

// Whatever is documented, Redis takes XX beside GT or LT, and has words for what cannot be.
const OPTIONS: &Options = &Options::of(&[WHEN]).inclusive();
const NX: Token = OPTIONS.token("NX");
const XX: Token = OPTIONS.token("XX");
const GT: Token = OPTIONS.token("GT");
const LT: Token = OPTIONS.token("LT");

struct Condition<'a>(Given<'a>);

impl<'a> Condition<'a> {
    fn read(args: Args<'a>) -> Result<Self, Error> {
        let given = OPTIONS.read_or(args, 3, |index| {
            error::with_bytes("ERR Unsupported option ", args.at(index))
        })?;
        if given.has(NX) && given.has_any(&[XX, GT, LT]) {
            return Err(Error::new(
                "ERR NX and XX, GT or LT options at the same time are not compatible",
            ));
        }
        if given.has(GT) && given.has(LT) {
            return Err(Error::new("ERR GT and LT options at the same time are not compatible"));
        }
        Ok(Self(given))
    }

    /// Whether a key that ends at `old` (or never) may end at `new`.
    fn allows(&self, old: Option<i64>, new: i64) -> bool {
        // Without a time to live a key ends later than any other.
        let Self(given) = self;
        !(given.has(NX) && old.is_some()
            || given.has(XX) && old.is_none()
            || given.has(GT) && old.is_none_or(|old| new <= old)
            || given.has(LT) && old.is_some_and(|old| new >= old))
    }
}

pub fn ttl(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let now = cx.keys.core.clock.now_ms;
    tell(cx, args, |at| to_seconds((at - now).max(0)))
}

pub fn pttl(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let now = cx.keys.core.clock.now_ms;
    tell(cx, args, |at| (at - now).max(0))
}

pub fn expiretime(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    tell(cx, args, to_seconds)
}

pub fn pexpiretime(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    tell(cx, args, |at| at)
}

/// Whole seconds, to the nearest.
fn to_seconds(ms: i64) -> i64 {
    ms / 1000 + (ms % 1000 >= 500) as i64
}

/// Replies with what `show` makes of the Unix time in ms at which a key ends.
fn tell(cx: &mut Ctx<'_>, args: Args<'_>, show: impl Fn(i64) -> i64) -> Done {
    let reply = match cx.keys.entry(args.at(1), Intent::Inspect).map(Entry::expires_at) {
        None => -2,
        Some(None) => -1,
        Some(Some(at)) => show(at),
    };
    cx.out.integer(reply);
    Ok(())
}

pub fn persist(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let key = args.at(1);
    let had_one = cx.keys.contains(key, Intent::Write) && cx.keys.persist(key);
    if had_one {
        cx.modified(Class::GENERIC, "persist", key);
    }
    cx.out.integer(had_one as i64);
    Ok(())
}
