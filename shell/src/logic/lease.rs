//! Keeping others from writing to a file while it is copied, where the system lets us.

use std::fs::File;
use std::io::{Error, ErrorKind};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

/// How long a writer is waited for.
const WAIT: Duration = Duration::from_secs(1);
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(10);

/// As the kernel's headers have it for all machines that this runs on; `libc` lacks it.
const F_SETSIG: i32 = 10;

/// Somebody has the file open for writing, and goes on having it.
#[derive(Debug)]
pub struct BeingWritten;

/// A read lease: while it is held, whoever opens the file for writing or cuts it short waits for
/// its end, for as long as `/proc/sys/fs/lease-break-time` says at most.
#[derive(Debug)]
pub struct Lease<'a> {
    file: &'a File,
}

impl<'a> Lease<'a> {
    /// Takes a lease on a file that is open for reading alone. None: the file is another user's,
    /// or its file system has no leases.
    ///
    /// # Errors
    /// [`BeingWritten`].
    pub fn take(file: &'a File) -> Result<Option<Self>, BeingWritten> {
        // A lease that is broken is told by a signal that ends the process, unless it is another.
        if fcntl(file, F_SETSIG, libc::SIGURG).is_err() {
            return Ok(None);
        }
        let until = Instant::now() + WAIT;
        loop {
            match fcntl(file, libc::F_SETLEASE, libc::F_RDLCK) {
                Ok(()) => return Ok(Some(Self { file })),
                Err(error) if error.kind() != ErrorKind::WouldBlock => return Ok(None),
                Err(_) if Instant::now() > until => return Err(BeingWritten),
                Err(_) => std::thread::sleep(BETWEEN_ATTEMPTS),
            }
        }
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        // It also ends with the descriptor.
        let _ = fcntl(self.file, libc::F_SETLEASE, libc::F_UNLCK);
    }
}

fn fcntl(file: &File, command: i32, argument: i32) -> Result<(), Error> {
    // SAFETY: the descriptor is open, and these commands take a number.
    match unsafe { libc::fcntl(file.as_raw_fd(), command, argument) } {
        -1 => Err(Error::last_os_error()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_writer_waits_for_the_end_of_a_lease_and_a_lease_for_the_end_of_a_writer() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let writer = File::create(&path).unwrap();
        let file = File::open(&path).unwrap();
        match Lease::take(&file) {
            Err(BeingWritten) => {}
            // A file system without leases: there is nothing to test.
            Ok(None) => return,
            Ok(Some(_)) => panic!("a file that is open for writing was leased"),
        }
        drop(writer);
        let lease = Lease::take(&file).unwrap().expect("nobody writes any more");
        let flags = rustix::fs::OFlags::WRONLY | rustix::fs::OFlags::NONBLOCK;
        let open = || rustix::fs::open(&path, flags, rustix::fs::Mode::empty());
        assert_eq!(open().unwrap_err(), rustix::io::Errno::AGAIN);
        drop(lease);
        open().unwrap();
    }
}
