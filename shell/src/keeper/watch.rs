//! The keeper's side: starting a server, and waiting for signals and for its end.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, waitpid};

use super::board::{Board, Own, Stage};
use super::verdict::End;
use crate::process::startup::Startup;

/// Signals that are the server's to act on.
const FORWARDED: [i32; 6] =
    [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT, libc::SIGUSR1, libc::SIGUSR2];

/// What the keeper waits for.
pub struct Watch {
    board: &'static Board,
    /// Rings when there is something new.
    bell: BorrowedFd<'static>,
    /// Tells of signals, which are blocked.
    signals: OwnedFd,
    /// The signals that were blocked before.
    mask: libc::sigset_t,
    /// What the supervisor has been told.
    told: Stage,
    /// What the server's workers had said when the supervisor heard last that all is well, and when.
    heard: (u32, Instant),
    /// When the server that does not serve yet was started.
    began: Instant,
    /// A signal that no server was there to take.
    owed: Option<Signal>,
}

/// How long a supervisor hears that all is well while a server only starts.
const STARTS_MAX: Duration = Duration::from_secs(300);
/// Parts of the time that a supervisor waits, after each of which it may hear.
const TOLD_OFTEN: u32 = 3;

impl Watch {
    /// Begins to take signals.
    ///
    /// # Errors
    /// The system refused.
    pub fn begin(board: &'static Board, startup: &Startup, bell: Own) -> io::Result<Self> {
        let bell = board.own(bell).ok_or(Errno::BADF)?;
        let mut taken = MaybeUninit::<libc::sigset_t>::uninit();
        let mut before = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: `sigemptyset` initialises the set that the others are given, and `sigprocmask` the
        // one before; signals are numbers that there are.
        let (signals, mask) = unsafe {
            libc::sigemptyset(taken.as_mut_ptr());
            for signal in FORWARDED.into_iter().chain([libc::SIGCHLD]) {
                libc::sigaddset(taken.as_mut_ptr(), signal);
            }
            check(libc::sigprocmask(libc::SIG_BLOCK, taken.as_ptr(), before.as_mut_ptr()))?;
            let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
            let fd = check(libc::signalfd(-1, taken.as_ptr(), flags))?;
            // One that was started in the place of another finds them blocked.
            for signal in FORWARDED.into_iter().chain([libc::SIGCHLD]) {
                libc::sigdelset(before.as_mut_ptr(), signal);
            }
            (OwnedFd::from_raw_fd(fd), before.assume_init())
        };
        if board.is_main() {
            board.note_watchdog(startup.watchdog());
        }
        let now = Instant::now();
        let told = board.stage();
        Ok(Self {
            board,
            bell,
            signals,
            mask,
            told,
            heard: (board.beats(), now),
            began: now,
            owed: None,
        })
    }

    /// Hears another bell from now on.
    pub fn listen_to(&mut self, bell: Own) {
        self.bell = self.board.own(bell).unwrap_or(self.bell);
    }

    /// Notes what this has open on the board, for servers that share descriptors with this process.
    pub fn note_own(&self) {
        self.board.note_signals(self.signals.as_fd());
    }

    /// Has this process take signals as before.
    ///
    /// # Errors
    /// The system refused.
    pub fn release_signals(&self) -> io::Result<()> {
        let mask = &raw const self.mask;
        // SAFETY: the mask that there was.
        check(unsafe { libc::sigprocmask(libc::SIG_SETMASK, mask, std::ptr::null_mut()) }).map(drop)
    }

