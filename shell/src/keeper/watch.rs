//! The keeper's side: starting a server, and waiting for signals and for its end.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Pid, WaitOptions, kill_process, waitpid};

use super::board::{Board, Stage};
use super::verdict::End;
use crate::process::startup::Startup;

/// Signals that are the server's to act on.
const FORWARDED: [i32; 6] =
    [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT, libc::SIGUSR1, libc::SIGUSR2];

/// What the keeper waits for.
pub struct Watch {
    board: &'static Board,
    /// Tells of signals, which are blocked.
    signals: OwnedFd,
    /// The signals that were blocked before.
    mask: libc::sigset_t,
    /// What the supervisor has been told.
    told: Stage,
}

impl Watch {
    /// Begins to take signals.
    ///
    /// # Errors
    /// The system refused.
    pub fn begin(board: &'static Board) -> io::Result<Self> {
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
            (OwnedFd::from_raw_fd(fd), before.assume_init())
        };
        board.note_own(signals.as_raw_fd());
        Ok(Self { board, signals, mask, told: Stage::Starting })
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
                // SAFETY: the mask that there was.
                check(unsafe {
                    libc::sigprocmask(libc::SIG_SETMASK, &raw const self.mask, std::ptr::null_mut())
                })?;
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
        loop {
            let mut polled = [self.signals.as_fd(), self.board.bell()]
                .map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
            match poll(&mut polled, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            self.tell(startup);
            self.forward(server)?;
            if let Some(end) = reap(server)? {
                return Ok(end);
            }
        }
    }

    /// Tells the supervisor how far the server has come.
    fn tell(&mut self, startup: &mut Startup) {
        // That it rang is all there is to know of it.
        let _ = rustix::io::read(self.board.bell(), &mut [0; 8]);
        let stage = self.board.stage();
        match (self.told, stage) {
            (Stage::Starting, Stage::Serving) => startup.ready(),
            (Stage::Starting | Stage::Serving, Stage::Stopping) => startup.stopping(),
            _ => return,
        }
        self.told = stage;
    }

    fn forward(&self, server: Pid) -> io::Result<()> {
        while let Some(info) = self.next_signal()? {
            let number = info.ssi_signo as i32;
            // What a terminal sends goes to all processes of its foreground, the server among them.
            let is_from_terminal = info.ssi_code == libc::SI_KERNEL;
            if FORWARDED.contains(&number)
                && !is_from_terminal
                && let Some(signal) = rustix::process::Signal::from_named_raw(number)
            {
                // It can only have ended meanwhile.
                let _ = kill_process(server, signal);
            }
        }
        Ok(())
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
                let status = ExitStatus::from_raw(status.as_raw());
                let signal = status.signal().map(|signal| End::Signalled(signal as u8));
                let end = signal.or(status.code().map(|code| End::Exited(code as u8)));
                return Ok(end);
            }
            Ok(Some(_)) | Err(Errno::INTR) => {}
            Ok(None) | Err(Errno::CHILD) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
}

fn check(returned: i32) -> io::Result<i32> {
    if returned < 0 { Err(io::Error::last_os_error()) } else { Ok(returned) }
}
