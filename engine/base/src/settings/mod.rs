//! Settings: what there are, where they are kept, and a copy of those commands need all the time.
//!
//! [`setting`] declares each that the engine reads, once; [`get`] reads one as its type. What a
//! user writes for a value, and how values change, is known further up.

pub mod row;
pub mod setting;

use core::sync::atomic::Ordering::{Acquire, Relaxed};

use abi::lock::Locker;

use crate::bytes;
use crate::roots::Roots;
use row::{Numeric, Policy, Setting, Text};

/// A setting's value.
#[inline]
pub fn get<T: Numeric>(roots: Roots, setting: Setting<T>) -> T {
    T::from_number(number(roots, setting.id()))
}

/// The number beside a text.
pub fn number_beside(roots: Roots, setting: Setting<Text>) -> i64 {
    number(roots, setting.id())
}

/// The text stored for a setting.
pub fn text(roots: Roots, locker: impl Locker, id: u32) -> Vec<u8> {
    let texts = roots.config().texts.lock(locker);
    bytes::slice(&texts[id as usize]).to_vec()
}

/// The number stored for a setting.
#[inline]
pub fn number(roots: Roots, id: u32) -> i64 {
    roots.config().numbers[id as usize].load(Relaxed)
}

/// Settings that nearly every command asks for, as plain fields: a copy, renewed when one changes,
/// so that they stay the same during a batch.
#[derive(Clone, Copy, Default)]
pub struct Settings {
    epoch: u64,
    /// Bytes; 0: no limit.
    pub maxmemory: u64,
    /// What to do at the limit.
    pub policy: Policy,
    /// Keys to choose the next victim from.
    pub maxmemory_samples: u64,
    /// How slowly the frequency counter rises.
    pub lfu_log_factor: i64,
    /// Minutes in which the frequency counter falls by one; 0: never.
    pub lfu_decay_minutes: i64,
    /// Classes of keyspace events to publish; bits of `keyspace::notify`.
    pub notify: u32,
    /// Microseconds from which on a command is slow; negative: none is.
    pub slowlog_us: i64,
    /// As `list-max-listpack-size`.
    pub list_node_limit: i64,
    /// Fields of a small hash at most.
    pub hash_entries: u64,
    /// Bytes of a field or value of a small hash at most.
    pub hash_value_bytes: u64,
    /// Members of a set of integers at most, if it is to be kept as one.
    pub intset_entries: u64,
    /// Members of a small sorted set at most.
    pub zset_entries: u64,
    /// Bytes of a member of a small sorted set at most.
    pub zset_value_bytes: u64,
    /// Bytes of a stream's node at most; 0 for no limit.
    pub stream_node_bytes: u64,
    /// Entries of a stream's node at most; 0 for no limit.
    pub stream_node_entries: u64,
    /// Longest string.
    pub bulk_max: u64,
    /// Milliseconds from which on an event is recorded; 0: none is.
    pub latency_ms: u64,
    /// Nanoseconds from which on a command is slow or an event.
    pub noticed_ns: u64,
    /// Bytes of a command without its frame, or of a reply, from which on it may be large.
    pub large_bytes: u64,
    /// Whether the durations of commands are recorded.
    pub latency_tracking: bool,
    /// How often a command has been renamed; see [`setting::RENAMED`].
    pub renamed: i64,
}

impl Settings {
    /// Reads the settings anew if one has changed.
    #[inline]
    pub fn refresh(&mut self, roots: Roots) {
        let epoch = roots.config().epoch.load(Acquire);
        if epoch != self.epoch {
            self.load(roots);
            self.epoch = epoch;
        }
    }

    #[cold]
    fn load(&mut self, roots: Roots) {
        let slowlog_us = get(roots, setting::SLOWLOG_LOG_SLOWER_THAN);
        let latency_ms = get(roots, setting::LATENCY_MONITOR_THRESHOLD);
        *self = Self {
            epoch: self.epoch,
            maxmemory: get(roots, setting::MAXMEMORY),
            policy: get(roots, setting::MAXMEMORY_POLICY),
            maxmemory_samples: get(roots, setting::MAXMEMORY_SAMPLES),
            lfu_log_factor: get(roots, setting::LFU_LOG_FACTOR),
            lfu_decay_minutes: get(roots, setting::LFU_DECAY_TIME),
            notify: get(roots, setting::NOTIFY_KEYSPACE_EVENTS).0,
            slowlog_us,
            list_node_limit: get(roots, setting::LIST_MAX_LISTPACK_SIZE),
            hash_entries: get(roots, setting::HASH_MAX_LISTPACK_ENTRIES),
            hash_value_bytes: get(roots, setting::HASH_MAX_LISTPACK_VALUE),
            intset_entries: get(roots, setting::SET_MAX_INTSET_ENTRIES),
            zset_entries: get(roots, setting::ZSET_MAX_LISTPACK_ENTRIES),
            zset_value_bytes: get(roots, setting::ZSET_MAX_LISTPACK_VALUE),
            stream_node_bytes: get(roots, setting::STREAM_NODE_MAX_BYTES),
            stream_node_entries: get(roots, setting::STREAM_NODE_MAX_ENTRIES),
            bulk_max: get(roots, setting::PROTO_MAX_BULK_LEN),
            latency_ms,
            noticed_ns: noticed_ns(slowlog_us, latency_ms),
            large_bytes: large_bytes(roots),
            latency_tracking: get(roots, setting::LATENCY_TRACKING),
            renamed: number_beside(roots, setting::RENAMED),
        };
    }
}

/// The bytes from which on a command or a reply is of interest to the logs of large ones.
fn large_bytes(roots: Roots) -> u64 {
    /// The frame of a command: the number of strings and the length of the first, and the last end.
    const FRAME_MAX: u64 = 64;
    let limits = [setting::COMMANDLOG_REQUEST_LARGER_THAN, setting::COMMANDLOG_REPLY_LARGER_THAN];
    let least = |setting| u64::try_from(get(roots, setting)).unwrap_or(u64::MAX);
    let least = limits.map(least).into_iter().fold(u64::MAX, u64::min);
    if least == u64::MAX { least } else { least.saturating_sub(FRAME_MAX) }
}

/// The duration from which on a command is of interest to the slow log or the latency monitor.
fn noticed_ns(slowlog_us: i64, latency_ms: u64) -> u64 {
    let slow = u64::try_from(slowlog_us).map_or(u64::MAX, |us| us.saturating_mul(1000));
    let event = if latency_ms == 0 { u64::MAX } else { latency_ms.saturating_mul(1_000_000) };
    slow.min(event)
}
