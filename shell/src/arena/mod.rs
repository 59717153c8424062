//! The arena: all state, in one shared mapping at one fixed address, and its allocator.
//!
//! - [`mapping`]: make, check and map the memory
//! - [`layout`]: what lies where
//! - [`classes`]: sizes to classes; pure
//! - [`pages`], [`runs`]: descriptors, and runs of pages over them; pure
//! - [`central`]: pages of small blocks, shared by the lanes
//! - [`lane`]: a lane's heap, the fast path
//! - [`large`]: blocks of whole pages
//! - [`compaction`]: pages with few blocks in use are emptied, so that their memory can go back
//! - [`poison`]: what AddressSanitizer is told, in the sanitised build
//! - [`closing`]: leaving it whole, for whoever is next
//! - [`check`]: whether all of it is as it should be
//! - [`space`]: space on disk, if the arena is a file
//! - [`scavenger`]: the thread that looks after the memory behind: free memory back to the system
//! - [`huge`]: huge pages
//! - [`roots`]: the root structs of what is stored; [`look`]: for those who only look at them
//!
//! Invariant: no address outside the arena and nothing that belongs to a process is stored in it.
//!
//! Invariant: locks are taken in the order shared heap, class, runs.

pub mod calls;
pub mod central;
pub mod check;
pub mod classes;
pub mod closing;
pub mod compaction;
pub mod counted;
pub mod futex;
pub mod huge;
pub mod lane;
pub mod large;
pub mod layout;
pub mod look;
pub mod mapping;
pub mod pages;
mod poison;
pub mod roots;
pub mod runs;
pub mod scavenger;
mod space;
mod threads;

use abi::arena::{ARENA_CAPACITY_MAX, ArenaHeader};
use abi::ptr::Ptr;
use abi::version::{ABI_VERSION, ARENA_MAGIC, LAYOUT_FINGERPRINT};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::process::{Resource, getrlimit};
use rustix::rand::GetRandomFlags;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock};

pub use mapping::ArenaError;
pub use threads::{
    alloc, bind_thread, enter, flush, free, lane as this_lane, realloc, resize, trim,
};

const CAPACITY_DEFAULT: u64 = 1 << 40;
const CAPACITY_TRIED_MIN: u64 = 1 << 30;
/// Address space that is left to the rest of the process where it is limited.
const ADDRESS_SPACE_LEFT: u64 = 1 << 30;
/// Least limit of address space under which a process gets an arena and has enough left.
pub const ADDRESS_SPACE_MIN: u64 = CAPACITY_TRIED_MIN + ADDRESS_SPACE_LEFT;
/// Looks at the counters before a moment without change is given up on.
const COUNT_ATTEMPTS: usize = 100;

static ARENA: OnceLock<Arena> = OnceLock::new();
static CREATION: Mutex<()> = Mutex::new(());
static IS_MAPPED: AtomicBool = AtomicBool::new(false);

/// What an arena is made of.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Bytes of address space, a multiple of 64 KiB. Without it 1 TiB, or as much of it as the
    /// process may map.
    pub capacity_bytes: Option<u64>,
    /// The file to hold it; without one it is anonymous memory.
    pub file: Option<PathBuf>,
}

/// The arena has no memory for what was asked.
#[derive(Debug, PartialEq, Eq)]
pub struct NoMemory;

/// The arena of this process.
#[derive(Debug)]
pub struct Arena {
    fd: OwnedFd,
    capacity_bytes: u64,
    is_file: bool,
}

impl Arena {
    fn of(fd: OwnedFd, capacity_bytes: u64) -> Self {
        Self { is_file: space::is_file(&fd), fd, capacity_bytes }
    }
}

impl Arena {
    /// The header, for the shell to set roots in before any other thread looks.
    pub fn header(&self) -> *mut ArenaHeader {
        layout::header()
    }

    /// Bytes of address space from `ARENA_BASE`.
    pub fn capacity_bytes(&self) -> u64 {
        self.capacity_bytes
    }

    /// The memory, to be mapped by another process with [`attach`].
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Bytes of the arena that are backed by memory (or, for a file, by blocks on disk).
    pub fn resident_bytes(&self) -> io::Result<u64> {
        Ok(rustix::fs::fstat(&self.fd)?.st_blocks as u64 * 512)
    }

