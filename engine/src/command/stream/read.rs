//! `XREAD` and `XREADGROUP`: reading what has come since, also waiting for it.

use core::ops::Range;

use abi::keyspace::value_type;

use crate::command::stream::id::parse_strict;
use crate::command::stream::{Level, deliver, reply};
use crate::exec::argument::{Argument, block, integer, key, string, token};
use crate::exec::context::{Ctx, Look, Mode};
use crate::session::blocking::Awaited;
use base::args::Args;
use base::error::{self, Done, Error};
use base::resp::write::Reply;
use keyspace::{Intent, Keys};
use store::stream::{EntriesRef, StreamId};
use value::stream::{StreamRef, id_text};

/// Of Redis 7.0, whichever of the two commands it was.
const UNBALANCED: Error = Error::new(
    "ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be specified.",
);
const UNBALANCED_XREAD: Error = Error::new(
    "ERR Unbalanced 'xread' list of streams: for each stream key an ID, '+', or '$' must be \
     specified.",
);
const UNBALANCED_XREADGROUP: Error = Error::new(
    "ERR Unbalanced 'xreadgroup' list of streams: for each stream key an ID or '>' must be specified.",
);
const GROUP_IN_XREAD: Error =
    Error::new("ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.");
const NOACK_IN_XREAD: Error =
    Error::new("ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead.");
const NO_GROUP_GIVEN: Error = Error::new("ERR Missing GROUP option for XREADGROUP");
const LAST_IN_GROUP: Error = Error::new(
    "ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of \
     this consumer by specifying a proper ID, or use the > ID to get new messages. The $ ID would \
     just return an empty result set.",
);
const PLUS_IN_GROUP: Error = Error::new(
    "ERR The + ID is meaningless in the context of XREADGROUP: you want to read the history of \
     this consumer by specifying a proper ID, or use the > ID to get new messages. The + ID would \
     just return an empty result set.",
);
const NEW_IN_XREAD: Error = Error::new(
    "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> \
     option.",
);
const TIMEOUT_NOT_INTEGER: Error = Error::new("ERR timeout is not an integer or out of range");
const KEY_GONE: Error = Error::new("UNBLOCKED the stream key no longer exists");
const GROUP_GONE: Error =
    Error::new("NOGROUP the consumer group this client was blocked on no longer exists");

/// Entries that a client gets at most that has waited for some and has not said how many it wants.
const COUNT_AFTER_WAIT: usize = 1000;

const COUNT: Argument = integer("count").token("COUNT").optional();
const BLOCK: Argument = integer("milliseconds").token("BLOCK").optional();
const STREAMS: Argument =
    block("streams", &[key("key", 0).multiple(), string("id").multiple()]).token("STREAMS");

/// The arguments of `XREAD`.
pub const XREAD: &[Argument] = &[COUNT, BLOCK, STREAMS];
/// The arguments of `XREADGROUP`.
pub const XREADGROUP: &[Argument] = &[
    block("group_consumer", &[string("group"), string("consumer")]).token("GROUP"),
    COUNT,
    BLOCK,
    token("NOACK").optional(),
    STREAMS,
];

/// The arguments of either that are keys: half of what is behind the first `STREAMS` that is not the
/// value of another option.
pub fn keys(args: Args<'_>) -> Range<usize> {
    let mut at = 1;
    while at < args.len() {
        at += match args.at(at) {
            word if word.eq_ignore_ascii_case(b"STREAMS") => {
                return at + 1..at + 1 + (args.len() - at - 1) / 2;
            }
            word if word.eq_ignore_ascii_case(b"GROUP") => 3,
            word if word.eq_ignore_ascii_case(b"NOACK") => 1,
            _ => 2,
        };
    }
    0..0
}

/// Whether a stream may have something for a client that waits in `XREAD`: what cannot be told here,
/// running the command tells.
pub fn is_ready(keys: &mut Keys<'_>, args: Args<'_>, ready: &[u8], look: Look) -> bool {
    may_have_more(keys, args, ready, false, look)
}

/// As [`is_ready`], of `XREADGROUP`.
pub fn is_ready_for_group(keys: &mut Keys<'_>, args: Args<'_>, ready: &[u8], look: Look) -> bool {
    may_have_more(keys, args, ready, true, look)
}

