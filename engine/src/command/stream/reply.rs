//! Entries as replies.

use base::resp::write::Reply;
use store::packed::Element;
use store::stream::StreamEntry;
use store::stream::StreamId;
use value::stream::id_text;

/// Writes an id.
#[inline]
pub fn id(out: &mut Reply<'_>, id: StreamId) {
    out.bulk(&id_text(id));
}

/// Writes an entry: its id, then names and values.
#[inline]
pub fn entry(out: &mut Reply<'_>, entry: StreamEntry<'_>) {
    out.array(2);
    id(out, entry.id);
    let fields = entry.fields();
    out.array(fields.len() * 2);
    for [name, value] in fields {
        element(out, name);
        element(out, value);
    }
}

#[inline(always)]
fn element(out: &mut Reply<'_>, element: Element<'_>) {
    match element {
        Element::Bytes(bytes) => out.bulk(bytes),
        Element::Int(value) => out.bulk_integer(value),
    }
}

/// Writes entries as an array; calls `visit` with the id of each.
#[inline]
pub fn entries<'a>(
    out: &mut Reply<'_>,
    entries: impl Iterator<Item = StreamEntry<'a>>,
    mut visit: impl FnMut(StreamId),
) {
    let deferred = out.defer_array();
    let mut count = 0;
    for found in entries {
        entry(out, found);
        visit(found.id);
        count += 1;
    }
    out.finish(deferred, count);
}
