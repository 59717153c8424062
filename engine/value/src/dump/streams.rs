//! Streams, both ways.
//!
//! ```text
//! stream    nodes n, (id, listpack) × n, entries, last id
//!           from the second form on: first id, greatest removed id, entries ever added
//!           groups n, group × n
//! group     name, last id, from the second form on entries read (all ones: not known),
//!           pending n, (id, delivered ms, deliveries) × n, consumers n, consumer × n
//! consumer  name, seen ms, in the third form active ms, pending n, id × n
//!
//! listpack  entries, removed entries, names n, name × n, 0, entry …
//! entry     flags, ms and seq less those of the node's id, its fields, how many elements that were
//! fields    values, if the names are those of the node; else how many, (name, value) × n
//! ```
//!
//! Ids of nodes and of pending entries are 16 bytes, big-endian; others are two numbers. Times are
//! eight bytes, little-endian.

use std::collections::HashMap;

use store::packed::Element;
use store::stream::{GroupRef, Limit, Packed, StreamId};

use super::kinds::Building;
use crate::encoding::NO_SEED;
use crate::entry::{Entry, OwnedEntry};
use crate::serialized::fault::Fault;
use crate::serialized::listpack::{self, Elements, ListpackBuf};
use crate::serialized::reader::Reader;
use crate::serialized::writer::Writer;
use crate::stream::{StreamBuf, entries_up_to, view};

/// What is told beside entries and groups.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Form {
    /// Nothing more.
    First,
    /// Which entries there were, and how many of them groups have read.
    Second,
    /// Also when consumers last got an entry.
    Third,
}

const DAMAGE: Fault = Fault::damage(0, "a node of a stream that is damaged");
const LONG_NAMES: Fault = Fault::unknown(
    0,
    "a node of a stream whose names of fields are longer than 32 KiB, which this server would keep \
     anew for each entry",
);
/// An entry that was removed and is still there.
const DELETED: i64 = 1;
/// The names of an entry's fields are those of the node.
const SAME_FIELDS: i64 = 2;
/// Elements of an entry beside its fields and how many they are.
const ENTRY_ELEMENTS: i64 = 3;
/// Bytes of an id.
const ID_BYTES: usize = 16;
/// Bytes of a time.
const TIME_BYTES: usize = 8;
/// Bytes of names that a node with several entries may have.
const NAMES_MAX: usize = 32 << 10;

/// Writes a stream in its second form. A place is one more than the ms of the node to go on with: all
/// nodes of a ms are written in one step. Then comes all else.
pub fn write(entry: Entry<'_>, from: u64, out: &mut Writer<'_>) -> u64 {
    let stream = view(entry, NO_SEED);
    let entries = stream.entries;
    if from == 0 {
        out.length(entries.node_count());
    }
    let begin = StreamId { ms: from.saturating_sub(1), seq: 0 };
    let mut written: Option<u64> = None;
    for node in entries.packed_from(begin) {
        let ms = node.base().ms;
        let is_next = written.is_some_and(|written| written < ms);
        if is_next && out.is_full() && ms < u64::MAX {
            return ms + 1;
        }
        written = Some(ms);
        out.string(&bytes_of(node.base()));
        out.string(&listpack_of(node));
    }
    out.length(entries.len());
    for id in [entries.last_id(), entries.first_id(), entries.max_deleted_id()] {
        write_id(id, out);
    }
    out.number(entries.added());
    out.length(stream.groups.len());
    stream.groups.sorted().into_iter().for_each(|group| write_group(group, out));
    0
}

fn bytes_of(id: StreamId) -> [u8; ID_BYTES] {
    (u128::from(id.ms) << 64 | u128::from(id.seq)).to_be_bytes()
}

fn write_id(id: StreamId, out: &mut Writer<'_>) {
    out.number(id.ms);
    out.number(id.seq);
}

/// Entries that were removed are left out, which Redis keeps in its listpacks and marks.
fn listpack_of(node: Packed<'_>) -> Vec<u8> {
    let mut listpack = ListpackBuf::default();
    let names = node.names();
    [node.len() as i64, 0, names.len() as i64].into_iter().for_each(|n| listpack.push_int(n));
    names.for_each(|name| listpack.push(name));
    listpack.push_int(0);
    for (entry, is_same) in node.entries() {
        let fields = entry.fields();
        let count = fields.len() as i64;
        listpack.push_int(if is_same { SAME_FIELDS } else { 0 });
        listpack.push_int(entry.id.ms.wrapping_sub(node.base().ms) as i64);
        listpack.push_int(entry.id.seq.wrapping_sub(node.base().seq) as i64);
        if is_same {
            fields.for_each(|[_, value]| listpack.push(value));
        } else {
            listpack.push_int(count);
            fields.flatten().for_each(|part| listpack.push(part));
        }
        listpack.push_int(ENTRY_ELEMENTS + if is_same { count } else { 1 + 2 * count });
    }
    listpack.finish()
}

