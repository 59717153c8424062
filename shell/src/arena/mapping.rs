//! Making, checking and mapping the memory that is the arena.

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{FlockOperation, MemfdFlags, OFlags, SealFlags};
use rustix::io::Errno;
use rustix::mm::{Advice, MapFlags, ProtFlags};
use std::mem::offset_of;
use std::path::{Path, PathBuf};

use abi::arena::{ARENA_BASE, ARENA_CAPACITY_MAX, ArenaHeader};
use abi::version::{ABI_VERSION, ARENA_MAGIC, LAYOUT_FINGERPRINT};

use super::classes::PAGE_BYTES;
use super::layout::{CAPACITY_MIN, FINGERPRINT_OFFSET, STATE_FINGERPRINT};
use super::space::{self, START_BYTES};

const MIB_AT_START: u64 = START_BYTES >> 20;

/// Why an arena could not be made or mapped.
#[derive(Debug, thiserror::Error)]
pub enum ArenaError {
    #[error("this process has an arena already; a process has one for its whole life")]
    Exists,
    #[error("an arena of {bytes} bytes is not possible: ask for {min} to {max} bytes", min = CAPACITY_MIN, max = ARENA_CAPACITY_MAX)]
    Capacity { bytes: u64 },
    #[error("no memory file for the arena: {error}; a kernel of 3.17 or later is needed")]
    Memfd { error: Errno },
    #[error("arena file {}: {error}; check the path and its permissions", path.display())]
    Open { path: PathBuf, error: Errno },
    #[error("arena file {} is in use by another server; stop it or name another file", path.display())]
    InUse { path: PathBuf },
    #[error("{} holds something other than an arena and was left as it is; name another file", path.display())]
    NotOurs { path: PathBuf },
    #[error(
        "the arena's file cannot be made {bytes} bytes long: {error}; lower the capacity or use a file system with sparse files"
    )]
    Resize { bytes: u64, error: Errno },
    #[error(
        "no space for arena file {}: {error}; {MIB_AT_START} MiB are needed to start and more for the keys: free space, or name a file on another disk, of a file system that can reserve space (ext4, xfs, btrfs, tmpfs)", path.display()
    )]
    Space { path: PathBuf, error: Errno },
    #[error(
        "{bytes} bytes cannot be mapped at {ARENA_BASE:#x}: {error}; raise the limit on address space (ulimit -v) or lower the capacity"
    )]
    Map { bytes: u64, error: Errno },
    #[error("the address {ARENA_BASE:#x}, where every arena lies, is taken in this process")]
    Taken,
    #[error("the arena's file cannot be read: {error}")]
    Read { error: Errno },
    #[error("this is no arena: it begins with {found:#018x}")]
    Magic { found: u64 },
    #[error(
        "the arena was made for ABI version {found}, this shell has {ABI_VERSION}; use the shell that made it"
    )]
    AbiVersion { found: u32 },
    #[error(
        "the arena's layout {found:#018x} is not this shell's {expected:#018x}; use the shell that made it"
    )]
    Layout { found: u64, expected: u64 },
    #[error("the arena says it has {header} bytes but its file has {file}; it is damaged")]
    Size { header: u64, file: u64 },
    #[error(
        "{path} was not left whole, and the machine was started since: what is in it may not be what was written; load a backup or the append-only log, and remove the file"
    )]
    OtherBoot { path: PathBuf },
    #[error("the arena could not be written to its disk: {error}; see to the disk")]
    Write { error: Errno },
    #[error("no random seed from the system: {error}")]
    Random { error: Errno },
    #[error(
        "the thread that hands memory back could not be started: {error}; raise the limit on threads"
    )]
    Thread { error: std::io::Error },
}

/// Opens an anonymous memory file of fixed size.
pub fn open_memfd(bytes: u64) -> Result<OwnedFd, ArenaError> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let fd =
        rustix::fs::memfd_create("arena", flags).map_err(|error| ArenaError::Memfd { error })?;
    resize(&fd, bytes)?;
    // Whoever is given the descriptor cannot cut memory away from under this process.
    let seals = SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
    rustix::fs::fcntl_add_seals(&fd, seals).map_err(|error| ArenaError::Memfd { error })?;
    Ok(fd)
}

