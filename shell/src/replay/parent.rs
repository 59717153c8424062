//! Starts the process that runs captured commands, feeds it, and judges how it ended.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{ErrorKind, IoSlice, Read, Write};
use std::mem::MaybeUninit;
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use super::child::{DESCRIPTORS, PROGRESS_BYTES, VERB};
use super::tally::Tally;
use super::{Report, Task};
use crate::logic::image::Image;
use crate::process::listened::drain;
use crate::refusal::{Code, Refusal};

/// Time of a processor that a command may take beyond any doubt: the process is too busy to tell.
const COMMAND_CPU: Duration = Duration::from_secs(1);
/// A command that sleeps for so long does not come back.
const COMMAND_MAX: Duration = Duration::from_secs(30);
/// Bytes kept of what the process prints, from its end.
const PRINTED_BYTES_MAX: usize = 2048;
/// A line of its report may have so many.
const REPORT_BYTES_MAX: usize = 1 << 20;
/// A hundredth of a second: what processes' times are counted in.
const TICK: Duration = Duration::from_millis(10);

/// The process. Killed and reaped when dropped.
pub struct Replay {
    child: Child,
    exited: OwnedFd,
    records: UnixStream,
    progress: File,
    report: Option<ChildStdout>,
    printed: Option<ChildStderr>,
    lines: Vec<u8>,
    last_words: VecDeque<u8>,
    /// What has come of it so far.
    tally: Tally,
    refusal: Option<Refusal>,
    is_ready: bool,
    at: At,
    ended: Option<ExitStatus>,
}

/// The command that it was at when it was last looked, and since when.
struct At {
    number: u64,
    name: String,
    since: Instant,
    cpu: Duration,
}

impl Replay {
    /// Starts it, with an image that has passed its trial.
    ///
    /// # Errors
    /// `io` if the system has no process for it.
    pub fn start(program: &Path, image: &Image, task: Task) -> Result<Self, Refusal> {
        Self::spawn(program, image, task)
            .map_err(|e| Refusal::new(Code::Io, format!("cannot run the process: {e}")))
    }

    fn spawn(program: &Path, image: &Image, task: Task) -> std::io::Result<Self> {
        let (records, theirs) = UnixStream::pair()?;
        let progress = File::from(memfd_create("progress", MemfdFlags::CLOEXEC)?);
        progress.set_len(PROGRESS_BYTES as u64)?;
        let mut child = Command::new(program)
            .args([VERB, image.sha256(), &serde_json::to_string(&task).unwrap_or_default()])
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()?;
        let (report, printed) = (child.stdout.take(), child.stderr.take());
        let exited = pidfd_open(Pid::from_child(&child), PidfdFlags::empty());
        let exited = exited.inspect_err(|_| drop(end(&mut child)))?;
        let replay = Self {
            child,
            exited,
            records,
            progress,
            report,
            printed,
            lines: Vec::new(),
            last_words: VecDeque::new(),
            tally: Tally::default(),
            refusal: None,
            is_ready: false,
            at: At { number: 0, name: String::new(), since: Instant::now(), cpu: Duration::ZERO },
            ended: None,
        };
        send(&replay.records, &[image.as_fd(), replay.progress.as_fd()])?;
        replay.records.set_nonblocking(true)?;
        for pipe in replay.pipes() {
            rustix::io::ioctl_fionbio(pipe, true)?;
        }
        Ok(replay)
    }

    fn pipes(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        let report = self.report.as_ref().map(AsFd::as_fd);
        report.into_iter().chain(self.printed.as_ref().map(AsFd::as_fd))
    }

    /// What has come of it so far.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Whether the library is loaded there, and what it is sent is run at once.
    pub fn is_ready(&self) -> bool {
        self.is_ready
    }

    /// Sends what is pending, as far as it is taken, and listens, for so long at most or until
    /// something happens. What comes back of records is appended to `back`.
    ///
    /// # Errors
    /// The process has ended before it was asked to, or has to be ended: `diverged` if what it runs is
    /// to blame, else what it reports, or `io`.
    pub fn turn(
        &mut self,
        pending: &mut Vec<u8>,
        back: &mut Vec<u8>,
        time: Duration,
    ) -> Result<(), Refusal> {
        let ended = self.wait(!pending.is_empty(), time);
        self.read_back(back);
        self.listen();
        if ended {
            return Err(self.judge());
        }
        self.write(pending);
        self.check_progress()
    }

    fn write(&mut self, pending: &mut Vec<u8>) {
        let mut written = 0;
        while written < pending.len() {
            match self.records.write(&pending[written..]) {
                Ok(0) => break,
                Ok(more) => written += more,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // It is full, or the process has ended, which is seen otherwise.
                Err(_) => break,
            }
        }
        pending.drain(..written);
    }

    fn read_back(&mut self, back: &mut Vec<u8>) {
        let mut buffer = [0; 64 << 10];
        while let Ok(read @ 1..) = self.records.read(&mut buffer) {
            back.extend_from_slice(&buffer[..read]);
        }
    }

