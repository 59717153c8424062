//! Leaving the foreground.

use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, exit};

use rustix::process::{Pid, WaitOptions};
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};

/// A process that has left the foreground, but not yet who started it: that waits to hear that all
/// is well, and sees till then what is printed.
#[derive(Debug)]
pub struct Daemon {
    started: io::PipeWriter,
}

/// Goes on in a process of its own, in a session of its own. The one that was started ends when that
/// is [`Daemon::ready`], or as that ends before.
///
/// # Errors
/// The system refused a process, or there are threads, which would not go on.
pub fn daemonize() -> io::Result<Daemon> {
    super::check_alone()?;
    let (reader, started) = io::pipe()?;
    // SAFETY: the process has one thread, so what goes on finds nothing half done by another.
    match unsafe { libc::fork() } {
        ..0 => Err(io::Error::last_os_error()),
        0 => {
            drop(reader);
            rustix::process::setsid()?;
            Ok(Daemon { started })
        }
        child => {
            drop(started);
            exit(wait(reader, child))
        }
    }
}

/// Waits until the process that goes on is ready, or has ended. Gives the exit status.
fn wait(mut reader: io::PipeReader, child: i32) -> i32 {
    const FAILED: i32 = 1;
    if reader.read_exact(&mut [0]).is_ok() {
        return 0;
    }
    let ended = Pid::from_raw(child)
        .and_then(|child| rustix::process::waitpid(Some(child), WaitOptions::empty()).ok()?);
    let status = ended.map(|(_, status)| ExitStatus::from_raw(status.as_raw()));
    status.and_then(|status| status.code()).unwrap_or(FAILED)
}

impl Daemon {
    /// Lets go of who started it, and of the terminal.
    ///
    /// # Errors
    /// `/dev/null` cannot be opened.
    pub fn ready(mut self) -> io::Result<()> {
        let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
        dup2_stdin(&null)?;
        dup2_stdout(&null)?;
        dup2_stderr(&null)?;
        // Who does not wait any more need not know.
        let _ = self.started.write_all(&[1]);
        Ok(())
    }
}
