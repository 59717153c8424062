//! `rename-command`: commands that go by another name, or by none.
//!
//! Kept in the arena, a line each, so that every release that serves applies it. A line may name a
//! command that this release lacks: a later one may have it.

use abi::host::{HostRef, level};

use super::id::RENAMED;
use super::{put, spec::Setting, store};
use crate::exec::index::Index;
use base::core::Core;
use base::roots::Roots;
use crate::session::settings::kind::{Kind, Value};

/// Where the lines are kept. No setting: it can be neither asked for nor changed by name.
const LINES: Setting = Setting::new("rename-command", RENAMED, Kind::Text, "");

/// Gives a command another name; an empty one takes it away. Errors: what is wrong with the names.
pub fn add(core: &mut Core, values: &[&str]) -> Result<(), String> {
    let [from, to] = values else { return Err("wrong number of arguments".into()) };
    if from.is_empty() || from.contains([' ', '\n']) || to.contains('\n') {
        return Err("No such command in rename-command".into());
    }
    if !to.is_empty() && core.index.find(to.as_bytes()).is_some() {
        return Err("Target command name already exists".into());
    }
    if core.index.find(from.as_bytes()).is_none() {
        let text = format!("rename-command: this release has no command '{from}'");
        core.host.log()(level::WARN, text.as_str().into());
    }
    let mut lines = store::text(core, RENAMED);
    lines.extend_from_slice(format!("{from} {to}\n").as_bytes());
    let count = core.number(RENAMED) + 1;
    put(core, &LINES, &Value::Text(lines, count));
    core.refresh();
    Ok(())
}

/// Renames what the lines name in a new index.
pub fn apply(index: &mut Index, roots: Roots, host: HostRef) {
    let lines = store::read_text(roots, host, RENAMED);
    for line in lines.split(|byte| *byte == b'\n') {
        if let Some(space) = memchr::memchr(b' ', line) {
            index.rename(&line[..space], &line[space + 1..]);
        }
    }
}
