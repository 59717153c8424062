//! `CLIENT UNBLOCK`.

use crate::exec::argument::{Argument, integer, one_of, token};
use crate::exec::context::ClientCtx;
use crate::session::clients;
use base::args::Args;
use base::error::{Done, Error, subcommand_syntax};

const WRONG_REASON: Error = Error::new("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR");

const REASON: Argument = one_of("timeout_error", &[token("TIMEOUT"), token("ERROR")]);

/// The arguments of `CLIENT UNBLOCK`.
pub const UNBLOCK: &[Argument] = &[integer("client-id"), REASON.optional()];

pub fn unblock(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    let with_error = match args.len() {
        3 => false,
        4 => REASON.choose(args, 3, [false, true]).ok_or(WRONG_REASON)?,
        _ => return Err(subcommand_syntax("client", args.at(1))),
    };
    let id = args.integer(2)?;
    let ended = u64::try_from(id).is_ok_and(|id| clients::unblock(cx.keys.core, id, with_error));
    cx.out.integer(ended as i64);
    Ok(())
}