    /// Hands all free pages back to the system now, but for blocks that lanes keep (see [`trim`]).
    /// Returns how many bytes that may have freed.
    ///
    /// A thread does this by itself, except for some slack, when much is free.
    pub fn release_free_memory(&self) -> io::Result<u64> {
        threads::flush_shared();
        Ok(scavenger::release(self, 0)? * classes::PAGE_BYTES)
    }
}

/// Makes this process's arena: empty, but for its header.
///
/// # Errors
/// See [`ArenaError`]; nothing stays mapped.
pub fn create(options: &Options) -> Result<&'static Arena, ArenaError> {
    install(|| {
        let (fd, capacity_bytes) = match options.capacity_bytes {
            Some(bytes) => (open_and_map(options, bytes)?, bytes),
            None => open_largest(options)?,
        };
        write_header(capacity_bytes)?;
        Ok(Arena::of(fd, capacity_bytes))
    })
}

/// Maps an arena that another process made.
///
/// Only one process at a time may allocate in it: the other has ended, or has handed it over.
///
/// # Errors
/// See [`ArenaError`]: among others when it was made for another ABI version or layout. It is
/// checked before it is mapped.
pub fn attach(fd: OwnedFd) -> Result<&'static Arena, ArenaError> {
    install(|| {
        let capacity_bytes = mapping::validate(&fd)?;
        mapping::map(&fd, capacity_bytes)?;
        Ok(Arena::of(fd, capacity_bytes))
    })
}

/// Maps an arena that another server has left, which has ended. Its allocator is not to be used before
/// it is made anew, see [`check::rebuild`].
///
/// # Errors
/// As [`attach`].
pub fn adopt(fd: OwnedFd) -> Result<&'static Arena, ArenaError> {
    make(|| {
        let capacity_bytes = mapping::validate(&fd)?;
        mapping::map(&fd, capacity_bytes)?;
        Ok(Arena::of(fd, capacity_bytes))
    })
}

/// Starts the thread that looks after the memory behind an arena that was adopted.
///
/// # Errors
/// The system refused it.
pub fn look_after(arena: &'static Arena) -> Result<(), ArenaError> {
    scavenger::spawn(arena).map_err(|error| ArenaError::Thread { error })
}

/// Maps an arena that lies in a file and that no process uses, to look at it: what is written to it
/// here stays here.
///
/// # Errors
/// See [`ArenaError`]: among others when a server uses it.
pub fn look_at(path: &Path) -> Result<(), ArenaError> {
    let _one_at_a_time = CREATION.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if ARENA.get().is_some() || is_mapped() {
        return Err(ArenaError::Exists);
    }
    let fd = mapping::open_unused(path)?;
    let capacity_bytes = mapping::validate(&fd)?;
    mapping::map_privately(&fd, capacity_bytes)?;
    IS_MAPPED.store(true, Ordering::Release);
    Ok(())
}

/// The arena of this process, once there is one.
pub fn global() -> Option<&'static Arena> {
    ARENA.get()
}

/// Allocates zeroed memory for a `T`. `None` when the arena is full.
///
/// Whether zero is a valid `T` is the caller's to know; all root structs of `abi` are.
pub fn alloc_zeroed<T>() -> Option<Ptr<T>> {
    const { assert!(align_of::<T>() <= 64 && size_of::<T>() > 0) };
    let size = (size_of::<T>() as u64).next_multiple_of(align_of::<T>().max(8) as u64);
    let address = alloc(size);
    if address == 0 {
        return None;
    }
    // SAFETY: the allocation has at least `size` bytes and is nobody else's.
    unsafe { std::ptr::write_bytes(address as *mut u8, 0, size as usize) };
    Some(Ptr::new(address))
}

/// Bytes in use in the arena, each allocation rounded to what it takes.
///
/// Exact at some moment during the call: the counters are read until nothing has changed between
/// two readings. Only if that fails a hundred times is the last reading given.
pub fn used_bytes() -> u64 {
    let (freed, allocated) = settled(sum_counters);
    allocated.saturating_sub(freed)
}

/// Reads until two readings in a row are equal.
fn settled(mut read: impl FnMut() -> (u64, u64)) -> (u64, u64) {
    let mut last = read();
    for _ in 0..COUNT_ATTEMPTS {
        let again = read();
        if again == last {
            break;
        }
        last = again;
    }
    last
}

