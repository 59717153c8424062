//! A connection's state: everything a client's next command depends on.

use abi_stable::StableAbi;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicI64, AtomicU32, AtomicU64};

use crate::container::{RawBuffer, RawBytes, RawTable, RawVec};
use crate::lock::RawLock;
use crate::ptr::Ptr;
use crate::root::RootHead;
use crate::wait::Wait;

/// Bits of [`ClientState::flags`].
///
/// Only the owning worker sets or clears them, except [`KILLED`](flag::KILLED), which any thread
/// may set.
pub mod flag {
    /// Close once the output has been written.
    pub const CLOSE_AFTER_REPLY: u64 = 1 << 0;
    /// Close now, whatever is unsent. May be set by any thread, which then wakes the worker.
    pub const KILLED: u64 = 1 << 1;
    /// Waits for a key, a reply from the control thread, or time. Input is not processed.
    pub const BLOCKED: u64 = 1 << 2;
    /// Held back by `CLIENT PAUSE`. Input is not processed before `deadline_ms` or a wake.
    pub const POSTPONED: u64 = 1 << 3;
    /// Between `MULTI` and `EXEC`.
    pub const MULTI: u64 = 1 << 4;
    /// A command could not be queued; `EXEC` will abort.
    pub const DIRTY_EXEC: u64 = 1 << 5;
    /// Has sent the password, or none is asked for.
    pub const AUTHENTICATED: u64 = 1 << 6;
    /// Receives every command of every client.
    pub const MONITOR: u64 = 1 << 7;
    /// Has at least one subscription.
    pub const PUBSUB: u64 = 1 << 8;
    /// `CLIENT REPLY OFF`.
    pub const REPLY_OFF: u64 = 1 << 9;
    /// The next command's reply is left out.
    pub const REPLY_SKIP_NEXT: u64 = 1 << 10;
    /// `CLIENT NO-EVICT ON`.
    pub const NO_EVICT: u64 = 1 << 11;
    /// `CLIENT NO-TOUCH ON`.
    pub const NO_TOUCH: u64 = 1 << 12;
    /// Came over a Unix socket.
    pub const UNIX_SOCKET: u64 = 1 << 13;
    /// Peer is on this machine (loopback or Unix socket).
    pub const LOCAL: u64 = 1 << 14;
    /// The batch left complete commands in the input; process it again.
    pub const MORE_INPUT: u64 = 1 << 15;
    /// The reply being written is left out (`CLIENT REPLY SKIP` took effect).
    pub const REPLY_SKIP: u64 = 1 << 16;
    /// The output limit was passed; the client is being dropped.
    pub const OUTPUT_LIMIT: u64 = 1 << 17;
}

/// One connection: its two queues, and all the rest, which commands look at and change.
///
/// The two are apart so that a reply can be written to the output while the command that gives it
/// works with the rest: no reference to one covers the other. What is not a queue is reached as if
/// it were the client's own.
#[repr(C)]
#[derive(StableAbi)]
pub struct Client {
    /// [`crate::root::kind::CLIENT`]
    pub head: RootHead,
    /// Bytes received and not yet executed.
    pub input: RawBuffer,
    /// Replies not yet sent.
    pub output: RawBuffer,
    /// Bytes of input without which the command at its start cannot be complete; 0 if unknown.
    /// The shell need not call before so many are there, and makes room for them at once.
    pub input_need: u64,
    /// Where parsing of an incomplete command goes on.
    pub parse: ParseState,
    /// All but the queues.
    pub state: ClientState,
}

impl Deref for Client {
    type Target = ClientState;

    fn deref(&self) -> &ClientState {
        &self.state
    }
}

impl DerefMut for Client {
    fn deref_mut(&mut self) -> &mut ClientState {
        &mut self.state
    }
}

/// A connection without its queues.
#[repr(C)]
#[derive(StableAbi)]
pub struct ClientState {
    /// As `CLIENT ID` tells it; never used again.
    pub id: u64,
    /// Bits of [`flag`].
    pub flags: AtomicU64,
    /// The worker that owns this.
    pub worker: u32,
    /// The socket.
    pub fd: i32,

    /// Selected database.
    pub db: AtomicU32,
    /// Protocol of replies, 2 or 3.
    pub resp: AtomicU32,
    /// `CLIENT SETNAME`. Changed and read by other threads under [`ClientTable::lock`].
    pub name: RawBytes,
    /// `CLIENT SETINFO lib-name`. As `name`.
    pub lib_name: RawBytes,
    /// `CLIENT SETINFO lib-ver`. As `name`.
    pub lib_version: RawBytes,
    /// The authenticated user; empty is `default`. As `name`.
    pub user: RawBytes,
    /// `address:port` of the peer, or `path:0`. Never changed.
    pub peer: RawBytes,
    /// `address:port` of this end. Never changed.
    pub local: RawBytes,

