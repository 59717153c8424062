//! How a server ended, for people: what the dying thread wrote, and what all lanes were at.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use abi::client_ref::ClientRef;
use abi::lane::RUNNING_KEYS;

use super::machine::NAMES;
use super::record::{self, Frame, Module, Record, state};
use super::symbols::Symbols;
use crate::arena::roots::Roots;
use crate::logic::image::hex;

/// The folder of reports, in that of upgrades.
const FOLDER: &str = "crashes";
/// Reports that are kept; older ones are removed.
const KEPT: usize = 16;

/// How a server ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// When, Unix ms: of the signal, or else when it was found to have ended.
    pub at_ms: u64,
    /// The exit status or the signal.
    pub end: String,
    /// The logic that goes on.
    pub logic: String,
    /// What the thread wrote that has gone wrong. None: nothing told it, as of SIGKILL and of `exit`.
    pub fault: Option<Fault>,
    /// What lanes were at.
    pub lanes: Vec<LaneAt>,
}

/// What a thread wrote that has gone wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// The signal, and its `si_code`.
    pub signal: u64,
    /// What the kernel says of why.
    pub code: i64,
    /// The address at fault; 0: there is none.
    pub address: String,
    /// Whether the stack had overflowed.
    pub stack_overflow: bool,
    /// The process.
    pub pid: u32,
    /// The thread.
    pub tid: u32,
    /// The lane that the thread was.
    pub lane: Option<u64>,
    /// The generation that the lane ran.
    pub generation: Option<u64>,
    /// Names and values of registers.
    pub registers: Vec<(String, String)>,
    /// The stack, innermost first.
    pub stack: Vec<Place>,
    /// Whether all of the stack was written down.
    pub is_whole: bool,
}

/// A place in a library.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The library's name; empty if it is not known.
    pub module: String,
    /// Its build id.
    pub build_id: String,
    /// Bytes from where it is loaded, hexadecimal.
    pub offset: String,
    /// The function, where there is a name.
    pub function: Option<String>,
}

/// What a lane was at.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneAt {
    /// The lane.
    pub lane: u32,
    /// The command.
    pub command: String,
    /// The client.
    pub client: u64,
    /// The database of its keys.
    pub db: u32,
    /// How many keys it names.
    pub keys: u64,
    /// Their hashes, of the first.
    pub hashes: Vec<String>,
}

/// Reports that are still to be written to a file.
static TAKEN: Mutex<Vec<Report>> = Mutex::new(Vec::new());

/// Takes what the arena says of how its server ended, and has it told. To be called when the arena has
/// been walked over, before it is completed. `now_ms` is Unix time.
///
/// # Safety
/// Nobody uses the arena.
pub unsafe fn take(roots: &Roots, end: String, logic: String, now_ms: u64) -> Report {
    // SAFETY: the caller's promise.
    let record = unsafe { record::get() };
    let is_there = record.state.swap(state::NONE, Relaxed);
    let fault = (is_there != state::NONE).then(|| fault(record, is_there == state::WHOLE));
    let at_ms = if fault.is_some() { record.at_ms.load(Relaxed) } else { now_ms };
    let lanes = (0..roots.lanes()).filter_map(|lane| lane_at(roots, lane)).collect();
    let report = Report { at_ms, end, logic, fault, lanes };
    TAKEN.lock().unwrap_or_else(PoisonError::into_inner).push(report.clone());
    report
}

fn lane_at(roots: &Roots, lane: u32) -> Option<LaneAt> {
    let running = &roots.lane(lane).running;
    let slot = running.command.load(Relaxed).checked_sub(1)?;
    let keys = running.key_count.load(Relaxed);
    let hashes = running.hashes.iter().take(keys.min(RUNNING_KEYS as u64) as usize);
    Some(LaneAt {
        lane,
        command: roots.command_name(slot).unwrap_or_default(),
        client: ClientRef(running.client.load(Relaxed)).id(),
        db: running.db.load(Relaxed),
        keys,
        hashes: hashes.map(|hash| format!("{:#018x}", hash.load(Relaxed))).collect(),
    })
}

