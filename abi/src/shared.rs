//! Everything that is neither a key nor a connection: configuration, counters, pub/sub, logs.

use abi_stable::StableAbi;
use core::sync::atomic::{AtomicU32, AtomicU64};

use crate::acl::{Acl, AclState};
use crate::aof::Aof;
use crate::config::ConfigStore;
use crate::container::{RawBytes, RawTable, RawVec};
use crate::lane::Lane;
use crate::loading::Loading;
use crate::lock::Locked;
use crate::ptr::Ptr;
use crate::root::RootHead;
use crate::script::{ScriptState, Scripts};
use crate::snapshot::Snapshot;
use crate::stats::LANES_MAX;
use crate::tracking::{Tracking, TrackingTotals};
use crate::warming::Warming;

/// Root of the rest.
///
/// Lock order: shard locks in ascending order, then where the file goes on that is loaded, then
/// `scripts`, `acl`, `pubsub`, `tracking`, then `names`, `errors`, `slowlog`, `latency`, the texts of
/// `config`, then the table of clients. What is wrong with a file that is loaded, and what is kept for
/// `snapshot`, are locked last.
#[repr(C)]
#[derive(StableAbi)]
pub struct Shared {
    /// [`crate::root::kind::SHARED`]
    pub head: RootHead,
    /// Settings.
    pub config: ConfigStore,
    /// The lanes; null for those that do not exist.
    pub lanes: [Ptr<Lane>; LANES_MAX],
    /// Which command has which slot in the counters.
    pub names: Locked<CommandNames>,
    /// Error replies by their first word: items are [`ErrorStat`].
    pub errors: Locked<RawTable>,
    /// Subscriptions.
    pub pubsub: Locked<PubSub>,
    /// Slow commands.
    pub slowlog: Locked<Slowlog>,
    /// Events that took long.
    pub latency: Locked<Latency>,
    /// `CLIENT PAUSE`.
    pub pause: Pause,
    /// Clients in `MONITOR`, for those who do not hold the lock of `pubsub`.
    pub monitor_count: AtomicU32,
    /// Clients blocked on keys.
    pub blocked_clients: AtomicU32,
    /// When the server started, Unix ms.
    pub started_ms: u64,
    /// Counters are since then, Unix ms.
    pub stats_reset_ms: AtomicU64,
    /// 40 hexadecimal digits that name this run.
    pub run_id: [u8; 40],
    /// Highest number of bytes in use seen by a tick.
    pub peak_used_bytes: AtomicU64,
    /// Operations and bytes at the last samples, for `instantaneous_*`.
    pub samples: Samples,
    /// 1 while `DEBUG SET-ACTIVE-EXPIRE 0` is in force.
    pub active_expire_off: AtomicU32,
    /// What `DEBUG` has switched: bits of [`debug`].
    pub debug: AtomicU32,
    /// Work on the whole keyspace.
    pub upkeep: Upkeep,
    /// Address of a [`crate::stats::LaneStats`] with the counters as they were at `stats_reset_ms`: what is told
    /// is the difference. 0 before the first reset; set once. Changed with `errors` locked.
    pub baseline: AtomicU64,
    /// Bytes in use before the first client came.
    pub startup_bytes: AtomicU64,
    /// How often the replication id was changed.
    pub replication_id_changes: AtomicU64,
    /// Commands that were large themselves. Taken as `slowlog`.
    pub large_requests: Locked<Slowlog>,
    /// Commands whose replies were large. Taken as `slowlog`.
    pub large_replies: Locked<Slowlog>,
    /// Active defragmentation.
    pub defrag: Defrag,
    /// Scripts and libraries of functions.
    pub scripts: Locked<Scripts>,
    /// What is to be seen of them without the lock.
    pub script_state: ScriptState,
    /// Client-side caching.
    pub tracking: Locked<Tracking>,
    /// How much there is of it.
    pub tracking_totals: TrackingTotals,
    /// Users, and what they were refused.
    pub acl: Locked<Acl>,
    /// What is to be seen of them without the lock.
    pub acl_state: AclState,
    /// The snapshot under way, and the last.
    pub snapshot: Snapshot,
    /// Loading a file of data.
    pub loading: Loading,
    /// What commands have to look at before they run: bits of [`attention`].
    pub attention: AtomicU64,
    /// The append-only log. Null where there can be none.
    pub aof: Ptr<Aof>,
    /// 1 if the logic whose scratches are being made counts in the second set of each lane's counters,
    /// 0 if in the first.
    pub counts_second: AtomicU64,
    /// Filling from elsewhere.
    pub warming: Warming,
    /// Zero.
    pub reserved: [u64; 6],
}

