//! `shell check`: what is in a file of data and what is wrong with it, without a server.
//!
//! Logic reads the file, in a memory of its own, and reports; see [`report`]. What is salvaged are
//! parts of the file as they are, so that nothing here knows its format.

mod log;
pub mod report;
mod salvage;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use abi::container::RawBytes;
use abi::status::Status;

use super::{output, serve};
use crate::arena;
use crate::logic;
use crate::logic::verify::parent::Verifier;
use crate::logic::verify::stand_in;
use crate::refusal::{Code, Refusal};
use crate::server::take_text;
use log::LogReport;
use report::Report;

/// Address space for the values of a file, which are made one at a time.
const ARENA_BYTES: u64 = 64 << 30;

/// Arguments of the verb.
#[derive(clap::Args)]
pub struct Args {
    /// The file: of data, as SAVE writes it; of an append-only log; or the manifest of one.
    file: PathBuf,
    /// Write what can be read of it to this file, or of a manifest to this folder, which must not
    /// exist.
    #[arg(long, value_name = "OUT")]
    salvage: Option<PathBuf>,
    /// Of a log that tells the time, salvage nothing that was written after this Unix second.
    #[arg(long, value_name = "SECONDS", requires = "salvage")]
    truncate_to_timestamp: Option<u64>,
    /// The logic that reads it [default: liblogic_v1.so beside the executable].
    #[arg(long, value_name = "PATH")]
    logic: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Runs it.
pub fn run(args: &Args) -> ExitCode {
    match is_log(&args.file) {
        Ok(true) => return run_log(args),
        Ok(false) => {}
        Err(refusal) => return output::refuse(args.json, &refusal),
    }
    match check(args) {
        Ok(report) => {
            output::print(args.json, &report, Report::describe);
            match report.faults {
                0 => ExitCode::SUCCESS,
                _ => ExitCode::from(Code::DataDamaged.row().exit),
            }
        }
        Err(refusal) => output::refuse(args.json, &refusal),
    }
}

/// Whether a file is one of an append-only log: a manifest, or commands, or data with commands behind.
fn is_log(path: &Path) -> Result<bool, Refusal> {
    let is_named_so = path.extension().is_some_and(|extension| extension == "aof");
    Ok(log::is_manifest(path) || is_named_so || is_increment(path)?)
}

/// Whether a file begins as an increment does.
fn is_increment(path: &Path) -> Result<bool, Refusal> {
    let mut begin = [0];
    let read = File::open(path).and_then(|mut file| file.read(&mut begin));
    match read {
        Ok(read) => Ok(read == 1 && matches!(begin[0], b'*' | b'#')),
        // Who reads it as a file of data says what is wrong.
        Err(_) => Ok(false),
    }
}

fn run_log(args: &Args) -> ExitCode {
    let looked = LogReport::of(&args.file, args.truncate_to_timestamp, &|path| {
        examine(args.logic.as_deref(), path)
    });
    let salvaged = looked.and_then(|mut report| {
        if let Some(out) = &args.salvage {
            report.salvage(out)?;
        }
        Ok(report)
    });
    match salvaged {
        Ok(report) => {
            output::print(args.json, &report, LogReport::describe);
            match report.faults {
                0 => ExitCode::SUCCESS,
                _ => ExitCode::from(Code::DataDamaged.row().exit),
            }
        }
        Err(refusal) => output::refuse(args.json, &refusal),
    }
}

fn check(args: &Args) -> Result<Report, Refusal> {
    let mut report = examine(args.logic.as_deref(), &args.file)?;
    if let Some(out) = &args.salvage {
        salvage::write(&args.file, out, &report)?;
        report.salvaged = Some(out.clone());
    }
    Ok(report)
}

/// What is in a file, as this logic reads it, or the one beside the executable.
///
/// # Errors
/// `data_unreadable`, or the logic cannot be used.
pub fn examine(logic: Option<&Path>, file: &Path) -> Result<Report, Refusal> {
    let library = match logic {
        Some(path) => path.to_owned(),
        None => serve::default_logic().map_err(|e| Refusal::new(Code::Io, e.to_string()))?,
    };
    Report::parse(file, &read(&library, file)?)
}

/// What logic tells of a file.
fn read(library: &Path, file: &Path) -> Result<String, Refusal> {
    const UNREADABLE: Code = Code::DataUnreadable;
    let path = file.to_str().ok_or_else(|| Refusal::new(UNREADABLE, "the path is not in UTF-8"))?;
    let host = stand_in::table_with(ARENA_BYTES)?;
    let generation =
        logic::start(library, None, host, 1, &Verifier { lanes: 1, ..Verifier::default() })?;
    arena::bind_thread(0);
    let status = generation.logic().init()(generation.scratch(0));
    if !status.is_ok() {
        let message = format!("the logic failed to set up its memory (status {})", status.0);
        return Err(Refusal::new(Code::AttachFailed, message));
    }
    let mut report = RawBytes::EMPTY;
    let status = generation.check_file(0, path, &mut report);
    let text = take_text(report);
    match status {
        Status::OK => Ok(text),
        Status::FAILED => Err(Refusal::new(UNREADABLE, text)),
        Status::NO_MEMORY => {
            Err(Refusal::new(UNREADABLE, "there is too little memory for a value"))
        }
        Status(number) => {
            let message = format!("the logic failed to read {path} (status {number})");
            Err(Refusal::new(Code::Internal, message))
        }
    }
}
