//! A batch: the complete commands in a client's input, parsed together so that the memory they
//! will need is on its way to the cache before the first of them runs.

use core::sync::atomic::Ordering::Relaxed;

use abi::client::{Client, flag};
use abi::container::RawVec;

use crate::command::args::Args;
use crate::command::dispatch;
use crate::command::index::Keys;
use crate::heap::Heap;
use crate::keyspace::hash::hash;
use crate::lane::Lane;
use crate::resp::parse::{self, Limits, Outcome, Progress, Span};
use crate::session;
use crate::stats;
use crate::store::table::{prefetch_bucket, prefetch_item};
use crate::store::vec::Words;

/// Commands parsed ahead: enough to hide a cache miss behind the parsing of others, few enough
/// that what was fetched is still there when it is used.
const AHEAD: usize = 32;

/// Unsent replies above which a batch ends early, so that the shell can send some.
const OUTPUT_MAX: usize = 1 << 20;

/// Spans kept allocated between batches.
const SPANS_KEPT: usize = 4096;

/// No command of the release has the name.
pub const UNKNOWN: u16 = u16::MAX;

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

/// Parsed commands and what is wrong with the input behind them.
#[derive(Default)]
pub struct Batch {
    items: Vec<Item>,
    spans: Vec<Span>,
    inline: Vec<u8>,
    broken: Option<String>,
    /// Bytes behind the last item that hold nothing to execute.
    skipped: usize,
}

/// Executes all complete commands in a client's input.
pub fn process(lane: &mut Lane, client: &mut Client) {
    client.flags.fetch_and(!(flag::MORE_INPUT | flag::POSTPONED), Relaxed);
    while may_process(client) {
        let mut batch = std::mem::take(&mut lane.batch);
        batch.fill(lane, client);
        let more = !batch.items.is_empty();
        if more {
            lane.refresh();
            batch.prefetch(lane);
            batch.execute(lane, client);
        }
        const LATER: u64 = flag::POSTPONED | flag::MORE_INPUT;
        let finished = !more || client.flags.load(Relaxed) & LATER != 0;
        if may_process(client) {
            batch.conclude(lane, client);
        }
        batch.clear();
        lane.batch = batch;
        if finished {
            break;
        }
    }
}

/// Whether the client's next command may run.
fn may_process(client: &Client) -> bool {
    const NOT: u64 = flag::BLOCKED | flag::POSTPONED | flag::CLOSE_AFTER_REPLY | flag::KILLED;
    !client.input.is_empty() && client.flags.load(Relaxed) & NOT == 0
}

