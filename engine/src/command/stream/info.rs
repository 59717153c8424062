//! `XINFO`: what is known of a stream, its groups and their consumers.

use crate::command::stream::Level;
use crate::command::stream::group::no_group;
use crate::command::stream::reply;
use crate::exec::argument::{Argument, block, integer, key, string};
use crate::exec::context::Ctx;
use base::args::Args;
use base::error::{self, Done};
use base::resp::write::Reply;
use store::stream::{ConsumerRef, EntriesRef, GroupRef, StreamEntry, StreamId};
use value::stream::{StreamRef, lag};

/// The arguments of `XINFO STREAM`.
pub const STREAM: &[Argument] = &[
    key("key", 0),
    block("full", &[integer("count").token("COUNT").optional()]).token("FULL").optional(),
];
/// The arguments of `XINFO CONSUMERS`.
pub const CONSUMERS: &[Argument] = &[key("key", 0), string("groupname")];

/// Entries of each list that are told, unless the client says how many.
const COUNT_DEFAULT: usize = 10;

pub fn info_stream(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    info_stream_at(cx, args, Level::Redis70)
}

/// `XINFO STREAM` with the fields of a level. The key is looked for before options are read.
pub fn info_stream_at(cx: &mut Ctx<'_>, args: Args<'_>, level: Level) -> Done {
    let stream = cx.keys.stream(args.at(2))?.ok_or(error::NO_SUCH_KEY)?;
    let out = &mut cx.out;
    let is_full = match args.len() {
        3 => false,
        4 => args.is(3, "FULL"),
        6 => args.is(3, "FULL") && args.is(4, "COUNT"),
        _ => false,
    };
    if args.len() == 3 {
        out.map(10);
        common(out, stream.entries);
        brief(out, stream);
        return Ok(());
    }
    if !is_full {
        return Err(error::subcommand_syntax("xinfo", args.at(1)));
    }
    let mut count = COUNT_DEFAULT;
    if args.len() == 6 {
        count = usize::try_from(args.integer(5)?).unwrap_or(COUNT_DEFAULT);
    }
    out.map(9);
    common(out, stream.entries);
    full(out, stream, if count == 0 { usize::MAX } else { count }, level);
    Ok(())
}

/// What is told in either form.
fn common(out: &mut Reply<'_>, entries: EntriesRef<'_>) {
    out.bulk(b"length");
    out.count(entries.len());
    out.bulk(b"radix-tree-keys");
    out.count(entries.node_count());
    out.bulk(b"radix-tree-nodes");
    out.count(entries.radix_nodes());
    for (name, id) in [
        ("last-generated-id", entries.last_id()),
        ("max-deleted-entry-id", entries.max_deleted_id()),
    ] {
        out.bulk(name.as_bytes());
        reply::id(out, id);
    }
    out.bulk(b"entries-added");
    out.integer(entries.added() as i64);
    out.bulk(b"recorded-first-entry-id");
    reply::id(out, entries.first_id());
}

fn brief(out: &mut Reply<'_>, stream: StreamRef<'_>) {
    let StreamRef { entries, groups } = stream;
    let entry = |out: &mut Reply<'_>, entry: Option<StreamEntry<'_>>| match entry {
        Some(entry) => reply::entry(out, entry),
        None => out.null(),
    };
    out.bulk(b"groups");
    out.count(groups.len());
    out.bulk(b"first-entry");
    entry(out, entries.range(StreamId::MIN, StreamId::MAX).next());
    out.bulk(b"last-entry");
    entry(out, entries.rev_range(StreamId::MIN, StreamId::MAX).next());
}

