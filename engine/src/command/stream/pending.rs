//! What was delivered and not acknowledged: `XACK`, `XPENDING`.

use crate::command::stream::id::{parse_end, parse_start, parse_strict};
use crate::command::stream::reply;
use crate::exec::argument::{Argument, block, integer, key, string};
use crate::exec::context::Ctx;
use base::args::{Args, c_text};
use base::error::{self, Done, Error};
use base::resp::write::Reply;
use keyspace::Intent;
use store::stream::{GroupRef, Pending, StreamId};

/// The arguments of `XACK`.
pub const XACK: &[Argument] = &[key("key", 0), string("group"), string("id").multiple()];
/// The arguments of `XPENDING`.
pub const XPENDING: &[Argument] = &[
    key("key", 0),
    string("group"),
    block(
        "filters",
        &[
            integer("min-idle-time").token("IDLE").optional().since("6.2.0"),
            string("start"),
            string("end"),
            integer("count"),
            string("consumer").optional(),
        ],
    )
    .optional(),
];

/// `NOGROUP`, of a key that may not be there.
pub fn no_group(key: &[u8], group: &[u8]) -> Error {
    let parts: [&[u8]; 5] =
        [b"NOGROUP No such key '", c_text(key), b"' or consumer group '", c_text(group), b"'"];
    Error::owned(parts.concat())
}

pub fn xack(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let mut stream = cx.keys.stream_mut(args.at(1), Intent::Read)?;
    let groups = stream.as_mut().map(|stream| stream.groups_mut());
    let Some(mut group) = groups.and_then(|groups| groups.get(args.at(2))) else {
        cx.out.integer(0);
        return Ok(());
    };
    let ids = args.from(3).map(|text| parse_strict(text, 0)).collect::<Result<Vec<_>, _>>()?;
    let count = ids.into_iter().filter(|id| group.acknowledge(*id)).count();
    cx.out.count(count);
    cx.keys.count_changes(count);
    Ok(())
}

/// Which pending entries are asked for.
struct Filter<'a> {
    idle_ms: i64,
    start: StreamId,
    end: StreamId,
    count: usize,
    consumer: Option<&'a [u8]>,
}

impl<'a> Filter<'a> {
    /// Reads the arguments by their places: `IDLE` can only be the first of them.
    fn parse(args: Args<'a>) -> Result<Option<Self>, Error> {
        match args.len() {
            3 => return Ok(None),
            6..=9 => {}
            _ => return Err(error::SYNTAX),
        }
        let (mut at, mut idle_ms) = (3, 0);
        if args.is(3, "IDLE") {
            idle_ms = args.integer(4)?;
            if args.len() < 8 {
                return Err(error::SYNTAX);
            }
            at = 5;
        }
        let count = usize::try_from(args.integer(at + 2)?).unwrap_or(0);
        let (start, end) = (parse_start(args.at(at))?, parse_end(args.at(at + 1))?);
        Ok(Some(Self { idle_ms, start, end, count, consumer: args.get(at + 3) }))
    }
}

pub fn xpending(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let (key, name, now) = (args.at(1), args.at(2), cx.keys.core.clock.now_ms);
    let filter = Filter::parse(args)?;
    let stream = cx.keys.stream(key)?;
    let group = stream.and_then(|stream| stream.groups.get(name));
    let group = group.ok_or_else(|| no_group(key, name))?;
    let out = &mut cx.out;
    let Some(filter) = filter else {
        summary(out, group);
        return Ok(());
    };
    match filter.consumer.map(|name| group.consumer(name)) {
        None => list(out, group.pending_from(filter.start), &filter, now),
        Some(Some(consumer)) => list(out, consumer.pending_from(filter.start), &filter, now),
        Some(None) => out.array(0),
    }
    Ok(())
}

fn summary(out: &mut Reply<'_>, group: GroupRef<'_>) {
    out.array(4);
    out.count(group.pending_len());
    let (Some(first), Some(last)) =
        (group.pending_from(StreamId::MIN).next(), group.last_pending())
    else {
        out.null();
        out.null();
        return out.null_array();
    };
    reply::id(out, first.id);
    reply::id(out, last);
    let consumers = group.sorted_consumers();
    let busy: Vec<_> = consumers.iter().filter(|consumer| consumer.pending_len() > 0).collect();
    out.array(busy.len());
    for consumer in busy {
        out.array(2);
        out.bulk(consumer.name());
        out.bulk_integer(consumer.pending_len() as i64);
    }
}

fn list<'a>(
    out: &mut Reply<'_>,
    pending: impl Iterator<Item = Pending<'a>>,
    filter: &Filter<'_>,
    now_ms: i64,
) {
    let deferred = out.defer_array();
    let idle_ms = |entry: &Pending<'_>| now_ms.wrapping_sub(entry.delivered_ms);
    let mut count = 0;
    let wanted = pending
        .take_while(|entry| entry.id <= filter.end)
        .filter(|entry| filter.idle_ms == 0 || idle_ms(entry) >= filter.idle_ms);
    for entry in wanted.take(filter.count) {
        out.array(4);
        reply::id(out, entry.id);
        out.bulk(entry.consumer.name());
        out.integer(idle_ms(&entry).max(0));
        out.integer(entry.deliveries as i64);
        count += 1;
    }
    out.finish(deferred, count);
}
