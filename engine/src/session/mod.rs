//! What outlives a command: for one client, between clients, and for the server.
//!
//! It knows nothing of how a command runs.

pub mod acl;
pub mod blocking;
pub mod census;
pub mod check;
pub mod clients;
pub mod command_blob;
pub mod exchange;
pub mod latency;
pub mod lifecycle;
pub mod memory;
pub mod message;
pub mod monitor;
pub mod multi;
pub mod pause;
pub mod pubsub;
pub mod scripts;
pub mod settings;
pub mod slow;
pub mod stats;
pub mod tracking;
pub mod watch;

use core::sync::atomic::Ordering::Relaxed;

use abi::client::{Client, ClientState, flag};
use abi::client_ref::ClientRef;

use base::core::Core;
use base::heap::Heap;
use base::resp::write::Reply;

/// The client that sent a command: all of it but its queues.
///
/// Invariant: of a client whose command runs, the output belongs to the [`Reply`] and the state to
/// the session, each borrowed from a field of its own; nothing refers to the client as a whole
/// until both are gone.
pub struct Session<'a> {
    state: &'a mut ClientState,
}

/// Splits a client into what a command writes to and what it looks at.
#[inline]
pub fn split<'a>(client: &'a mut Client, heap: Heap) -> (Reply<'a>, Session<'a>) {
    let Client { output, state, .. } = client;
    let resp3 = state.resp.load(Relaxed) == 3;
    (Reply::new(output, heap, resp3), Session { state })
}

impl Session<'_> {
    /// The client, to change it.
    #[inline]
    pub(crate) fn state_mut(&mut self) -> &mut ClientState {
        self.state
    }

    /// The client, to look at it.
    #[inline]
    pub fn state(&self) -> &ClientState {
        self.state
    }

    /// The client's id.
    pub fn id(&self) -> u64 {
        self.state().id
    }

    /// The client's address for other threads.
    pub fn reference(&self) -> ClientRef {
        self.state().reference()
    }

    /// Whether any of these bits of [`abi::client::flag`] is set.
    #[inline]
    pub fn has(&self, flags: u64) -> bool {
        self.state().flags.load(Relaxed) & flags != 0
    }

    /// Sets bits of [`abi::client::flag`].
    pub fn set(&mut self, flags: u64) {
        self.state().flags.fetch_or(flags, Relaxed);
    }

    /// Clears bits of [`abi::client::flag`].
    pub fn clear(&mut self, flags: u64) {
        self.state().flags.fetch_and(!flags, Relaxed);
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
        self.state().db.load(Relaxed)
    }

    /// Selects a database, which must exist, from the next command on.
    pub fn select(&mut self, db: u32) {
        self.state().db.store(db, Relaxed);
    }

    /// Protocol of replies from the next command on, 2 or 3.
    pub fn set_resp(&mut self, core: &Core, resp: u32) {
        tracking::set_protocol(core, self.state(), resp);
    }
}
