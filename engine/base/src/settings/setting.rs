//! The settings that the engine reads: a line each, in the order of their names.
//!
//! A line is all there is to one: its name and default for users, where it is stored, what values
//! it takes, and the type as which [`get`](super::get) reads it. Names, defaults and limits are
//! those of Redis 7.0, or of where a later command comes from: a release without the command does
//! not know its settings either.

use abi::config::id::{self as shell, LOGIC_FIRST};

use super::row::{
    ChannelsAtFirst, HIDDEN, IMMUTABLE, Kind, PROTECTED, Permission, Policy, Row, SECRET, Setting,
    Stop, Text,
};
use crate::event::Class;

/// Where a setting is stored that only logic knows. A new one takes the next number that neither
/// this table has nor that of the settings nobody reads; a test tells if one is taken twice.
pub const fn slot(number: u32) -> u32 {
    LOGIC_FIRST + number
}

/// Least and most of what Redis keeps in an `int`.
pub const INT_MIN: i64 = i32::MIN as i64;
pub const INT_MAX: i64 = i32::MAX as i64;
/// Most bytes that a signed number can tell.
pub const MEMORY_MAX: u64 = i64::MAX as u64;

/// Output limits of replicas: as the hard limit of a class, with soft limit and seconds in the next
/// two. With the shell's own they are one setting, which the engine does not read.
pub const OUTPUT_REPLICA_HARD: u32 = slot(21);

/// Commands that have another name, or none, a line each; the number beside it counts the lines.
/// It is in no list: it can be neither asked for nor changed by name.
pub const RENAMED: Setting<Text> = Setting::text("rename-command", slot(27), Kind::Text, "");

/// Makes each line a constant, and one list of them all.
macro_rules! settings {
    ($(pub const $name:ident: $type:ty = $setting:expr;)*) => {
        $(pub const $name: $type = $setting;)*

        /// What is said of each.
        pub const READ: &[Row] = &[$($name.row()),*];
    };
}

