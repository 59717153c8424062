//! Counters. Each lane (a thread that runs logic) writes its own and everybody may read them.

use abi_stable::StableAbi;
use core::sync::atomic::AtomicU64;

/// Most lanes: workers, then the control thread and background threads.
pub const LANES_MAX: usize = 72;

/// Commands in a [`CommandSegment`].
pub const SEGMENT_COMMANDS: usize = 64;

/// Families of commands, by the numbers that their commands' names carry
/// ([`crate::shared::CommandName::family`]).
pub const FAMILIES: [&str; 16] = [
    "generic",
    "string",
    "list",
    "set",
    "sorted-set",
    "hash",
    "pubsub",
    "transactions",
    "connection",
    "server",
    "scripting",
    "hyperloglog",
    "cluster",
    "geo",
    "stream",
    "bitmap",
];

/// One lane's counters. Only grows from the last sample to the next unless reset.
#[repr(C, align(64))]
#[derive(StableAbi)]
pub struct LaneStats {
    /// Commands executed.
    pub commands: AtomicU64,
    /// Lookups that found their key.
    pub hits: AtomicU64,
    /// Lookups that did not.
    pub misses: AtomicU64,
    /// Keys removed because their time had come.
    pub expired: AtomicU64,
    /// Keys removed to make room.
    pub evicted: AtomicU64,
    /// Bytes received.
    pub bytes_in: AtomicU64,
    /// Bytes sent.
    pub bytes_out: AtomicU64,
    /// Connections accepted.
    pub connections: AtomicU64,
    /// Connections refused because of `maxclients` or protected mode.
    pub rejected: AtomicU64,
    /// Error replies.
    pub errors: AtomicU64,
    /// `read` calls that got something.
    pub reads: AtomicU64,
    /// `write` calls.
    pub writes: AtomicU64,
    /// Batches run.
    pub batches: AtomicU64,
    /// Panics that were caught.
    pub panics: AtomicU64,
    /// Clients closed because of their output limit.
    pub output_limit_closed: AtomicU64,
    /// Times an expire cycle was cut short by its time limit.
    pub expire_time_cap: AtomicU64,
    /// Microseconds spent in expire cycles.
    pub expire_us: AtomicU64,
    /// Microseconds during which memory was above `maxmemory`.
    pub over_maxmemory_us: AtomicU64,
    /// Messages published.
    pub published: AtomicU64,
    /// Changes to keys.
    pub dirty: AtomicU64,
    /// Keys with a time to live that expire cycles have looked at.
    pub expire_seen: AtomicU64,
    /// Those of them whose time had come.
    pub expire_stale: AtomicU64,
    /// Clients closed because all together took too much memory.
    pub evicted_clients: AtomicU64,
    /// Allocations that were moved to lie closer together.
    pub defrag_hits: AtomicU64,
    /// Allocations that were looked at for that and left where they are.
    pub defrag_misses: AtomicU64,
    /// Keys of which something was moved.
    pub defrag_key_hits: AtomicU64,
    /// Keys of which nothing was.
    pub defrag_key_misses: AtomicU64,
    /// Microseconds during which defragmentation was under way.
    pub defrag_us: AtomicU64,
    /// Scripts that ran with the shards of their own keys only.
    pub scripts_beside: AtomicU64,
    /// Scripts that began so, and had to run again with every shard.
    pub scripts_again: AtomicU64,
    /// Of a lane's first set of counters: address of a second, of the same kind, in which logics count
    /// that serve beside one that counts in the first. Set before any logic is loaded; what is told
    /// is the sum. Zero in the second, and in counters that were taken down.
    pub second: AtomicU64,
    /// Address of the [`CommandSegment`] of the first command slots; 0: there is none yet. Set once,
    /// by the lane that counts there.
    pub segments: AtomicU64,
}

/// The counters of some commands, by their slots (see [`crate::shared::CommandNames`]).
#[repr(C, align(64))]
#[derive(StableAbi)]
pub struct CommandSegment {
    /// One a slot.
    pub stats: [CommandStat; SEGMENT_COMMANDS],
    /// Address of the segment of the slots that follow; 0: there is none yet. Set once.
    pub next: AtomicU64,
    /// Zero.
    pub reserved: [u64; 7],
}

/// What `INFO commandstats` tells of a command. One cache line.
#[repr(C, align(64))]
#[derive(StableAbi)]
pub struct CommandStat {
    /// Times it ran.
    pub calls: AtomicU64,
    /// Nanoseconds it took.
    pub time_ns: AtomicU64,
    /// Times it was refused before it ran.
    pub rejected: AtomicU64,
    /// Times it ran and replied with an error.
    pub failed: AtomicU64,
    /// Address of the [`Histogram`] of its durations; 0 before the first is recorded. Set once.
    pub histogram: AtomicU64,
    /// Zero.
    pub reserved: [AtomicU64; 3],
}

/// Buckets of a histogram for each doubling of the duration.
pub const HISTOGRAM_STEPS: usize = 8;

/// Buckets of a histogram: up to 2^30 ns, about a second; longer ones count in the last.
pub const HISTOGRAM_BUCKETS: usize = (30 - 3 + 1) * HISTOGRAM_STEPS;

/// How long a command took, how often.
///
/// Durations below 8 ns have a bucket each. From there on bucket `8 * (e - 2) + m` holds those of
/// `(8 + m) << (e - 3)` ns up to the next bucket's, for `e` the binary exponent and `m` the three
/// bits behind the leading one.
#[repr(C)]
#[derive(StableAbi)]
pub struct Histogram {
    /// Times a duration was within a bucket.
    pub counts: [AtomicU64; HISTOGRAM_BUCKETS],
}

/// The longest duration in a bucket of a [`Histogram`], in nanoseconds. The last bucket has longer
/// ones too.
pub const fn longest_in(bucket: usize) -> u64 {
    if bucket < HISTOGRAM_STEPS {
        return bucket as u64;
    }
    let (octave, step) = (bucket / HISTOGRAM_STEPS, bucket % HISTOGRAM_STEPS);
    ((HISTOGRAM_STEPS + step + 1) as u64 * (1 << (octave - 1))) - 1
}
