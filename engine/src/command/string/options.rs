//! The options of `SET` and `GETEX`.

use crate::exec::context::Ctx;
use base::args::{Args, Options as Reader};
use base::error::{self, Error};
use value::string::Ttl;

/// What a command is asked for beyond the key and the value.
#[derive(Default)]
pub struct Options {
    /// `NX`
    pub only_new: bool,
    /// `XX`
    pub only_old: bool,
    /// `GET`
    pub get: bool,
    /// `KEEPTTL`
    pub keep_ttl: bool,
    /// `PERSIST`
    pub persist: bool,
    /// `EX` and its relatives.
    pub expiry: Option<Expiry>,
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

/// Word, milliseconds of its unit, whether it counts from now.
const EXPIRIES: [(&str, i64, bool); 4] =
    [("EX", 1000, true), ("PX", 1, true), ("EXAT", 1000, false), ("PXAT", 1, false)];

/// The options of `SET`, from argument 3 on.
pub fn for_set(args: Args<'_>) -> Result<Options, Error> {
    let mut found = Options::default();
    let mut options = args.options(3);
    while !options.is_done() {
        if !found.only_old && options.take("NX") {
            found.only_new = true;
        } else if !found.only_new && options.take("XX") {
            found.only_old = true;
        } else if options.take("GET") {
            found.get = true;
        } else if found.expiry.is_none() && options.take("KEEPTTL") {
            found.keep_ttl = true;
        } else if found.keep_ttl || !found.take_expiry(&mut options) {
            return Err(error::SYNTAX);
        }
    }
    Ok(found)
}

/// The options of `GETEX`, from argument 2 on.
pub fn for_get(args: Args<'_>) -> Result<Options, Error> {
    let mut found = Options::default();
    let mut options = args.options(2);
    while !options.is_done() {
        if found.expiry.is_none() && options.take("PERSIST") {
            found.persist = true;
        } else if found.persist || !found.take_expiry(&mut options) {
            return Err(error::SYNTAX);
        }
    }
    Ok(found)
}

impl Options {
    /// Reads `EX seconds` or one of its relatives. The same one again replaces it; another one
    /// is not taken.
    fn take_expiry(&mut self, options: &mut Reader<'_>) -> bool {
        for (word, unit_ms, relative) in EXPIRIES {
            let same = |old: Expiry| old.unit_ms == unit_ms && old.relative == relative;
            if self.expiry.is_none_or(same)
                && let Some(index) = options.take_with_value(word)
            {
                self.expiry = Some(Expiry { index, unit_ms, relative });
                return true;
            }
        }
        false
    }

    /// What becomes of the key's time to live.
    pub fn ttl(&self, cx: &Ctx<'_>, args: Args<'_>) -> Result<Ttl, Error> {
        match self.expiry {
            Some(expiry) => Ok(Ttl::At(expiry.resolve(cx, args)?)),
            None if self.keep_ttl => Ok(Ttl::Keep),
            None => Ok(Ttl::Clear),
        }
    }
}

impl Expiry {
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
