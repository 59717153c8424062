//! A node of a stream: a header, the names of its fields, and its entries.

use abi::stream::{StreamId, StreamNode};

use super::entry::{self, Draft, Fields, Form, StreamEntry};
use crate::listpack;
use base::heap::Heap;

/// Bytes of a node before its data.
pub const HEAD_BYTES: usize = size_of::<StreamNode>();

/// A node to look at.
#[derive(Clone, Copy)]
pub struct Node<'a> {
    head: &'a StreamNode,
    data: &'a [u8],
}

impl<'a> Node<'a> {
    /// The node at an address.
    ///
    /// # Safety
    /// One is there, and nobody changes it for `'a`.
    #[inline(always)]
    pub unsafe fn at(address: u64) -> Self {
        // SAFETY: as the caller promises; what is before the end of the last entry is initialised.
        unsafe {
            let head = &*(address as *const StreamNode);
            let data = (address + HEAD_BYTES as u64) as *const u8;
            Self { head, data: core::slice::from_raw_parts(data, head.end as usize) }
        }
    }

    /// The id that deltas are counted from.
    pub const fn base(self) -> StreamId {
        self.head.base
    }

    /// The greatest id that was ever here.
    pub const fn top(self) -> StreamId {
        self.head.top
    }

    /// Entries.
    pub const fn count(self) -> usize {
        self.head.count as usize
    }

    /// Entries that are or have been here.
    pub const fn count_ever(self) -> u64 {
        self.head.count as u64 + self.head.deleted as u64
    }

    /// Bytes of the listpack that it would be.
    pub const fn listpack_bytes(self) -> usize {
        self.head.listpack_bytes as usize
    }

    /// The data up to the end of the last entry.
    pub const fn data(self) -> &'a [u8] {
        self.data
    }

    /// Bytes of its allocation.
    pub const fn bytes(self) -> usize {
        HEAD_BYTES + self.head.capacity_bytes as usize
    }

    /// Bytes of data in use, from the first.
    pub const fn end(self) -> usize {
        self.head.end as usize
    }

    /// Where the first entry begins.
    pub const fn start(self) -> usize {
        self.head.start as usize
    }

    /// Free bytes behind the last entry.
    #[inline]
    pub const fn room(self) -> usize {
        (self.head.capacity_bytes - self.head.end) as usize
    }

    /// Free bytes before the first entry.
    pub fn waste(self) -> usize {
        self.start() - entry::form_end(self.data)
    }

    /// Entries whose id is below one.
    pub fn count_before(self, id: StreamId) -> u64 {
        let (mut offset, mut count) = (self.start(), 0);
        while offset < self.end() {
            let (found, next) = self.id(offset);
            if found >= id {
                break;
            }
            (offset, count) = (next, count + 1);
        }
        count
    }

    /// Where the last entry begins.
    pub const fn last(self) -> usize {
        self.head.last as usize
    }

    /// What its first entry is like.
    #[inline(always)]
    pub const fn form(self) -> Form<'a> {
        Form::new(self.data, self.head.form_bytes)
    }

    /// The entry at an offset, and where the next one begins.
    #[inline]
    pub fn entry(self, offset: usize) -> (StreamEntry<'a>, usize) {
        let (entry, len) = StreamEntry::read(&self.data[offset..], self.head.base, self.form());
        (entry, offset + len)
    }

    /// The id of the entry at an offset, and where the next one begins.
    #[inline(always)]
    pub fn id(self, offset: usize) -> (StreamId, usize) {
        let (base, form_len) = (self.head.base, self.head.form_bytes);
        let (id, len) = entry::id_at(&self.data[offset..], base, form_len);
        (id, offset + len)
    }

    /// The id of the last entry.
    pub fn last_id(self) -> StreamId {
        self.id(self.last()).0
    }

    /// Where the first entry begins whose id is not below one; the end if there is none.
    pub fn seek(self, id: StreamId) -> usize {
        if self.last_id() < id {
            return self.end();
        }
        let mut offset = self.start();
        loop {
            let (found, next) = self.id(offset);
            if found >= id {
                return offset;
            }
            offset = next;
        }
    }
}

/// A node to change.
pub struct NodeMut<'a> {
    head: &'a mut StreamNode,
    data: &'a mut [u8],
}

