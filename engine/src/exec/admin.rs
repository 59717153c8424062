//! Administrative commands over the wire: handed to the shell's control thread, whose answer ends
//! the wait. The release that asks and the one that hears the answer may differ.

use abi::client::{Client, flag};
use abi::wait::kind;
use core::sync::atomic::Ordering::Relaxed;

use crate::exec::context::{ClientCtx, Mode};
use crate::session::blocking;
use base::core::Core;
use base::error::{Done, Error};

/// Asks the control thread; the client waits for the answer.
pub fn request(cx: &mut ClientCtx<'_>, verb: &str, argument: &str) -> Done {
    if cx.mode != Mode::Direct {
        return Err(base::error::NO_MULTI);
    }
    let core = &mut *cx.data.keys.core;
    let wait = blocking::new_keyless(core, cx.session.state(), kind::ADMIN, cx.data.out.resp3);
    let reference = cx.session.reference();
    blocking::begin(core, cx.session.state_mut(), wait);
    if core.host.admin()(reference, verb.into(), argument.into(), wait.address()).is_ok() {
        return Ok(());
    }
    blocking::leave(core, cx.session.state_mut());
    Err(Error::new("ERR the control thread does not take commands; is the server stopping?"))
}

/// Gives the answer to the client: a JSON text, or an error that begins with `-`.
pub fn reply(core: &mut Core, client: &mut Client, text: &[u8]) {
    debug_assert!(client.flags.load(Relaxed) & flag::BLOCKED != 0);
    blocking::finish_with(core, client, |out| match text.strip_prefix(b"-") {
        Some(error) => out.error(error.trim_ascii_end()),
        None => out.verbatim("txt", text),
    });
}
