//! What keeper and server tell each other. It lies in memory that both have, and outlives the server.

use std::ffi::OsString;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, AtomicU8, AtomicU32, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::{AsFd, BorrowedFd, IntoRawFd};
use rustix::fs::{MemfdFlags, Mode, OFlags};
use rustix::mm::{MapFlags, ProtFlags};
use rustix::time::{ClockId, clock_gettime};

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
    /// It has left everything whole for a server of another build, and ends.
    HandsOver,
    /// It was not ready in time, and must not serve any more.
    Withdrawn,
}

const STARTING: u32 = 0;
const SERVING: u32 = 1;
const STOPPING: u32 = 2;
const HANDS_OVER: u32 = 3;
const WITHDRAWN: u32 = 4;
/// No descriptor.
const NONE: i32 = -1;
/// The board's first word: changes with its layout, and with what one program leaves open for the next.
pub const MAGIC: u64 = 0x5348_4b42_0000_0001;
/// Descriptors that may be the keeper's own.
const OWN: usize = 10;
/// Bytes of a path that there is room for, and one that ends it.
const PATH_BYTES: usize = 4096;

/// What a descriptor of the keeper's own is for: its place in the table of those.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Own {
    /// Rings for the keeper when there is something new.
    Bell,
    /// The signals that the keeper takes.
    Signals,
    /// The board's own memory.
    Board,
    /// The folder that the service was started in.
    Folder,
    /// The program that runs, if it was brought in while the service ran.
    Program,
    /// The program that ran before.
    ProgramBefore,
    /// The program that is to run next.
    ProgramNext,
    /// What one server tells the next in words.
    Carried,
    /// What the service was given on its standard input.
    Input,
    /// Rings for the attendant.
    Attendant,
}

/// See the module.
#[repr(C)]
pub struct Board {
    magic: AtomicU64,
    stage: AtomicU32,
    /// Servers that were started.
    runs: AtomicU32,
    /// The arena's descriptor.
    arena: AtomicI32,
    /// That of the image of the library that serves, and of the one before.
    logic: [AtomicI32; 2],
    /// Descriptors that are the keeper's own, by [`Own`].
    own: [AtomicI32; OWN],
    /// How the last server ended.
    last_end: AtomicU32,
    /// How many servers had ended unasked within a minute then, that one included.
    recent: AtomicU32,
    /// Servers that ended unasked.
    crashes: AtomicU32,
    /// The process that supervisors know, the one that keeps the server, and the server.
    main: AtomicI32,
    keeper: AtomicI32,
    server: AtomicI32,
    /// What has become of the last server of another build, see [`Tried`].
    tried: AtomicU32,
    /// How often a supervisor wants to hear that all is well, in milliseconds; 0: never.
    watchdog_ms: AtomicU32,
    /// Rises while the server's workers move.
    beats: AtomicU32,
    /// When clients were served last before a hand-over, and first after it, in nanoseconds of the
    /// monotonic clock.
    rested_ns: AtomicU64,
    served_ns: AtomicU64,
    /// What the programs were copied from: [`Own::Program`], the one before, the next.
    files: [[AtomicU8; PATH_BYTES]; 3],
}

/// What has become of a server of another build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tried {
    /// There was none.
    Nothing,
    /// It serves, or has.
    Serves,
    /// It ended before it served.
    Ended(End),
    /// It did not serve in time.
    Late,
    /// It could not be started.
    NotStarted,
}

impl Tried {
    const fn encode(self) -> u32 {
        match self {
            Self::Nothing => 0,
            Self::Serves => 1,
            Self::Late => 2,
            Self::NotStarted => 3,
            Self::Ended(end) => 1 << 16 | end.encode(),
        }
    }

    const fn decode(number: u32) -> Self {
        match number {
            0 => Self::Nothing,
            1 => Self::Serves,
            2 => Self::Late,
            3 => Self::NotStarted,
            other => Self::Ended(End::decode(other & 0xffff)),
        }
    }
}

static BOARD: OnceLock<&'static Board> = OnceLock::new();

/// The board of this process, if it is kept.
pub fn get() -> Option<&'static Board> {
    BOARD.get().copied()
}

fn map(memory: impl AsFd) -> io::Result<&'static Board> {
    let (prot, flags) = (ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED);
    let (bytes, null) = (size_of::<Board>(), std::ptr::null_mut());
    // SAFETY: the kernel chooses where; nothing is replaced.
    let place = unsafe { rustix::mm::mmap(null, bytes, prot, flags, memory, 0)? };
    // SAFETY: so many bytes are there, which are valid for it whatever they are, and never unmapped.
    Ok(unsafe { &*place.cast::<Board>() })
}

