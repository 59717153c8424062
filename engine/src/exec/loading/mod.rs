//! Loading a file of data: at the start of the server, and for `DEBUG`.
//!
//! [`begin`] looks at how the file begins; then each lane takes [pieces](load_piece) of it until none
//! is left; [`end`] tells how it went. A piece is some hundred records: where it ends is found under a
//! lock, by passing over values without reading them ([`piece`]), and its keys are made without it
//! ([`keys`]). Where the next piece begins and what was found so far stands in
//! [`abi::loading::Loading`], so nothing but that outlives a piece.

mod about;
mod check;
mod fault;
mod keys;
mod piece;

use core::sync::atomic::Ordering::Relaxed;

use abi::host::level;
use abi::loading::Loading;

use crate::exec::thread::Exec;
use base::bytes::{self, Bytes, take_text};
use base::core::Core;
use base::crc64::followed_by_zeros;
use base::heap::or_undo;
use base::loading::{self, File, Mapped};
use base::settings::setting;
use fault::Trouble;
use value::rdb::{CHECKSUM_BYTES, HEAD_BYTES, Head};

pub use check::check;

const DAMAGED: &str =
    "`shell check` tells more of it, and can save what is readable in another file";
const BROKEN_OFF: &str = "what is behind was not read";
const CHECKSUM_WRONG: &str =
    "the checksum of all that is before it is another one: the file is damaged";

/// Finds the file that the settings name, and begins to load it. Tells whether there is one. Errors:
/// why it must not be passed over.
pub fn begin(core: &Core) -> Result<bool, String> {
    // What is there before the first key is what the server needs for itself.
    core.roots.shared().startup_bytes.store(core.host.used_bytes()(), Relaxed);
    begin_with(core, &data_file(core), false)
}

/// Begins to load the file at a path, which is one of several: commands are refused also when it is
/// loaded, until the shell lets them. As [`begin`].
pub fn begin_part(core: &Core, path: &str) -> Result<bool, String> {
    let state = loading::state(core.roots);
    Bytes::new(&mut state.path.lock(core.locker()), core.heap).assign(path.as_bytes());
    state.is_part.store(1, Relaxed);
    begin_with(core, path, false)
}

fn begin_with(core: &Core, name: &str, replaces: bool) -> Result<bool, String> {
    let opened = Mapped::open(name, core.host);
    let opened =
        opened.map_err(|why| format!("cannot read {name}: {why}; check dir and dbfilename"));
    let Some(file) = opened? else { return Ok(false) };
    let head = Head::read(file.bytes())
        .map_err(|fault| format!("{name}: {}", Trouble::of_head(fault).told()))?;
    let text = format!("loading {name}: {} bytes, version {}", file.bytes().len(), head.version);
    // Of several, each goes on where the one before was at its end.
    let is_part = loading::state(core.roots).is_part.load(Relaxed) != 0;
    if !loading::begin(core.roots) && !is_part {
        return Err(format!("{name}: a file is being loaded already; wait for its end"));
    }
    core.host.log()(level::INFO, text.as_str().into());
    start(core, file, head, replaces);
    Ok(true)
}

/// The file of data, as the settings name it.
fn data_file(core: &Core) -> String {
    String::from_utf8_lossy(&core.text(setting::DBFILENAME)).into_owned()
}

/// The file that is being loaded.
fn file_name(core: &Core) -> String {
    let path = loading::state(core.roots).path.lock(core.locker());
    match path.len {
        0 => data_file(core),
        _ => String::from_utf8_lossy(bytes::slice(&path)).into_owned(),
    }
}

fn start(core: &Core, file: Mapped, head: Head, replaces: bool) {
    let state = loading::state(core.roots);
    state.replaces.store(u32::from(replaces), Relaxed);
    state.started_ms.store(core.clock.now_ms as u64, Relaxed);
    state.started_ns.store(core.host.monotonic_ns()(), Relaxed);
    state.total_bytes.store(file.bytes().len() as u64, Relaxed);
    for counter in [
        &state.loaded_bytes,
        &state.used_bytes,
        &state.keys_loaded,
        &state.keys_expired,
        &state.keys_empty,
        &state.checksum,
    ] {
        counter.store(0, Relaxed);
    }
    let mut next = state.next.lock(core.locker());
    (next.at, next.db, next.version) = (HEAD_BYTES as u64, 0, head.version.into());
    (next.is_over, next.end) = (0, 0);
    file.leave(&mut next);
}

