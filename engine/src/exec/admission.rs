//! Whether a command may run now, as things are with its client and the server.

use core::sync::atomic::Ordering::Relaxed;

use abi::client::{Client, ClientState, flag as client_flag};
use abi::effects::Credit;

use crate::exec::call::{Call, look_up};
use crate::exec::spec::{Spec, flag};
use crate::exec::thread::{Exec, ThreadContext};
use crate::exec::{declared, permissions, snapshot, transaction};
use crate::maintenance::evict::{self, Outcome};
use crate::session::{self, multi, pause, scripts};
use base::args::Args;
use base::attention;
use base::clock::Clock;
use base::core::{Core, SHARD_RETRY_MS};
use base::effects;
use base::error::{self, Done, Error};
use base::loading;

/// Time after which a command that found no room for its effects tries again.
const ROOM_RETRY_MS: i64 = 1;

/// What becomes of a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admitted {
    /// It is to be run now.
    Run,
    /// It was queued or put off; the client has been told what it needs to know.
    Elsewhere,
}

/// Whether a client's command may run now.
#[inline(always)]
pub fn admit(
    thread: &mut ThreadContext,
    client: &mut Client,
    call: &Call,
    args: Args<'_>,
) -> Result<Admitted, Error> {
    use client_flag::{AUTHENTICATED, MONITOR, MULTI, PUBSUB, RESTRICTED};
    let flags = client.flags.load(Relaxed);
    if flags & (AUTHENTICATED | MONITOR | MULTI | PUBSUB | RESTRICTED) != AUTHENTICATED {
        check_state(thread, client, flags, (call, args))?;
    }
    if attention::is_any(thread.core.roots) && is_held(thread, client, call, args)? {
        return Ok(Admitted::Elsewhere);
    }
    // What is loaded may be more than is to be: room is made afterwards. While a script has all keys
    // there is none to be made.
    const NOT_NOW: u64 = attention::LOADING | attention::BUSY;
    if thread.core.settings.maxmemory != 0 && !attention::has(thread.core.roots, NOT_NOW) {
        make_room(thread, client, call.spec)?;
    }
    if thread.core.effects.is_wanted()
        && (!thread.core.effects.has_room_for_batch() || call.spec.has(flag::TRANSACTION))
        && !has_room_for_effects(thread, client, call.spec, args)?
    {
        return Ok(Admitted::Elsewhere);
    }
    if flags & MULTI != 0 && !call.spec.has(flag::NOT_QUEUED) {
        multi::queue(thread.core.heap, client, args);
        session::split(client, thread.core.heap).0.simple("QUEUED");
        return Ok(Admitted::Elsewhere);
    }
    Ok(Admitted::Run)
}

/// Puts a command off until the script that runs for long is over, if it needs shards, which that has
/// locked, even where it is refused.
#[cold]
fn waits_for_script(thread: &mut ThreadContext, client: &mut Client, spec: &Spec) -> bool {
    let waits = spec.has(flag::UNWATCHES) && client.watch_count.load(Relaxed) != 0;
    if waits {
        thread.core.clock = Clock::read(thread.core.host);
        pause::postpone(client, thread.core.clock.now_ms + SHARD_RETRY_MS);
    }
    waits
}