impl Batch {
    /// Parses up to [`AHEAD`] commands.
    fn fill(&mut self, lane: &Lane, client: &mut Client) {
        let input = unread(client);
        let limits = if client.flags.load(Relaxed) & flag::AUTHENTICATED != 0 {
            Limits { bulk_max: lane.settings.bulk_max, arguments_max: Limits::ARGUMENTS_MAX }
        } else {
            Limits::STRANGER
        };
        let mut progress = recall(client, &mut self.spans, lane.heap);
        let mut at = 0;
        let mut need = 0;
        while self.items.len() < AHEAD && at < input.len() {
            let first = if at == 0 { 0 } else { self.spans.len() };
            let rest = &input[at..];
            let spans = &mut self.spans;
            match parse::parse(rest, limits, &mut progress, spans, &mut self.inline) {
                Outcome::Command(end) => {
                    self.spans[first..].iter_mut().for_each(|s| s.start += at as u32);
                    at += end;
                    self.push(lane, input, first, at, false);
                }
                Outcome::Inline(end) => {
                    at += end;
                    self.push(lane, input, first, at, true);
                    break;
                }
                Outcome::Skip(end) => {
                    at += end;
                    match self.items.last_mut() {
                        Some(last) => last.end = at,
                        None => self.skipped = at,
                    }
                }
                Outcome::Incomplete(bytes) => {
                    need = bytes;
                    if progress.arguments > 0 {
                        remember(client, progress, &self.spans[first..], lane.heap);
                        self.spans.truncate(first);
                    }
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

    fn push(&mut self, lane: &Lane, input: &[u8], first: usize, end: usize, inline: bool) {
        let data = if inline { &self.inline } else { input };
        let args = Args::new(data, &self.spans[first..]);
        let command = lane.index.find(args.at(0)).unwrap_or(UNKNOWN);
        let mut item =
            Item { command, inline, first: first as u32, count: args.len() as u32, end, hash: 0 };
        if command != UNKNOWN
            && let Keys::One(at) = lane.index[command].keys
            && let Some(key) = args.get(at as usize)
        {
            item.hash = hash(key, lane.roots.seed);
            // Under way while the rest of the batch is parsed.
            prefetch_bucket(lane.table_hint(0, item.hash), item.hash);
        }
        self.items.push(item);
    }

    /// Fetches the entries of the keys that will be needed; their buckets are under way.
    fn prefetch(&self, lane: &Lane) {
        if self.items.len() < 2 {
            return;
        }
        for item in self.items.iter().filter(|item| item.hash != 0) {
            prefetch_item(lane.table_hint(0, item.hash), item.hash);
        }
    }

    /// Executes the items in order, until one blocks the client or ends the connection.
    fn execute(&mut self, lane: &mut Lane, client: &mut Client) {
        let input = unread(client);
        let begin = client.input.start;
        for item in &self.items {
            let data = if item.inline { &self.inline[..] } else { input };
            let spans = &self.spans[item.first as usize..][..item.count as usize];
            let before = client.input.start;
            // Consumed before it runs, so that a command that panics is not run again.
            client.input.start = begin + item.end as u64;
            dispatch::execute(lane, client, item, Args::new(data, spans));
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
                // What follows was not looked at in this batch.
                client.input_need = 0;
                self.broken = None;
                return;
            }
        }
    }

    /// Consumes what holds no command; replies to what is not the protocol.
    fn conclude(&mut self, lane: &mut Lane, client: &mut Client) {
        if self.items.is_empty() {
            client.input.start += self.skipped as u64;
        }
        if let Some(text) = self.broken.take() {
            let (mut out, mut session) = session::split(client, lane.heap);
            out.error(format!("ERR Protocol error: {text}").as_bytes());
            session.close_after_reply();
            stats::add(&lane.stats.errors, 1);
        }
    }

    fn clear(&mut self) {
        self.items.clear();
        self.spans.clear();
        self.spans.shrink_to(SPANS_KEPT);
        self.inline.clear();
        self.broken = None;
        self.skipped = 0;
    }
}

/// The input not yet consumed. It stays in place for the whole batch: only the shell moves it.
fn unread<'a>(client: &Client) -> &'a [u8] {
    let input = &client.input;
    if input.is_empty() {
        return &[];
    }
    // SAFETY: `start..end` of the buffer has been received, and nothing changes or frees it
    // before `process` returns.
    unsafe {
        core::slice::from_raw_parts(input.data.as_ptr().add(input.start as usize), input.len())
    }
}

/// Keeps the arguments of an incomplete command with the client.
fn remember(client: &mut Client, progress: Progress, spans: &[Span], heap: Heap) {
    client.parse.arguments = progress.arguments;
    client.parse.found = spans.len() as u32;
    client.parse.offset = progress.offset as u64;
    let mut kept = Words::new(&mut client.parse.spans, heap);
    kept.clear();
    for span in spans {
        kept.push((span.start as u64) << 32 | span.len as u64);
    }
}

/// Takes back what [`remember`] kept.
fn recall(client: &mut Client, spans: &mut Vec<Span>, heap: Heap) -> Progress {
    if client.parse.arguments == 0 {
        return Progress::default();
    }
    let mut kept = Words::new(&mut client.parse.spans, heap);
    spans.extend(kept.as_slice().iter().map(|w| Span { start: (w >> 32) as u32, len: *w as u32 }));
    kept.free();
    client.parse.spans = RawVec::EMPTY;
    let arguments = std::mem::take(&mut client.parse.arguments);
    client.parse.found = 0;
    Progress { arguments, offset: client.parse.offset as usize }
}
