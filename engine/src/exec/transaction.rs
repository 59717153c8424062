//! `EXEC`: queued commands, run with all their shards locked at once.

use core::sync::atomic::Ordering::Relaxed;

use abi::client::{ClientState, flag};

use crate::exec::call::{self, fail, keys_lock_set, look_up};
use crate::exec::context::{ClientCtx, Mode};
use crate::exec::spec;
use crate::exec::thread::{Exec, ThreadContext};
use crate::session::command_blob::Blob;
use crate::session::multi::{self, Queued};
use crate::session::{Session, watch};
use base::core::Core;
use base::effects;
use base::error::{EXEC_ABORT, Error};
use base::lock::{ALL_SHARDS, ShardSet};

/// The shards of all queued commands and watched keys.
///
/// Commands that lock what they need themselves (they name no keys but look at many) find every
/// shard locked.
pub fn lock_set(core: &Core, exec: &Exec, client: &mut ClientState) -> ShardSet {
    let watched = watch::lock_set(core, client);
    multi::queued(client).fold(watched, |set, blob| match look_up(&exec.index, blob.args()) {
        Ok(call) if call.spec.has(spec::flag::LOCKS_ITSELF) => ALL_SHARDS,
        Ok(call) => set | keys_lock_set(core.roots.seed, &call, blob.args()),
        Err(_) => set,
    })
}

/// Runs the queued commands, whose shards are locked, and writes the array of their replies.
pub fn execute(cx: &mut ClientCtx<'_>) {
    let count = cx.session.state().multi_count.load(Relaxed).max(0) as usize;
    let queued = Queued::take(cx.data.keys.core.heap, cx.session.state_mut());
    let (spec, mode) = (cx.data.spec, cx.data.mode);
    cx.data.mode = Mode::Transaction;
    cx.data.out.array(count);
    cx.data.keys.core.effects.begin_transaction();
    for blob in queued.commands() {
        // A release that no longer has the command says so in its place.
        match look_up(&cx.exec.index, blob.args()) {
            Ok(call) => {
                cx.data.spec = call.spec;
                call::call(cx, &call, blob.args());
                cx.data.keys.db = cx.session.db();
                cx.data.out.resp3 = cx.session.state().resp.load(Relaxed) == 3;
            }
            Err(error) => fail(cx.data.keys.core, &mut cx.data.out, &error),
        }
    }
    cx.data.keys.core.effects.end_transaction();
    (cx.data.spec, cx.data.mode) = (spec, mode);
}

/// Bytes that the effects of the queued commands take at most, if they say no more than the
/// commands do. None, if none of them writes.
pub fn effects_at_most(exec: &Exec, client: &ClientState) -> u64 {
    let writes = |blob: &Blob<'_>| {
        look_up(&exec.index, blob.args()).is_ok_and(|call| call.spec.has(spec::flag::WRITE))
    };
    let at_most = |blob: Blob<'_>| effects::at_most(blob.args().from(0));
    multi::queued(client).filter(writes).map(at_most).sum()
}

/// After a panic in a command of this client: `EXEC` has ended the transaction all the same, and
/// any other spoils it.
pub fn break_off(thread: &mut ThreadContext, client: &mut ClientState) {
    if client.flags.load(Relaxed) & flag::MULTI == 0 {
        return;
    }
    let index = &thread.exec.index;
    let exec = index.find(b"exec").map(|at| index[at].slot.wrapping_add(1));
    if exec == Some(client.last_command.load(Relaxed)) {
        multi::end(&mut thread.core, client, false);
    } else {
        client.flags.fetch_or(flag::DIRTY_EXEC, Relaxed);
    }
}

/// Why `EXEC` runs nothing, if it does not.
pub fn refusal(session: &Session<'_>) -> Option<Error> {
    session.has(flag::DIRTY_EXEC).then_some(EXEC_ABORT)
}
