//! The beginning and the end of a client's state in the arena.

use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64};

use abi::arena::{Ptr, RootHead, kind};
use abi::client::{Client, ClientState, ParseState, flag};
use abi::container::{RawBuffer, RawBytes, RawVec};

use super::table::Table;
use super::{Connection, input, output};
use crate::arena::{NoMemory, alloc, free};

/// Layout version of [`Client`].
const CLIENT_VERSION: u32 = 1;

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

/// Makes a client's state and enters it in the table. `now_ms` is Unix time. On error nothing is
/// left behind and the socket is closed.
pub fn open(
    table: &Table,
    accepted: Accepted,
    worker: u32,
    now_ms: u64,
) -> Result<Connection, NoMemory> {
    let mut client = initial(&accepted, worker, now_ms);
    client.peer = bytes_of(&accepted.peer)?;
    client.local = bytes_of(&accepted.local).inspect_err(|_| free_bytes(&client.peer))?;
    let address = alloc(size_of::<Client>() as u64);
    let place = Ptr::<Client>::new(address);
    if place.is_null() {
        free_texts(&client);
        return Err(NoMemory);
    }
    // SAFETY: the allocation is large enough, aligned to 8, and ours.
    unsafe { place.as_ptr().write(client) };
    match table.add(place) {
        // SAFETY: initialised just now; the worker that gets the connection is its only owner.
        Ok(slot) => Ok(unsafe { Connection::new(place, accepted.fd, slot) }),
        Err(NoMemory) => {
            free_client(place);
            Err(NoMemory)
        }
    }
}

fn initial(accepted: &Accepted, worker: u32, now_ms: u64) -> Client {
    let mut flags = 0;
    if accepted.unix {
        flags |= flag::UNIX_SOCKET;
    }
    if accepted.from_here {
        flags |= flag::LOCAL;
    }
    Client {
        head: RootHead::of::<Client>(kind::CLIENT, CLIENT_VERSION),
        input: RawBuffer::EMPTY,
        output: RawBuffer::EMPTY,
        input_need: 0,
        parse: ParseState { arguments: 0, found: 0, offset: 0, spans: RawVec::EMPTY },
        state: ClientState {
            id: accepted.id,
            flags: AtomicU64::new(flags),
            worker,
            fd: accepted.fd.as_raw_fd(),
            created_ms: now_ms,
            active_ms: AtomicU64::new(now_ms),
            resp: AtomicU32::new(2),
            multi_count: AtomicI64::new(-1),
            ..blank()
        },
    }
}

fn blank() -> ClientState {
    ClientState {
        id: 0,
        flags: AtomicU64::new(0),
        worker: 0,
        fd: -1,
        db: AtomicU32::new(0),
        resp: AtomicU32::new(2),
        name: RawBytes::EMPTY,
        lib_name: RawBytes::EMPTY,
        lib_version: RawBytes::EMPTY,
        user: RawBytes::EMPTY,
        peer: RawBytes::EMPTY,
        local: RawBytes::EMPTY,
        created_ms: 0,
        active_ms: AtomicU64::new(0),
        deadline_ms: 0,
        last_command: AtomicU32::new(0),
        reserved0: 0,
        multi_count: AtomicI64::new(-1),
        channel_count: AtomicU32::new(0),
        pattern_count: AtomicU32::new(0),
        shard_channel_count: AtomicU32::new(0),
        watch_count: AtomicU32::new(0),
        multi_bytes: AtomicU64::new(0),
        multi: Ptr::NULL,
        watches: RawVec::EMPTY,
        subscriptions: Ptr::NULL,
        wait: Ptr::NULL,
        bytes_in: AtomicU64::new(0),
        bytes_out: AtomicU64::new(0),
        input_bytes: AtomicU64::new(0),
        input_free_bytes: AtomicU64::new(0),
        output_bytes: AtomicU64::new(0),
        soft_limit_since_ms: 0,
        reserved: [0; 16],
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
    // SAFETY: allocated with this size by `open`; nobody refers to it any more.
    unsafe { free(place.address(), size_of::<Client>() as u64) };
}

fn free_texts(client: &Client) {
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
pub fn bytes_of(text: &str) -> Result<RawBytes, NoMemory> {
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
