//! How long tests wait for what must happen.

use std::time::{Duration, Instant};

/// When a test gives up on something that must happen.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Repeats `ready` until it is true.
pub fn eventually(what: &str, ready: impl FnMut() -> bool) {
    within(PATIENCE, what, ready);
}

/// As [`eventually`], for what takes its time on a slow machine.
pub fn within(time: Duration, what: &str, mut ready: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !ready() {
        assert!(begin.elapsed() < time, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
