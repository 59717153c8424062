//! From a parsed command to its reply: admission, locks, call, and what follows.

use core::sync::atomic::Ordering::Relaxed;

use abi::client::{Client, flag as client_flag};
use abi::host::level;

use crate::exec::admission::{Admitted, admit};
use crate::exec::batch::Item;
use crate::exec::call::{self, Call, UNKNOWN, fail, keys_lock_set, resolve};
use crate::exec::context::{ClientCtx, Ctx, Mode};
use crate::exec::index::KeyRule;
use crate::exec::spec::flag;
use crate::exec::thread::{Exec, ThreadContext};
use crate::exec::{habits, serving, tracked, transaction};
use crate::session::{self, multi, pause};
use base::args::Args;
use base::clock::Clock;
use base::core::{Core, SHARD_RETRY_MS};
use base::counters::add;
use base::error::{self, Error};
use base::lock::{ShardSet, set_of};
use base::running::About;
use keyspace::Keys;
use keyspace::ahead::look_ahead;

/// Executes a command a client sent.
#[inline]
pub fn execute(thread: &mut ThreadContext, client: &mut Client, item: &Item, args: Args<'_>) {
    thread.core.settings.refresh(thread.core.roots);
    thread.exec.reply_mark = Some(client.output.len());
    let outcome = resolve(&thread.exec.index, item.command, args).and_then(|call| {
        client.last_command.store(call.slot.wrapping_add(1), Relaxed);
        if admit(thread, client, &call, args)? == Admitted::Run {
            run(thread, client, &call, item, args);
        }
        Ok(())
    });
    if let Err(error) = outcome {
        reject(thread, client, item, args, &error);
    }
    const RARE: u64 = QUIET | client_flag::IN_TRACKING | client_flag::POSTPONED;
    if client.flags.load(Relaxed) & RARE != 0 {
        return finish_rare(thread, client, item, args);
    }
    finish(thread);
}

/// Flags of a client that does not want all replies.
const QUIET: u64 = client_flag::REPLY_OFF | client_flag::REPLY_SKIP | client_flag::REPLY_SKIP_NEXT;

/// The end of a command that is to run again, or of a client that does not want all replies or has
/// to do with client-side caching.
#[cold]
fn finish_rare(thread: &mut ThreadContext, client: &mut Client, item: &Item, args: Args<'_>) {
    if std::mem::take(&mut thread.exec.runs_again) {
        run_again(thread, client, item, args);
    }
    let flags = client.flags.load(Relaxed);
    if flags & QUIET != 0 {
        keep_quiet(&thread.core, client, thread.exec.reply_mark);
    }
    finish(thread);
    if flags & client_flag::IN_TRACKING != 0 {
        tracked::conclude(thread, client, item, args);
    }
}

/// Runs a script again that has found itself without shards it needs.
fn run_again(thread: &mut ThreadContext, client: &mut Client, item: &Item, args: Args<'_>) {
    client.flags.fetch_and(!client_flag::POSTPONED, Relaxed);
    thread.core.unlock();
    thread.exec.reply_mark = Some(client.output.len());
    if let Ok(call) = resolve(&thread.exec.index, item.command, args) {
        run(thread, client, &call, item, args);
    }
}

/// The end of a command: who waits for what it has made is served, and its shards are unlocked.
#[inline(always)]
fn finish(thread: &mut ThreadContext) {
    thread.exec.reply_mark = None;
    if thread.core.notices.is_any_ready() {
        serving::serve_ready(thread);
        thread.core.ended_at = None;
    }
    thread.core.unlock();
}

/// Takes the reply that begins at `mark` back if the client does not want it. Pushes before it
/// stay.
#[cold]
pub fn keep_quiet(core: &Core, client: &mut Client, mark: Option<usize>) {
    let (mut out, mut session) = session::split(client, core.heap);
    if session.has(client_flag::REPLY_OFF | client_flag::REPLY_SKIP)
        && let Some(mark) = mark
    {
        out.truncate(mark);
    }
    if session.has(client_flag::BLOCKED | client_flag::POSTPONED) {
        // Its reply is still to come.
        return;
    }
    session.clear(client_flag::REPLY_SKIP);
    if session.has(client_flag::REPLY_SKIP_NEXT) {
        session.clear(client_flag::REPLY_SKIP_NEXT);
        session.set(client_flag::REPLY_SKIP);
    }
}

