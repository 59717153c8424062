//! What commands are asked for that take from the first of several keys that holds anything: `LMPOP`,
//! `ZMPOP`, and the same behind a timeout.
#![forbid(unsafe_code)]

use crate::exec::argument::{Argument, integer, key};
use crate::exec::options::Options;
use base::args::Args;
use base::error::{self, Error};

const NUMKEYS: Error = Error::new("ERR numkeys should be greater than 0");
const COUNT: Error = Error::new("ERR count should be greater than 0");

/// The arguments, where `end` is the one that says which end is taken from.
pub const fn arguments(end: Argument) -> [Argument; 4] {
    let count = integer("count").token("COUNT").optional();
    [integer("numkeys"), key("key", 0).multiple(), end, count]
}

/// What is to be taken, and from which arguments.
pub struct FirstOf<'a, E> {
    /// Where to look, in this order.
    pub keys: Vec<&'a [u8]>,
    /// The end to take from.
    pub end: E,
    /// How many elements at most.
    pub count: usize,
}

impl<'a, E> FirstOf<'a, E> {
    /// Reads `numkeys key … end [COUNT count]` from argument `at` on. `options` are those of
    /// [`arguments`], and `ends` what the words of the argument that says the end stand for.
    ///
    /// # Errors
    /// Those of Redis.
    pub fn read(
        args: Args<'a>,
        at: usize,
        options: &'static Options,
        (end, ends): (Argument, [E; 2]),
    ) -> Result<Self, Error> {
        let numkeys = args.integer_in(at, 1..=i64::MAX, NUMKEYS)? as usize;
        let behind = at.saturating_add(1).saturating_add(numkeys);
        if behind >= args.len() {
            return Err(error::SYNTAX);
        }
        let end = end.choose(args, behind, ends).ok_or(error::SYNTAX)?;
        let mut count = 1;
        let mut options = options.walk(args, behind + 1);
        for option in options.by_ref() {
            count = option.integer_in(1..=i64::MAX, COUNT)? as usize;
        }
        options.finish()?;
        Ok(Self { keys: args.from(at + 1).take(numkeys).collect(), end, count })
    }
}