/// Opens a file as an empty arena of `bytes`. An arena it held before is dropped, unless a process
/// still uses it; any other content is left alone.
pub fn open_file(path: &Path, bytes: u64) -> Result<OwnedFd, ArenaError> {
    let at = |error| ArenaError::Open { path: path.into(), error };
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC;
    let fd = rustix::fs::open(path, flags, 0o600.into()).map_err(at)?;
    match rustix::fs::flock(&fd, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => return Err(ArenaError::InUse { path: path.into() }),
        Err(error) => return Err(at(error)),
    }
    let old_bytes = rustix::fs::fstat(&fd).map_err(at)?.st_size;
    if old_bytes > 0 && !matches!(read_word(&fd, 0), Ok(0 | ARENA_MAGIC)) {
        return Err(ArenaError::NotOurs { path: path.into() });
    }
    rustix::fs::ftruncate(&fd, 0).map_err(at)?;
    resize(&fd, bytes)?;
    space::reserve_start(&fd, bytes / PAGE_BYTES)
        .map_err(|error| ArenaError::Space { path: path.into(), error })?;
    Ok(fd)
}

/// Opens a file with an arena that a server has left, and that no process uses. None: there is nothing
/// to go on with, not even the roots of one.
pub fn open_left(path: &Path) -> Result<Option<OwnedFd>, ArenaError> {
    let at = |error| ArenaError::Open { path: path.into(), error };
    let fd = match rustix::fs::open(path, OFlags::RDWR | OFlags::CLOEXEC, 0o600.into()) {
        Ok(fd) => fd,
        Err(Errno::NOENT) => return Ok(None),
        Err(error) => return Err(at(error)),
    };
    match rustix::fs::flock(&fd, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => return Err(ArenaError::InUse { path: path.into() }),
        Err(error) => return Err(at(error)),
    }
    let is_made = read_word(&fd, 0)? == ARENA_MAGIC
        && read_word(&fd, offset_of!(ArenaHeader, effects) as u64)? != 0;
    Ok(is_made.then_some(fd))
}

/// Whether an arena was left whole, and in which boot of the machine it was last begun to be used.
pub fn closed_and_boot(fd: impl AsFd) -> Result<(bool, [u64; 2]), ArenaError> {
    let word = |offset: usize| read_word(&fd, offset as u64);
    let boot = offset_of!(ArenaHeader, boot);
    Ok((word(offset_of!(ArenaHeader, closed))? == 1, [word(boot)?, word(boot + 8)?]))
}

/// Checks that a file is an arena this shell can use; returns its size in bytes.
///
/// Reads the file and maps nothing: what is not an arena is never believed.
pub fn validate(fd: impl AsFd) -> Result<u64, ArenaError> {
    let stat = rustix::fs::fstat(&fd).map_err(|error| ArenaError::Read { error })?;
    let file = stat.st_size as u64;
    if file < CAPACITY_MIN {
        return Err(ArenaError::Capacity { bytes: file });
    }
    let magic = read_word(&fd, offset_of!(ArenaHeader, magic) as u64)?;
    if magic != ARENA_MAGIC {
        return Err(ArenaError::Magic { found: magic });
    }
    let versions = read_word(&fd, offset_of!(ArenaHeader, abi_version) as u64)?;
    if versions as u32 != ABI_VERSION {
        return Err(ArenaError::AbiVersion { found: versions as u32 });
    }
    check_layout(u64::from((versions >> 32) as u32), size_of::<ArenaHeader>() as u64)?;
    let layout = read_word(&fd, offset_of!(ArenaHeader, layout_fingerprint) as u64)?;
    check_layout(layout, LAYOUT_FINGERPRINT)?;
    check_layout(read_word(&fd, FINGERPRINT_OFFSET)?, STATE_FINGERPRINT)?;
    let header = read_word(&fd, offset_of!(ArenaHeader, capacity_bytes) as u64)?;
    if header != file || check_capacity(header).is_err() {
        return Err(ArenaError::Size { header, file });
    }
    Ok(header)
}

