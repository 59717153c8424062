//! From a parsed command to its reply: admission, locks, call, counters.

use core::sync::atomic::Ordering::Relaxed;

use abi::client::{Client, flag as client_flag};
use abi::client_ref::ClientRef;

use base::clock::ticks;

use base::args::Args;
use base::error::{Error, self};
use crate::exec::index::{Command, Keys as KeyRule};
use crate::exec::spec::{Spec, flag};
use crate::exec::context::{Ctx, Mode};
use base::heap::if_room;
use keyspace::Keys;
use keyspace::ahead::look_ahead;
use base::hash::hash;
use base::lock::{ALL_SHARDS, ShardSet, set_of};
use base::core::Core;
use crate::exec::batch::{Item, UNKNOWN};
use crate::session::{self, blocking};
use crate::session::stats;

/// A command of the index, copied out of it.
#[derive(Clone, Copy)]
pub struct Call {
    /// Its row.
    pub spec: &'static Spec,
    /// Its slot in the counters.
    pub slot: u16,
    keys: KeyRule,
}

/// Executes a command a client sent.
#[inline]
pub fn execute(lane: &mut Lane, client: &mut Client, item: &Item, args: Args<'_>) {
    lane.settings.refresh(lane.roots);
    lane.reply_mark = Some(client.output.len());
    match resolve(lane, item.command, args).and_then(|call| admit(lane, client, call, args)) {
        Ok(Admitted::Run(call)) => run(lane, client, call, item, args),
        Ok(Admitted::Elsewhere) => {}
        Err(error) => reject(lane, client, item, args, &error),
    }
    const QUIET: u64 =
        client_flag::REPLY_OFF | client_flag::REPLY_SKIP | client_flag::REPLY_SKIP_NEXT;
    if client.flags.load(Relaxed) & QUIET != 0 {
        keep_quiet(lane, client, lane.reply_mark);
    }
    lane.reply_mark = None;
    if !lane.ready.is_empty() {
        blocking::serve_ready(lane);
    }
    lane.locks.release();
}