/// Sums of bytes ever freed and ever allocated. Each counter only grows, so two equal sums mean
/// that no counter moved in between.
fn sum_counters() -> (u64, u64) {
    if !is_mapped() {
        return (0, 0);
    }
    // SAFETY: an arena is mapped.
    let lanes = unsafe { layout::state() }.heaps_used.load(Ordering::Acquire);
    (0..lanes).chain([layout::SHARED_HEAP]).fold((0, 0), |(freed, allocated), number| {
        // SAFETY: as above.
        let (f, a) = unsafe { layout::heap(number) }.totals();
        (freed + f, allocated + a)
    })
}

fn is_mapped() -> bool {
    IS_MAPPED.load(Ordering::Acquire)
}

fn install(made: impl FnOnce() -> Result<Arena, ArenaError>) -> Result<&'static Arena, ArenaError> {
    let arena = make(made)?;
    look_after(arena)?;
    Ok(arena)
}

fn make(make: impl FnOnce() -> Result<Arena, ArenaError>) -> Result<&'static Arena, ArenaError> {
    let _one_at_a_time = CREATION.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    if ARENA.get().is_some() {
        return Err(ArenaError::Exists);
    }
    let made = make()?;
    let arena = ARENA.get_or_init(|| made);
    IS_MAPPED.store(true, Ordering::Release);
    Ok(arena)
}

fn open_and_map(options: &Options, bytes: u64) -> Result<OwnedFd, ArenaError> {
    mapping::check_capacity(bytes)?;
    let fd = match &options.file {
        Some(path) => mapping::open_file(path, bytes)?,
        None => mapping::open_memfd(bytes)?,
    };
    mapping::map(&fd, bytes)?;
    Ok(fd)
}

/// The default capacity, or the largest half, quarter … of it that the process may have.
fn open_largest(options: &Options) -> Result<(OwnedFd, u64), ArenaError> {
    let mut bytes = CAPACITY_DEFAULT.min(ARENA_CAPACITY_MAX);
    let limit = getrlimit(Resource::As).current.unwrap_or(u64::MAX);
    while bytes > CAPACITY_TRIED_MIN && bytes + ADDRESS_SPACE_LEFT > limit {
        bytes /= 2;
    }
    loop {
        match open_and_map(options, bytes) {
            Ok(fd) => return Ok((fd, bytes)),
            Err(ArenaError::Map { error: Errno::NOMEM, .. } | ArenaError::Resize { .. })
                if bytes > CAPACITY_TRIED_MIN =>
            {
                bytes /= 2;
            }
            Err(error) => return Err(error),
        }
    }
}

/// Fills in the header of a freshly mapped, zeroed arena; the magic last.
fn write_header(capacity_bytes: u64) -> Result<(), ArenaError> {
    let mut seed = [0; 16];
    rustix::rand::getrandom(&mut seed, GetRandomFlags::empty())
        .map_err(|error| ArenaError::Random { error })?;
    let words = seed.as_chunks::<8>().0;
    // SAFETY: the arena has just been mapped, is zeroed and known to this thread alone.
    unsafe {
        layout::init_state(capacity_bytes >> classes::PAGE_SHIFT);
        let header = layout::header();
        (*header).abi_version = ABI_VERSION;
        (*header).header_bytes = size_of::<ArenaHeader>() as u32;
        (*header).layout_fingerprint = LAYOUT_FINGERPRINT;
        (*header).capacity_bytes = capacity_bytes;
        (*header).hash_seed = [u64::from_le_bytes(words[0]), u64::from_le_bytes(words[1])];
        std::sync::atomic::fence(Ordering::Release);
        (*header).magic = ARENA_MAGIC;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_read_until_nothing_moved_between_two_readings() {
        // A block allocated on a lane already read and freed on one read later.
        let mut readings = [(96, 0), (96, 96), (96, 96), (0, 0)].into_iter();
        assert_eq!(settled(|| readings.next().unwrap()), (96, 96));
    }

    #[test]
    fn counters_that_never_rest_are_given_up_on() {
        let mut readings = (0..).map(|n| (n, n + 8));
        let (freed, allocated) = settled(|| readings.next().unwrap());
        assert_eq!(allocated - freed, 8);
    }
}
