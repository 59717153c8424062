//! The backups in a folder: which there are, and which go.
//!
//! Nothing is removed but whole backups beyond the number that is asked for, and what processes that
//! have ended have left unfinished. What else lies in the folder is nobody's business here.
#![forbid(unsafe_code)]

use std::io;
use std::path::Path;

use super::description::{DESCRIPTION, Description, FORMAT, is_name};
use super::write::{Partial, is_ours, remove_partial};
use crate::saving::disk::Disk;
use crate::saving::write::{WriteError, failed};

/// Why a folder is no backup that can be used.
#[derive(Debug, thiserror::Error)]
pub enum DescriptionError {
    /// It cannot be read.
    #[error(transparent)]
    Disk(#[from] WriteError),
    /// It is not there.
    #[error("there is no {DESCRIPTION} in it: it is no backup, or no whole one")]
    Missing,
    /// It is damaged.
    #[error("its {DESCRIPTION} is damaged: {0}")]
    Damaged(#[from] serde_json::Error),
    /// It comes from a later version.
    #[error("it has format {0}, and this program reads formats up to {FORMAT}: use a later one")]
    TooNew(u64),
}

/// What a backup says of itself.
pub fn describe(disk: &dyn Disk, folder: &Path) -> Result<Description, DescriptionError> {
    let path = folder.join(DESCRIPTION);
    let text = disk.read(&path).map_err(failed("read", &path))?.ok_or(DescriptionError::Missing)?;
    // Looked at first: of a later format no more is known.
    let value: serde_json::Value = serde_json::from_slice(&text)?;
    match value["format"].as_u64() {
        Some(format) if format > FORMAT.into() => Err(DescriptionError::TooNew(format)),
        _ => Ok(serde_json::from_value(value)?),
    }
}

/// Names of the whole backups in a folder, the oldest first.
pub fn whole(disk: &dyn Disk, folder: &Path) -> io::Result<Vec<String>> {
    let mut names = disk.names(folder)?;
    names.retain(|name| {
        is_name(name) && matches!(disk.len(&folder.join(name).join(DESCRIPTION)), Ok(Some(_)))
    });
    names.sort_unstable();
    Ok(names)
}

/// Removes the oldest whole backups beyond so many, if it is not 0. Returns the names of those that
/// are gone, and what went wrong with others.
pub fn remove_old(disk: &dyn Disk, folder: &Path, keep: u64) -> (Vec<String>, Vec<String>) {
    let (mut removed, mut faults) = (Vec::new(), Vec::new());
    if keep == 0 {
        return (removed, faults);
    }
    let names = match whole(disk, folder) {
        Ok(names) => names,
        Err(error) => {
            faults.push(format!("cannot look into {}: {error}", folder.display()));
            return (removed, faults);
        }
    };
    let beyond = names.len().saturating_sub(usize::try_from(keep).unwrap_or(usize::MAX));
    for name in names.into_iter().take(beyond) {
        match remove(disk, folder, &name) {
            Ok(()) => removed.push(name),
            Err(error) => faults.push(format!("cannot remove the old backup {name}: {error}")),
        }
    }
    (removed, faults)
}

/// Removes a whole backup. It has no backup's name any more before anything of it is gone.
fn remove(disk: &dyn Disk, folder: &Path, name: &str) -> io::Result<()> {
    let path = folder.join(name);
    if let Some(other) = disk.names(&path)?.iter().find(|name| !is_ours(name)) {
        return Err(io::Error::other(format!("there is {other} in it, which is no part of one")));
    }
    let partial = folder.join(Partial::here(name).print());
    disk.rename(&path, &partial)?;
    disk.sync_folder(folder)?;
    remove_partial(disk, &partial)
}

/// Removes what processes that have ended have left unfinished in a folder, and what this one has.
/// `runs` tells whether a process of this machine is a server that may still be at it.
pub fn clean(disk: &dyn Disk, folder: &Path, runs: impl Fn(u32) -> bool) {
    // If it cannot be looked at, who writes to it will say so.
    let names = disk.names(folder).unwrap_or_default();
    let own = Partial::here("");
    for (name, partial) in names.iter().filter_map(|name| Some((name, Partial::parse(name)?))) {
        let is_left = partial.host == own.host && (partial.pid == own.pid || !runs(partial.pid));
        if !is_left {
            continue;
        }
        match remove_partial(disk, &folder.join(name)) {
            Ok(()) => tracing::info!(name, "removed what was left of an unfinished backup"),
            Err(error) => tracing::warn!(name, %error, "cannot remove an unfinished backup"),
        }
    }
}
