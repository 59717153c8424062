//! Byte queues in the arena: what a client has sent, and what it has yet to be sent.

use abi::container::RawBuffer;
use abi::ptr::Ptr;
use core::mem::MaybeUninit;
use core::sync::atomic::Ordering::SeqCst;
use core::sync::atomic::compiler_fence;

use super::bytes::roomy;
use crate::heap::Heap;

/// Bytes of the smallest allocation.
const CAPACITY_MIN: usize = 256;

/// The bytes appended and not yet consumed.
#[inline(always)]
pub fn slice(raw: &RawBuffer) -> &[u8] {
    if raw.is_empty() {
        return &[];
    }
    // SAFETY: a raw buffer holds initialised bytes from `start` to `end`; borrowed, they stay.
    unsafe { core::slice::from_raw_parts(raw.data.as_ptr().add(raw.start as usize), raw.len()) }
}

/// A byte queue to change.
pub struct Buffer<'a> {
    raw: &'a mut RawBuffer,
    heap: Heap,
}

impl<'a> Buffer<'a> {
    /// A view of `raw`, which is empty, lent by its worker, or has only ever been given memory by
    /// such views with the same heap.
    #[inline(always)]
    pub const fn new(raw: &'a mut RawBuffer, heap: Heap) -> Self {
        Self { raw, heap }
    }

    /// Bytes not yet consumed.
    #[inline(always)]
    pub const fn len(&self) -> usize {
        self.raw.len()
    }

    /// Whether nothing is left to consume.
    #[inline(always)]
    pub const fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    /// The bytes not yet consumed.
    #[inline(always)]
    pub fn as_slice(&self) -> &[u8] {
        slice(self.raw)
    }

    /// The bytes not yet consumed, to change in place.
    #[inline(always)]
    pub fn as_mut_slice(&mut self) -> &mut [u8] {
        if self.is_empty() {
            return &mut [];
        }
        let (start, len) = (self.raw.start as usize, self.len());
        // SAFETY: initialised bytes that only this view refers to.
        unsafe { core::slice::from_raw_parts_mut(self.raw.data.as_ptr().add(start), len) }
    }

    /// Bytes that can be appended without growing.
    #[inline(always)]
    pub const fn room(&self) -> usize {
        (self.raw.capacity - self.raw.end) as usize
    }

