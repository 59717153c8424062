//! What one thread has for a client of another.

use abi_stable::StableAbi;
use core::sync::atomic::AtomicU32;

/// Values of [`Message::kind`].
pub mod kind {
    /// Bytes for a client that speaks RESP2, then bytes for one that speaks RESP3. `detail` says
    /// what the client asked for them with: see [`push_for`](super::push_for).
    pub const PUSH: u32 = 1;
    /// The reply that ends a wait, in the client's protocol.
    pub const SERVE: u32 = 2;
    /// Look at the client again: it was killed, unblocked, or a pause has ended.
    pub const WAKE: u32 = 3;
    /// The wait was ended by `CLIENT UNBLOCK`; `detail` is 1 for an error reply, 0 for the reply
    /// of a timeout.
    pub const UNBLOCK: u32 = 4;
    /// The outcome of an administrative command, as text without line breaks: JSON, or an error
    /// that begins with `-ERR `. See `detail`.
    pub const ADMIN_REPLY: u32 = 5;
    /// Another logic serves than when the client began to wait. Nobody posts it: the shell hands it
    /// to every client that waits. Logic ends a wait for what it does not have, and makes up for
    /// what the one before may have left undone.
    pub const NEW_LOGIC: u32 = 6;
    /// What became of an exchange: a byte of [`exchange_outcome`](super::exchange_outcome), then the
    /// lines that came back. `detail` is that of [`crate::host::Exchange`].
    pub const EXCHANGE_REPLY: u32 = 7;
    /// Pushes about keys that the client tracks wait for it: see
    /// [`crate::tracking::TrackingClient::waiting`].
    pub const PUSHES_WAIT: u32 = 8;
}

/// How an exchange with another server ended.
pub mod exchange_outcome {
    /// All lines have come.
    pub const DONE: u8 = b'+';
    /// The server has no address, or there was no connection in time.
    pub const NOT_CONNECTED: u8 = b'c';
    /// Not all could be sent, or not in time.
    pub const NOT_SENT: u8 = b'w';
    /// Not all lines have come, or not in time.
    pub const NOT_ANSWERED: u8 = b'r';
}

/// What a [`kind::PUSH`] is for, in the two lowest bits of its `detail`; the others are those of
/// the hash of the name. A client that has ended it since the push was posted does not get it:
/// it may no longer be able to tell it from a reply.
pub mod push_for {
    /// `MONITOR`. There is no name.
    pub const MONITOR: u64 = 0;
    /// A subscription to a channel.
    pub const CHANNEL: u64 = 1;
    /// A subscription to a pattern.
    pub const PATTERN: u64 = 2;
    /// A subscription to a shard channel.
    pub const SHARD_CHANNEL: u64 = 3;
    /// The bits that say which of these.
    pub const MASK: u64 = 3;
}

/// A message. One arena allocation: this header, then `len2 + len3` bytes.
///
/// Made with one reference for each client it is posted to; the shell drops a reference once it
/// has been delivered or its client is found gone, and frees the allocation with the last.
#[repr(C)]
#[derive(StableAbi)]
pub struct Message {
    /// See [`kind`].
    pub kind: u32,
    /// Deliveries still to come.
    pub references: AtomicU32,
    /// Bytes for RESP2, directly after this header.
    pub len2: u32,
    /// Bytes for RESP3, after those. Zero: the same bytes serve both.
    pub len3: u32,
    /// Meaning depends on the kind. For [`kind::SERVE`] and [`kind::ADMIN_REPLY`] the address of
    /// the [`crate::wait::Wait`] it ends.
    pub detail: u64,
}