/// Bits of [`Shared::attention`].
pub mod attention {
    /// A file of data is being loaded.
    pub const LOADING: u64 = 1;
    /// A script has run for so long that clients are told.
    pub const BUSY: u64 = 1 << 1;
    /// A pause has begun, and nobody has ended it.
    pub const PAUSED: u64 = 1 << 2;
    /// A snapshot's walk is under way.
    pub const SNAPSHOT: u64 = 1 << 3;
    /// The last snapshot has failed.
    pub const FAILED: u64 = 1 << 4;
    /// The append-only log cannot be written. Set and cleared by the shell.
    pub const AOF_FAILED: u64 = 1 << 5;
    /// The keys are being filled from elsewhere: what is changed is noted. Set by the shell, cleared
    /// by both.
    pub const WARMING: u64 = 1 << 6;
    /// Some commands are captured, see [`crate::capture`]. Set and cleared by the shell.
    pub const CAPTURE: u64 = 1 << 7;
}

/// Bits of [`Shared::debug`].
pub mod debug {
    /// `RESTORE` does not look at checksums.
    pub const NO_CHECKSUMS: u32 = 1;
    /// Nothing is done from time to time.
    pub const NO_TICKS: u32 = 1 << 1;
    /// Scripts may call what they may not.
    pub const ALL_FOR_SCRIPTS: u32 = 1 << 2;
}

/// Active defragmentation: passes over all keys in which what lies where the arena is to be emptied
/// moves elsewhere. A background thread at a time goes on with a pass, and it alone writes where the
/// pass stands.
#[repr(C)]
#[derive(StableAbi)]
pub struct Defrag {
    /// When a background thread was asked to go on, Unix ms; 0: none is at it.
    pub job_ms: AtomicU64,
    /// Percent of a processor's time that it is worth now; 0: nothing is under way.
    pub percent: AtomicU64,
    /// Since when it has been under way, in monotonic nanoseconds; 0: it is not.
    pub since_ns: AtomicU64,
    /// 1 while a pass is under way.
    pub pass: AtomicU64,
    /// Bytes that lay scattered when the last pass began.
    pub scattered: AtomicU64,
    /// No pass begins before this Unix time in ms.
    pub rest_until_ms: AtomicU64,
    /// How long the rest after a pass without success was, in ms.
    pub rest_ms: AtomicU64,
    /// The database at which the pass stands.
    pub db: AtomicU64,
    /// Bits of a hash that tell slices apart: the pass takes a slice of all shards, then the next.
    pub slice_bits: AtomicU64,
    /// The slice.
    pub slice: AtomicU64,
    /// The shard.
    pub shard: AtomicU64,
    /// The position in the shard's tables.
    pub position: AtomicU64,
    /// Hash of the key there whose value the pass stands in.
    pub key_hash: AtomicU64,
    /// Which of the keys with this hash it is, in order of their names; but for a rare chance, 0.
    pub key_nth: AtomicU64,
    /// Where it stands in the value, in terms of its encoding; all 0: at the start.
    pub place: [AtomicU64; 5],
    /// Zero.
    pub reserved: [u64; 2],
}

/// Work on the whole keyspace that goes on beside the commands.
#[repr(C)]
#[derive(StableAbi)]
pub struct Upkeep {
    /// When the expire cycle was handed to a background thread, Unix ms; 0: it is not there.
    pub expire_job_ms: AtomicU64,
    /// When a background thread was asked to make room, Unix ms; 0: none is at it.
    pub room_job_ms: AtomicU64,
    /// Since when memory is above `maxmemory`, in monotonic nanoseconds; 0: it is not.
    pub over_maxmemory_since_ns: AtomicU64,
    /// Values that background threads have yet to free.
    pub lazy_pending: AtomicU64,
    /// Values that background threads have freed.
    pub lazy_freed: AtomicU64,
    /// Bytes that background threads have yet to free, roughly.
    pub lazy_bytes: AtomicU64,
    /// Of a million keys with a time to live, how many are past it and still there: a running
    /// estimate of the expire cycle.
    pub stale_ppm: AtomicU64,
    /// Fields of hashes removed because they had ended.
    pub expired_fields: AtomicU64,
}

/// Stable slots for command names, so that counters carry over from release to release.
#[repr(C)]
#[derive(StableAbi)]
pub struct CommandNames {
    /// Addresses of [`CommandName`], by slot. A name, once here, stays.
    pub slots: RawVec,
}

