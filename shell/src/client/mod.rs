//! Connections: accepting them, their bytes in and out, their limits, and the table that other
//! threads find them in.
//!
//! Invariant: what a client's next command depends on lies in the arena, in [`Client`]. A
//! [`Connection`] holds only what would be made anew if the process were.

pub mod input;
pub mod limits;
pub mod listen;
pub mod message;
pub mod open;
pub mod output;
pub mod table;

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};

use abi::client::{Client, ClientBlock};
use abi::ptr::Ptr;

/// Bits of [`Connection::state`].
pub mod state {
    /// The socket may hold bytes that were not read.
    pub const READABLE: u16 = 1 << 0;
    /// The peer has closed or failed: read on until the socket says so.
    pub const HANGUP: u16 = 1 << 1;
    /// The socket was full; an event will tell when it takes more.
    pub const WRITE_WAIT: u16 = 1 << 2;
    /// In the worker's queue of clients with more to do.
    pub const QUEUED: u16 = 1 << 3;
    /// In the worker's list of postponed clients.
    pub const POSTPONED: u16 = 1 << 4;
    /// Its input has changed, or it may run again, since logic last looked.
    pub const FRESH: u16 = 1 << 5;
    /// At the end of its last turn it waited, or had input that was not run.
    pub const HELD: u16 = 1 << 6;
    /// It is about to be closed, and no longer in the table of clients.
    pub const UNLISTED: u16 = 1 << 7;
    /// Its output is kept until what it tells of is safe.
    pub const HELD_BACK: u16 = 1 << 8;
    /// Of what it is told in its output, nothing is what it has changed itself.
    pub const ONLY_READ: u16 = 1 << 9;
}

/// A worker's side of a connection.
pub struct Connection {
    client: Ptr<Client>,
    /// The socket. Closing it also takes it out of the poll.
    pub fd: OwnedFd,
    /// Bits of [`state`].
    pub state: u16,
    /// Where the client is in the table of clients.
    pub table_slot: u32,
    /// When the worker's timer for it goes off, Unix ms; 0: no timer.
    pub armed_ms: u64,
    /// First and last of its messages that wait to be delivered.
    pub mail: Option<(u32, u32)>,
}

impl Connection {
    /// A connection that takes over `client`.
    ///
    /// # Safety
    /// `client` is the owner's part of a live client, which stays so until
    /// [`Connection::release`], and nobody else refers to it but logic while it is called with it.
    pub unsafe fn new(client: Ptr<Client>, fd: OwnedFd, table_slot: u32) -> Self {
        Self { client, fd, state: 0, table_slot, armed_ms: 0, mail: None }
    }

    /// The owner's part of the client's state in the arena.
    #[inline]
    pub fn client(&mut self) -> &mut Client {
        // SAFETY: promised to `new`; the borrow of `self` keeps it the only one.
        unsafe { &mut *self.client.as_ptr() }
    }

    /// The client's id.
    #[inline]
    pub fn id(&self) -> u64 {
        // SAFETY: promised to `new`; the owner's part is the first of its block. To the part for all
        // nobody refers exclusively, while logic may so refer to the owner's, when others are served
        // beside a command.
        unsafe { &(*self.client.as_ptr().cast::<ClientBlock>()).shared }.id
    }

    /// The worker that the client belongs to.
    pub fn worker(&self) -> u32 {
        // SAFETY: as in `id`.
        unsafe { &(*self.client.as_ptr().cast::<ClientBlock>()).shared }.worker
    }

    /// Socket and client, to be used at the same time.
    #[inline]
    pub fn parts(&mut self) -> (&OwnedFd, &mut Client) {
        // SAFETY: as in `client`.
        (&self.fd, unsafe { &mut *self.client.as_ptr() })
    }

    /// Whether any of the bits is set.
    #[inline]
    pub fn is(&self, bits: u16) -> bool {
        self.state & bits != 0
    }

    /// Sets the bits.
    #[inline]
    pub fn set(&mut self, bits: u16) {
        self.state |= bits;
    }

    /// Clears the bits.
    #[inline]
    pub fn clear(&mut self, bits: u16) {
        self.state &= !bits;
    }

    /// Sets or clears the bits.
    #[inline]
    pub fn put(&mut self, bits: u16, on: bool) {
        if on { self.set(bits) } else { self.clear(bits) }
    }

    /// Gives the client's memory up to the caller; the socket closes.
    pub fn release(self) -> Ptr<Client> {
        self.client
    }
}

/// Adds to a counter that only this thread writes.
#[inline]
pub fn bump(counter: &AtomicU64, by: u64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(by), Ordering::Relaxed);
}
