//! Settings from the command line and the configuration file.

use crate::exec::thread::ThreadContext;
use crate::exec::{rename, users};
use crate::session::settings;

/// Applies a setting. Returns why it was passed over, if it was. Errors: what is wrong with it.
pub fn configure(
    thread: &mut ThreadContext,
    name: &str,
    values: &[&str],
) -> Result<Option<&'static str>, String> {
    let passed_over = match name.to_ascii_lowercase().as_str() {
        "rename-command" => rename::configure(thread, values).map(|()| None)?,
        "user" => users::configure_user(thread, values).map(|()| None)?,
        "aclfile" => users::configure_file(thread, values).map(|()| None)?,
        _ => {
            let ThreadContext { core, exec, .. } = thread;
            settings::configure(core, name, values, |setting| exec.release.knows(setting))?
        }
    };
    thread.refresh();
    Ok(passed_over)
}
