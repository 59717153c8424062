//! Giving pending entries to another consumer: `XCLAIM`, `XAUTOCLAIM`.

use crate::command::stream::Level;
use crate::command::stream::deliver::{
    Delivery, ensure_consumer, once_more, tell, tell_consumer, tell_read,
};
use crate::command::stream::id::{parse_start, parse_strict};
use crate::command::stream::pending::no_group;
use crate::command::stream::read::Reader;
use crate::command::stream::reply;
use crate::exec::argument::{Argument, integer, key, string, token, unix_time};
use crate::exec::context::Ctx;
use crate::exec::options::{Options, Token};
use base::args::{Args, c_text};
use base::error::{Done, Error};
use base::resp::write::Reply;
use keyspace::Intent;
use store::stream::{EntriesRef, Group, StreamId};

/// The arguments of `XCLAIM`.
pub const XCLAIM: &[Argument] = &[
    key("key", 0),
    string("group"),
    string("consumer"),
    string("min-idle-time"),
    string("id").multiple(),
    integer("ms").token("IDLE").optional(),
    unix_time("unix-time-milliseconds").token("TIME").optional(),
    integer("count").token("RETRYCOUNT").optional(),
    token("FORCE").optional(),
    token("JUSTID").optional(),
    string("id").token("LASTID").optional(),
];
const OPTIONS: &Options = &Options::of(XCLAIM);
const IDLE: Token = OPTIONS.token("IDLE");
const TIME: Token = OPTIONS.token("TIME");
const RETRYCOUNT: Token = OPTIONS.token("RETRYCOUNT");
const FORCE: Token = OPTIONS.token("FORCE");
const JUSTID: Token = OPTIONS.token("JUSTID");

/// The arguments of `XAUTOCLAIM`.
pub const XAUTOCLAIM: &[Argument] = &[
    key("key", 0),
    string("group"),
    string("consumer"),
    string("min-idle-time"),
    string("start"),
    integer("count").token("COUNT").optional(),
    token("JUSTID").optional(),
];
const AUTO_OPTIONS: &Options = &Options::of(XAUTOCLAIM);
const AUTO_COUNT: Token = AUTO_OPTIONS.token("COUNT");

const WRONG_COUNT: Error = Error::new("ERR COUNT must be > 0");
const COUNT_TOO_HIGH: Error =
    Error::new("ERR Insufficient memory, failed allocating transient memory, COUNT too high.");
/// Entries that are claimed at most, unless the client says how many.
const AUTO_COUNT_DEFAULT: i64 = 100;
/// The most that a client can ask for.
const AUTO_COUNT_MAX: i64 = i64::MAX / 16;
/// The most that Redis finds the memory for.
const AUTO_COUNT_KEPT_MAX: i64 = 1 << 43;
/// Pending entries that are looked at for each that is asked for.
const ATTEMPTS: usize = 10;

/// How entries are claimed.
struct Terms<'a> {
    consumer: &'a [u8],
    now_ms: i64,
    idle_ms: i64,
    delivered_ms: i64,
    /// How often they are said to have been delivered.
    count: Option<u64>,
    /// Entries that are not pending become so.
    force: bool,
    only_ids: bool,
}

/// What came of an entry that was to be claimed.
enum Claimed {
    /// It is the consumer's, as it is now, and whether the consumer is new.
    Taken(Delivery, bool),
    /// It is no longer in the stream, and so no longer pending, as it was.
    Gone(Delivery, Vec<u8>),
    /// It stays as it is.
    No,
}

impl Terms<'_> {
    /// Claims an entry for a consumer of a group.
    fn claim(
        &self,
        out: &mut Reply<'_>,
        entries: EntriesRef<'_>,
        group: &mut Group<'_>,
        id: StreamId,
    ) -> Claimed {
        let pending = group.view().pending_at(id);
        let Some(entry) = entries.get(id) else {
            let Some(pending) = pending else { return Claimed::No };
            let owner = pending.consumer.name().to_vec();
            let (at_ms, count) = (pending.delivered_ms, pending.deliveries);
            group.acknowledge(id);
            return Claimed::Gone(Delivery { id, at_ms, count }, owner);
        };
        let before = match pending {
            Some(pending) => {
                let idle_ms = self.now_ms.wrapping_sub(pending.delivered_ms);
                if self.idle_ms > 0 && idle_ms < self.idle_ms {
                    return Claimed::No;
                }
                pending.deliveries
            }
            None if self.force => 1,
            None => return Claimed::No,
        };
        let next = if self.only_ids { before } else { once_more(before) };
        let delivery = Delivery { id, at_ms: self.delivered_ms, count: self.count.unwrap_or(next) };
        let is_new = group.add_consumer(self.consumer, self.now_ms, -1);
        if let Some(mut claims) = group.claims(self.consumer) {
            claims.take(id, delivery.at_ms, delivery.count);
            claims.set_seen(self.now_ms);
            claims.set_active(self.now_ms);
        }
        if self.only_ids {
            reply::id(out, id)
        } else {
            reply::entry(out, entry)
        }
        Claimed::Taken(delivery, is_new)
    }
}