/// A command's name. Followed by `name_len` bytes: lower case, a subcommand's as `client|list`.
#[repr(C)]
#[derive(StableAbi)]
pub struct CommandName {
    /// Bytes of name that follow this struct.
    pub name_len: u32,
    /// The number of its family plus one, see [`crate::stats::FAMILIES`]; 0: it is not told.
    pub family: u32,
}

/// Who is to hear of what.
#[repr(C)]
#[derive(StableAbi)]
pub struct PubSub {
    /// Items are [`Channel`].
    pub channels: RawTable,
    /// Items are [`Channel`], the name being the pattern.
    pub patterns: RawTable,
    /// Items are [`Channel`].
    pub shard_channels: RawTable,
    /// Clients in `MONITOR`. Words are [`crate::client_ref::ClientRef`].
    pub monitors: RawVec,
    /// Subscribers that were killed and whose owner has not taken them out yet: they hear of nothing
    /// and are not counted. Words are [`crate::client_ref::ClientRef`].
    pub killed: RawVec,
}

/// A channel or pattern with its subscribers. Followed by `name_len` bytes of name.
#[repr(C)]
#[derive(StableAbi)]
pub struct Channel {
    /// Words are [`crate::client_ref::ClientRef`], in the order they subscribed.
    pub subscribers: RawVec,
    /// Bytes of name that follow this struct.
    pub name_len: u32,
    /// Zero.
    pub reserved: u32,
}

/// Error replies of one kind. Followed by `name_len` bytes of name.
#[repr(C)]
#[derive(StableAbi)]
pub struct ErrorStat {
    /// Replies that began with this word.
    pub count: AtomicU64,
    /// Bytes of name that follow this struct.
    pub name_len: u32,
    /// Zero.
    pub reserved: u32,
}

/// `SLOWLOG`, and each of the logs of `COMMANDLOG`.
#[repr(C)]
#[derive(StableAbi)]
pub struct Slowlog {
    /// The id the next entry gets.
    pub next_id: u64,
    /// Addresses of [`SlowlogEntry`], oldest first.
    pub entries: RawVec,
}

/// One command that was slow or large.
#[repr(C)]
#[derive(StableAbi)]
pub struct SlowlogEntry {
    /// Unique; rises.
    pub id: u64,
    /// When it ran, Unix seconds.
    pub time_s: u64,
    /// How long it took, in microseconds; or how large it or its reply was, in bytes.
    pub amount: u64,
    /// `u32` number of arguments, then each as `u32` length and bytes; already shortened.
    pub command: RawBytes,
    /// The client's `address:port`.
    pub peer: RawBytes,
    /// The client's name.
    pub name: RawBytes,
}

/// `LATENCY`.
#[repr(C)]
#[derive(StableAbi)]
pub struct Latency {
    /// Items are [`LatencyEvent`].
    pub events: RawTable,
}

/// Samples a latency event keeps.
pub const LATENCY_SAMPLES: usize = 160;

/// The history of one event.
#[repr(C)]
#[derive(StableAbi)]
pub struct LatencyEvent {
    /// Name, padded with zeros.
    pub name: [u8; 32],
    /// Highest latency ever, in ms.
    pub max_ms: u32,
    /// Where the next sample goes.
    pub next: u32,
    /// Pairs of Unix seconds and ms; a ring.
    pub samples: [[u32; 2]; LATENCY_SAMPLES],
}

/// `CLIENT PAUSE`.
#[repr(C)]
#[derive(StableAbi)]
pub struct Pause {
    /// Until when, Unix ms; 0: not paused.
    pub until_ms: AtomicU64,
    /// 1: only commands that write; 0: all.
    pub writes_only: AtomicU32,
    /// Zero.
    pub reserved: u32,
}

/// Samples kept for rates.
pub const RATE_SAMPLES: usize = 16;

/// Recent samples of counters, taken by ticks of lane 0.
#[repr(C)]
#[derive(StableAbi)]
pub struct Samples {
    /// When the last sample was taken, Unix ms.
    pub at_ms: AtomicU64,
    /// Totals at the last sample: commands, bytes in, bytes out.
    pub totals: [AtomicU64; 3],
    /// Rates a second of each sample; a ring for each.
    pub rates: [[AtomicU64; RATE_SAMPLES]; 3],
    /// Where the next sample goes.
    pub next: AtomicU64,
}
