//! Values of fields, together with when the fields end. Redis reads the options of these by their places, and has
//! errors of its own for each.

use super::{NO_FIELDS, NOT_POSITIVE, Unit, allowed, is_past, named, remove, tell_ends};
use engine::base::args::Args;
use engine::base::error::{self, Done, Error};
use engine::base::event::Class;
use engine::exec::argument::{Argument, block, integer, one_of, string, token, unix_time};
use engine::exec::context::Ctx;
use engine::value::hash::End;
use engine::value::string::Str;

const SECONDS: Argument = integer("seconds").token("EX");
const MS: Argument = integer("milliseconds").token("PX");
const UNIX_SECONDS: Argument = unix_time("unix-time-seconds").token("EXAT");
const UNIX_MS: Argument = unix_time("unix-time-milliseconds").token("PXAT");
/// What `HGETEX` does then.
pub const AND_THEN: Argument =
    one_of("expiration", &[SECONDS, MS, UNIX_SECONDS, UNIX_MS, token("PERSIST")]).optional();
/// When what `HSETEX` sets ends.
pub const UNTIL: Argument =
    one_of("expiration", &[SECONDS, MS, UNIX_SECONDS, UNIX_MS, token("KEEPTTL")]).optional();
/// The condition of `HSETEX`.
pub const IF: Argument = one_of("condition", &[token("FNX"), token("FXX")]).optional();
/// What `HSETEX` sets.
pub const PAIRS: Argument = block(
    "fields",
    &[integer("numfields"), block("data", &[string("field"), string("value")]).multiple()],
)
.token("FIELDS");

const ONE_CONDITION: Error = Error::new("ERR Only one of FXX or FNX arguments can be specified");
const ONE_EXPIRATION: Error =
    Error::new("ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified");

const INVALID_NUMBER: Error = Error::new("ERR invalid number of fields");

/// Replies with the values of fields. Returns those that are there, each once.
fn reply<'a>(
    cx: &mut Ctx<'_>,
    key: &[u8],
    fields: &[&'a [u8]],
    goes: bool,
) -> Result<Vec<&'a [u8]>, Error> {
    let hash = cx.keys.fields_mut(key)?;
    cx.out.array(fields.len());
    let mut there: Vec<&[u8]> = Vec::new();
    for field in fields {
        let again = there.contains(field);
        let found = hash.as_ref().and_then(|hash| hash.view().get(field));
        let shown = found.as_ref().filter(|_| !(goes && again));
        cx.out.bulk_or_null(shown.map(Str::as_bytes));
        if found.is_some() && !again {
            there.push(field);
        }
    }
    Ok(there)
}

pub fn hgetdel(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    allowed(cx)?;
    let key = args.at(1);
    let fields = named(args, 2, NOT_POSITIVE)?;
    let there = reply(cx, key, &fields, true)?;
    if there.is_empty() { Ok(()) } else { remove(cx, key, &there) }
}

/// What `HGETEX` does with the fields that it has told.
enum Then {
    Nothing,
    Persist,
    Expire(i64),
}

pub fn hgetex(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    allowed(cx)?;
    let key = args.at(1);
    // A value of another type is told before anything else.
    cx.keys.fields_mut(key)?;
    let unit = Unit::of_option(args, 2);
    let at = match unit {
        Some(_) => 4,
        None if args.is(2, "PERSIST") => 3,
        None => 2,
    };
    // The time is read before what follows is looked at.
    let then = match unit {
        Some(_) if args.len() < 4 => return Err(NO_FIELDS),
        Some(unit) => Then::Expire(unit.read(cx, args, 3)?),
        None if at == 3 => Then::Persist,
        None => Then::Nothing,
    };
    let fields = named(args, at, NOT_POSITIVE)?;
    let goes = matches!(then, Then::Expire(end) if is_past(cx, end));
    let there = reply(cx, key, &fields, goes)?;
    match then {
        _ if there.is_empty() => Ok(()),
        Then::Nothing => {
            cx.core().effects.nothing_else();
            Ok(())
        }
        Then::Expire(_) if goes => remove(cx, key, &there),
        Then::Expire(end) => {
            if let Some(mut hash) = cx.keys.fields_mut(key)? {
                hash.set_ends(&there, Some(end));
            }
            cx.modified_times(there.len(), Class::HASH, "hexpire", key);
            tell_ends(cx, key, end, None, &there);
            Ok(())
        }
        Then::Persist => persist(cx, key, &there),
    }
}

