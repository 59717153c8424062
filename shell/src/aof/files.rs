//! The files of an append-only log and its manifest, which is what counts: a file that it does not
//! name is no part of the log.
//!
//! Invariants:
//!
//! - A file is named in the manifest only once it is there as a whole, and is removed only once no
//!   manifest names it that may be found after the machine has lost its power, but as history.
//! - The manifest is replaced as a whole: there is the one before or the one after.
//! - An increment is in the manifest, safely, before anything that it has is believed to be safe.
#![forbid(unsafe_code)]

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::manifest::{Kind, Manifest};
use crate::saving::disk::{Disk, Output};
use crate::saving::write::{Plan, Unfinished, WriteError, failed};

/// Why the files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// The disk says no.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The manifest is none.
    #[error("{path}: {fault}; correct it, or start without the log", path = .path.display())]
    Manifest {
        /// The manifest.
        path: PathBuf,
        /// What is wrong.
        fault: super::manifest::Fault,
    },
}

/// An increment that is being written.
pub struct Increment {
    /// The file.
    pub output: Box<dyn Output>,
    /// Its number.
    pub number: u64,
}

/// Where a log lies, and what it is made of.
#[derive(Clone)]
pub struct Files {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    name: String,
    manifest: Manifest,
    /// The number of the last base of which it is not known whether the manifest on disk names it:
    /// none of its name may be written again.
    burnt: u64,
}

impl Files {
    /// The log in a folder, whose files' names begin with `name`; without one, one without files.
    /// The folder is made.
    pub fn open(disk: Arc<dyn Disk>, folder: &Path, name: &str) -> Result<Self, FilesError> {
        let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.into());
        disk.make_folder(&folder).map_err(failed("make", &folder))?;
        if let Some(parent) = folder.parent() {
            disk.sync_folder(parent).map_err(failed("sync the folder", parent))?;
        }
        let mut files =
            Self { disk, folder, name: name.to_owned(), manifest: Manifest::default(), burnt: 0 };
        let path = files.manifest_path();
        let text = files.disk.read(&path).map_err(failed("read", &path))?;
        if let Some(text) = text {
            files.manifest =
                Manifest::parse(&text).map_err(|fault| FilesError::Manifest { path, fault })?;
        }
        Ok(files)
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What it is made of.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Where the manifest is.
    pub fn manifest_path(&self) -> PathBuf {
        self.folder.join(format!("{}.manifest", self.name))
    }

    /// Where a file of the log is.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Takes the single file of an older server, which lies beside the folder, over as the base.
    pub fn take_over(&mut self, old: &Path) -> Result<(), FilesError> {
        let mut manifest = Manifest::default();
        manifest.rebase(self.name.clone(), 1, 0);
        // Its place is told before it is taken: whoever finds the one without the other goes on here.
        self.replace(manifest)?;
        let path = self.path(&self.name);
        self.disk.rename(old, &path).map_err(failed("give its name to", &path))?;
        let folder = self.folder.clone();
        self.sync_folder(&folder)?;
        Ok(())
    }

    /// Whether a single file of an older server was to be taken over, which is still where it was.
    pub fn lacks_what_was_taken_over(&self) -> bool {
        let mut live = self.manifest.live();
        let is_old =
            live.next().is_some_and(|part| part.name == self.name) && live.next().is_none();
        is_old && matches!(self.disk.len(&self.path(&self.name)), Ok(None))
    }

    /// The name and number of the next base, whose name ends in `ending`.
    pub fn next_base(&self, ending: &str) -> (String, u64) {
        let number = self.manifest.next_number(Kind::Base).max(self.burnt + 1);
        (format!("{}.{number}.base.{ending}", self.name), number)
    }

    /// How the next base is written.
    pub fn plan(&self, name: &str, sync_bytes: u64) -> Plan {
        let temporary = format!("temp-rewriteaof-bg-{}.aof", std::process::id());
        Plan { path: self.path(name), temporary: self.path(&temporary), sync_bytes }
    }

    /// Begins another increment.
    pub fn begin_increment(&mut self) -> Result<Increment, FilesError> {
        let number = self.manifest.next_number(Kind::Increment);
        let name = format!("{}.{number}.incr.aof", self.name);
        let output = self.create(&name)?;
        let mut manifest = self.manifest.clone();
        manifest.add_increment(name, number);
        self.replace(manifest)?;
        Ok(Increment { output, number })
    }

    /// Begins an increment that is no part of the log before [`Files::rebase_on_first`].
    pub fn begin_first(&self) -> Result<Box<dyn Output>, FilesError> {
        self.create(&self.first_name())
    }

