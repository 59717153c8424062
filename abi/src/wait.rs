//! Blocking: who waits for which key.

use abi_stable::StableAbi;
use core::sync::atomic::AtomicU32;

use crate::client_ref::ClientRef;
use crate::container::RawBytes;
use crate::ptr::Ptr;

/// Values of [`Wait::state`]. Whoever moves it away from `WAITING` owes the client its reply, or
/// moves it back.
pub mod state {
    /// Nobody has served or ended the wait.
    pub const WAITING: u32 = 0;
    /// Served: a message with the reply is under way or there.
    pub const SERVED: u32 = 1;
    /// Ended by a deadline, a disconnect or the owner.
    pub const ENDED: u32 = 2;
    /// Its command is being run: it is served then, or goes on waiting.
    pub const SERVING: u32 = 3;
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

/// Values of [`Wait::on_timeout`]: what the client is told when nobody served it in time.
pub mod on_timeout {
    /// No array.
    pub const NULL_ARRAY: u32 = 0;
    /// No value.
    pub const NULL: u32 = 1;
    /// The integer 0.
    pub const ZERO: u32 = 2;
}

/// Values of [`Wait::wakes_on`]: what of a key has a waiter looked at again.
pub mod wakes_on {
    /// That it holds a value of the awaited type.
    pub const VALUE: u32 = 0;
    /// Also that it is gone or holds a value of another type: the command is run to say so.
    pub const ABSENCE: u32 = 1;
}

/// What a blocked client waits for.
///
/// Made and freed by the client's worker. Others reach it through a [`Waiter`] that is linked
/// into a [`BlockedKey`], under that key's shard lock; the owner takes the shard lock of each of
/// its waiters once before it frees the wait. `CLIENT UNBLOCK` reaches it through the client,
/// under the lock of [`crate::client::ClientShared::guarded`], which the owner holds to take it off
/// the client.
#[repr(C)]
#[derive(StableAbi)]
pub struct Wait {
    /// See [`state`]. Changed by compare-and-swap only.
    pub state: AtomicU32,
    /// See [`kind`].
    pub kind: u32,
    /// The client that waits.
    pub client: ClientRef,
    /// Protocol of the reply, 2 or 3.
    pub resp: u32,
    /// Database of the keys.
    pub db: u32,
    /// Type of value waited for, one of [`crate::keyspace::value_type`].
    pub value_type: u32,
    /// See [`on_timeout`].
    pub on_timeout: u32,
    /// Waiters, one a key.
    pub key_count: u32,
    /// See [`wakes_on`].
    pub wakes_on: u32,
    /// The waiters: one allocation of `key_count` of them.
    pub waiters: Ptr<Waiter>,
    /// The whole command: `u32` number of arguments, then each as `u32` length and bytes. It is
    /// looked up again by name when it can be served, in the release current then.
    pub command: RawBytes,
    /// When the wait began, in monotonic nanoseconds.
    pub since_ns: u64,
    /// Until when, Unix ms; 0: no limit. As the client's own, for others.
    pub deadline_ms: u64,
    /// Zero.
    pub reserved: [u64; 3],
}

/// A place in the queue of a key. Doubly linked, oldest first.
#[repr(C)]
#[derive(StableAbi)]
pub struct Waiter {
    /// Who waits.
    pub wait: Ptr<Wait>,
    /// The key in whose queue this is; null once it has been taken out.
    pub key: Ptr<BlockedKey>,
    /// The waiter before, or null.
    pub prev: Ptr<Waiter>,
    /// The waiter after, or null.
    pub next: Ptr<Waiter>,
    /// Hash of the key.
    pub hash: u64,
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