/// What has come of claims.
#[derive(Default)]
struct Told {
    /// Each entry, with who had it if it is no longer pending.
    entries: Vec<(Delivery, Option<Vec<u8>>)>,
    /// How many the consumer has got.
    taken: usize,
    /// Those that are no longer in the stream.
    gone: Vec<StreamId>,
    has_new_consumer: bool,
}

impl Told {
    fn add(&mut self, claimed: Claimed) {
        match claimed {
            Claimed::Taken(delivery, is_new) => {
                self.taken += 1;
                self.has_new_consumer |= is_new;
                self.entries.push((delivery, None));
            }
            Claimed::Gone(delivery, owner) => {
                self.gone.push(delivery.id);
                self.entries.push((delivery, Some(owner)));
            }
            Claimed::No => {}
        }
    }

    /// Counts and says it.
    fn tell(self, cx: &mut Ctx<'_>, key: &[u8], reader: Reader<'_>, last: StreamId) {
        if self.has_new_consumer {
            tell_consumer(cx, key, reader);
        }
        cx.keys.count_changes(self.entries.len());
        if cx.tells_effects() {
            for (delivery, owner) in self.entries {
                let consumer = owner.as_deref().unwrap_or(reader.consumer);
                tell(cx, key, Reader { consumer, ..reader }, last, [delivery].into_iter());
            }
        }
        cx.keys.core.effects.nothing_else();
    }
}

fn idle(args: Args<'_>, command: &str) -> Result<i64, Error> {
    let error = || Error::owned(format!("ERR Invalid min-idle-time argument for {command}"));
    args.integer(4).map(|ms| ms.max(0)).map_err(|_| error())
}

/// An error unless the group of a key is there.
fn check_group(cx: &mut Ctx<'_>, key: &[u8], group: &[u8]) -> Done {
    let stream = cx.keys.stream(key)?;
    let found = stream.and_then(|stream| stream.groups.get(group));
    found.map(|_| ()).ok_or_else(|| no_group(key, group))
}

pub fn xclaim(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    xclaim_at(cx, args, Level::Redis70)
}

/// `XCLAIM` as a level has it.
pub fn xclaim_at(cx: &mut Ctx<'_>, args: Args<'_>, level: Level) -> Done {
    let (key, now_ms) = (args.at(1), cx.keys.core.clock.now_ms);
    let reader = Reader { group: args.at(2), consumer: args.at(3) };
    check_group(cx, key, reader.group)?;
    let idle_ms = idle(args, "XCLAIM")?;
    let ids: Vec<_> = args.from(5).map_while(|text| parse_strict(text, 0).ok()).collect();
    let (terms, last) = terms(args, 5 + ids.len(), now_ms, idle_ms)?;
    if level == Level::Redis72 {
        ensure_consumer(cx, key, reader)?;
    }
    let Some(stream) = cx.keys.stream_mut(key, Intent::Peek)? else { return Ok(()) };
    let (entries, groups) = stream.split();
    let Some(mut group) = groups.get(reader.group) else { return Ok(()) };
    let has_moved = last > group.view().last_id();
    if has_moved {
        let read = group.view().entries_read();
        group.set_read(last, read);
    }
    let out = &mut cx.out;
    let deferred = out.defer_array();
    let mut told = Told::default();
    for id in ids {
        told.add(terms.claim(out, entries, &mut group, id));
    }
    out.finish(deferred, told.taken);
    let (last, read) = (group.view().last_id(), group.view().entries_read());
    if has_moved && told.entries.is_empty() {
        cx.keys.count_changes(1);
        tell_read(cx, key, reader.group, last, read);
    }
    told.tell(cx, key, reader, last);
    Ok(())
}

