//! Running one command: its code, its counters, and what it leaves to be done.

use core::sync::atomic::Ordering::Relaxed;

use abi::client::{ClientShared, flag as client_flag};
use abi::client_ref::ClientRef;
use abi::stats::CommandStat;

use crate::exec::context::{ClientCtx, Ctx, Mode};
use crate::exec::index::{Command, Index, KeyRule};
use crate::exec::spec::{Begin, Code, KeySpec, Spec, flag};
use crate::exec::{aftermath, capture, monitor, slow, tracked, warming};
use crate::maintenance::notices;
use crate::session::blocking::{self, Keyed};
use crate::session::slow::Sender;
use crate::session::{clients, latency, monitor as monitors, stats};
use base::args::Args;
use base::attention;
use base::clock::ticks;
use base::core::Core;
use base::counters::add;
use base::error::{self, Done, Error};
use base::hash::hash;
use base::heap::if_room;
use base::lock::{ALL_SHARDS, ShardSet, set_of};
use base::resp::parse::Span;
use base::resp::write::Reply;

/// No command of the release has the name.
pub const UNKNOWN: u16 = u16::MAX;

/// A command of the index, copied out of it.
#[derive(Clone, Copy)]
pub struct Call {
    /// Its row.
    pub spec: &'static Spec,
    /// Where it is in the index.
    pub at: u16,
    /// Its slot in the counters.
    pub slot: u32,
    /// What this lane counts of it.
    pub stat: &'static CommandStat,
    /// How its keys are found.
    pub keys: KeyRule,
}

impl From<&Command> for Call {
    #[inline(always)]
    fn from(found: &Command) -> Self {
        let Command { spec, at, slot, stat, keys, .. } = *found;
        Self { spec, at, slot, stat, keys }
    }
}

/// Finds the command that is meant, down to the subcommand, and checks how many arguments it has.
#[inline(always)]
pub fn resolve(index: &Index, command: u16, args: Args<'_>) -> Result<Call, Error> {
    let found = index.meant(command, args)?;
    if !found.spec.takes(args.len()) {
        return Err(error::wrong_arity(found.spec.name));
    }
    Ok(Call::from(found))
}

/// A command by its name and arguments, as it is in this release.
pub fn look_up(index: &Index, args: Args<'_>) -> Result<Call, Error> {
    resolve(index, index.find(args.at(0)).unwrap_or(UNKNOWN), args)
}

/// The shards of the keys that a command names.
pub fn keys_lock_set(seed: [u64; 2], call: &Call, args: Args<'_>) -> ShardSet {
    let set = |key: &[u8]| set_of(hash(key, seed));
    match call.keys {
        KeyRule::None => 0,
        KeyRule::One(at) => args.get(at as usize).map_or(0, set),
        KeyRule::Two(a, b) => set(args.at(a as usize)) | set(args.at(b as usize)),
        KeyRule::Range { first, last, step } => {
            let end = args.len() - last as usize;
            (first as usize..=end).step_by(step as usize).fold(0, |all, i| all | set(args.at(i)))
        }
        KeyRule::Located(locate) => {
            locate(args).map(|i| args.at(i)).fold(0, |all, key| all | set(key))
        }
        KeyRule::Rules => {
            call.spec.key_indices(args).into_iter().fold(0, |all, i| all | set(args.at(i)))
        }
        KeyRule::Patterns => match (1..args.len()).any(|i| args.at(i).contains(&b'*')) {
            true => ALL_SHARDS,
            false => call.spec.keys.iter().fold(0, |all, rule| all | patternless(rule, args, &set)),
        },
        KeyRule::All => ALL_SHARDS,
    }
}

/// Calls `f` with each key that a command names, until one is not to its liking. Tells whether all
/// were.
pub fn are_keys_all(call: &Call, args: Args<'_>, mut f: impl FnMut(&[u8]) -> bool) -> bool {
    match call.keys {
        KeyRule::One(at) => args.get(at as usize).is_none_or(f),
        _ => call.spec.key_indices(args).into_iter().all(|at| f(args.at(at))),
    }
}

/// The shards of what a rule may find in a command without patterns: what stands behind any of its
/// words, whichever the command takes for its option.
fn patternless(rule: &KeySpec, args: Args<'_>, set: &dyn Fn(&[u8]) -> ShardSet) -> ShardSet {
    match rule.begin {
        Begin::Index(at) => args.get(at as usize).map_or(0, set),
        Begin::Unknown("") => 0,
        Begin::Unknown(word) | Begin::Keyword(word, _) => {
            let found = (1..args.len()).filter(|i| args.is(*i, word));
            found.filter_map(|i| args.get(i + 1)).fold(0, |all, key| all | set(key))
        }
    }
}

/// Runs a client's command whose shards are locked; writes its error if it fails; counts it.
#[inline(always)]
pub fn call(cx: &mut ClientCtx<'_>, call: &Call, args: Args<'_>) {
    match attention::is_any(cx.data.keys.core.roots) {
        false => call_admitted(cx, call, args, Ok(())),
        true => call_attended(cx, call, args),
    }
}

