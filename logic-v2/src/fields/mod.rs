//! Fields of hashes that end by themselves, as in Redis 7.4 to 8.0.
#![forbid(unsafe_code)]

mod expire;
mod tell;
mod values;

use abi::schema::LEVEL_2;
use engine::base::args::Args;
use engine::base::error::{Done, Error, invalid_expire};
use engine::base::event::Class;
use engine::exec::argument::{Argument, block, integer, key, one_of, string, token, unix_time};
use engine::exec::context::Ctx;
use engine::exec::schema;
use engine::exec::spec::access::*;
use engine::exec::spec::flag::*;
use engine::exec::spec::{Group, KeySpec, Run, Spec};
use engine::value::hash::END_MAX;

const NO_FIELDS: Error =
    Error::new("ERR Mandatory argument FIELDS is missing or not at the right position");
const NOT_AS_MANY: Error =
    Error::new("ERR The `numfields` parameter must match the number of arguments");
const NOT_POSITIVE: Error = Error::new("ERR Number of fields must be a positive integer");
const NEGATIVE: Error = Error::new("ERR invalid expire time, must be >= 0");

/// What is told of a field that is not there.
const ABSENT: i64 = -2;
/// What is told of a field that does not end.
const ENDLESS: i64 = -1;

const FIELDS: Argument =
    block("fields", &[integer("numfields"), string("field").multiple()]).token("FIELDS");
const FIELDS_OF_KEY: &[Argument] = &[key("key", 0), FIELDS];
const CONDITION: Argument =
    one_of("condition", &[token("NX"), token("XX"), token("GT"), token("LT")]).optional();
const UPDATED: &[KeySpec] = &[KeySpec::at(1, RW | UPDATE)];
const READ: &[KeySpec] = &[KeySpec::at(1, RO | ACCESS)];
const ONE_BY_ONE: &str = "O(N) where N is the number of fields named";

const fn hash(name: &'static str, arity: i16, run: Run) -> Spec {
    Spec::new(name, arity, Group::Hash, run)
}

const fn writes(name: &'static str, run: Run) -> Spec {
    hash(name, -6, run).flags(WRITE | FAST).keys(UPDATED)
}

const fn reads(name: &'static str, run: Run, summary: &'static str) -> Spec {
    hash(name, -5, run).flags(READONLY | FAST).keys(READ).tips(&["nondeterministic_output"]).doc(
        "7.4.0",
        ONE_BY_ONE,
        FIELDS_OF_KEY,
        summary,
    )
}

/// The commands.
pub const COMMANDS: [Spec; 12] = [
    writes("hexpire", expire::hexpire).doc(
        "7.4.0",
        ONE_BY_ONE,
        &[key("key", 0), integer("seconds"), CONDITION, FIELDS],
        "Has fields of a hash end in so many seconds.",
    ),
    writes("hpexpire", expire::hpexpire).doc(
        "7.4.0",
        ONE_BY_ONE,
        &[key("key", 0), integer("milliseconds"), CONDITION, FIELDS],
        "Has fields of a hash end in so many milliseconds.",
    ),
    writes("hexpireat", expire::hexpireat).doc(
        "7.4.0",
        ONE_BY_ONE,
        &[key("key", 0), unix_time("unix-time-seconds"), CONDITION, FIELDS],
        "Has fields of a hash end at a Unix time in seconds.",
    ),
    writes("hpexpireat", expire::hpexpireat).doc(
        "7.4.0",
        ONE_BY_ONE,
        &[key("key", 0), unix_time("unix-time-milliseconds"), CONDITION, FIELDS],
        "Has fields of a hash end at a Unix time in milliseconds.",
    ),
    hash("hpersist", -5, expire::hpersist).flags(WRITE | FAST).keys(UPDATED).doc(
        "7.4.0",
        ONE_BY_ONE,
        FIELDS_OF_KEY,
        "Has fields of a hash not end any more.",
    ),
    reads("httl", tell::httl, "Tells in how many seconds fields of a hash end."),
    reads("hpttl", tell::hpttl, "Tells in how many milliseconds fields of a hash end."),
    reads(
        "hexpiretime",
        tell::hexpiretime,
        "Tells at which Unix time in seconds fields of a hash end.",
    ),
    reads(
        "hpexpiretime",
        tell::hpexpiretime,
        "Tells at which Unix time in milliseconds fields of a hash end.",
    ),
    hash("hgetex", -5, values::hgetex)
        .flags(WRITE | FAST)
        .keys(&[KeySpec::at(1, RW | ACCESS | UPDATE)])
        .doc(
            "8.0.0",
            ONE_BY_ONE,
            &[key("key", 0), values::AND_THEN, FIELDS],
            "Returns the values of fields of a hash, and says when they end.",
        ),
    hash("hsetex", -6, values::hsetex).flags(WRITE | DENYOOM | FAST).keys(UPDATED).doc(
        "8.0.0",
        ONE_BY_ONE,
        &[key("key", 0), values::IF, values::UNTIL, values::PAIRS],
        "Gives fields of a hash their values, all or none, and says when they end.",
    ),
    hash("hgetdel", -5, values::hgetdel)
        .flags(WRITE | FAST)
        .keys(&[KeySpec::at(1, RW | ACCESS | DELETE)])
        .doc(
            "8.0.0",
            ONE_BY_ONE,
            FIELDS_OF_KEY,
            "Returns the values of fields of a hash and removes them.",
        ),
];

