//! A connection's state: everything a client's next command depends on.

use abi_stable::StableAbi;
use core::mem::offset_of;
use core::ops::{Deref, DerefMut};
use core::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering, compiler_fence};

use crate::client_ref::ClientRef;
use crate::container::{RawBuffer, RawBytes, RawTable, RawVec};
use crate::lock::Locked;
use crate::ptr::Ptr;
use crate::root::{RootHead, kind};
use crate::wait::Wait;

/// Bits of [`ClientShared::flags`].
///
/// Only the owning worker sets or clears them, except those that say otherwise.
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
    /// Applies the effects of another server: nothing expires for it but by its `DEL`.
    pub const APPLIES_EFFECTS: u64 = 1 << 18;
    /// `CLIENT TRACKING ON`: hears of changes to keys that it may have in a cache of its own.
    pub const TRACKING: u64 = 1 << 19;
    /// Hears of all keys with its prefixes, not of those that it has read.
    pub const TRACKING_BCAST: u64 = 1 << 20;
    /// What it reads is tracked only after `CLIENT CACHING YES`.
    pub const TRACKING_OPTIN: u64 = 1 << 21;
    /// What it reads is not tracked after `CLIENT CACHING NO`.
    pub const TRACKING_OPTOUT: u64 = 1 << 22;
    /// Does not hear of changes of its own.
    pub const TRACKING_NOLOOP: u64 = 1 << 23;
    /// `CLIENT CACHING` is in force, for the next command or transaction.
    pub const TRACKING_CACHING: u64 = 1 << 24;
    /// The client that should have been told in its place is gone. Set by others too, with
    /// [`crate::shared::Shared::tracking`] locked.
    pub const TRACKING_BROKEN: u64 = 1 << 25;
    /// Has a [`crate::tracking::TrackingClient`]. Set with [`crate::shared::Shared::tracking`]
    /// locked, by others too, and never cleared.
    pub const IN_TRACKING: u64 = 1 << 26;
    /// Its user may not do everything. Set and cleared, by any thread, with the users locked
    /// ([`crate::acl::Acl`]).
    pub const RESTRICTED: u64 = 1 << 27;
    /// Sends what a file of data has in it: what is loaded does not wait until all is.
    pub const LOADS: u64 = 1 << 28;
}

/// A connection as its owner, the worker it belongs to, has it: two queues, and the rest of what
/// only the owner looks at and changes. What others may look at is [`ClientShared`], which is
/// reached as if it were the client's own.
///
/// Only the owner refers to this part, so it may do so exclusively. Nobody refers exclusively to
/// the other part after [`ClientBlock::init`].
///
/// Queues and state are apart so that a reply can be written to the output while the command that
/// gives it works with the rest: no reference to one covers the other.
#[repr(C)]
#[derive(StableAbi)]
pub struct Client {
    /// [`crate::root::kind::CLIENT`]; its size is that of the whole [`ClientBlock`].
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
    /// All else that only the owner looks at.
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

/// The owner's part of a connection without its queues.
#[repr(C)]
#[derive(StableAbi)]
pub struct ClientState {
    /// The other part. Private, for [`Deref`] follows it.
    shared: Ptr<ClientShared>,
    /// Until when it waits, Unix ms; 0: no limit. At that time the shell calls `deadline`.
    pub deadline_ms: u64,
    /// Queued commands; null outside `MULTI`.
    pub multi: Ptr<MultiState>,
    /// Subscriptions; null without any.
    pub subscriptions: Ptr<Subscriptions>,
    /// What a blocked client waits for; null when it is not blocked. Others see
    /// [`ClientGuarded::wait`].
    pub wait: Ptr<Wait>,
    /// When the output first passed its soft limit, Unix ms; 0: it is below.
    pub soft_limit_since_ms: u64,
    /// What a command that is put off has begun by [`crate::host::Host::exchange`]; empty without
    /// one. `id u64`, as the call's `detail`; `command u64`, the checksum of its arguments; `len u32`
    /// and so many bytes that are the command's own; then, once it is there, the outcome as it was
    /// posted.
    pub exchange: RawBytes,
    /// The number of the client's user, see [`crate::acl::Acl::users`]. Changed with the users locked.
    pub user: u64,
    /// What is being done with its bytes.
    pub under_way: UnderWay,
    /// Zero.
    pub reserved: [u64; 3],
}

/// What is being done with a client's bytes: so that who finds it after the end of the process, at
/// whatever instruction that came, can tell which of them were read, run, answered and sent.
///
/// Each of these is stored before what it tells of begins, and taken away after it is over. The
/// processor keeps the order of stores of one thread, and whoever looks is not there before all of
/// them are done: so the compiler alone has to be told of it ([`UnderWay::step`]).
#[repr(C)]
#[derive(StableAbi, Debug)]
pub struct UnderWay {
    /// 1 more than where in the input buffer bytes are being read to; 0: none are. How many have been
    /// is what the kernel has counted beyond [`ClientShared::bytes_in`].
    pub reading: u64,
    /// 1 more than where in the output buffer bytes are being sent from; 0: none are. Likewise, with
    /// [`ClientShared::bytes_out`].
    pub writing: u64,
    /// 1: the input buffer, 2: the output buffer is being exchanged for another; until that is over it
    /// is what `before` says. 0: none is.
    pub moving: u64,
    /// See `moving`.
    pub before: RawBuffer,
    /// Of a command that runs, or a message that is delivered: 1 more than the bytes of output before
    /// its reply. 0: there is none.
    pub reply: u64,
    /// Where the input begins once the command is taken from it. If it begins elsewhere, the command
    /// has not begun to run. The top bit says that it has no reply.
    pub consumed: u64,
}

impl UnderWay {
    /// Nothing.
    pub const NOTHING: Self =
        Self { reading: 0, writing: 0, moving: 0, before: RawBuffer::EMPTY, reply: 0, consumed: 0 };
    /// See [`UnderWay::consumed`].
    pub const NO_REPLY: u64 = 1 << 63;

