//! The clients of the server before, as this one goes on with them.

use std::collections::BTreeMap;
use std::mem::offset_of;
use std::os::fd::{OwnedFd, RawFd};
use std::sync::atomic::Ordering::Relaxed;

use abi::client::{Client, ClientBlock, UnderWay, flag};
use abi::ptr::Ptr;

use super::bytes;
use super::locks;
use crate::arena::NoMemory;
use crate::arena::roots::Roots;
use crate::client::open::Accepted;
use crate::client::{Connection, input, listen, output};

/// What there is to go on with.
#[derive(Default)]
pub struct Clients {
    /// Those that the table leads to.
    pub connections: Vec<Connection>,
    /// Connections that were accepted, and of which no byte was read.
    pub accepted: Vec<Accepted>,
    /// Those of which it could not be told which bytes went through, or that were not whole.
    pub lost: u32,
    /// The server before had left them, and all else, whole.
    pub is_whole: bool,
}

/// Has buffers and counters of all clients agree with what the kernel has taken and given. Those of
/// which that cannot be told are marked to be closed. Returns how many these are.
pub fn settle(roots: &Roots, left: &BTreeMap<RawFd, OwnedFd>) -> u32 {
    let mut lost = 0;
    for (_, client) in all(roots) {
        // SAFETY: nobody else refers to it before a worker has it.
        let client = unsafe { &mut *client.as_ptr() };
        locks::open_client(client);
        let socket = left.get(&client.fd);
        let is_told = socket.is_some_and(|socket| bytes::settle(client, bytes::count(socket)));
        if !is_told && client.flags.fetch_or(flag::KILLED, Relaxed) & flag::KILLED == 0 {
            lost += 1;
        }
    }
    lost
}

/// Has no client borrow a buffer of a worker's any more, and gives those back.
///
/// # Errors
/// The arena is full.
pub fn unlend(roots: &Roots) -> Result<(), NoMemory> {
    for (_, client) in all(roots) {
        // SAFETY: as in `settle`.
        let client = unsafe { &mut *client.as_ptr() };
        let told = client.under_way.consumed;
        let (reply, consumed) = (told & UnderWay::NO_REPLY, told & !UnderWay::NO_REPLY);
        let has_begun = client.input.start == consumed;
        input::park(client)?;
        output::park(client)?;
        // The input may begin elsewhere now: whether its command has begun is still to be told.
        client.under_way.consumed = reply | (client.input.start + u64::from(!has_begun));
    }
    for lane in 0..roots.lanes() {
        let lent = &roots.lane(lane).running.lent;
        let sizes = [input::SHARED_BYTES, input::ROUND_BUFFER_BYTES, output::SHARED_BYTES];
        for (place, size) in lent.iter().zip(sizes) {
            match place.swap(0, Relaxed) {
                0 => {}
                // SAFETY: allocated with this size by the server before, and lent to nobody.
                address => unsafe { crate::arena::free(address, size) },
            }
        }
    }
    Ok(())
}

/// Takes the connections of all clients, and those that were not yet any client's.
pub fn take(roots: &Roots, mut left: BTreeMap<RawFd, OwnedFd>) -> Clients {
    let mut clients = Clients::default();
    for (slot, client) in all(roots) {
        // SAFETY: as in `settle`.
        let fd = unsafe { &*client.as_ptr() }.fd;
        let socket = left.remove(&fd).or_else(nothing);
        if let Some(socket) = socket {
            // SAFETY: a client of the table, which nobody else refers to.
            clients.connections.push(unsafe { Connection::new(client, socket, slot) });
        }
    }
    let is_fresh = |socket: &OwnedFd| {
        bytes::count(socket).is_some_and(|counted| counted.read == 0 && counted.written == 0)
    };
    let fresh = left.into_values().filter(is_fresh);
    clients.accepted = fresh.filter_map(listen::describe_inherited).collect();
    clients
}

/// In the place of a socket that is gone: it is at its end at once.
fn nothing() -> Option<OwnedFd> {
    std::io::pipe().ok().map(|(reader, _)| reader.into())
}

/// The clients that the table leads to, with their slots.
fn all(roots: &Roots) -> Vec<(u32, Ptr<Client>)> {
    // SAFETY: a root; nobody adds or takes out clients meanwhile.
    let slots = unsafe { &*(*roots.clients().as_ptr()).slots.as_ptr() };
    let words = (0..slots.len as usize).map(|index| {
        // SAFETY: so many words are there.
        unsafe { *slots.data.as_ptr().add(index) }
    });
    let clients = (0..).zip(words).filter(|(_, address)| *address != 0);
    let owner = |address: u64| address - offset_of!(ClientBlock, shared) as u64;
    clients.map(|(slot, address)| (slot, Ptr::new(owner(address)))).collect()
}