/// The commands are there once their level is.
fn allowed(cx: &mut Ctx<'_>) -> Done {
    schema::needs(cx, LEVEL_2)
}

/// The fields behind the word `FIELDS` and their number, which stand at an index and behind it, to the
/// end.
fn named<'a>(args: Args<'a>, at: usize, none: Error) -> Result<Vec<&'a [u8]>, Error> {
    if !args.is(at, "FIELDS") || args.len() < at + 2 {
        return Err(NO_FIELDS);
    }
    let count = args.integer_in(at + 1, 1..=i64::MAX, none)?;
    let fields = args.from(at + 2);
    if fields.len() as u64 != count as u64 {
        return Err(NOT_AS_MANY);
    }
    Ok(fields.collect())
}

/// How a time is told.
#[derive(Clone, Copy)]
struct Unit {
    ms: i64,
    from_now: bool,
}

impl Unit {
    const SECONDS: Self = Self { ms: 1000, from_now: true };
    const MS: Self = Self { ms: 1, from_now: true };
    const UNIX_SECONDS: Self = Self { ms: 1000, from_now: false };
    const UNIX_MS: Self = Self { ms: 1, from_now: false };

    /// The unit that an option is in.
    fn of_option(args: Args<'_>, at: usize) -> Option<Self> {
        let known = [
            ("EX", Self::SECONDS),
            ("PX", Self::MS),
            ("EXAT", Self::UNIX_SECONDS),
            ("PXAT", Self::UNIX_MS),
        ];
        known.into_iter().find(|(word, _)| args.is(at, word)).map(|(_, unit)| unit)
    }

    /// The Unix time in ms that an argument says.
    fn read(self, cx: &mut Ctx<'_>, args: Args<'_>, at: usize) -> Result<i64, Error> {
        let value = args.integer(at)?;
        if value < 0 {
            return Err(NEGATIVE);
        }
        let from = if self.from_now { cx.core().clock.now_ms } else { 0 };
        let end = value.checked_mul(self.ms).and_then(|ms| ms.checked_add(from));
        end.filter(|end| *end <= END_MAX).ok_or_else(|| invalid_expire(cx.spec.name))
    }
}

/// Whether a field that is to end at this time is gone at once. Whoever applies what another server did
/// is told of that.
fn is_past(cx: &mut Ctx<'_>, at: i64) -> bool {
    at <= cx.core().clock.now_ms && !cx.core().applies_effects
}

/// Removes fields that are there, because they are to have ended; the effect is all of that. The event is
/// of this name.
fn remove(cx: &mut Ctx<'_>, key: &[u8], fields: &[&[u8]]) -> Done {
    let Some(mut hash) = cx.keys.fields_mut(key)? else { return Ok(()) };
    let removed = hash.remove_all(fields.iter().copied());
    cx.modified_times(removed.count, Class::HASH, "hdel", key);
    let mut parts = vec![b"HDEL".as_slice(), key];
    parts.extend(fields);
    cx.effect(&parts);
    cx.remove_if_empty(key, removed.left);
    Ok(())
}

/// Says that fields end at a Unix time in ms, under the condition if there is one.
fn tell_ends(cx: &mut Ctx<'_>, key: &[u8], at: i64, condition: Option<&[u8]>, fields: &[&[u8]]) {
    if !cx.tells_effects() {
        return;
    }
    let (at, count) = (at.to_string(), fields.len().to_string());
    let mut parts = vec![b"HPEXPIREAT".as_slice(), key, at.as_bytes()];
    parts.extend(condition);
    parts.extend([b"FIELDS".as_slice(), count.as_bytes()]);
    parts.extend(fields);
    cx.effect(&parts);
}
