//! The function table of the shell: all that logic may ask of its host.

use abi_stable::StableAbi;
use abi_stable::std_types::{RSlice, RStr};
use core::sync::atomic::AtomicU32;

use crate::arena::ArenaHeader;
use crate::capture::Capturing;
use crate::client_ref::ClientRef;
use crate::container::RawBytes;
use crate::effects::Calls;
use crate::job::Job;
use crate::message::Message;
use crate::ptr::Ptr;
use crate::status::Status;

/// Levels for [`Host::log`].
pub mod level {
    /// Something failed.
    pub const ERROR: u32 = 1;
    /// Something is not as it should be.
    pub const WARN: u32 = 2;
    /// Worth knowing once.
    pub const INFO: u32 = 3;
    /// For developers.
    pub const DEBUG: u32 = 4;
}

/// What the process uses, for `INFO` and `MEMORY`.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, Default)]
pub struct ProcessInfo {
    /// Bytes in use in the arena: sum of what was asked for, rounded to size classes.
    pub used_bytes: u64,
    /// Bytes of arena backed by memory.
    pub resident_arena_bytes: u64,
    /// Bytes of the whole process in memory.
    pub rss_bytes: u64,
    /// User CPU time in microseconds.
    pub cpu_user_us: u64,
    /// System CPU time in microseconds.
    pub cpu_system_us: u64,
    /// Bytes of memory of the machine.
    pub machine_bytes: u64,
    /// Process id.
    pub pid: u32,
    /// Workers.
    pub workers: u32,
    /// TCP port, 0 for none.
    pub port: u32,
    /// Open file descriptors the process may have.
    pub descriptors_max: u32,
    /// User CPU time of the calling thread in microseconds.
    pub thread_user_us: u64,
    /// System CPU time of the calling thread in microseconds.
    pub thread_system_us: u64,
    /// Bytes of arena in huge pages.
    pub huge_arena_bytes: u64,
    /// Zero.
    pub reserved: [u64; 7],
}

/// What is running, for `INFO` and `SHELL STATUS`.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, Default)]
pub struct GenerationInfo {
    /// Number of the current generation; the first is 1.
    pub generation: u64,
    /// Swaps since the start, those back not included.
    pub upgrades: u64,
    /// Swaps back since the start.
    pub rollbacks: u64,
    /// Upgrades refused or failed since the start.
    pub refused: u64,
    /// Duration of the last commit in microseconds.
    pub last_commit_us: u64,
    /// Loaded libraries, the current one included.
    pub loaded: u32,
    /// Libraries that could not be unloaded.
    pub pinned: u32,
    /// Zero.
    pub reserved: [u64; 8],
}

/// What is to be sent to another server, and what is to come back.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct Exchange<'a> {
    /// Its name or address.
    pub host: RStr<'a>,
    /// Its TCP port.
    pub port: u32,
    /// Lines that come back.
    pub lines: u32,
    /// How long each step may take: to connect, to send some more, to receive some more.
    pub timeout_ms: u64,
    /// What is sent.
    pub request: RSlice<'a, u8>,
    /// Comes back with the outcome.
    pub detail: u64,
}

/// A file that is written in the background, a part at a time.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct Saving<'a> {
    /// Its path, in the server's working directory if it is relative. Until the file is whole it has
    /// another name in the same folder.
    pub path: RStr<'a>,
    /// After so many bytes what has been written is forced to disk; 0: only at the end.
    pub sync_bytes: u64,
    /// Submitted when there is room again for more, and when it is over.
    pub job: Job,
}

/// Values of [`SavingInfo::state`].
pub mod saving {
    /// None is under way, and the last was dropped, or there was none.
    pub const NONE: u32 = 0;
    /// It is being written.
    pub const UNDER_WAY: u32 = 1;
    /// The file is whole, safe on disk, and has its name.
    pub const DONE: u32 = 2;
    /// It failed, and nothing is left of it; what had its name before is as it was.
    pub const FAILED: u32 = 3;
}

/// How far a file has come that is written in the background.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug, Default)]
pub struct SavingInfo {
    /// One of [`saving`].
    pub state: u32,
    /// Zero.
    pub reserved0: u32,
    /// Bytes that have not been written yet.
    pub queued_bytes: u64,
    /// Bytes that have.
    pub written_bytes: u64,
    /// Zero.
    pub reserved: [u64; 5],
}

/// A file in memory, to be read.
#[repr(C)]
#[derive(StableAbi, Clone, Copy, Debug)]
pub struct MappedFile {
    /// Where it is. It is mapped for the process, not in the arena.
    pub address: u64,
    /// Bytes.
    pub len: u64,
}

impl MappedFile {
    /// None.
    pub const NONE: Self = Self { address: 0, len: 0 };
}

