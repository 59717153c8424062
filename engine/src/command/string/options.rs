//! The options of `SET` and `GETEX`: all words are understood before a time to live is looked at.

use crate::exec::argument::{Argument, integer, key, one_of, string, token, unix_time};
use crate::exec::context::Ctx;
use crate::exec::options::{Given, Options, Token};
use base::args::Args;
use base::error::{self, Error};
use value::string::Ttl;

/// The arguments of `SET`.
pub const SET: &[Argument] = &[
    key("key", 0),
    string("value"),
    one_of("condition", &[token("NX"), token("XX")]).optional().since("2.6.12"),
    token("GET").optional().since("6.2.0"),
    one_of(
        "expiration",
        &[
            integer("seconds").token("EX").since("2.6.12"),
            integer("milliseconds").token("PX").since("2.6.12"),
            unix_time("unix-time-seconds").token("EXAT").since("6.2.0"),
            unix_time("unix-time-milliseconds").token("PXAT").since("6.2.0"),
            token("KEEPTTL").since("6.0.0"),
        ],
    )
    .optional(),
];

const SET_OPTIONS: &Options = &Options::of(SET);
const NX: Token = SET_OPTIONS.token("NX");
const XX: Token = SET_OPTIONS.token("XX");
const GET: Token = SET_OPTIONS.token("GET");
const KEEPTTL: Token = SET_OPTIONS.token("KEEPTTL");
const SET_EXPIRIES: Expiries = expiries(SET_OPTIONS);

/// The arguments of `GETEX`.
pub const GETEX: &[Argument] = &[
    key("key", 0),
    one_of(
        "expiration",
        &[
            integer("seconds").token("EX"),
            integer("milliseconds").token("PX"),
            unix_time("unix-time-seconds").token("EXAT"),
            unix_time("unix-time-milliseconds").token("PXAT"),
            token("PERSIST"),
        ],
    )
    .optional(),
];

/// The options of `GETEX`.
pub const GETEX_OPTIONS: &Options = &Options::of(GETEX);
pub const PERSIST: Token = GETEX_OPTIONS.token("PERSIST");
pub const GETEX_EXPIRIES: Expiries = expiries(GETEX_OPTIONS);

/// The words of a time to live; milliseconds of its unit, whether it counts from now.
pub type Expiries = [(Token, i64, bool); 4];

const fn expiries(options: &Options) -> Expiries {
    [
        (options.token("EX"), 1000, true),
        (options.token("PX"), 1, true),
        (options.token("EXAT"), 1000, false),
        (options.token("PXAT"), 1, false),
    ]
}

/// What `SET` and its kin are asked for beside keys and values.
pub struct SetOptions {
    /// What becomes of the time to live.
    pub ttl: Ttl,
    /// Only keys that are not there.
    pub only_new: bool,
    /// Only keys that are there.
    pub only_known: bool,
    /// Tell what there was.
    pub get: bool,
}

impl SetOptions {
    /// Reads the options from argument `index` on.
    pub fn read(cx: &Ctx<'_>, args: Args<'_>, index: usize) -> Result<Self, Error> {
        let given = SET_OPTIONS.read(args, index)?;
        Ok(Self {
            ttl: ttl(cx, args, &given)?,
            only_new: given.has(NX),
            only_known: given.has(XX),
            get: given.has(GET),
        })
    }
}

/// What becomes of a key's time to live when it is `SET`.
fn ttl(cx: &Ctx<'_>, args: Args<'_>, given: &Given<'_>) -> Result<Ttl, Error> {
    match Expiry::of(given, &SET_EXPIRIES) {
        Some(expiry) => Ok(Ttl::At(expiry.resolve(cx, args)?)),
        None if given.has(KEEPTTL) => Ok(Ttl::Keep),
        None => Ok(Ttl::Clear),
    }
}

/// A time to live as it is given: which argument, and what it counts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Expiry {
    /// The argument.
    pub index: usize,
    /// Milliseconds of its unit.
    pub unit_ms: i64,
    /// Whether it counts from now, not from the epoch.
    pub relative: bool,
}

impl Expiry {
    /// The time to live among the options, if there is one.
    pub fn of(given: &Given<'_>, expiries: &Expiries) -> Option<Self> {
        expiries.iter().find_map(|&(token, unit_ms, relative)| {
            given.get(token).map(|found| Self { index: found.index(), unit_ms, relative })
        })
    }

    /// The Unix time in ms that is meant.
    pub fn resolve(self, cx: &Ctx<'_>, args: Args<'_>) -> Result<i64, Error> {
        let begin = if self.relative { cx.keys.core.clock.now_ms } else { 0 };
        Some(args.integer(self.index)?)
            .filter(|value| *value > 0)
            .and_then(|value| value.checked_mul(self.unit_ms))
            .and_then(|ms| ms.checked_add(begin))
            .ok_or_else(|| error::invalid_expire(cx.spec.name))
    }
}
