//! The arena: one shared mapping at one fixed address that holds all state.
//!
//! Its first bytes are an [`ArenaHeader`], from which everything in it is reached.

use abi_stable::StableAbi;

use crate::client::ClientTable;
use crate::effects::EffectsStream;
use crate::keyspace::Keyspace;
use crate::ptr::Ptr;
use crate::shared::Shared;

/// Where every arena is mapped. Bit 45 of the address space: far from what loaders and heaps use.
pub const ARENA_BASE: u64 = 0x2000_0000_0000;

/// Most virtual address space an arena may span. Sparse: only what is written takes memory.
pub const ARENA_CAPACITY_MAX: u64 = 1 << 42;

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
    /// 1: whoever used the arena last has left it whole: no lane was at work, no lock held, nothing on its
    /// way from one thread to another. Taken away before anything else is changed.
    pub closed: u64,
    /// Room for more roots. Zero.
    pub reserved: [u64; 117],
    /// The allocator's own state. Opaque to logic.
    pub allocator: [u8; ALLOCATOR_STATE_BYTES],
}
