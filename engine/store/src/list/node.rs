//! One node of a list: a header and its packed elements.
//!
//! | type | right |
//! | --- | --- |
//! | [`NodeId`] | none: it only says which node is meant |
//! | [`Node`] | to look at a node, for as long as its list is borrowed; copied freely |
//! | [`NodeMut`] | to change a node, for as long as its list is borrowed exclusively |
//!
//! Offsets are from the start of a node's data.

use core::marker::PhantomData;

use abi::container::ListNode;
use abi::ptr::Ptr;

use crate::packed::{self, Element};
use base::heap::{Heap, give_up};

/// Bytes of a node before its data.
pub const HEADER_BYTES: usize = size_of::<ListNode>();

/// Which node is meant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NodeId(Ptr<ListNode>);

impl NodeId {
    /// The node that a link names, if any.
    #[inline(always)]
    pub fn of(link: Ptr<ListNode>) -> Option<Self> {
        (!link.is_null()).then_some(Self(link))
    }

    /// The link that names the node; null for none.
    #[inline(always)]
    pub fn link(node: Option<Self>) -> Ptr<ListNode> {
        node.map_or(Ptr::NULL, |node| node.0)
    }

    /// The node at an address, which is not null.
    pub fn at(address: u64) -> Self {
        Self(Ptr::new(address))
    }

    /// Where the node is.
    pub fn address(self) -> u64 {
        self.0.address()
    }

    /// What a bookmark of the node is.
    pub fn bookmark(self) -> u32 {
        ((self.0.address() >> 3) as u32).max(1)
    }

    /// Frees the node's allocation.
    ///
    /// # Safety
    /// The node lives, and nothing refers to it any more.
    pub unsafe fn free(self, heap: &Heap) {
        // SAFETY: as the caller promises; it was allocated by `try_alloc` with this size.
        unsafe {
            let bytes = Node::at(self).bytes();
            heap.free(self.0.address(), bytes);
        }
    }

    #[inline(always)]
    fn data(self) -> *mut u8 {
        (self.0.address() + HEADER_BYTES as u64) as *mut u8
    }
}

/// A node to look at, for `'a`.
#[derive(Clone, Copy)]
pub struct Node<'a> {
    id: NodeId,
    borrowed: PhantomData<&'a ListNode>,
}

impl<'a> Node<'a> {
    /// The node that is meant.
    ///
    /// # Safety
    /// It lives for `'a`, and so do all nodes that can be reached from it by links; nobody changes
    /// any of them meanwhile.
    #[inline(always)]
    pub unsafe fn at(id: NodeId) -> Self {
        Self { id, borrowed: PhantomData }
    }

    /// Which node it is.
    #[inline(always)]
    pub fn id(self) -> NodeId {
        self.id
    }

    #[inline(always)]
    fn header(self) -> &'a ListNode {
        // SAFETY: it lives for 'a, and nobody changes it meanwhile, as was promised to `at`.
        unsafe { &*self.id.0.as_ptr() }
    }

    /// The node before.
    #[inline(always)]
    pub fn prev(self) -> Option<Self> {
        // SAFETY: promised to `at` for what links lead to as well.
        NodeId::of(self.header().prev).map(|id| unsafe { Self::at(id) })
    }

    /// The node after.
    #[inline(always)]
    pub fn next(self) -> Option<Self> {
        // SAFETY: as in `prev`.
        NodeId::of(self.header().next).map(|id| unsafe { Self::at(id) })
    }

    /// Elements.
    #[inline(always)]
    pub fn count(self) -> usize {
        self.header().count as usize
    }

    /// Offset of the first element.
    #[inline(always)]
    pub fn start(self) -> usize {
        self.header().start as usize
    }

    /// Offset behind the last element.
    #[inline(always)]
    pub fn end(self) -> usize {
        self.header().end as usize
    }

    /// Bytes of data, free room included.
    #[inline(always)]
    pub fn capacity(self) -> usize {
        self.header().capacity_bytes as usize
    }

    /// Bytes of elements.
    #[inline(always)]
    pub fn used(self) -> usize {
        self.end() - self.start()
    }

    /// Bytes allocated, header included.
    pub fn bytes(self) -> usize {
        HEADER_BYTES + self.capacity()
    }

    /// The data from the first to the last element.
    #[inline(always)]
    pub fn elements(self) -> &'a [u8] {
        self.slice(self.start(), self.end())
    }

    /// The elements from `offset` on.
    #[inline(always)]
    pub fn after(self, offset: usize) -> &'a [u8] {
        self.slice(offset, self.end())
    }

    /// The elements before `offset`.
    #[inline(always)]
    pub fn before(self, offset: usize) -> &'a [u8] {
        self.slice(self.start(), offset)
    }

    #[inline(always)]
    fn slice(self, from: usize, to: usize) -> &'a [u8] {
        debug_assert!(from <= to && to <= self.end());
        // SAFETY: elements are initialised and within the allocation, which lives for 'a and is
        // changed by nobody meanwhile, as was promised to `at`.
        unsafe { core::slice::from_raw_parts(self.id.data().add(from), to - from) }
    }

    /// Offset of the element with `index`, which is below the count; found from the nearer end.
    pub fn offset(self, index: usize) -> usize {
        if index <= self.count() / 2 {
            let mut offset = self.start();
            for _ in 0..index {
                offset += packed::first(self.after(offset)).1;
            }
            offset
        } else {
            let mut offset = self.end();
            for _ in index..self.count() {
                offset -= packed::last_len(self.before(offset));
            }
            offset
        }
    }
}

