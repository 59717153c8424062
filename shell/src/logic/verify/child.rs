//! The process in which a library is tried out. It may crash, hang or exit at any step.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use abi::container::RawBytes;
use abi::host::HostRef;
use abi::logic::LogicRef;
use abi::manifest::Manifest;
use abi::stats::LANES_MAX;
use abi::status::Status;
use rustix::process::{Resource, Rlimit};

use super::battery::{self, Compared, Line};
use super::trial::{Trial, check, text_of};
use super::{Report, Step, Verdict, stand_in};
use crate::logic::image::Image;
use crate::logic::library::Library;
use crate::logic::{identity, layout};
use crate::refusal::{Code, Refusal};

/// Address space the library may use, in bytes.
const ADDRESS_SPACE_BYTES: u64 = 16 << 30;
/// Descriptors the library may have open.
const DESCRIPTORS: u64 = 64;
/// Texts that a battery may consist of.
const BATTERIES_MAX: u32 = 1000;

/// Verifies the image on standard input, which has this hash, for a server with so many lanes, and
/// reports on standard output, a JSON object a line.
pub fn run(sha256: String, lanes: u32) -> ExitCode {
    let Ok((image, mut reporter)) = take_channels() else { return ExitCode::FAILURE };
    let report = match verify(image, sha256, lanes.clamp(1, LANES_MAX as u32), &mut reporter) {
        Ok(verdict) => Report::Passed(verdict),
        Err(refusal) => Report::Refused(refusal),
    };
    reporter.send(&report);
    ExitCode::SUCCESS
}

struct Reporter(File);

impl Reporter {
    fn send(&mut self, report: &Report) {
        let mut line = serde_json::to_vec(report).unwrap_or_default();
        line.push(b'\n');
        // A parent that does not listen any more needs no report.
        let _ = self.0.write_all(&line);
    }

    fn step(&mut self, step: Step) {
        self.send(&Report::Step(step));
    }
}

/// Moves image and report away from where the library would read and print.
fn take_channels() -> std::io::Result<(File, Reporter)> {
    let image = std::io::stdin().as_fd().try_clone_to_owned()?;
    let report = std::io::stdout().as_fd().try_clone_to_owned()?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    rustix::stdio::dup2_stdout(std::io::stderr())?;
    Ok((File::from(image), Reporter(File::from(report))))
}

fn verify(
    image: File,
    sha256: String,
    lanes: u32,
    reporter: &mut Reporter,
) -> Result<Verdict, Refusal> {
    reporter.step(Step::Start);
    limit().map_err(|e| Refusal::new(Code::Io, format!("limits of the verifying process: {e}")))?;
    let image = Image::inherited(image, sha256)?;
    let host = stand_in::table()?;
    let threads = threads();
    reporter.step(Step::Open);
    // SAFETY: this process exists to be lost.
    let library = unsafe { Library::open(Arc::new(image)) }?;
    reporter.step(Step::Layout);
    let (logic, manifest) = check_contract(&library)?;
    reporter.step(Step::Manifest);
    identity::check(&manifest)?;
    let (identity, abilities) = identity::describe(&manifest, library.image());
    // All its commands are to be tried, those of its newest level among them.
    stand_in::memory()?.roots.schema().level.store(abilities.schema_writes.into(), Relaxed);
    let requests = exercise(logic, host, lanes, reporter)?;
    check_started(threads)?;
    reporter.step(Step::Close);
    check(Step::Close.name(), logic.detach()(), Code::AttachFailed, "")?;
    let leaked_bytes = logic.outstanding_bytes()();
    let unloads = !library.close()?;
    Ok(Verdict { identity, abilities, requests, unloads, leaked_bytes })
}

/// Opens and attaches an image that has passed its trial, in a process that exists to be lost.
///
/// # Errors
/// What is wrong with it.
pub fn attached(image: File, sha256: String) -> Result<(Library, LogicRef), Refusal> {
    limit().map_err(|e| Refusal::new(Code::Io, format!("limits of the process: {e}")))?;
    let image = Image::inherited(image, sha256)?;
    let host = stand_in::table()?;
    // SAFETY: this process exists to be lost.
    let library = unsafe { Library::open(Arc::new(image)) }?;
    let (logic, manifest) = check_contract(&library)?;
    identity::check(&manifest)?;
    check(Step::Attach.name(), logic.attach()(host), Code::AttachFailed, "")?;
    Ok((library, logic))
}

