//! Streams: packed nodes of entries in a tree, and consumer groups.
#![forbid(unsafe_code)]

use core::ops::Deref;

use abi::schema::{LEVEL_1, encoding as id};
use abi::stream::RawStream;

use crate::digest::Digest;
use crate::dump;
use crate::encoding::{Encoding, MadeBy, NO_SEED, Owned, Say, Seed, check_body};
use crate::entry::{Entry, Making, OwnedBody, OwnedEntry};
use crate::serialized::kind;
use base::heap::Heap;
use store::packed::Element;
use store::stream::{Entries, EntriesRef, GroupRef, Groups, GroupsRef, StreamEntry, StreamId};

/// Bytes that a pending entry takes, about.
const PENDING_BYTES: usize = 80;

/// Packed nodes of entries in a tree.
pub const NODES: Encoding = Encoding {
    id: id::STREAM_NODES,
    level: LEVEL_1,
    name: |_| "stream",
    bytes: |heap, entry| {
        let stream = view(entry, NO_SEED);
        stream.entries.bytes(heap) + stream.groups.bytes(heap)
    },
    estimated_bytes: |entry| {
        let stream = view(entry, NO_SEED);
        stream.entries.estimated_bytes() + stream.groups.allocations() * PENDING_BYTES
    },
    allocations: |entry| {
        let stream = view(entry, NO_SEED);
        stream.entries.node_count() + stream.groups.allocations()
    },
    copy: |heap, seed, entry, key| {
        let mut copy = StreamBuf::new(heap, seed);
        let stream = view(entry, seed);
        copy.edit().entries_mut().copy_from(stream.entries);
        copy.edit().groups_mut().copy_from(stream.groups);
        OwnedEntry::with_body(&entry.shape_for(key), key, copy.raw)
    },
    owned: Owned::by::<RawStream>(),
    check: check_body::<RawStream>,
    digest: |entry, digest| {
        for entry in view(entry, NO_SEED).entries.range(StreamId::MIN, StreamId::MAX) {
            mix(entry, digest);
        }
    },
    made_by: MadeBy::Commands(remake),
    visit: |entry, visit| {
        for entry in view(entry, NO_SEED).entries.range(StreamId::MIN, StreamId::MAX) {
            let parts = parts_of(entry);
            visit(&parts.iter().map(Vec::as_slice).collect::<Vec<_>>());
        }
    },
    dump_type: kind::STREAM_LISTPACKS_2,
    dump: dump::streams::write,
};

/// Adds an entry to a digest, as Redis does.
fn mix(entry: StreamEntry<'_>, digest: &mut Digest) {
    digest.mix(format!("{}.{}", entry.id.ms, entry.id.seq).as_bytes());
    let mut digits = itoa::Buffer::new();
    for part in entry.fields().flatten() {
        digest.mix(part.bytes(&mut digits));
    }
}

/// Bytes of the longest id as clients write it.
const ID_TEXT_BYTES_MAX: usize = 41;

/// An id as clients write it.
pub struct IdText {
    bytes: [u8; ID_TEXT_BYTES_MAX],
    len: usize,
}

/// An id as clients write it.
#[inline]
pub fn id_text(id: StreamId) -> IdText {
    let mut text = IdText { bytes: [0; ID_TEXT_BYTES_MAX], len: 0 };
    text.add(itoa::Buffer::new().format(id.ms).as_bytes());
    text.add(b"-");
    text.add(itoa::Buffer::new().format(id.seq).as_bytes());
    text
}

impl IdText {
    #[inline(always)]
    fn add(&mut self, part: &[u8]) {
        self.bytes[self.len..self.len + part.len()].copy_from_slice(part);
        self.len += part.len();
    }
}

impl Deref for IdText {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// The id of an entry, then its fields.
fn parts_of(entry: StreamEntry<'_>) -> Vec<Vec<u8>> {
    let mut digits = itoa::Buffer::new();
    let mut text = |element: Element<'_>| element.bytes(&mut digits).to_vec();
    let id = id_text(entry.id).to_vec();
    core::iter::once(id).chain(entry.fields().flatten().map(&mut text)).collect()
}

/// The commands that make a stream as it is.
fn remake(entry: Entry<'_>, key: &[u8], say: Say<'_>) {
    let StreamRef { entries, groups } = view(entry, NO_SEED);
    if entries.is_empty() {
        // It is made by an entry that goes at once.
        let id = id_text(entries.last_id().max(StreamId { ms: 0, seq: 1 }));
        say(&[b"XADD", key, b"MAXLEN", b"0", &id, b"x", b"y"]);
    }
    for entry in entries.range(StreamId::MIN, StreamId::MAX) {
        let parts = parts_of(entry);
        let words = [b"XADD".as_slice(), key].into_iter().chain(parts.iter().map(Vec::as_slice));
        say(&words.collect::<Vec<_>>());
    }
    let (last, deleted) = (id_text(entries.last_id()), id_text(entries.max_deleted_id()));
    let added = entries.added().to_string();
    say(&[b"XSETID", key, &last, b"ENTRIESADDED", added.as_bytes(), b"MAXDELETEDID", &deleted]);
    groups.sorted().into_iter().for_each(|group| remake_group(group, key, say));
}

fn remake_group(group: GroupRef<'_>, key: &[u8], say: Say<'_>) {
    let name = group.name();
    let last = id_text(group.last_id());
    let read = group.entries_read().map_or("-1".to_owned(), |read| read.to_string());
    say(&[b"XGROUP", b"CREATE", key, name, &last, b"ENTRIESREAD", read.as_bytes()]);
    for consumer in group.sorted_consumers() {
        say(&[b"XGROUP", b"CREATECONSUMER", key, name, consumer.name()]);
    }
    for pending in group.pending_from(StreamId::MIN) {
        let (time, count) = (pending.delivered_ms.to_string(), pending.deliveries.to_string());
        let (id, time, count) = (id_text(pending.id), time.as_bytes(), count.as_bytes());
        let consumer = pending.consumer.name();
        say(&[
            b"XCLAIM",
            key,
            name,
            consumer,
            b"0",
            &id,
            b"TIME",
            time,
            b"RETRYCOUNT",
            count,
            b"JUSTID",
            b"FORCE",
        ]);
    }
}

/// A stream to look at.
#[derive(Clone, Copy)]
pub struct StreamRef<'a> {
    /// Its entries.
    pub entries: EntriesRef<'a>,
    /// Its consumer groups.
    pub groups: GroupsRef<'a>,
}