fn write_group(group: GroupRef<'_>, out: &mut Writer<'_>) {
    out.string(group.name());
    write_id(group.last_id(), out);
    out.number(group.entries_read().unwrap_or(u64::MAX));
    out.length(group.pending_len());
    for pending in group.pending_from(StreamId::MIN) {
        out.raw(&bytes_of(pending.id));
        out.raw(&pending.delivered_ms.to_le_bytes());
        out.number(pending.deliveries);
    }
    out.length(group.consumers());
    for consumer in group.sorted_consumers() {
        out.string(consumer.name());
        out.raw(&consumer.seen_ms().to_le_bytes());
        out.length(consumer.pending_len());
        consumer.pending_from(StreamId::MIN).for_each(|pending| out.raw(&bytes_of(pending.id)));
    }
}

/// Reads a stream.
pub fn load(
    reader: &mut Reader<'_>,
    building: &Building<'_>,
    form: Form,
) -> Result<OwnedEntry, Fault> {
    let mut buf = StreamBuf::new(building.heap, building.seed);
    for _ in 0..reader.count_or_none(1 + ID_BYTES + 1)? {
        let base = reader.string()?;
        let base = id_of(base.as_ref().try_into().map_err(|_| DAMAGE)?);
        read_node(&mut buf, base, &reader.string()?)?;
    }
    read_counts(reader, &mut buf, form)?;
    for _ in 0..reader.count_or_none(1 + 2 + 2)? {
        read_group(reader, &mut buf, form)?;
    }
    Ok(buf.finish(&building.making))
}

fn id_of(bytes: [u8; ID_BYTES]) -> StreamId {
    let word = u128::from_be_bytes(bytes);
    StreamId { ms: (word >> 64) as u64, seq: word as u64 }
}

fn read_id(reader: &mut Reader<'_>) -> Result<StreamId, Fault> {
    Ok(StreamId { ms: reader.length()?, seq: reader.length()? })
}

fn integer(elements: &mut Elements<'_>) -> Result<i64, Fault> {
    match elements.next() {
        Some(Element::Int(value)) => Ok(value),
        _ => Err(DAMAGE),
    }
}

/// A number of things: none is negative.
fn number(elements: &mut Elements<'_>) -> Result<usize, Fault> {
    usize::try_from(integer(elements)?).map_err(|_| DAMAGE)
}

/// The names of a node's fields.
struct Names<'a> {
    first: Elements<'a>,
    count: usize,
}

/// Reads a node, which becomes one, but for what of it is gone or makes it too large.
fn read_node(buf: &mut StreamBuf, base: StreamId, listpack: &[u8]) -> Result<(), Fault> {
    let elements = &mut listpack::elements(listpack)?;
    let (count, deleted) = (number(elements)?, number(elements)?);
    let names = Names { count: number(elements)?, first: elements.clone() };
    let mut bytes = 0;
    for _ in 0..names.count {
        let mut digits = itoa::Buffer::new();
        bytes += elements.next().ok_or(DAMAGE)?.bytes(&mut digits).len();
    }
    if count > 1 && bytes > NAMES_MAX {
        return Err(LONG_NAMES);
    }
    if integer(elements)? != 0 || count.checked_add(deleted).is_none_or(|all| all == 0) {
        return Err(DAMAGE);
    }
    let mut found = 0;
    for _ in 0..count + deleted {
        found += usize::from(read_entry(buf, base, elements, &names, found == 0)?);
    }
    if found == count && elements.next().is_none() { Ok(()) } else { Err(DAMAGE) }
}

