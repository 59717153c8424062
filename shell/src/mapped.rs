//! Files that logic reads where they are, in memory.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use abi::container::RawBytes;
use abi::host::MappedFile;
use abi::status::Status;
use abi_stable::std_types::RStr;
use memmap2::{Advice, Mmap};

use crate::client::open::bytes_of;
use crate::config::files::system_text;

/// An address for a file without bytes, which has nothing to map.
const NOWHERE: u64 = 8;

/// What is mapped.
static MAPPED: Mutex<Vec<Mmap>> = Mutex::new(Vec::new());

/// See [`abi::host::Host::map_file`].
pub extern "C" fn map_file(path: RStr<'_>, out: &mut MappedFile, error: &mut RawBytes) -> Status {
    match map(path.as_str()) {
        Ok(file) => {
            *out = file;
            Status::OK
        }
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Status::NOT_FOUND,
        Err(cause) => {
            // Without memory for the text the status must do.
            *error = bytes_of(system_text(&cause).as_bytes()).unwrap_or(RawBytes::EMPTY);
            Status::FAILED
        }
    }
}

fn map(path: &str) -> io::Result<MappedFile> {
    // Before it is opened, which a pipe would hold up.
    let kind = fs::metadata(path)?.file_type();
    match () {
        () if kind.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
        () if !kind.is_file() => return Err(io::Error::other("not a regular file")),
        () => {}
    }
    let file = File::open(path)?;
    if file.metadata()?.len() == 0 {
        return Ok(MappedFile { address: NOWHERE, len: 0 });
    }
    // SAFETY: it is only read. Files of data are replaced by renaming, never written in place; who
    // cuts one short all the same ends the process, as the documents say.
    let map = unsafe { Mmap::map(&file) }?;
    // They are read once, from one end to the other. Without that it only takes longer.
    let _ = map.advise(Advice::Sequential);
    let mapped = MappedFile { address: map.as_ptr() as u64, len: map.len() as u64 };
    MAPPED.lock().unwrap_or_else(PoisonError::into_inner).push(map);
    Ok(mapped)
}

/// A whole file in memory, for the shell itself; none if it is empty.
///
/// # Errors
/// Of the system.
pub fn whole(path: &Path) -> io::Result<Option<Mmap>> {
    let file = File::open(path)?;
    if file.metadata()?.len() == 0 {
        return Ok(None);
    }
    // SAFETY: it is only read. Who cuts such a file short ends the process, as the documents say.
    let map = unsafe { Mmap::map(&file) }?;
    // It is read once, from one end to the other. Without that it only takes longer.
    let _ = map.advise(Advice::Sequential);
    Ok(Some(map))
}

/// See [`abi::host::Host::unmap_file`].
pub extern "C" fn unmap_file(file: MappedFile) {
    let mut all = MAPPED.lock().unwrap_or_else(PoisonError::into_inner);
    all.retain(|map| map.as_ptr() as u64 != file.address);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_mapped_and_what_cannot_be_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
        std::fs::write(path("a"), b"some bytes").unwrap();
        std::fs::write(path("empty"), b"").unwrap();
        let file = map(&path("a")).unwrap();
        // SAFETY: it was just mapped.
        let bytes =
            unsafe { std::slice::from_raw_parts(file.address as *const u8, file.len as usize) };
        assert_eq!(bytes, b"some bytes");
        unmap_file(file);
        let empty = map(&path("empty")).unwrap();
        assert_eq!((empty.address, empty.len), (NOWHERE, 0));
        unmap_file(empty);
        let fault = |name: &str| map(&path(name)).map(|_| ()).unwrap_err();
        assert_eq!(fault("none").kind(), io::ErrorKind::NotFound);
        assert_eq!(system_text(&fault("")), "is a directory");
        let pipe = map("/dev/null").map(|_| ()).unwrap_err();
        assert_eq!(system_text(&pipe), "not a regular file");
    }
}
