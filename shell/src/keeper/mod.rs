//! The keeper: what `shell serve` is, a process that starts the server and outlives it.
//!
//! ```text
//!   supervisor, terminal ── signals ──► keeper ── forwards ──► server
//!                        ◄─ ready, exit status ─┘ ◄── stage ────┘
//!                                 one table of descriptors
//! ```
//!
//! The two share their table of descriptors (`CLONE_FILES`): what the server opens (the arena, the
//! sockets it listens on, the connections it accepts) stays open when it ends, however it does. Then
//! the keeper starts another, which goes on with all that, or ends itself, if the end was asked for.
//!
//! An exec ends the sharing. So a program of another build is started as a keeper with a server of its
//! own, and the keeper before stays until that serves, to go on itself if it does not:
//!
//! ```text
//!   keeper ─┬─ server                 keeper ─┬─ server, ends         attendant ── keeper ── server
//!           │                                 └─ keeper ── server     (new program in all three)
//! ```
//!
//! What supervisors know as the service is then the *attendant*: it hands signals on and waits.
//!
//! - [`board`]: what each tells the other, in memory that they share
//! - [`watch`]: waiting for signals and for the end
//! - [`verdict`]: what follows from an end; pure
//! - [`program`]: starting another program in the place of this one, with all that is open
//! - [`attempt`]: a server of another build is tried
//! - [`attendant`]: what is left of a keeper that another has taken over from
//! - [`guard`]: the server's side: another keeper, if that is killed; whether workers move
//!
//! Invariant: the keeper runs no logic, has one thread, and knows nothing of clients. It closes no
//! descriptor that the server has opened, and the server none that the keeper has.

mod attempt;
mod attendant;
pub mod board;
pub mod guard;
pub mod program;
pub mod verdict;
mod watch;

use std::io;
use std::os::fd::RawFd;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::process::startup::{Startup, Wanted};
use board::{Board, Own, Stage, Tried};
use program::Program;
use verdict::{CRASHES_MAX, End, Ends, Verdict};
use watch::Watch;

/// Which of the two a process is.
pub enum Role {
    /// The server. The first, or one that goes on in the place of another.
    Server,
    /// The keeper, whose server has ended: the exit status to pass on.
    Ended(ExitCode),
}

/// What a process is started as that takes over from another: a word of the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// A keeper whose server has yet to serve, while the keeper before waits.
    Attempt,
    /// A keeper whose server has ended.
    Keeper,
    /// See [`attendant`].
    Attendant,
}

/// How a process begins to keep a server.
pub enum Beginning<'a> {
    /// It is the first of its service.
    First(&'a mut Startup),
    /// It takes over from another, which has left the board at a descriptor.
    Next(Part, RawFd, &'a Wanted),
}

/// What an operator has to say of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// How often a server may end unasked within a minute.
    pub crashes_max: usize,
    /// How long a server of another build may take until it serves.
    pub serves_max: Duration,
}

impl Default for Rules {
    fn default() -> Self {
        Self { crashes_max: CRASHES_MAX, serves_max: Duration::from_secs(10) }
    }
}

/// Starts a server, and another when that ends unasked, as often as the rules allow.
/// Returns in each of them, and in the keeper when that is to end. To be called while the process has
/// one thread. `program`: what is run when this one is to be replaced.
///
/// # Errors
/// The system refused what it takes, or a process.
pub fn keep(beginning: Beginning<'_>, rules: Rules, program: &Program) -> io::Result<Role> {
    match beginning {
        Beginning::First(startup) => begin(Board::create()?, startup, rules, program, None),
        Beginning::Next(part, fd, wanted) => {
            let board = Board::open(fd)?;
            if part != Part::Attendant {
                board.note_keeper(std::process::id() as i32);
            }
            if !is_alive(board.main()) {
                board.become_main();
            }
            let mut startup = Startup::go_on(wanted, board.is_main());
            let begun = begin(board, &mut startup, rules, program, Some(part));
            if matches!(begun, Ok(Role::Server)) {
                // It is the keeper's.
                std::mem::forget(startup);
            }
            begun
        }
    }
}

fn begin(
    board: &'static Board,
    startup: &mut Startup,
    rules: Rules,
    program: &Program,
    part: Option<Part>,
) -> io::Result<Role> {
    let is_attendant = part == Some(Part::Attendant);
    let bell = if is_attendant { Own::Attendant } else { Own::Bell };
    let mut watch = Watch::begin(board, startup, bell)?;
    if is_attendant {
        return attendant::attend(board, &mut watch, startup).map(Role::Ended);
    }
    watch.note_own();
    let (ends, is_first) = (Ends::new(rules.crashes_max), part != Some(Part::Keeper));
    let mut keeper = Keeper { board, watch, ends, rules, program, is_first };
    if part == Some(Part::Keeper)
        && let Some(role) = keeper.settle(End::Unseen, startup)?
    {
        return Ok(role);
    }
    keeper.run(startup)
}

fn is_alive(pid: i32) -> bool {
    // SAFETY: signal 0 does nothing.
    pid > 0 && unsafe { libc::kill(pid, 0) } == 0
}

struct Keeper<'a> {
    board: &'static Board,
    watch: Watch,
    ends: Ends,
    rules: Rules,
    program: &'a Program,
    /// No server of this keeper's has served yet.
    is_first: bool,
}

impl Keeper<'_> {
    fn run(mut self, startup: &mut Startup) -> io::Result<Role> {
        loop {
            self.board.begin_run();
            let Some(server) = self.watch.start()? else {
                self.board.note_server(std::process::id() as i32);
                // What is in it is the keeper's, which has the same descriptors.
                std::mem::forget(self.watch);
                return Ok(Role::Server);
            };
            self.board.note_server(server.as_raw_nonzero().get());
            let end = self.watch.until_end(server, startup)?;
            if let Some(role) = self.settle(end, startup)? {
                return Ok(role);
            }
        }
    }

    /// Does what follows from the end of a server. None: another is to be started.
    fn settle(&mut self, end: End, startup: &mut Startup) -> io::Result<Option<Role>> {
        let stage = self.board.stage();
        let crashes = match stage {
            Stage::HandsOver => 0,
            _ => self.ends.note(Instant::now()),
        };
        let is_first = std::mem::replace(&mut self.is_first, false);
        match verdict::of(end, stage, is_first, crashes, self.ends.max()) {
            Verdict::Again => self.board.note_end(end, crashes),
            Verdict::Replace => return Ok(self.replace(startup)),
            Verdict::End(status) => return Ok(Some(Role::Ended(ExitCode::from(status)))),
            Verdict::GiveUp => {
                eprintln!("shell serve: {}", verdict::GAVE_UP);
                return Ok(Some(Role::Ended(ExitCode::from(verdict::EXIT_GAVE_UP))));
            }
        }
        Ok(None)
    }

    /// Has a server of another build go on, and makes way for its keeper. None: that came to nothing, and
    /// a server of this build goes on.
    fn replace(&mut self, startup: &mut Startup) -> Option<Role> {
        let tried =
            attempt::attempt(self.board, &mut self.watch, startup, (self.program, self.rules));
        self.board.note_tried(tried);
        if tried != Tried::Serves {
            return None;
        }
        if !self.board.is_main() {
            return Some(Role::Ended(ExitCode::SUCCESS));
        }
        Some(Role::Ended(attendant::become_one(self.board, &mut self.watch, startup, self.program)))
    }
}
