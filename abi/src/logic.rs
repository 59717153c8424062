//! The function table of a logic: all the shell ever calls.
//!
//! Every function catches unwinding inside itself. None keeps anything past its return but in the
//! scratch it is given, which belongs to one lane (a thread that runs logic).

use abi_stable::StableAbi;
use abi_stable::library::RootModule;
use abi_stable::package_version_strings;
use abi_stable::sabi_types::VersionStrings;
use abi_stable::std_types::{RSlice, RStr};

use crate::client::{Client, ClientBlock, ClientTable, MultiState, Subscription, Subscriptions};
use crate::container::{Bucket, ListNode, RawBytes};
use crate::host::HostRef;
use crate::job::Job;
use crate::keyspace::{Keyspace, WatchedKey};
use crate::lane::Lane;
use crate::manifest::Manifest;
use crate::message::Message;
use crate::ptr::Ptr;
use crate::shared::{Channel, CommandName, ErrorStat, LatencyEvent, Shared, SlowlogEntry};
use crate::stats::{CommandSegment, Histogram};
use crate::status::Status;
use crate::wait::{BlockedKey, Wait, Waiter};
use crate::walk::Walk;

/// Logic's own memory for one lane. The shell never looks inside.
#[repr(C)]
#[derive(StableAbi)]
pub struct Scratch {
    opaque: [u8; 0],
}

/// Why a client is closed, for [`Logic::client_close`].
pub mod close_reason {
    /// The peer went away or an I/O error occurred.
    pub const PEER: u32 = 0;
    /// It asked for it, or logic closed it.
    pub const LOGIC: u32 = 1;
    /// A limit of the shell's was passed.
    pub const LIMIT: u32 = 2;
    /// The server stops.
    pub const SHUTDOWN: u32 = 3;
}

