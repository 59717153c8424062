//! `EXEC`: queued commands, run with all their shards locked at once.

use core::sync::atomic::Ordering::Relaxed;

use abi::client::{ClientState, flag};

use crate::exec::aftermath;
use crate::exec::call::{self, Call, fail, keys_lock_set, look_up};
use crate::exec::context::{ClientCtx, Mode};
use crate::exec::panics::{self, Unwound};
use crate::exec::permissions;
use crate::exec::spec;
use crate::exec::thread::{Exec, ThreadContext};
use crate::session::command_blob::Blob;
use crate::session::multi::{self, Queued};
use crate::session::tracking::tell;
use crate::session::{Session, watch};
use base::args::Args;
use base::core::Core;
use base::effects;
use base::error::{EXEC_ABORT, Error};
use base::hash::hash;
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

/// How far a transaction has come.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// The command that runs, counted from 1.
    running: usize,
    /// Commands in all.
    of: usize,
}

impl Progress {
    /// The reply of an `EXEC` that did not come to its end.
    fn error(self, because: &Error) -> Error {
        let Self { running, of } = self;
        let text = format!("; the transaction broke off in command {running} of {of}");
        Error::owned([because.text(), text.as_bytes()].concat())
    }
}

/// Runs the queued commands, whose shards are locked, and writes the array of their replies.
///
/// One that is broken off by a panic, or for want of memory, has an error for a reply, and the
/// others are run, as after any that fails.
pub fn execute(cx: &mut ClientCtx<'_>) {
    let count = cx.session.state().multi_count.load(Relaxed).max(0) as usize;
    let queued = Queued::take(cx.data.keys.core.heap, cx.session.state_mut());
    let (spec, mode) = (cx.data.spec, cx.data.mode);
    cx.data.mode = Mode::Transaction;
    cx.data.out.array(count);
    cx.data.keys.core.effects.begin_transaction();
    for (before, blob) in queued.commands().enumerate() {
        cx.exec.transaction = Some(Progress { running: before + 1, of: count });
        // A release that no longer has the command says so in its place.
        match allowed(cx, blob.args()) {
            Ok(call) => {
                run(cx, &call, blob.args());
                cx.data.out.resp3 = cx.session.state().resp.load(Relaxed) == 3;
            }
            Err(error) => fail(cx.data.keys.core, &mut cx.data.out, &error),
        }
    }
    cx.exec.transaction = None;
    cx.data.keys.core.effects.end_transaction();
    (cx.data.spec, cx.data.mode) = (spec, mode);
}

/// A queued command, if its client may still run it.
fn allowed(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Result<Call, Error> {
    let call = look_up(&cx.exec.index, args)?;
    if cx.session.has(flag::RESTRICTED) {
        let ClientCtx { data, session, exec } = cx;
        let client = session.state();
        permissions::check(data.keys.core, exec, client, (&call, args), permissions::At::Exec)?;
    }
    Ok(call)
}

/// Runs a command that is one of several. If it is broken off by a panic, or for want of memory, its
/// reply is an error, and the others go on.
pub(super) fn run(cx: &mut ClientCtx<'_>, call: &Call, args: Args<'_>) {
    let mark = cx.data.out.len();
    cx.data.spec = call.spec;
    if call.spec.may_change_keys() {
        note_keys(cx, call, args);
    }
    if let Err(unwound) = panics::caught(|| call::call(cx, call, args)) {
        give_up(cx, call, mark, &unwound);
    }
    cx.data.keys.db = cx.session.db();
}

/// Notes the keys that a command may change: should the process end before all is done, nobody is to
/// find a part of it.
fn note_keys(cx: &mut ClientCtx<'_>, call: &Call, args: Args<'_>) {
    let (core, db) = (&*cx.data.keys.core, cx.data.keys.db);
    for key in call.spec.key_indices(args).into_iter().map(|index| args.at(index)) {
        let hash = hash(key, core.roots.seed);
        for db in aftermath::databases(core, db, call) {
            core.running.touches(core.heap, hash, db);
        }
    }
}

/// Ends a command that was broken off, whose reply would begin at `mark`.
#[cold]
fn give_up(cx: &mut ClientCtx<'_>, call: &Call, mark: usize, unwound: &Unwound) {
    let ClientCtx { data, session, exec } = cx;
    // What it has done is among the effects, as what its keys have become.
    data.keys.core.effects.take_is_said();
    if matches!(unwound, Unwound::Panic(_)) {
        tell::doubt(data.keys.core);
    }
    data.wait = None;
    data.out.truncate(mark);
    panics::count(data.keys.core, call.stat);
    exec.panics.tell_contained(data.keys.core, unwound, |core| {
        panics::command_of(core, Some(call.slot), session.state())
    });
    fail(data.keys.core, &mut data.out, &unwound.error());
}

/// Bytes that the effects of the queued commands take at most, if they say no more than the
/// commands do. None, if none of them writes.
pub fn effects_at_most(exec: &Exec, client: &ClientState) -> u64 {
    let writes = |blob: &Blob<'_>| {
        look_up(&exec.index, blob.args())
            .is_ok_and(|call| call.spec.may_change_keys() || call.spec.has(spec::flag::RUNS_SCRIPT))
    };
    let at_most = |blob: Blob<'_>| effects::at_most(blob.args());
    multi::queued(client).filter(writes).map(at_most).sum()
}

/// After a command of this client was broken off, which in a transaction is `EXEC` itself, or one
/// that was to be queued: the one has ended the transaction all the same, the other spoils it.
/// Returns what the client is told.
pub fn break_off(thread: &mut ThreadContext, client: &mut ClientState, because: Error) -> Error {
    let progress = thread.exec.transaction.take();
    if client.flags.load(Relaxed) & flag::MULTI == 0 {
        return because;
    }
    let index = &thread.exec.index;
    let exec = index.find(b"exec").map(|at| index[at].slot.wrapping_add(1));
    if exec == Some(client.last_command.load(Relaxed)) {
        multi::end(&mut thread.core, client, false);
    } else {
        client.flags.fetch_or(flag::DIRTY_EXEC, Relaxed);
    }
    progress.map_or(because.clone(), |progress| progress.error(&because))
}

/// Why `EXEC` runs nothing, if it does not.
pub fn refusal(session: &Session<'_>) -> Option<Error> {
    session.has(flag::DIRTY_EXEC).then_some(EXEC_ABORT)
}
