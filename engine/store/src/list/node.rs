//! One node of a list: a header and its packed elements.

use abi::container::ListNode;
use abi::ptr::Ptr;

use crate::packed::{self, Element};
use base::heap::Heap;

/// Bytes of a node before its data.
pub const HEADER_BYTES: usize = size_of::<ListNode>();

/// A node that is linked into the list its view has borrowed, or is about to be.
///
/// Copying it copies no ownership. Offsets are from the start of the node's data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Node(Ptr<ListNode>);

impl Node {
    /// The node that a link names, if any.
    #[inline(always)]
    pub fn at(link: Ptr<ListNode>) -> Option<Self> {
        (!link.is_null()).then_some(Self(link))
    }

    /// The link that names the node; null for none.
    #[inline(always)]
    pub fn link(node: Option<Self>) -> Ptr<ListNode> {
        node.map_or(Ptr::NULL, |node| node.0)
    }

    /// Allocates a node of at least `bytes` bytes, header included, without elements: the next
    /// goes to `start(capacity)`.
    pub fn alloc(heap: &Heap, bytes: usize, start: impl FnOnce(usize) -> usize) -> Self {
        let bytes = heap.usable(bytes);
        let capacity = bytes - HEADER_BYTES;
        let start = start(capacity) as u32;
        let capacity_bytes = u32::try_from(capacity).expect("an element is shorter than 4 GiB");
        let node = Self(Ptr::new(heap.alloc(bytes)));
        let (prev, next) = (Ptr::NULL, Ptr::NULL);
        let header = ListNode { prev, next, start, end: start, capacity_bytes, count: 0 };
        // SAFETY: the allocation is fresh, aligned, and large enough for a header.
        unsafe { node.0.as_ptr().write(header) };
        node
    }

    /// Frees the node's allocation.
    ///
    /// # Safety
    /// Nothing refers to the node any more.
    pub unsafe fn free(self, heap: &Heap) {
        // SAFETY: allocated by `alloc` with this size; the caller gives it up.
        unsafe { heap.free(self.0.address(), self.bytes()) };
    }

    #[inline(always)]
    fn header<'a>(self) -> &'a ListNode {
        // SAFETY: a `Node` is only made of links to nodes that live while their list is borrowed,
        // and the views drop references before they change or free a node.
        unsafe { &*self.0.as_ptr() }
    }

    #[inline(always)]
    fn header_mut<'a>(self) -> &'a mut ListNode {
        // SAFETY: as above; a view that changes nodes has borrowed their list exclusively.
        unsafe { &mut *self.0.as_ptr() }
    }

    /// The node before.
    #[inline(always)]
    pub fn prev(self) -> Option<Self> {
        Self::at(self.header().prev)
    }

    /// The node after.
    #[inline(always)]
    pub fn next(self) -> Option<Self> {
        Self::at(self.header().next)
    }

    /// Makes `prev` the node before.
    pub fn set_prev(self, prev: Option<Self>) {
        self.header_mut().prev = Self::link(prev);
    }

    /// Makes `next` the node after.
    pub fn set_next(self, next: Option<Self>) {
        self.header_mut().next = Self::link(next);
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
    pub fn elements<'a>(self) -> &'a [u8] {
        self.slice(self.start(), self.end())
    }

    /// The elements from `offset` on.
    #[inline(always)]
    pub fn after<'a>(self, offset: usize) -> &'a [u8] {
        self.slice(offset, self.end())
    }

    /// The elements before `offset`.
    #[inline(always)]
    pub fn before<'a>(self, offset: usize) -> &'a [u8] {
        self.slice(self.start(), offset)
    }

    #[inline(always)]
    fn slice<'a>(self, from: usize, to: usize) -> &'a [u8] {
        debug_assert!(from <= to && to <= self.end());
        // SAFETY: elements are initialised and within the allocation; for the lifetime see
        // `header`.
        unsafe { core::slice::from_raw_parts(self.data().add(from), to - from) }
    }

    #[inline(always)]
    fn data(self) -> *mut u8 {
        (self.0.address() + HEADER_BYTES as u64) as *mut u8
    }

    /// Bytes `from..to` of the data, to be written.
    #[inline(always)]
    fn slice_mut<'a>(self, from: usize, to: usize) -> &'a mut [u8] {
        assert!(from <= to && to <= self.capacity(), "outside of the node");
        // SAFETY: within the allocation; for exclusiveness see `header_mut`.
        unsafe { core::slice::from_raw_parts_mut(self.data().add(from), to - from) }
    }

    /// Adds an element of `len` encoded bytes behind the last. The room is there.
    #[inline(always)]
    pub fn push_back(self, element: Element<'_>, len: usize) {
        let end = self.end();
        element.encode(self.slice_mut(end, end + len));
        let header = self.header_mut();
        header.end += len as u32;
        header.count += 1;
    }

    /// Adds an element of `len` encoded bytes before the first. The room is there.
    #[inline(always)]
    pub fn push_front(self, element: Element<'_>, len: usize) {
        let start = self.start();
        element.encode(self.slice_mut(start - len, start));
        let header = self.header_mut();
        header.start -= len as u32;
        header.count += 1;
    }

    /// Drops the first `count` elements, `len` bytes in all.
    #[inline(always)]
    pub fn drop_front(self, len: usize, count: usize) {
        let header = self.header_mut();
        header.start += len as u32;
        header.count -= count as u32;
    }

    /// Drops the last `count` elements, `len` bytes in all.
    #[inline(always)]
    pub fn drop_back(self, len: usize, count: usize) {
        let header = self.header_mut();
        header.end -= len as u32;
        header.count -= count as u32;
    }

    /// Adds `count` elements that are encoded already behind the last. The room is there.
    pub fn extend(self, elements: &[u8], count: usize) {
        let end = self.end();
        self.slice_mut(end, end + elements.len()).copy_from_slice(elements);
        let header = self.header_mut();
        header.end += elements.len() as u32;
        header.count += count as u32;
    }

    /// Moves the elements so that the first is at `start`. They fit there.
    pub fn slide(self, start: usize) {
        let (old, used) = (self.start(), self.used());
        let (low, high) = (old.min(start), old.max(start) + used);
        self.slice_mut(low, high).copy_within(old - low..old - low + used, start - low);
        let header = self.header_mut();
        header.start = start as u32;
        header.end = (start + used) as u32;
    }

    /// Removes the element of `len` bytes at `offset`. Returns the offset of the one after it.
    pub fn remove(self, offset: usize, len: usize) -> usize {
        self.header_mut().count -= 1;
        self.resize_gap(offset, len, 0)
    }

    /// Inserts an element before that at `offset`. The room is there, at whichever end.
    pub fn insert(self, offset: usize, element: Element<'_>) {
        self.header_mut().count += 1;
        self.overwrite(offset, 0, element);
    }

    /// Puts another element in the place of that of `old` bytes at `offset`. The room is there.
    pub fn overwrite(self, offset: usize, old: usize, element: Element<'_>) {
        let len = element.encoded_len();
        let offset = self.resize_gap(offset, old, len);
        element.encode(self.slice_mut(offset, offset + len));
    }

    /// Makes the `old` bytes at `offset` into `new` bytes, moving what is on the shorter side of
    /// them, and returns the offset where they are now.
    fn resize_gap(self, offset: usize, old: usize, new: usize) -> usize {
        let (start, end) = (self.start(), self.end());
        let (before, after) = (offset - start, end - offset - old);
        let front_fits = start + old >= new;
        let back_fits = end - old + new <= self.capacity();
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
