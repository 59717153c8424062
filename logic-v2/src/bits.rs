//! `BITCOUNT` and `BITPOS` that look at all arguments before they look for the key, as of Redis 7.2,
//! and `BITCOUNT key start` without an end, of Valkey 8.
#![forbid(unsafe_code)]

use engine::base::args::Args;
use engine::base::error::{self, Done};
use engine::command::bitmap::{self, UNIT};
use engine::exec::argument::{Argument, block, integer, key};
use engine::exec::context::Ctx;

/// The arguments of the engine's `BITCOUNT`, with an end that may be left out.
pub const BITCOUNT: &[Argument] = &[
    key("key", 0),
    block(
        "range",
        &[integer("start"), block("end-unit-block", &[integer("end"), UNIT.optional()]).optional()],
    )
    .optional(),
];

/// Refuses a unit that is none.
fn check_unit(args: Args<'_>, index: usize) -> Done {
    match args.get(index) {
        Some(_) if UNIT.choose(args, index, [(), ()]).is_none() => Err(error::SYNTAX),
        _ => Ok(()),
    }
}

/// `BITCOUNT`
pub fn bitcount(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    match args.len() {
        3 => {
            let start = args.integer(2)?;
            return bitmap::count_from(cx, args.at(1), start);
        }
        4 | 5 => {
            args.integer(2)?;
            args.integer(3)?;
            check_unit(args, 4)?;
        }
        6.. => return Err(error::SYNTAX),
        _ => {}
    }
    bitmap::bitcount(cx, args)
}

/// `BITPOS`
pub fn bitpos(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    // Which bit is asked for, the engine's looks at first, too.
    if args.len() > 3 && matches!(args.integer(2)?, 0 | 1) {
        if args.len() > 6 {
            return Err(error::SYNTAX);
        }
        args.integer(3)?;
        check_unit(args, 5)?;
        if args.len() > 4 {
            args.integer(4)?;
        }
    }
    bitmap::bitpos(cx, args)
}