/// As [`call`], while there is something to look at.
#[cold]
#[inline(never)]
fn call_attended(cx: &mut ClientCtx<'_>, call: &Call, args: Args<'_>) {
    let attended = match call.spec.has(flag::WRITE) {
        true => warming::attend(&mut cx.data, cx.session.id(), call, args),
        false => Ok(()),
    };
    let capture = capture::begin(cx, call, args);
    call_admitted(cx, call, args, attended);
    if let Some(capture) = capture {
        capture::end(cx, call, args, capture);
    }
}

/// Runs a command unless something has kept it from that.
#[inline(always)]
fn call_admitted(cx: &mut ClientCtx<'_>, call: &Call, args: Args<'_>, attended: Done) {
    let host = cx.data.keys.core.host;
    let started = Started::now(&mut cx.data, call);
    let outcome = if attended.is_err() {
        attended
    } else if is_to_be_told(&cx.data, call) {
        let of = (cx.data.keys.db, call, args);
        aftermath::told(cx, |cx| cx.data.core(), of, |cx| run(cx, call, args))
    } else {
        run(cx, call, args)
    };
    let is_over = is_over(cx, call, args);
    let output = started.output;
    let elapsed_ns = account(&mut cx.data, call, args, started, outcome, is_over);
    if !is_over {
        return;
    }
    let reply = cx.data.out.len().saturating_sub(output);
    let waits = cx.data.wait.is_some();
    if waits {
        wait(cx, args);
    } else {
        record_duration(cx.data.keys.core, call, elapsed_ns);
    }
    let core = &mut *cx.data.keys.core;
    if cx.data.mode == Mode::Direct {
        core.clock.pass(elapsed_ns, host);
    }
    if elapsed_ns >= core.settings.noticed_ns {
        if_room(|| notice(core, cx.session.state(), (call.spec, args), elapsed_ns, waits));
    }
    // At least the greater of both, and less than twice that: whether it is so, is looked at there.
    if (args.bytes_at_most() | reply) as u64 >= core.settings.large_bytes
        && cx.exec.release.has("commandlog")
    {
        if_room(|| slow::record_large(core, cx.session.state(), (call.spec, args), reply));
    }
    if monitors::is_on(core.roots) {
        if_room(|| feed_monitors(cx, call.spec, args));
    }
}

/// After a command's code: whether it is over. One that puts itself off is run again, and counted
/// then. Keys that it has read are remembered for a client that tracks them.
#[inline(always)]
fn is_over(cx: &mut ClientCtx<'_>, call: &Call, args: Args<'_>) -> bool {
    if !cx.session.has(client_flag::POSTPONED | client_flag::TRACKING) {
        return true;
    }
    let is_over = !cx.session.has(client_flag::POSTPONED);
    if is_over {
        tracked::remember(cx, call, args);
    }
    is_over
}

#[inline(always)]
fn run(cx: &mut ClientCtx<'_>, call: &Call, args: Args<'_>) -> Done {
    match call.spec.code {
        Code::Keys(run) => run(&mut cx.data, args),
        Code::Client(run) => run(cx, args),
    }
}

/// Whether what a command does must be told even if it is broken off.
#[inline(always)]
fn is_to_be_told(cx: &Ctx<'_>, call: &Call) -> bool {
    cx.tells_effects() && call.spec.has(flag::WRITE)
}

/// How long a command took that does not wait: one that does is counted when it is served.
#[inline(always)]
fn record_duration(core: &Core, call: &Call, elapsed_ns: u64) {
    if core.settings.latency_tracking {
        stats::record(call.stat, elapsed_ns, core.heap);
    }
}

/// Runs a command on behalf of a client of another lane, under the locks it takes. One that
/// concerns its client cannot be run so.
pub fn call_served(cx: &mut Ctx<'_>, call: &Call, args: Args<'_>, client: ClientRef) {
    let started = Started::now(cx, call);
    if attention::is_any(cx.keys.core.roots) && call.spec.has(flag::WRITE) {
        warming::attend_served(cx, client, call, args);
    }
    let outcome = match call.spec.code {
        Code::Keys(run) if is_to_be_told(cx, call) => {
            aftermath::told(cx, Ctx::core, (cx.keys.db, call, args), |cx| run(cx, args))
        }
        Code::Keys(run) => run(cx, args),
        Code::Client(_) => Err(error::NEEDS_CLIENT),
    };
    // It was counted when its client began to wait.
    let elapsed_ns = account(cx, call, args, started, outcome, false);
    if cx.mode == Mode::NotServed {
        return;
    }
    let core = &*cx.keys.core;
    record_duration(core, call, elapsed_ns);
    if elapsed_ns >= core.settings.noticed_ns {
        let sender = || clients::find(core, client, |c, guarded| Sender::of(core.heap, c, guarded));
        if_room(|| slow::record_slow(core, sender, (call.spec, args), elapsed_ns));
    }
}

