//! Records that are no keys.

use core::sync::atomic::Ordering::Relaxed;

use abi::host::level;

use super::fault::Trouble;
use crate::exec::functions::add_library;
use crate::exec::release::Release;
use base::args::parse_integer;
use base::core::Core;
use base::loading;
use value::rdb::Record;
use value::rdb::pass::module_name;

/// What becomes of a record that is no key, and begins at a byte.
pub fn apply(
    core: &Core,
    release: &Release,
    record: &Record<'_>,
    at: usize,
) -> Result<(), Trouble> {
    match record {
        Record::Aux(name, value) => note_field(core, name, value),
        Record::Library(source) => {
            let replaces = loading::state(core.roots).replaces.load(Relaxed) != 0;
            add_library(core, release, source, replaces).map_err(|error| {
                let text = String::from_utf8_lossy(error.text());
                let what = format!("a library of functions that cannot be loaded: {text}");
                Trouble::new(at, what, "delete it on a server that loads it, and save again")
            })?;
        }
        other => check(core, other, at)?,
    }
    Ok(())
}

/// Whether a record that is no key may be there.
pub fn check(core: &Core, record: &Record<'_>, at: usize) -> Result<(), Trouble> {
    match record {
        Record::OldLibrary => Err(Trouble::new(
            at,
            "functions in a form that only release candidates of Redis 7.0 have written",
            "load the file with a released version of what wrote it, and save again",
        )),
        Record::Module(number, true) => {
            let what = format!(
                "data of the module {}, and this server has no modules",
                module_name(*number)
            );
            Err(Trouble::new(at, what, "save again on a server without the module"))
        }
        Record::Database(db) if *db >= core.roots.databases().into() => {
            let what = format!("database {db}, and this server has {}", core.roots.databases());
            Err(Trouble::new(
                at,
                what,
                format!("set databases to {} or more", db.saturating_add(1)),
            ))
        }
        _ => Ok(()),
    }
}

/// A field about the file.
fn note_field(core: &Core, name: &[u8], value: &[u8]) {
    let state = loading::state(core.roots);
    let number = || parse_integer(value).and_then(|number| u64::try_from(number).ok());
    let shown = String::from_utf8_lossy(value);
    match name {
        b"used-mem" => {
            let bytes = number().unwrap_or(0);
            state.used_bytes.store(bytes, Relaxed);
            tell(core, &format!("memory in use when the file was written: {bytes} bytes"));
        }
        b"redis-ver" | b"valkey-ver" => {
            tell(core, &format!("the file was written by version {shown}"))
        }
        b"ctime" => {
            let now_s = core.clock.now_ms as u64 / 1000;
            let age_s = now_s.saturating_sub(number().unwrap_or(now_s));
            tell(core, &format!("age of the file: {age_s} seconds"));
        }
        [b'%', ..] => {
            tell(core, &format!("the file tells: {} = {shown}", String::from_utf8_lossy(name)))
        }
        _ => {}
    }
}

fn tell(core: &Core, text: &str) {
    core.host.log()(level::INFO, text.into());
}
