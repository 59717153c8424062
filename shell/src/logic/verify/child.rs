//! The process in which a library is tried out. It may crash, hang or exit at any step.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::sync::Arc;

use abi::container::RawBytes;
use abi::logic::LogicRef;
use abi::manifest::Manifest;
use abi::status::Status;
use rustix::process::{Resource, Rlimit};

use super::{Report, Step, Verdict, stand_in};
use crate::logic::image::Image;
use crate::logic::library::Library;
use crate::logic::{identity, layout};
use crate::refusal::{Code, Refusal};

/// Address space the library may use, in bytes.
const ADDRESS_SPACE_BYTES: u64 = 16 << 30;
/// Descriptors the library may have open.
const DESCRIPTORS: u64 = 64;

/// Verifies the image on standard input, which has this hash, and reports on standard output, a
/// JSON object a line.
pub fn run(sha256: String) -> ExitCode {
    let Ok((image, mut reporter)) = take_channels() else { return ExitCode::FAILURE };
    let report = match verify(image, sha256, &mut reporter) {
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

fn verify(image: File, sha256: String, reporter: &mut Reporter) -> Result<Verdict, Refusal> {
    reporter.step(Step::Start);
    limit().map_err(|e| Refusal::new(Code::Io, format!("limits of the verifying process: {e}")))?;
    let image = Image::inherited(image, sha256)?;
    reporter.step(Step::Open);
    // SAFETY: this process exists to be lost.
    let library = unsafe { Library::open(Arc::new(image)) }?;
    reporter.step(Step::Layout);
    let (logic, manifest) = check_contract(&library)?;
    reporter.step(Step::Manifest);
    identity::check(&manifest)?;
    let (identity, abilities) = identity::describe(&manifest, library.image());
    let leaked_bytes = exercise(logic, reporter)?;
    reporter.step(Step::Close);
    let unloads = !library.close()?;
    Ok(Verdict { identity, abilities, unloads, leaked_bytes })
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

/// Attaches the library, runs its test, has it panic, makes and drops a scratch, and detaches it.
/// Returns the
/// bytes it has leaked.
fn exercise(logic: LogicRef, reporter: &mut Reporter) -> Result<i64, Refusal> {
    reporter.step(Step::Attach);
    ok(Step::Attach, Code::AttachFailed, logic.attach()(stand_in::table()), "")?;
    reporter.step(Step::SelfTest);
    let mut error = RawBytes::EMPTY;
    let status = logic.self_test()(&mut error);
    ok(Step::SelfTest, Code::SelfTestFailed, status, &text_of(&error))?;
    reporter.step(Step::CatchPanic);
    if logic.catch_panic()() != Status::PANICKED {
        let message = "the library did not report a panic that it was to catch";
        return Err(Refusal::new(Code::PanicsEndProcess, message));
    }
    reporter.step(Step::Scratch);
    let scratch = logic.scratch_new()(0);
    if scratch.is_null() {
        return Err(Refusal::new(Code::AttachFailed, "the library could not make a scratch"));
    }
    logic.scratch_drop()(scratch);
    check_threads()?;
    ok(Step::Close, Code::AttachFailed, logic.detach()(), "")?;
    Ok(logic.outstanding_bytes()())
}

/// This process has had one thread so far.
fn check_threads() -> Result<(), Refusal> {
    let threads = std::fs::read_dir("/proc/self/task").map_or(1, Iterator::count);
    if threads == 1 {
        return Ok(());
    }
    let message = format!("the library has started {} threads", threads - 1);
    Err(Refusal::new(Code::StartsThreads, message))
}

fn ok(step: Step, code: Code, status: Status, text: &str) -> Result<(), Refusal> {
    let step = step.name();
    match status {
        Status::OK => Ok(()),
        Status::PANICKED => {
            Err(Refusal::new(Code::LoadPanicked, format!("the library panicked in {step}: {text}")))
        }
        Status(number) => {
            Err(Refusal::new(code, format!("{step} ended with status {number}: {text}")))
        }
    }
}

/// The text a library left in memory of the stand-in host's. Not freed: this process ends soon.
fn text_of(text: &RawBytes) -> String {
    if text.data.is_null() {
        return String::new();
    }
    // SAFETY: the library says that so many bytes are there.
    let bytes = unsafe { std::slice::from_raw_parts(text.data.as_ptr(), text.len as usize) };
    String::from_utf8_lossy(bytes).into_owned()
}