fn may_have_more(
    keys: &mut Keys<'_>,
    args: Args<'_>,
    ready: &[u8],
    has_group: bool,
    look: Look,
) -> bool {
    let Ok(request) = Request::parse(args, has_group, Level::Redis70) else { return true };
    let Ok(Some(stream)) = keys.stream_mut(ready, Intent::Peek) else { return true };
    let seen = match request.reader {
        Some(reader) => stream.groups().get(reader.group).map(|group| group.last_id()),
        None => {
            let at = request.keys.clone().find(|at| args.at(*at) == ready);
            at.and_then(|at| parse_strict(args.at(request.id_of(at)), 0).ok())
        }
    };
    let last = match look {
        Look::Changed => stream.entries().last_id(),
        // What has been trimmed away or removed since was not what it waited for.
        Look::Again => stream.entries().top_id(),
    };
    seen.is_none_or(|seen| last > seen)
}

/// A group, and who reads for it.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    /// The group.
    pub group: &'a [u8],
    /// The consumer.
    pub consumer: &'a [u8],
}

/// What is asked for. Options are read one by one, as they are in Redis, which looks at each value
/// where it stands and at none behind `STREAMS`.
struct Request<'a> {
    /// How many entries of each stream at most.
    count: Option<usize>,
    /// Whether to wait, and how many ms at most; 0 for no limit.
    block_ms: Option<i64>,
    noack: bool,
    reader: Option<Reader<'a>>,
    /// The arguments that are keys; as many ids follow.
    keys: Range<usize>,
}

impl<'a> Request<'a> {
    fn parse(args: Args<'a>, has_group: bool, level: Level) -> Result<Self, Error> {
        let mut request =
            Self { count: None, block_ms: None, noack: false, reader: None, keys: 0..0 };
        let mut at = 1;
        while request.keys.is_empty() {
            let follow = args.len().saturating_sub(at + 1);
            if at >= args.len() {
                return Err(error::SYNTAX);
            } else if args.is(at, "BLOCK") && follow > 0 {
                let ms = args.integer_in(at + 1, i64::MIN..=i64::MAX, TIMEOUT_NOT_INTEGER)?;
                request.block_ms = Some(ms);
                if ms < 0 {
                    return Err(error::TIMEOUT_NEGATIVE);
                }
                at += 2;
            } else if args.is(at, "COUNT") && follow > 0 {
                request.count = usize::try_from(args.integer(at + 1)?).ok().filter(|n| *n > 0);
                at += 2;
            } else if args.is(at, "STREAMS") && follow > 0 {
                if !follow.is_multiple_of(2) {
                    return Err(match (level, has_group) {
                        (Level::Redis70, _) => UNBALANCED,
                        (Level::Redis72, false) => UNBALANCED_XREAD,
                        (Level::Redis72, true) => UNBALANCED_XREADGROUP,
                    });
                }
                request.keys = at + 1..at + 1 + follow / 2;
            } else if args.is(at, "GROUP") && follow > 1 {
                if !has_group {
                    return Err(GROUP_IN_XREAD);
                }
                request.reader = Some(Reader { group: args.at(at + 1), consumer: args.at(at + 2) });
                at += 3;
            } else if args.is(at, "NOACK") {
                if !has_group {
                    return Err(NOACK_IN_XREAD);
                }
                request.noack = true;
                at += 1;
            } else {
                return Err(error::SYNTAX);
            }
        }
        if has_group && request.reader.is_none() {
            return Err(NO_GROUP_GIVEN);
        }
        debug_assert_eq!(request.keys, keys(args));
        Ok(request)
    }

    /// The argument that is the id for a key.
    fn id_of(&self, key: usize) -> usize {
        key + self.keys.len()
    }

    /// How many entries it gets once it has waited.
    fn count_after_wait(&self, level: Level) -> Option<usize> {
        let most = (level == Level::Redis70).then_some(COUNT_AFTER_WAIT);
        self.count.or(most)
    }

    /// Fails where a script asks to wait, which later levels pass over.
    fn check_wait(&self, cx: &Ctx<'_>, args: Args<'_>, level: Level) -> Done {
        if cx.mode != Mode::Script || self.block_ms.is_none() || level != Level::Redis70 {
            return Ok(());
        }
        let text = b" command is not allowed with BLOCK option from scripts";
        Err(Error::owned([b"ERR ", args.at(0), text].concat()))
    }

    /// Waits for the streams, if that is asked for. Ids are what they mean now.
    fn wait(&self, cx: &mut Ctx<'_>, args: Args<'a>, ids: &[StreamId]) -> Done {
        let Some(ms) = self.block_ms else {
            cx.out.null_array();
            return Ok(());
        };
        let deadline = cx.deadline_ms(ms)?;
        let keys: Vec<_> = self.keys.clone().map(|at| args.at(at)).collect();
        let mut awaited = Awaited::value(value_type::STREAM, deadline);
        if self.reader.is_some() {
            awaited = awaited.or_absence();
        }
        let places = self.keys.clone().zip(ids).map(|(key, id)| (self.id_of(key), id));
        let moving = places.filter(|(at, _)| matches!(args.at(*at), b"$" | b"+"));
        let instead = moving.map(|(at, id)| (at, id_text(*id).to_vec())).collect();
        cx.block_instead(&keys, awaited, instead)
    }
}

