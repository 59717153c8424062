//! A process that is begun to hear what it has to say, within a time. Nothing of it is left.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

/// Bytes kept of what the process prints, from its end.
const PRINTED_BYTES_MAX: usize = 4096;
/// Bytes accepted of what it says.
const SAID_BYTES_MAX: usize = 1 << 20;

/// The process, with a group of its own. Killed and reaped when dropped.
pub struct Listened {
    child: Child,
    exited: OwnedFd,
    deadline: Instant,
    said: Vec<u8>,
    printed: VecDeque<u8>,
    has_ended: bool,
}

impl Listened {
    /// Begins it. What it says on its standard output is heard, and the end of what it prints on the
    /// other kept.
    ///
    /// # Errors
    /// The system refused.
    pub fn start(mut command: Command, limit: Duration) -> std::io::Result<Self> {
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn()?;
        let deadline = Instant::now() + limit;
        match pidfd_open(Pid::from_child(&child), PidfdFlags::empty()) {
            Ok(exited) => {
                let (said, printed) = (Vec::new(), VecDeque::new());
                Ok(Self { child, exited, deadline, said, printed, has_ended: false })
            }
            Err(error) => {
                let _ = end(&mut child);
                Err(error.into())
            }
        }
    }

    /// Collects what it says until it has ended. `false`: it has not, but its time is up.
    pub fn listen(&mut self) -> bool {
        let (mut said, mut printed) = (self.child.stdout.take(), self.child.stderr.take());
        for pipe in [said.as_ref().map(AsFd::as_fd), printed.as_ref().map(AsFd::as_fd)] {
            // A pipe left open by a grandchild must not hold us up.
            let _ = pipe.map(|p| rustix::io::ioctl_fionbio(p, true));
        }
        loop {
            let left = self.deadline.saturating_duration_since(Instant::now());
            let ended = wait(&self.exited, said.as_ref(), printed.as_ref(), left);
            drain(&mut said, |bytes| {
                let room = SAID_BYTES_MAX.saturating_sub(self.said.len());
                self.said.extend_from_slice(&bytes[..bytes.len().min(room)]);
            });
            drain(&mut printed, |bytes| {
                self.printed.extend(bytes);
                let excess = self.printed.len().saturating_sub(PRINTED_BYTES_MAX);
                self.printed.drain(..excess);
            });
            if ended {
                return true;
            }
            if left.is_zero() {
                return false;
            }
        }
    }

    /// What it has said.
    pub fn said(&self) -> &[u8] {
        &self.said
    }

    /// Ends it, with all that it has started in its group. Once.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub fn end(&mut self) -> std::io::Result<ExitStatus> {
        self.has_ended = true;
        end(&mut self.child)
    }

    /// The last lines it printed, as a suffix of a message.
    pub fn last_words(&self) -> String {
        let printed: Vec<u8> = self.printed.iter().copied().collect();
        let text = String::from_utf8_lossy(&printed);
        let words: Vec<&str> = text.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
        match words.as_slice() {
            [] => String::new(),
            lines => {
                format!("; it printed: {}", lines[lines.len().saturating_sub(4)..].join(" / "))
            }
        }
    }
}

impl Drop for Listened {
    fn drop(&mut self) {
        if !self.has_ended {
            let _ = end(&mut self.child);
        }
    }
}

/// Kills the process and what it has started, then reaps it. Until then the group's number is nobody
/// else's; to be called once.
fn end(child: &mut Child) -> std::io::Result<ExitStatus> {
    let _ = kill_process_group(Pid::from_child(child), Signal::KILL);
    child.wait()
}

/// Waits until something is to be read or the process has ended; whether it has.
fn wait(
    exited: &OwnedFd,
    said: Option<impl AsFd>,
    printed: Option<impl AsFd>,
    left: Duration,
) -> bool {
    let mut fds = vec![PollFd::new(exited, PollFlags::IN)];
    fds.extend(said.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
    fds.extend(printed.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
    let timeout = Timespec::try_from(left).ok();
    // An interrupted wait is as good as one that found nothing.
    let _ = poll(&mut fds, timeout.as_ref());
    !fds[0].revents().is_empty()
}

/// Reads what is there. Forgets a pipe that has ended.
pub fn drain<P: Read>(pipe: &mut Option<P>, mut take: impl FnMut(&[u8])) {
    let mut buffer = [0; 4096];
    while let Some(open) = pipe {
        match open.read(&mut buffer) {
            Ok(read) if read > 0 => take(&buffer[..read]),
            Err(e) if e.kind() == ErrorKind::WouldBlock => return,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            _ => *pipe = None,
        }
    }
}
