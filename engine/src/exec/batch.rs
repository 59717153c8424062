//! A batch: the complete commands in a client's input, parsed together so that the memory they
//! will need is on its way to the cache before the first of them runs.
#![allow(unsafe_code, reason = "a client's input lies where the shell has put it")]

use core::sync::atomic::Ordering::Relaxed;

use abi::client::{Client, flag};

use crate::exec::call::{UNKNOWN, fail};
use crate::exec::dispatch;
use crate::exec::index::KeyRule;
use crate::exec::panics::{self, Unwound};
use crate::exec::thread::ThreadContext;
use crate::exec::transaction;
use crate::session::stats::counters_of;
use crate::session::{self, acl, blocking, lifecycle};
use base::args::Args;
use base::counters::add;
use base::hash::hash;
use base::heap::Heap;
use base::resp::parse::{self, Limits, Outcome, Progress, Span};
use base::vec::Words;
use keyspace::ahead::{fetch_bucket, fetch_item, fetch_part, fetch_part_bucket};
use store::table::Inner;

/// Commands parsed ahead: enough to hide a cache miss behind the parsing of others, few enough
/// that what was fetched is still there when it is used.
const AHEAD: usize = 32;

/// Unsent replies above which a batch ends early, so that the shell can send some.
const OUTPUT_MAX: usize = 1 << 20;

/// Spans kept allocated between batches.
const SPANS_KEPT: usize = 4096;

/// A parsed command.
#[derive(Clone, Copy)]
pub struct Item {
    /// Where it is in the index, or [`UNKNOWN`].
    pub command: u16,
    /// Whether its arguments are in the inline data instead of the input.
    inline: bool,
    first: u32,
    count: u32,
    /// Offset in the input, from where the batch began, behind it.
    end: usize,
    /// Hash of its first key, if it has exactly one.
    pub hash: u64,
}

/// Parsed commands, and what stands in the input behind them.
#[derive(Default)]
pub struct Batch {
    items: Vec<Item>,
    spans: Vec<Span>,
    inline: Vec<u8>,
    /// What is wrong there.
    broken: Option<String>,
    /// How far an incomplete command there was parsed. What was found of it is in `spans`, from
    /// this index on.
    partial: Option<(Progress, usize)>,
    /// Bytes behind the last item that hold nothing to execute.
    skipped: usize,
    /// Whether any of the items may find a part of its key's value.
    has_parts: bool,
    /// Fields and members on their way to the cache.
    parts: Vec<Inner>,
}

/// Executes all complete commands in a client's input.
pub fn process(thread: &mut ThreadContext, client: &mut Client) {
    client.flags.fetch_and(!(flag::MORE_INPUT | flag::POSTPONED), Relaxed);
    while may_process(client) {
        thread.refresh();
        let mut batch = std::mem::take(&mut thread.exec.batch);
        batch.fill(thread, client);
        let more = !batch.items.is_empty();
        if more {
            batch.prefetch(thread, client);
            batch.execute(thread, client);
        }
        const LATER: u64 = flag::POSTPONED | flag::MORE_INPUT;
        let finished = !more || client.flags.load(Relaxed) & LATER != 0;
        if may_process(client) {
            batch.conclude(thread, client);
        }
        batch.clear();
        thread.exec.batch = batch;
        if finished {
            break;
        }
    }
    if client.flags.load(Relaxed) & flag::CLOSE_AFTER_REPLY != 0 {
        // Before its last reply is sent: nothing is counted as sent to it by who has read that.
        lifecycle::forget_session(&mut thread.core, client, false);
    }
}

/// After [`process`] was unwound by a panic or for want of memory: replies to the command that
/// caused it and undoes what that left half done. `begin` is where the input began.
pub fn recover(thread: &mut ThreadContext, client: &mut Client, begin: u64, unwound: &Unwound) {
    thread.core.pay();
    match thread.exec.reply_mark.take() {
        Some(mark) => fail_running(thread, client, mark, unwound),
        // No command ran. The same input would lead to the same end for ever.
        None if client.input.start == begin => {
            tell(thread, client, None, unwound);
            let (mut out, mut session) = session::split(client, thread.core.heap);
            fail(&thread.core, &mut out, &unwound.error());
            session.close_after_reply();
        }
        // The command has its reply: this came while others were looked after.
        None => tell(thread, client, None, unwound),
    }
    client.flags.fetch_or(flag::MORE_INPUT, Relaxed);
}

/// Gives the command that ran, whose reply begins at `mark`, an error for a reply.
fn fail_running(thread: &mut ThreadContext, client: &mut Client, mark: usize, unwound: &Unwound) {
    let slot = client.last_command.load(Relaxed).checked_sub(1);
    if let Some(slot) = slot {
        let core = &thread.core;
        panics::count(core, counters_of(core, core.stats, slot));
    }
    tell(thread, client, slot, unwound);
    if !blocking::give_up(&mut thread.core, client) {
        return;
    }
    let because = transaction::break_off(thread, client, unwound.error());
    let (mut out, _) = session::split(client, thread.core.heap);
    out.truncate(mark);
    fail(&thread.core, &mut out, &because);
    dispatch::keep_quiet(&thread.core, client, Some(mark));
}