/// Replies with an error to a command that is not run; one in a transaction spoils it.
#[cold]
fn reject(
    thread: &mut ThreadContext,
    client: &mut Client,
    item: &Item,
    args: Args<'_>,
    error: &Error,
) {
    let ThreadContext { core, exec, .. } = thread;
    if item.command == UNKNOWN && is_http(args.at(0)) {
        return hang_up(core, client);
    }
    let found = exec.index.meant(item.command, args).ok();
    client.last_command.store(found.map_or(0, |found| found.slot.wrapping_add(1)), Relaxed);
    if let Some(found) = found {
        add(&found.stat.rejected, 1);
    }
    // Whatever is wrong with EXEC itself ends the transaction, even if there is none.
    if item.command != UNKNOWN && exec.index[item.command].spec.has(flag::TRANSACTION) {
        multi::end(core, client, false);
        let mut out = session::split(client, core.heap).0;
        return fail(core, &mut out, &error::exec_abort(error));
    }
    let (mut out, mut session) = session::split(client, core.heap);
    if session.has(client_flag::MULTI) {
        session.set(client_flag::DIRTY_EXEC);
    }
    fail(core, &mut out, error);
}

/// Whether a line is one that only HTTP has: `POST`, or a `Host:` header.
fn is_http(word: &[u8]) -> bool {
    word.eq_ignore_ascii_case(b"post") || word.eq_ignore_ascii_case(b"host:")
}

/// Closes a connection over which a web page may have been made to send commands.
fn hang_up(core: &Core, client: &Client) {
    client.flags.fetch_or(client_flag::KILLED, Relaxed);
    let text = format!(
        "client {} closed: it sent an HTTP request; a web page may be trying to misuse a browser",
        client.id
    );
    core.host.log()(level::WARN, text.as_str().into());
}

/// Runs a command with its shards locked. They stay so.
#[inline(always)]
fn run(thread: &mut ThreadContext, client: &mut Client, call: &Call, item: &Item, args: Args<'_>) {
    let ThreadContext { core, exec, hashes } = thread;
    let db = client.db.load(Relaxed);
    let set = match call.keys {
        KeyRule::One(_) if item.hash != 0 => set_of(item.hash),
        KeyRule::Range { first, last, step } => {
            let keys = (first as usize..=args.len() - last as usize).step_by(step as usize);
            look_ahead(core, hashes, db, args, keys)
        }
        _ => lock_set(core, exec, client, call, args),
    };
    let one_hash = [item.hash];
    let known_hashes: &[u64] = match call.keys {
        KeyRule::One(_) if item.hash != 0 => &one_hash,
        KeyRule::Range { .. } => hashes,
        _ => &[],
    };
    core.running.begin(&About {
        client: client.reference(),
        slot: call.slot,
        db,
        shards: set,
        hashes: known_hashes,
    });
    if !core.lock_soon(set) {
        return put_off(core, client);
    }
    let flags = client.flags.load(Relaxed);
    if flags & client_flag::IN_TRACKING != 0 {
        tracked::catch_up(core, exec, client);
    }
    let records_access = flags & client_flag::NO_TOUCH == 0;
    core.applies_effects = flags & client_flag::APPLIES_EFFECTS != 0;
    let (out, session) = session::split(client, core.heap);
    let data = Ctx::new(Keys::new(core, db), out, call.spec, Mode::Direct);
    let mut cx = ClientCtx { data, session, exec };
    let keys = &mut cx.data.keys;
    keys.records_access = records_access;
    match call.keys {
        KeyRule::Range { .. } => keys.set_ahead(hashes),
        KeyRule::One(at) if item.hash != 0 => keys.hint(args.at(at as usize), item.hash),
        _ => {}
    }
    call::call(&mut cx, call, args);
    cx.data.keys.core.effects.flush();
    cx.data.keys.core.running.end();
    cx.data.keys.core.applies_effects = false;
    cx.data.keys.core.reads_change_nothing = false;
    if !cx.data.keys.core.own_pushes.is_empty() {
        push_before_reply(&mut cx);
    }
}

/// Puts a command off that needs a shard which somebody holds for long: its client's input stays as
/// it is until then, and the lane serves others meanwhile.
#[cold]
fn put_off(core: &mut Core, client: &mut Client) {
    core.running.end();
    core.reads_change_nothing = false;
    core.clock = Clock::read(core.host);
    pause::postpone(client, core.clock.now_ms + SHARD_RETRY_MS);
}

/// Puts what the command has pushed to its own client before its reply.
#[cold]
fn push_before_reply(cx: &mut ClientCtx<'_>) {
    let mut pushes = std::mem::take(&mut cx.data.keys.core.own_pushes);
    if !cx.data.out.resp3 {
        pushes.iter_mut().for_each(|push| push[0] = b'*');
    }
    let (mark, pushes) = (cx.exec.reply_mark.unwrap_or(cx.data.out.len()), pushes.concat());
    cx.data.out.insert(mark, &pushes);
    cx.exec.reply_mark = Some(mark + pushes.len());
}

/// The shards a command needs.
fn lock_set(
    core: &Core,
    exec: &mut Exec,
    client: &mut Client,
    call: &Call,
    args: Args<'_>,
) -> ShardSet {
    if call.spec.has(flag::TRANSACTION) {
        return transaction::lock_set(core, exec, client);
    }
    if call.spec.has(flag::RUNS_SCRIPT) {
        return habits::lock_set(core, &mut exec.habits, args);
    }
    keys_lock_set(core.roots.seed, call, args)
}
