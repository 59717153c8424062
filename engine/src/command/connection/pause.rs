//! `CLIENT PAUSE` and `CLIENT UNPAUSE`.

use crate::command::args::Args;
use crate::command::argument::{Argument, integer, one_of, token};
use crate::command::error::{Done, Error, subcommand_syntax};
use crate::context::Ctx;
use crate::session::pause;

const NOT_A_TIMEOUT: Error = Error::new("ERR timeout is not an integer or out of range");
const NEGATIVE: Error = Error::new("ERR timeout is negative");
const WRONG_MODE: Error = Error::new("ERR CLIENT PAUSE mode must be WRITE or ALL");

const MODE: Argument = one_of("mode", &[token("WRITE"), token("ALL")]);

/// The arguments of `CLIENT PAUSE`.
pub const PAUSE: &[Argument] = &[integer("timeout"), MODE.optional().since("6.2.0")];

pub fn pause(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let writes_only = match args.len() {
        3 => false,
        4 => MODE.choose(args, 3, [true, false]).ok_or(WRONG_MODE)?,
        _ => return Err(subcommand_syntax("client", args.at(1))),
    };
    let ms = args.integer_in(2, i64::MIN..=i64::MAX, NOT_A_TIMEOUT)?;
    if ms < 0 {
        return Err(NEGATIVE);
    }
    let until = cx.keys.lane.clock.now_ms.checked_add(ms).ok_or(NOT_A_TIMEOUT)?;
    pause::begin(cx.keys.lane.roots, until as u64, writes_only);
    cx.out.ok();
    Ok(())
}

pub fn unpause(cx: &mut Ctx<'_>, _args: Args<'_>) -> Done {
    pause::end(cx.keys.lane);
    cx.out.ok();
    Ok(())
}