fn full(out: &mut Reply<'_>, stream: StreamRef<'_>, count: usize, level: Level) {
    let StreamRef { entries, groups } = stream;
    out.bulk(b"entries");
    reply::entries(out, entries.range(StreamId::MIN, StreamId::MAX).take(count), |_| ());
    out.bulk(b"groups");
    out.array(groups.len());
    for group in groups.sorted() {
        out.map(7);
        out.bulk(b"name");
        out.bulk(group.name());
        out.bulk(b"last-delivered-id");
        reply::id(out, group.last_id());
        progress(out, entries, group);
        out.bulk(b"pel-count");
        out.count(group.pending_len());
        out.bulk(b"pending");
        out.array(group.pending_len().min(count));
        for pending in group.pending_from(StreamId::MIN).take(count) {
            out.array(4);
            reply::id(out, pending.id);
            out.bulk(pending.consumer.name());
            out.integer(pending.delivered_ms);
            out.integer(pending.deliveries as i64);
        }
        out.bulk(b"consumers");
        let consumers = group.sorted_consumers();
        out.array(consumers.len());
        consumers.into_iter().for_each(|consumer| full_consumer(out, consumer, count, level));
    }
}

fn full_consumer(out: &mut Reply<'_>, consumer: ConsumerRef<'_>, count: usize, level: Level) {
    let tells_active = level == Level::Redis72;
    out.map(4 + usize::from(tells_active));
    out.bulk(b"name");
    out.bulk(consumer.name());
    out.bulk(b"seen-time");
    out.integer(consumer.seen_ms());
    if tells_active {
        out.bulk(b"active-time");
        out.integer(consumer.active_ms());
    }
    out.bulk(b"pel-count");
    out.count(consumer.pending_len());
    out.bulk(b"pending");
    out.array(consumer.pending_len().min(count));
    for pending in consumer.pending_from(StreamId::MIN).take(count) {
        out.array(3);
        reply::id(out, pending.id);
        out.integer(pending.delivered_ms);
        out.integer(pending.deliveries as i64);
    }
}

/// How far a group has read, and how much is left.
fn progress(out: &mut Reply<'_>, entries: EntriesRef<'_>, group: GroupRef<'_>) {
    out.bulk(b"entries-read");
    match group.entries_read() {
        Some(read) => out.integer(read as i64),
        None => out.null(),
    }
    out.bulk(b"lag");
    match lag(entries, group) {
        Some(lag) => out.integer(lag),
        None => out.null(),
    }
}

pub fn info_groups(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let StreamRef { entries, groups } = cx.keys.stream(args.at(2))?.ok_or(error::NO_SUCH_KEY)?;
    let out = &mut cx.out;
    out.array(groups.len());
    for group in groups.sorted() {
        out.map(6);
        out.bulk(b"name");
        out.bulk(group.name());
        out.bulk(b"consumers");
        out.count(group.consumers());
        out.bulk(b"pending");
        out.count(group.pending_len());
        out.bulk(b"last-delivered-id");
        reply::id(out, group.last_id());
        progress(out, entries, group);
    }
    Ok(())
}

pub fn info_consumers(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    info_consumers_at(cx, args, Level::Redis70)
}

/// `XINFO CONSUMERS` with the fields of a level.
pub fn info_consumers_at(cx: &mut Ctx<'_>, args: Args<'_>, level: Level) -> Done {
    let (key, name, now_ms) = (args.at(2), args.at(3), cx.keys.core.clock.now_ms);
    let stream = cx.keys.stream(key)?.ok_or(error::NO_SUCH_KEY)?;
    let group = stream.groups.get(name).ok_or_else(|| no_group(key, name))?;
    let (out, consumers) = (&mut cx.out, group.sorted_consumers());
    out.array(consumers.len());
    for consumer in consumers {
        let tells_active = level == Level::Redis72;
        out.map(3 + usize::from(tells_active));
        out.bulk(b"name");
        out.bulk(consumer.name());
        out.bulk(b"pending");
        out.count(consumer.pending_len());
        out.bulk(b"idle");
        out.integer(now_ms.wrapping_sub(consumer.seen_ms()).max(0));
        if tells_active {
            out.bulk(b"inactive");
            let never = consumer.active_ms() == -1;
            let inactive_ms = now_ms.wrapping_sub(consumer.active_ms()).max(0);
            out.integer(if never { -1 } else { inactive_ms });
        }
    }
    Ok(())
}
