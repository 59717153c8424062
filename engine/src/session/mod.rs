//! What outlives a command for one client, and what passes between clients.

pub mod admin;
pub mod batch;
pub mod blocking;
pub mod census;
pub mod clients;
pub mod command_blob;
pub mod guarded;
pub mod latency;
pub mod lifecycle;
pub mod message;
pub mod monitor;
pub mod multi;
pub mod pause;
pub mod pubsub;
pub mod slow;
pub mod watch;

use core::sync::atomic::Ordering::Relaxed;

use abi::client::{Client, ClientRef, ClientState, flag};

use crate::heap::Heap;
use crate::resp::write::Reply;

/// The client that sent a command: all of it but its queues.
///
/// Invariant: of a client whose command runs, the output belongs to the [`Reply`] and the state to
/// the session, each borrowed from a field of its own; nothing refers to the owner's part as a
/// whole until both are gone. What others look at meanwhile is in neither.
pub struct Session<'a> {
    state: Option<&'a mut ClientState>,
}

const NO_CLIENT: &str = "a served command has no session";

/// Splits a client into what a command writes to and what it looks at.
#[inline]
pub fn split<'a>(client: &'a mut Client, heap: Heap) -> (Reply<'a>, Session<'a>) {
    let Client { output, state, .. } = client;
    let resp3 = state.resp.load(Relaxed) == 3;
    (Reply::new(output, heap, resp3), Session { state: Some(state) })
}

impl Session<'_> {
    /// No client: a blocked command is being served on another's behalf.
    pub fn none() -> Self {
        Self { state: None }
    }

    /// Whether there is a client.
    pub fn is_some(&self) -> bool {
        self.state.is_some()
    }

    /// The client, to change it.
    #[inline]
    pub(crate) fn client(&mut self) -> &mut ClientState {
        self.state.as_mut().expect(NO_CLIENT)
    }

    /// The client, to look at it.
    #[inline]
    pub(crate) fn peek(&self) -> &ClientState {
        self.state.as_ref().expect(NO_CLIENT)
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