fn tell(thread: &mut ThreadContext, client: &Client, slot: Option<u32>, unwound: &Unwound) {
    let ThreadContext { core, exec, .. } = thread;
    exec.panics.tell(core, unwound, |core| panics::command_of(core, slot, client));
}

/// Whether the client's next command may run.
fn may_process(client: &Client) -> bool {
    const NOT: u64 = flag::BLOCKED | flag::POSTPONED | flag::CLOSE_AFTER_REPLY | flag::KILLED;
    !client.input.is_empty() && client.flags.load(Relaxed) & NOT == 0
}

impl Batch {
    /// Parses up to [`AHEAD`] commands.
    fn fill(&mut self, thread: &ThreadContext, client: &mut Client) {
        // SAFETY: only the shell moves, frees or writes input, and it sleeps until `process` returns.
        let input = unsafe { unread(client) };
        let input = &input[..input.len().min(parse::COMMAND_MAX)];
        let is_stranger = acl::is_stranger(thread.core.roots, client);
        let limits = Limits { bulk_max: thread.core.settings.bulk_max, is_stranger };
        // One at a time: behind the right password other limits hold.
        let ahead = if is_stranger { 1 } else { AHEAD };
        let mut progress = recall(client);
        if progress.arguments == 0 {
            client.parse.offset = 0;
        }
        let mut at = 0;
        let mut need = 0;
        while self.items.len() < ahead && at < input.len() {
            let mut first = self.spans.len();
            let rest = &input[at..];
            let resumed = progress.arguments > 0;
            match parse::parse(rest, limits, &mut progress, &mut self.spans, &mut self.inline) {
                Outcome::Command(end) => {
                    if resumed {
                        first = 0;
                        take_remembered(client, &mut self.spans, thread.core.heap);
                    }
                    self.spans[first..].iter_mut().for_each(|s| s.start += at as u32);
                    at += end;
                    self.push(thread, input, first, at, false);
                }
                Outcome::Inline(end) => {
                    at += end;
                    self.push(thread, input, first, at, true);
                    break;
                }
                Outcome::Skip(end) => {
                    at += end;
                    match self.items.last_mut() {
                        Some(last) => last.end = at,
                        None => self.skipped = at,
                    }
                }
                Outcome::Incomplete(bytes) if at == 0 && bytes > parse::COMMAND_MAX => {
                    self.broken = Some("too big command".into());
                    break;
                }
                Outcome::Incomplete(bytes) => {
                    need = bytes;
                    self.partial = Some((progress, first));
                    break;
                }
                Outcome::Broken(text) => {
                    self.broken = Some(text);
                    break;
                }
            }
        }
        client.input_need = need as u64;
    }

    fn push(
        &mut self,
        thread: &ThreadContext,
        input: &[u8],
        first: usize,
        end: usize,
        inline: bool,
    ) {
        let data = if inline { &self.inline } else { input };
        let args = Args::new(data, &self.spans[first..]);
        let command = thread.exec.index.find(args.at(0)).unwrap_or(UNKNOWN);
        let mut item =
            Item { command, inline, first: first as u32, count: args.len() as u32, end, hash: 0 };
        let found = (command != UNKNOWN).then(|| &thread.exec.index[command]);
        if let Some(found) = found
            && let KeyRule::One(at) = found.keys
            && let Some(key) = args.get(at as usize)
        {
            self.has_parts |= found.part > 0;
            item.hash = hash(key, thread.core.roots.seed);
            // Under way while the rest of the batch is parsed.
            fetch_bucket(thread.core.roots, 0, item.hash);
        }
        self.items.push(item);
    }

    /// Fetches the entries of the keys that will be needed, whose buckets are under way; then, where
    /// a value is a table, the fields and members.
    fn prefetch(&mut self, thread: &ThreadContext, client: &Client) {
        if self.items.len() < 2 {
            return;
        }
        // SAFETY: as in `fill`.
        let input = unsafe { unread(client) };
        let roots = thread.core.roots;
        for item in self.items.iter().filter(|item| item.hash != 0) {
            fetch_item(roots, 0, item.hash);
        }
        if self.has_parts {
            self.prefetch_parts(thread, input);
        }
    }

    /// As [`Batch::prefetch`], of fields and members.
    fn prefetch_parts(&mut self, thread: &ThreadContext, input: &[u8]) {
        let roots = thread.core.roots;
        let mut parts = std::mem::take(&mut self.parts);
        parts.extend(self.items.iter().filter(|item| item.hash != 0).filter_map(|item| {
            let part = thread.exec.index[item.command].part_of(self.args(item, input))?;
            fetch_part_bucket(roots, 0, item.hash, part)
        }));
        parts.drain(..).for_each(|part| fetch_part(roots, part));
        self.parts = parts;
    }

