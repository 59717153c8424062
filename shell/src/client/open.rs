//! The beginning and the end of a client's state in the arena.

use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::AtomicU64;

use abi::client::{Client, ClientBlock, ClientShared, flag};
use abi::container::RawBytes;
use abi::ptr::Ptr;

use super::table::Table;
use super::{Connection, input, output};
use crate::arena::{NoMemory, alloc, free};

/// A connection that was accepted and not yet given to its worker's poll.
#[derive(Debug)]
pub struct Accepted {
    /// The id its client will have. Ids rise in the order of accepting.
    pub id: u64,
    /// The socket.
    pub fd: OwnedFd,
    /// `address:port` of the peer, or `path:0`.
    pub peer: String,
    /// `address:port` of this end, or `path:0`.
    pub local: String,
    /// Whether it came over a Unix socket.
    pub unix: bool,
    /// Whether the peer is on this machine.
    pub from_here: bool,
}

/// Makes a client's state that no other thread finds. It is not to be taken off the table.
pub fn unlisted(accepted: Accepted, worker: u32, now_ms: u64) -> Result<Connection, NoMemory> {
    let place = Ptr::<ClientBlock>::new(alloc(size_of::<ClientBlock>() as u64));
    if place.is_null() {
        return Err(NoMemory);
    }
    // SAFETY: as in `open`.
    let (client, _) = unsafe { ClientBlock::init(place, initial(&accepted, worker, now_ms)) };
    // SAFETY: initialised just now, and nobody else's.
    Ok(unsafe { Connection::new(client, accepted.fd, u32::MAX) })
}

/// Makes a client's state and enters it in the table. `now_ms` is Unix time. On error nothing is
/// left behind and the socket is closed.
pub fn open(
    table: &Table,
    accepted: Accepted,
    worker: u32,
    now_ms: u64,
) -> Result<Connection, NoMemory> {
    let mut shared = initial(&accepted, worker, now_ms);
    shared.peer = bytes_of(accepted.peer.as_bytes())?;
    shared.local = bytes_of(accepted.local.as_bytes()).inspect_err(|_| free_bytes(&shared.peer))?;
    let place = Ptr::<ClientBlock>::new(alloc(size_of::<ClientBlock>() as u64));
    if place.is_null() {
        free_texts(&shared);
        return Err(NoMemory);
    }
    // SAFETY: the allocation is large enough, aligned to 8, and ours until `free_client`.
    let (client, shared) = unsafe { ClientBlock::init(place, shared) };
    match table.add(shared) {
        // SAFETY: initialised just now; the worker that gets the connection is its only owner, and
        // the table leads to the other part.
        Ok(slot) => Ok(unsafe { Connection::new(client, accepted.fd, slot) }),
        Err(NoMemory) => {
            free_client(client);
            Err(NoMemory)
        }
    }
}

fn initial(accepted: &Accepted, worker: u32, now_ms: u64) -> ClientShared {
    let mut flags = 0;
    if accepted.unix {
        flags |= flag::UNIX_SOCKET;
    }
    if accepted.from_here {
        flags |= flag::LOCAL;
    }
    ClientShared {
        flags: AtomicU64::new(flags),
        created_ms: now_ms,
        active_ms: AtomicU64::new(now_ms),
        ..ClientShared::new(accepted.id, worker, accepted.fd.as_raw_fd())
    }
}

/// Closes the socket and frees what the shell hung on a client that is out of the table: its
/// buffers, its addresses and itself. Logic has given back the rest before.
pub fn close(mut connection: Connection) {
    let client = connection.client();
    input::release(&mut client.input);
    output::discard(client);
    free_client(connection.release());
}

fn free_client(place: Ptr<Client>) {
    // SAFETY: the client is initialised and, out of the table, referred to by nobody else.
    free_texts(unsafe { &*place.as_ptr() });
    // SAFETY: the owner's part begins the block that `open` allocated with this size; nobody
    // refers to either part any more.
    unsafe { free(place.address(), size_of::<ClientBlock>() as u64) };
}

fn free_texts(client: &ClientShared) {
    free_bytes(&client.peer);
    free_bytes(&client.local);
}

fn free_bytes(bytes: &RawBytes) {
    if bytes.capacity != 0 {
        // SAFETY: callers are about to forget the bytes, which own their allocation.
        unsafe { free(bytes.data.address(), bytes.capacity) };
    }
}

/// An arena copy of a text.
pub fn bytes_of(text: &[u8]) -> Result<RawBytes, NoMemory> {
    if text.is_empty() {
        return Ok(RawBytes::EMPTY);
    }
    let len = text.len() as u64;
    let data = alloc(len);
    if data == 0 {
        return Err(NoMemory);
    }
    input::copy(text.as_ptr() as u64, data, len);
    Ok(RawBytes { data: Ptr::new(data), len, capacity: len })
}
