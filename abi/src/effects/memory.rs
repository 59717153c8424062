//! The ring and the extents as bytes.

use core::ptr::{copy_nonoverlapping, write_bytes};
use core::slice;

use super::layout::Extent;
use super::sync::step;
use super::{Calls, Ring, SELECT_MAX, Stream};

/// Where an effect goes, or comes from: a range of the ring, which may wrap, or of an extent.
///
/// Whoever made it has seen to it that the range is its own: a writer by reservation under the
/// lock, a reader by saying that it reads, which keeps writers out until it has said otherwise.
pub(super) struct Span {
    ring: Ring,
    start: u64,
    len: u64,
}

impl Span {
    /// `len` bytes of the ring, from a place on.
    pub fn of_ring(ring: Ring, place: u64, len: u64) -> Self {
        assert!(len <= ring.capacity);
        Self { ring, start: place & (ring.capacity - 1), len }
    }

    /// `len` bytes from `address` on.
    pub fn of_extent(address: u64, len: u64) -> Self {
        Self { ring: Ring { address, capacity: len }, start: 0, len }
    }

    /// Bytes.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Fills the span with these parts, which together are as long as it is.
    ///
    /// # Safety
    /// The span is the caller's alone: nobody else reads or writes there before it is published.
    pub unsafe fn write<const N: usize>(self, parts: [&[u8]; N]) {
        assert_eq!(parts.iter().map(|part| part.len() as u64).sum::<u64>(), self.len);
        let Ring { address, capacity } = self.ring;
        let mut at = self.start;
        for part in parts {
            step();
            let (first, rest) = part.split_at(part.len().min((capacity - at) as usize));
            // SAFETY: both ranges are within the span, which is the caller's alone: together the
            // parts are as long as it is. What is copied lies elsewhere.
            unsafe {
                copy_nonoverlapping(first.as_ptr(), (address + at) as *mut u8, first.len());
                copy_nonoverlapping(rest.as_ptr(), address as *mut u8, rest.len());
            }
            at += part.len() as u64;
            at -= if at >= capacity { capacity } else { 0 };
        }
    }

    /// The span in the one or two parts that it is in.
    ///
    /// # Safety
    /// Nobody writes there while they are used.
    pub unsafe fn parts<'a>(&self) -> [&'a [u8]; 2] {
        let Ring { address, capacity } = self.ring;
        let first = self.len.min(capacity - self.start) as usize;
        step();
        // SAFETY: both ranges are within the span, which nobody writes to.
        unsafe {
            let at = (address + self.start) as *const u8;
            let rest = slice::from_raw_parts(address as *const u8, self.len as usize - first);
            [slice::from_raw_parts(at, first), rest]
        }
    }

    /// Fills the span with line feeds.
    ///
    /// # Safety
    /// As for [`Span::write`].
    pub unsafe fn blank(self) {
        let Ring { address, capacity } = self.ring;
        let first = self.len.min(capacity - self.start);
        // SAFETY: both ranges are within the span, which is the caller's alone.
        unsafe {
            write_bytes((address + self.start) as *mut u8, b'\n', first as usize);
            write_bytes(address as *mut u8, b'\n', (self.len - first) as usize);
        }
    }

    /// Copies the span to the beginning of `to`, which has room for it.
    ///
    /// # Safety
    /// Nobody writes to the span meanwhile: it is before the frontier, and its reader keeps it.
    pub unsafe fn read(self, to: &mut [u8]) {
        // SAFETY: the caller's promise.
        let [first, rest] = unsafe { self.parts() };
        let (to_first, to_rest) = to[..self.len as usize].split_at_mut(first.len());
        to_first.copy_from_slice(first);
        to_rest.copy_from_slice(rest);
    }
}

/// An allocation that may become an extent, and is freed if it does not.
pub(super) struct Spare {
    address: u64,
    allocated: u64,
    calls: Calls,
}

impl Spare {
    /// Room for an effect of `bytes` with its `SELECT`. `None`: there is no memory.
    pub fn new(calls: Calls, bytes: u64) -> Option<Self> {
        let allocated = size_of::<Extent>() as u64 + SELECT_MAX + bytes;
        let address = (calls.alloc)(allocated);
        (address != 0).then_some(Self { address, allocated, calls })
    }

    /// Makes it this extent, behind `last` (0: there is none). Returns its address.
    pub fn into_extent(self, extent: Extent, last: u64) -> u64 {
        let this = core::mem::ManuallyDrop::new(self);
        let extent = Extent { allocated: this.allocated, ..extent };
        // SAFETY: the allocation is large enough and ours; `last`, if any, is an extent in the
        // list, which is changed under the lock only, which the caller holds.
        unsafe {
            (this.address as *mut Extent).write(extent);
            if last != 0 {
                (*(last as *mut Extent)).next = this.address;
            }
        }
        this.address
    }
}

impl Drop for Spare {
    fn drop(&mut self) {
        (self.calls.free)(self.address, self.allocated);
    }
}

/// The extent at `address`, to be called under the lock with an address from the list.
pub(super) fn extent(address: u64) -> Extent {
    // SAFETY: extents in the list are whole, and both list and extents change under the lock only.
    unsafe { *(address as *const Extent) }
}

/// Ends the chain that begins with `first` behind `last`, which is in it. Returns `first`. To be
/// called under the lock with addresses from the list.
pub(super) fn end_chain(first: u64, last: u64) -> u64 {
    // SAFETY: as in `extent`; the caller holds the lock, so nobody else looks at the list.
    unsafe { (*(last as *mut Extent)).next = 0 };
    first
}

/// Where an extent's bytes are.
pub(super) fn bytes_of(extent_address: u64) -> u64 {
    extent_address + size_of::<Extent>() as u64
}

impl Stream<'_> {
    /// Frees a chain of extents that has been taken from the list.
    pub(super) fn free_extents(&self, mut address: u64) {
        while address != 0 {
            let Extent { next, allocated, .. } = extent(address);
            (self.calls.free)(address, allocated);
            address = next;
        }
    }
}
