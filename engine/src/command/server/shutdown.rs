//! `SHUTDOWN`

use abi::host::level;

use crate::exec::argument::{Argument, one_of, token};
use crate::exec::context::ClientCtx;
use crate::exec::options::{Options, Token};
use crate::session::scripts;
use base::args::Args;
use base::error::{self, Done, Error};

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

pub fn shutdown(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    let given = OPTIONS.read(args, 1)?;
    if given.has(ABORT) {
        if given.has_any(&[NOSAVE, SAVE, NOW, FORCE]) {
            return Err(error::SYNTAX);
        }
        // A stop, once begun, takes no commands that could call it off.
        return Err(Error::new("ERR No shutdown in progress."));
    }
    let slow = scripts::slow::kind(cx.keys.core.roots);
    if slow != 0 && !given.has(NOSAVE) {
        return Err(scripts::slow::error(slow));
    }
    let host = cx.keys.core.host;
    if given.has(SAVE) && !given.has(FORCE) {
        let reason = "SHUTDOWN SAVE: the logic writes no snapshots; use NOSAVE or FORCE";
        host.log()(level::WARN, reason.into());
        return Err(Error::new("ERR Errors trying to SHUTDOWN. Check logs."));
    }
    host.shutdown()(given.has(NOW) as u32);
    scripts::slow::stop(cx.keys.core);
    Ok(())
}
