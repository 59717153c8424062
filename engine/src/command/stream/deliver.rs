//! Giving entries of a stream to a consumer of a group, and telling of it.

use crate::command::stream::read::Reader;
use crate::command::stream::reply;
use crate::exec::context::Ctx;
use base::error::Done;
use base::event::Class;
use base::heap::or_undo;
use keyspace::Intent;
use store::stream::{Group, StreamId};
use value::stream::{entries_up_to, has_gaps_behind, id_text};

/// A pending entry as it has become.
pub struct Delivery {
    /// Its id.
    pub id: StreamId,
    /// When it was delivered, Unix ms.
    pub at_ms: i64,
    /// How often.
    pub count: u64,
}

/// Makes a consumer of a group that is there, if need be, which is heard of now.
pub fn ensure_consumer(cx: &mut Ctx<'_>, key: &[u8], reader: Reader<'_>) -> Done {
    let now = cx.keys.core.clock.now_ms;
    let Some(mut stream) = cx.keys.stream_mut(key, Intent::Peek)? else { return Ok(()) };
    let Some(mut group) = stream.groups_mut().get(reader.group) else { return Ok(()) };
    if let Some(mut claims) = group.claims(reader.consumer) {
        claims.set_seen(now);
        return Ok(());
    }
    group.add_consumer(reader.consumer, now, -1);
    tell_consumer(cx, key, reader);
    Ok(())
}

/// Counts and says that a consumer was made.
pub fn tell_consumer(cx: &mut Ctx<'_>, key: &[u8], reader: Reader<'_>) {
    cx.keys.count_changes(1);
    cx.keys.notify(Class::STREAM, "xgroup-createconsumer", key);
    if cx.tells_effects() {
        cx.effect(&[b"XGROUP", b"CREATECONSUMER", key, reader.group, reader.consumer]);
    }
}

/// Writes the entries that a group has not read, and gives them to a consumer, which is made if need be.
/// Where memory runs out nothing has changed, but that entries which another consumer had may be this
/// one's.
pub fn new_entries(
    cx: &mut Ctx<'_>,
    key: &[u8],
    reader: Reader<'_>,
    count: Option<usize>,
    noack: bool,
) -> Done {
    let now = cx.keys.core.clock.now_ms;
    let Some(stream) = cx.keys.stream_mut(key, Intent::Peek)? else { return Ok(()) };
    let (entries, groups) = stream.split();
    let Some(mut group) = groups.get(reader.group) else { return Ok(()) };
    let Some(start) = group.view().last_id().next() else { return Ok(()) };
    let mut ids = Vec::new();
    let range = entries.range(start, StreamId::MAX).take(count.unwrap_or(usize::MAX));
    reply::entries(&mut cx.out, range, |id| ids.push(id));
    let is_new = group.add_consumer(reader.consumer, now, -1);
    give(&mut group, reader.consumer, if noack { &[] } else { &ids }, now, is_new);
    let mut read = group.view().entries_read();
    for &id in &ids {
        if let Some(known) = read.filter(|_| !has_gaps_behind(entries, id)) {
            read = Some(once_more(known));
        } else if entries.added() > 0 {
            read = entries_up_to(entries, id);
        }
    }
    let last = ids.last().copied().unwrap_or(group.view().last_id());
    group.set_read(last, read);
    cx.keys.count_changes(1);
    if is_new {
        tell_consumer(cx, key, reader);
    }
    if cx.tells_effects() && !ids.is_empty() {
        if !noack {
            let deliveries = ids.into_iter().map(|id| Delivery { id, at_ms: now, count: 1 });
            tell(cx, key, reader, last, deliveries);
        }
        tell_read(cx, key, reader.group, last, read);
    }
    Ok(())
}

