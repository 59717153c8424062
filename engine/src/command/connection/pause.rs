//! `CLIENT PAUSE` and `CLIENT UNPAUSE`.

use crate::exec::argument::{Argument, integer, one_of, token};
use crate::exec::context::ClientCtx;
use crate::session::pause;
use base::args::Args;
use base::error::{Done, Error, subcommand_syntax};

const NOT_A_TIMEOUT: Error = Error::new("ERR timeout is not an integer or out of range");
const NEGATIVE: Error = Error::new("ERR timeout is negative");
const WRONG_MODE: Error = Error::new("ERR CLIENT PAUSE mode must be WRITE or ALL");

const MODE: Argument = one_of("mode", &[token("WRITE"), token("ALL")]);

/// The arguments of `CLIENT PAUSE`.
pub const PAUSE: &[Argument] = &[integer("timeout"), MODE.optional().since("6.2.0")];

pub fn pause(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    let writes_only = match args.len() {
        3 => false,
        4 => MODE.choose(args, 3, [true, false]).ok_or(WRONG_MODE)?,
        _ => return Err(subcommand_syntax("client", args.at(1))),
    };
    let ms = args.integer_in(2, i64::MIN..=i64::MAX, NOT_A_TIMEOUT)?;
    if ms < 0 {
        return Err(NEGATIVE);
    }
    let until = cx.keys.core.clock.now_ms.checked_add(ms).ok_or(NOT_A_TIMEOUT)?;
    pause::begin(cx.keys.core.roots, until as u64, writes_only);
    cx.out.ok();
    Ok(())
}

pub fn unpause(cx: &mut ClientCtx<'_>, _args: Args<'_>) -> Done {
    pause::end(cx.keys.core);
    cx.out.ok();
    Ok(())
}
