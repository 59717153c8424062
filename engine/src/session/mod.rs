//! What outlives a command for one client, and what passes between clients.

pub mod admin;
pub mod batch;
pub mod blocking;
pub mod census;
pub mod clients;
pub mod command_blob;
pub mod latency;
pub mod lifecycle;
pub mod message;
pub mod monitor;
pub mod multi;
pub mod pause;
pub mod pubsub;
pub mod slow;
pub mod watch;

use core::marker::PhantomData;
use core::sync::atomic::Ordering::Relaxed;

use abi::client::{Client, ClientRef, flag};

use crate::heap::Heap;
use crate::resp::write::Reply;

/// The client that sent a command: all of it but its buffers.
pub struct Session<'a> {
    client: *mut Client,
    owner: PhantomData<&'a mut Client>,
}

/// Splits a client into what a command writes to and what it looks at.
pub fn split<'a>(client: &'a mut Client, heap: Heap) -> (Reply<'a>, Session<'a>) {
    let resp3 = client.resp.load(Relaxed) == 3;
    let raw: *mut Client = client;
    // SAFETY: the session never touches `output` (see `Session::client`), so the two borrows of
    // the client are disjoint.
    let output = unsafe { &mut (*raw).output };
    (Reply::new(output, heap, resp3), Session { client: raw, owner: PhantomData })
}

impl Session<'_> {
    /// No client: a blocked command is being served on another's behalf.
    pub fn none() -> Self {
        Self { client: core::ptr::null_mut(), owner: PhantomData }
    }

    /// Whether there is a client.
    pub fn is_some(&self) -> bool {
        !self.client.is_null()
    }

    /// The client. Its `input` and `output` are not to be touched through this.
    pub(crate) fn client(&mut self) -> &mut Client {
        assert!(!self.client.is_null(), "a served command has no session");
        // SAFETY: not null, so made by `split` from a borrow that lives as long as this.
        unsafe { &mut *self.client }
    }

    pub(crate) fn peek(&self) -> &Client {
        assert!(!self.client.is_null(), "a served command has no session");
        // SAFETY: as in `client`.
        unsafe { &*self.client }
    }

    /// The client's id.
    pub fn id(&self) -> u64 {
        self.peek().id
    }

    /// The client's address for other threads.
    pub fn reference(&self) -> ClientRef {
        ClientRef::new(self.peek().worker, self.peek().id)
    }

    /// Whether any of these bits of [`abi::client::flag`] is set.
    #[inline]
    pub fn has(&self, flags: u64) -> bool {
        self.peek().flags.load(Relaxed) & flags != 0
    }

    /// Sets bits of [`abi::client::flag`].
    pub fn set(&mut self, flags: u64) {
        self.peek().flags.fetch_or(flags, Relaxed);
    }

    /// Clears bits of [`abi::client::flag`].
    pub fn clear(&mut self, flags: u64) {
        self.peek().flags.fetch_and(!flags, Relaxed);
    }

    /// Sets or clears bits of [`abi::client::flag`].
    pub fn put(&mut self, flags: u64, on: bool) {
        if on { self.set(flags) } else { self.clear(flags) }
    }

    /// Closes the connection once its replies have been sent.
    pub fn close_after_reply(&mut self) {
        self.set(flag::CLOSE_AFTER_REPLY);
    }

    /// The selected database.
    pub fn db(&self) -> u32 {
        self.peek().db.load(Relaxed)
    }

    /// Selects a database, which must exist, from the next command on.
    pub fn select(&mut self, db: u32) {
        self.peek().db.store(db, Relaxed);
    }

    /// Protocol of replies from the next command on, 2 or 3.
    pub fn set_resp(&mut self, resp: u32) {
        self.peek().resp.store(resp, Relaxed);
    }
}
