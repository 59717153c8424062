//! After a command that was broken off in the middle, by a panic or for want of memory: what it has
//! done by then is told, as what its keys have become.

use crate::exec::call::Call;
use base::args::Args;
use base::core::Core;
use base::heap::or_undo;
use keyspace::{Intent, Keys};
use value::entry::Entry;

/// Parts of a value told at a time: a field and its value are not told apart.
const ELEMENTS: usize = 64;

/// Runs a command. Where that unwinds, the effects stream is told what has become of its keys.
///
/// A command that locks what it needs itself says what it does when it does it.
#[cold]
pub fn told<T, R>(
    state: &mut T,
    core: fn(&mut T) -> &mut Core,
    (db, call, args): (u32, &Call, Args<'_>),
    run: impl FnOnce(&mut T) -> R,
) -> R {
    or_undo(state, run, |state| tell(core(state), db, call, args))
}

fn tell(core: &mut Core, db: u32, call: &Call, args: Args<'_>) {
    for key in call.spec.key_indices(args).into_iter().map(|index| args.at(index)) {
        for db in databases(core, db, call) {
            tell_key(core, db, key);
        }
    }
}

/// The databases in which a command may have changed its keys.
fn databases(core: &Core, db: u32, call: &Call) -> core::ops::Range<u32> {
    match call.spec.name {
        "copy" | "move" => 0..core.roots.databases(),
        _ => db..db + 1,
    }
}

/// Says what a key is now, whatever it was.
fn tell_key(core: &mut Core, db: u32, key: &[u8]) {
    let told = Keys::new(core, db).entry(key, Intent::Past).map(describe);
    core.effects.command(db, &[b"DEL", key]);
    let Some(Described { command, parts, expires_at }) = told else { return };
    for parts in parts.chunks(ELEMENTS) {
        let words = [command, key].into_iter().chain(parts.iter().map(Vec::as_slice));
        core.effects.command(db, &words.collect::<Vec<_>>());
    }
    if let Some(at) = expires_at {
        core.effects.command(db, &[b"PEXPIREAT", key, itoa::Buffer::new().format(at).as_bytes()]);
    }
}

struct Described {
    /// What makes the value, when the parts follow the key.
    command: &'static [u8],
    parts: Vec<Vec<u8>>,
    expires_at: Option<i64>,
}

fn describe(entry: Entry<'_>) -> Described {
    let mut parts = Vec::new();
    (entry.row().visit)(entry, &mut |element| parts.extend(element.iter().map(|p| p.to_vec())));
    let command = entry.row().made_by.as_bytes();
    Described { command, parts, expires_at: entry.expires_at() }
}
