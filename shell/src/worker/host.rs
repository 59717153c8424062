//! The functions of [`abi::host::Host`] that concern workers, settings and the process.
//!
//! All may be called from any lane, also before the server is up: then those that need it do
//! nothing.

use abi::client_ref::ClientRef;
use abi::container::RawBytes;
use abi::host::ProcessInfo;
use abi::job::Job;
use abi::message::Message;
use abi::ptr::Ptr;
use abi::status::Status;
use abi_stable::std_types::RStr;
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

use super::mailbox::drop_message;
use crate::arena;
use crate::client::open::bytes_of;
use crate::config::rewrite;
use crate::server::{hub, settings};

/// See [`abi::host::Host::post`].
pub extern "C" fn post(client: ClientRef, message: Ptr<Message>) {
    match hub::get() {
        Some(hub) => hub.post(client, message),
        None => drop_message(message),
    }
}

/// See [`abi::host::Host::wake_workers`].
pub extern "C" fn wake_workers() {
    if let Some(hub) = hub::get() {
        hub.wake_workers();
    }
}

/// See [`abi::host::Host::submit`].
pub extern "C" fn submit(job: &Job) -> Status {
    match hub::get() {
        Some(hub) if hub.jobs().submit(*job) => Status::OK,
        _ => Status::REFUSED,
    }
}

/// See [`abi::host::Host::config_changed`]. To be called without the lock of the settings. Until
/// the server listens nothing is done: it takes over all settings at its start.
pub extern "C" fn config_changed(id: u32, error: &mut RawBytes) -> Status {
    match hub::get().filter(|hub| hub.door().is_open()) {
        Some(hub) => outcome(settings::changed(hub, id), error),
        None => Status::OK,
    }
}

/// See [`abi::host::Host::config_rewrite`].
pub extern "C" fn config_rewrite(lines: RStr<'_>, error: &mut RawBytes) -> Status {
    let Some(path) = hub::get().and_then(|hub| hub.config_file()) else {
        return Status::NOT_FOUND;
    };
    let keep = |name: &str| {
        crate::cli::serve::is_shell_setting(name) || matches!(name, "include" | "rename-command")
    };
    let written = rewrite::rewrite(path, lines.as_str(), keep);
    outcome(written.map_err(|error| format!("cannot write {}: {error}", path.display())), error)
}

/// See [`abi::host::Host::config_file`].
pub extern "C" fn config_file(out: &mut RawBytes) -> Status {
    *out = RawBytes::EMPTY;
    let Some(path) = hub::get().and_then(|hub| hub.config_file()) else { return Status::OK };
    match bytes_of(&path.to_string_lossy()) {
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
    *error = bytes_of(&text).unwrap_or(RawBytes::EMPTY);
    Status::FAILED
}

/// See [`abi::host::Host::shutdown`].
pub extern "C" fn shutdown(now: u32) {
    if let Some(hub) = hub::get() {
        hub.ask_to_stop(now != 0);
    }
}

/// See [`abi::host::Host::process_info`].
pub extern "C" fn process_info() -> ProcessInfo {
    let page_bytes = rustix::param::page_size() as u64;
    let (cpu_user_us, cpu_system_us) = cpu_us("/proc/self/stat", ClockId::ProcessCPUTime);
    let (thread_user_us, thread_system_us) =
        cpu_us("/proc/thread-self/stat", ClockId::ThreadCPUTime);
    let machine = rustix::system::sysinfo();
    ProcessInfo {
        used_bytes: arena::used_bytes(),
        resident_arena_bytes: arena::global().and_then(|a| a.resident_bytes().ok()).unwrap_or(0),
        rss_bytes: field("/proc/self/statm", 1).unwrap_or(0) * page_bytes,
        cpu_user_us,
        cpu_system_us,
        machine_bytes: machine.totalram as u64 * u64::from(machine.mem_unit),
        pid: std::process::id(),
        workers: hub::get().map_or(0, |hub| hub.workers()),
        port: hub::get().map_or(0, |hub| u32::from(hub.door().port())),
        descriptors_max: descriptors_max(),
        thread_user_us,
        thread_system_us,
        reserved: [0; 8],
    }
}

fn descriptors_max() -> u32 {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    u32::try_from(limit).unwrap_or(u32::MAX)
}

/// User and system time. Their sum is exact; the share of each comes from `stat`, which counts in
/// hundredths of a second.
fn cpu_us(stat: &str, clock: ClockId) -> (u64, u64) {
    const TICK_US: u64 = 10_000;
    const STIME_AFTER_NAME: usize = 12;
    let time = clock_gettime(clock);
    let total_us = time.tv_sec as u64 * 1_000_000 + time.tv_nsec as u64 / 1_000;
    let system_us = field(stat, STIME_AFTER_NAME).unwrap_or(0) * TICK_US;
    let system_us = system_us.min(total_us);
    (total_us - system_us, system_us)
}

/// A number from a file of `/proc`: the field with this index, counted behind the name in
/// parentheses if there is one.
fn field(path: &str, index: usize) -> Option<u64> {
    let text = std::fs::read_to_string(path).ok()?;
    let fields = text.rsplit_once(')').map_or(text.as_str(), |(_, rest)| rest);
    fields.split_ascii_whitespace().nth(index)?.parse().ok()
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

    #[test]
    fn process_info_is_about_this_process() {
        let info = process_info();
        assert_eq!(info.pid, std::process::id());
        assert!(info.rss_bytes > 1 << 20 && info.rss_bytes < info.machine_bytes);
        let before = process_info().cpu_user_us + process_info().cpu_system_us;
        let mut sum = 0u64;
        while process_info().cpu_user_us + process_info().cpu_system_us == before {
            sum = std::hint::black_box(sum + 1);
        }
        assert!(info.descriptors_max > 0);
    }

    #[test]
    fn drops_of_a_message_free_it_with_the_last() {
        let message = Message {
            kind: 1,
            references: std::sync::atomic::AtomicU32::new(2),
            len2: 0,
            len3: 0,
            detail: 0,
        };
        drop_message(Ptr::new(&raw const message as u64));
        assert_eq!(message.references.load(std::sync::atomic::Ordering::Relaxed), 1);
    }
}
