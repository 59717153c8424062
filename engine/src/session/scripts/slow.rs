//! The script that runs, as others see it: whether it has run for so long that they are told, and
//! their wish to end it.

use core::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use abi::script::running;

use super::{locked, state};
use crate::session::command_blob::{self, Blob};
use base::args::Args;
use base::attention;
use base::bytes::{Bytes, from_slice};
use base::core::Core;
use base::error::Error;
use base::roots::Roots;

const BUSY_SCRIPT: Error = Error::new(
    "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
);
const BUSY_FUNCTION: Error = Error::new(
    "BUSY Redis is busy running a script. You can only call FUNCTION KILL or SHUTDOWN NOSAVE.",
);
/// What one hears who wants to end a script where none runs.
pub const NOT_BUSY: Error = Error::new("NOTBUSY No scripts in execution right now.");
const UNKILLABLE: Error = Error::new(
    "UNKILLABLE Sorry the script already executed write commands against the dataset. You can \
     either wait the script termination or kill the server in a hard way using the SHUTDOWN \
     NOSAVE command.",
);

/// Which kind of script has run for so long that clients are told; 0: none has.
#[inline(always)]
pub fn kind(roots: Roots) -> u32 {
    state(roots).slow.load(Relaxed)
}

/// What clients are told while a script of a kind runs for long.
pub fn error(kind: u32) -> Error {
    match kind {
        running::FUNCTION => BUSY_FUNCTION,
        _ => BUSY_SCRIPT,
    }
}

/// A script of a kind begins to run, with every shard locked.
#[inline]
pub fn begin(core: &Core, kind: u32) {
    let state = state(core.roots);
    state.has_written.store(0, Relaxed);
    state.is_to_end.store(0, Relaxed);
    state.running.store(kind, Release);
}

/// It writes.
#[inline]
pub fn has_written(core: &Core) {
    state(core.roots).has_written.store(1, Release);
}

/// Others may be told that it runs: under which name, by which command, and for how long so far.
pub fn tell(core: &Core, name: &[u8], command: Args<'_>, elapsed_ns: u64) {
    let now_ns = core.host.monotonic_ns()();
    state(core.roots).since_ns.store(now_ns.saturating_sub(elapsed_ns), Relaxed);
    let name = from_slice(name, core.heap);
    let command = command_blob::encode(core.heap, command);
    let mut scripts = locked(core);
    let before = (
        core::mem::replace(&mut scripts.slow.name, name),
        core::mem::replace(&mut scripts.slow.command, command),
    );
    drop(scripts);
    for mut bytes in [before.0, before.1] {
        Bytes::new(&mut bytes, core.heap).free();
    }
}

/// Commands of others are refused from now on.
pub fn refuse_others(core: &Core) {
    let state = state(core.roots);
    state.slow.store(state.running.load(Relaxed), Release);
    attention::set(core.roots, attention::BUSY, true);
}

/// Whether somebody has asked for its end.
pub fn is_to_end(core: &Core) -> bool {
    state(core.roots).is_to_end.load(Acquire) != 0
}

/// It has ended.
#[inline]
pub fn end(core: &Core) {
    let state = state(core.roots);
    state.running.store(running::NONE, Release);
    if state.slow.load(Relaxed) != running::NONE {
        end_slow(core);
    }
}

#[cold]
fn end_slow(core: &Core) {
    attention::set(core.roots, attention::BUSY, false);
    state(core.roots).slow.store(running::NONE, Release);
    let mut scripts = locked(core);
    let slow = &mut scripts.slow;
    for bytes in [&mut slow.name, &mut slow.command] {
        Bytes::new(bytes, core.heap).free();
    }
}

/// What becomes of the wish to end the script that runs.
#[derive(Debug, PartialEq, Eq)]
pub enum Kill {
    /// It ends soon.
    Done,
    /// It has not run for long: there is nothing to be said before it has, or is over.
    NotYet,
}

/// Asks for the end of the script that runs, if it is of this kind.
pub fn kill(core: &Core, kind: u32) -> Result<Kill, Error> {
    let state = state(core.roots);
    if state.running.load(Acquire) == running::NONE {
        return Err(NOT_BUSY);
    }
    let slow = state.slow.load(Acquire);
    if slow == running::NONE {
        return Ok(Kill::NotYet);
    }
    if state.has_written.load(Acquire) != 0 {
        return Err(UNKILLABLE);
    }
    if slow != kind {
        return Err(error(slow));
    }
    state.is_to_end.store(1, Release);
    Ok(Kill::Done)
}

/// The server stops: a script that runs for long ends, whatever it has done.
pub fn stop(core: &Core) {
    let state = state(core.roots);
    if state.slow.load(Acquire) != running::NONE {
        state.is_to_end.store(1, Release);
    }
}

/// What is told of a script that runs for long.
pub struct Report {
    /// The function's name, or the script's digest.
    pub name: Vec<u8>,
    /// The command that runs it.
    pub command: Vec<Vec<u8>>,
    /// For how long it has run.
    pub elapsed_ms: u64,
}

/// The script that runs for long, if one does.
pub fn report(core: &Core) -> Option<Report> {
    let scripts = locked(core);
    if kind(core.roots) == running::NONE || scripts.slow.command.len == 0 {
        return None;
    }
    let since_ns = state(core.roots).since_ns.load(Relaxed);
    let blob = Blob::decode(&scripts.slow.command);
    Some(Report {
        name: base::bytes::slice(&scripts.slow.name).to_vec(),
        command: blob.args().from(0).map(<[u8]>::to_vec).collect(),
        elapsed_ms: core.host.monotonic_ns()().saturating_sub(since_ns) / 1_000_000,
    })
}
