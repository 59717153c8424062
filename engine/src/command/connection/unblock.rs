//! `CLIENT UNBLOCK`.

use crate::exec::context::ClientCtx;
use crate::session::clients;
use base::args::Args;
use base::error::{Done, Error, subcommand_syntax};

const REASON: Error = Error::new("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR");

pub fn unblock(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    let with_error = match args.len() {
        3 => false,
        4 if args.is(3, "TIMEOUT") => false,
        4 if args.is(3, "ERROR") => true,
        4 => return Err(REASON),
        _ => return Err(subcommand_syntax("client", args.at(1))),
    };
    let id = args.integer(2)?;
    let ended = u64::try_from(id).is_ok_and(|id| clients::unblock(cx.keys.core, id, with_error));
    cx.out.integer(ended as i64);
    Ok(())
}