    /// The arguments of an item, where `input` is the client's.
    fn args<'a>(&'a self, item: &Item, input: &'a [u8]) -> Args<'a> {
        let data = if item.inline { &self.inline[..] } else { input };
        Args::new(data, &self.spans[item.first as usize..][..item.count as usize])
    }

    /// Executes the items. Their effects are in the stream when this returns, before any reply is
    /// sent.
    fn execute(&mut self, thread: &mut ThreadContext, client: &mut Client) {
        if let [_, .., last] = &self.items[..] {
            thread.core.defer_effects(self.items.len(), last.end, self.spans.len());
        }
        self.execute_items(thread, client);
        thread.core.pay();
    }

    /// Executes the items in order, until one blocks the client or ends the connection.
    fn execute_items(&mut self, thread: &mut ThreadContext, client: &mut Client) {
        // SAFETY: as in `fill`; what commands do with the client leaves its input alone.
        let input = unsafe { unread(client) };
        let begin = client.input.start;
        for item in &self.items {
            let args = self.args(item, input);
            let before = client.input.start;
            let consumed = begin + item.end as u64;
            let unsent = client.output.len();
            client.under_way.begin(consumed, unsent);
            // Consumed before it runs, so that a command that panics is not run again.
            client.input.start = consumed;
            dispatch::execute(thread, client, item, args);
            client.under_way.end();
            let flags = client.flags.load(Relaxed);
            if flags & flag::POSTPONED != 0 {
                client.input.start = before;
            }
            const STOP: u64 =
                flag::BLOCKED | flag::POSTPONED | flag::CLOSE_AFTER_REPLY | flag::KILLED;
            let flooded = client.output.len() > OUTPUT_MAX && !client.input.is_empty();
            if flooded {
                client.flags.fetch_or(flag::MORE_INPUT, Relaxed);
            }
            if flags & STOP != 0 || flooded {
                // What follows will be looked at again: the input no longer begins where it did.
                client.input_need = 0;
                self.broken = None;
                self.partial = None;
                return;
            }
        }
    }

    /// All items have been executed: consumes what holds no command, keeps what was found of an
    /// incomplete one, replies to what is not the protocol.
    fn conclude(&mut self, thread: &mut ThreadContext, client: &mut Client) {
        if self.items.is_empty() {
            client.input.start += self.skipped as u64;
        }
        if let Some((progress, first)) = self.partial.take() {
            remember(client, progress, &self.spans[first..], thread.core.heap);
        }
        if let Some(text) = self.broken.take() {
            let (mut out, mut session) = session::split(client, thread.core.heap);
            out.error(format!("ERR Protocol error: {text}").as_bytes());
            session.close_after_reply();
            add(&thread.core.stats.errors, 1);
        }
    }

    fn clear(&mut self) {
        self.items.clear();
        self.spans.clear();
        self.spans.shrink_to(SPANS_KEPT);
        self.inline.clear();
        self.has_parts = false;
        self.broken = None;
        self.partial = None;
        self.skipped = 0;
    }
}

/// The input not yet consumed, for longer than the client is borrowed.
///
/// # Safety
/// While the slice is used, nobody moves, frees or writes to these bytes of the client's input. The
/// offsets in the buffer may change.
unsafe fn unread<'a>(client: &Client) -> &'a [u8] {
    let input = &client.input;
    if input.is_empty() {
        return &[];
    }
    // SAFETY: `start..end` of the buffer has been received; it stays, as the caller promises.
    unsafe {
        core::slice::from_raw_parts(input.data.as_ptr().add(input.start as usize), input.len())
    }
}

/// Keeps with the client how far an incomplete command was parsed, and further arguments of it if
/// they are worth it.
fn remember(client: &mut Client, progress: Progress, spans: &[Span], heap: Heap) {
    let parse = &mut client.parse;
    let mut kept = Words::new(&mut parse.spans, heap);
    if spans.len() == progress.found as usize {
        kept.clear();
    }
    for span in spans {
        kept.push((span.start as u64) << 32 | span.len as u64);
    }
    parse.arguments = progress.arguments;
    parse.found = progress.found;
    parse.offset = progress.offset as u64;
}

/// How far the command at the start of the input was parsed before.
fn recall(client: &Client) -> Progress {
    let parse = &client.parse;
    Progress { arguments: parse.arguments, found: parse.found, offset: parse.offset as usize }
}

/// Puts the arguments that [`remember`] kept before those found since.
fn take_remembered(client: &mut Client, spans: &mut Vec<Span>, heap: Heap) {
    let parse = &mut client.parse;
    let mut kept = Words::new(&mut parse.spans, heap);
    let before = kept.as_slice().iter();
    spans.splice(0..0, before.map(|w| Span { start: (w >> 32) as u32, len: *w as u32 }));
    kept.free();
    (parse.arguments, parse.found, parse.offset) = (0, 0, 0);
}
