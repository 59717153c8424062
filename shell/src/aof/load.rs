//! What there is to be loaded of a log, at the start.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::files::{Files, FilesError};
use crate::saving::disk::Disk;
use crate::saving::write::failed;

/// A log to be loaded.
pub struct Found {
    /// Its files.
    pub files: Files,
    /// Their paths, in the order in which they are to be loaded.
    pub paths: Vec<PathBuf>,
}

/// Why there is nothing to be loaded though there should be.
#[derive(Debug, thiserror::Error)]
pub enum FindError {
    /// The files cannot be looked at.
    #[error(transparent)]
    Files(#[from] FilesError),
    /// One is not there.
    #[error(
        "the log's file {path} is not there, which its manifest names; put it back, or start without \
         the log",
        path = .0.display()
    )]
    Missing(PathBuf),
}

/// Looks for the log in a folder. If it has none, and an older server has left its single file beside
/// the folder, that is taken over.
///
/// # Errors
/// See [`FindError`].
pub fn find(disk: Arc<dyn Disk>, (folder, name): &(PathBuf, String)) -> Result<Found, FindError> {
    let mut files = Files::open(Arc::clone(&disk), folder, name)?;
    let old = std::path::absolute(Path::new(name)).unwrap_or_else(|_| name.into());
    let is_there = |path: &Path| -> Result<bool, FilesError> {
        Ok(disk.len(path).map_err(failed("look at", path))?.is_some())
    };
    let has_none = files.manifest().parts.is_empty() || files.lacks_what_was_taken_over();
    if has_none && is_there(&old)? {
        tracing::info!(path = %old.display(), "the append-only log of an older server is taken over");
        files.take_over(&old)?;
    }
    files.clean();
    let paths: Vec<PathBuf> = files.manifest().live().map(|part| files.path(&part.name)).collect();
    for path in &paths {
        if !is_there(path)? {
            return Err(FindError::Missing(path.clone()));
        }
    }
    Ok(Found { files, paths })
}
