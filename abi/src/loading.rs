//! Loading a file of data: how far it is. The file itself is mapped by the shell.
//!
//! Lanes take the file piece by piece: each finds, under a lock, where its piece ends and the next
//! begins, and then makes keys of it. Between two pieces nothing is kept but what stands here, so
//! that each may be taken by another release than the one before.

use abi_stable::StableAbi;
use core::sync::atomic::{AtomicU32, AtomicU64};

use crate::container::RawBytes;
use crate::lock::Locked;

/// Values of [`Loading::stage`].
pub mod stage {
    /// Nothing is loaded.
    pub const NONE: u32 = 0;
    /// A file is: commands that need the data are refused.
    pub const LOADING: u32 = 1;
}

/// How far the loading of a file is; or how the last one went.
#[repr(C)]
#[derive(StableAbi)]
pub struct Loading {
    /// One of [`stage`].
    pub stage: AtomicU32,
    /// What is done with keys that are there already: 1: they are replaced.
    pub replaces: AtomicU32,
    /// Lanes that are looking at the file: as long as there are any it stays mapped.
    pub readers: AtomicU32,
    /// 1: when this file is loaded others follow, and commands are refused until those are.
    pub is_part: AtomicU32,
    /// When it began, Unix ms.
    pub started_ms: AtomicU64,
    /// When it began, in monotonic nanoseconds.
    pub started_ns: AtomicU64,
    /// Bytes of the file.
    pub total_bytes: AtomicU64,
    /// Bytes of it of which keys have been made.
    pub loaded_bytes: AtomicU64,
    /// Bytes of memory that the server used which wrote it, as the file tells.
    pub used_bytes: AtomicU64,
    /// Keys made.
    pub keys_loaded: AtomicU64,
    /// Keys left out because their time had come.
    pub keys_expired: AtomicU64,
    /// Keys left out because there was nothing in them.
    pub keys_empty: AtomicU64,
    /// The checksums of all pieces so far, each as of a file that has nothing before it and zeros
    /// behind it, combined.
    pub checksum: AtomicU64,
    /// Where the next piece begins.
    pub next: Locked<NextPiece>,
    /// What is wrong with the file.
    pub fault: Locked<LoadFault>,
    /// The path of the file, as it is told, if it is one of several; else empty.
    pub path: Locked<RawBytes>,
    /// Zero.
    pub reserved: [u64; 4],
}

/// Where a file goes on.
#[repr(C)]
#[derive(StableAbi)]
pub struct NextPiece {
    /// Address of the mapped file; 0: there is none. Not in the arena: it is the process's.
    pub file: u64,
    /// Bytes of it.
    pub len: u64,
    /// Bytes before the next piece.
    pub at: u64,
    /// The database that the next key is in.
    pub db: u64,
    /// The version of the file's format.
    pub version: u32,
    /// 1: the records are at their end, or no piece is taken any more.
    pub is_over: u32,
    /// Where the records end, if they are at their end; else 0.
    pub end: u64,
}

/// What is wrong with a file: the first thing that is.
#[repr(C)]
#[derive(StableAbi)]
pub struct LoadFault {
    /// Bytes of the file before it.
    pub at: u64,
    /// What it is; empty: nothing is.
    pub text: RawBytes,
}
