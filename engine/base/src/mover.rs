//! Moves allocations out of those parts of the arena that are to be emptied.

use abi::host::HostRef;

use crate::heap::Heap;

/// Moves allocations that lie where the arena is to be emptied, as many as it may look at.
///
/// What is moved is copied, then whatever refers to it is pointed at the copy, and then it is freed.
/// Where there is no memory for the copy it stays. Nothing here unwinds.
pub struct Mover {
    heap: Heap,
    is_to_move: extern "C" fn(u64) -> u32,
    looks: u64,
    /// Allocations that were moved.
    pub moved: u64,
    /// Allocations that were looked at and stay where they are.
    pub stayed: u64,
}

impl Mover {
    /// One that may look at so many allocations, by what a host says of them.
    pub fn new(host: HostRef, looks: u64) -> Self {
        Self::of(Heap::of(host), host.is_to_move(), looks)
    }

    /// One of a heap, with the contract of [`abi::host::Host::is_to_move`].
    pub const fn of(heap: Heap, is_to_move: extern "C" fn(u64) -> u32, looks: u64) -> Self {
        Self { heap, is_to_move, looks, moved: 0, stayed: 0 }
    }

    /// Where copies come from.
    pub const fn heap(&self) -> Heap {
        self.heap
    }

    /// Whether it has looked at all that it may. Whoever then has a place to go on at leaves it at
    /// that; a few more do no harm.
    #[inline]
    pub const fn is_spent(&self) -> bool {
        self.moved + self.stayed >= self.looks
    }

    /// Lets it look at so many more.
    pub const fn allow(&mut self, looks: u64) {
        self.looks += looks;
    }

    /// Whether an allocation is to move. It is not counted.
    #[inline]
    pub fn is_to_move(&self, address: u64) -> bool {
        (self.is_to_move)(address) != 0
    }

    /// Moves an allocation, if it is to move: `repoint` is told where it is then. Tells whether it
    /// did.
    ///
    /// # Safety
    /// `address` is a live allocation of this heap that was asked for with `size`, and nothing in it
    /// is referred to by address. Nobody else looks at it meanwhile, and after `repoint` nothing
    /// refers to it any more.
    pub unsafe fn relocate(
        &mut self,
        address: u64,
        size: usize,
        repoint: impl FnOnce(u64),
    ) -> bool {
        // SAFETY: as the caller promises.
        let moved = self.is_to_move(address) && unsafe { self.try_move(address, size, repoint) };
        *(if moved { &mut self.moved } else { &mut self.stayed }) += 1;
        moved
    }

    /// # Safety
    /// As for [`Mover::relocate`].
    unsafe fn try_move(&self, address: u64, size: usize, repoint: impl FnOnce(u64)) -> bool {
        let Some(copy) = self.heap.try_alloc(size) else { return false };
        // SAFETY: the copy is new and of the same size; the rest is as the caller promises.
        unsafe {
            if self.is_to_move(copy) {
                // The arena has nothing better.
                self.heap.free(copy, size);
                return false;
            }
            (copy as *mut u8).copy_from_nonoverlapping(address as *const u8, size);
            repoint(copy);
            self.heap.free(address, size);
        }
        true
    }
}

/// Movers for unit tests.
#[cfg(any(test, feature = "testing"))]
pub mod testing {
    use super::Mover;
    use crate::heap::testing::{forget_ages, heap, is_new};

    /// By age: what was there when [`begin`] was called is to move.
    extern "C" fn is_to_move(address: u64) -> u32 {
        u32::from(!is_new(address))
    }

    /// One that has everything move that there is now on this thread.
    pub fn begin(looks: u64) -> Mover {
        forget_ages();
        go_on(looks)
    }

    /// One that goes on with what [`begin`] has begun.
    pub fn go_on(looks: u64) -> Mover {
        Mover::of(heap(), is_to_move, looks)
    }
}
