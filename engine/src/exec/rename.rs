//! `rename-command`: commands that go by another name, or by none.
//!
//! Kept in the arena, a line each, so that every release that serves applies it. A line may name a
//! command that this release lacks: a later one may have it.

use abi::host::level;

use crate::exec::index::Index;
use crate::exec::thread::ThreadContext;
use crate::session::settings::kind::Value;
use crate::session::settings::{self, put};
use base::core::Core;
use base::settings::number_beside;
use base::settings::setting::RENAMED;

/// Applies a setting from the command line or the configuration file. Errors: what is wrong with it.
pub fn configure(thread: &mut ThreadContext, name: &str, values: &[&str]) -> Result<(), String> {
    let ThreadContext { core, exec, .. } = thread;
    if name.eq_ignore_ascii_case("rename-command") {
        add(core, &exec.index, values)?;
    } else {
        settings::configure(core, name, values)?;
    }
    thread.refresh();
    Ok(())
}

/// Gives a command another name; an empty one takes it away. Errors: what is wrong with the names.
fn add(core: &mut Core, index: &Index, values: &[&str]) -> Result<(), String> {
    let [from, to] = values else { return Err("wrong number of arguments".into()) };
    if from.is_empty() || from.contains([' ', '\n']) || to.contains('\n') {
        return Err("No such command in rename-command".into());
    }
    if !to.is_empty() && index.find(to.as_bytes()).is_some() {
        return Err("Target command name already exists".into());
    }
    if index.find(from.as_bytes()).is_none() {
        let warning = format!("rename-command: this release has no command '{from}'");
        core.host.log()(level::WARN, warning.as_str().into());
    }
    let mut lines = core.text(RENAMED);
    lines.extend_from_slice(format!("{from} {to}\n").as_bytes());
    let count = number_beside(core.roots, RENAMED) + 1;
    put(core, &RENAMED.row(), &Value::Text(lines, count));
    Ok(())
}

/// Renames what the lines name in a new index.
pub fn apply(index: &mut Index, core: &Core) {
    let lines = core.text(RENAMED);
    for line in lines.split(|byte| *byte == b'\n') {
        if let Some(space) = memchr::memchr(b' ', line) {
            index.rename(&line[..space], &line[space + 1..]);
        }
    }
}