/// A node to change, for `'a`. The only view of it that is used meanwhile.
pub struct NodeMut<'a> {
    id: NodeId,
    borrowed: PhantomData<&'a mut ListNode>,
}

impl NodeMut<'static> {
    /// Allocates a node of at least `bytes` bytes, header included, without elements: the next
    /// goes to `start(capacity)`. It is in no list, and nobody else's. None: there is no memory.
    pub fn try_alloc(
        heap: &Heap,
        bytes: usize,
        start: impl FnOnce(usize) -> usize,
    ) -> Option<Self> {
        let bytes = heap.usable(bytes);
        let capacity = bytes - HEADER_BYTES;
        let start = start(capacity) as u32;
        let capacity_bytes = u32::try_from(capacity).expect("an element is shorter than 4 GiB");
        let id = NodeId(Ptr::new(heap.try_alloc(bytes)?));
        let (prev, next) = (Ptr::NULL, Ptr::NULL);
        let header = ListNode { prev, next, start, end: start, capacity_bytes, count: 0 };
        // SAFETY: the allocation is fresh, aligned, and large enough for a header.
        unsafe { id.0.as_ptr().write(header) };
        Some(Self { id, borrowed: PhantomData })
    }

    /// As [`NodeMut::try_alloc`], giving up if there is no memory.
    pub fn alloc(heap: &Heap, bytes: usize, start: impl FnOnce(usize) -> usize) -> Self {
        Self::try_alloc(heap, bytes, start).unwrap_or_else(|| give_up())
    }
}