fn limit() -> rustix::io::Result<()> {
    let set = |resource, most: u64| {
        // What the server may not have, this process may not ask for.
        let most = rustix::process::getrlimit(resource).maximum.map_or(most, |max| most.min(max));
        let limit = Rlimit { current: Some(most), maximum: Some(most) };
        rustix::process::setrlimit(resource, limit)
    };
    // When memory runs out this process is to go, not the server. Without /proc it cannot be told.
    let _ = std::fs::write("/proc/self/oom_score_adj", "1000");
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    set(Resource::Core, 0)?;
    // A sanitiser's notes take terabytes of address space, nearly all of it untouched.
    if !cfg!(sanitised) {
        set(Resource::As, ADDRESS_SPACE_BYTES)?;
    }
    set(Resource::Nofile, DESCRIPTORS)
}

/// A manifest of another version may be longer than ours; this has room for it.
#[repr(C)]
struct RoomyManifest {
    manifest: Manifest,
    room: [u64; 512],
}

/// Compares versions and layouts. A library for another ABI version nearly always has other
/// layouts too; the version is then what the operator needs to hear.
fn check_contract(library: &Library) -> Result<(LogicRef, Manifest), Refusal> {
    let layouts = layout::check(library.header()?);
    // SAFETY: nothing is called through the table but `manifest`, its first function in every
    // version, before the layouts are known to agree.
    let logic = unsafe { library.logic() }?;
    // SAFETY: both types are returned through memory of the caller's; the library fills in the
    // first bytes of it.
    let ask: extern "C" fn() -> RoomyManifest = unsafe { std::mem::transmute(logic.manifest()) };
    let manifest = ask().manifest;
    identity::check_abi_version(manifest.abi_version)?;
    layouts.map(|()| (logic, manifest))
}

/// Attaches the library, runs its test, has it panic, makes a scratch for every lane and runs its
/// battery there. Returns how many requests that had.
fn exercise(
    logic: LogicRef,
    host: HostRef,
    lanes: u32,
    reporter: &mut Reporter,
) -> Result<usize, Refusal> {
    reporter.step(Step::Attach);
    check(Step::Attach.name(), logic.attach()(host), Code::AttachFailed, "")?;
    reporter.step(Step::SelfTest);
    let mut error = RawBytes::EMPTY;
    let status = logic.self_test()(&mut error);
    check(Step::SelfTest.name(), status, Code::SelfTestFailed, &text_of(&error))?;
    reporter.step(Step::CatchPanic);
    if logic.catch_panic()() != Status::PANICKED {
        let message = "the library did not report a panic that it was to catch";
        return Err(Refusal::new(Code::PanicsEndProcess, message));
    }
    reporter.step(Step::Scratch);
    let mut trial = Trial::start(logic, lanes)?;
    reporter.step(Step::Battery);
    let texts = (0..BATTERIES_MAX).map(|index| logic.battery()(index));
    let mut requests = 0;
    for text in texts.take_while(|text| !text.is_empty()) {
        let lines = battery::parse(text.as_str());
        let lines = lines.map_err(|text| Refusal::new(Code::BatteryFailed, text))?;
        for line in lines {
            requests += usize::from(run_line(&mut trial, &line, reporter)?);
        }
        trial.rest()?;
    }
    Ok(requests)
}

/// Runs a line of a battery; says whether it was a request.
fn run_line(trial: &mut Trial, line: &Line, reporter: &mut Reporter) -> Result<bool, Refusal> {
    let at = |refusal: Refusal| {
        let message = format!("{}, at '{}'", refusal.message, line.text);
        Refusal { message, ..refusal }
    };
    let heard = match &line.step {
        battery::Step::Nothing => return Ok(false),
        battery::Step::Configure(words) => {
            return trial.configure(words).map_err(at).map(|()| false);
        }
        battery::Step::Ask { connection, request, .. }
        | battery::Step::Send { connection, request } => {
            reporter.send(&Report::Line(line.text.clone()));
            trial.send(*connection, request).map_err(at)?;
            trial.unread(*connection)
        }
        battery::Step::Hear { connection, compared } => {
            let is_whole = *compared == Compared::Whole;
            let bytes_max = if is_whole { line.reply.len() } else { usize::MAX };
            trial.hear(*connection, bytes_max).map_err(at)?
        }
    };
    if line.accepts(&heard) {
        return Ok(true);
    }
    let (got, expected) = (heard.escape_ascii(), line.reply.escape_ascii());
    let message = format!(
        "line {} of the battery, '{}', is to be answered '{expected:.200}', not '{got:.200}'",
        line.number, line.text
    );
    Err(Refusal::new(Code::BatteryFailed, message))
}

/// Threads of this process.
fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(1, Iterator::count)
}

/// What the library has started is still there when it is gone.
fn check_started(threads_before: usize) -> Result<(), Refusal> {
    match threads().saturating_sub(threads_before) {
        0 => Ok(()),
        more => {
            let message = format!("the library has started {more} threads");
            Err(Refusal::new(Code::StartsThreads, message))
        }
    }
}