/// Loads a piece. Tells whether there may be another for this lane.
pub fn load_piece(core: &mut Core, exec: &mut Exec) -> bool {
    let release = exec.release;
    let found = File::open(core, |next, file| piece::take(core, release, next, file));
    let Some((file, piece)) = found else {
        exec.arrivals = None;
        return false;
    };
    if let Err(trouble) = keys::make(core, exec, file.bytes(), &piece) {
        note(core, trouble);
    }
    true
}

/// Keeps what is wrong with the file, unless something before it is, and has no more of it loaded.
fn note(core: &Core, trouble: Trouble) {
    let state = loading::state(core.roots);
    let mut fault = state.fault.lock(core.locker());
    let at = trouble.at as u64;
    if fault.text.len == 0 || at < fault.at {
        Bytes::new(&mut fault.text, core.heap).assign(trouble.told().as_bytes());
        fault.at = at;
    }
}

/// Whether something is wrong with the file.
fn is_faulty(core: &Core) -> bool {
    loading::state(core.roots).fault.lock(core.locker()).text.len != 0
}

/// Ends the loading once no lane is at a piece. Errors: what is wrong with the file. Then commands are
/// refused as before: some keys are there and some are not.
pub fn end(core: &Core) -> Result<(), String> {
    let at_end = check_end(core);
    loading::close(core);
    let state = loading::state(core.roots);
    let mut fault = state.fault.lock(core.locker());
    if fault.text.len != 0 {
        let text = take_text(&mut fault.text, core.heap);
        return Err(format!("{}: {text}", file_name(core)));
    }
    drop(fault);
    at_end.map_err(|trouble| format!("{}: {}", file_name(core), trouble.told()))?;
    Bytes::new(&mut state.path.lock(core.locker()), core.heap).free();
    loading::end(core.roots);
    tell_done(core, state);
    Ok(())
}

/// Loads the file that the settings name, for `DEBUG`: `clear` is called once it is known to be one.
/// Keys and libraries that are there take the place of others if it `replaces` them. Errors: what is
/// wrong with the file; of what was loaded before that nothing is taken back.
pub fn reload(
    core: &mut Core,
    exec: &mut Exec,
    replaces: bool,
    clear: impl FnOnce(&mut Core),
) -> Result<(), String> {
    loading::state(core.roots).is_part.store(0, Relaxed);
    if !begin_with(core, &data_file(core), replaces)? {
        return Err("there is no file".to_owned());
    }
    let load = |(core, exec): &mut (&mut Core, &mut Exec)| {
        clear(core);
        while load_piece(core, exec) {}
        end(core)
    };
    let outcome = or_undo(&mut (&mut *core, exec), load, |(core, _)| abandon(core));
    abandon(core);
    outcome
}

/// Leaves what there is of the data as it is, and lets commands have it.
fn abandon(core: &Core) {
    loading::close(core);
    let state = loading::state(core.roots);
    Bytes::new(&mut state.fault.lock(core.locker()).text, core.heap).free();
    loading::end(core.roots);
}

/// Looks at what is behind the records, if they have been read to their end.
fn check_end(core: &Core) -> Result<(), Trouble> {
    let state = loading::state(core.roots);
    let looked = File::open(core, |next, file| {
        let (end, version) = (next.end as usize, next.version as u16);
        let stored = file.get(end..).and_then(|rest| rest.first_chunk::<CHECKSUM_BYTES>());
        Some((end, Head { version }, stored.map(|stored| u64::from_le_bytes(*stored))))
    });
    let Some((file, (end, head, stored))) = looked else { return Ok(()) };
    if end == 0 {
        return Err(Trouble::new(state.loaded_bytes.load(Relaxed) as usize, BROKEN_OFF, DAMAGED));
    }
    if !head.has_checksum() || !core.get(setting::RDBCHECKSUM) {
        return Ok(());
    }
    let behind = (file.bytes().len() - end) as u64;
    let text = match stored {
        None => "the file ends before its checksum",
        Some(0) => return Ok(()),
        Some(stored) if followed_by_zeros(stored, behind) == state.checksum.load(Relaxed) => {
            return Ok(());
        }
        Some(_) => CHECKSUM_WRONG,
    };
    Err(Trouble::damage(end, text))
}

fn tell_done(core: &Core, state: &Loading) {
    let ns = core.host.monotonic_ns()().saturating_sub(state.started_ns.load(Relaxed));
    let [loaded, expired, empty] = [&state.keys_loaded, &state.keys_expired, &state.keys_empty]
        .map(|count| count.load(Relaxed));
    let mut text = format!("DB loaded from disk: {:.3} seconds", ns as f64 / 1e9);
    text += &format!(", keys loaded: {loaded}, keys expired: {expired}");
    if empty > 0 {
        text += &format!(", empty keys left out: {empty}");
    }
    core.host.log()(level::INFO, text.as_str().into());
}
