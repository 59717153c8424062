//! Arena memory for the views. Sizes are remembered by the caller, as the raw layouts hold them.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use abi::host::HostRef;

/// The arena's allocator. Copy it freely; it holds no state.
///
/// A full arena unwinds with [`ArenaFull`], which the entry thunk turns into an error reply. So
/// every view allocates before it changes anything, and who changes several uses [`or_undo`].
#[derive(Clone, Copy)]
pub struct Heap {
    alloc: extern "C" fn(u64) -> u64,
    free: extern "C" fn(u64, u64),
    realloc: extern "C" fn(u64, u64, u64) -> u64,
    usable: extern "C" fn(u64) -> u64,
}

impl Heap {
    /// The allocator behind a host table.
    pub fn of(host: HostRef) -> Self {
        Self {
            alloc: host.alloc(),
            free: host.free(),
            realloc: host.realloc(),
            usable: host.usable(),
        }
    }

    /// An allocator made of its four functions, with the contracts of [`abi::host::Host`].
    pub const fn new(
        alloc: extern "C" fn(u64) -> u64,
        free: extern "C" fn(u64, u64),
        realloc: extern "C" fn(u64, u64, u64) -> u64,
        usable: extern "C" fn(u64) -> u64,
    ) -> Self {
        Self { alloc, free, realloc, usable }
    }

    /// The address of at least `size` bytes with undefined contents, aligned to 8, or to 64 when
    /// `size` is a multiple of 64.
    #[inline]
    pub fn alloc(&self, size: usize) -> u64 {
        self.try_alloc(size).unwrap_or_else(|| give_up())
    }

    /// As [`Heap::alloc`], or nothing if the arena is full.
    #[inline]
    pub fn try_alloc(&self, size: usize) -> Option<u64> {
        let address = (self.alloc)(size as u64);
        (address != 0).then_some(address)
    }

    /// Frees what `alloc(size)` or `realloc(.., size)` returned.
    ///
    /// # Safety
    /// `address` came from this heap with this `size`, and nothing refers to it any more.
    #[inline]
    pub unsafe fn free(&self, address: u64, size: usize) {
        (self.free)(address, size as u64);
    }

    /// Resizes an allocation and returns where it is now.
    ///
    /// # Safety
    /// As for [`Heap::free`]; on return only the new address is valid.
    #[inline]
    pub unsafe fn realloc(&self, address: u64, old: usize, new: usize) -> u64 {
        let address = (self.realloc)(address, old as u64, new as u64);
        if address == 0 {
            give_up();
        }
        address
    }

    /// Bytes that an allocation of `size` really takes.
    #[inline]
    pub fn usable(&self, size: usize) -> usize {
        (self.usable)(size as u64) as usize
    }
}

/// What unwinding carries when there is no memory. It is no panic: nobody is told but the client.
pub struct ArenaFull;

/// There is no memory for what the client wants.
#[cold]
pub fn give_up() -> ! {
    resume_unwind(Box::new(ArenaFull))
}

/// Changes `state` by `change`. Where that unwinds, for want of memory or otherwise, `undo` is run
/// before it goes on.
pub fn or_undo<T, R>(
    state: &mut T,
    change: impl FnOnce(&mut T) -> R,
    undo: impl FnOnce(&mut T),
) -> R {
    match catch_unwind(AssertUnwindSafe(|| change(&mut *state))) {
        Ok(result) => result,
        Err(payload) => {
            undo(state);
            resume_unwind(payload)
        }
    }
}

/// Runs `f`, which can be left out: where memory runs out in it, it is.
pub fn if_room(f: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(f))
        && !payload.is::<ArenaFull>()
    {
        resume_unwind(payload);
    }
}

/// A heap for unit tests: the system's allocator, counting what is outstanding.
#[cfg(any(test, feature = "testing"))]
pub mod testing {
    use super::{ArenaFull, AssertUnwindSafe, Heap, catch_unwind, resume_unwind};
    use std::alloc::{Layout, alloc, dealloc};
    use std::cell::{Cell, RefCell};
    use std::collections::HashSet;