    /// When the connection was accepted, Unix ms.
    pub created_ms: u64,
    /// When it last sent something, Unix ms.
    pub active_ms: AtomicU64,
    /// Until when it waits, Unix ms; 0: no limit. At that time the shell calls `deadline`.
    pub deadline_ms: u64,
    /// Command slot (see [`crate::shared::CommandNames`]) of the last command plus one; 0: none.
    pub last_command: AtomicU32,
    /// Zero.
    pub reserved0: u32,
    /// Queued commands of `MULTI`, or -1.
    pub multi_count: AtomicI64,
    /// Subscriptions to channels.
    pub channel_count: AtomicU32,
    /// Subscriptions to patterns.
    pub pattern_count: AtomicU32,
    /// Subscriptions to shard channels.
    pub shard_channel_count: AtomicU32,
    /// Keys watched.
    pub watch_count: AtomicU32,
    /// Bytes held by queued commands.
    pub multi_bytes: AtomicU64,

    /// Queued commands; null outside `MULTI`.
    pub multi: Ptr<MultiState>,
    /// Watches: triples of (hash of the key, address of the [`crate::keyspace::WatchedKey`], its
    /// `changes` when watched; the top bit is set when the key had already expired).
    pub watches: RawVec,
    /// Subscriptions; null without any.
    pub subscriptions: Ptr<Subscriptions>,
    /// What a blocked client waits for; null when it is not blocked.
    pub wait: Ptr<Wait>,
    /// Bytes received.
    pub bytes_in: AtomicU64,
    /// Bytes sent.
    pub bytes_out: AtomicU64,
    /// Bytes of input buffer, for readers on other threads.
    pub input_bytes: AtomicU64,
    /// Bytes of input buffer still free, for readers on other threads.
    pub input_free_bytes: AtomicU64,
    /// Bytes of unsent output, for readers on other threads.
    pub output_bytes: AtomicU64,
    /// When the output first passed its soft limit, Unix ms; 0: it is below.
    pub soft_limit_since_ms: u64,
    /// Zero.
    pub reserved: [u64; 16],
}

/// A subscription of a client. Followed by `name_len` bytes of name.
#[repr(C)]
#[derive(StableAbi)]
pub struct Subscription {
    /// Bytes of name that follow this struct.
    pub name_len: u64,
}

/// Where parsing of an incomplete multibulk command goes on.
#[repr(C)]
#[derive(StableAbi, Debug)]
pub struct ParseState {
    /// Arguments the command says it has; 0: none are kept, it will be parsed anew.
    pub arguments: u32,
    /// Arguments already found.
    pub found: u32,
    /// Bytes of the incomplete command in complete arguments: offset, from its start, of the one
    /// that is not. The shell does not count them against the limit of unprocessed input.
    pub offset: u64,
    /// Found arguments, a word each: offset from the start of the command in the upper half,
    /// length in the lower.
    pub spans: RawVec,
}

/// The connections.
#[repr(C)]
#[derive(StableAbi)]
pub struct ClientTable {
    /// [`crate::root::kind::CLIENT_TABLE`]
    pub head: RootHead,
    /// Held to add or remove a client, to look at another worker's client, and to change those of
    /// its fields that say so. Taken after shard locks, never before one.
    pub lock: RawLock,
    /// Clients connected.
    pub count: AtomicU32,
    /// The id the next client gets. Starts at 1.
    pub next_id: AtomicU64,
    /// Addresses of [`Client`]; zero where a slot is free.
    pub slots: RawVec,
    /// Zero.
    pub reserved: [u64; 8],
}

/// Commands queued by `MULTI`.
#[repr(C)]
#[derive(StableAbi)]
pub struct MultiState {
    /// Commands in `commands`.
    pub count: u32,
    /// Zero.
    pub reserved: u32,
    /// For each command: `u32` number of arguments, then each argument as `u32` length and bytes.
    pub commands: RawBytes,
}

/// What a client is subscribed to. Items of all three tables are [`Subscription`].
#[repr(C)]
#[derive(StableAbi)]
pub struct Subscriptions {
    /// `SUBSCRIBE`
    pub channels: RawTable,
    /// `PSUBSCRIBE`
    pub patterns: RawTable,
    /// `SSUBSCRIBE`
    pub shard_channels: RawTable,
}
