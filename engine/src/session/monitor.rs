//! `MONITOR`: which clients see every command of all clients.

use core::sync::atomic::Ordering::Relaxed;

use abi::client::{ClientState, flag};
use abi::client_ref::ClientRef;
use abi::message::{kind, push_for};

use crate::session::{message, pubsub};
use base::core::Core;
use base::roots::Roots;

/// Whether anybody watches.
#[inline]
pub fn is_on(roots: Roots) -> bool {
    roots.shared().monitor_count.load(Relaxed) != 0
}

/// Makes a client one of those who see every command.
pub fn add(core: &Core, client: &ClientState) {
    if client.flags.fetch_or(flag::MONITOR, Relaxed) & flag::MONITOR == 0 {
        let reference = ClientRef::new(client.worker, client.id);
        pubsub::change_monitors(core, |monitors| monitors.push(reference.0));
    }
}

/// Ends that.
pub fn remove(core: &Core, client: &ClientState) {
    if client.flags.fetch_and(!flag::MONITOR, Relaxed) & flag::MONITOR != 0 {
        let reference = ClientRef::new(client.worker, client.id);
        pubsub::change_monitors(core, |monitors| {
            monitors.remove_word(reference.0);
        });
    }
}

/// Sends a line to all who watch but one; tells whether that one is among them.
pub fn share(core: &Core, line: &[u8], own: u64) -> bool {
    let (heap, host) = (core.heap, core.host);
    pubsub::with_monitors(core, |all| {
        let others = all.iter().filter(|receiver| **receiver != own);
        let count = others.clone().count();
        if count > 0 {
            let posted =
                message::allocate(heap, kind::PUSH, line, &[], push_for::MONITOR, count as u32);
            others.for_each(|receiver| host.post()(ClientRef(*receiver), posted));
        }
        count < all.len()
    })
}