/// Has fields that are there not end any more.
fn persist(cx: &mut Ctx<'_>, key: &[u8], there: &[&[u8]]) -> Done {
    let Some(mut hash) = cx.keys.fields_mut(key)? else { return Ok(()) };
    let ends = |field: &&&[u8]| matches!(hash.view().find(field), Some((_, Some(_))));
    let ending: Vec<&[u8]> = there.iter().filter(ends).copied().collect();
    if ending.is_empty() {
        return Ok(());
    }
    hash.set_ends(&ending, None);
    cx.modified_times(ending.len(), Class::HASH, "hpersist", key);
    let count = ending.len().to_string();
    let mut parts = vec![b"HPERSIST".as_slice(), key, b"FIELDS", count.as_bytes()];
    parts.extend(&ending);
    cx.effect(&parts);
    Ok(())
}

/// How `HSETEX` sets fields.
#[derive(Default)]
struct How {
    /// Whether all of them have to be there, or none.
    there: Option<bool>,
    end: Option<End>,
    /// Where the time stands, if one is told.
    time_at: Option<usize>,
    /// Where the first field stands.
    fields_at: usize,
}

impl How {
    fn read(cx: &mut Ctx<'_>, args: Args<'_>) -> Result<Self, Error> {
        let (mut how, mut at) = (Self::default(), 2);
        while at < args.len() {
            if args.is(at, "FIELDS") {
                how.fields_at = at + 2;
                how.check_count(cx, args)?;
                return Ok(how);
            }
            if let Some(there) = [("FXX", true), ("FNX", false)]
                .into_iter()
                .find_map(|(word, there)| args.is(at, word).then_some(there))
            {
                if how.there.replace(there).is_some() {
                    return Err(ONE_CONDITION);
                }
                at += 1;
                continue;
            }
            let end = if args.is(at, "KEEPTTL") {
                End::Keep
            } else if let Some(unit) = Unit::of_option(args, at).filter(|_| at + 1 < args.len()) {
                if how.end.is_some() {
                    return Err(ONE_EXPIRATION);
                }
                at += 1;
                how.time_at = Some(at);
                End::At(unit.read(cx, args, at)?)
            } else {
                return Err(Error::owned(format!("ERR unknown argument: {}", args.text(at))));
            };
            if how.end.replace(end).is_some() {
                return Err(ONE_EXPIRATION);
            }
            at += 1;
        }
        Err(NO_FIELDS)
    }

    /// The fields with their values are the rest.
    fn check_count(&self, cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
        if args.len() < self.fields_at {
            return Err(error::wrong_arity(cx.spec.name));
        }
        let count = args.integer_in(self.fields_at - 1, 1..=i64::MAX, INVALID_NUMBER)? as u64;
        let words = (args.len() - self.fields_at) as u64;
        if count.checked_mul(2) != Some(words) {
            return Err(error::wrong_arity(cx.spec.name));
        }
        Ok(())
    }

    /// Whether the fields are there, or not, as was asked.
    fn is_met(&self, cx: &mut Ctx<'_>, args: Args<'_>) -> Result<bool, Error> {
        let Some(wanted) = self.there else { return Ok(true) };
        let hash = cx.keys.fields_mut(args.at(1))?;
        let is_there = |field| hash.as_ref().is_some_and(|hash| hash.view().get(field).is_some());
        Ok(args.from(self.fields_at).step_by(2).all(|field| is_there(field) == wanted))
    }
}

pub fn hsetex(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    allowed(cx)?;
    let key = args.at(1);
    let how = How::read(cx, args)?;
    cx.keys.fields_mut(key)?;
    if !how.is_met(cx, args)? {
        cx.out.integer(0);
        return Ok(());
    }
    let pairs = (args.len() - how.fields_at) / 2;
    let fields = (0..pairs).map(|pair| {
        let at = how.fields_at + 2 * pair;
        [args.at(at), args.at(at + 1)]
    });
    let end = how.end.unwrap_or(End::Never);
    let goes = matches!(end, End::At(at) if is_past(cx, at));
    cx.out.integer(1);
    cx.keys.set_fields_until(key, fields, if goes { End::Never } else { end })?;
    cx.modified_times(pairs, Class::HASH, "hset", key);
    if goes {
        let names: Vec<&[u8]> = args.from(how.fields_at).step_by(2).collect();
        return remove(cx, key, &names);
    }
    if let End::At(at) = end {
        cx.keys.notify(Class::HASH, "hexpire", key);
        tell_until(cx, args, how.time_at.unwrap_or(0), at);
    }
    Ok(())
}

/// Says what was done with the time as such.
fn tell_until(cx: &mut Ctx<'_>, args: Args<'_>, time_at: usize, at: i64) {
    if !cx.tells_effects() {
        return;
    }
    let at = at.to_string();
    let mut parts: Vec<&[u8]> = vec![b"HSETEX"];
    parts.extend(args.from(1).enumerate().map(|(index, word)| match index + 1 {
        index if index + 1 == time_at => b"PXAT",
        index if index == time_at => at.as_bytes(),
        _ => word,
    }));
    cx.effect(&parts);
}
