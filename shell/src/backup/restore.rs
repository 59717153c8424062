//! Bringing a backup back, into the folder of a server that does not run.
//!
//! Invariants:
//!
//! - What was in the folder is nowhere changed or removed: it gets another name, and where the system
//!   can do so the old and the new change places in one step.
//! - A file gets its name only once it is whole, is what the backup says, and is safe.
#![forbid(unsafe_code)]

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::{MetadataExt, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde::Serialize;
use zstd::stream::read::Decoder;

use super::description::{Compression, DESCRIPTION, Description, Sum, name_of};
use super::keep::{self, DescriptionError};
use crate::aof::files::{Files, FilesError};
use crate::process::others;
use crate::saving::disk::FileSystem;
use crate::worker::clock;

const READ_BYTES: usize = 256 << 10;

/// Why a backup is not brought back.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// There is none.
    #[error("{0}")]
    None(String),
    /// What it says of itself cannot be used.
    #[error("the backup {path}: {source}", path = .path.display())]
    Description {
        /// The backup.
        path: PathBuf,
        /// Why.
        source: DescriptionError,
    },
    /// It is damaged.
    #[error("the backup {path}: {what}", path = .path.display())]
    Damaged {
        /// The file in it.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A server works in the folder.
    #[error("{program} with pid {pid} works in {folder}", folder = .folder.display())]
    InUse {
        /// Its process id.
        pid: u32,
        /// Its program.
        program: String,
        /// The folder.
        folder: PathBuf,
    },
    /// The disk says no.
    #[error("cannot {what} {path}: {source}", path = .path.display())]
    Disk {
        /// What could not be done.
        what: &'static str,
        /// To what.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The files of the append-only log cannot be written.
    #[error(transparent)]
    Log(#[from] FilesError),
}

fn failed<'a>(what: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> RestoreError + 'a {
    move |source| RestoreError::Disk { what, path: path.into(), source }
}

/// A backup that was found.
#[derive(Debug)]
pub struct Found {
    /// Its folder.
    pub path: PathBuf,
    /// What it says of itself.
    pub description: Description,
}

/// Finds a backup in a folder of backups: the one of this name, or the newest. The folder may be a
/// backup itself.
///
/// # Errors
/// There is none, or what it says of itself cannot be used.
pub fn find(folder: &Path, name: Option<&str>) -> Result<Found, RestoreError> {
    let is_itself = name.is_none() && folder.join(DESCRIPTION).exists();
    let path = if is_itself {
        folder.to_owned()
    } else {
        let names = keep::whole(&FileSystem, folder).map_err(failed("look into", folder))?;
        let found = match name {
            Some(name) => names.iter().find(|known| *known == name),
            None => names.last(),
        };
        let found = found.ok_or_else(|| RestoreError::None(none_of(folder, name, &names)))?;
        folder.join(found)
    };
    match keep::describe(&FileSystem, &path) {
        Ok(description) => Ok(Found { path, description }),
        Err(source) => Err(RestoreError::Description { path, source }),
    }
}

fn none_of(folder: &Path, name: Option<&str>, names: &[String]) -> String {
    let folder = folder.display();
    match (name, names) {
        (None, _) => format!("there is no whole backup in {folder}"),
        (Some(name), []) => format!("there is no backup {name} in {folder}, nor any other"),
        (Some(name), names) => {
            let oldest = names.len().saturating_sub(10);
            let last = names[oldest..].join(", ");
            format!("there is no backup {name} in {folder}; the last ones are {last}")
        }
    }
}

impl Found {
    /// The file of data in it, as it is stored.
    pub fn file(&self) -> PathBuf {
        self.path.join(self.description.compression.file())
    }

    fn damaged(&self, what: String) -> RestoreError {
        RestoreError::Damaged { path: self.file(), what }
    }

    /// Looks whether the file has the bytes that were stored.
    ///
    /// # Errors
    /// It has not, or cannot be read.
    pub fn verify(&self) -> Result<(), RestoreError> {
        let path = self.file();
        let mut file = File::open(&path).map_err(failed("open", &path))?;
        let mut sum = Sum::default();
        pass_on(&mut file, |part| {
            sum.add(part);
            Ok(())
        })
        .map_err(failed("read", &path))?;
        let Description { file_bytes, file_sha256, .. } = &self.description;
        self.compare("it has", &sum, (*file_bytes, file_sha256))
    }

    fn compare(&self, what: &str, sum: &Sum, told: (u64, &str)) -> Result<(), RestoreError> {
        if sum.bytes() != told.0 {
            let text = format!("{what} {} bytes, and {} were written", sum.bytes(), told.0);
            return Err(self.damaged(text));
        }
        let found = sum.sha256();
        if found != told.1 {
            let text = format!("{what} the SHA-256 {found}, and {} was written", told.1);
            return Err(self.damaged(text));
        }
        Ok(())
    }

    /// Writes the file of data, uncompressed, to a file that is made, and makes it safe.
    ///
    /// # Errors
    /// It is not what the backup says, or cannot be read or written.
    pub fn unpack(&self, to: &Path) -> Result<(), RestoreError> {
        let path = self.file();
        let stored = BufReader::new(File::open(&path).map_err(failed("open", &path))?);
        let mut from: Box<dyn Read> = match self.description.compression {
            Compression::None => Box::new(stored),
            Compression::Zstd => {
                Box::new(Decoder::with_buffer(stored).map_err(failed("unpack", &path))?)
            }
        };
        let mut file = File::create(to).map_err(failed("create", to))?;
        let (mut sum, most) = (Sum::default(), self.description.rdb_bytes);
        let mut write_error = None;
        let copied = pass_on(&mut from, |part| {
            sum.add(part);
            if sum.bytes() > most {
                return Err(io::Error::other("there is more in it than was written"));
            }
            file.write_all(part).map_err(|error| {
                write_error = Some(error);
                io::Error::other("")
            })
        });
        if let Some(error) = write_error {
            return Err(failed("write", to)(error));
        }
        copied.map_err(|error| self.damaged(format!("it cannot be unpacked: {error}")))?;
        self.compare("unpacked it has", &sum, (most, &self.description.rdb_sha256))?;
        file.sync_all().map_err(failed("sync", to))
    }
}

/// Hands all that is read on, a part at a time.
fn pass_on(from: &mut impl Read, mut take: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut buffer = vec![0; READ_BYTES];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(len) => take(&buffer[..len])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Where a server's files are, and how it calls them.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its working directory.
    pub folder: PathBuf,
    /// The file of data.
    pub dbfilename: String,
    /// The folder of its append-only log.
    pub appenddirname: String,
    /// What the names of its files begin with.
    pub appendfilename: String,
    /// Whether there is to be one, if there is none.
    pub appendonly: bool,
}

/// A file or folder that gets, or would get, another name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Aside {
    /// What it is called now.
    pub from: PathBuf,
    /// And then.
    pub to: PathBuf,
}

/// What is done, or would be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Placed {
    /// What is put into the folder.
    pub written: Vec<PathBuf>,
    /// What was there.
    pub set_aside: Vec<Aside>,
}

impl Target {
    /// Fails while a server works there.
    ///
    /// # Errors
    /// It says which.
    pub fn check_free(&self) -> Result<(), RestoreError> {
        let Ok(folder) = self.folder.canonicalize() else { return Ok(()) };
        match others::server_in(&folder) {
            Some(others::Process { pid, program }) => {
                Err(RestoreError::InUse { pid, program, folder })
            }
            None => Ok(()),
        }
    }

    fn dump(&self) -> PathBuf {
        self.folder.join(&self.dbfilename)
    }

    fn log(&self) -> PathBuf {
        self.folder.join(&self.appenddirname)
    }

    /// The single file that older servers have in the place of the folder.
    fn old_log(&self) -> PathBuf {
        self.folder.join(&self.appendfilename)
    }

    /// Whether the backup becomes the base of an append-only log, too.
    fn has_log(&self) -> bool {
        self.appendonly || is_there(&self.log()) || is_there(&self.old_log())
    }

    /// What would be done.
    pub fn plan(&self, now_ms: u64) -> Placed {
        let mut placed = Placed { written: vec![self.dump()], set_aside: Vec::new() };
        let mut old = vec![self.dump()];
        if self.has_log() {
            placed.written.push(self.log());
            old.extend([self.log(), self.old_log()]);
        }
        for from in old.into_iter().filter(|path| is_there(path)) {
            let to = aside_of(&from, now_ms);
            placed.set_aside.push(Aside { from, to });
        }
        placed
    }

    /// A name in the folder for something that is being made.
    pub fn unfinished(&self, what: &str) -> PathBuf {
        self.folder.join(format!(".restore-{}.{what}", std::process::id()))
    }

    /// Puts a file of data, which has a name of [`Target::unfinished`], in its place, and in that of a
    /// base of the append-only log if there is one or is to be one.
    ///
    /// # Errors
    /// See [`RestoreError`]. What was there is there, under its name or the other.
    pub fn place(&self, file: &Path) -> Result<Placed, RestoreError> {
        let placed = self.plan(clock::unix_ms());
        let log = self.unfinished("log");
        if self.has_log() {
            self.make_log(file, &log)?;
        }
        self.hand_over(file)?;
        let aside = |path: &Path| placed.set_aside.iter().find(|aside| aside.from == path);
        // First, so that no server that finds the rest takes it over.
        if let Some(Aside { from, to }) = aside(&self.old_log()) {
            fs::rename(from, to).map_err(failed("give another name to", from))?;
        }
        if self.has_log() {
            put(&log, &self.log(), aside(&self.log()))?;
        }
        put(file, &self.dump(), aside(&self.dump()))?;
        sync_folder(&self.folder)?;
        Ok(placed)
    }

    /// Makes a log of which the file is the base.
    fn make_log(&self, file: &Path, folder: &Path) -> Result<(), RestoreError> {
        let mut files = Files::open(Arc::new(FileSystem), folder, &self.appendfilename)?;
        let base = files.next_base("rdb");
        let path = files.path(&base.0);
        // Neither of the two is ever written to: they are replaced.
        if fs::hard_link(file, &path).is_err() {
            fs::copy(file, &path).map_err(failed("write", &path))?;
            let copy = File::open(&path).and_then(|copy| copy.sync_all());
            copy.map_err(failed("sync", &path))?;
        }
        sync_folder(folder)?;
        files.rebase(base, u64::MAX)?;
        for path in [folder.to_owned(), path, files.manifest_path()] {
            self.hand_over(&path)?;
        }
        Ok(())
    }

    /// Gives a file to whom the folder belongs, if the superuser has made it.
    fn hand_over(&self, path: &Path) -> Result<(), RestoreError> {
        let of = |path: &Path| fs::metadata(path).map(|of| (of.uid(), of.gid()));
        let folder = of(&self.folder).map_err(failed("look at", &self.folder))?;
        let own = of(path).map_err(failed("look at", path))?;
        if !rustix::process::geteuid().is_root() || own.0 == folder.0 {
            return Ok(());
        }
        chown(path, Some(folder.0), Some(folder.1)).map_err(failed("change the owner of", path))
    }
}

fn is_there(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

/// A name for what was there before, which nothing has.
fn aside_of(path: &Path, now_ms: u64) -> PathBuf {
    let name = |number: u32| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".before-{}", name_of(now_ms)));
        if number > 1 {
            name.push(format!("-{number}"));
        }
        PathBuf::from(name)
    };
    (1..u32::MAX).map(name).find(|path| !is_there(path)).unwrap_or_else(|| name(u32::MAX))
}

/// Puts what was made in its place; what was there gets another name.
fn put(new: &Path, path: &Path, aside: Option<&Aside>) -> Result<(), RestoreError> {
    let Some(Aside { to, .. }) = aside else {
        return fs::rename(new, path).map_err(failed("give its name to", path));
    };
    fs::rename(new, to).map_err(failed("give its name to", to))?;
    // From here on what was there has the one name or the other, and no third.
    if renameat_with(CWD, to, CWD, path, RenameFlags::EXCHANGE).is_ok() {
        return Ok(());
    }
    // Not all file systems can do that.
    fs::rename(to, new).map_err(failed("give its name to", new))?;
    fs::rename(path, to).map_err(failed("give another name to", path))?;
    fs::rename(new, path).map_err(|error| {
        // Best effort: the error that is returned says what went wrong.
        let _ = fs::rename(to, path);
        failed("give its name to", path)(error)
    })
}

fn sync_folder(folder: &Path) -> Result<(), RestoreError> {
    File::open(folder).and_then(|of| of.sync_all()).map_err(failed("sync the folder", folder))
}