/// What the shell offers. New functions go at the end.
///
/// All may be called from any lane. None unwinds. Those that can fail say so by [`Status`] or by a
/// null address.
#[repr(C)]
#[derive(StableAbi)]
#[sabi(kind(Prefix(prefix_ref = HostRef)))]
#[sabi(missing_field(panic))]
pub struct Host {
    /// [`crate::version::ABI_VERSION`] of the shell.
    pub abi_version: extern "C" fn() -> u32,
    /// The arena.
    pub arena: extern "C" fn() -> Ptr<ArenaHeader>,
    /// Allocates at least `size` (above 0) bytes in the arena, aligned to 8, to 64 when `size` is
    /// a multiple of 64. Contents are undefined. Null when the arena is full.
    pub alloc: extern "C" fn(size: u64) -> u64,
    /// Frees an allocation; `size` as it was asked for, or any other of the same `usable`.
    pub free: extern "C" fn(address: u64, size: u64),
    /// Resizes an allocation, moving it if need be; the first `min(old, new)` bytes are kept.
    /// Null when the arena is full; the old allocation is then untouched.
    pub realloc: extern "C" fn(address: u64, old_size: u64, new_size: u64) -> u64,
    /// How many bytes an allocation of `size` really takes.
    pub usable: extern "C" fn(size: u64) -> u64,
    /// Bytes in use in the arena, exact at some moment during the call.
    pub used_bytes: extern "C" fn() -> u64,
    /// Unix time in microseconds.
    pub unix_us: extern "C" fn() -> u64,
    /// Monotonic time in nanoseconds.
    pub monotonic_ns: extern "C" fn() -> u64,
    /// How long a tick of the processor's time stamp counter lasts, in units of 2^-32 ns. Measured
    /// once for the process. 0 where user code has no such counter.
    pub tick_q32_ns: extern "C" fn() -> u64,
    /// Fills `bytes` from the system's random source.
    pub random: extern "C" fn(bytes: *mut u8, len: u64),
    /// Hands a text to the shell's log.
    pub log: extern "C" fn(level: u32, text: RStr<'_>),
    /// Sleeps while the word is `expected`; may return early.
    pub lock_wait: extern "C" fn(word: &AtomicU32, expected: u32),
    /// Wakes one sleeper on the word.
    pub lock_wake: extern "C" fn(word: &AtomicU32),
    /// Sleeps for a time.
    pub sleep_us: extern "C" fn(duration: u64),
    /// Queues a message for a client. Takes over one of the message's references, also when the
    /// client is gone.
    pub post: extern "C" fn(client: ClientRef, message: Ptr<Message>),
    /// Makes every worker look at each of its postponed clients again.
    pub wake_workers: extern "C" fn(),
    /// Queues a job for a background thread. Refused once the server stops: run it yourself.
    pub submit: extern "C" fn(job: &Job) -> Status,
    /// The setting with this id has changed: the shell takes it over, or refuses with a text.
    pub config_changed: extern "C" fn(id: u32, error: &mut RawBytes) -> Status,
    /// Writes the settings to the configuration file: lines `name value…`, already quoted, of
    /// those that differ from their defaults, and after an empty line of others, which are written
    /// where the file has a line for them. `NOT_FOUND` when the server runs without a file.
    pub config_rewrite: extern "C" fn(lines: RStr<'_>, error: &mut RawBytes) -> Status,
    /// Path of the configuration file; empty without one.
    pub config_file: extern "C" fn(out: &mut RawBytes) -> Status,
    /// What the process uses.
    pub process_info: extern "C" fn() -> ProcessInfo,
    /// What is running.
    pub generation_info: extern "C" fn() -> GenerationInfo,
    /// Asks the control thread to carry out an administrative command (`upgrade`, `upgrade-force`
    /// for a library that is serving already, `rollback`, `abort`, `promote`, `finalize`, `status`,
    /// `history`, `backup`) with its argument: the library's path for an upgrade, resolved in the server's
    /// working directory, then options as on the command line, a zero byte between two words; the
    /// number of a generation, or nothing, for a rollback; for a backup how many are kept (0: all), 1
    /// or 0 for whether it is compressed, and its folder, with a space between; otherwise nothing. The outcome comes
    /// as a message [`crate::message::kind::ADMIN_REPLY`] with `detail` as given. `NOT_FOUND`: no such command, or its argument is missing; `REFUSED`: too many are
    /// waiting. Then no message comes.
    pub admin:
        extern "C" fn(client: ClientRef, verb: RStr<'_>, argument: RStr<'_>, detail: u64) -> Status,
    /// Asks the server to stop as on SIGTERM.
    #[sabi(last_prefix_field)]
    pub shutdown: extern "C" fn(now: u32),
    /// Has bytes sent to another server over a connection of their own. What comes back is posted
    /// as a message [`crate::message::kind::EXCHANGE_REPLY`]. `REFUSED`: too many are under way, or
    /// the server stops. Then no message comes.
    pub exchange: extern "C" fn(client: ClientRef, exchange: &Exchange<'_>) -> Status,
    /// Bytes that lie free in the arena between blocks in use, so that they cannot go back to the
    /// system.
    pub scattered_bytes: extern "C" fn() -> u64,
    /// Chooses parts of the arena that are to be emptied, instead of those chosen before: from then
    /// on no allocation comes from there. Returns how many bytes they are. For one lane at a time.
    pub begin_compaction: extern "C" fn() -> u64,
    /// Has no part of the arena emptied any more.
    pub end_compaction: extern "C" fn(),
    /// Whether a live allocation lies in a part that is being emptied, as 1 or 0: then its owner
    /// should make another, which will not, and free this one. Takes a few nanoseconds.
    pub is_to_move: extern "C" fn(address: u64) -> u32,
    /// Reads a whole file, whose path is resolved in the server's working directory. `FAILED`: see
    /// `error`.
    pub read_file:
        extern "C" fn(path: RStr<'_>, out: &mut RawBytes, error: &mut RawBytes) -> Status,
    /// Replaces a file by one with this content, or makes it; the old one stays whole if that fails.
    /// `FAILED`: see `error`.
    pub replace_file:
        extern "C" fn(path: RStr<'_>, content: RSlice<'_, u8>, error: &mut RawBytes) -> Status,
    /// Begins to write a file in the background. `REFUSED`: one is under way. `FAILED`: see `error`.
    pub save_begin: extern "C" fn(saving: &Saving<'_>, error: &mut RawBytes) -> Status,
    /// Appends to the file. All is taken; who appends looks at [`SavingInfo::queued_bytes`] before it
    /// goes on. `REFUSED`: none is being written, or it has failed.
    pub save_append: extern "C" fn(bytes: RSlice<'_, u8>) -> Status,
    /// Ends the file: with `keep` it is to be whole, forced to disk and given its name, without it is
    /// dropped. Does not wait for that.
    pub save_end: extern "C" fn(keep: u32),
    /// How far it has come. Of one that has failed, `error` gets a text that says why.
    pub save_info: extern "C" fn(error: &mut RawBytes) -> SavingInfo,
    /// Maps a whole file, whose path is resolved in the server's working directory, to be read. It
    /// has an address even if it is empty. `NOT_FOUND`: there is none. `FAILED`: see `error`.
    pub map_file:
        extern "C" fn(path: RStr<'_>, out: &mut MappedFile, error: &mut RawBytes) -> Status,
    /// Ends a mapping, at which nobody looks any more.
    pub unmap_file: extern "C" fn(file: MappedFile),
    /// Serves other clients of the calling worker for a moment, from within a command that takes long.
    /// The caller has no lock but those of shards; until this returns logic is called on another lane,
    /// on the same thread, and must not wait for them. Does nothing elsewhere.
    pub serve_others: extern "C" fn(),
    /// As `save_begin`, of a file that is to be the next base of the append-only log, wherever that
    /// lies: the path is how its name ends, `rdb` or, if it is made of commands, `aof`. It is done only
    /// once the log goes on from there.
    pub rewrite_begin: extern "C" fn(saving: &Saving<'_>, error: &mut RawBytes) -> Status,
    /// With every shard locked, and all effects so far in the stream: the base is of this moment, and
    /// what follows in the stream is not in it.
    pub rewrite_from: extern "C" fn(),
    /// As `save_begin`, of a backup, which lies where the shell was asked to put it: the path is left
    /// out. `REFUSED`: nobody waits for one any more.
    pub backup_begin: extern "C" fn(saving: &Saving<'_>, error: &mut RawBytes) -> Status,
    /// With every shard locked, and all effects so far in the stream: the backup is of this moment.
    pub backup_from: extern "C" fn(),
    /// What is to be captured, while [`crate::shared::attention::CAPTURE`] is set. Takes a few
    /// nanoseconds.
    pub capturing: extern "C" fn() -> Capturing,
    /// A command that was chosen has run: what became of capturing it, one of
    /// [`crate::capture::outcome`], how long that took beside the command, in nanoseconds, and the
    /// record, if there is one.
    pub captured: extern "C" fn(outcome: u32, cost_ns: u64, record: RSlice<'_, u8>),
}

impl From<HostRef> for Calls {
    fn from(host: HostRef) -> Self {
        // SAFETY: the contracts are those of this very table.
        unsafe { Calls::new(host.lock_wait(), host.lock_wake(), host.alloc(), host.free()) }
    }
}
