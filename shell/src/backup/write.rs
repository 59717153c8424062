//! Writing a backup, so that it is either whole and safe under its name, or not there at all.
//!
//! Invariants:
//!
//! - Until all of it is safe its folder has a name of its own ([`Partial`]): that of the process that
//!   writes it. Whoever finds it after the end of that process removes it.
//! - `backup.json` is written after the file of data is safe, and the folder gets its name after both
//!   are, so a folder with a backup's name has both.
#![forbid(unsafe_code)]

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use zstd::stream::write::Encoder;

use super::description::{Compression, DESCRIPTION, Description, FORMAT, Origin, Sum, is_name};
use crate::saving::Target;
use crate::saving::disk::Disk;
use crate::saving::write::{Plan, Unfinished, WriteError, failed};

/// How hard zstd tries: its own default.
const LEVEL: i32 = 3;
/// What is written is synced after so many bytes.
const SYNC_BYTES: u64 = 4 << 20;
/// What the names of folders begin with that are no backups yet, or no more.
const PARTIAL: &str = ".partial-";

/// The name of a backup's folder before it is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partial {
    /// That of the backup.
    pub name: String,
    /// The process that writes it.
    pub pid: u32,
    /// The machine on which that runs.
    pub host: String,
}

impl Partial {
    /// One of this process.
    pub fn here(name: &str) -> Self {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Self { name: name.to_owned(), pid: std::process::id(), host }
    }

    /// As a name.
    pub fn print(&self) -> String {
        format!("{PARTIAL}{}-{}@{}", self.name, self.pid, self.host)
    }

    /// Reads a name; none if it is another.
    pub fn parse(text: &str) -> Option<Self> {
        let (rest, host) = text.strip_prefix(PARTIAL)?.split_once('@')?;
        let (name, pid) = rest.split_once('-')?;
        let pid = pid.parse().ok()?;
        is_name(name).then(|| Self { name: name.to_owned(), pid, host: host.to_owned() })
    }
}

/// Says what there is to say of a backup, when all its keys are written.
pub type Tell = Box<dyn FnOnce() -> Origin + Send>;
/// Called with what was written, once it is safe.
pub type Done = Box<dyn FnOnce(&Description) + Send>;

/// The file as it is stored: counted and hashed on its way to the disk.
struct Stored {
    file: Unfinished<'static>,
    sum: Sum,
}

