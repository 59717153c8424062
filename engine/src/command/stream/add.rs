//! Adding and removing entries: `XADD`, `XTRIM`, `XDEL`, `XSETID`.

use crate::command::stream::Level;
use crate::command::stream::id::{NewId, parse_strict};
use crate::exec::argument::{Argument, block, integer, key, one_of, string, token};
use crate::exec::context::Ctx;
use crate::exec::options::{Options, Token};
use base::args::Args;
use base::error::{self, Done, Error};
use base::event::Class;
use keyspace::Intent;
use store::stream::{Entries, EntriesRef, Fields, Keep, StreamId, Trim};
use value::stream::{IdText, id_text};

const NOT_ABOVE_ZERO: Error = Error::new("ERR The ID specified in XADD must be greater than 0-0");
const EXHAUSTED: Error =
    Error::new("ERR The stream has exhausted the last possible ID, unable to add more items");
const NOT_ABOVE_LAST: Error =
    Error::new("ERR The ID specified in XADD is equal or smaller than the target stream top item");
const TOO_LARGE: Error = Error::new("ERR Elements are too large to be stored");
const TWO_STRATEGIES: Error =
    Error::new("ERR syntax error, MAXLEN and MINID options at the same time are not compatible");
const MAXLEN_NEGATIVE: Error = Error::new("ERR The MAXLEN argument must be >= 0.");
const LIMIT_NEGATIVE: Error = Error::new("ERR The LIMIT argument must be >= 0.");
const LIMIT_ALONE: Error =
    Error::new("ERR syntax error, LIMIT cannot be used without specifying a trimming strategy");
const NO_STRATEGY: Error =
    Error::new("ERR syntax error, XTRIM must be called with a trimming strategy");
const LIMIT_EXACT: Error =
    Error::new("ERR syntax error, LIMIT cannot be used without the special ~ option");

/// Bytes that names and values of an entry have together at most.
const ENTRY_BYTES_MAX: usize = 1 << 30;
/// Nodes that are removed at most where the client does not say how much is.
const NODES_LIMIT: u64 = 100;
/// Entries that are removed then, if nodes have no limit.
const DEFAULT_LIMIT: u64 = 10_000;
const LIMIT_MAX: u64 = 1_000_000;

const STRATEGY: Argument = one_of("strategy", &[token("MAXLEN"), token("MINID").since("6.2.0")]);
const OPERATOR: Argument =
    one_of("operator", &[token("=").named("equal"), token("~").named("approximately")]).optional();
const TRIM: Argument = block(
    "trim",
    &[
        STRATEGY,
        OPERATOR,
        string("threshold"),
        integer("count").token("LIMIT").optional().since("6.2.0"),
    ],
);

/// The arguments of `XADD`.
pub const XADD: &[Argument] = &[
    key("key", 0),
    token("NOMKSTREAM").optional().since("6.2.0"),
    TRIM.optional(),
    one_of("id_or_auto", &[token("*").named("auto_id"), string("id")]),
    block("field_value", &[string("field"), string("value")]).multiple(),
];
/// The arguments of `XTRIM`.
pub const XTRIM: &[Argument] = &[key("key", 0), TRIM];
/// The arguments of `XDEL`.
pub const XDEL: &[Argument] = &[key("key", 0), string("id").multiple()];
/// The arguments of `XSETID`.
pub const XSETID: &[Argument] = &[
    key("key", 0),
    string("last-id"),
    integer("entries_added").token("ENTRIESADDED").optional().since("7.0.0"),
    string("max_deleted_entry_id").token("MAXDELETEDID").optional().since("7.0.0"),
];
const XSETID_OPTIONS: &Options = &Options::of(XSETID);
const ENTRIESADDED: Token = XSETID_OPTIONS.token("ENTRIESADDED");

/// What `XADD` and `XTRIM` are asked for. Their options are read one by one, as they are in Redis: an
/// option may stand before or behind the strategy that it belongs to, and the first argument that is
/// none is the id.
#[derive(Default)]
struct Request {
    only_known: bool,
    keep: Option<Keep>,
    approximate: bool,
    limit: Option<u64>,
    /// The argument of the threshold.
    threshold: usize,
    /// The argument that is the id, or where arguments end.
    end: usize,
}

impl Request {
    fn parse(cx: &Ctx<'_>, args: Args<'_>, adds: bool) -> Result<Self, Error> {
        let mut request = Self { end: 2, ..Self::default() };
        while request.end < args.len() && !(adds && args.at(request.end) == b"*") {
            let at = request.end;
            let follow = args.len() - at - 1;
            if (args.is(at, "MAXLEN") || args.is(at, "MINID")) && follow > 0 {
                request.parse_strategy(args)?;
            } else if args.is(at, "LIMIT") && follow > 0 {
                let limit = args.integer(at + 1)?;
                request.limit = Some(u64::try_from(limit).map_err(|_| LIMIT_NEGATIVE)?);
                request.end += 2;
            } else if adds && args.is(at, "NOMKSTREAM") {
                request.only_known = true;
                request.end += 1;
            } else if adds {
                break;
            } else {
                return Err(error::SYNTAX);
            }
        }
        if adds && request.end < args.len() {
            NewId::parse(args.at(request.end))?;
        }
        request.check(cx, adds)
    }

