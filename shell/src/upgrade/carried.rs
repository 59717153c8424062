//! What an upgrade carries over, counted where it lies.

use std::sync::atomic::Ordering::Relaxed;

use abi::host::HostRef;

use crate::arena::look;

/// What is in the arena.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Carried {
    /// Connections.
    pub clients: u64,
    /// Keys of all databases.
    pub keys: u64,
}

/// Counts connections and keys. Takes no lock, so the counts are of slightly different moments
/// while clients write.
pub fn count(host: HostRef) -> Carried {
    Carried {
        clients: look::clients(host).count.load(Relaxed).into(),
        keys: look::databases(host).map(|db| db.keys.count.load(Relaxed)).sum(),
    }
}
