//! A configuration on standard input: kept, for the program that goes on with the service reads it anew.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::MemfdFlags;

use crate::config;
use crate::keeper::board::{Board, Own};

/// Whether the words name standard input as the configuration file.
pub fn is_named(words: &[String]) -> bool {
    let given = config::from_arguments(words).unwrap_or_default();
    let last = given.iter().rfind(|setting| setting.name == "config");
    last.is_some_and(|setting| setting.values == ["-"])
}

/// Puts what is to be read on standard input where it can be read again.
///
/// # Errors
/// It cannot be read, or there is no memory.
pub fn hold() -> io::Result<()> {
    let mut text = Vec::new();
    io::stdin().lock().read_to_end(&mut text)?;
    let mut memory = File::from(rustix::fs::memfd_create("input", MemfdFlags::CLOEXEC)?);
    memory.write_all(&text)?;
    memory.rewind()?;
    Ok(rustix::stdio::dup2_stdin(&memory)?)
}

/// Keeps it for programs to come.
///
/// # Errors
/// There is no descriptor.
pub fn note(board: &Board) -> io::Result<()> {
    board.note_own(Own::Input, io::stdin().as_fd().try_clone_to_owned()?);
    Ok(())
}

/// Has standard input be read from its beginning, once more.
///
/// # Errors
/// The system refused.
pub fn rewind() -> io::Result<()> {
    rustix::fs::seek(io::stdin(), rustix::fs::SeekFrom::Start(0))?;
    Ok(())
}

/// Has standard input be what was kept.
///
/// # Errors
/// The system refused.
pub fn take(kept: &OwnedFd) -> io::Result<()> {
    rustix::stdio::dup2_stdin(kept)?;
    rewind()
}