    fn parse_strategy(&mut self, args: Args<'_>) -> Result<(), Error> {
        let mut at = self.end + 1;
        if self.keep.is_some() {
            return Err(TWO_STRATEGIES);
        }
        let has_operator = at + 1 < args.len() && matches!(args.at(at), b"~" | b"=");
        self.approximate = has_operator && args.at(at) == b"~";
        at += usize::from(has_operator);
        self.keep = Some(if args.is(self.end, "MAXLEN") {
            Keep::Last(u64::try_from(args.integer(at)?).map_err(|_| MAXLEN_NEGATIVE)?)
        } else {
            Keep::From(parse_strict(args.at(at), 0)?)
        });
        (self.threshold, self.end) = (at, at + 1);
        Ok(())
    }

    /// Whether the options go together, and how much is to be removed at most.
    fn check(mut self, cx: &Ctx<'_>, adds: bool) -> Result<Self, Error> {
        if self.limit.is_some_and(|limit| limit > 0) && self.keep.is_none() {
            return Err(LIMIT_ALONE);
        }
        if !adds && self.keep.is_none() {
            return Err(NO_STRATEGY);
        }
        if self.limit.is_some() && !self.approximate {
            return Err(LIMIT_EXACT);
        }
        if self.limit.is_none() && self.approximate {
            self.limit = Some(match cx.keys.core.settings.stream_node_entries {
                0 => DEFAULT_LIMIT,
                entries => entries.saturating_mul(NODES_LIMIT).min(LIMIT_MAX),
            });
        }
        Ok(self)
    }

    fn trim(&self) -> Option<Trim> {
        let (approximate, limit) = (self.approximate, self.limit.unwrap_or(0));
        self.keep.map(|keep| Trim { keep, approximate, limit })
    }

    /// The threshold that exact trimming reaches what these entries are now with.
    fn threshold_now(&self, entries: EntriesRef<'_>) -> Vec<u8> {
        match self.keep {
            Some(Keep::From(_)) if entries.is_empty() => id_text(StreamId::MAX).to_vec(),
            Some(Keep::From(_)) => id_text(entries.first_id()).to_vec(),
            _ => itoa::Buffer::new().format(entries.len()).as_bytes().to_vec(),
        }
    }
}

/// Names and values among arguments.
#[derive(Clone, Copy)]
struct Given<'a> {
    args: Args<'a>,
    /// The first name.
    first: usize,
}

impl<'a> Fields<'a> for Given<'a> {
    fn count(&self) -> usize {
        (self.args.len() - self.first) / 2
    }

    #[inline(always)]
    fn get(&self, index: usize) -> [&'a [u8]; 2] {
        let at = self.first + index * 2;
        [self.args.at(at), self.args.at(at + 1)]
    }
}

impl Given<'_> {
    fn is_too_large(self) -> bool {
        self.args.bytes_at_most() > ENTRY_BYTES_MAX
            && self.args.from(self.first).map(<[u8]>::len).sum::<usize>() > ENTRY_BYTES_MAX
    }
}

/// What has become of a stream that an entry was added to.
struct Added {
    id: StreamId,
    trimmed: u64,
    /// The threshold for whoever does the same again.
    threshold: Vec<u8>,
}

pub fn xadd(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let request = Request::parse(cx, args, true)?;
    let fields = Given { args, first: request.end + 1 };
    if args.len() < fields.first + 2 || !(args.len() - fields.first).is_multiple_of(2) {
        return Err(error::wrong_arity(cx.spec.name));
    }
    let given = NewId::parse(args.at(request.end))?;
    if given == NewId::Full(StreamId::MIN) {
        return Err(NOT_ABOVE_ZERO);
    }
    if fields.is_too_large() {
        return Err(TOO_LARGE);
    }
    let (key, limit, now_ms) = (args.at(1), cx.keys.stream_limit(), cx.keys.core.clock.now_ms);
    let trim = request.trim();
    let add = |mut entries: Entries<'_>| {
        let last = entries.view().last_id();
        if last == StreamId::MAX {
            return Err(EXHAUSTED);
        }
        let id = given.choose(last, now_ms).ok_or(NOT_ABOVE_LAST)?;
        entries.append(id, fields, limit);
        let trimmed = trim.map_or(0, |trim| entries.trim(trim));
        let is_told = request.approximate;
        let threshold = if is_told { request.threshold_now(entries.view()) } else { Vec::new() };
        Ok(Added { id, trimmed, threshold })
    };
    let added = if let Some(mut stream) = cx.keys.stream_mut(key, Intent::Write)? {
        let added = add(stream.entries_mut())?;
        cx.keys.signal_stream(key);
        added
    } else if request.only_known {
        cx.out.null();
        return Ok(());
    } else {
        let mut stream = cx.keys.new_stream();
        let added = add(stream.edit().entries_mut())?;
        cx.keys.add_stream(key, stream);
        added
    };
    let id = id_text(added.id);
    cx.out.bulk(&id);
    cx.modified(Class::STREAM, "xadd", key);
    if added.trimmed > 0 {
        cx.keys.notify(Class::STREAM, "xtrim", key);
    }
    if cx.tells_effects() && (request.approximate || !matches!(given, NewId::Full(_))) {
        let id = Some(&id).filter(|_| !matches!(given, NewId::Full(_)));
        tell(cx, b"XADD", args, &request, &added.threshold, id);
    }
    Ok(())
}