    /// Appends bytes.
    #[inline(always)]
    pub fn append(&mut self, bytes: &[u8]) {
        self.reserve(bytes.len());
        // SAFETY: the room is there, and a slice from elsewhere cannot overlap it.
        unsafe { self.end().copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
        self.raw.end += bytes.len() as u64;
    }

    /// Appends the first `len` bytes of an array. Copying all of it takes no call.
    #[inline(always)]
    pub fn append_start<const N: usize>(&mut self, bytes: &[u8; N], len: usize) {
        self.reserve(N);
        // SAFETY: the room is there, and a slice from elsewhere cannot overlap it.
        unsafe { self.end().copy_from_nonoverlapping(bytes.as_ptr(), N) };
        self.raw.end += len.min(N) as u64;
    }

    /// Appends the first `len` bytes of an array, then `bytes`, then `tail`.
    #[inline(always)]
    pub fn append_framed<const N: usize, const M: usize>(
        &mut self,
        head: &[u8; N],
        len: usize,
        bytes: &[u8],
        tail: &[u8; M],
    ) {
        let len = len.min(N);
        self.reserve(N + bytes.len() + M);
        // SAFETY: as for `append_start`; the parts lie one behind the other.
        unsafe {
            let end = self.end();
            end.copy_from_nonoverlapping(head.as_ptr(), N);
            end.add(len).copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
            end.add(len + bytes.len()).copy_from_nonoverlapping(tail.as_ptr(), M);
        }
        self.raw.end += (len + bytes.len() + M) as u64;
    }

    /// Where the next byte goes.
    #[inline(always)]
    fn end(&mut self) -> *mut u8 {
        // SAFETY: within the allocation, or one past it.
        unsafe { self.raw.data.as_ptr().add(self.raw.end as usize) }
    }

    /// Appends one byte.
    #[inline(always)]
    pub fn push(&mut self, byte: u8) {
        self.append(&[byte]);
    }

    /// Makes room for `additional` bytes.
    #[inline(always)]
    pub fn reserve(&mut self, additional: usize) {
        if additional > self.room() {
            self.grow(additional);
        }
    }

    /// The room behind the end, for bytes that [`Buffer::commit`] then adds.
    #[inline(always)]
    pub fn spare_mut(&mut self) -> &mut [MaybeUninit<u8>] {
        let room = self.room();
        if room == 0 {
            return &mut [];
        }
        // SAFETY: `room` allocated bytes follow the end, and only this view refers to them.
        unsafe { core::slice::from_raw_parts_mut(self.end().cast(), room) }
    }

    /// Adds the first `len` bytes of the room behind the end.
    ///
    /// # Safety
    /// They are within the room and have been written since it was made.
    #[inline(always)]
    pub unsafe fn commit(&mut self, len: usize) {
        debug_assert!(len <= self.room());
        self.raw.end += len as u64;
    }

    /// Takes the first `len` bytes out; all of them if there are fewer.
    #[inline(always)]
    pub fn consume(&mut self, len: usize) {
        if len >= self.len() {
            self.raw.start = 0;
            self.raw.end = 0;
        } else {
            self.raw.start += len as u64;
        }
    }

    /// Keeps the first `len` bytes that are not yet consumed, taking back what was appended since.
    #[inline(always)]
    pub fn truncate(&mut self, len: usize) {
        if len < self.len() {
            self.raw.end = self.raw.start + len as u64;
        }
    }

    /// Drops all bytes and frees the allocation if it is the buffer's own.
    pub fn free(&mut self) {
        let old = core::mem::replace(self.raw, RawBuffer::EMPTY);
        self.free_own(&old);
    }

    /// Makes room by moving the bytes to the front or to a larger allocation of the buffer's own.
    ///
    /// Whoever finds the buffer half way, after the end of the process, knows what is in it by its
    /// address and by whether its start is beyond its end, which then is to be the front.
    #[cold]
    #[inline(never)]
    fn grow(&mut self, additional: usize) {
        let (start, len) = (self.raw.start as usize, self.len());
        let needed = len.checked_add(additional).expect("a length is below 2^63");
        // Moving pays only when more bytes have been consumed than are moved.
        if start > len {
            self.move_to_front();
            if needed <= self.raw.capacity as usize {
                return;
            }
        }
        let start = self.raw.start as usize;
        let capacity = roomy((start + needed).max(CAPACITY_MIN / 2), &self.heap);
        let data = Ptr::<u8>::new(self.heap.alloc(capacity));
        // SAFETY: the new allocation is larger and distinct.
        unsafe { data.as_ptr().add(start).copy_from_nonoverlapping(self.as_slice().as_ptr(), len) };
        let RawBuffer { data: old, capacity: old_capacity, lent, .. } = *self.raw;
        let old = RawBuffer { data: old, capacity: old_capacity, lent, ..RawBuffer::EMPTY };
        compiler_fence(SeqCst);
        (self.raw.data, self.raw.capacity, self.raw.lent) = (data, capacity as u64, 0);
        compiler_fence(SeqCst);
        self.free_own(&old);
    }

    /// Moves the bytes to the front; more have been consumed than there are.
    fn move_to_front(&mut self) {
        let (start, len) = (self.raw.start as usize, self.len());
        let data = self.raw.data.as_ptr();
        // SAFETY: the bytes lie in the allocation and, by the condition, do not overlap.
        unsafe { data.copy_from_nonoverlapping(data.add(start), len) };
        compiler_fence(SeqCst);
        self.raw.end = len as u64;
        compiler_fence(SeqCst);
        self.raw.start = 0;
    }

    fn free_own(&self, old: &RawBuffer) {
        if old.lent == 0 && old.capacity > 0 {
            // SAFETY: allocated by this view with this size, and no longer referred to.
            unsafe { self.heap.free(old.data.address(), old.capacity as usize) };
        }
    }
}

/// A buffer for what is made and used up in one go. Dropped, it is freed.
pub struct OwnedBuffer {
    raw: RawBuffer,
    heap: Heap,
}

impl OwnedBuffer {
    /// An empty one.
    pub const fn new(heap: Heap) -> Self {
        Self { raw: RawBuffer::EMPTY, heap }
    }

    /// What to make a view of, with the same heap.
    pub const fn raw(&mut self) -> &mut RawBuffer {
        &mut self.raw
    }

    /// Gives it up to whoever keeps it.
    pub fn into_raw(mut self) -> RawBuffer {
        core::mem::replace(&mut self.raw, RawBuffer::EMPTY)
    }

    /// The buffer, to change it.
    pub const fn view(&mut self) -> Buffer<'_> {
        Buffer::new(&mut self.raw, self.heap)
    }
}

