//! Settings: what there are, where they are kept, and a copy of those commands need all the time.

use core::sync::atomic::Ordering::{Acquire, Relaxed};

use abi::config::id::LOGIC_FIRST;

use crate::roots::Roots;

/// Ids of the settings only logic knows. Append-only.
pub mod id {
    use super::LOGIC_FIRST;
    /// `maxmemory`
    pub const MAXMEMORY: u32 = LOGIC_FIRST;
    /// `maxmemory-policy`
    pub const MAXMEMORY_POLICY: u32 = LOGIC_FIRST + 1;
    /// `maxmemory-samples`
    pub const MAXMEMORY_SAMPLES: u32 = LOGIC_FIRST + 2;
    /// `lfu-log-factor`
    pub const LFU_LOG_FACTOR: u32 = LOGIC_FIRST + 3;
    /// `lfu-decay-time`
    pub const LFU_DECAY_TIME: u32 = LOGIC_FIRST + 4;
    /// `notify-keyspace-events`, as bits
    pub const NOTIFY_KEYSPACE_EVENTS: u32 = LOGIC_FIRST + 5;
    /// `slowlog-log-slower-than`
    pub const SLOWLOG_LOG_SLOWER_THAN: u32 = LOGIC_FIRST + 6;
    /// `slowlog-max-len`
    pub const SLOWLOG_MAX_LEN: u32 = LOGIC_FIRST + 7;
    /// `list-max-listpack-size`
    pub const LIST_MAX_LISTPACK_SIZE: u32 = LOGIC_FIRST + 8;
    /// `proto-max-bulk-len`
    pub const PROTO_MAX_BULK_LEN: u32 = LOGIC_FIRST + 9;
    /// `latency-monitor-threshold`
    pub const LATENCY_MONITOR_THRESHOLD: u32 = LOGIC_FIRST + 10;
    /// `enable-debug-command`
    pub const ENABLE_DEBUG_COMMAND: u32 = LOGIC_FIRST + 11;
    /// `enable-shell-command`
    pub const ENABLE_SHELL_COMMAND: u32 = LOGIC_FIRST + 12;
    /// `active-expire-effort`
    pub const ACTIVE_EXPIRE_EFFORT: u32 = LOGIC_FIRST + 13;
    /// `lazyfree-lazy-eviction`
    pub const LAZYFREE_LAZY_EVICTION: u32 = LOGIC_FIRST + 14;
    /// `lazyfree-lazy-expire`
    pub const LAZYFREE_LAZY_EXPIRE: u32 = LOGIC_FIRST + 15;
    /// `lazyfree-lazy-server-del`
    pub const LAZYFREE_LAZY_SERVER_DEL: u32 = LOGIC_FIRST + 16;
    /// `lazyfree-lazy-user-del`
    pub const LAZYFREE_LAZY_USER_DEL: u32 = LOGIC_FIRST + 17;
    /// `lazyfree-lazy-user-flush`
    pub const LAZYFREE_LAZY_USER_FLUSH: u32 = LOGIC_FIRST + 18;
    /// `maxmemory-eviction-tenacity`
    pub const MAXMEMORY_EVICTION_TENACITY: u32 = LOGIC_FIRST + 19;
    /// `latency-tracking`
    pub const LATENCY_TRACKING: u32 = LOGIC_FIRST + 20;
    /// Hard output limit of replicas in bytes; soft limit and seconds are the next two.
    pub const OUTPUT_REPLICA_HARD: u32 = LOGIC_FIRST + 21;
    /// `enable-protected-configs`
    pub const ENABLE_PROTECTED_CONFIGS: u32 = LOGIC_FIRST + 24;
    /// `latency-tracking-info-percentiles`
    pub const LATENCY_PERCENTILES: u32 = LOGIC_FIRST + 25;
    /// `repl-backlog-size`
    pub const REPL_BACKLOG_SIZE: u32 = LOGIC_FIRST + 26;
    /// Commands that have another name, or none; see [`super::rename`]. Not a setting by name.
    pub const RENAMED: u32 = LOGIC_FIRST + 27;
}

