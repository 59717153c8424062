//! Scripts and libraries of functions: their sources, and what is told of one that runs for long.
//! What a machine makes of them is logic's own, and made again from here.

use abi_stable::StableAbi;
use core::sync::atomic::{AtomicU32, AtomicU64};

use crate::container::{RawBytes, RawTable};

/// The sources of scripts and libraries.
#[repr(C)]
#[derive(StableAbi)]
pub struct Scripts {
    /// Items are [`CachedScript`].
    pub cached: RawTable,
    /// Items are [`FunctionLibrary`].
    pub libraries: RawTable,
    /// Bytes of arena memory that the scripts take.
    pub cached_bytes: u64,
    /// Bytes of arena memory that the libraries take.
    pub library_bytes: u64,
    /// Functions in all libraries.
    pub functions: u64,
    /// The number that the last library has got.
    pub last_number: u64,
    /// What is told of the script that runs for long; only while [`ScriptState::slow`] says that
    /// one does.
    pub slow: SlowScript,
}

/// A script that clients may run by its digest. Followed by the digest, as 40 hexadecimal digits.
#[repr(C)]
#[derive(StableAbi)]
pub struct CachedScript {
    /// Its source.
    pub source: RawBytes,
    /// Bytes of digest that follow this struct.
    pub name_len: u32,
    /// Zero.
    pub reserved0: u32,
    /// Place for what is learnt of it: how often it has run, and how often it has touched keys that
    /// its call did not name. Zero until a schema level gives it a meaning.
    pub record: [AtomicU64; 4],
}

/// A library of functions. Followed by `name_len` bytes of name.
#[repr(C)]
#[derive(StableAbi)]
pub struct FunctionLibrary {
    /// Its source, the line that names it included.
    pub source: RawBytes,
    /// What it has registered. For each function `u32` flags (bits of [`function_flag`]), `u32`
    /// length and bytes of its name, `u32` length and bytes of its description, the length being
    /// all ones if there is none.
    pub functions: RawBytes,
    /// Functions in it.
    pub count: u32,
    /// Bytes of name that follow this struct.
    pub name_len: u32,
    /// Which of all libraries there ever were it is: one that takes the place of another has
    /// another number.
    pub number: u64,
}

/// Bits of a function's flags.
pub mod function_flag {
    /// `no-writes`
    pub const NO_WRITES: u32 = 1 << 0;
    /// `allow-oom`
    pub const ALLOW_OOM: u32 = 1 << 1;
    /// `allow-stale`
    pub const ALLOW_STALE: u32 = 1 << 2;
    /// `no-cluster`
    pub const NO_CLUSTER: u32 = 1 << 3;
    /// `allow-cross-slot-keys`
    pub const ALLOW_CROSS_SLOT_KEYS: u32 = 1 << 4;
}

/// A script that runs for long.
#[repr(C)]
#[derive(StableAbi)]
pub struct SlowScript {
    /// The function's name, or the script's digest.
    pub name: RawBytes,
    /// The command that runs it, as the slow log keeps commands.
    pub command: RawBytes,
}

/// What is to be seen of scripts without a lock. It is of the script that holds every shard: there is
/// one at a time.
#[repr(C)]
#[derive(StableAbi)]
pub struct ScriptState {
    /// How often all scripts were forgotten: a machine that knows of fewer knows scripts that are
    /// no longer there.
    pub flushes: AtomicU64,
    /// How often libraries were changed.
    pub changes: AtomicU64,
    /// When the one that runs began, in monotonic nanoseconds.
    pub since_ns: AtomicU64,
    /// Of which kind the one is that runs: see [`running`].
    pub running: AtomicU32,
    /// As `running`, once it has run for so long that other clients are told.
    pub slow: AtomicU32,
    /// 1 when somebody has asked for its end.
    pub is_to_end: AtomicU32,
    /// 1 when it has written: then it cannot be ended any more.
    pub has_written: AtomicU32,
}

/// Values of [`ScriptState::running`].
pub mod running {
    /// None.
    pub const NONE: u32 = 0;
    /// A script.
    pub const SCRIPT: u32 = 1;
    /// A function.
    pub const FUNCTION: u32 = 2;
}