/// What a logic library exports. New functions go at the end.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = LogicRef)))]
#[sabi(missing_field(panic))]
pub struct Logic {
    /// Who this is.
    pub manifest: extern "C" fn() -> Manifest,
    /// Hands over the host table, once, before any other function but `manifest`.
    pub attach: extern "C" fn(host: HostRef) -> Status,
    /// Undoes `attach`: drops the panic hook, what statics hold, and what else would outlive the
    /// library, the lists of the manifest included. Only `outstanding_bytes` is called after it.
    pub detach: extern "C" fn() -> Status,
    /// Makes the scratch of a lane. Called on the control thread before the swap. Null: failed.
    pub scratch_new: extern "C" fn(lane: u32) -> *mut Scratch,
    /// Drops a scratch, after the grace period.
    pub scratch_drop: extern "C" fn(scratch: *mut Scratch),
    /// Fills in what a new arena's roots are still zero in: default settings. Called once in the
    /// life of an arena.
    pub init: extern "C" fn(scratch: *mut Scratch) -> Status,
    /// Applies a setting from the command line or the configuration file. On failure `error` gets
    /// a text that says what is wrong with it. A text beside `OK` says why the setting was passed
    /// over: it would switch on what this logic does not have.
    pub configure: extern "C" fn(
        scratch: *mut Scratch,
        name: RStr<'_>,
        values: RSlice<'_, RStr<'_>>,
        error: &mut RawBytes,
    ) -> Status,
    /// A connection was accepted; sets what its first command depends on.
    ///
    /// Here and below, `client` is the owner's part of a live client of the calling lane, which
    /// nobody else refers to before the call returns.
    pub client_open: extern "C" fn(scratch: *mut Scratch, client: Ptr<Client>) -> Status,
    /// A connection ends: gives back all that logic hung on it. See [`close_reason`]. [`Status::LATER`]:
    /// shards that it takes are held.
    pub client_close:
        extern "C" fn(scratch: *mut Scratch, client: Ptr<Client>, reason: u32) -> Status,
    /// Executes all complete commands in the client's input and appends the replies.
    pub process: extern "C" fn(scratch: *mut Scratch, client: Ptr<Client>) -> Status,
    /// Hands a message to its client.
    pub deliver:
        extern "C" fn(scratch: *mut Scratch, client: Ptr<Client>, message: &Message) -> Status,
    /// The client's `deadline_ms` has come.
    pub deadline: extern "C" fn(scratch: *mut Scratch, client: Ptr<Client>) -> Status,
    /// Called on every worker `hz` times a second.
    pub tick: extern "C" fn(scratch: *mut Scratch, lane: u32) -> Status,
    /// Called on a background thread with a job that logic handed to the host.
    pub background: extern "C" fn(scratch: *mut Scratch, job: &Job) -> Status,
    /// Checks itself without touching the arena. Run in a child process before a swap. On failure
    /// `error` gets a text.
    pub self_test: extern "C" fn(error: &mut RawBytes) -> Status,
    /// Panics, and keeps the panic in: returns [`Status::PANICKED`]. Run in a child process before
    /// a swap, where a library that was built to end the process at a panic ends that one.
    pub catch_panic: extern "C" fn() -> Status,
    /// Requests with the replies that belong to them, which try every command: text number `index`
    /// from 0 on, in the form that docs/writing-logic.md describes; empty behind the last. They are
    /// run in a child process before a swap.
    pub battery: extern "C" fn(index: u32) -> RStr<'static>,
    /// Bytes that logic's own allocator has outstanding. After all scratches are dropped and
    /// `detach` has run, whatever is left is a leak: nobody can free it once the library is gone.
    pub outstanding_bytes: extern "C" fn() -> i64,
    /// Never called: its type makes the layout check descend into everything that is stored.
    #[sabi(last_prefix_field)]
    pub layouts: extern "C" fn(types: &StoredTypes),
    /// Finds the file of data to load at the start, if there is one, and looks at how it begins. From
    /// then on commands that need the data are refused. `NOT_FOUND`: there is nothing to load.
    /// `FAILED`: `error` says why the server must not start.
    pub load_begin: extern "C" fn(scratch: *mut Scratch, error: &mut RawBytes) -> Status,
    /// Loads a piece of the file; any number of lanes may at the same time. `NOT_FOUND`: there is none
    /// left for this lane; others may still be at theirs.
    pub load_piece: extern "C" fn(scratch: *mut Scratch) -> Status,
    /// Once no lane is at a piece: ends the loading, and tells how it went. `FAILED`: `error` says
    /// what is wrong with the file, and at which byte.
    pub load_end: extern "C" fn(scratch: *mut Scratch, error: &mut RawBytes) -> Status,
    /// Reads a whole file of data without keeping anything of it, and writes a report: what is in it
    /// and what is wrong with it, in lines as docs/writing-logic.md has them. The scratch is that of
    /// lane 0 in an arena of its own, with no server. `FAILED`: the file cannot be read at all.
    pub check_file:
        extern "C" fn(scratch: *mut Scratch, path: RStr<'_>, report: &mut RawBytes) -> Status,
    /// As `load_begin`, of the file at this path, which is one of several that are loaded one after
    /// the other: commands are refused also after [`Logic::load_end`], until the shell lets them.
    pub load_file:
        extern "C" fn(scratch: *mut Scratch, path: RStr<'_>, error: &mut RawBytes) -> Status,
    /// Walks over all that logic keeps in the arena, see [`crate::walk`]: after `attach`, before any
    /// scratch is made. The arena may be one that a process has left in the middle of its work; locks
    /// mean nothing. The shell walks over what is its own, buffers of clients for one.
    pub check: extern "C" fn(walk: &Walk) -> Status,
    /// After a `check` that has mended, once memory can be allocated and nothing is locked: makes anew
    /// what that has left to be made, and has clients go on whose commands were broken off. Before any
    /// client is served.
    pub recover: extern "C" fn(scratch: *mut Scratch) -> Status,
    /// What is meant to differ from the version before, when a command is run by both: text number
    /// `index` from 0 on, empty behind the last: the command's name in lower case, a space and a word
    /// if only calls with that word among their arguments are meant, a colon, and the reason.
    pub differs: extern "C" fn(index: u32) -> RStr<'static>,
}

impl RootModule for LogicRef {
    abi_stable::declare_root_module_statics! {LogicRef}
    const BASE_NAME: &'static str = "logic";
    const NAME: &'static str = "logic";
    const VERSION_STRINGS: VersionStrings = package_version_strings!();
}

/// One pointer to each type that is stored in the arena and reached by address only.
#[repr(C)]
#[derive(StableAbi)]
pub struct StoredTypes {
    /// See the type.
    pub keyspace: *const Keyspace,
    /// See the type.
    pub clients: *const ClientTable,
    /// See the type.
    pub client: *const ClientBlock,
    /// See the type.
    pub shared: *const Shared,
    /// See the type.
    pub lane: *const Lane,
    /// See the type.
    pub commands: *const CommandSegment,
    /// See the type.
    pub command_name: *const CommandName,
    /// See the type.
    pub histogram: *const Histogram,
    /// See the type.
    pub multi: *const MultiState,
    /// See the type.
    pub subscriptions: *const Subscriptions,
    /// See the type.
    pub subscription: *const Subscription,
    /// See the type.
    pub channel: *const Channel,
    /// See the type.
    pub error: *const ErrorStat,
    /// See the type.
    pub slowlog: *const SlowlogEntry,
    /// See the type.
    pub latency: *const LatencyEvent,
    /// See the type.
    pub watched: *const WatchedKey,
    /// See the type.
    pub blocked: *const BlockedKey,
    /// See the type.
    pub waiter: *const Waiter,
    /// See the type.
    pub wait: *const Wait,
    /// See the type.
    pub message: *const Message,
    /// See the type.
    pub node: *const ListNode,
    /// See the type.
    pub bucket: *const Bucket,
    /// See the type.
    pub header: *const crate::arena::ArenaHeader,
    /// See the type.
    pub db: *const crate::keyspace::ShardDb,
    /// See the type.
    pub list: *const crate::container::RawList,
    /// See the type.
    pub hash: *const crate::container::RawHash,
    /// See the type.
    pub timed_hash: *const crate::container::RawTimedHash,
    /// See the type.
    pub set: *const crate::container::RawSet,
    /// See the type.
    pub sorted_set: *const crate::container::RawSortedSet,
    /// See the type.
    pub tree_leaf: *const crate::container::TreeLeaf,
    /// See the type.
    pub tree_inner: *const crate::container::TreeInner,
    /// See the type.
    pub stream: *const crate::stream::RawStream,
    /// See the type.
    pub id_node: *const crate::stream::IdNode,
    /// See the type.
    pub id_slot: *const crate::stream::IdSlot,
    /// See the type.
    pub stream_node: *const crate::stream::StreamNode,
    /// See the type.
    pub stream_group: *const crate::stream::StreamGroup,
    /// See the type.
    pub pending_entry: *const crate::stream::PendingEntry,
    /// See the type.
    pub script: *const crate::script::CachedScript,
    /// See the type.
    pub library: *const crate::script::FunctionLibrary,
    /// See the type.
    pub acl_log: *const crate::acl::AclLogEntry,
    /// See the type.
    pub handed: *const crate::snapshot::Handed,
    /// See the type.
    pub tracked: *const crate::tracking::TrackedKey,
    /// See the type.
    pub tracking_client: *const crate::tracking::TrackingClient,
    /// See the type.
    pub effects: *const crate::effects::EffectsStream,
    /// See the type.
    pub extent: *const crate::effects::Extent,
    /// See the type.
    pub aof: *const crate::aof::Aof,
}
