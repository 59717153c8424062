//! Clients that wait: made to, or no longer.

use crate::command::args::Args;
use crate::command::error::{Done, Error, subcommand_syntax};
use crate::context::Ctx;
use crate::session::{clients, pause};

const NOT_A_TIMEOUT: Error = Error::new("ERR timeout is not an integer or out of range");
const NEGATIVE: Error = Error::new("ERR timeout is negative");
const MODE: Error = Error::new("ERR CLIENT PAUSE mode must be WRITE or ALL");
const REASON: Error = Error::new("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR");

pub fn pause(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let writes_only = match args.len() {
        3 => false,
        4 if args.is(3, "WRITE") => true,
        4 if args.is(3, "ALL") => false,
        4 => return Err(MODE),
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

pub fn unblock(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let with_error = match args.len() {
        3 => false,
        4 if args.is(3, "TIMEOUT") => false,
        4 if args.is(3, "ERROR") => true,
        4 => return Err(REASON),
        _ => return Err(subcommand_syntax("client", args.at(1))),
    };
    let id = args.integer(2)?;
    let ended = u64::try_from(id).is_ok_and(|id| clients::unblock(cx.keys.lane, id, with_error));
    cx.out.integer(ended as i64);
    Ok(())
}