/// What an id that is none stands for in a stream, if it stands for one there.
pub type Meaning = fn(Option<EntriesRef<'_>>) -> StreamId;

/// Behind what there is.
fn at_the_end(entries: Option<EntriesRef<'_>>) -> StreamId {
    entries.map_or(StreamId::MIN, EntriesRef::last_id)
}

pub fn xread(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    xread_at(cx, args, Level::Redis70, None)
}

/// `XREAD` as a level has it, where `+` has a meaning or none.
pub fn xread_at(cx: &mut Ctx<'_>, args: Args<'_>, level: Level, plus: Option<Meaning>) -> Done {
    let request = Request::parse(args, false, level)?;
    request.check_wait(cx, args, level)?;
    if let Mode::Serving(ready) = cx.mode {
        return serve(cx, args, &request, ready, level);
    }
    let ids = request.keys.clone().map(|at| {
        let stream = cx.keys.stream(args.at(at))?;
        let entries = stream.map(|stream| stream.entries);
        match (args.at(request.id_of(at)), plus) {
            (b"$", _) => Ok(at_the_end(entries)),
            (b"+", Some(meaning)) => Ok(meaning(entries)),
            (b">", _) => Err(NEW_IN_XREAD),
            (id, _) => parse_strict(id, 0),
        }
    });
    let ids = ids.collect::<Result<Vec<_>, _>>()?;
    let mut served = Served::none(cx.out.len());
    for (at, id) in request.keys.clone().zip(&ids) {
        let key = args.at(at);
        let Some(stream) = cx.keys.stream(key)? else { continue };
        if stream.entries.top_id() > *id {
            served.begin(&mut cx.out, key);
            write_behind(&mut cx.out, stream, *id, request.count);
        }
    }
    if served.finish(&mut cx.out) { Ok(()) } else { request.wait(cx, args, &ids) }
}

/// Writes the entries behind an id.
fn write_behind(out: &mut Reply<'_>, stream: StreamRef<'_>, id: StreamId, count: Option<usize>) {
    let Some(start) = id.next() else { return out.array(0) };
    let range = stream.entries.range(start, StreamId::MAX);
    reply::entries(out, range.take(count.unwrap_or(usize::MAX)), |_| ());
}

/// The id that is to be above what a client has seen that waits. In Redis 7.0 there need not be an entry
/// of it any more: it may have been trimmed away again.
fn greatest(entries: EntriesRef<'_>, level: Level) -> StreamId {
    match level {
        Level::Redis70 => entries.last_id(),
        Level::Redis72 => entries.top_id(),
    }
}

/// Serves a client that has waited, if there is something for it in the stream that has changed.
fn serve(
    cx: &mut Ctx<'_>,
    args: Args<'_>,
    request: &Request<'_>,
    ready: &[u8],
    level: Level,
) -> Done {
    let Some(at) = request.keys.clone().find(|at| args.at(*at) == ready) else {
        return cx.block(&[], Awaited::value(value_type::STREAM, None));
    };
    let id = parse_strict(args.at(request.id_of(at)), 0)?;
    let Some(stream) = cx.keys.stream_mut(ready, Intent::Peek)? else {
        return cx.block(&[], Awaited::value(value_type::STREAM, None));
    };
    if greatest(stream.entries(), level) <= id {
        return cx.block(&[], Awaited::value(value_type::STREAM, None));
    }
    let mut served = Served::none(cx.out.len());
    served.begin(&mut cx.out, ready);
    let stream = StreamRef { entries: stream.entries(), groups: stream.groups() };
    write_behind(&mut cx.out, stream, id, request.count_after_wait(level));
    served.finish(&mut cx.out);
    Ok(())
}

/// The streams that a reply tells of.
struct Served {
    count: usize,
    /// Where the reply begins.
    start: usize,
}

impl Served {
    fn none(start: usize) -> Self {
        Self { count: 0, start }
    }

    /// Begins to tell of a stream.
    fn begin(&mut self, out: &mut Reply<'_>, key: &[u8]) {
        if self.count == 0 {
            // There is a single one, as a rule.
            self.start = out.len();
            if out.resp3 { out.map(1) } else { out.array(1) }
        }
        self.count += 1;
        if !out.resp3 {
            out.array(2);
        }
        out.bulk(key);
    }

    /// Tells whether there were any.
    fn finish(self, out: &mut Reply<'_>) -> bool {
        if self.count > 1 {
            let rest = out.since(self.start + ONE.len()).to_vec();
            out.truncate(self.start);
            if out.resp3 {
                out.map(self.count)
            } else {
                out.array(self.count)
            }
            out.raw(&rest);
        }
        self.count > 0
    }
}

/// The length of a reply of one stream, in either protocol.
const ONE: &[u8] = b"*1\r\n";

pub fn xreadgroup(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    xreadgroup_at(cx, args, Level::Redis70)
}

/// `XREADGROUP` as a level has it: it says of `+` that it has no meaning, and a consumer that gets
/// nothing is heard of all the same.
pub fn xreadgroup_at(cx: &mut Ctx<'_>, args: Args<'_>, level: Level) -> Done {
    let request = Request::parse(args, true, level)?;
    request.check_wait(cx, args, level)?;
    let Some(reader) = request.reader else { return Err(NO_GROUP_GIVEN) };
    if let Mode::Serving(ready) = cx.mode {
        return serve_group(cx, &request, reader, ready, level);
    }
    let mut ids = Vec::with_capacity(request.keys.len());
    for at in request.keys.clone() {
        let (key, id) = (args.at(at), args.at(request.id_of(at)));
        let stream = cx.keys.stream(key)?;
        if stream.and_then(|stream| stream.groups.get(reader.group)).is_none() {
            return Err(no_group(key, reader.group));
        }
        ids.push(match (id, level) {
            (b"$", _) => return Err(LAST_IN_GROUP),
            (b"+", Level::Redis72) => return Err(PLUS_IN_GROUP),
            (b">", _) => StreamId::MAX,
            _ => parse_strict(id, 0)?,
        });
    }
    let mut served = Served::none(cx.out.len());
    for (at, id) in request.keys.clone().zip(&ids) {
        let key = args.at(at);
        // Another of the same command cannot have removed it.
        let Some(stream) = cx.keys.stream(key)? else { continue };
        let last = stream.groups.get(reader.group).map_or(StreamId::MAX, |group| group.last_id());
        let has_new = stream.entries.top_id() > last;
        if *id != StreamId::MAX {
            served.begin(&mut cx.out, key);
            deliver::history(cx, key, reader, *id, request.count)?;
        } else if has_new {
            served.begin(&mut cx.out, key);
            deliver::new_entries(cx, key, reader, request.count, request.noack)?;
        } else if level == Level::Redis72 {
            deliver::ensure_consumer(cx, key, reader)?;
        }
    }
    cx.keys.core.effects.nothing_else();
    if served.finish(&mut cx.out) { Ok(()) } else { request.wait(cx, args, &ids) }
}

/// As [`serve`], of a client that reads for a group.
fn serve_group(
    cx: &mut Ctx<'_>,
    request: &Request<'_>,
    reader: Reader<'_>,
    ready: &[u8],
    level: Level,
) -> Done {
    let gone = |otherwise: Error| match level {
        Level::Redis70 => otherwise,
        Level::Redis72 => no_group(ready, reader.group),
    };
    let stream = match cx.keys.stream_mut(ready, Intent::Peek) {
        Ok(Some(stream)) => stream,
        Err(error) if level == Level::Redis72 => return Err(error),
        Ok(None) | Err(_) => return Err(gone(KEY_GONE)),
    };
    let group = stream.groups().get(reader.group);
    let last = group.ok_or_else(|| gone(GROUP_GONE))?.last_id();
    if greatest(stream.entries(), level) <= last {
        return cx.block(&[], Awaited::value(value_type::STREAM, None));
    }
    let mut served = Served::none(cx.out.len());
    served.begin(&mut cx.out, ready);
    let count = request.count_after_wait(level);
    deliver::new_entries(cx, ready, reader, count, request.noack)?;
    served.finish(&mut cx.out);
    cx.keys.core.effects.nothing_else();
    Ok(())
}

fn no_group(key: &[u8], group: &[u8]) -> Error {
    let mut text = b"NOGROUP No such key '".to_vec();
    text.extend_from_slice(base::args::c_text(key));
    text.extend_from_slice(b"' or consumer group '");
    text.extend_from_slice(base::args::c_text(group));
    text.extend_from_slice(b"' in XREADGROUP with GROUP option");
    Error::owned(text)
}