    /// Opens the last increment to go on with it, or begins one.
    pub fn go_on(&mut self) -> Result<Increment, FilesError> {
        let Some(last) = self.manifest.increments().next_back().cloned() else {
            return self.begin_increment();
        };
        let path = self.path(&last.name);
        let output = self.disk.append(&path).map_err(failed("open", &path))?;
        Ok(Increment { output, number: last.number })
    }

    fn create(&self, name: &str) -> Result<Box<dyn Output>, FilesError> {
        let path = self.path(name);
        Ok(self.disk.create(&path).map_err(failed("create", &path))?)
    }

    fn first_name(&self) -> String {
        format!("temp-{}.incr", self.name)
    }

    /// Makes a file that is whole and safe the base, followed by the increments from this number on.
    pub fn rebase(&mut self, base: (String, u64), from: u64) -> Result<(), FilesError> {
        let mut manifest = self.manifest.clone();
        self.burnt = base.1;
        manifest.rebase(base.0, base.1, from);
        self.replace(manifest)?;
        self.clean();
        Ok(())
    }

    /// Makes a file that is whole and safe the base, followed by the increment of
    /// [`Files::begin_first`]. Returns the number of that.
    pub fn rebase_on_first(&mut self, base: (String, u64)) -> Result<u64, FilesError> {
        let number = self.manifest.next_number(Kind::Increment);
        let name = format!("{}.{number}.incr.aof", self.name);
        let (from, to) = (self.path(&self.first_name()), self.path(&name));
        self.disk.rename(&from, &to).map_err(failed("give its name to", &to))?;
        let mut manifest = self.manifest.clone();
        self.burnt = base.1;
        manifest.rebase(base.0, base.1, u64::MAX);
        manifest.add_increment(name, number);
        self.replace(manifest)?;
        self.clean();
        Ok(number)
    }

    /// Removes a file that has not come to be a part of the log, unless the manifest on disk names it
    /// all the same: then all that has failed was to make that safe.
    pub fn remove_unnamed(&self, name: &str) {
        let is_named = match self.disk.read(&self.manifest_path()) {
            Ok(None) => false,
            Ok(Some(text)) => Manifest::parse(&text)
                .is_ok_and(|manifest| manifest.parts.iter().any(|part| part.name == name)),
            Err(_) => true,
        };
        if !is_named {
            self.remove(name);
        }
    }

    /// Removes what is left of a log that was not begun.
    pub fn remove_first(&self) {
        self.remove(&self.first_name());
    }

    fn remove(&self, name: &str) {
        // What is left of it is no part of the log, whatever becomes of it.
        let _ = self.disk.remove(&self.path(name));
    }

    /// Takes what is behind so many bytes of a file away.
    pub fn truncate(&self, path: &Path, len: u64) -> Result<(), FilesError> {
        Ok(self.disk.truncate(path, len).map_err(failed("shorten", path))?)
    }

    /// Bytes of all files that the log is loaded from.
    pub fn bytes(&self) -> u64 {
        let len = |name: &str| self.disk.len(&self.path(name)).ok().flatten().unwrap_or(0);
        self.manifest.live().map(|part| len(&part.name)).sum()
    }

    /// Bytes of the base.
    pub fn base_bytes(&self) -> u64 {
        let len = |name: &str| self.disk.len(&self.path(name)).ok().flatten().unwrap_or(0);
        self.manifest.base().map_or(0, |part| len(&part.name))
    }

    /// Removes what is history. What cannot be removed stays history, for the next time.
    pub fn clean(&mut self) {
        if self.manifest.history().next().is_none() {
            return;
        }
        let mut manifest = self.manifest.clone();
        for part in self.manifest.history() {
            let path = self.path(&part.name);
            if let Err(error) = self.disk.remove(&path)
                && error.kind() != io::ErrorKind::NotFound
            {
                tracing::warn!(%error, path = %path.display(), "cannot remove an old file of the log");
                return;
            }
        }
        manifest.forget_history();
        if let Err(error) = self.replace(manifest) {
            tracing::warn!(%error, "cannot replace the log's manifest");
        }
    }

    /// Puts a manifest in the place of the one there is.
    fn replace(&mut self, manifest: Manifest) -> Result<(), FilesError> {
        let path = self.manifest_path();
        let temporary = self.path(&format!("temp-{}.manifest", self.name));
        let plan = Plan { path, temporary, sync_bytes: 0 };
        let mut file = Unfinished::create(&*self.disk, plan)?;
        file.append(manifest.print().as_bytes())?;
        file.finish()?;
        self.manifest = manifest;
        Ok(())
    }

    fn sync_folder(&self, folder: &Path) -> Result<(), FilesError> {
        Ok(self.disk.sync_folder(folder).map_err(failed("sync the folder", folder))?)
    }
}
