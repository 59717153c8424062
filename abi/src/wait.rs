//! Blocking: who waits for which key.

use abi_stable::StableAbi;
use core::sync::atomic::AtomicU32;

use crate::arena::Ptr;
use crate::client::ClientRef;
use crate::container::RawBytes;

/// Values of [`Wait::state`]. Whoever moves it away from `WAITING` owes the client its reply.
pub mod state {
    /// Nobody has served or ended the wait.
    pub const WAITING: u32 = 0;
    /// Served: a message with the reply is under way or there.
    pub const SERVED: u32 = 1;
    /// Ended by a deadline, a disconnect or the owner.
    pub const ENDED: u32 = 2;
}

/// Values of [`Wait::kind`].
pub mod kind {
    /// For elements of a key; `command` says what to do with them.
    pub const KEYS: u32 = 1;
    /// For the control thread to carry out an administrative command.
    pub const ADMIN: u32 = 2;
    /// For time only.
    pub const SLEEP: u32 = 3;
}

/// What a blocked client waits for. Owned by the client's worker; others hold a reference count.
#[repr(C)]
#[derive(StableAbi)]
pub struct Wait {
    /// See [`state`]. Changed by compare-and-swap only.
    pub state: AtomicU32,
    /// The client, and one for each [`Waiter`] in a [`BlockedKey`].
    pub references: AtomicU32,
    /// The client that waits.
    pub client: ClientRef,
    /// See [`kind`].
    pub kind: u32,
    /// Protocol of the reply, 2 or 3.
    pub resp: u32,
    /// Database of the keys.
    pub db: u32,
    /// Keys waited for.
    pub key_count: u32,
    /// The whole command: `u32` number of arguments, then each as `u32` length and bytes. It is
    /// looked up again by name when it can be served, in the release current then.
    pub command: RawBytes,
    /// When the wait began, in monotonic microseconds.
    pub since_us: u64,
    /// Zero.
    pub reserved: [u64; 4],
}

/// A place in the queue of a key. Doubly linked, oldest first.
#[repr(C)]
#[derive(StableAbi)]
pub struct Waiter {
    /// Who waits.
    pub wait: Ptr<Wait>,
    /// The waiter before, or null.
    pub prev: Ptr<Waiter>,
    /// The waiter after, or null.
    pub next: Ptr<Waiter>,
}

/// A key with clients waiting for it. Followed by `key_len` bytes of key.
#[repr(C)]
#[derive(StableAbi)]
pub struct BlockedKey {
    /// Longest waiting.
    pub head: Ptr<Waiter>,
    /// Shortest waiting.
    pub tail: Ptr<Waiter>,
    /// Waiters.
    pub count: u32,
    /// Database of the key.
    pub db: u32,
    /// Bytes of key that follow this struct.
    pub key_len: u32,
    /// Zero.
    pub reserved: u32,
}