impl Board {
    /// Makes the board of this process and of those that it starts. Once.
    ///
    /// # Errors
    /// The system refused the memory or a descriptor.
    pub(super) fn create() -> io::Result<&'static Self> {
        let memory = rustix::fs::memfd_create("keeper", MemfdFlags::CLOEXEC)?;
        rustix::fs::ftruncate(&memory, size_of::<Self>() as u64)?;
        let board = map(&memory)?;
        for place in board.logic.iter().chain(&board.own).chain([&board.arena]) {
            place.store(NONE, SeqCst);
        }
        board.magic.store(MAGIC, SeqCst);
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let folder = rustix::fs::open(".", flags, Mode::empty())?;
        for bell in [Own::Bell, Own::Attendant] {
            board.note_own(bell, eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        }
        board.note_own(Own::Board, memory);
        board.note_own(Own::Folder, folder);
        let own = std::process::id() as i32;
        board.main.store(own, SeqCst);
        board.keeper.store(own, SeqCst);
        assert!(BOARD.set(board).is_ok(), "a process is kept once");
        Ok(board)
    }

    /// The board that another program has made, which this one was started by.
    ///
    /// # Errors
    /// It is none of this layout.
    pub(super) fn open(fd: RawFd) -> io::Result<&'static Self> {
        // SAFETY: looked at only, and not closed; if nothing is open there, mapping it fails.
        let memory = unsafe { BorrowedFd::borrow_raw(fd) };
        if rustix::fs::fstat(memory)?.st_size as usize != size_of::<Self>() {
            return Err(io::Error::other(
                "the program that has started this one is of another kind",
            ));
        }
        let board = map(memory)?;
        if board.magic.load(SeqCst) != MAGIC {
            return Err(io::Error::other(
                "the program that has started this one is of another kind",
            ));
        }
        board.own[Own::Board as usize].store(fd, SeqCst);
        assert!(BOARD.set(board).is_ok(), "a process is kept once");
        Ok(board)
    }

    /// Another server is about to be started.
    pub(super) fn begin_run(&self) {
        self.stage.store(STARTING, SeqCst);
        self.runs.fetch_add(1, SeqCst);
    }

    /// Takes over a descriptor of the keeper's own, in the place of what was there.
    pub fn note_own(&self, what: Own, fd: OwnedFd) {
        self.own[what as usize].store(fd.into_raw_fd(), SeqCst);
    }

    /// Notes the descriptor of the signals that the keeper takes, which it keeps.
    pub(super) fn note_signals(&self, fd: BorrowedFd<'_>) {
        self.own[Own::Signals as usize].store(rustix::fd::AsRawFd::as_raw_fd(&fd), SeqCst);
    }

    /// A descriptor of the keeper's own, if there is one.
    pub fn own(&self, what: Own) -> Option<BorrowedFd<'static>> {
        let fd = self.own[what as usize].load(SeqCst);
        // SAFETY: closed by nobody while it is noted.
        (fd != NONE).then(|| unsafe { BorrowedFd::borrow_raw(fd) })
    }

    /// Forgets a descriptor of the keeper's own. It stays open until a server takes over.
    pub fn forget_own(&self, what: Own) {
        self.own[what as usize].store(NONE, SeqCst);
    }

    /// How far the server has come.
    pub fn stage(&self) -> Stage {
        match self.stage.load(SeqCst) {
            STARTING => Stage::Starting,
            SERVING => Stage::Serving,
            HANDS_OVER => Stage::HandsOver,
            WITHDRAWN => Stage::Withdrawn,
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

    /// Clients are about to be served. False: that comes too late, and another server will.
    #[must_use]
    pub fn serves(&self) -> bool {
        let serves = self.stage.compare_exchange(STARTING, SERVING, SeqCst, SeqCst);
        if serves.is_ok() {
            self.ring();
        }
        // It may have been said before.
        serves.is_ok() || serves == Err(SERVING)
    }

    /// A server that does not serve yet never will. False: it does serve.
    pub(super) fn withdraw(&self) -> bool {
        self.stage.compare_exchange(STARTING, WITHDRAWN, SeqCst, SeqCst).is_ok()
    }

    /// Everything is whole, and a server of another build is to go on. `rested_ns`: see
    /// [`Board::unserved_ns`].
    pub fn hands_over(&self, rested_ns: u64) {
        self.rested_ns.store(rested_ns, SeqCst);
        self.enter(HANDS_OVER);
    }

    /// The workers run.
    pub fn note_served(&self) {
        self.served_ns.store(monotonic_ns(), SeqCst);
    }

    /// How long clients were not served around the last hand-over.
    pub fn unserved_ns(&self) -> u64 {
        self.served_ns.load(SeqCst).saturating_sub(self.rested_ns.load(SeqCst))
    }

    /// Notes what has become of a server of another build.
    pub(super) fn note_tried(&self, tried: Tried) {
        self.tried.store(tried.encode(), SeqCst);
    }

    /// What has become of the last server of another build.
    pub fn tried(&self) -> Tried {
        Tried::decode(self.tried.load(SeqCst))
    }

    /// The program that was to run next does, and the one before is kept. Descriptors of both.
    pub(super) fn exchange_programs(&self) {
        let [now, before, next] =
            [Own::Program, Own::ProgramBefore, Own::ProgramNext].map(|own| &self.own[own as usize]);
        before.store(now.load(SeqCst), SeqCst);
        now.store(next.swap(NONE, SeqCst), SeqCst);
        let [now, before, next] = &self.files;
        for ((now, before), next) in now.iter().zip(before).zip(next) {
            before.store(now.load(SeqCst), SeqCst);
            now.store(next.load(SeqCst), SeqCst);
        }
    }

    /// Takes over a program, which was copied from a file.
    pub fn note_program(&self, what: Own, memory: OwnedFd, file: &Path) {
        let bytes = file.as_os_str().as_bytes();
        // What does not fit is only told.
        let bytes = &bytes[..bytes.len().min(PATH_BYTES - 1)];
        let place = &self.files[what as usize - Own::Program as usize];
        place.iter().zip(bytes.iter().chain([&0])).for_each(|(to, byte)| to.store(*byte, SeqCst));
        self.note_own(what, memory);
    }

    /// What a program was copied from.
    pub fn file_of(&self, what: Own) -> PathBuf {
        let place = &self.files[what as usize - Own::Program as usize];
        let bytes = place.iter().map(|byte| byte.load(SeqCst)).take_while(|byte| *byte != 0);
        OsString::from_vec(bytes.collect()).into()
    }

    /// The process that supervisors know.
    pub fn main(&self) -> i32 {
        self.main.load(SeqCst)
    }

    /// Whether this is that process.
    pub fn is_main(&self) -> bool {
        self.main() == std::process::id() as i32
    }

    /// This is the process that supervisors know, from now on.
    pub(super) fn become_main(&self) {
        self.main.store(std::process::id() as i32, SeqCst);
    }

    /// The process that keeps the server.
    pub fn keeper(&self) -> i32 {
        self.keeper.load(SeqCst)
    }

    /// A process keeps the server from now on.
    pub(super) fn note_keeper(&self, pid: i32) {
        self.keeper.store(pid, SeqCst);
    }

    /// The process that is, or is to be, the server.
    pub fn server(&self) -> i32 {
        self.server.load(SeqCst)
    }

    pub(super) fn note_server(&self, pid: i32) {
        self.server.store(pid, SeqCst);
    }

    /// How often a supervisor wants to hear that all is well, if it does.
    pub fn watchdog(&self) -> Option<Duration> {
        let ms = self.watchdog_ms.load(SeqCst);
        (ms != 0).then(|| Duration::from_millis(ms.into()))
    }

    pub(super) fn note_watchdog(&self, every: Option<Duration>) {
        let ms = every.map_or(0, |every| every.as_millis().clamp(1, u32::MAX.into()) as u32);
        self.watchdog_ms.store(ms, SeqCst);
    }

    /// The workers of the server move.
    pub fn beat(&self) {
        self.beats.fetch_add(1, SeqCst);
    }

    pub(super) fn beats(&self) -> u32 {
        self.beats.load(SeqCst)
    }

    /// The server has been asked to end.
    pub fn stops(&self) {
        self.enter(STOPPING);
    }

    fn enter(&self, stage: u32) {
        self.stage.store(stage, SeqCst);
        self.ring();
    }

    fn ring(&self) {
        for bell in [Own::Bell, Own::Attendant].into_iter().filter_map(|bell| self.own(bell)) {
            // It can only fail for being full: then it rings already.
            let _ = rustix::io::write(bell, &1u64.to_ne_bytes());
        }
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

/// The monotonic clock, which is the same in all processes.
pub fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}