/// Refuses what a client in its state may not run.
#[cold]
fn check_state(
    thread: &mut ThreadContext,
    client: &Client,
    flags: u64,
    (call, args): (&Call, Args<'_>),
) -> Result<(), Error> {
    let spec = call.spec;
    if !spec.has(flag::NO_AUTH) && session::acl::is_stranger(thread.core.roots, client) {
        return Err(error::NO_AUTH);
    }
    if flags & client_flag::MULTI != 0 && spec.has(flag::NO_MULTI | flag::REFUSED_IN_MULTI) {
        return Err(error::NO_MULTI);
    }
    if flags & client_flag::RESTRICTED != 0 {
        let ThreadContext { core, exec, .. } = thread;
        permissions::check(core, exec, client, (call, args), permissions::At::Admission)?;
    }
    let subscriber = flags & client_flag::PUBSUB != 0 && client.resp.load(Relaxed) == 2;
    if subscriber && !spec.has(flag::SUBSCRIBER) {
        return Err(Error::owned(format!(
            "ERR Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET \
             are allowed in this context",
            spec.name
        )));
    }
    let sees_keys = flag::READONLY | flag::WRITE | flag::MAY_REPLICATE;
    if flags & client_flag::MONITOR != 0 && spec.has(sees_keys) {
        return Err(Error::new("ERR Replica can't interact with the keyspace"));
    }
    Ok(())
}

/// Makes room if memory is short. Fails if there is none to make and the command may use more.
#[inline]
fn make_room(thread: &mut ThreadContext, client: &Client, spec: &Spec) -> Done {
    const GROWS: u32 = flag::WRITE | flag::DENYOOM | flag::TRANSACTION | flag::RUNS_SCRIPT;
    let ThreadContext { core, exec, .. } = thread;
    let in_multi = client.flags.load(Relaxed) & client_flag::MULTI != 0;
    if exec.room_known_for == core.settings.maxmemory && !spec.has(GROWS) && !in_multi {
        return Ok(());
    }
    let outcome = evict::make_room(core, &mut exec.eviction);
    exec.room_known_for = match outcome {
        Outcome::Enough => core.settings.maxmemory,
        _ => 0,
    };
    exec.is_short_of_memory = outcome == Outcome::Nothing;
    if outcome == Outcome::Nothing && may_use_more(exec, client, spec) {
        return Err(error::OOM);
    }
    Ok(())
}

/// Whether a command, or what it adds to a transaction, may use memory.
fn may_use_more(exec: &Exec, client: &Client, spec: &Spec) -> bool {
    let in_multi = client.flags.load(Relaxed) & client_flag::MULTI != 0;
    spec.has(flag::DENYOOM)
        || in_multi && !spec.has(flag::NOT_QUEUED)
        || in_multi
            && spec.has(flag::TRANSACTION)
            && any_queued(exec, client, |spec, _| spec.has(flag::DENYOOM))
}

/// Whether any queued command is so.
pub(super) fn any_queued(
    exec: &Exec,
    client: &ClientState,
    is_so: impl Fn(&Spec, Args<'_>) -> bool,
) -> bool {
    multi::queued(client).any(|blob| {
        look_up(&exec.index, blob.args()).is_ok_and(|call| is_so(call.spec, blob.args()))
    })
}

/// Asks for room for what a command that writes, or `EXEC`, is going to tell. While there is none
/// the command is put off: its client's input stays as it is until then. What only reads goes on,
/// and leaves keys whose time has come where they are.
#[cold]
fn has_room_for_effects(
    thread: &mut ThreadContext,
    client: &mut ClientState,
    spec: &Spec,
    args: Args<'_>,
) -> Result<bool, Error> {
    let in_multi = client.flags.load(Relaxed) & client_flag::MULTI != 0;
    let bytes = match () {
        () if in_multi && spec.has(flag::TRANSACTION) => {
            transaction::effects_at_most(&thread.exec, client)
        }
        () if !in_multi && spec.has(flag::WRITE | flag::RUNS_SCRIPT) => effects::at_most(args),
        () => 0,
    };
    if bytes == 0 {
        thread.core.reads_change_nothing = !thread.core.effects.has_room(effects::at_most(args));
        return Ok(true);
    }
    match thread.core.effects.ask(bytes) {
        Credit::Refused => Err(error::TOO_LARGE_TO_TELL),
        Credit::Wait => {
            pause::postpone(client, thread.core.clock.now_ms + ROOM_RETRY_MS);
            Ok(false)
        }
        _ => Ok(true),
    }
}

/// Refuses or puts off a command that what is under way concerns: loading, a script, a snapshot, a
/// pause. Tells whether it was put off.
#[cold]
fn is_held(
    thread: &mut ThreadContext,
    client: &mut Client,
    call: &Call,
    args: Args<'_>,
) -> Result<bool, Error> {
    let roots = thread.core.roots;
    let loads = client.flags.load(Relaxed) & client_flag::LOADS != 0;
    if loading::is_on(roots) && !call.spec.has(flag::LOADING) && !loads {
        return Err(error::LOADING);
    }
    let slow = scripts::slow::kind(roots);
    if slow != 0 && waits_for_script(thread, client, call.spec) {
        return Ok(true);
    }
    if slow != 0 && !call.spec.has(flag::ALLOW_BUSY) {
        return Err(scripts::slow::error(slow));
    }
    snapshot::check(thread, client, call.spec)?;
    Ok(pause::is_on(roots) && holds_back(thread, client, call.spec, args)
        || snapshot::holds_back(thread, client, call, args))
}

/// Puts a command off if the pause concerns it: the client's input stays as it is until then.
#[cold]
fn holds_back(
    thread: &mut ThreadContext,
    client: &mut ClientState,
    spec: &Spec,
    args: Args<'_>,
) -> bool {
    let core: &mut Core = &mut thread.core;
    core.clock = Clock::read(core.host);
    let pause = pause::state(core.roots);
    let until = pause.until_ms.load(Relaxed);
    if until as i64 <= core.clock.now_ms {
        // Over. Whoever finds it so first says so; a newer pause is left alone.
        let _ = pause.until_ms.compare_exchange(until, 0, Relaxed, Relaxed);
        return false;
    }
    if pause.writes_only.load(Relaxed) != 0 && !may_write(core, &thread.exec, client, spec, args) {
        return false;
    }
    pause::postpone(client, until as i64);
    true
}

/// Whether a pause of what writes concerns a command. One of everything concerns `CLIENT UNPAUSE` too.
fn may_write(core: &Core, exec: &Exec, client: &ClientState, spec: &Spec, args: Args<'_>) -> bool {
    const CHANGES: u32 = flag::WRITE | flag::MAY_REPLICATE;
    let changes = |spec: &Spec, args: Args<'_>| {
        declared::may_write(core, spec, args).unwrap_or_else(|| spec.has(CHANGES))
    };
    let in_multi = client.flags.load(Relaxed) & client_flag::MULTI != 0;
    if spec.has(flag::TRANSACTION) && in_multi {
        return any_queued(exec, client, changes);
    }
    changes(spec, args)
}