fn fault(record: &Record, is_whole: bool) -> Fault {
    let registers = NAMES.iter().zip(&record.registers);
    let process = record.process.load(Relaxed);
    let count = record.frame_count.load(Relaxed) as usize;
    Fault {
        signal: record.signal.load(Relaxed),
        code: record.code.load(Relaxed) as i64,
        address: format!("{:#x}", record.address.load(Relaxed)),
        stack_overflow: record.overflow.load(Relaxed) != 0,
        pid: process as u32,
        tid: (process >> 32) as u32,
        lane: record.lane.load(Relaxed).checked_sub(1),
        generation: Some(record.generation.load(Relaxed)).filter(|number| *number != 0),
        registers: registers
            .map(|(name, value)| ((*name).to_owned(), format!("{:#x}", value.load(Relaxed))))
            .collect(),
        stack: record.frames.iter().take(count).map(|frame| place(record, frame)).collect(),
        is_whole,
    }
}

fn place(record: &Record, frame: &Frame) -> Place {
    let offset = format!("{:#x}", frame.offset.load(Relaxed));
    let module = frame.module.load(Relaxed).checked_sub(1);
    let Some(module) = module.and_then(|index| record.modules.get(index as usize)) else {
        return Place { offset, ..Place::default() };
    };
    let Module { build_id, name, .. } = module;
    let bytes = |words: &[std::sync::atomic::AtomicU64]| -> Vec<u8> {
        words.iter().flat_map(|word| word.load(Relaxed).to_le_bytes()).collect()
    };
    let name: Vec<u8> = bytes(name).into_iter().filter(|byte| *byte != 0).collect();
    let name = String::from_utf8_lossy(&name).into_owned();
    // The program itself has no name for the linker, and a library of logic the one of its copy.
    let file = name.rsplit('/').next().unwrap_or_default();
    let module = match (name.is_empty(), name.contains("/fd/")) {
        (true, _) => "shell",
        (_, true) => "logic",
        _ => file,
    };
    let id = hex(bytes(build_id).get(..20).unwrap_or_default());
    Place { module: module.to_owned(), build_id: id, offset, function: None }
}

/// Writes what was taken to files, with the names of functions, in the folder of upgrades.
///
/// # Errors
/// The folder or a file cannot be written.
pub fn keep(folder: &Path) -> io::Result<()> {
    let taken = std::mem::take(&mut *TAKEN.lock().unwrap_or_else(PoisonError::into_inner));
    if taken.is_empty() {
        return Ok(());
    }
    let folder = folder.join(FOLDER);
    fs::create_dir_all(&folder)?;
    let symbols = Symbols::of_this_process();
    for mut report in taken {
        for place in report.fault.iter_mut().flat_map(|fault| &mut fault.stack) {
            place.function = symbols.name(&place.build_id, &place.offset);
        }
        let text = serde_json::to_vec_pretty(&report)?;
        fs::write(folder.join(format!("{:020}.json", report.at_ms)), text)?;
    }
    let all = files(&folder)?;
    for old in all.iter().rev().skip(KEPT) {
        fs::remove_file(old)?;
    }
    Ok(())
}

/// The files in a folder of reports, oldest first.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut all: Vec<PathBuf> = fs::read_dir(folder)?.flatten().map(|entry| entry.path()).collect();
    all.retain(|path| path.extension().is_some_and(|kind| kind == "json"));
    all.sort();
    Ok(all)
}

/// The reports as they are sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// Oldest first.
    pub reports: Vec<Report>,
}

/// The reports that are kept in the folder of upgrades. What cannot be read is left out.
pub fn all(folder: &Path) -> Shown {
    let files = files(&folder.join(FOLDER)).unwrap_or_default();
    let read = |path: &PathBuf| serde_json::from_slice(&fs::read(path).ok()?).ok();
    Shown { reports: files.iter().filter_map(read).collect() }
}
