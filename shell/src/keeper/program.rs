//! Starting another program in the place of this one, with what is open.

use std::convert::Infallible;
use std::ffi::{CString, OsString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use rustix::fs::{CWD, Mode, OFlags, RawDir};
use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};

use super::Part;
use super::board::{Board, Own};

/// The hidden verb of the command line that goes on with what is open.
pub const VERB: &str = "serve-on";

unsafe extern "C" {
    /// The environment as the C library has it.
    static environ: *const *const libc::c_char;
}

/// The program that runs, and how it is called.
#[derive(Clone, Debug)]
pub struct Program {
    /// The file that it was started from.
    pub file: PathBuf,
    /// Arguments of `shell serve`.
    pub words: Vec<String>,
}

impl Program {
    /// How a program is called that is to be `part`, which finds this board. `file`: what it was
    /// copied from.
    ///
    /// # Errors
    /// A word has a zero byte in it.
    pub fn call(&self, file: &Path, part: Part, board: &Board) -> io::Result<Call> {
        let number = |own: Own| board.own(own).map(|fd| fd.as_raw_fd().to_string());
        let own = number(Own::Board).unwrap_or_default();
        let input = number(Own::Input).map(|fd| [OsString::from("--input"), fd.into()]);
        let part = part.to_possible_value().map(|value| value.get_name().to_owned());
        let fixed = [
            file.as_os_str().to_owned(),
            VERB.into(),
            "--part".into(),
            part.unwrap_or_default().into(),
            "--board".into(),
            own.into(),
            "--file".into(),
            file.as_os_str().to_owned(),
        ];
        let fixed = fixed.into_iter().chain(input.into_iter().flatten()).chain(["--".into()]);
        let words = fixed.chain(self.words.iter().map(OsString::from));
        let words =
            words.map(|word| CString::new(word.as_bytes())).collect::<Result<Vec<_>, _>>()?;
        let pointers = words.iter().map(|word| word.as_ptr()).chain([std::ptr::null()]).collect();
        Ok(Call { _words: words, pointers })
    }
}

/// Arguments as the system takes them. Made before a process is, where memory cannot be had.
pub struct Call {
    _words: Vec<CString>,
    pointers: Vec<*const libc::c_char>,
}

// SAFETY: the pointers lead to the words, which nobody changes.
unsafe impl Send for Call {}

/// The running program, to be started again.
///
/// # Errors
/// The system refused a descriptor.
pub fn running() -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    Ok(rustix::fs::open("/proc/self/exe", flags, Mode::empty())?)
}

/// Has all that is open stay so in the program that is started next. Takes no memory.
///
/// # Errors
/// The descriptors cannot be listed.
pub fn keep_all() -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let list = rustix::fs::openat(CWD, c"/proc/self/fd", flags, Mode::empty())?;
    let mut room = [MaybeUninit::<u8>::uninit(); 8192];
    let mut all = RawDir::new(&list, &mut room);
    while let Some(entry) = all.next() {
        let name = entry?;
        let number = std::str::from_utf8(name.file_name().to_bytes()).ok();
        let number = number.and_then(|name| name.parse::<RawFd>().ok());
        if let Some(fd) = number.filter(|fd| *fd > 2 && *fd != list.as_raw_fd()) {
            // SAFETY: open just now; one that is closed meanwhile is refused, which is no harm.
            let _ = keep(unsafe { BorrowedFd::borrow_raw(fd) });
        }
    }
    Ok(())
}

/// Has a descriptor stay open in the program that is started next.
///
/// # Errors
/// It is not open.
pub fn keep(fd: BorrowedFd<'_>) -> io::Result<()> {
    let flags = fcntl_getfd(fd)?;
    Ok(fcntl_setfd(fd, flags - FdFlags::CLOEXEC)?)
}

/// Starts a program in the place of this one, in the folder in which the service was started. Returns if
/// it cannot be. Takes no memory.
///
/// # Errors
/// Why not.
pub fn start(board: &Board, program: BorrowedFd<'_>, call: &Call) -> io::Result<Infallible> {
    if let Some(folder) = board.own(Own::Folder) {
        rustix::process::fchdir(folder)?;
    }
    // SAFETY: the texts end with zero bytes, the lists with null; nobody changes the environment now.
    unsafe {
        let arguments = call.pointers.as_ptr();
        let flags = libc::AT_EMPTY_PATH;
        libc::syscall(
            libc::SYS_execveat,
            program.as_fd().as_raw_fd(),
            c"".as_ptr(),
            arguments,
            environ,
            flags,
        );
    }
    Err(io::Error::last_os_error())
}

/// What the service was given on its standard input, which the program before has left open.
///
/// # Errors
/// It is not open.
pub fn input_of(fd: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: looked at only, and not closed; where nothing is open the system says so.
    unsafe { BorrowedFd::borrow_raw(fd) }.try_clone_to_owned()
}
