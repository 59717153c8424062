//! The functions of the host table that concern threads and settings.
//!
//! All may be called from any lane, also before the server is up: then those that need it do
//! nothing.

use std::path::Path;

use abi::client_ref::ClientRef;
use abi::container::RawBytes;
use abi::job::Job;
use abi::message::Message;
use abi::ptr::Ptr;
use abi::status::Status;
use abi_stable::std_types::{RSlice, RStr};

use crate::client::message::{drop_message, note_posted};
use crate::client::open::bytes_of;
use crate::config::files::{self, system_text};
use crate::config::{self, rewrite};
use crate::server::settings;
use crate::worker::{meanwhile, shared};

/// See [`abi::host::Host::post`].
pub extern "C" fn post(client: ClientRef, message: Ptr<Message>) {
    note_posted(message);
    match shared::get() {
        Some(server) => server.post(client, message),
        None => drop_message(message),
    }
}

/// See [`abi::host::Host::wake_workers`].
pub extern "C" fn wake_workers() {
    if let Some(server) = shared::get() {
        server.wake_workers();
    }
}

/// See [`abi::host::Host::submit`].
pub extern "C" fn submit(job: &Job) -> Status {
    match shared::get() {
        Some(server) if server.jobs().submit(*job) => Status::OK,
        _ => Status::REFUSED,
    }
}

/// See [`abi::host::Host::config_changed`]. To be called without the lock of the settings. Until
/// the server listens nothing is done: it takes over all settings at its start.
pub extern "C" fn config_changed(id: u32, error: &mut RawBytes) -> Status {
    match shared::get().filter(|server| server.listeners().is_open()) {
        Some(server) => outcome(settings::changed(server, id), error),
        None => Status::OK,
    }
}

/// See [`abi::host::Host::config_rewrite`].
pub extern "C" fn config_rewrite(lines: RStr<'_>, error: &mut RawBytes) -> Status {
    let Some(server) = shared::get() else { return Status::NOT_FOUND };
    let Some(path) = server.config_file() else { return Status::NOT_FOUND };
    let keep = |name: &str| {
        config::is_shell_setting(name)
            || matches!(name, "include" | "rename-command")
            || server.was_passed_over(name)
    };
    let written = rewrite::rewrite(path, lines.as_str(), keep);
    outcome(written.map_err(|error| format!("cannot write {}: {error}", path.display())), error)
}

/// See [`abi::host::Host::config_file`].
pub extern "C" fn config_file(out: &mut RawBytes) -> Status {
    *out = RawBytes::EMPTY;
    let Some(path) = shared::get().and_then(|server| server.config_file()) else {
        return Status::OK;
    };
    match bytes_of(path.to_string_lossy().as_bytes()) {
        Ok(bytes) => {
            *out = bytes;
            Status::OK
        }
        Err(_) => Status::NO_MEMORY,
    }
}

fn outcome(result: Result<(), String>, error: &mut RawBytes) -> Status {
    let Err(text) = result else { return Status::OK };
    // Without memory for the text the status must do.
    *error = bytes_of(text.as_bytes()).unwrap_or(RawBytes::EMPTY);
    Status::FAILED
}

/// See [`abi::host::Host::serve_others`].
pub extern "C" fn serve_others() {
    meanwhile::serve_others();
}

/// See [`abi::host::Host::read_file`].
pub extern "C" fn read_file(path: RStr<'_>, out: &mut RawBytes, error: &mut RawBytes) -> Status {
    *out = RawBytes::EMPTY;
    match std::fs::read(path.as_str()) {
        Ok(content) => match bytes_of(&content) {
            Ok(bytes) => {
                *out = bytes;
                Status::OK
            }
            Err(_) => Status::NO_MEMORY,
        },
        Err(cause) => outcome(Err(system_text(&cause)), error),
    }
}

/// See [`abi::host::Host::replace_file`].
pub extern "C" fn replace_file(
    path: RStr<'_>,
    content: RSlice<'_, u8>,
    error: &mut RawBytes,
) -> Status {
    let written = files::replace(Path::new(path.as_str()), content.as_slice());
    outcome(written.map_err(|error| system_text(&error)), error)
}

/// See [`abi::host::Host::shutdown`].
pub extern "C" fn shutdown(now: u32) {
    if let Some(server) = shared::get() {
        server.ask_to_stop(now != 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn before_a_server_is_up() {
        let mut error = RawBytes::EMPTY;
        let job = Job { kind: 1, reserved: 0, arguments: [0; 6] };
        assert_eq!(submit(&job), Status::REFUSED, "nobody would do it");
        assert_eq!(config_changed(abi::config::id::PORT, &mut error), Status::OK);
        assert_eq!(config_rewrite(RStr::from_str("port 1"), &mut error), Status::NOT_FOUND);
        wake_workers();
        shutdown(1);
    }
}
