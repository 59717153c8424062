//! Writing a file so that it is either whole and safe under its name, or not there at all.
//!
//! Invariants:
//!
//! - Until all bytes are safe the file has a name of its own, beside the one it is to get: whatever
//!   fails, or when the process or the machine ends, what had that name before is as it was.
//! - After a sync that has failed nothing is believed of the file any more: it is dropped, not synced
//!   again, for the system may have given up the very pages that it could not write.
#![forbid(unsafe_code)]

use std::io;
use std::path::{Path, PathBuf};

use super::disk::{Disk, Output};

/// Most bytes that are given to the system at once.
const WRITE_BYTES: usize = 1 << 20;

/// Which file, and how.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Its name in the end.
    pub path: PathBuf,
    /// Its name until then, in the same folder.
    pub temporary: PathBuf,
    /// After so many bytes what has been written is synced; 0: only at the end.
    pub sync_bytes: u64,
}

/// Why a file was not written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {what} {path}: {cause}", path = .path.display())]
pub struct WriteError {
    /// What could not be done.
    what: &'static str,
    /// To which file or folder.
    path: PathBuf,
    /// What the system says.
    #[source]
    cause: io::Error,
}

/// An error of the system, with what was to be done to what.
pub fn failed<'a>(what: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> WriteError + 'a {
    move |cause| WriteError { what, path: path.into(), cause }
}

/// A file on its way. Dropped, it is removed.
pub struct Unfinished<'d> {
    disk: &'d dyn Disk,
    plan: Plan,
    output: Box<dyn Output>,
    /// Bytes written since the last sync.
    unsynced: u64,
    is_there: bool,
}

impl<'d> Unfinished<'d> {
    /// Makes the file, under its first name.
    pub fn create(disk: &'d dyn Disk, plan: Plan) -> Result<Self, WriteError> {
        let output = disk.create(&plan.temporary).map_err(failed("create", &plan.temporary))?;
        Ok(Self { disk, plan, output, unsynced: 0, is_there: true })
    }

    /// Appends bytes.
    pub fn append(&mut self, mut bytes: &[u8]) -> Result<(), WriteError> {
        while !bytes.is_empty() {
            let some = &bytes[..bytes.len().min(WRITE_BYTES)];
            let written = match self.output.write(some) {
                Ok(0) => Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => Ok(written),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(0),
                Err(error) => Err(error),
            };
            let written = written.map_err(failed("write", &self.plan.temporary))?;
            bytes = &bytes[written..];
            self.unsynced += written as u64;
            if self.plan.sync_bytes != 0 && self.unsynced >= self.plan.sync_bytes {
                self.sync()?;
            }
        }
        Ok(())
    }

    fn sync(&mut self) -> Result<(), WriteError> {
        self.unsynced = 0;
        self.output.sync().map_err(failed("sync", &self.plan.temporary))
    }

    /// Makes what was appended safe, and gives it its name.
    pub fn finish(mut self) -> Result<(), WriteError> {
        self.sync()?;
        let Plan { path, temporary, .. } = &self.plan;
        self.disk.rename(temporary, path).map_err(failed("give its name to", path))?;
        self.is_there = false;
        let folder = path.parent().unwrap_or(Path::new("/"));
        self.disk.sync_folder(folder).map_err(failed("sync the folder", folder))
    }
}

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        if self.is_there {
            // Best effort: what went wrong before matters more than a leftover file.
            let _ = self.disk.remove(&self.plan.temporary);
        }
    }
}
