//! Lists: packed nodes, linked.
#![forbid(unsafe_code)]

use abi::container::RawList;
use abi::schema::{LEVEL_1, encoding as id};

use crate::encoding::{Encoding, MadeBy, Owned, check_body};
use crate::entry::{Entry, OwnedBody, OwnedEntry};
use crate::serialized::kind;
use crate::serialized::listpack::ListpackBuf;
use crate::serialized::writer::Writer;
use base::heap::Heap;
use store::list::{Element, End, Forward, Limit, List, ListRef};

/// Packed nodes, linked.
pub const NODES: Encoding = Encoding {
    id: id::LIST_NODES,
    level: LEVEL_1,
    name: |_| "quicklist",
    bytes: |_, entry| view(entry).bytes(),
    estimated_bytes: |entry| view(entry).estimated_bytes(),
    allocations: |entry| view(entry).nodes(),
    copy: |heap, _, entry, key| {
        let mut raw = OwnedBody::new(heap, RawList::EMPTY);
        // Nodes are taken over as they are: any limit will do.
        view(entry).copy_to(&mut List::new(&mut raw, heap, Limit::from_setting(-2)));
        OwnedEntry::with_body(&entry.shape_for(key), key, raw)
    },
    owned: Owned::by::<RawList>(),
    check: check_body::<RawList>,
    digest: |entry, digest| entry.mix_parts_into(digest),
    made_by: MadeBy::Parts("RPUSH"),
    visit: |entry, visit| {
        let mut digits = itoa::Buffer::new();
        view(entry).iter().for_each(|element| visit(&[element.bytes(&mut digits)]));
    },
    dump_type: kind::LIST_QUICKLIST_2,
    dump,
};

/// Bytes of an element that Redis keeps apart from others.
const PLAIN_MIN: usize = 1 << 30;

/// A place is a number of nodes.
fn dump(entry: Entry<'_>, from: u64, out: &mut Writer<'_>) -> u64 {
    let list = view(entry);
    if from == 0 {
        out.length(list.nodes());
    }
    let mut done = from as usize;
    for elements in list.by_node().skip(done) {
        dump_node(elements, out);
        done += 1;
        if out.is_full() {
            break;
        }
    }
    if done == list.nodes() { 0 } else { done as u64 }
}

fn dump_node(mut elements: Forward<'_>, out: &mut Writer<'_>) {
    if let Some(Element::Bytes(text @ [_, ..])) = elements.clone().next()
        && text.len() >= PLAIN_MIN
    {
        out.length(kind::PLAIN_NODE as usize);
        return out.string(text);
    }
    let mut listpack = ListpackBuf::default();
    elements.by_ref().for_each(|element| listpack.push(element));
    out.length(kind::PACKED_NODE as usize);
    out.string(&listpack.finish());
}

/// The list an entry holds.
#[inline]
pub fn view(entry: Entry<'_>) -> ListRef<'_> {
    ListRef::new(entry.body())
}

/// A new entry that holds a list of elements. It is filled before it can be found.
pub fn make<'e>(
    heap: Heap,
    limit: Limit,
    key: &[u8],
    access: u32,
    end: End,
    elements: impl Iterator<Item = &'e [u8]>,
) -> OwnedEntry {
    let mut raw = OwnedBody::new(heap, RawList::EMPTY);
    let mut list = List::new(&mut raw, heap, limit);
    elements.for_each(|element| list.push(end, element));
    OwnedEntry::new(key, access, raw)
}