/// Takes the reply that begins at `mark` back if the client does not want it. Pushes before it
/// stay.
#[cold]
pub fn keep_quiet(lane: &Lane, client: &mut Client, mark: Option<usize>) {
    let (mut out, mut session) = session::split(client, lane.heap);
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

/// The command that is meant, down to the subcommand.
#[inline]
fn meant<'a>(lane: &'a Lane, command: u16, args: Args<'_>) -> Result<&'a Command, Error> {
    if command == UNKNOWN {
        return Err(error::unknown_command(args.at(0), args.from(1)));
    }
    let found = &lane.index[command];
    if found.spec.subcommands.is_empty() || args.len() < 2 {
        return Ok(found);
    }
    match lane.index.find_subcommand(command, args.at(1)) {
        Some(sub) => Ok(&lane.index[sub]),
        None => Err(error::unknown_subcommand(found.spec.name, args.at(1))),
    }
}

/// Finds the command that is meant, down to the subcommand, and checks how many arguments it has.
#[inline]
pub fn resolve(lane: &Lane, command: u16, args: Args<'_>) -> Result<Call, Error> {
    let found = meant(lane, command, args)?;
    if !found.spec.takes(args.len()) {
        return Err(error::wrong_arity(found.spec.name));
    }
    Ok(Call { spec: found.spec, slot: found.slot, keys: found.keys })
}

enum Admitted {
    /// Run it now.
    Run(Call),
    /// It was queued or put off; the client has been told what it needs to know.
    Elsewhere,
}

/// Whether the command may run now, as things are with this client and the server.
#[inline]
fn admit(
    lane: &mut Lane,
    client: &mut Client,
    call: Call,
    args: Args<'_>,
) -> Result<Admitted, Error> {
    use client_flag::{AUTHENTICATED, MONITOR, MULTI, PUBSUB};
    let flags = client.flags.load(Relaxed);
    if flags & (AUTHENTICATED | MONITOR | MULTI | PUBSUB) != AUTHENTICATED {
        check_state(client, flags, call.spec)?;
    }
    if lane.settings.maxmemory != 0 {
        crate::maintenance::evict::make_room(lane, client, call.spec)?;
    }
    if session::pause::is_on(lane.roots) && session::pause::holds_back(lane, client, call.spec) {
        return Ok(Admitted::Elsewhere);
    }
    if flags & MULTI != 0 && !call.spec.has(flag::NOT_QUEUED) {
        session::multi::queue(lane, client, args);
        return Ok(Admitted::Elsewhere);
    }
    Ok(Admitted::Run(call))
}

/// Refuses what a client in its state may not run.
#[cold]
fn check_state(client: &Client, flags: u64, spec: &Spec) -> Result<(), Error> {
    if flags & client_flag::AUTHENTICATED == 0 && !spec.has(flag::NO_AUTH) {
        return Err(error::NO_AUTH);
    }
    if flags & client_flag::MULTI != 0 && spec.has(flag::NO_MULTI) {
        return Err(error::NO_MULTI);
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

/// Replies with an error to a command that is not run; one in a transaction spoils it.
#[cold]
fn reject(lane: &mut Lane, client: &mut Client, item: &Item, args: Args<'_>, error: &Error) {
    if item.command == UNKNOWN && is_http(args.at(0)) {
        return hang_up(lane, client);
    }
    if let Ok(found) = meant(lane, item.command, args) {
        stats::add(&lane.command_stat(found.slot).rejected, 1);
    }
    if client.flags.load(Relaxed) & client_flag::MULTI == 0 {
        return fail(lane, &mut session::split(client, lane.heap).0, error);
    }
    // Whatever is wrong with EXEC itself ends the transaction.
    let ends = item.command != UNKNOWN && lane.index[item.command].spec.has(flag::TRANSACTION);
    if ends {
        session::multi::end(lane, client, false);
    }
    let (mut out, mut session) = session::split(client, lane.heap);
    if ends {
        return fail(lane, &mut out, &error::exec_abort(error));
    }
    session.set(client_flag::DIRTY_EXEC);
    fail(lane, &mut out, error);
}

/// Whether a line is one that only HTTP has: `POST`, or a `Host:` header.
fn is_http(word: &[u8]) -> bool {
    word.eq_ignore_ascii_case(b"post") || word.eq_ignore_ascii_case(b"host:")
}

/// Closes a connection over which a web page may have been made to send commands.
fn hang_up(lane: &Lane, client: &Client) {
    client.flags.fetch_or(client_flag::KILLED, Relaxed);
    let text = format!(
        "client {} closed: it sent an HTTP request; a web page may be trying to misuse a browser",
        client.id
    );
    lane.host.log()(abi::host::level::WARN, text.as_str().into());
}

/// Writes an error reply and counts it.
pub fn fail(lane: &mut Lane, out: &mut base::resp::write::Reply<'_>, error: &Error) {
    count_error(lane, error);
    out.error(error.text());
}

/// Counts an error reply.
pub fn count_error(lane: &mut Lane, error: &Error) {
    stats::add(&lane.stats.errors, 1);
    stats::count_error(lane, error.text());
}

/// Runs a command with its shards locked. They stay so.
#[inline]
fn run(lane: &mut Lane, client: &mut Client, call: Call, item: &Item, args: Args<'_>) {
    let set = match call.keys {
        KeyRule::One(_) if item.hash != 0 => set_of(item.hash),
        KeyRule::Range { first, last, step } => {
            let keys = (first as usize..=args.len() - last as usize).step_by(step as usize);
            look_ahead(lane, client.db.load(Relaxed), args, keys)
        }
        _ => lock_set(lane, client, call, args),
    };
    client.last_command.store(call.slot as u32 + 1, Relaxed);
    lane.locks.acquire(set);
    let db = client.db.load(Relaxed);
    let touches = client.flags.load(Relaxed) & client_flag::NO_TOUCH == 0;
    let reference = ClientRef::new(client.worker, client.id);
    let (out, session) = session::split(client, lane.heap);
    let mut keys = Keys::new(lane, db);
    keys.touches = touches;
    keys.looked_ahead = matches!(call.keys, KeyRule::Range { .. });
    if let KeyRule::One(at) = call.keys
        && item.hash != 0
    {
        keys.know_hash(args.at(at as usize), item.hash);
    }
    let mut cx = Ctx { keys, out, session, spec: call.spec, mode: Mode::Direct };
    cx.keys.lane.running = Some(reference);
    self::call(&mut cx, call, args);
    cx.keys.lane.running = None;
    if !cx.keys.lane.own_pushes.is_empty() {
        push_before_reply(&mut cx);
    }
}

/// Puts what the command has pushed to its own client before its reply.
#[cold]
fn push_before_reply(cx: &mut Ctx<'_>) {
    let mut pushes = std::mem::take(&mut cx.keys.lane.own_pushes);
    if !cx.out.resp3 {
        pushes.iter_mut().for_each(|push| push[0] = b'*');
    }
    let (mark, pushes) = (cx.keys.lane.reply_mark.unwrap_or(cx.out.len()), pushes.concat());
    cx.out.insert(mark, &pushes);
    cx.keys.lane.reply_mark = Some(mark + pushes.len());
}

/// The shards a command needs.
fn lock_set(lane: &Lane, client: &mut Client, call: Call, args: Args<'_>) -> ShardSet {
    if call.spec.has(flag::TRANSACTION) {
        return session::multi::lock_set(lane, client);
    }
    keys_lock_set(lane, call, args)
}

/// The shards of the keys that a command names.
pub fn keys_lock_set(lane: &Lane, call: Call, args: Args<'_>) -> ShardSet {
    let set = |key: &[u8]| set_of(hash(key, lane.roots.seed));
    match call.keys {
        KeyRule::None => 0,
        KeyRule::One(at) => args.get(at as usize).map_or(0, set),
        KeyRule::Two(a, b) => set(args.at(a as usize)) | set(args.at(b as usize)),
        KeyRule::Range { first, last, step } => {
            let end = args.len() - last as usize;
            (first as usize..=end).step_by(step as usize).fold(0, |all, i| all | set(args.at(i)))
        }
        KeyRule::Rules => match call.spec.key_indices(args) {
            Some(indices) => indices.into_iter().fold(0, |all, i| all | set(args.at(i))),
            // The command will say what is wrong with its arguments.
            None => 0,
        },
        KeyRule::All => ALL_SHARDS,
    }
}

/// Runs a command whose shards are locked; writes its error if it fails; counts it.
#[inline]
pub fn call(cx: &mut Ctx<'_>, call: Call, args: Args<'_>) {
    let host = cx.keys.lane.host;
    // A client's command that is served late was counted when it began to wait.
    let again = matches!(cx.mode, Mode::Serving(_));
    let (begin, before) = (ticks(host), cx.out.len());
    cx.keys.lane.reads_only = call.spec.has(flag::READONLY);
    let outcome = (call.spec.run)(cx, args);
    let lane = &mut *cx.keys.lane;
    let elapsed_ns = lane.ticks.to_ns(ticks(host).wrapping_sub(begin));
    let stat = lane.command_stat(call.slot);
    stats::add(&stat.calls, !again as u64);
    stats::add(&stat.time_ns, elapsed_ns);
    stats::add(&lane.stats.commands, !again as u64);
    if let Err(error) = outcome {
        stats::add(&stat.failed, 1);
        // What it had written of another reply must not reach the client.
        cx.out.truncate(before);
        fail(lane, &mut cx.out, &error);
    }
    if lane.settings.latency_tracking {
        stats::record(stat, elapsed_ns, lane.heap);
    }
    if cx.mode == Mode::Direct {
        lane.clock.pass(elapsed_ns, host);
    }
    if elapsed_ns >= lane.settings.noticed_ns {
        if_room(|| notice(cx, args, elapsed_ns));
    }
    if session::monitor::is_on(cx.keys.lane.roots) {
        if_room(|| session::monitor::feed(cx, args));
    }
}

/// Remembers a command that took long: in the slow log, as an event of the latency monitor.
#[cold]
fn notice(cx: &mut Ctx<'_>, args: Args<'_>, elapsed_ns: u64) {
    let settings = &cx.keys.lane.settings;
    let slow_us = settings.slowlog_us;
    if slow_us >= 0 && elapsed_ns / 1000 >= slow_us as u64 {
        session::slow::record(cx, args, elapsed_ns / 1000);
    }
    let event = if cx.spec.has(flag::FAST) { "fast-command" } else { "command" };
    session::latency::record(cx.lane(), event, elapsed_ns / 1_000_000);
}

/// A command by its name and arguments, as it is in this release.
pub fn look_up(lane: &Lane, args: Args<'_>) -> Result<Call, Error> {
    resolve(lane, lane.index.find(args.at(0)).unwrap_or(UNKNOWN), args)
}

/// The row of a command by its name and, if it has subcommands, that of the subcommand.
pub fn find(lane: &Lane, args: Args<'_>) -> Option<&'static Spec> {
    let command = lane.index.find(args.at(0))?;
    let found = lane.index[command].spec;
    if found.subcommands.is_empty() || args.len() < 2 {
        return Some(found);
    }
    lane.index.find_subcommand(command, args.at(1)).map(|sub| lane.index[sub].spec)
}
