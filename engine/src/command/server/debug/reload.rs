//! `DEBUG RELOAD`: every value is written as a dump of it, and made anew from that.
//!
//! Redis writes a file and reads it back. With `NOSAVE` that is done here too: what there is in the
//! file takes the place of what there is in memory.

use core::ops::ControlFlow;

use abi::host::level;

use crate::exec::context::ClientCtx;
use crate::exec::loading as files;
use crate::session::scripts;
use base::args::Args;
use base::core::Core;
use base::error::{Done, Error};
use base::loading;
use base::lock::shard_of;
use keyspace::{Intent, Keys, Restoring, totals};
use value::dump;
use value::dump::kinds::OF_SUCCESSORS;

const UNKNOWN_OPTION: Error =
    Error::new("ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.");
const FAILED: Error = Error::new("ERR Error trying to load the RDB dump");

pub fn reload(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    if loading::is_on(cx.core().roots) {
        return Err(failed(cx, "a file is being loaded"));
    }
    let (mut saves, mut flushes, mut merges) = (true, true, false);
    for at in 2..args.len() {
        match () {
            () if args.is(at, "NOSAVE") => saves = false,
            () if args.is(at, "NOFLUSH") => flushes = false,
            () if args.is(at, "MERGE") => merges = true,
            () => return Err(UNKNOWN_OPTION),
        }
    }
    if !saves {
        return from_file(cx, flushes, merges);
    }
    // What is not removed before must not be there.
    if !flushes && !merges && holds_anything(cx) {
        return Err(failed(cx, "there are keys or functions already"));
    }
    let selected = cx.keys.db;
    let outcome = (0..cx.keys.core.roots.databases()).try_for_each(|db| {
        cx.keys.db = db;
        reload_selected(&mut cx.keys)
    });
    cx.keys.db = selected;
    outcome.map_err(|why| failed(cx, &why))?;
    cx.out.ok();
    Ok(())
}

/// Loads the file. Effects tell of single changes, and there is none for this.
fn from_file(cx: &mut ClientCtx<'_>, flushes: bool, merges: bool) -> Done {
    if cx.core().effects.is_wanted() {
        return Err(failed(cx, "somebody reads the effects stream, which cannot tell of it"));
    }
    let (core, exec) = (&mut *cx.data.keys.core, &mut *cx.exec);
    let clear = |core: &mut Core| {
        if flushes {
            Keys::new(core, 0).flush_all(false);
            let names = scripts::library_names(core);
            scripts::change(core, &names, &[]);
        }
    };
    files::reload(core, exec, merges, clear).map_err(|why| failed(cx, &why))?;
    cx.out.ok();
    Ok(())
}

/// Whether there are functions, or keys in any database.
fn holds_anything(cx: &mut ClientCtx<'_>) -> bool {
    let selected = cx.keys.db;
    let has_keys = (0..cx.keys.core.roots.databases()).any(|db| {
        cx.keys.db = db;
        totals::of(&mut cx.keys).keys > 0
    });
    cx.keys.db = selected;
    has_keys || !scripts::library_names(cx.keys.core).is_empty()
}

fn failed(cx: &mut ClientCtx<'_>, why: &str) -> Error {
    let text = format!("DEBUG RELOAD failed: {why}");
    cx.core().host.log()(level::WARN, text.as_str().into());
    FAILED
}

/// Makes all values of the selected database anew. The error says which one cannot be read; it and
/// those behind it stay as they are.
fn reload_selected(keys: &mut Keys<'_>) -> Result<(), String> {
    let mut names = Vec::new();
    keys.for_each(&mut |entry| names.push(entry.key().to_vec()));
    let outcome = names.iter().try_for_each(|name| {
        let shard = shard_of(keys.hash(name));
        match keys.with_shard(shard, |keys| reload_key(keys, name)) {
            Ok(()) => ControlFlow::Continue(()),
            Err(why) => ControlFlow::Break(format!("{}: {why}", String::from_utf8_lossy(name))),
        }
    });
    outcome.break_value().map_or(Ok(()), Err)
}

/// Makes a value anew, if its key is there.
fn reload_key(keys: &mut Keys<'_>, key: &[u8]) -> Result<(), &'static str> {
    let mut payload = Vec::new();
    if !keys.dump(key, Intent::Peek, &mut |piece| payload.extend_from_slice(piece)) {
        return Ok(());
    }
    let Some(entry) = keys.entry(key, Intent::Peek) else { return Ok(()) };
    let restoring = Restoring { key, expires_at: entry.expires_at(), access: entry.access() };
    let (version, value) = dump::open(&payload, true).ok_or("its checksum is wrong")?;
    let made = keys.load(value, version, &OF_SUCCESSORS, &restoring).map_err(|fault| fault.what)?;
    keys.put_anew(made, Intent::Past);
    Ok(())
}
