//! Addresses in the arena.
//!
//! They are valid in every process that maps it, so plain pointers are stored as they are.

use abi_stable::StableAbi;
use core::marker::PhantomData;

/// Bytes of a pointer that carry the address; the rest is free for tags.
pub const ADDRESS_BITS: u32 = 48;

/// A typed address in the arena. Null is zero. Copying it copies no ownership.
#[repr(transparent)]
#[derive(StableAbi)]
#[sabi(unsafe_unconstrained(T))]
pub struct Ptr<T> {
    address: u64,
    #[sabi(unsafe_opaque_field)]
    target: PhantomData<*mut T>,
}

impl<T> Ptr<T> {
    /// The pointer to nothing.
    pub const NULL: Self = Self { address: 0, target: PhantomData };

    /// A pointer to `address`, which must be zero or hold a `T` by the time it is followed.
    pub const fn new(address: u64) -> Self {
        Self { address, target: PhantomData }
    }

    /// A pointer to where `raw` points.
    pub fn from_raw(raw: *mut T) -> Self {
        Self::new(raw as u64)
    }

    /// The address; zero for null.
    pub const fn address(self) -> u64 {
        self.address
    }

    /// Whether this points to nothing.
    pub const fn is_null(self) -> bool {
        self.address == 0
    }

    /// The raw pointer; null for null.
    pub const fn as_ptr(self) -> *mut T {
        self.address as *mut T
    }
}

impl<T> Clone for Ptr<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Ptr<T> {}
impl<T> PartialEq for Ptr<T> {
    fn eq(&self, other: &Self) -> bool {
        self.address == other.address
    }
}
impl<T> Eq for Ptr<T> {}
impl<T> core::fmt::Debug for Ptr<T> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Ptr({:#x})", self.address)
    }
}