impl Drop for OwnedBuffer {
    fn drop(&mut self) {
        self.view().free();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::heap::testing::{heap, outstanding};
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Step {
        Append(Vec<u8>),
        Commit(Vec<u8>),
        Consume(usize),
        Truncate(usize),
        Flip,
        Free,
    }

    fn step() -> impl Strategy<Value = Step> {
        let bytes = || prop::collection::vec(any::<u8>(), 0..300);
        prop_oneof![
            5 => bytes().prop_map(Step::Append),
            2 => bytes().prop_map(Step::Commit),
            4 => (0..400usize).prop_map(Step::Consume),
            1 => (0..400usize).prop_map(Step::Truncate),
            1 => Just(Step::Flip),
            1 => Just(Step::Free),
        ]
    }

    fn apply(buffer: &mut Buffer<'_>, model: &mut Vec<u8>, step: Step) {
        match step {
            Step::Append(bytes) => {
                buffer.append(&bytes);
                model.extend(bytes);
            }
            Step::Commit(bytes) => {
                buffer.reserve(bytes.len());
                for (to, &from) in buffer.spare_mut().iter_mut().zip(&bytes) {
                    to.write(from);
                }
                // SAFETY: room was made for the bytes, and they have been written.
                unsafe { buffer.commit(bytes.len()) };
                model.extend(bytes);
            }
            Step::Consume(len) => {
                buffer.consume(len);
                model.drain(..len.min(model.len()));
            }
            Step::Truncate(len) => {
                buffer.truncate(len);
                model.truncate(len);
            }
            Step::Flip => {
                buffer.as_mut_slice().iter_mut().for_each(|byte| *byte = !*byte);
                model.iter_mut().for_each(|byte| *byte = !*byte);
            }
            Step::Free => {
                buffer.free();
                model.clear();
            }
        }
    }

    fn check(steps: Vec<Step>, lent: usize) {
        let held = outstanding();
        let mut worker = vec![0u8; lent];
        let mut raw = RawBuffer::EMPTY;
        if lent > 0 {
            raw.data = Ptr::from_raw(worker.as_mut_ptr());
            (raw.capacity, raw.lent) = (lent as u64, 1);
        }
        let mut model = Vec::new();
        for step in steps {
            let mut buffer = Buffer::new(&mut raw, heap());
            apply(&mut buffer, &mut model, step);
            assert_eq!(buffer.as_slice(), &model[..]);
            assert_eq!(buffer.room() as u64, raw.capacity - raw.end);
            let own = if raw.lent == 1 { 0 } else { raw.capacity as i64 };
            assert_eq!(outstanding() - held, own);
        }
        Buffer::new(&mut raw, heap()).free();
        assert_eq!(outstanding(), held);
    }

    proptest! {
        #[test]
        fn agrees_with_a_model(
            steps in prop::collection::vec(step(), 1..40),
            lent in prop_oneof![Just(0), Just(64), Just(1000)],
        ) {
            check(steps, lent);
        }
    }

    #[test]
    fn a_lent_buffer_is_left_only_when_it_is_too_small() {
        let mut worker = [0u8; 64];
        let mut raw = RawBuffer { capacity: 64, lent: 1, ..RawBuffer::EMPTY };
        raw.data = Ptr::from_raw(worker.as_mut_ptr());
        Buffer::new(&mut raw, heap()).append(&[1; 64]);
        assert_eq!(raw.lent, 1);
        Buffer::new(&mut raw, heap()).append(&[2]);
        assert_eq!((raw.lent, raw.len()), (0, 65));
        Buffer::new(&mut raw, heap()).free();
    }

    #[test]
    fn a_queue_that_is_drained_does_not_grow() {
        let mut raw = RawBuffer::EMPTY;
        for _ in 0..10_000 {
            let mut buffer = Buffer::new(&mut raw, heap());
            buffer.append(&[7; 100]);
            let waiting = buffer.len().saturating_sub(50);
            buffer.consume(waiting);
        }
        assert!(raw.capacity < 1000, "{}", raw.capacity);
        Buffer::new(&mut raw, heap()).free();
    }

    #[test]
    fn a_large_append_leaves_little_unused() {
        let mut raw = RawBuffer::EMPTY;
        Buffer::new(&mut raw, heap()).append(&vec![0; 8 << 20]);
        assert_eq!(raw.capacity, 9 << 20);
        Buffer::new(&mut raw, heap()).free();
    }
}
