//! What an upgrade carries over, counted where it lies.

use std::sync::atomic::Ordering::Relaxed;

use abi::host::HostRef;

use crate::arena::look;

use super::board::Effects;

/// What is in the arena.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Carried {
    /// Connections.
    pub clients: u64,
    /// Keys of all databases.
    pub keys: u64,
    /// The effects stream.
    pub effects: Effects,
}

/// Counts connections, keys and effects. Takes no lock of theirs, so the counts are of slightly
/// different moments while clients write.
pub fn count(host: HostRef) -> Carried {
    Carried {
        clients: look::clients(host).count.load(Relaxed).into(),
        keys: look::databases(host).map(|db| db.keys.count.load(Relaxed)).sum(),
        effects: effects(host),
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
