//! The arena: one shared mapping at one fixed address that holds all state.
//!
//! Addresses inside it are valid in every process that maps it, so plain pointers are stored as
//! they are. [`Ptr`] is such a pointer with a type; zero is null.

use abi_stable::StableAbi;
use core::marker::PhantomData;

use crate::client::ClientTable;
use crate::effects::EffectsStream;
use crate::keyspace::Keyspace;
use crate::shared::Shared;

/// Where every arena is mapped. Bit 45 of the address space: far from what loaders and heaps use.
pub const ARENA_BASE: u64 = 0x2000_0000_0000;

/// Most virtual address space an arena may span. Sparse: only what is written takes memory.
pub const ARENA_CAPACITY_MAX: u64 = 1 << 42;

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

/// What every root struct begins with, so that a reader can refuse what it does not know.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RootHead {
    /// Which struct this is: one of the `kind` constants.
    pub kind: u32,
    /// Layout version of this struct, raised when reserved space is given a meaning.
    pub version: u32,
    /// Size of the struct in bytes.
    pub size_bytes: u32,
    /// Zero.
    pub reserved: u32,
}

/// Values of [`RootHead::kind`].
pub mod kind {
    /// [`crate::keyspace::Keyspace`]
    pub const KEYSPACE: u32 = 0x4b45_5953;
    /// [`crate::client::Client`]
    pub const CLIENT: u32 = 0x434c_4e54;
    /// [`crate::client::ClientTable`]
    pub const CLIENT_TABLE: u32 = 0x4354_424c;
    /// [`crate::shared::Shared`]
    pub const SHARED: u32 = 0x5348_4152;
    /// [`crate::effects::EffectsStream`]
    pub const EFFECTS: u32 = 0x4546_4643;
}

impl RootHead {
    /// The head of a `T` of layout `version`.
    pub const fn of<T>(kind: u32, version: u32) -> Self {
        Self { kind, version, size_bytes: size_of::<T>() as u32, reserved: 0 }
    }
}

/// Bytes kept for the allocator's state behind the header's fields. Only the shell reads them.
pub const ALLOCATOR_STATE_BYTES: usize = 3 * 1024;

/// The first bytes of an arena. One 4 KiB page.
#[repr(C)]
#[derive(StableAbi)]
pub struct ArenaHeader {
    /// [`crate::version::ARENA_MAGIC`]
    pub magic: u64,
    /// [`crate::version::ABI_VERSION`] of the shell that made the arena.
    pub abi_version: u32,
    /// Size of this struct in bytes.
    pub header_bytes: u32,
    /// [`crate::version::LAYOUT_FINGERPRINT`] of the shell that made the arena.
    pub layout_fingerprint: u64,
    /// Bytes of address space from [`ARENA_BASE`].
    pub capacity_bytes: u64,
    /// Seed of the key hash. Part of the layout: every release must place keys alike.
    pub hash_seed: [u64; 2],
    /// Root of the keys.
    pub keyspace: Ptr<Keyspace>,
    /// Root of the connections.
    pub clients: Ptr<ClientTable>,
    /// Root of everything else.
    pub shared: Ptr<Shared>,
    /// Root of the effects stream.
    pub effects: Ptr<EffectsStream>,
    /// Room for more roots. Zero.
    pub reserved: [u64; 118],
    /// The allocator's own state. Opaque to logic.
    pub allocator: [u8; ALLOCATOR_STATE_BYTES],
}