/// Says what a command did whose trimming is exact where it is done again, and whose id is given then.
fn tell(
    cx: &mut Ctx<'_>,
    name: &[u8],
    args: Args<'_>,
    request: &Request,
    threshold: &[u8],
    id: Option<&IdText>,
) {
    let limit = |at: usize| (2..request.end).contains(&at) && args.is(at, "LIMIT");
    let is_kept = |at: &usize| !request.approximate || !limit(*at) && !limit(at - 1);
    let part = |at: usize| match id {
        _ if request.approximate && at == request.threshold => threshold,
        _ if request.approximate && at + 1 == request.threshold => b"=",
        Some(id) if at == request.end => id,
        _ => args.at(at),
    };
    let rest = (1..args.len()).filter(is_kept).map(part);
    let parts: Vec<_> = [name].into_iter().chain(rest).collect();
    cx.effect(&parts);
}

pub fn xtrim(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let request = Request::parse(cx, args, false)?;
    let key = args.at(1);
    let (mut trimmed, mut threshold) = (0, Vec::new());
    if let (Some(mut stream), Some(trim)) =
        (cx.keys.stream_mut(key, Intent::Write)?, request.trim())
    {
        trimmed = stream.entries_mut().trim(trim);
        threshold = request.threshold_now(stream.entries());
    }
    cx.out.count(trimmed as usize);
    if trimmed > 0 {
        cx.modified_times(trimmed as usize, Class::STREAM, "xtrim", key);
        if request.approximate && cx.tells_effects() {
            tell(cx, b"XTRIM", args, &request, &threshold, None);
        }
    }
    Ok(())
}

pub fn xdel(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let key = args.at(1);
    let Some(mut stream) = cx.keys.stream_mut(key, Intent::Write)? else {
        cx.out.integer(0);
        return Ok(());
    };
    let ids = args.from(2).map(|text| parse_strict(text, 0)).collect::<Result<Vec<_>, _>>()?;
    let mut entries = stream.entries_mut();
    let mut removed = 0;
    for id in ids {
        if entries.remove(id) {
            removed += 1;
            let greatest = entries.view().max_deleted_id().max(id);
            entries.set_max_deleted_id(greatest);
        }
    }
    cx.out.count(removed);
    if removed > 0 {
        cx.modified_times(removed, Class::STREAM, "xdel", key);
    }
    Ok(())
}

pub fn xsetid(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    xsetid_at(cx, args, Level::Redis70)
}

/// `XSETID` as a level has it.
pub fn xsetid_at(cx: &mut Ctx<'_>, args: Args<'_>, level: Level) -> Done {
    let (key, id) = (args.at(1), parse_strict(args.at(2), 0)?);
    let (mut added, mut deleted) = (None, StreamId::MIN);
    let mut options = XSETID_OPTIONS.walk(args, 3);
    for option in options.by_ref() {
        if option.token == ENTRIESADDED {
            let given = u64::try_from(option.integer()?);
            added = Some(given.map_err(|_| Error::new("ERR entries_added must be positive"))?);
        } else {
            deleted = parse_strict(option.value(), 0)?;
            if id < deleted {
                return Err(smaller_than("the provided max_deleted_entry_id"));
            }
        }
    }
    options.finish()?;
    let Some(mut stream) = cx.keys.stream_mut(key, Intent::Write)? else {
        return Err(error::NO_SUCH_KEY);
    };
    let mut entries = stream.entries_mut();
    let view = entries.view();
    if level == Level::Redis72 && id < view.max_deleted_id() {
        return Err(smaller_than("current max_deleted_entry_id"));
    }
    if id < view.top_id() {
        return Err(smaller_than("the target stream top item"));
    }
    if !view.is_empty() && added.is_some_and(|added| added < view.len() as u64) {
        return Err(Error::new(
            "ERR The entries_added specified in XSETID is smaller than the target stream length",
        ));
    }
    let (added, deleted) = (
        added.unwrap_or(view.added()),
        if deleted == StreamId::MIN { view.max_deleted_id() } else { deleted },
    );
    entries.set_last_id(id);
    entries.set_added(added);
    entries.set_max_deleted_id(deleted);
    cx.out.ok();
    cx.keys.count_changes(1);
    cx.keys.notify(Class::STREAM, "xsetid", key);
    Ok(())
}

fn smaller_than(what: &str) -> Error {
    Error::owned(format!("ERR The ID specified in XSETID is smaller than {what}"))
}
