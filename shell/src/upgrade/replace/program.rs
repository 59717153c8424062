//! The private copy of a program, from which it is started.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{MemfdFlags, SealFlags};
use rustix::io::Errno;
use sha2::{Digest, Sha256};

use super::super::builds::Build;
use crate::keeper::board::{self, Own};
use crate::logic::elf;
use crate::logic::image::hex;
use crate::refusal::{Code, Refusal};

/// Largest program, in bytes.
const BYTES_MAX: u64 = 1 << 30;

/// A program in memory that nobody can change.
#[derive(Debug)]
pub struct Copied {
    memory: File,
    build_id: String,
    sha256: String,
    file: PathBuf,
}

impl Copied {
    /// Which build it is.
    pub fn build(&self, version: &str) -> Build {
        Build {
            version: version.to_owned(),
            build_id: self.build_id.clone(),
            sha256: self.sha256.clone(),
            file: self.file.clone(),
        }
    }

    /// Where it can be started from in this process.
    pub fn path(&self) -> PathBuf {
        path_of(&self.memory)
    }

    /// Its memory.
    ///
    /// # Errors
    /// There is no descriptor.
    pub fn into_memory(self) -> Result<OwnedFd, Refusal> {
        Ok(self.memory.into())
    }
}

/// Copies the program that runs and the one that is to: that of a file, or the one before.
///
/// # Errors
/// `not_found`, `is_directory`, `not_a_file`, `permission_denied`, `too_large`, `io`, and those of
/// [`elf::check`].
pub fn stage(file: &Path, rollback: bool) -> Result<(Copied, Copied), Refusal> {
    let board = board::get();
    let kept = |own: Own| board.and_then(|board| Some((board.own(own)?, board.file_of(own))));
    let running = match kept(Own::Program) {
        Some((memory, file)) => copy(&File::from(memory.try_clone_to_owned().map_err(io)?), &file)?,
        None => {
            let own = std::env::current_exe().unwrap_or_default();
            copy(&File::open("/proc/self/exe").map_err(io)?, &own)?
        }
    };
    let next = match kept(Own::ProgramBefore).filter(|_| rollback) {
        Some((memory, file)) => copy(&File::from(memory.try_clone_to_owned().map_err(io)?), &file)?,
        None => copy(&crate::logic::image::open(file)?, file)?,
    };
    Ok((running, next))
}

fn copy(source: &File, file: &Path) -> Result<Copied, Refusal> {
    let at = |refusal: Refusal| Refusal {
        message: format!("{}: {}", file.display(), refusal.message),
        ..refusal
    };
    copied(source, file).map_err(at)
}

fn copied(source: &File, file: &Path) -> Result<Copied, Refusal> {
    let bytes = source.metadata().map_err(io)?.len();
    if bytes > BYTES_MAX {
        let text = format!("the file is larger than {BYTES_MAX} bytes");
        return Err(Refusal::new(Code::TooLarge, text));
    }
    let mut memory = new_memory().map_err(|error| io(error.into()))?;
    copy_from_start(source, &mut memory)?;
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    rustix::fs::fcntl_add_seals(&memory, seals).map_err(|error| io(error.into()))?;
    if memory.metadata().map_err(io)?.len() == 0 {
        return Err(Refusal::new(Code::Empty, "the file is empty"));
    }
    let bytes = std::fs::read(path_of(&memory)).map_err(io)?;
    let build_id = hex(&elf::check(&bytes)?);
    let sha256 = hex(&Sha256::digest(&bytes));
    Ok(Copied { memory, build_id, sha256, file: file.to_owned() })
}

/// Where this process finds what a descriptor leads to.
fn path_of(file: &File) -> PathBuf {
    format!("/proc/self/fd/{}", file.as_raw_fd()).into()
}

/// Reads from the beginning, whatever others have read through the same descriptor.
fn copy_from_start(source: &File, memory: &mut File) -> Result<(), Refusal> {
    let mut source = File::open(path_of(source)).map_err(io)?.take(BYTES_MAX);
    let mut buffer = vec![0; 1 << 20];
    loop {
        match source.read(&mut buffer).map_err(io)? {
            0 => return Ok(()),
            len => memory.write_all(&buffer[..len]).map_err(io)?,
        }
    }
}

/// Kernels since 6.3 want to be told that it is a program; older ones know no such flag.
fn new_memory() -> Result<File, Errno> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let made = match rustix::fs::memfd_create("shell", flags | MemfdFlags::EXEC) {
        Err(Errno::INVAL) => rustix::fs::memfd_create("shell", flags),
        other => other,
    };
    made.map(File::from)
}

fn io(error: std::io::Error) -> Refusal {
    Refusal::new(Code::Io, error.to_string())
}
