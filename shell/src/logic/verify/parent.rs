//! Starts the verifying process, listens to it, and judges how it ended.

use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::Signal;

use super::{Report, Step, Verdict, strays};
use crate::logic::image::Image;
use crate::logic::trust::Trusted;
use crate::process::listened::Listened;
use crate::refusal::{Code, Refusal};

/// The hidden verb of the command line that runs [`super::child::run`].
pub const VERB: &str = "__verify";

/// What a library may take to be verified, unless told otherwise.
pub const TIME_LIMIT: Duration = Duration::from_secs(10);

/// Lanes that a library is tried with where there is no server that would say how many it has.
pub const LANES: u32 = 8;

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
        let in_time = trial.process.listen();
        // Before the rest of its group is killed, which would not be counted then.
        let strays = strays::kill(&trial.mark);
        let status = trial.process.end();
        let verdict = trial.judge(in_time, status, self.time_limit)?;
        if strays == 0 {
            return Ok(verdict);
        }
        let message = format!("the library has started {strays} processes, which were killed");
        Err(Refusal::new(Code::StartsProcesses, message))
    }
}

/// A verifying process.
struct Trial {
    process: Listened,
    mark: String,
}

impl Trial {
    fn start(verifier: &Verifier, image: &Image) -> std::io::Result<Self> {
        let (memory, mark) = (image.as_fd().try_clone_to_owned()?, strays::mark());
        let mut command = Command::new(&verifier.program);
        command
            .args([VERB, image.sha256(), &verifier.lanes.to_string()])
            .env("RUST_BACKTRACE", "0")
            .env(strays::VARIABLE, &mark)
            .stdin(Stdio::from(memory));
        Ok(Self { process: Listened::start(command, verifier.time_limit)?, mark })
    }

    fn judge(
        &self,
        in_time: bool,
        status: std::io::Result<ExitStatus>,
        limit: Duration,
    ) -> Result<Verdict, Refusal> {
        let (mut step, mut at) = (Step::Start, String::new());
        let lines = self.process.said().split(|byte| *byte == b'\n');
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
        let message =
            format!("the verifying process ended in {step}: {how}{}", self.process.last_words());
        Err(Refusal::new(code, message))
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
