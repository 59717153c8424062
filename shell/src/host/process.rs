//! The function of the host table that tells about the process.

use abi::host::ProcessInfo;
use rustix::process::{Resource, getrlimit};
use rustix::time::{ClockId, clock_gettime};

use crate::arena;
use crate::worker::shared;

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
        workers: shared::get().map_or(0, |server| server.workers()),
        port: shared::get().map_or(0, |server| u32::from(server.listeners().port())),
        descriptors_max: descriptors_max(),
        thread_user_us,
        thread_system_us,
        huge_arena_bytes: arena::huge::bytes(),
        reserved: [0; 7],
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
}