settings! {
    pub const ACL_PUBSUB_DEFAULT: Setting<ChannelsAtFirst> =
        Setting::channels("acl-pubsub-default", slot(32), "resetchannels");
    pub const ACLFILE: Setting<Text> =
        Setting::text("aclfile", slot(33), Kind::Text, "").flags(IMMUTABLE);
    pub const ACLLOG_MAX_LEN: Setting<u64> =
        Setting::count("acllog-max-len", slot(34), (0, i64::MAX), "128");
    pub const ACTIVE_DEFRAG_CYCLE_MAX: Setting<u64> =
        Setting::count("active-defrag-cycle-max", slot(35), (1, 99), "25");
    pub const ACTIVE_DEFRAG_CYCLE_MIN: Setting<u64> =
        Setting::count("active-defrag-cycle-min", slot(36), (1, 99), "1");
    pub const ACTIVE_DEFRAG_IGNORE_BYTES: Setting<u64> =
        Setting::bytes("active-defrag-ignore-bytes", slot(37), (1, MEMORY_MAX), "104857600");
    pub const ACTIVE_DEFRAG_MAX_SCAN_FIELDS: Setting<u64> =
        Setting::count("active-defrag-max-scan-fields", slot(38), (1, i64::MAX), "1000");
    pub const ACTIVE_DEFRAG_THRESHOLD_LOWER: Setting<u64> =
        Setting::count("active-defrag-threshold-lower", slot(39), (0, 1000), "10");
    pub const ACTIVE_DEFRAG_THRESHOLD_UPPER: Setting<u64> =
        Setting::count("active-defrag-threshold-upper", slot(40), (0, 1000), "100");
    pub const ACTIVE_EXPIRE_EFFORT: Setting<u64> =
        Setting::count("active-expire-effort", slot(13), (1, 10), "1");
    pub const ACTIVEDEFRAG: Setting<bool> = Setting::yes_no("activedefrag", slot(41), "no");
    pub const AOF_REWRITE_INCREMENTAL_FSYNC: Setting<bool> =
        Setting::yes_no("aof-rewrite-incremental-fsync", slot(46), "yes");
    pub const AOF_USE_RDB_PREAMBLE: Setting<bool> =
        Setting::yes_no("aof-use-rdb-preamble", slot(48), "yes");
    pub const AUTO_AOF_REWRITE_MIN_SIZE: Setting<u64> =
        Setting::bytes("auto-aof-rewrite-min-size", slot(54), (0, MEMORY_MAX), "67108864");
    pub const AUTO_AOF_REWRITE_PERCENTAGE: Setting<u64> =
        Setting::count("auto-aof-rewrite-percentage", slot(55), (0, INT_MAX), "100");
    pub const BUSY_REPLY_THRESHOLD: Setting<u64> =
        Setting::count("busy-reply-threshold", slot(59), (0, i64::MAX), "5000")
            .alias("lua-time-limit");
    pub const COMMANDLOG_LARGE_REPLY_MAX_LEN: Setting<u64> =
        Setting::count("commandlog-large-reply-max-len", slot(180), (0, i64::MAX), "128")
            .of_command("commandlog");
    pub const COMMANDLOG_LARGE_REQUEST_MAX_LEN: Setting<u64> =
        Setting::count("commandlog-large-request-max-len", slot(181), (0, i64::MAX), "128")
            .of_command("commandlog");
    pub const COMMANDLOG_REPLY_LARGER_THAN: Setting<i64> =
        Setting::integer("commandlog-reply-larger-than", slot(182), (-1, i64::MAX), "1048576")
            .of_command("commandlog");
    pub const COMMANDLOG_REQUEST_LARGER_THAN: Setting<i64> =
        Setting::integer("commandlog-request-larger-than", slot(183), (-1, i64::MAX), "1048576")
            .of_command("commandlog");
    pub const DBFILENAME: Setting<Text> =
        Setting::text("dbfilename", shell::DBFILENAME, Kind::FileName, "dump.rdb").flags(PROTECTED);
    pub const ENABLE_DEBUG_COMMAND: Setting<Permission> =
        Setting::permission("enable-debug-command", slot(11), "no");
    pub const ENABLE_MODULE_COMMAND: Setting<Permission> =
        Setting::permission("enable-module-command", slot(84), "no");
    pub const ENABLE_PROTECTED_CONFIGS: Setting<Permission> =
        Setting::permission("enable-protected-configs", slot(24), "no");
    // Redis does not have it: tools that copy all settings from server to server do not see it.
    pub const ENABLE_SHELL_COMMAND: Setting<Permission> =
        Setting::permission("enable-shell-command", slot(12), "no").flags(HIDDEN);
    pub const HASH_MAX_LISTPACK_ENTRIES: Setting<u64> =
        Setting::count("hash-max-listpack-entries", slot(85), (0, i64::MAX), "512")
            .alias("hash-max-ziplist-entries");
    pub const HASH_MAX_LISTPACK_VALUE: Setting<u64> =
        Setting::bytes("hash-max-listpack-value", slot(86), (0, MEMORY_MAX), "64")
            .alias("hash-max-ziplist-value");
    pub const HLL_SPARSE_MAX_BYTES: Setting<u64> =
        Setting::bytes("hll-sparse-max-bytes", slot(87), (0, MEMORY_MAX), "3000");
    pub const HZ: Setting<u64> =
        Setting::count("hz", shell::HZ, (0, INT_MAX), "10").held_to(1, 500);
    // As in Redis: for tests of what goes on while data is loaded.
    pub const KEY_LOAD_DELAY: Setting<i64> =
        Setting::integer("key-load-delay", slot(92), (INT_MIN, INT_MAX), "0").flags(HIDDEN);
    pub const LATENCY_MONITOR_THRESHOLD: Setting<u64> =
        Setting::count("latency-monitor-threshold", slot(10), (0, i64::MAX), "0");
    pub const LATENCY_TRACKING: Setting<bool> =
        Setting::yes_no("latency-tracking", slot(20), "yes");
    pub const LATENCY_PERCENTILES: Setting<Text> = Setting::text(
        "latency-tracking-info-percentiles",
        slot(25),
        Kind::Percentiles,
        "50 99 99.9",
    );
    pub const LAZYFREE_LAZY_EVICTION: Setting<bool> =
        Setting::yes_no("lazyfree-lazy-eviction", slot(14), "no");
    pub const LAZYFREE_LAZY_EXPIRE: Setting<bool> =
        Setting::yes_no("lazyfree-lazy-expire", slot(15), "no");
    pub const LAZYFREE_LAZY_SERVER_DEL: Setting<bool> =
        Setting::yes_no("lazyfree-lazy-server-del", slot(16), "no");
    pub const LAZYFREE_LAZY_USER_DEL: Setting<bool> =
        Setting::yes_no("lazyfree-lazy-user-del", slot(17), "no");
    pub const LAZYFREE_LAZY_USER_FLUSH: Setting<bool> =
        Setting::yes_no("lazyfree-lazy-user-flush", slot(18), "no");
    pub const LFU_DECAY_TIME: Setting<i64> =
        Setting::integer("lfu-decay-time", slot(4), (0, INT_MAX), "1");
    pub const LFU_LOG_FACTOR: Setting<i64> =
        Setting::integer("lfu-log-factor", slot(3), (0, INT_MAX), "10");
    pub const LIST_MAX_LISTPACK_SIZE: Setting<i64> =
        Setting::integer("list-max-listpack-size", slot(8), (INT_MIN, INT_MAX), "-2")
            .alias("list-max-ziplist-size");
    pub const MAXCLIENTS: Setting<u64> =
        Setting::count("maxclients", shell::MAXCLIENTS, (1, u32::MAX as i64), "10000");
    pub const MAXMEMORY: Setting<u64> =
        Setting::bytes("maxmemory", shell::MAXMEMORY, (0, u64::MAX), "0");
    pub const MAXMEMORY_CLIENTS: Setting<i64> =
        Setting::bytes_or_percent("maxmemory-clients", slot(97), "0");
    pub const MAXMEMORY_EVICTION_TENACITY: Setting<u64> =
        Setting::count("maxmemory-eviction-tenacity", slot(19), (0, 100), "10");
    pub const MAXMEMORY_POLICY: Setting<Policy> =
        Setting::policy("maxmemory-policy", slot(1), "noeviction");
    pub const MAXMEMORY_SAMPLES: Setting<u64> =
        Setting::count("maxmemory-samples", slot(2), (1, INT_MAX), "5");
    pub const NOTIFY_KEYSPACE_EVENTS: Setting<Class> =
        Setting::classes("notify-keyspace-events", slot(5), "");
    pub const PROTECTED_MODE: Setting<bool> =
        Setting::yes_no("protected-mode", shell::PROTECTED_MODE, "yes");
    pub const PROTO_MAX_BULK_LEN: Setting<u64> =
        Setting::bytes("proto-max-bulk-len", slot(9), (1 << 20, MEMORY_MAX), "536870912");
    pub const RDB_KEY_SAVE_DELAY: Setting<i64> =
        Setting::integer("rdb-key-save-delay", slot(107), (INT_MIN, INT_MAX), "0").flags(HIDDEN);
    pub const RDB_SAVE_INCREMENTAL_FSYNC: Setting<bool> =
        Setting::yes_no("rdb-save-incremental-fsync", slot(108), "yes");
    pub const RDBCHECKSUM: Setting<bool> =
        Setting::yes_no("rdbchecksum", slot(109), "yes").flags(IMMUTABLE);
    pub const RDBCOMPRESSION: Setting<bool> = Setting::yes_no("rdbcompression", slot(110), "yes");
    pub const REPL_BACKLOG_SIZE: Setting<u64> =
        Setting::bytes("repl-backlog-size", slot(26), (1, MEMORY_MAX), "1048576")
            .held_to(16_384, i64::MAX);
    pub const REQUIREPASS: Setting<Text> =
        Setting::text("requirepass", shell::REQUIREPASS, Kind::Secret, "").flags(SECRET);
    pub const SAVE: Setting<Text> = Setting::text("save", slot(131), Kind::Save, "");
    pub const SET_MAX_INTSET_ENTRIES: Setting<u64> =
        Setting::count("set-max-intset-entries", slot(133), (0, i64::MAX), "512");
    pub const SHUTDOWN_ON_SIGINT: Setting<Stop> =
        Setting::stop("shutdown-on-sigint", slot(135), "default");
    pub const SHUTDOWN_ON_SIGTERM: Setting<Stop> =
        Setting::stop("shutdown-on-sigterm", slot(136), "default");
    pub const SLOWLOG_LOG_SLOWER_THAN: Setting<i64> =
        Setting::integer("slowlog-log-slower-than", slot(6), (-1, i64::MAX), "10000");
    pub const SLOWLOG_MAX_LEN: Setting<u64> =
        Setting::count("slowlog-max-len", slot(7), (0, i64::MAX), "128");
    pub const STOP_WRITES_ON_BGSAVE_ERROR: Setting<bool> =
        Setting::yes_no("stop-writes-on-bgsave-error", slot(138), "yes");
    pub const STREAM_NODE_MAX_BYTES: Setting<u64> =
        Setting::bytes("stream-node-max-bytes", slot(139), (0, MEMORY_MAX), "4096");
    pub const STREAM_NODE_MAX_ENTRIES: Setting<u64> =
        Setting::count("stream-node-max-entries", slot(140), (0, i64::MAX), "100");
    pub const TRACKING_TABLE_MAX_KEYS: Setting<u64> =
        Setting::count("tracking-table-max-keys", slot(165), (0, i64::MAX), "1000000");
    pub const ZSET_MAX_LISTPACK_ENTRIES: Setting<u64> =
        Setting::count("zset-max-listpack-entries", slot(168), (0, i64::MAX), "128")
            .alias("zset-max-ziplist-entries");
    pub const ZSET_MAX_LISTPACK_VALUE: Setting<u64> =
        Setting::bytes("zset-max-listpack-value", slot(169), (0, MEMORY_MAX), "64")
            .alias("zset-max-ziplist-value");
}