    /// What was stored before this is stored before what is stored after it.
    #[inline(always)]
    pub fn step() {
        compiler_fence(Ordering::SeqCst);
    }

    /// A command is about to be taken from the input, which then begins at `consumed`, and run. So
    /// many bytes are unsent.
    #[inline(always)]
    pub fn begin(&mut self, consumed: u64, unsent: usize) {
        self.consumed = consumed;
        Self::step();
        self.reply = unsent as u64 + 1;
        Self::step();
    }

    /// It has its reply, or none is owed now.
    #[inline(always)]
    pub fn end(&mut self) {
        Self::step();
        self.reply = 0;
        Self::step();
    }
}

impl ClientState {
    /// Where the other part is.
    pub const fn shared_address(&self) -> u64 {
        self.shared.address()
    }
}

impl Deref for ClientState {
    type Target = ClientShared;

    #[inline(always)]
    fn deref(&self) -> &ClientShared {
        // SAFETY: only `ClientBlock::init` makes a state, which nobody moves out of its block. The
        // part pointed to was written with it and lives as long; nobody makes an exclusive
        // reference to it.
        unsafe { &*self.shared.as_ptr() }
    }
}

/// What others may look at of a connection. The table of clients holds addresses of this part.
///
/// A field is either atomic, or never changed while the client is in the table, or inside
/// a [`Locked`]: so any number of threads may refer to it at the same time.
#[repr(C)]
#[derive(StableAbi)]
pub struct ClientShared {
    /// As `CLIENT ID` tells it; never used again, never changed.
    pub id: u64,
    /// Bits of [`flag`].
    pub flags: AtomicU64,
    /// The worker that owns the client. Never changed.
    pub worker: u32,
    /// The socket. Never changed.
    pub fd: i32,
    /// Selected database.
    pub db: AtomicU32,
    /// Protocol of replies, 2 or 3.
    pub resp: AtomicU32,
    /// When the connection was accepted, Unix ms. Never changed.
    pub created_ms: u64,
    /// When it last sent something, Unix ms.
    pub active_ms: AtomicU64,
    /// Command slot (see [`crate::shared::CommandNames`]) of the last command plus one; 0: none.
    pub last_command: AtomicU32,
    /// 1 while pushes wait for it in its [`crate::tracking::TrackingClient`].
    pub pushes_wait: AtomicU32,
    /// Queued commands of `MULTI`, or -1.
    pub multi_count: AtomicI64,

    /// Bytes received.
    pub bytes_in: AtomicU64,
    /// Bytes sent.
    pub bytes_out: AtomicU64,
    /// Bytes of input buffer.
    pub input_bytes: AtomicU64,
    /// Bytes of input buffer still free.
    pub input_free_bytes: AtomicU64,
    /// Bytes of unsent output.
    pub output_bytes: AtomicU64,
    /// Bytes held by queued commands.
    pub multi_bytes: AtomicU64,
    /// Subscriptions to channels.
    pub channel_count: AtomicU32,
    /// Subscriptions to patterns.
    pub pattern_count: AtomicU32,
    /// Subscriptions to shard channels.
    pub shard_channel_count: AtomicU32,
    /// Keys watched.
    pub watch_count: AtomicU32,

    /// `address:port` of the peer, or `path:0`. Never changed.
    pub peer: RawBytes,
    /// `address:port` of this end. Never changed.
    pub local: RawBytes,
    /// What is changed and no atomic.
    pub guarded: Locked<ClientGuarded>,
    /// The id of the client that is told in its place what it tracks; 0: none.
    pub redirect: AtomicU64,
    /// Zero.
    pub reserved: u64,
}

impl ClientShared {
    /// How it is addressed by others than its owner.
    pub const fn reference(&self) -> ClientRef {
        ClientRef::new(self.worker, self.id)
    }

