//! Pushes that wait for a client, and how it gets them.
#![forbid(unsafe_code)]

use core::sync::atomic::Ordering::{Acquire, Release};

use abi::client::{Client, flag};

use super::{clients_of, find, locked, tell};
use crate::session;
use base::buffer::Buffer;
use base::core::Core;

/// Writes to a client of this lane what waits for it.
#[inline]
pub fn take(core: &Core, client: &mut Client) {
    if client.pushes_wait.load(Acquire) != 0 {
        take_waiting(core, client);
    }
}

#[cold]
fn take_waiting(core: &Core, client: &mut Client) {
    let id = client.id;
    let tracking = locked(core);
    let mut clients = clients_of(core, &tracking);
    let Some(record) = find(core, &mut clients, id) else { return };
    let (mut out, session) = session::split(client, core.heap);
    let mut waiting = Buffer::new(&mut record.waiting, core.heap);
    // One that has ended its subscriptions meanwhile could not tell a message from a reply.
    if out.resp3 || session.has(flag::PUBSUB) {
        out.raw(waiting.as_slice());
        if record.has_missed != 0 {
            tell::write_all_invalid(&mut out);
        }
    }
    // From here on nothing fails.
    waiting.free();
    record.has_missed = 0;
    session.state().pushes_wait.store(0, Release);
}