/// Whether an arena may have this size.
pub fn check_capacity(bytes: u64) -> Result<(), ArenaError> {
    let possible = (CAPACITY_MIN..=ARENA_CAPACITY_MAX).contains(&bytes);
    match possible && bytes.is_multiple_of(PAGE_BYTES) {
        true => Ok(()),
        false => Err(ArenaError::Capacity { bytes }),
    }
}

/// Opens a file to look at the arena in it, which no server uses. None can begin to meanwhile.
pub fn open_unused(path: &Path) -> Result<OwnedFd, ArenaError> {
    let at = |error| ArenaError::Open { path: path.into(), error };
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    let fd = rustix::fs::open(path, flags, 0o600.into()).map_err(at)?;
    match rustix::fs::flock(&fd, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(fd),
        Err(Errno::WOULDBLOCK) => Err(ArenaError::InUse { path: path.into() }),
        Err(error) => Err(at(error)),
    }
}

/// Maps the file at the one address of every arena.
pub fn map(fd: impl AsFd, bytes: u64) -> Result<(), ArenaError> {
    map_as(fd, bytes, MapFlags::SHARED)
}

/// As [`map`], so that what is written there does not come to be in the file.
pub fn map_privately(fd: impl AsFd, bytes: u64) -> Result<(), ArenaError> {
    map_as(fd, bytes, MapFlags::PRIVATE)
}

fn map_as(fd: impl AsFd, bytes: u64, how: MapFlags) -> Result<(), ArenaError> {
    let base = ARENA_BASE as *mut _;
    let prot = ProtFlags::READ | ProtFlags::WRITE;
    let flags = how | MapFlags::FIXED_NOREPLACE | MapFlags::NORESERVE;
    // SAFETY: the flags let the kernel refuse rather than replace what is mapped there.
    let mapped = unsafe { rustix::mm::mmap(base, bytes as usize, prot, flags, fd, 0) };
    match mapped {
        Ok(address) if address == base => {
            keep_out_of_core_dumps(bytes);
            Ok(())
        }
        Ok(elsewhere) => {
            // A kernel before 4.17 takes the address for a wish.
            // SAFETY: nobody has seen this mapping yet.
            let _ = unsafe { rustix::mm::munmap(elsewhere, bytes as usize) };
            Err(ArenaError::Taken)
        }
        Err(Errno::EXIST) => Err(ArenaError::Taken),
        Err(error) => Err(ArenaError::Map { bytes, error }),
    }
}

/// A core dump would fault in every page of the address space, used or not.
fn keep_out_of_core_dumps(bytes: u64) {
    // SAFETY: the range has just been mapped; the advice changes no content.
    let advised =
        unsafe { rustix::mm::madvise(ARENA_BASE as *mut _, bytes as usize, Advice::LinuxDontDump) };
    if let Err(error) = advised {
        tracing::warn!(%error, "the arena stays part of core dumps, which can grow very large");
    }
}

fn check_layout(found: u64, expected: u64) -> Result<(), ArenaError> {
    if found == expected { Ok(()) } else { Err(ArenaError::Layout { found, expected }) }
}

fn resize(fd: &OwnedFd, bytes: u64) -> Result<(), ArenaError> {
    rustix::fs::ftruncate(fd, bytes).map_err(|error| ArenaError::Resize { bytes, error })
}

/// The `u64` at an offset of a file; missing bytes read as zero.
fn read_word(fd: impl AsFd, offset: u64) -> Result<u64, ArenaError> {
    let mut word = [0; 8];
    rustix::io::pread(fd, &mut word, offset).map_err(|error| ArenaError::Read { error })?;
    Ok(u64::from_le_bytes(word))
}