    /// The part of a client that has said nothing yet.
    pub const fn new(id: u64, worker: u32, fd: i32) -> Self {
        Self {
            id,
            flags: AtomicU64::new(0),
            worker,
            fd,
            db: AtomicU32::new(0),
            resp: AtomicU32::new(2),
            created_ms: 0,
            active_ms: AtomicU64::new(0),
            last_command: AtomicU32::new(0),
            pushes_wait: AtomicU32::new(0),
            multi_count: AtomicI64::new(-1),
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            input_bytes: AtomicU64::new(0),
            input_free_bytes: AtomicU64::new(0),
            output_bytes: AtomicU64::new(0),
            multi_bytes: AtomicU64::new(0),
            channel_count: AtomicU32::new(0),
            pattern_count: AtomicU32::new(0),
            shard_channel_count: AtomicU32::new(0),
            watch_count: AtomicU32::new(0),
            peer: RawBytes::EMPTY,
            local: RawBytes::EMPTY,
            guarded: Locked::new(ClientGuarded {
                name: RawBytes::EMPTY,
                lib_name: RawBytes::EMPTY,
                lib_version: RawBytes::EMPTY,
                user: RawBytes::EMPTY,
                wait: Ptr::NULL,
                watches: RawVec::EMPTY,
            }),
            redirect: AtomicU64::new(0),
            reserved: 0,
        }
    }
}

/// What a client tells others about itself. Only the owner changes it.
#[repr(C)]
#[derive(StableAbi)]
pub struct ClientGuarded {
    /// `CLIENT SETNAME`
    pub name: RawBytes,
    /// `CLIENT SETINFO lib-name`
    pub lib_name: RawBytes,
    /// `CLIENT SETINFO lib-ver`
    pub lib_version: RawBytes,
    /// The user's name; empty is `default`. Changed with the users locked.
    pub user: RawBytes,
    /// As [`ClientState::wait`], for `CLIENT UNBLOCK`.
    pub wait: Ptr<Wait>,
    /// Watches: triples of (hash of the key, address of the [`crate::keyspace::WatchedKey`], its
    /// `changes` when watched; the top bits say whether the key had expired, or was not there).
    /// Others may compare, and find the record by hash and address only.
    pub watches: RawVec,
}

/// Both parts of a client as they lie in the arena: one allocation, in which the address of the
/// owner's part is that of the block.
///
/// Nobody refers to the block as a whole. The parts take whole cache lines, so that who looks at
/// one does not take those of the other from its owner's cache.
#[repr(C)]
#[derive(StableAbi)]
pub struct ClientBlock {
    /// For the owner.
    pub owner: Client,
    /// For all.
    pub shared: ClientShared,
}

const CACHE_LINE: usize = 64;
const _: () = {
    assert!(offset_of!(ClientBlock, owner) == 0);
    assert!(offset_of!(ClientBlock, shared) == size_of::<Client>(), "no part covers the other");
    assert!(size_of::<Client>().is_multiple_of(CACHE_LINE));
    assert!(size_of::<ClientShared>().is_multiple_of(CACHE_LINE));
    assert!(size_of::<ClientBlock>() <= 640, "the next size class costs each client 64 bytes");
};

impl ClientBlock {
    /// Layout version of both parts.
    pub const VERSION: u32 = 2;

    /// Makes a client that has received nothing, with a part for others that is given. Returns
    /// where the two parts are.
    ///
    /// # Safety
    /// `place` is aligned and large enough for a block, and nobody else's. It stays the client's
    /// until nobody uses either part any more.
    pub unsafe fn init(place: Ptr<Self>, shared: ClientShared) -> (Ptr<Client>, Ptr<ClientShared>) {
        let block = place.as_ptr();
        // SAFETY: as the caller promises; both fields are inside the block.
        let (owner_place, shared_place) =
            unsafe { (&raw mut (*block).owner, &raw mut (*block).shared) };
        let owner = Client {
            head: RootHead::of::<Self>(kind::CLIENT, Self::VERSION),
            input: RawBuffer::EMPTY,
            output: RawBuffer::EMPTY,
            input_need: 0,
            parse: ParseState { arguments: 0, found: 0, offset: 0, spans: RawVec::EMPTY },
            state: ClientState {
                shared: Ptr::from_raw(shared_place),
                deadline_ms: 0,
                multi: Ptr::NULL,
                subscriptions: Ptr::NULL,
                wait: Ptr::NULL,
                soft_limit_since_ms: 0,
                exchange: RawBytes::EMPTY,
                user: 0,
                under_way: UnderWay::NOTHING,
                reserved: [0; 3],
            },
        };
        // SAFETY: as the caller promises, each place is aligned, large enough and nobody else's.
        unsafe {
            shared_place.write(shared);
            owner_place.write(owner);
        }
        (Ptr::from_raw(owner_place), Ptr::from_raw(shared_place))
    }
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
    /// Addresses of [`ClientShared`]; zero where a slot is free. A client is added, removed, and
    /// looked at by others with it locked. Taken after all other locks, but for those of clients.
    pub slots: Locked<RawVec>,
    /// Clients connected.
    pub count: AtomicU32,
    /// Zero.
    pub reserved0: u32,
    /// The id the next client gets. Starts at 1.
    pub next_id: AtomicU64,
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
