//! What keeper and server tell each other. It lies in memory that both have, and outlives the server.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering::SeqCst};

use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::{AsFd, BorrowedFd, IntoRawFd};
use rustix::mm::{MapFlags, ProtFlags};

use super::verdict::End;

/// How far a server has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It does not serve yet.
    Starting,
    /// It serves.
    Serving,
    /// It has been asked to end.
    Stopping,
}

const STARTING: u32 = 0;
const SERVING: u32 = 1;
const STOPPING: u32 = 2;
/// No descriptor.
const NONE: i32 = -1;

/// See the module.
#[repr(C)]
pub struct Board {
    stage: AtomicU32,
    /// Servers that were started.
    runs: AtomicU32,
    /// The arena's descriptor.
    arena: AtomicI32,
    /// That of the image of the library that serves, and of the one before.
    logic: [AtomicI32; 2],
    /// Tells the keeper that there is something new.
    bell: AtomicI32,
    /// Descriptors that are the keeper's own, the bell included.
    own: [AtomicI32; 2],
    /// How the last server ended.
    last_end: AtomicU32,
    /// How many servers had ended unasked within a minute then, that one included.
    recent: AtomicU32,
    /// Servers that ended unasked.
    crashes: AtomicU32,
}

static BOARD: OnceLock<&'static Board> = OnceLock::new();

/// The board of this process, if it is kept.
pub fn get() -> Option<&'static Board> {
    BOARD.get().copied()
}

impl Board {
    /// Makes the board of this process and of those that it starts. Once.
    ///
    /// # Errors
    /// The system refused the memory or a descriptor.
    pub(super) fn create() -> io::Result<&'static Self> {
        let flags = MapFlags::SHARED;
        let prot = ProtFlags::READ | ProtFlags::WRITE;
        let bytes = size_of::<Self>();
        // SAFETY: the kernel chooses where; nothing is replaced.
        let place =
            unsafe { rustix::mm::mmap_anonymous(std::ptr::null_mut(), bytes, prot, flags)? };
        // SAFETY: so many bytes of zeros are there, which is valid for it, and never unmapped.
        let board: &'static Self = unsafe { &*place.cast::<Self>() };
        for place in board.logic.iter().chain(&board.own).chain([&board.arena]) {
            place.store(NONE, SeqCst);
        }
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?.into_raw_fd();
        board.bell.store(bell, SeqCst);
        board.own[0].store(bell, SeqCst);
        assert!(BOARD.set(board).is_ok(), "a process is kept once");
        Ok(board)
    }

    /// Another server is about to be started.
    pub(super) fn begin_run(&self) {
        self.stage.store(STARTING, SeqCst);
        self.runs.fetch_add(1, SeqCst);
    }

    /// Notes a descriptor of the keeper's own.
    pub(super) fn note_own(&self, fd: RawFd) {
        self.own[1].store(fd, SeqCst);
    }

    /// The descriptor that rings when there is something new.
    pub(super) fn bell(&self) -> BorrowedFd<'static> {
        // SAFETY: opened when the board was made, and never closed.
        unsafe { BorrowedFd::borrow_raw(self.bell.load(SeqCst)) }
    }

    /// How far the server has come.
    pub fn stage(&self) -> Stage {
        match self.stage.load(SeqCst) {
            STARTING => Stage::Starting,
            SERVING => Stage::Serving,
            _ => Stage::Stopping,
        }
    }

    /// Whether the server goes on in the place of another.
    pub fn is_heir(&self) -> bool {
        self.runs.load(SeqCst) > 1
    }

    /// Servers that have ended unasked.
    pub fn crashes(&self) -> u32 {
        self.crashes.load(SeqCst)
    }

    /// Clients are served from now on.
    pub fn serves(&self) {
        self.enter(SERVING);
    }

    /// The server has been asked to end.
    pub fn stops(&self) {
        self.enter(STOPPING);
    }

    fn enter(&self, stage: u32) {
        self.stage.store(stage, SeqCst);
        // It can only fail for being full: then it rings already.
        let _ = rustix::io::write(self.bell(), &1u64.to_ne_bytes());
    }

    /// Notes how a server has ended, unasked, and how many have within a minute.
    pub(super) fn note_end(&self, end: End, recent: usize) {
        self.recent.store(u32::try_from(recent).unwrap_or(u32::MAX), SeqCst);
        self.last_end.store(end.encode(), SeqCst);
        self.crashes.fetch_add(1, SeqCst);
    }

    /// How the server before has ended.
    pub fn last_end(&self) -> End {
        End::decode(self.last_end.load(SeqCst))
    }

    /// Notes the arena's descriptor.
    pub fn note_arena(&self, fd: BorrowedFd<'_>) {
        self.arena.store(rustix::fd::AsRawFd::as_raw_fd(&fd), SeqCst);
    }

    /// The arena of the server before.
    ///
    /// # Safety
    /// Nobody else in this process has it.
    pub unsafe fn take_arena(&self) -> Option<OwnedFd> {
        let fd = self.arena.load(SeqCst);
        // SAFETY: a server has opened it, which has ended without closing it; nobody else has it, as
        // the caller promises.
        (fd != NONE).then(|| unsafe { OwnedFd::from_raw_fd(fd) })
    }

    /// Notes the image of the library that serves from now on.
    pub fn note_logic(&self, image: impl AsFd) {
        let fd = rustix::fd::AsRawFd::as_raw_fd(&image.as_fd());
        let before = self.logic[0].swap(fd, SeqCst);
        if before != fd {
            self.logic[1].store(before, SeqCst);
        }
    }

    /// The descriptors of the images of the library that served last and of the one before, in the order
    /// in which they are to be tried. After a second crash within a minute that is the older first.
    pub fn logic(&self) -> [Option<RawFd>; 2] {
        let [last, before] =
            self.logic.each_ref().map(|fd| Some(fd.load(SeqCst)).filter(|fd| *fd != NONE));
        if self.recent.load(SeqCst) > 1 { [before, last] } else { [last, before] }
    }

    /// Whether a descriptor is the keeper's own.
    pub fn is_own(&self, fd: RawFd) -> bool {
        self.own.iter().any(|own| own.load(SeqCst) == fd)
    }
}
