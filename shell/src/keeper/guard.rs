//! The server's side: another keeper, if the keeper is killed, and whether workers move.
//!
//! Another keeper is a process with the server's table of descriptors that waits for the server's end.
//! Made by a process of many threads it may take no memory and no lock; once the server has ended it
//! starts the program anew, as a keeper that finds a server to have ended.

use std::convert::Infallible;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::thread;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, WaitOptions, getpid, pidfd_open, waitpid};

use super::Part;
use super::board::{Board, Own, Stage};
use super::program::{self, Call, Program};

/// Until another keeper is tried to be had again.
const AGAIN: Duration = Duration::from_secs(1);
/// Looks at the workers in the time that a supervisor waits to hear of them.
const LOOKS: u32 = 12;

/// Starts the thread that watches over the keeper. `moves`: whether no worker has been at one thing for
/// so long.
///
/// # Errors
/// The system refused a thread or a descriptor.
pub fn start(
    board: &'static Board,
    program: Program,
    moves: impl Fn(Duration) -> bool + Send + 'static,
) -> io::Result<()> {
    let guard = Guard {
        board,
        server: pidfd_open(getpid(), PidfdFlags::empty())?,
        running: program::running()?,
        program,
        moves: Box::new(moves),
    };
    thread::Builder::new().name("keeper".into()).spawn(move || guard.run()).map(drop)
}

struct Guard {
    board: &'static Board,
    /// Tells of the end of this process, to another.
    server: OwnedFd,
    running: OwnedFd,
    program: Program,
    moves: Box<dyn Fn(Duration) -> bool + Send>,
}

impl Guard {
    fn run(&self) {
        loop {
            self.wait_for_end();
            if self.board.stage() != Stage::Serving {
                return;
            }
            match self.have_another() {
                Ok(pid) => tracing::warn!(pid, "the keeper has ended; this is another"),
                Err(error) => {
                    tracing::error!(%error, "the keeper has ended, and there is no other to be had");
                    thread::sleep(AGAIN);
                }
            }
        }
    }

    /// Waits until the keeper has ended. Meanwhile it is told whether workers move.
    fn wait_for_end(&self) {
        let Some(keeper) = Pid::from_raw(self.board.keeper()) else { return };
        let Ok(exited) = pidfd_open(keeper, PidfdFlags::empty()) else { return };
        loop {
            let pause = self.board.watchdog().map(|every| every / LOOKS);
            let timeout = pause.and_then(|pause| Timespec::try_from(pause).ok());
            let mut polled = [PollFd::new(&exited, PollFlags::IN)];
            // An interrupted wait is as good as one in which nothing happened.
            let _ = poll(&mut polled, timeout.as_ref());
            if !polled[0].revents().is_empty() {
                // It is this process's child if it was made here.
                let _ = waitpid(Some(keeper), WaitOptions::NOHANG);
                return;
            }
            if self.board.watchdog().is_some_and(|every| (self.moves)(every / 2)) {
                self.board.beat();
            }
        }
    }

    /// Makes another keeper. Returns its process.
    fn have_another(&self) -> io::Result<i32> {
        let file = match self.board.own(Own::Program) {
            Some(_) => self.board.file_of(Own::Program),
            None => self.program.file.clone(),
        };
        let call = self.program.call(&file, Part::Keeper, self.board)?;
        let flags = (libc::CLONE_FILES | libc::SIGCHLD) as libc::c_ulong;
        // SAFETY: no memory is shared, and the stack is a copy, as with fork. What goes on there makes
        // system calls alone: others may have held locks.
        let child = unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) };
        match child {
            ..0 => Err(io::Error::last_os_error()),
            0 => self.keep(&call),
            child => {
                self.board.note_keeper(child as i32);
                Ok(child as i32)
            }
        }
    }

    /// What the other keeper does.
    fn keep(&self, call: &Call) -> ! {
        let Err(_) = self.wait_and_start(call);
        // SAFETY: ends the process, which is a copy of the server, without doing anything in its name.
        unsafe { libc::_exit(1) }
    }

    fn wait_and_start(&self, call: &Call) -> io::Result<Infallible> {
        // SAFETY: sets of signals that are initialised here. What the server does at a signal is not for
        // this process to do; the program that is started takes them again.
        unsafe {
            let mut all = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
            libc::sigfillset(all.as_mut_ptr());
            libc::sigprocmask(libc::SIG_SETMASK, all.as_ptr(), std::ptr::null_mut());
        }
        let mut polled = [PollFd::new(&self.server, PollFlags::IN)];
        while polled[0].revents().is_empty() {
            match poll(&mut polled, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        if self.board.stage() == Stage::Stopping {
            // SAFETY: as in `keep`.
            unsafe { libc::_exit(0) }
        }
        program::keep_all()?;
        // SAFETY: as above.
        unsafe {
            let mut none = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
            libc::sigemptyset(none.as_mut_ptr());
            libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut());
        }
        let program = self.board.own(Own::Program).unwrap_or_else(|| self.running.as_fd());
        program::start(self.board, program, call)
    }
}
