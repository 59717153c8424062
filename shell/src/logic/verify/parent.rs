//! Starts the verifying process, listens to it, and judges how it ended.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use super::{Report, Step, Verdict, strays};
use crate::logic::image::Image;
use crate::logic::trust::Trusted;
use crate::refusal::{Code, Refusal};

/// The hidden verb of the command line that runs [`super::child::run`].
pub const VERB: &str = "__verify";

/// What a library may take to be verified, unless told otherwise.
pub const TIME_LIMIT: Duration = Duration::from_secs(10);

/// Lanes that a library is tried with where there is no server that would say how many it has.
pub const LANES: u32 = 8;

/// Bytes kept of what the process prints, from its end.
const PRINTED_BYTES_MAX: usize = 4096;
/// Bytes of report accepted.
const REPORT_BYTES_MAX: usize = 1 << 20;

/// How libraries are verified.
#[derive(Debug, Clone)]
pub struct Verifier {
    /// The program that knows [`VERB`].
    pub program: PathBuf,
    /// When to give up.
    pub time_limit: Duration,
    /// Lanes of the server that the library is for.
    pub lanes: u32,
    /// Who must have signed a library, before it is run anywhere; none: nobody.
    pub trusted: Option<Trusted>,
}

impl Default for Verifier {
    /// This very program, also when its file has been replaced.
    fn default() -> Self {
        Self {
            program: PathBuf::from("/proc/self/exe"),
            time_limit: TIME_LIMIT,
            lanes: LANES,
            trusted: None,
        }
    }
}

impl Verifier {
    /// Tries an image out. Returns after the time limit at the latest, with nothing left running.
    ///
    /// # Errors
    /// What the process reports, or `load_aborted`, `load_crashed`, `load_exited`,
    /// `load_timeout` for how it ended; `io` if it could not be started; as [`Trusted::check`].
    pub fn verify(&self, image: &Image) -> Result<Verdict, Refusal> {
        self.trusted.as_ref().map_or(Ok(()), |trusted| trusted.check(image))?;
        let mut trial = Trial::start(self, image).map_err(|e| {
            Refusal::new(Code::Io, format!("cannot run the verifying process: {e}"))
        })?;
        let in_time = trial.listen();
        // Before the rest of its group is killed, which would not be counted then.
        let strays = strays::kill(&trial.mark);
        let status = trial.end();
        let verdict = trial.judge(in_time, status, self.time_limit)?;
        if strays == 0 {
            return Ok(verdict);
        }
        let message = format!("the library has started {strays} processes, which were killed");
        Err(Refusal::new(Code::StartsProcesses, message))
    }
}

/// A verifying process. Killed and reaped when dropped.
struct Trial {
    child: Child,
    exited: OwnedFd,
    mark: String,
    deadline: Instant,
    report: Vec<u8>,
    printed: VecDeque<u8>,
    has_ended: bool,
}

impl Trial {
    fn start(verifier: &Verifier, image: &Image) -> std::io::Result<Self> {
        let (memory, mark) = (image.as_fd().try_clone_to_owned()?, strays::mark());
        let mut child = Command::new(&verifier.program)
            .args([VERB, image.sha256(), &verifier.lanes.to_string()])
            .env("RUST_BACKTRACE", "0")
            .env(strays::VARIABLE, &mark)
            .stdin(Stdio::from(memory))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()?;
        let deadline = Instant::now() + verifier.time_limit;
        match pidfd_open(Pid::from_child(&child), PidfdFlags::empty()) {
            Ok(exited) => {
                let (report, printed) = (Vec::new(), VecDeque::new());
                Ok(Self { child, exited, mark, deadline, report, printed, has_ended: false })
            }
            Err(error) => {
                let _ = end(&mut child);
                Err(error.into())
            }
        }
    }