/// How things were when a command began.
struct Started {
    ticks: u64,
    /// Bytes of output.
    output: usize,
    /// Changes that this lane had counted.
    dirty: u64,
}

impl Started {
    #[inline(always)]
    fn now(cx: &mut Ctx<'_>, call: &Call) -> Self {
        // A command that takes something away first would otherwise be without a reply.
        cx.out.reserve_line();
        let core = &mut *cx.keys.core;
        core.reads_only = call.spec.has(flag::READONLY);
        let ticks = core.ended_at.take().unwrap_or_else(|| ticks(core.host));
        core.running.since(ticks);
        Self { ticks, output: cx.out.len(), dirty: core.stats.dirty.load(Relaxed) }
    }
}

/// Counts a command that has run, writes its error if it failed, and acts on what was noticed
/// below. Returns how long it took.
#[inline(always)]
fn account(
    cx: &mut Ctx<'_>,
    call: &Call,
    args: Args<'_>,
    started: Started,
    outcome: Done,
    is_first: bool,
) -> u64 {
    let core = &mut *cx.keys.core;
    let now = ticks(core.host);
    let elapsed_ns = core.ticks.to_ns(now.wrapping_sub(started.ticks));
    core.ended_at = Some(now);
    add(&call.stat.calls, is_first as u64);
    add(&call.stat.time_ns, elapsed_ns);
    add(&core.stats.commands, is_first as u64);
    if core.effects.is_on() {
        tell_effect(core, cx.keys.db, call.spec, args, started.dirty);
    }
    if let Err(error) = outcome {
        add(&call.stat.failed, 1);
        // What it had written of another reply must not reach the client.
        cx.out.truncate(started.output);
        fail(core, &mut cx.out, &error);
    }
    if core.notices.is_any() {
        core.ended_at = None;
        notices::settle(core);
    }
    elapsed_ns
}

/// Tells what a command did: it is its own effect if it has changed something and said nothing
/// else.
fn tell_effect(core: &mut Core, db: u32, spec: &Spec, args: Args<'_>, dirty: u64) {
    let has_changed = core.stats.dirty.load(Relaxed) != dirty;
    if !core.effects.take_is_said() && has_changed && spec.has(flag::WRITE) {
        core.effects.verbatim(db, spec.first_word().as_bytes(), args);
    }
}

/// Makes the client of a command wait, as the command has asked for.
#[cold]
fn wait(cx: &mut ClientCtx<'_>, args: Args<'_>) {
    let Some(waiting) = cx.data.wait.take() else { return };
    let (data, spans) = instead_of(args, &waiting.instead);
    let keyed = Keyed {
        db: cx.data.keys.db,
        keys: waiting.keys.iter().map(Vec::as_slice).collect(),
        args: Args::new(&data, &spans),
        awaited: waiting.awaited,
        resp3: cx.data.out.resp3,
    };
    blocking::block(cx.data.keys.core, cx.session.state_mut(), keyed);
}

/// Arguments, some of them replaced, in bytes of their own.
fn instead_of(args: Args<'_>, instead: &[(usize, Vec<u8>)]) -> (Vec<u8>, Vec<Span>) {
    let (mut data, mut spans) = (Vec::new(), Vec::with_capacity(args.len()));
    for (index, arg) in args.from(0).enumerate() {
        let replaced = instead.iter().find(|(at, _)| *at == index);
        let arg = replaced.map_or(arg, |(_, by)| by);
        spans.push(Span { start: data.len() as u32, len: arg.len() as u32 });
        data.extend_from_slice(arg);
    }
    (data, spans)
}

/// Remembers a command that took long: in the slow log, unless it `waits`, and as an event of the
/// latency monitor.
#[cold]
fn notice(
    core: &mut Core,
    client: &ClientShared,
    (spec, args): (&Spec, Args<'_>),
    elapsed_ns: u64,
    waits: bool,
) {
    core.ended_at = None;
    if !waits {
        slow::record_slow(core, || Some(Sender::own(core, client)), (spec, args), elapsed_ns);
    }
    let event = if spec.has(flag::FAST) { "fast-command" } else { "command" };
    latency::record(core, event, elapsed_ns / 1_000_000);
}

/// Shows a command to those who watch all.
#[cold]
fn feed_monitors(cx: &mut ClientCtx<'_>, spec: &Spec, args: Args<'_>) {
    cx.data.keys.core.ended_at = None;
    let (mode, client) = (cx.data.mode, cx.session.state());
    if let Some(line) = monitor::feed(cx.data.keys.core, client, mode, spec, args) {
        cx.data.out.raw(&line);
    }
}

/// Writes an error reply and counts it.
pub fn fail(core: &Core, out: &mut Reply<'_>, error: &Error) {
    count_error(core, error);
    out.error(error.text());
}

/// Counts an error reply.
pub fn count_error(core: &Core, error: &Error) {
    add(&core.stats.errors, 1);
    stats::count_error(core, error.text());
}