impl NodeMut<'_> {
    /// The node that is meant, to change it.
    ///
    /// # Safety
    /// It lives as long as this does, and so do all nodes that can be reached from it by links;
    /// nobody uses another view of any of them meanwhile.
    #[inline(always)]
    pub unsafe fn at(id: NodeId) -> Self {
        Self { id, borrowed: PhantomData }
    }

    /// Which node it is.
    #[inline(always)]
    pub fn id(&self) -> NodeId {
        self.id
    }

    /// The node, to look at it.
    #[inline(always)]
    pub fn view(&self) -> Node<'_> {
        // SAFETY: it lives and so does what its links lead to, as was promised to `at`, or it is in
        // no list; nobody else uses a view of them, and `&self` keeps changes of this one away.
        unsafe { Node::at(self.id) }
    }

    #[inline(always)]
    fn header_mut(&mut self) -> &mut ListNode {
        // SAFETY: it lives, and this is its only view, as was promised to `at` or as it is nobody
        // else's; `&mut self` makes the reference the only one through it.
        unsafe { &mut *self.id.0.as_ptr() }
    }

    /// Makes `prev` the node before.
    pub fn set_prev(&mut self, prev: Option<NodeId>) {
        self.header_mut().prev = NodeId::link(prev);
    }

    /// Makes `next` the node after.
    pub fn set_next(&mut self, next: Option<NodeId>) {
        self.header_mut().next = NodeId::link(next);
    }

    /// Bytes `from..to` of the data, to be written.
    #[inline(always)]
    fn slice_mut(&mut self, from: usize, to: usize) -> &mut [u8] {
        assert!(from <= to && to <= self.view().capacity(), "outside of the node");
        // SAFETY: within the allocation; exclusive as in `header_mut`.
        unsafe { core::slice::from_raw_parts_mut(self.id.data().add(from), to - from) }
    }

    /// Adds an element of `len` encoded bytes behind the last. The room is there.
    #[inline(always)]
    pub fn push_back(&mut self, element: Element<'_>, len: usize) {
        let end = self.view().end();
        element.encode(self.slice_mut(end, end + len));
        let header = self.header_mut();
        header.end += len as u32;
        header.count += 1;
    }

    /// Adds an element of `len` encoded bytes before the first. The room is there.
    #[inline(always)]
    pub fn push_front(&mut self, element: Element<'_>, len: usize) {
        let start = self.view().start();
        element.encode(self.slice_mut(start - len, start));
        let header = self.header_mut();
        header.start -= len as u32;
        header.count += 1;
    }

    /// Drops the first `count` elements, `len` bytes in all.
    #[inline(always)]
    pub fn drop_front(&mut self, len: usize, count: usize) {
        let header = self.header_mut();
        header.start += len as u32;
        header.count -= count as u32;
    }

    /// Drops the last `count` elements, `len` bytes in all.
    #[inline(always)]
    pub fn drop_back(&mut self, len: usize, count: usize) {
        let header = self.header_mut();
        header.end -= len as u32;
        header.count -= count as u32;
    }

    /// Adds `count` elements that are encoded already behind the last. The room is there.
    pub fn extend(&mut self, elements: &[u8], count: usize) {
        let end = self.view().end();
        self.slice_mut(end, end + elements.len()).copy_from_slice(elements);
        let header = self.header_mut();
        header.end += elements.len() as u32;
        header.count += count as u32;
    }

    /// Moves the elements so that the first is at `start`. They fit there.
    pub fn slide(&mut self, start: usize) {
        let (old, used) = (self.view().start(), self.view().used());
        let (low, high) = (old.min(start), old.max(start) + used);
        self.slice_mut(low, high).copy_within(old - low..old - low + used, start - low);
        let header = self.header_mut();
        header.start = start as u32;
        header.end = (start + used) as u32;
    }

    /// Removes the element of `len` bytes at `offset`. Returns the offset of the one after it.
    pub fn remove(&mut self, offset: usize, len: usize) -> usize {
        self.header_mut().count -= 1;
        self.resize_gap(offset, len, 0)
    }

    /// Inserts an element before that at `offset`. The room is there, at whichever end.
    pub fn insert(&mut self, offset: usize, element: Element<'_>) {
        self.header_mut().count += 1;
        self.overwrite(offset, 0, element);
    }

    /// Puts another element in the place of that of `old` bytes at `offset`. The room is there.
    pub fn overwrite(&mut self, offset: usize, old: usize, element: Element<'_>) {
        let len = element.encoded_len();
        let offset = self.resize_gap(offset, old, len);
        element.encode(self.slice_mut(offset, offset + len));
    }

    /// Makes the `old` bytes at `offset` into `new` bytes, moving what is on the shorter side of
    /// them, and returns the offset where they are now.
    fn resize_gap(&mut self, offset: usize, old: usize, new: usize) -> usize {
        let (start, end) = (self.view().start(), self.view().end());
        let (before, after) = (offset - start, end - offset - old);
        let front_fits = start + old >= new;
        let back_fits = end - old + new <= self.view().capacity();
        if front_fits && (before <= after || !back_fits) {
            let moved = start + old - new;
            let (low, high) = (start.min(moved), offset.max(moved + before));
            self.slice_mut(low, high).copy_within(start - low..offset - low, moved - low);
            self.header_mut().start = moved as u32;
            moved + before
        } else if back_fits {
            let high = end.max(offset + new + after);
            let from = old..old + after;
            self.slice_mut(offset, high).copy_within(from, new);
            self.header_mut().end = (offset + new + after) as u32;
            offset
        } else {
            // The room is there, but divided.
            self.slide(0);
            self.resize_gap(offset - start, old, new)
        }
    }
}