    fn listen(&mut self) {
        let Self { report, printed, lines, last_words, .. } = self;
        drain(report, |bytes| {
            if lines.len() + bytes.len() <= REPORT_BYTES_MAX {
                lines.extend_from_slice(bytes);
            }
        });
        drain(printed, |bytes| {
            last_words.extend(bytes);
            let excess = last_words.len().saturating_sub(PRINTED_BYTES_MAX);
            last_words.drain(..excess);
        });
        while let Some(end) = self.lines.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.lines.drain(..=end).collect();
            match serde_json::from_slice(&line) {
                Ok(Report::Tally(tally)) => self.tally = *tally,
                Ok(Report::Refused(refusal)) => self.refusal = Some(refusal),
                Ok(Report::Ready) => self.is_ready = true,
                Err(_) => {}
            }
        }
    }

    /// Waits until something can be read or written or the process has ended; whether it has.
    fn wait(&self, has_pending: bool, time: Duration) -> bool {
        let records = if has_pending { PollFlags::IN | PollFlags::OUT } else { PollFlags::IN };
        let mut fds = vec![PollFd::new(&self.exited, PollFlags::IN)];
        fds.push(PollFd::new(&self.records, records));
        let pipes: Vec<_> = self.pipes().collect();
        fds.extend(pipes.iter().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
        // An interrupted wait is as good as one that found nothing.
        let _ = poll(&mut fds, Timespec::try_from(time).ok().as_ref());
        !fds[0].revents().is_empty()
    }

    /// Which command runs, by its number and name; none runs if that is empty.
    fn running(&self) -> (u64, String) {
        let mut told = [0; PROGRESS_BYTES];
        // What cannot be read is as if it had not been written.
        let _ = self.progress.read_at(&mut told, 0);
        let number = told.first_chunk().map_or(0, |chunk| u64::from_le_bytes(*chunk));
        let name = told[8..].split(|byte| *byte == 0).next().unwrap_or_default();
        (number, String::from_utf8_lossy(name).into_owned())
    }

    /// Whether the command that runs has been running for too long.
    fn check_progress(&mut self) -> Result<(), Refusal> {
        let (number, name) = self.running();
        if number != self.at.number || name.is_empty() {
            let cpu = self.cpu();
            self.at = At { number, name, since: Instant::now(), cpu };
            return Ok(());
        }
        let took = (self.at.since.elapsed(), self.cpu().saturating_sub(self.at.cpu));
        if took.0 < COMMAND_MAX && took.1 < COMMAND_CPU {
            return Ok(());
        }
        let At { name, number, .. } = &self.at;
        let message = format!(
            "the version does not come back from {name}, the {number}th command it was given: {:.1} s, of \
             which it has run {:.1}",
            took.0.as_secs_f64(),
            took.1.as_secs_f64()
        );
        Err(Refusal::new(Code::Diverged, message))
    }

    /// The processor's time that it has taken.
    fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()));
        let stat = stat.unwrap_or_default();
        let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_ascii_whitespace();
        let ticks =
            fields.skip(11).take(2).filter_map(|field| field.parse::<u32>().ok()).sum::<u32>();
        TICK * ticks
    }

    /// No more records come: waits until all are run and the process has ended.
    ///
    /// # Errors
    /// As [`Replay::turn`].
    pub fn finish(&mut self, back: &mut Vec<u8>) -> Result<(), Refusal> {
        let _ = self.records.shutdown(Shutdown::Write);
        loop {
            let ended = self.wait(false, TICK);
            self.read_back(back);
            self.listen();
            if ended {
                let status = self.reap();
                return if status.is_some_and(|s| s.success()) {
                    Ok(())
                } else {
                    Err(self.judge())
                };
            }
            self.check_progress()?;
        }
    }

    fn reap(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = end(&mut self.child).ok();
        }
        self.ended
    }

    /// Why it has ended.
    fn judge(&mut self) -> Refusal {
        let status = self.reap();
        self.listen();
        if let Some(refusal) = self.refusal.take() {
            return refusal;
        }
        let (number, name) = self.running();
        let how = match status.map(|status| (status.signal(), status.code())) {
            Some((Some(signal), _)) => format!("by signal {signal}"),
            Some((_, Some(code))) => format!("with status {code}"),
            _ => "as nobody knows".to_owned(),
        };
        let at = match name.as_str() {
            "" => "between commands".to_owned(),
            name => format!("in {name}, the {number}th command it was given"),
        };
        let words: Vec<u8> = self.last_words.iter().copied().collect();
        let words = String::from_utf8_lossy(&words);
        let last = words.lines().rfind(|line| !line.trim().is_empty());
        let last = last.map_or_else(String::new, |line| format!("; it printed: {line}"));
        Refusal::new(Code::Diverged, format!("the version's process ended {how} {at}{last}"))
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        self.reap();
    }
}

/// Kills the process and what the library has started there, then reaps it. Until then the group's
/// number is nobody else's; to be called once.
fn end(child: &mut Child) -> std::io::Result<ExitStatus> {
    if let Ok(Some(status)) = child.try_wait() {
        return Ok(status);
    }
    let _ = kill_process_group(Pid::from_child(child), Signal::KILL);
    child.wait()
}

fn send(socket: &UnixStream, descriptors: &[BorrowedFd<'_>; DESCRIPTORS]) -> std::io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    ancillary.push(SendAncillaryMessage::ScmRights(descriptors));
    sendmsg(socket, &[IoSlice::new(b"!")], &mut ancillary, SendFlags::empty())?;
    Ok(())
}
