//! What an upgrade carries over, counted where it lies.

use std::sync::atomic::Ordering::Relaxed;

use abi::host::HostRef;
use abi::loading::stage;

use crate::arena::{self, look};
use crate::logic::level;

use super::board::{Effects, Loading, Memory};

/// What is in the arena.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Carried {
    /// Connections.
    pub clients: u64,
    /// Keys of all databases.
    pub keys: u64,
    /// The schema level in force.
    pub schema_level: u32,
    /// The effects stream.
    pub effects: Effects,
    /// The memory they are in.
    pub memory: Memory,
    /// The file that is being loaded.
    pub loading: Option<Loading>,
}

/// Counts connections, keys and effects. Takes no lock of theirs, so the counts are of slightly
/// different moments while clients write.
pub fn count(host: HostRef) -> Carried {
    Carried {
        clients: look::clients(host).count.load(Relaxed).into(),
        keys: look::databases(host).map(|db| db.keys.count.load(Relaxed)).sum(),
        schema_level: level::in_force(host),
        effects: effects(host),
        memory: Memory { used_bytes: arena::used_bytes(), huge_page_bytes: arena::huge::bytes() },
        loading: loading(host),
    }
}

fn loading(host: HostRef) -> Option<Loading> {
    let loading = &look::shared(host).loading;
    (loading.stage.load(Relaxed) != stage::NONE).then(|| Loading {
        loaded_bytes: loading.loaded_bytes.load(Relaxed),
        total_bytes: loading.total_bytes.load(Relaxed),
    })
}

fn effects(host: HostRef) -> Effects {
    let stream = crate::effects::stream(host);
    Effects {
        position: stream.position(),
        readers: stream.consumers().len() as u64,
        bytes: stream.bytes(),
    }
}