    /// Collects what it says until it has ended. `false`: it has not, but its time is up.
    fn listen(&mut self) -> bool {
        let (mut report, mut printed) = (self.child.stdout.take(), self.child.stderr.take());
        for pipe in [report.as_ref().map(AsFd::as_fd), printed.as_ref().map(AsFd::as_fd)] {
            // A pipe left open by a grandchild must not hold us up.
            let _ = pipe.map(|p| rustix::io::ioctl_fionbio(p, true));
        }
        loop {
            let left = self.deadline.saturating_duration_since(Instant::now());
            let ended = wait(&self.exited, report.as_ref(), printed.as_ref(), left);
            drain(&mut report, |bytes| {
                let room = REPORT_BYTES_MAX.saturating_sub(self.report.len());
                self.report.extend_from_slice(&bytes[..bytes.len().min(room)]);
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

    fn end(&mut self) -> std::io::Result<ExitStatus> {
        self.has_ended = true;
        end(&mut self.child)
    }

    fn judge(
        &self,
        in_time: bool,
        status: std::io::Result<ExitStatus>,
        limit: Duration,
    ) -> Result<Verdict, Refusal> {
        let (mut step, mut at) = (Step::Start, String::new());
        let lines = self.report.split(|byte| *byte == b'\n');
        for report in lines.filter_map(|line| serde_json::from_slice(line).ok()) {
            match report {
                Report::Step(reached) => (step, at) = (reached, String::new()),
                Report::Line(line) => at = format!(" at '{line}'"),
                Report::Passed(verdict) if in_time => return Ok(verdict),
                Report::Refused(refusal) => return Err(refusal),
                Report::Passed(_) => {}
            }
        }
        let panicked = step == Step::CatchPanic;
        let step = format!("{}{at}", step.name());
        if !in_time {
            let message =
                format!("the library was not verified within {limit:?}; it hung in {step}");
            return Err(Refusal::new(Code::LoadTimeout, message));
        }
        let (code, how) = match status.map(|s| (s.signal(), s.code())) {
            Ok((Some(signal), _)) if signal == Signal::KILL.as_raw() => {
                (Code::VerifyKilled, "killed from outside".to_owned())
            }
            Ok((Some(_), _)) if panicked => (Code::PanicsEndProcess, "it panicked".to_owned()),
            Ok((Some(signal), _)) => by_signal(signal),
            Ok((None, code)) => (Code::LoadExited, format!("exit status {}", code.unwrap_or(-1))),
            Err(error) => (Code::Io, error.to_string()),
        };
        let message = format!("the verifying process ended in {step}: {how}{}", self.last_words());
        Err(Refusal::new(code, message))
    }

    /// The last lines it printed, as a suffix of a message.
    fn last_words(&self) -> String {
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

impl Drop for Trial {
    fn drop(&mut self) {
        if !self.has_ended {
            let _ = end(&mut self.child);
        }
    }
}

/// Kills the process and what the library has started there, then reaps it. Until then the group's
/// number is nobody else's; to be called once.
fn end(child: &mut Child) -> std::io::Result<ExitStatus> {
    let _ = kill_process_group(Pid::from_child(child), Signal::KILL);
    child.wait()
}

/// Waits until something is to be read or the process has ended; whether it has.
fn wait(
    exited: &OwnedFd,
    report: Option<impl AsFd>,
    printed: Option<impl AsFd>,
    left: Duration,
) -> bool {
    let mut fds = vec![PollFd::new(exited, PollFlags::IN)];
    fds.extend(report.as_ref().map(|pipe| PollFd::new(pipe, PollFlags::IN)));
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

fn by_signal(signal: i32) -> (Code, String) {
    let name = match signal {
        s if s == Signal::ABORT.as_raw() => return (Code::LoadAborted, "abort".to_owned()),
        s if s == Signal::SEGV.as_raw() => "segmentation fault",
        s if s == Signal::BUS.as_raw() => "bus error",
        s if s == Signal::ILL.as_raw() => "illegal instruction",
        s if s == Signal::FPE.as_raw() => "arithmetic exception",
        s => return (Code::LoadCrashed, format!("signal {s}")),
    };
    (Code::LoadCrashed, name.to_owned())
}
