//! How a client is addressed by those who do not own it.

use abi_stable::StableAbi;

/// Names a client for other threads: the worker in the top 16 bits, the client id below.
#[repr(transparent)]
#[derive(StableAbi, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientRef(pub u64);

impl ClientRef {
    /// The client with `id` (below 2^48), owned by `worker`.
    pub const fn new(worker: u32, id: u64) -> Self {
        Self((worker as u64) << 48 | id)
    }

    /// The worker that owns the client.
    pub const fn worker(self) -> u32 {
        (self.0 >> 48) as u32
    }

    /// The client's id, as `CLIENT ID` tells it.
    pub const fn id(self) -> u64 {
        self.0 & ((1 << 48) - 1)
    }
}
