//! Settings: where their values are kept. What they mean, and which values are allowed, is
//! logic's to say.

use abi_stable::StableAbi;
use core::sync::atomic::{AtomicI64, AtomicU64};

use crate::container::RawBytes;
use crate::lock::Locked;

/// Most settings.
pub const CONFIG_SLOTS: usize = 320;

/// All settings: a number each (also for yes/no and for choices), and for some a text.
///
/// Which setting has which place in the two arrays is given by its id and never changes.
#[repr(C)]
#[derive(StableAbi)]
pub struct ConfigStore {
    /// Rises with every change, so that a reader can keep what it derived from a text.
    pub epoch: AtomicU64,
    /// The numbers.
    pub numbers: [AtomicI64; CONFIG_SLOTS],
    /// The texts.
    pub texts: Locked<[RawBytes; CONFIG_SLOTS]>,
}

/// Ids of the settings that the shell itself reads, or tells. Append-only.
pub mod id {
    /// TCP port; 0: none.
    pub const PORT: u32 = 0;
    /// Addresses to listen on, separated by spaces.
    pub const BIND: u32 = 1;
    /// Path of the Unix socket.
    pub const UNIXSOCKET: u32 = 2;
    /// Permissions of the Unix socket.
    pub const UNIXSOCKETPERM: u32 = 3;
    /// Most clients.
    pub const MAXCLIENTS: u32 = 4;
    /// Seconds after which an idle client is closed; 0: never.
    pub const TIMEOUT: u32 = 5;
    /// Seconds between keepalive probes; 0: none.
    pub const TCP_KEEPALIVE: u32 = 6;
    /// Length of the queue of connections not yet accepted.
    pub const TCP_BACKLOG: u32 = 7;
    /// Ticks a second.
    pub const HZ: u32 = 8;
    /// Most bytes of input of one client.
    pub const CLIENT_QUERY_BUFFER_LIMIT: u32 = 9;
    /// Databases.
    pub const DATABASES: u32 = 10;
    /// Hard output limit of normal clients in bytes; 0: none.
    pub const OUTPUT_NORMAL_HARD: u32 = 11;
    /// Soft output limit of normal clients in bytes; 0: none.
    pub const OUTPUT_NORMAL_SOFT: u32 = 12;
    /// Seconds for which normal clients may be above the soft limit.
    pub const OUTPUT_NORMAL_SECONDS: u32 = 13;
    /// Hard output limit of subscribers in bytes; 0: none.
    pub const OUTPUT_PUBSUB_HARD: u32 = 14;
    /// Soft output limit of subscribers in bytes; 0: none.
    pub const OUTPUT_PUBSUB_SOFT: u32 = 15;
    /// Seconds for which subscribers may be above the soft limit.
    pub const OUTPUT_PUBSUB_SECONDS: u32 = 16;
    /// `debug`, `verbose`, `notice` or `warning`, as 0 to 3.
    pub const LOGLEVEL: u32 = 17;
    /// Working directory.
    pub const DIR: u32 = 18;
    /// Seconds a stop waits for output to drain.
    pub const SHUTDOWN_TIMEOUT: u32 = 19;
    /// Path of the log file; empty: stderr.
    pub const LOGFILE: u32 = 20;
    /// Whether clients from other machines are refused while no password is set.
    pub const PROTECTED_MODE: u32 = 21;
    /// Password of the default user.
    pub const REQUIREPASS: u32 = 22;
    /// Whether the shell makes huge pages of the arena.
    pub const ARENA_HUGE_PAGES: u32 = 23;
    /// How the process is titled, in `ps`.
    pub const PROC_TITLE_TEMPLATE: u32 = 24;
    /// Whether it is.
    pub const SET_PROC_TITLE: u32 = 25;
    /// How `OOM_SCORE_ADJ_VALUES` is meant: not at all, added to what was before, or in its place.
    pub const OOM_SCORE_ADJ: u32 = 26;
    /// Three scores for the kernel; the first is a server's.
    pub const OOM_SCORE_ADJ_VALUES: u32 = 27;
    /// Folder of the backups that are made by themselves, or without naming one; empty: none.
    pub const BACKUP_DIR: u32 = 28;
    /// When backups are made by themselves, as cron says it, in UTC; empty: never.
    pub const BACKUP_SCHEDULE: u32 = 29;
    /// Backups that are kept in a folder; 0: all.
    pub const BACKUP_KEEP: u32 = 30;
    /// Whether backups are compressed.
    pub const BACKUP_COMPRESS: u32 = 31;
    /// First id of those that logic knows; the shell reads a few of them, which are below.
    pub const LOGIC_FIRST: u32 = 64;
    /// Whether the shell is told of a change.
    pub const fn is_told(id: u32) -> bool {
        id < LOGIC_FIRST || matches!(id, APPENDONLY | APPENDFSYNC)
    }

    /// Bytes above which logic makes room; 0: none.
    pub const MAXMEMORY: u32 = LOGIC_FIRST;
    /// Whether an append-only log that was cut short at its end is loaded up to there.
    pub const AOF_LOAD_TRUNCATED: u32 = LOGIC_FIRST + 45;
    /// Whether the log tells the time between its effects.
    pub const AOF_TIMESTAMP_ENABLED: u32 = LOGIC_FIRST + 47;
    /// The name of the file of data.
    pub const DBFILENAME: u32 = LOGIC_FIRST + 81;
    /// The folder of its files, in the working directory.
    pub const APPENDDIRNAME: u32 = LOGIC_FIRST + 50;
    /// What the names of its files begin with.
    pub const APPENDFILENAME: u32 = LOGIC_FIRST + 51;
    /// When it is synced: each second, before replies are sent, or never, as 0 to 2.
    pub const APPENDFSYNC: u32 = LOGIC_FIRST + 52;
    /// Whether there is a log.
    pub const APPENDONLY: u32 = LOGIC_FIRST + 53;
    /// Whether it is not synced while a snapshot is under way.
    pub const NO_APPENDFSYNC_ON_REWRITE: u32 = LOGIC_FIRST + 100;
}