/// The stream an entry holds. Names of groups and consumers were hashed with the seed.
#[inline]
pub fn view(entry: Entry<'_>, seed: Seed) -> StreamRef<'_> {
    let raw = entry.body::<RawStream>();
    StreamRef { entries: EntriesRef::new(&raw.entries), groups: GroupsRef::new(&raw.groups, seed) }
}

/// A stream to change.
pub struct StreamMut<'a> {
    raw: &'a mut RawStream,
    heap: Heap,
    seed: Seed,
}

impl<'a> StreamMut<'a> {
    /// A view of a body that has only ever been changed through such views with the same heap and seed.
    #[inline]
    pub const fn new(raw: &'a mut RawStream, heap: Heap, seed: Seed) -> Self {
        Self { raw, heap, seed }
    }

    /// Its entries.
    #[inline]
    pub const fn entries(&self) -> EntriesRef<'_> {
        EntriesRef::new(&self.raw.entries)
    }

    /// Its entries, to change them.
    #[inline]
    pub const fn entries_mut(&mut self) -> Entries<'_> {
        Entries::new(&mut self.raw.entries, self.heap)
    }

    /// Its consumer groups.
    pub fn groups(&self) -> GroupsRef<'_> {
        GroupsRef::new(&self.raw.groups, self.seed)
    }

    /// Its consumer groups, to change them.
    pub const fn groups_mut(&mut self) -> Groups<'_> {
        Groups::new(&mut self.raw.groups, self.heap, self.seed)
    }

    /// Its entries, and its groups to change them meanwhile.
    pub const fn split(self) -> (EntriesRef<'a>, Groups<'a>) {
        let RawStream { entries, groups, .. } = self.raw;
        (EntriesRef::new(entries), Groups::new(groups, self.heap, self.seed))
    }
}

/// A stream on its way to an entry.
pub struct StreamBuf {
    raw: OwnedBody<RawStream>,
    heap: Heap,
    seed: Seed,
}

impl StreamBuf {
    /// A stream that has never had an entry.
    pub fn new(heap: Heap, seed: Seed) -> Self {
        Self { raw: OwnedBody::new(heap, RawStream::new()), heap, seed }
    }

    /// The stream, to change it.
    pub fn edit(&mut self) -> StreamMut<'_> {
        StreamMut::new(&mut self.raw, self.heap, self.seed)
    }

    /// An entry that holds it.
    pub fn finish(self, making: &Making<'_>) -> OwnedEntry {
        making.with_body(self.raw)
    }
}

/// Whether an id at or behind one may be missing among the entries because it was removed.
pub fn has_gaps_behind(entries: EntriesRef<'_>, id: StreamId) -> bool {
    let deleted = entries.max_deleted_id();
    !entries.is_empty() && deleted >= entries.first_id() && id <= deleted
}

/// How many entries there ever were up to an id; none if that cannot be told.
pub fn entries_up_to(entries: EntriesRef<'_>, id: StreamId) -> Option<u64> {
    let (added, len) = (entries.added(), entries.len() as u64);
    let (last, first) = (entries.last_id(), entries.first_id());
    if added == 0 {
        return Some(0);
    }
    if id == last || entries.is_empty() && id < last {
        return Some(added);
    }
    let deleted = entries.max_deleted_id();
    if id > last || deleted != StreamId::MIN && deleted >= first {
        return None;
    }
    match id.cmp(&first) {
        core::cmp::Ordering::Less => Some(added.wrapping_sub(len)),
        core::cmp::Ordering::Equal => Some(added.wrapping_sub(len).wrapping_add(1)),
        core::cmp::Ordering::Greater => None,
    }
}

/// As [`lag`], where it is known of a group that has read none of the entries there are, too: it has to read
/// all of them.
pub fn lag_by_length(entries: EntriesRef<'_>, group: GroupRef<'_>) -> Option<i64> {
    let first = entries.first_id();
    let is_behind = group.last_id() < first && entries.max_deleted_id() < first;
    if entries.is_empty() || is_behind {
        return Some(entries.len() as i64);
    }
    lag(entries, group)
}

/// How many entries a group has still to read; none if that cannot be told.
pub fn lag(entries: EntriesRef<'_>, group: GroupRef<'_>) -> Option<i64> {
    let added = entries.added();
    if added == 0 {
        return Some(0);
    }
    let known = group.entries_read().filter(|_| !has_gaps_behind(entries, group.last_id()));
    let read = known.or_else(|| entries_up_to(entries, group.last_id()))?;
    Some(added.wrapping_sub(read) as i64)
}
