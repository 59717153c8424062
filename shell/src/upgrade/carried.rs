//! What an upgrade carries over, counted where it lies.

use std::sync::atomic::Ordering::Relaxed;

use abi::host::HostRef;

use crate::arena::{self, look};

use super::board::{Effects, Memory};

/// What is in the arena.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Carried {
    /// Connections.
    pub clients: u64,
    /// Keys of all databases.
    pub keys: u64,
    /// The effects stream.
    pub effects: Effects,
    /// The memory they are in.
    pub memory: Memory,
}

/// Counts connections, keys and effects. Takes no lock of theirs, so the counts are of slightly
/// different moments while clients write.
pub fn count(host: HostRef) -> Carried {
    Carried {
        clients: look::clients(host).count.load(Relaxed).into(),
        keys: look::databases(host).map(|db| db.keys.count.load(Relaxed)).sum(),
        effects: effects(host),
        memory: Memory { used_bytes: arena::used_bytes(), huge_page_bytes: arena::huge::bytes() },
    }
}

fn effects(host: HostRef) -> Effects {
    let stream = crate::effects::stream(host);
    Effects {
        position: stream.position(),
        readers: stream.consumers().len() as u64,
        bytes: stream.bytes(),
    }
}