/// Makes entries pending for a consumer, which is heard of now.
fn give(group: &mut Group<'_>, consumer: &[u8], ids: &[StreamId], now: i64, is_new: bool) {
    let mut state = (&mut *group, Vec::with_capacity(ids.len()));
    or_undo(
        &mut state,
        |(group, added)| {
            for &id in ids {
                let is_pending = group.view().pending_at(id).is_some();
                let Some(mut claims) = group.claims(consumer) else { return };
                claims.take(id, now, 1);
                if !is_pending {
                    added.push(id);
                }
            }
        },
        |(group, added)| {
            for &id in added.iter() {
                group.acknowledge(id);
            }
            if is_new {
                group.remove_consumer(consumer);
            }
        },
    );
    if let Some(mut claims) = group.claims(consumer) {
        claims.set_seen(now);
        if !ids.is_empty() {
            claims.set_active(now);
        }
    }
}

/// Writes what a consumer, which is made if need be, has got and not acknowledged, behind an id: it is
/// delivered once more. Where memory runs out nothing has changed.
pub fn history(
    cx: &mut Ctx<'_>,
    key: &[u8],
    reader: Reader<'_>,
    behind: StreamId,
    count: Option<usize>,
) -> Done {
    let now = cx.keys.core.clock.now_ms;
    let Some(stream) = cx.keys.stream_mut(key, Intent::Peek)? else { return Ok(()) };
    let (entries, groups) = stream.split();
    let Some(mut group) = groups.get(reader.group) else { return Ok(()) };
    let mut deliveries = Vec::new();
    let deferred = cx.out.defer_array();
    let mut written = 0;
    if let (Some(consumer), Some(start)) = (group.view().consumer(reader.consumer), behind.next()) {
        for pending in consumer.pending_from(start).take(count.unwrap_or(usize::MAX)) {
            written += 1;
            let Some(entry) = entries.get(pending.id) else {
                // It is gone by other means than an acknowledgement.
                cx.out.array(2);
                reply::id(&mut cx.out, pending.id);
                cx.out.null_array();
                continue;
            };
            reply::entry(&mut cx.out, entry);
            let count = once_more(pending.deliveries);
            deliveries.push(Delivery { id: pending.id, at_ms: now, count });
        }
    }
    cx.out.finish(deferred, written);
    let is_new = group.add_consumer(reader.consumer, now, -1);
    if let Some(mut claims) = group.claims(reader.consumer) {
        claims.set_seen(now);
        deliveries.iter().for_each(|it| claims.take(it.id, it.at_ms, it.count));
    }
    let last = group.view().last_id();
    cx.keys.count_changes(1);
    if is_new {
        tell_consumer(cx, key, reader);
    }
    if cx.tells_effects() {
        tell(cx, key, reader, last, deliveries.into_iter());
    }
    Ok(())
}

/// A count that is one higher, as far as effects can tell it.
pub fn once_more(count: u64) -> u64 {
    count.saturating_add(1).min(i64::MAX as u64)
}

/// Says that entries have become pending as they are now. Whoever does it again finds the group at
/// this last id at least.
pub fn tell(
    cx: &mut Ctx<'_>,
    key: &[u8],
    reader: Reader<'_>,
    last: StreamId,
    deliveries: impl Iterator<Item = Delivery>,
) {
    let last = id_text(last);
    for Delivery { id, at_ms, count } in deliveries {
        let (mut time, mut times) = (itoa::Buffer::new(), itoa::Buffer::new());
        let (time, times) = (time.format(at_ms).as_bytes(), times.format(count).as_bytes());
        let id = id_text(id);
        cx.effect(&[
            b"XCLAIM",
            key,
            reader.group,
            reader.consumer,
            b"0",
            &id,
            b"TIME",
            time,
            b"RETRYCOUNT",
            times,
            b"FORCE",
            b"JUSTID",
            b"LASTID",
            &last,
        ]);
    }
}

/// Says how far a group has read.
pub fn tell_read(cx: &mut Ctx<'_>, key: &[u8], group: &[u8], last: StreamId, read: Option<u64>) {
    let read = read.map_or(-1, |read| read as i64);
    let (mut digits, last) = (itoa::Buffer::new(), id_text(last));
    let read = digits.format(read).as_bytes();
    cx.effect(&[b"XGROUP", b"SETID", key, group, &last, b"ENTRIESREAD", read]);
}