    thread_local! {
        static OUTSTANDING: Cell<i64> = const { Cell::new(0) };
        static ALLOWED: Cell<u64> = const { Cell::new(u64::MAX) };
        static NEW: RefCell<Option<HashSet<u64>>> = const { RefCell::new(None) };
    }

    /// Bytes before an allocation, which have its size: whoever frees it has to know that.
    const HEAD: u64 = 64;

    fn layout(size: u64) -> Layout {
        Layout::from_size_align((HEAD + size) as usize, HEAD as usize).unwrap()
    }

    /// As [`abi::host::Host::alloc`].
    pub extern "C" fn allocate(size: u64) -> u64 {
        assert!(size > 0);
        let Some(left) = ALLOWED.get().checked_sub(1) else { return 0 };
        ALLOWED.set(left);
        OUTSTANDING.set(OUTSTANDING.get() + size as i64);
        // SAFETY: the layout has a non-zero size, and room for the head.
        let address = unsafe {
            let head = alloc(layout(size));
            head.cast::<u64>().write(size);
            head as u64 + HEAD
        };
        NEW.with_borrow_mut(|new| new.as_mut().map(|new| new.insert(address)));
        address
    }

    /// As [`abi::host::Host::free`].
    pub extern "C" fn free(address: u64, size: u64) {
        OUTSTANDING.set(OUTSTANDING.get() - size as i64);
        NEW.with_borrow_mut(|new| new.as_mut().map(|new| new.remove(&address)));
        // SAFETY: the caller hands back what `allocate` gave for this size. It is overwritten so that
        // who still reads it is noticed.
        unsafe {
            let head = (address - HEAD) as *mut u8;
            assert_eq!(*head.cast::<u64>(), size, "it is freed by the size it was allocated with");
            (address as *mut u8).write_bytes(0xdf, size as usize);
            dealloc(head, layout(size));
        }
    }

    /// As [`abi::host::Host::realloc`].
    pub extern "C" fn realloc(address: u64, old: u64, new: u64) -> u64 {
        let moved = allocate(new);
        if moved == 0 {
            return 0;
        }
        let kept = old.min(new) as usize;
        // SAFETY: both allocations are live, distinct and at least `kept` bytes.
        unsafe { core::ptr::copy_nonoverlapping(address as *const u8, moved as *mut u8, kept) };
        free(address, old);
        moved
    }

    /// As [`abi::host::Host::usable`].
    pub extern "C" fn usable(size: u64) -> u64 {
        size
    }

    /// A heap on the system's allocator.
    pub fn heap() -> Heap {
        Heap { alloc: allocate, free, realloc, usable }
    }

    /// From now on allocations of this thread count as new, and those there are do not.
    pub fn forget_ages() {
        NEW.set(Some(HashSet::new()));
    }

    /// Whether an allocation was made since [`forget_ages`] was called.
    pub fn is_new(address: u64) -> bool {
        NEW.with_borrow(|new| new.as_ref().is_some_and(|new| new.contains(&address)))
    }

    /// From now on this many allocations of this thread succeed, and all after them fail.
    pub fn allow_allocations(count: u64) {
        ALLOWED.set(count);
    }

    /// How many more allocations of this thread succeed.
    pub fn allocations_left() -> u64 {
        ALLOWED.get()
    }

    /// Runs `f` with memory for so many allocations on this thread. Tells whether it was enough.
    pub fn with_allocations(count: u64, f: impl FnOnce()) -> bool {
        allow_allocations(count);
        let outcome = catch_unwind(AssertUnwindSafe(f));
        allow_allocations(u64::MAX);
        match outcome {
            Ok(()) => true,
            Err(payload) if payload.is::<ArenaFull>() => false,
            Err(payload) => resume_unwind(payload),
        }
    }

    /// Bytes this thread has allocated and not freed.
    pub fn outstanding() -> i64 {
        OUTSTANDING.get()
    }
}