/// A setting's number.
#[inline]
pub fn number(roots: Roots, id: u32) -> i64 {
    roots.config().numbers[id as usize].load(Relaxed)
}

/// `maxmemory-policy`, by the number it is stored as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[allow(missing_docs, reason = "the names of Redis's own policies")]
pub enum Policy {
    #[default]
    NoEviction,
    AllKeysLru,
    VolatileLru,
    AllKeysLfu,
    VolatileLfu,
    AllKeysRandom,
    VolatileRandom,
    VolatileTtl,
}

impl Policy {
    /// All, in the order of the numbers they are stored as, with the names users know.
    pub const ALL: [(&'static str, Policy); 8] = [
        ("noeviction", Policy::NoEviction),
        ("allkeys-lru", Policy::AllKeysLru),
        ("volatile-lru", Policy::VolatileLru),
        ("allkeys-lfu", Policy::AllKeysLfu),
        ("volatile-lfu", Policy::VolatileLfu),
        ("allkeys-random", Policy::AllKeysRandom),
        ("volatile-random", Policy::VolatileRandom),
        ("volatile-ttl", Policy::VolatileTtl),
    ];

    /// Whether the access clock counts frequency instead of time.
    pub fn is_lfu(self) -> bool {
        matches!(self, Policy::AllKeysLfu | Policy::VolatileLfu)
    }

    /// Whether only keys with a time to live are concerned.
    pub fn is_volatile(self) -> bool {
        use Policy::{VolatileLfu, VolatileLru, VolatileRandom, VolatileTtl};
        matches!(self, VolatileLru | VolatileLfu | VolatileRandom | VolatileTtl)
    }

    /// Whether chance alone decides.
    pub fn is_random(self) -> bool {
        matches!(self, Policy::AllKeysRandom | Policy::VolatileRandom)
    }
}

/// Settings a command may need on its way, as plain fields. A copy, renewed when one changes.
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
    pub list_node_limit: i32,
    /// Longest string.
    pub bulk_max: u64,
    /// Milliseconds from which on an event is recorded; 0: none is.
    pub latency_ms: u64,
    /// Nanoseconds from which on a command is slow or an event.
    pub noticed_ns: u64,
    /// Whether the durations of commands are recorded.
    pub latency_tracking: bool,
    /// Whether a password is asked for.
    pub password: bool,
    /// How often a command has been renamed; see [`rename`].
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
        let number = |id| number(roots, id);
        let slowlog_us = number(id::SLOWLOG_LOG_SLOWER_THAN);
        let latency_ms = number(id::LATENCY_MONITOR_THRESHOLD) as u64;
        *self = Self {
            epoch: self.epoch,
            maxmemory: number(id::MAXMEMORY) as u64,
            policy: Policy::ALL
                .get(number(id::MAXMEMORY_POLICY) as usize)
                .map_or(Policy::NoEviction, |(_, policy)| *policy),
            maxmemory_samples: number(id::MAXMEMORY_SAMPLES) as u64,
            lfu_log_factor: number(id::LFU_LOG_FACTOR),
            lfu_decay_minutes: number(id::LFU_DECAY_TIME),
            notify: number(id::NOTIFY_KEYSPACE_EVENTS) as u32,
            slowlog_us,
            list_node_limit: number(id::LIST_MAX_LISTPACK_SIZE) as i32,
            bulk_max: number(id::PROTO_MAX_BULK_LEN) as u64,
            latency_ms,
            noticed_ns: noticed_ns(slowlog_us, latency_ms),
            latency_tracking: number(id::LATENCY_TRACKING) != 0,
            password: number(abi::config::id::REQUIREPASS) != 0,
            renamed: number(id::RENAMED),
        };
    }
}

/// The duration from which on a command is of interest to the slow log or the latency monitor.
fn noticed_ns(slowlog_us: i64, latency_ms: u64) -> u64 {
    let slow = u64::try_from(slowlog_us).map_or(u64::MAX, |us| us.saturating_mul(1000));
    let event = if latency_ms == 0 { u64::MAX } else { latency_ms.saturating_mul(1_000_000) };
    slow.min(event)
}
