//! `rename-command`: commands that go by another name, or by none.
//!
//! Kept in the arena, a line each, so that every release that serves applies it. A line may name a
//! command that this release lacks: a later one may have it.

use abi::host::level;

use crate::exec::index::Index;
use crate::exec::thread::ThreadContext;
use crate::session::settings::kind::Value;
use crate::session::settings::put;
use base::core::Core;
use base::settings::number_beside;
use base::settings::setting::RENAMED;

/// Applies a line `rename-command`. Errors: what is wrong with it.
pub fn configure(thread: &mut ThreadContext, values: &[&str]) -> Result<(), String> {
    add(&mut thread.core, &thread.exec.index, values)
}

/// Gives a command another name; an empty one takes it away. Errors: what is wrong with the names.
fn add(core: &mut Core, index: &Index, values: &[&str]) -> Result<(), String> {
    let [from, to] = values else { return Err("wrong number of arguments".into()) };
    if from.is_empty() || from.contains([' ', '\n']) || to.contains('\n') {
        return Err("No such command in rename-command".into());
    }
    let mut lines = core.text(RENAMED);
    let old = index.find(from.as_bytes());
    if old.is_none() && has_renamed(&lines, from.as_bytes()) {
        return Err("No such command in rename-command".into());
    }
    if to.eq_ignore_ascii_case(from) {
        return Ok(());
    }
    if !to.is_empty() && index.find(to.as_bytes()).is_some() {
        return Err("Target command name already exists".into());
    }
    if old.is_none() {
        let warning = format!("rename-command: this release has no command '{from}'");
        core.host.log()(level::WARN, warning.as_str().into());
    }
    lines.extend_from_slice(format!("{from} {to}\n").as_bytes());
    let count = number_beside(core.roots, RENAMED) + 1;
    put(core, &RENAMED.row(), &Value::Text(lines, count));
    Ok(())
}

/// Renames what the lines name in a new index.
pub fn apply(index: &mut Index, core: &Core) {
    let lines = core.text(RENAMED);
    names(&lines).for_each(|(from, to)| index.rename(from, to));
}

/// Whether a line takes this name from a command.
fn has_renamed(lines: &[u8], name: &[u8]) -> bool {
    names(lines).any(|(from, _)| from.eq_ignore_ascii_case(name))
}

/// The old and the new name of each line.
fn names(lines: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    lines.split(|byte| *byte == b'\n').filter_map(|line| {
        let space = memchr::memchr(b' ', line)?;
        Some((&line[..space], &line[space + 1..]))
    })
}
