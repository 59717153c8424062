//! What is asked of the disk, so that tests can have it fail.
#![forbid(unsafe_code)]

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

/// A file that is written from its beginning, or where it ended, to its end.
pub trait Output: Send {
    /// Writes some of the bytes, and tells how many.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;
    /// Returns once all that was written is safe.
    fn sync(&mut self) -> io::Result<()>;
    /// Another handle on the file, with which another thread can sync it.
    fn second(&self) -> io::Result<Box<dyn Output>>;
}

/// Where files lie.
pub trait Disk: Send + Sync {
    /// Makes a file, in the place of one of this name.
    fn create(&self, path: &Path) -> io::Result<Box<dyn Output>>;
    /// Opens a file to write behind what it has, and makes it if there is none.
    fn append(&self, path: &Path) -> io::Result<Box<dyn Output>>;
    /// Gives a file another name, in the place of what had that.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Returns once the names in a folder are safe.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// What a file has; none if there is no such file.
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>>;
    /// Bytes of a file; none if there is no such file.
    fn len(&self, path: &Path) -> io::Result<Option<u64>>;
    /// Takes the end of a file away.
    fn truncate(&self, path: &Path, len: u64) -> io::Result<()>;
    /// Makes a folder, if it is not there.
    fn make_folder(&self, path: &Path) -> io::Result<()>;
    /// Removes a folder in which there is nothing.
    fn remove_folder(&self, path: &Path) -> io::Result<()>;
    /// The names in a folder, in no order.
    fn names(&self, folder: &Path) -> io::Result<Vec<String>>;
}

/// The file system.
pub struct FileSystem;

/// None where there is nothing of the name.
fn if_there<T>(outcome: io::Result<T>) -> io::Result<Option<T>> {
    match outcome {
        Ok(found) => Ok(Some(found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

impl Disk for FileSystem {
    fn create(&self, path: &Path) -> io::Result<Box<dyn Output>> {
        Ok(Box::new(File::create(path)?))
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn Output>> {
        Ok(Box::new(OpenOptions::new().append(true).create(true).open(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        if_there(fs::read(path))
    }

    fn len(&self, path: &Path) -> io::Result<Option<u64>> {
        if_there(fs::metadata(path).map(|metadata| metadata.len()))
    }

    fn truncate(&self, path: &Path, len: u64) -> io::Result<()> {
        let file = OpenOptions::new().write(true).open(path)?;
        file.set_len(len)?;
        file.sync_all()
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        match fs::create_dir(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            outcome => outcome,
        }
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<String>> {
        let name = |entry: io::Result<fs::DirEntry>| {
            entry.map(|entry| entry.file_name().to_string_lossy().into_owned())
        };
        fs::read_dir(folder)?.map(name).collect()
    }
}

impl Output for File {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Write::write(self, bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn second(&self) -> io::Result<Box<dyn Output>> {
        Ok(Box::new(self.try_clone()?))
    }
}
