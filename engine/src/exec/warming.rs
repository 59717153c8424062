//! Commands while the keys are being filled from elsewhere: those of others are noted, and what the
//! client that fills puts must neither be there nor have been changed since it began.

use core::sync::atomic::Ordering::Relaxed;

use abi::client_ref::ClientRef;

use crate::exec::call::Call;
use crate::exec::context::Ctx;
use crate::exec::index::KeyRule;
use base::args::Args;
use base::error::{Done, Error};
use base::warming;
use keyspace::Intent;

/// These words begin what the client that fills is told: the command line looks at them.
const IS_THERE: Error = Error::new("BUSYKEY Target key name already exists.");
const WAS_CHANGED: Error =
    Error::new("CHANGED the key may have been changed or removed here since it began");
const IS_OVER: Error = Error::new(
    "WARMINGOVER a database was flushed, or exchanged for another, since it began: nothing more is put",
);

/// Looks at a command that writes, whose shards are locked, before it runs. Refused is only one of
/// the client that fills.
#[cold]
pub fn attend(cx: &mut Ctx<'_>, client: u64, call: &Call, args: Args<'_>) -> Done {
    let roots = cx.keys.core.roots;
    if !warming::is_on(roots) {
        return Ok(());
    }
    if warming::state(roots).client.load(Relaxed) == client {
        return may_put(cx, call, args);
    }
    note_keys(cx, call, args);
    Ok(())
}

/// As [`attend`], of a command that was waiting.
pub fn attend_served(cx: &mut Ctx<'_>, client: ClientRef, call: &Call, args: Args<'_>) {
    // One that fills waits for nothing.
    let _ = attend(cx, client.id(), call, args);
}

fn may_put(cx: &mut Ctx<'_>, call: &Call, args: Args<'_>) -> Done {
    let roots = cx.keys.core.roots;
    if warming::state(roots).is_over.load(Relaxed) != 0 {
        return Err(IS_OVER);
    }
    let indices = call.spec.key_indices(args);
    for key in indices.into_iter().map(|index| args.at(index)) {
        // First, for it removes what has expired, which is a change.
        if cx.keys.contains(key, Intent::Write) {
            return Err(IS_THERE);
        }
        if warming::was_touched(roots, cx.keys.hash(key)) {
            return Err(WAS_CHANGED);
        }
    }
    Ok(())
}

fn note_keys(cx: &mut Ctx<'_>, call: &Call, args: Args<'_>) {
    let indices = match call.keys {
        // Whatever stands there for a pattern or an option is taken for a key, too.
        KeyRule::Patterns => (1..args.len()).collect(),
        // What concerns all keys of a database ends it, where it is done.
        KeyRule::All | KeyRule::None => return,
        _ => call.spec.key_indices(args),
    };
    for index in indices {
        warming::note(cx.keys.core.roots, cx.keys.hash(args.at(index)));
    }
}
