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
//! - [`board`]: what each tells the other, in memory that they share
//! - [`watch`]: waiting for signals and for the end
//! - [`verdict`]: what follows from an end; pure
//!
//! Invariant: the keeper runs no logic, has one thread, and knows nothing of clients. It closes no
//! descriptor that the server has opened, and the server none that the keeper has.

pub mod board;
pub mod verdict;
mod watch;

use std::io;
use std::process::ExitCode;
use std::time::Instant;

use crate::process::startup::Startup;
use board::Board;
use verdict::{Ends, Verdict};
use watch::Watch;

/// Which of the two a process is.
pub enum Role {
    /// The server. The first, or one that goes on in the place of another.
    Server,
    /// The keeper, whose server has ended: the exit status to pass on.
    Ended(ExitCode),
}

/// Starts a server, and another when that ends unasked, at most `crashes_max` times within a minute.
/// Returns in each of them, and in the keeper when that is to end. To be called while the process has
/// one thread.
///
/// # Errors
/// The system refused what it takes, or a process.
pub fn keep(startup: &mut Startup, crashes_max: usize) -> io::Result<Role> {
    let board = Board::create()?;
    let mut watch = Watch::begin(board)?;
    let mut ends = Ends::new(crashes_max);
    loop {
        board.begin_run();
        let Some(server) = watch.start()? else {
            // What is in it is the keeper's, which has the same descriptors.
            std::mem::forget(watch);
            return Ok(Role::Server);
        };
        let end = watch.until_end(server, startup)?;
        let crashes = ends.note(Instant::now());
        match verdict::of(end, board.stage(), !board.is_heir(), crashes, ends.max()) {
            Verdict::Again => board.note_end(end, crashes),
            Verdict::End(status) => return Ok(Role::Ended(ExitCode::from(status))),
            Verdict::GiveUp => {
                eprintln!("shell serve: {}", verdict::GAVE_UP);
                return Ok(Role::Ended(ExitCode::from(verdict::EXIT_GAVE_UP)));
            }
        }
    }
}
