//! A server of another build is tried: a program is started beside the keeper, with all that is open,
//! as a keeper with a server of its own. Until that serves, this one can go on instead.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, kill_process, pidfd_open, set_child_subreaper, waitpid,
};

use super::board::{Board, Own, Stage, Tried};
use super::program::{self, Program};
use super::verdict::End;
use super::watch::{Watch, end_of};
use super::{Part, Rules};
use crate::process::startup::Startup;

/// Until it is looked again whether it does.
const LOOK: Duration = Duration::from_millis(2);
/// Exit status of a process that could not start the program.
const NOT_STARTED: i32 = 127;

/// Tries the program that is to run next. What it has left open, if it does not come to serve, is as
/// it was.
pub fn attempt(
    board: &'static Board,
    watch: &mut Watch,
    startup: &Startup,
    (program, rules): (&Program, Rules),
) -> Tried {
    // What a keeper leaves that ends is this one's to take note of.
    let _ = set_child_subreaper(Some(rustix::process::getpid()));
    board.begin_run();
    board.note_server(0);
    // Whoever serves finds it so: that one, or after it is known otherwise another.
    board.note_tried(Tried::Serves);
    let Some((child, exited)) = begin(board, watch, program) else {
        board.forget_own(Own::ProgramNext);
        return Tried::NotStarted;
    };
    let tried = wait(board, watch, startup, (child, &exited), rules.serves_max);
    if tried == Tried::Serves {
        board.exchange_programs();
        return tried;
    }
    board.forget_own(Own::ProgramNext);
    end_all(board, child);
    board.note_keeper(std::process::id() as i32);
    watch.note_own();
    tried
}

/// Starts the program. None: the system refused that.
fn begin(board: &'static Board, watch: &Watch, program: &Program) -> Option<(Pid, OwnedFd)> {
    let next = board.own(Own::ProgramNext)?;
    let file = board.file_of(Own::ProgramNext);
    let call = program.call(&file, Part::Attempt, board).ok()?;
    // SAFETY: the process has one thread, so what goes on finds nothing half done by another.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let started = watch
            .release_signals()
            .and_then(|()| program::keep_all())
            .and_then(|()| program::start(board, next, &call));
        let Err(_) = started;
        // SAFETY: ends the process, which is a copy of the keeper, without doing anything in its name.
        unsafe { libc::_exit(NOT_STARTED) }
    }
    let child = Pid::from_raw(child).filter(|_| child > 0)?;
    // The process is a child that nobody else takes note of.
    let exited = pidfd_open(child, PidfdFlags::empty());
    exited.ok().map(|exited| (child, exited))
}

/// Waits until a server of the new program serves.
fn wait(
    board: &'static Board,
    watch: &mut Watch,
    startup: &Startup,
    (child, exited): (Pid, &OwnedFd),
    at_most: Duration,
) -> Tried {
    let until = Instant::now() + at_most;
    loop {
        if board.stage() == Stage::Serving {
            return Tried::Serves;
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return if board.withdraw() { Tried::Late } else { Tried::Serves };
        }
        let mut polled = [PollFd::new(exited, PollFlags::IN)];
        // The bell is for the new keeper to hear.
        let pause = watch.tell_alive(startup).map_or(LOOK, |next| next.min(LOOK)).min(left);
        // An interrupted wait is as good as one in which nothing happened.
        let _ = poll(&mut polled, Timespec::try_from(pause).ok().as_ref());
        if !polled[0].revents().is_empty() {
            let end = match waitpid(Some(child), WaitOptions::NOHANG) {
                Ok(Some((_, status))) => end_of(status),
                _ => End::Unseen,
            };
            return match board.withdraw() {
                true if end == End::Exited(NOT_STARTED as u8) => Tried::NotStarted,
                true => Tried::Ended(end),
                // Its server has gone on to serve without it.
                false => Tried::Serves,
            };
        }
    }
}

/// Ends what is left of the new program: its keeper and its server.
fn end_all(board: &Board, child: Pid) {
    // It can only have ended.
    let _ = kill_process(child, Signal::KILL);
    let _ = waitpid(Some(child), WaitOptions::empty());
    // Its server is this process's child now, if it is still there.
    if let Some(server) = Pid::from_raw(board.server()) {
        let _ = kill_process(server, Signal::KILL);
        let _ = waitpid(Some(server), WaitOptions::empty());
    }
}