impl Write for Stored {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.append(bytes).map_err(io::Error::other)?;
        self.sum.add(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Where bytes go.
enum Sink {
    Plain(Box<Stored>),
    Packed(Box<Encoder<'static, Stored>>),
}

/// A backup on its way. Dropped, it is removed.
pub struct Writing {
    folder: Folder,
    compression: Compression,
    sink: Option<Sink>,
    rdb: Sum,
    tell: Option<Tell>,
    done: Option<Done>,
}

/// The folder it is written to.
struct Folder {
    disk: &'static dyn Disk,
    /// Where it is to be.
    parent: PathBuf,
    partial: PathBuf,
    name: String,
    is_there: bool,
}

impl Writing {
    /// Begins a backup of this name in a folder, which is made if it is not there.
    pub fn create(
        disk: &'static dyn Disk,
        parent: &Path,
        name: &str,
        compression: Compression,
        tell: Tell,
        done: Done,
    ) -> Result<Self, WriteError> {
        let folder = Folder::make(disk, parent, name)?;
        let stored =
            Stored { file: folder.create(compression.file(), SYNC_BYTES)?, sum: Sum::default() };
        let sink = match compression {
            Compression::None => Sink::Plain(Box::new(stored)),
            Compression::Zstd => {
                let encoder = Encoder::new(stored, LEVEL);
                Sink::Packed(Box::new(encoder.map_err(failed("compress", &folder.partial))?))
            }
        };
        let (tell, done) = (Some(tell), Some(done));
        Ok(Self { folder, compression, sink: Some(sink), rdb: Sum::default(), tell, done })
    }

    fn end_file(&mut self) -> Result<Sum, WriteError> {
        let stored = match self.sink.take() {
            Some(Sink::Plain(stored)) => *stored,
            Some(Sink::Packed(encoder)) => {
                encoder.finish().map_err(|error| self.folder.unwrap(error))?
            }
            None => return Ok(Sum::default()),
        };
        stored.file.finish()?;
        Ok(stored.sum)
    }

    fn describe(&mut self, file: &Sum, origin: Origin) -> Description {
        Description {
            format: FORMAT,
            name: self.folder.name.clone(),
            origin,
            compression: self.compression,
            file_bytes: file.bytes(),
            file_sha256: file.sha256(),
            rdb_bytes: self.rdb.bytes(),
            rdb_sha256: self.rdb.sha256(),
        }
    }
}

impl Target for Writing {
    fn append(&mut self, bytes: &[u8]) -> Result<(), WriteError> {
        let written = match &mut self.sink {
            Some(Sink::Plain(stored)) => stored.write_all(bytes),
            Some(Sink::Packed(encoder)) => encoder.write_all(bytes),
            None => Ok(()),
        };
        written.map_err(|error| self.folder.unwrap(error))?;
        self.rdb.add(bytes);
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<(), WriteError> {
        let file = self.end_file()?;
        let Some(tell) = self.tell.take() else { return Ok(()) };
        let description = self.describe(&file, tell());
        let text = serde_json::to_vec_pretty(&description).unwrap_or_default();
        let mut told = self.folder.create(DESCRIPTION, 0)?;
        told.append(&text)?;
        told.append(b"\n")?;
        told.finish()?;
        self.folder.finish()?;
        if let Some(done) = self.done.take() {
            done(&description);
        }
        Ok(())
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        // The file first, which removes itself: then the folder can be removed.
        self.sink = None;
    }
}

impl Folder {
    fn make(disk: &'static dyn Disk, parent: &Path, name: &str) -> Result<Self, WriteError> {
        if disk.names(parent).is_err() {
            disk.make_folder(parent).map_err(failed("make the folder", parent))?;
            // Whoever may only pass through what is above it has made it before.
            let above = parent.parent().unwrap_or(Path::new("/"));
            disk.sync_folder(above).map_err(failed("sync the folder", above))?;
        }
        let partial = parent.join(Partial::here(name).print());
        disk.make_folder(&partial).map_err(failed("make the folder", &partial))?;
        Ok(Self { disk, parent: parent.into(), partial, name: name.to_owned(), is_there: true })
    }

    /// Makes a file in it.
    fn create(&self, name: &str, sync_bytes: u64) -> Result<Unfinished<'static>, WriteError> {
        let path = self.partial.join(name);
        let temporary = self.partial.join(format!("{name}{UNFINISHED}"));
        Unfinished::create(self.disk, Plan { path, temporary, sync_bytes })
    }

    /// Gives it its name.
    fn finish(&mut self) -> Result<(), WriteError> {
        let path = self.parent.join(&self.name);
        self.disk.rename(&self.partial, &path).map_err(failed("give its name to", &path))?;
        self.is_there = false;
        self.disk.sync_folder(&self.parent).map_err(failed("sync the folder", &self.parent))
    }

    /// What the disk said, through what wrote to it.
    fn unwrap(&self, error: io::Error) -> WriteError {
        error.downcast().unwrap_or_else(failed("compress", &self.partial))
    }
}

/// What the name of a file in the folder ends with while it is written.
const UNFINISHED: &str = ".part";

impl Drop for Folder {
    fn drop(&mut self) {
        if self.is_there {
            // Best effort: what went wrong before matters more than what is left over.
            let _ = remove_partial(self.disk, &self.partial);
        }
    }
}

/// All that may be in a backup's folder.
pub fn is_ours(name: &str) -> bool {
    let name = name.strip_suffix(UNFINISHED).unwrap_or(name);
    [DESCRIPTION, Compression::None.file(), Compression::Zstd.file()].contains(&name)
}

/// Removes a folder that is no backup, with what of it is ours.
pub fn remove_partial(disk: &dyn Disk, folder: &Path) -> io::Result<()> {
    for name in disk.names(folder)?.iter().filter(|name| is_ours(name)) {
        disk.remove(&folder.join(name))?;
    }
    disk.remove_folder(folder)
}
