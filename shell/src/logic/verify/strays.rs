//! Processes that a library has started in its trial and that would outlive it.
//!
//! Whatever group or session they are in, they have the trial's environment, and with it a mark.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// The variable that holds the mark.
pub const VARIABLE: &str = "SHELL_TRIAL";

/// Looks until all are gone. They may start others as fast as they are killed, but not for long.
const LOOKS_MAX: usize = 1000;
const BETWEEN_LOOKS: Duration = Duration::from_millis(1);

/// A mark that no other trial of this machine has.
pub fn mark() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("{}.{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Kills all processes that bear the mark and have not ended. Returns how many there were.
pub fn kill(mark: &str) -> usize {
    let mut killed = BTreeSet::new();
    for _ in 0..LOOKS_MAX {
        let found = marked(mark);
        if found.is_empty() {
            break;
        }
        for pid in found {
            killed.insert(pid);
            // One that has just ended needs no killing.
            let _ = Pid::from_raw(pid).map(|pid| kill_process(pid, Signal::KILL));
        }
        std::thread::sleep(BETWEEN_LOOKS);
    }
    killed.len()
}

/// Processes that bear the mark and have not ended. None where there is no `/proc` to look in.
fn marked(mark: &str) -> Vec<i32> {
    let line = format!("{VARIABLE}={mark}");
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let bears = |pid: &i32| {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|variable| variable == line.as_bytes())
    };
    pids.filter(bears).collect()
}
