//! What is left of a keeper that another has taken over from: the process that supervisors know. It
//! hands signals on, says how the service goes on, and ends when that does, with its status.

use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::process::ExitCode;

use rustix::io::Errno;
use rustix::process::{WaitOptions, waitpid};

use super::Part;
use super::board::{Board, Own};
use super::program::{self, Program};
use super::watch::{Watch, end_of};
use crate::process::startup::Startup;

/// Becomes one, as a process of the new program. Where that cannot be started, as one of this.
pub fn become_one(
    board: &'static Board,
    watch: &mut Watch,
    startup: &mut Startup,
    program: &Program,
) -> ExitCode {
    let Err(error) = start(board, program);
    eprintln!(
        "shell serve: the process that attends the service stays one of the program before: {error}"
    );
    watch.listen_to(Own::Attendant);
    let_go(board);
    attend(board, watch, startup).unwrap_or_else(|error| {
        eprintln!("shell serve: cannot attend the service, which goes on: {error}");
        ExitCode::FAILURE
    })
}

fn start(board: &Board, program: &Program) -> io::Result<std::convert::Infallible> {
    let none = || io::Error::other("there is no program");
    let next = board.own(Own::Program).ok_or_else(none)?;
    let call = program.call(&board.file_of(Own::Program), Part::Attendant, board)?;
    for what in [Own::Board, Own::Attendant, Own::Folder, Own::Input] {
        board.own(what).map_or(Ok(()), program::keep)?;
    }
    program::start(board, next, &call)
}

/// Closes what the server before had open, so that what its heir closes is closed.
fn let_go(board: &Board) {
    let open = std::fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let all: Vec<i32> = open.filter_map(|fd| fd.file_name().to_str()?.parse().ok()).collect();
    for fd in all.into_iter().filter(|fd| *fd > 2 && !board.is_own(*fd)) {
        // SAFETY: a server had opened it that is no more; the keeper itself has no others open.
        drop(unsafe { OwnedFd::from_raw_fd(fd) });
    }
}

/// Attends the service until it ends. Returns its status.
///
/// # Errors
/// The system refused to wait.
pub fn attend(
    board: &'static Board,
    watch: &mut Watch,
    startup: &mut Startup,
) -> io::Result<ExitCode> {
    let mut status = 0;
    loop {
        watch.rest(startup)?;
        watch.forward()?;
        loop {
            match waitpid(None, WaitOptions::NOHANG) {
                Ok(Some((ended, how))) => {
                    let ended = ended.as_raw_nonzero().get();
                    if ended == board.keeper() || ended == board.server() {
                        status = end_of(how).status();
                    }
                }
                Err(Errno::INTR) => {}
                Ok(None) => break,
                Err(Errno::CHILD) => return Ok(ExitCode::from(status)),
                Err(error) => return Err(error.into()),
            }
        }
    }
}
