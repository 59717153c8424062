//! Lists: packed nodes, linked.
#![forbid(unsafe_code)]

use abi::container::RawList;
use abi::schema::{LEVEL_1, encoding as id};

use crate::encoding::{Encoding, MadeBy, free_body};
use crate::entry::{Entry, OwnedBody, OwnedEntry};
use crate::serialized;
use base::heap::Heap;
use store::list::{End, Limit, List, ListRef};

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
    free: free_body::<RawList>,
    digest: |entry, digest| entry.mix_parts_into(digest),
    made_by: MadeBy::Parts("RPUSH"),
    visit: |entry, visit| {
        let mut digits = itoa::Buffer::new();
        view(entry).iter().for_each(|element| visit(&[element.bytes(&mut digits)]));
    },
    serialized_len: |entry| {
        let mut digits = itoa::Buffer::new();
        let elements = view(entry).iter();
        let bytes = elements.map(|element| serialized::string_len(element.bytes(&mut digits)));
        serialized::length_len(view(entry).len()) + bytes.sum::<usize>()
    },
};

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