impl NodeMut<'_> {
    /// The node at an address.
    ///
    /// # Safety
    /// As for [`Node::at`], and nobody else uses a view of it for `'a`.
    #[inline]
    pub unsafe fn at(address: u64) -> Self {
        // SAFETY: as the caller promises; all of the data was initialised by `allocate`.
        unsafe {
            let head = &mut *(address as *mut StreamNode);
            let data = (address + HEAD_BYTES as u64) as *mut u8;
            let len = head.capacity_bytes as usize;
            Self { head, data: core::slice::from_raw_parts_mut(data, len) }
        }
    }

    fn view(&self) -> Node<'_> {
        Node { head: self.head, data: &self.data[..self.head.end as usize] }
    }

    /// Adds an entry at the end. There is room.
    #[inline]
    pub fn push<'e>(&mut self, draft: &Draft, fields: impl Fields<'e>) {
        let (start, len) = (self.head.end as usize, draft.len());
        draft.write(&mut self.data[start..start + len], fields);
        self.head.end += len as u32;
        self.head.last = start as u32;
        self.head.top = draft.id();
        self.head.listpack_bytes += draft.listpack_len as u32;
        self.count(|head| head.count += 1);
    }

    /// Takes the entry at an offset out, which is not the only one.
    pub fn remove(&mut self, offset: usize) {
        let (_, next) = self.view().id(offset);
        let len = next - offset;
        if offset == self.head.last as usize {
            self.head.last = self.before(offset) as u32;
            self.head.end = offset as u32;
        } else if offset == self.head.start as usize {
            self.head.start = next as u32;
        } else {
            self.data.copy_within(next..self.head.end as usize, offset);
            self.head.end -= len as u32;
            self.head.last -= len as u32;
        }
        self.count(|head| {
            head.count -= 1;
            head.deleted += 1;
        });
    }

    /// Takes so many of the first entries out, and not all.
    pub fn remove_first(&mut self, count: u32) {
        let mut start = self.head.start as usize;
        (0..count).for_each(|_| start = self.view().id(start).1);
        self.head.start = start as u32;
        self.count(|head| {
            head.count -= count;
            head.deleted += count;
        });
    }

    /// Where the entry before the one at an offset begins.
    fn before(&self, offset: usize) -> usize {
        let mut at = self.head.start as usize;
        loop {
            match self.view().id(at).1 {
                next if next >= offset => return at,
                next => at = next,
            }
        }
    }

    /// Changes how many entries there are.
    fn count(&mut self, change: impl FnOnce(&mut StreamNode)) {
        let len = |head: &StreamNode| {
            let counts = [head.count, head.deleted].map(|n| listpack::integer_len(n.into()));
            (counts[0] + counts[1]) as u32
        };
        let before = len(self.head);
        change(self.head);
        self.head.listpack_bytes = self.head.listpack_bytes + len(self.head) - before;
    }
}

/// A node without entries, whose form is that of fields, with room for so many bytes of entries. It
/// is given an entry before it is looked at.
pub fn allocate<'e>(
    heap: Heap,
    base: StreamId,
    fields: impl Fields<'e>,
    room: usize,
) -> Option<u64> {
    let form = entry::form_len(fields);
    let head = StreamNode {
        base,
        top: base,
        start: form as u32,
        end: form as u32,
        last: form as u32,
        capacity_bytes: 0,
        count: 0,
        deleted: 0,
        listpack_bytes: entry::listpack_head_len(fields) as u32,
        form_bytes: entry::values_len(fields) as u32,
    };
    // SAFETY: a new node, which nobody else knows; what is written is as long as was asked for.
    unsafe {
        let address = allocate_bytes(heap, head, form + room)?;
        entry::write_form(&mut NodeMut::at(address).data[..form], fields);
        Some(address)
    }
}

/// A node with this head and room for so many bytes of data, which are zero.
fn allocate_bytes(heap: Heap, head: StreamNode, data: usize) -> Option<u64> {
    let bytes = heap.usable(HEAD_BYTES + data);
    let address = heap.try_alloc(bytes)?;
    let capacity_bytes = u32::try_from(bytes - HEAD_BYTES).expect("an entry is below 4 GiB");
    // SAFETY: a new allocation of so many bytes.
    unsafe {
        (address as *mut StreamNode).write(StreamNode { capacity_bytes, ..head });
        ((address + HEAD_BYTES as u64) as *mut u8).write_bytes(0, bytes - HEAD_BYTES);
    }
    Some(address)
}

/// A copy of a node with room for so many bytes of entries more.
///
/// # Safety
/// As for [`Node::at`].
pub unsafe fn copy(heap: Heap, address: u64, room: usize) -> Option<u64> {
    // SAFETY: as the caller promises; the copy is new and has room for what there is.
    unsafe {
        let from = Node::at(address);
        let (start, form) = (from.start(), entry::form_end(from.data));
        let gap = (start - form) as u32;
        let StreamNode { end, last, .. } = *from.head;
        let head = StreamNode {
            start: form as u32,
            end: end - gap,
            last: last - gap,
            capacity_bytes: 0,
            ..*from.head
        };
        let copy = allocate_bytes(heap, head, from.end() - gap as usize + room)?;
        let to = NodeMut::at(copy);
        to.data[..form].copy_from_slice(&from.data[..form]);
        to.data[form..(end - gap) as usize].copy_from_slice(&from.data[start..]);
        Some(copy)
    }
}

/// Frees a node.
///
/// # Safety
/// It came from this heap, and nothing refers to it any more.
pub unsafe fn free(heap: Heap, address: u64) {
    // SAFETY: as the caller promises.
    unsafe { heap.free(address, Node::at(address).bytes()) };
}
