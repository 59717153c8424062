//! `SHUTDOWN`

use abi::host::level;

use crate::exec::context::ClientCtx;
use base::args::Args;
use base::error::{self, Done, Error};

/// How the server is to stop.
#[derive(Default)]
struct Options {
    save: bool,
    nosave: bool,
    now: bool,
    force: bool,
    abort: bool,
}

pub fn shutdown(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    let options = parse(args)?;
    if options.abort {
        // A stop, once begun, takes no commands that could call it off.
        return Err(Error::new("ERR No shutdown in progress."));
    }
    let host = cx.keys.core.host;
    if options.save && !options.force {
        let reason = "SHUTDOWN SAVE: the logic writes no snapshots; use NOSAVE or FORCE";
        host.log()(level::WARN, reason.into());
        return Err(Error::new("ERR Errors trying to SHUTDOWN. Check logs."));
    }
    host.shutdown()(options.now as u32);
    Ok(())
}

fn parse(args: Args<'_>) -> Result<Options, Error> {
    let mut found = Options::default();
    let mut options = args.options(1);
    while !options.is_done() {
        let known = [
            ("NOSAVE", &mut found.nosave),
            ("SAVE", &mut found.save),
            ("NOW", &mut found.now),
            ("FORCE", &mut found.force),
            ("ABORT", &mut found.abort),
        ]
        .into_iter()
        .any(|(word, given)| {
            let taken = options.take(word);
            *given |= taken;
            taken
        });
        if !known {
            return Err(error::SYNTAX);
        }
    }
    let others = found.save || found.nosave || found.now || found.force;
    if found.abort && others || found.save && found.nosave {
        return Err(error::SYNTAX);
    }
    Ok(found)
}