/// Reads an entry. Tells whether it was not one that was removed.
fn read_entry(
    buf: &mut StreamBuf,
    base: StreamId,
    elements: &mut Elements<'_>,
    names: &Names<'_>,
    is_first: bool,
) -> Result<bool, Fault> {
    let flags = integer(elements)?;
    let [ms, seq] = [integer(elements)?, integer(elements)?].map(|delta| delta as u64);
    let is_same = flags & SAME_FIELDS != 0;
    let count = if is_same { names.count } else { number(elements)? };
    let (mut of_node, mut fields) = (names.first.clone(), Vec::new());
    for _ in 0..count {
        let name = if is_same { of_node.next() } else { elements.next() };
        let [name, value] = [name, elements.next()].map(|part| part.map(text));
        fields.push([name.ok_or(DAMAGE)?, value.ok_or(DAMAGE)?]);
    }
    let of_fields = if is_same { count } else { 1 + 2 * count };
    if integer(elements)? != ENTRY_ELEMENTS + of_fields as i64 {
        return Err(DAMAGE);
    }
    if flags & DELETED != 0 {
        return Ok(false);
    }
    let id = StreamId { ms: base.ms.wrapping_add(ms), seq: base.seq.wrapping_add(seq) };
    let last = buf.edit().entries().last_id();
    let is_mixed_up = is_first && base <= last && last != StreamId::MIN;
    if id < base || id <= last || is_mixed_up || fields.is_empty() {
        return Err(DAMAGE);
    }
    let fields: Vec<_> = fields.iter().map(|[name, value]| [&name[..], &value[..]]).collect();
    match is_first {
        true => buf.edit().entries_mut().append_apart(base, id, fields.as_slice()),
        false => buf.edit().entries_mut().append(id, fields.as_slice(), Limit::NONE),
    }
    Ok(true)
}

fn text(element: Element<'_>) -> Vec<u8> {
    element.bytes(&mut itoa::Buffer::new()).to_vec()
}

fn read_counts(reader: &mut Reader<'_>, buf: &mut StreamBuf, form: Form) -> Result<(), Fault> {
    let (len, last) = (reader.length()?, read_id(reader)?);
    let mut stream = buf.edit();
    if len != stream.entries().len() as u64 || last < stream.entries().last_id() {
        return Err(reader.damage("counts of a stream that are not its own"));
    }
    let (mut deleted, mut added) = (StreamId::MIN, len);
    if form >= Form::Second {
        // The first there is told by the entries.
        read_id(reader)?;
        (deleted, added) = (read_id(reader)?, reader.length()?);
    }
    let mut entries = stream.entries_mut();
    entries.set_last_id(last);
    entries.set_max_deleted_id(deleted);
    entries.set_added(added);
    Ok(())
}

/// When and how often entries were delivered.
type Deliveries = HashMap<StreamId, (i64, u64)>;

fn read_group(reader: &mut Reader<'_>, buf: &mut StreamBuf, form: Form) -> Result<(), Fault> {
    let (name, last) = (reader.string()?, read_id(reader)?);
    let read = match form {
        Form::First => entries_up_to(buf.edit().entries(), last),
        _ => Some(reader.length()?).filter(|read| *read != u64::MAX),
    };
    if buf.edit().groups().get(&name).is_some() {
        return Err(reader.damage("a group that is there twice"));
    }
    buf.edit().groups_mut().add(&name, last, read);
    let mut pending = Deliveries::new();
    for _ in 0..reader.count_or_none(ID_BYTES + TIME_BYTES + 1)? {
        let (id, time) = (id_of(reader.array()?), i64::from_le_bytes(reader.array()?));
        if pending.insert(id, (time, reader.length()?)).is_some() {
            return Err(reader.damage("a pending entry that is there twice"));
        }
    }
    for _ in 0..reader.count_or_none(1 + TIME_BYTES + 1)? {
        read_consumer(reader, buf, &name, &mut pending, form)?;
    }
    if pending.is_empty() {
        Ok(())
    } else {
        Err(reader.damage("a pending entry without a consumer"))
    }
}

/// Reads a consumer of a group, to whom some of the pending entries were delivered.
fn read_consumer(
    reader: &mut Reader<'_>,
    buf: &mut StreamBuf,
    group: &[u8],
    pending: &mut Deliveries,
    form: Form,
) -> Result<(), Fault> {
    let (name, seen) = (reader.string()?, i64::from_le_bytes(reader.array()?));
    // The best that is known.
    let mut active = seen;
    if form >= Form::Third {
        active = i64::from_le_bytes(reader.array()?);
    }
    let mut stream = buf.edit();
    let mut group = stream.groups_mut().get(group).ok_or(DAMAGE)?;
    if !group.add_consumer(&name, seen, active) {
        return Err(reader.damage("a consumer that is there twice"));
    }
    let mut claims = group.claims(&name).ok_or(DAMAGE)?;
    for _ in 0..reader.count_or_none(ID_BYTES)? {
        let id = id_of(reader.array()?);
        let delivered = pending.remove(&id);
        let (time, deliveries) =
            delivered.ok_or(reader.damage("an entry of a consumer that is not pending"))?;
        claims.take(id, time, deliveries);
    }
    Ok(())
}
