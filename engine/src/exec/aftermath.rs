//! After a command that was broken off in the middle, by a panic or for want of memory: what it has
//! done by then is told, as what its keys have become.

use crate::exec::call::Call;
use base::args::Args;
use base::core::Core;
use base::heap::or_undo;
use keyspace::{Intent, Keys};
use value::remake::remake;

/// Runs a command. Where that unwinds, the effects stream is told what has become of its keys.
///
/// A command that locks what it needs itself says what it does when it does it.
#[inline]
pub fn told<T, R>(
    state: &mut T,
    core: fn(&mut T) -> &mut Core,
    (db, call, args): (u32, &Call, Args<'_>),
    run: impl FnOnce(&mut T) -> R,
) -> R {
    or_undo(state, run, |state| tell(core(state), db, call, args))
}

#[cold]
fn tell(core: &mut Core, db: u32, call: &Call, args: Args<'_>) {
    for key in call.spec.key_indices(args).into_iter().map(|index| args.at(index)) {
        for db in databases(core, db, call) {
            tell_key(core, db, key);
        }
    }
}

/// The databases in which a command may have changed its keys.
pub fn databases(core: &Core, db: u32, call: &Call) -> core::ops::Range<u32> {
    match call.spec.name {
        "copy" | "move" => 0..core.roots.databases(),
        _ => db..db + 1,
    }
}

/// Says what a key is now, whatever it was.
fn tell_key(core: &mut Core, db: u32, key: &[u8]) {
    let mut commands = Vec::new();
    let mut say = |words: &[&[u8]]| commands.push(words.iter().map(|word| word.to_vec()).collect());
    say(&[b"DEL", key]);
    if let Some(entry) = Keys::new(core, db).entry(key, Intent::Past) {
        remake(entry, key, &mut say);
    }
    for command in commands as Vec<Vec<Vec<u8>>> {
        core.effects.command(db, &command.iter().map(Vec::as_slice).collect::<Vec<_>>());
    }
}
