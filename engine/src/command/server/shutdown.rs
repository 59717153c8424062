//! `SHUTDOWN`

use crate::exec::argument::{Argument, one_of, token};
use crate::exec::context::ClientCtx;
use crate::exec::options::{Options, Token};
use crate::maintenance::snapshot;
use crate::session::scripts;
use base::args::Args;
use base::error::{self, Done, Error};
use base::settings::row::Stop;

/// The arguments of `SHUTDOWN`.
pub const SHUTDOWN: &[Argument] = &[
    one_of("nosave_save", &[token("NOSAVE"), token("SAVE")]).optional(),
    token("NOW").optional().since("7.0.0"),
    token("FORCE").optional().since("7.0.0"),
    token("ABORT").optional().since("7.0.0"),
];
const OPTIONS: &Options = &Options::of(SHUTDOWN);
const NOSAVE: Token = OPTIONS.token("NOSAVE");
const SAVE: Token = OPTIONS.token("SAVE");
const NOW: Token = OPTIONS.token("NOW");
const FORCE: Token = OPTIONS.token("FORCE");
const ABORT: Token = OPTIONS.token("ABORT");

const NOT_STOPPED: Error = Error::new("ERR Errors trying to SHUTDOWN. Check logs.");

pub fn shutdown(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    let given = OPTIONS.read(args, 1)?;
    if given.has(ABORT) {
        if given.has_any(&[NOSAVE, SAVE, NOW, FORCE]) {
            return Err(error::SYNTAX);
        }
        // A stop, once begun, takes no commands that could call it off.
        return Err(Error::new("ERR No shutdown in progress."));
    }
    let saves = [(SAVE, true), (NOSAVE, false)];
    let how = Stop {
        saves: saves.into_iter().find(|(token, _)| given.has(*token)).map(|(_, saves)| saves),
        is_now: given.has(NOW),
        is_forced: given.has(FORCE),
    };
    let slow = scripts::slow::kind(cx.core().roots);
    if slow != 0 && how.saves != Some(false) {
        // It has every key locked, and may have changed half of what it is to change.
        return Err(scripts::slow::error(slow));
    }
    if !snapshot::stop(cx.core(), how) {
        return Err(NOT_STOPPED);
    }
    scripts::slow::stop(cx.core());
    Ok(())
}