/// Reads the options of `XCLAIM` from an argument on: how to claim, and the id that the group is to
/// have read at least.
fn terms(
    args: Args<'_>,
    first: usize,
    now_ms: i64,
    idle_ms: i64,
) -> Result<(Terms<'_>, StreamId), Error> {
    let mut terms = Terms {
        consumer: args.at(3),
        now_ms,
        idle_ms,
        delivered_ms: -1,
        count: None,
        force: false,
        only_ids: false,
    };
    let mut last = StreamId::MIN;
    let mut options = OPTIONS.walk(args, first);
    for option in options.by_ref() {
        let integer = |name: &str| {
            let error = || Error::owned(format!("ERR Invalid {name} option argument for XCLAIM"));
            option.integer().map_err(|_| error())
        };
        match option.token {
            FORCE => terms.force = true,
            JUSTID => terms.only_ids = true,
            IDLE => terms.delivered_ms = now_ms.wrapping_sub(integer("IDLE")?),
            TIME => terms.delivered_ms = integer("TIME")?,
            RETRYCOUNT => terms.count = u64::try_from(integer("RETRYCOUNT")?).ok(),
            _ => last = parse_strict(option.value(), 0)?,
        }
    }
    if let Some(at) = options.rest() {
        let parts: [&[u8]; 3] = [b"ERR Unrecognized XCLAIM option '", c_text(args.at(at)), b"'"];
        return Err(Error::owned(parts.concat()));
    }
    // What makes no sense is taken for now.
    if !(0..=now_ms).contains(&terms.delivered_ms) {
        terms.delivered_ms = now_ms;
    }
    Ok((terms, last))
}

pub fn xautoclaim(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    xautoclaim_at(cx, args, Level::Redis70)
}

/// `XAUTOCLAIM` as a level has it.
pub fn xautoclaim_at(cx: &mut Ctx<'_>, args: Args<'_>, level: Level) -> Done {
    let (key, now_ms) = (args.at(1), cx.keys.core.clock.now_ms);
    let reader = Reader { group: args.at(2), consumer: args.at(3) };
    // The key counts as looked for even if arguments are wrong.
    let found = cx.keys.stream_mut(key, Intent::Read).map(|_| ());
    let idle_ms = idle(args, "XAUTOCLAIM")?;
    let start = parse_start(args.at(5))?;
    let (mut count, mut only_ids) = (AUTO_COUNT_DEFAULT, false);
    let mut options = AUTO_OPTIONS.walk(args, 6);
    for option in options.by_ref() {
        match option.token {
            AUTO_COUNT => count = option.integer_in(1..=AUTO_COUNT_MAX, WRONG_COUNT)?,
            _ => only_ids = true,
        }
    }
    options.finish()?;
    found?;
    let has_group = match cx.keys.stream_mut(key, Intent::Peek)? {
        Some(stream) => stream.groups().get(reader.group).is_some(),
        None => false,
    };
    if !has_group {
        return Err(no_group(key, reader.group));
    }
    if count > AUTO_COUNT_KEPT_MAX {
        return Err(COUNT_TOO_HIGH);
    }
    if level == Level::Redis72 {
        ensure_consumer(cx, key, reader)?;
    }
    let terms = Terms {
        consumer: reader.consumer,
        now_ms,
        idle_ms,
        delivered_ms: now_ms,
        count: None,
        force: false,
        only_ids,
    };
    claim_from(cx, key, reader, &terms, start, count as usize)
}

fn claim_from(
    cx: &mut Ctx<'_>,
    key: &[u8],
    reader: Reader<'_>,
    terms: &Terms<'_>,
    start: StreamId,
    count: usize,
) -> Done {
    let Some(stream) = cx.keys.stream_mut(key, Intent::Peek)? else { return Ok(()) };
    let (entries, groups) = stream.split();
    let Some(mut group) = groups.get(reader.group) else { return Ok(()) };
    let out = &mut cx.out;
    out.array(3);
    let (cursor, deferred) = (out.len(), out.defer_array());
    let (mut told, mut next) = (Told::default(), Some(start));
    let mut attempts = count.saturating_mul(ATTEMPTS);
    while attempts > 0 && told.entries.len() < count {
        let found = next.and_then(|id| group.view().pending_from(id).next());
        let Some(id) = found.map(|pending| pending.id) else { break };
        told.add(terms.claim(out, entries, &mut group, id));
        (attempts, next) = (attempts - 1, id.next());
    }
    out.finish(deferred, told.taken);
    // Where the next call is to go on stands before them.
    let rest = next.and_then(|id| group.view().pending_from(id).next());
    let (behind, end) = (out.len(), rest.map_or(StreamId::MIN, |pending| pending.id));
    reply::id(out, end);
    let text = out.since(behind).to_vec();
    out.truncate(behind);
    out.insert(cursor, &text);
    out.array(told.gone.len());
    told.gone.iter().for_each(|id| reply::id(out, *id));
    let last = group.view().last_id();
    told.tell(cx, key, reader, last);
    Ok(())
}