    /// Starts a server, which has the same descriptors. Gives its process, and nothing in that itself.
    ///
    /// # Errors
    /// The system refused a process.
    pub fn start(&self) -> io::Result<Option<Pid>> {
        let flags = (libc::CLONE_FILES | libc::SIGCHLD) as libc::c_ulong;
        // SAFETY: the process has one thread, so what goes on finds nothing half done by another. No
        // memory is shared, and the stack is a copy, as with fork.
        let child = unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) };
        match Pid::from_raw(i32::try_from(child).unwrap_or(-1)) {
            _ if child < 0 => Err(io::Error::last_os_error()),
            Some(child) => Ok(Some(child)),
            None => {
                self.release_signals()?;
                Ok(None)
            }
        }
    }

    /// Waits for the end of a server. Meanwhile signals are forwarded, and the supervisor hears how the
    /// server goes on.
    ///
    /// # Errors
    /// The system refused to wait.
    pub fn until_end(&mut self, server: Pid, startup: &mut Startup) -> io::Result<End> {
        self.began = Instant::now();
        loop {
            self.rest(startup)?;
            self.forward()?;
            if let Some(end) = reap(server)? {
                return Ok(end);
            }
            if self.board.stage() == Stage::HandsOver {
                // It ends, and touches nothing any more.
                return Ok(End::Exited(0));
            }
        }
    }

    /// Waits until there is something new, and tells the supervisor of it.
    ///
    /// # Errors
    /// The system refused to wait.
    pub fn rest(&mut self, startup: &mut Startup) -> io::Result<()> {
        let left = self.tell_alive(startup);
        let left = left.and_then(|left| Timespec::try_from(left).ok());
        let mut polled =
            [self.signals.as_fd(), self.bell].map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
        match poll(&mut polled, left.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        self.tell(startup);
        Ok(())
    }

    /// Tells a supervisor that wants to hear it that all is well, if so: workers move, or a server is being
    /// started. Returns when to look again; none: nobody wants to hear it.
    pub fn tell_alive(&mut self, startup: &Startup) -> Option<Duration> {
        let every = startup.watchdog()? / TOLD_OFTEN;
        let (beats, at) = (self.board.beats(), self.heard.1);
        if at.elapsed() >= every {
            let is_starting = matches!(self.board.stage(), Stage::Starting | Stage::HandsOver)
                && self.began.elapsed() < STARTS_MAX;
            if beats != self.heard.0 || is_starting {
                startup.alive();
                self.heard = (beats, Instant::now());
            } else {
                return Some(every / TOLD_OFTEN);
            }
        }
        Some(every.saturating_sub(self.heard.1.elapsed()).max(Duration::from_millis(1)))
    }

    /// Hears the bell: that it rang is all there is to know of it.
    fn hear(&self) {
        let _ = rustix::io::read(self.bell, &mut [0; 8]);
    }

    /// Tells the supervisor how far the server has come.
    fn tell(&mut self, startup: &mut Startup) {
        self.hear();
        let stage = self.board.stage();
        match (self.told, stage) {
            (Stage::Starting, Stage::Serving) => startup.ready(),
            (Stage::Starting | Stage::Serving, Stage::Stopping) => startup.stopping(),
            // Another server starts, of which nobody need know.
            _ => return,
        }
        self.told = stage;
    }

    /// Hands signals on to the server. One that comes while there is none waits for the next.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn forward(&mut self) -> io::Result<()> {
        self.pay();
        while let Some(info) = self.next_signal()? {
            let number = info.ssi_signo as i32;
            // What a terminal sends goes to all processes of its foreground, the server among them.
            let is_from_terminal = info.ssi_code == libc::SI_KERNEL;
            if FORWARDED.contains(&number) && !is_from_terminal {
                self.owed = Signal::from_named_raw(number);
                self.pay();
            }
        }
        Ok(())
    }

    fn pay(&mut self) {
        let server = Pid::from_raw(self.board.server());
        let hands_over = self.board.stage() == Stage::HandsOver;
        if let Some((signal, server)) = self.owed.zip(server.filter(|_| !hands_over))
            && kill_process(server, signal) != Err(Errno::SRCH)
        {
            self.owed = None;
        }
    }

    fn next_signal(&self) -> io::Result<Option<libc::signalfd_siginfo>> {
        let mut bytes = [0; size_of::<libc::signalfd_siginfo>()];
        match rustix::io::read(&self.signals, &mut bytes) {
            // SAFETY: the kernel has written as many bytes as the struct has, of integers alone.
            Ok(len) if len == bytes.len() => Ok(Some(unsafe {
                bytes.as_ptr().cast::<libc::signalfd_siginfo>().read_unaligned()
            })),
            Ok(_) | Err(Errno::AGAIN | Errno::INTR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// Takes note of all processes that have ended: as the first of a container the keeper inherits
/// others'. Tells how the server did, if it has.
fn reap(server: Pid) -> io::Result<Option<End>> {
    loop {
        match waitpid(None, WaitOptions::NOHANG) {
            Ok(Some((ended, status))) if ended == server => {
                return Ok(Some(end_of(status)));
            }
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) | Err(Errno::CHILD) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
}

/// How a process has ended.
pub fn end_of(status: WaitStatus) -> End {
    let status = ExitStatus::from_raw(status.as_raw());
    let signal = status.signal().map(|signal| End::Signalled(signal as u8));
    signal.or(status.code().map(|code| End::Exited(code as u8))).unwrap_or(End::Unseen)
}

fn check(returned: i32) -> io::Result<i32> {
    if returned < 0 { Err(io::Error::last_os_error()) } else { Ok(returned) }
}
