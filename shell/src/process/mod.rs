//! What the process is to those beside it: to who started it, to supervisors, the kernel, `ps`.

pub mod daemon;
pub mod listened;
pub mod oom;
pub mod others;
pub mod pid_file;
pub mod startup;
pub mod supervisor;
pub mod syslog;
pub mod title;

use std::io;

/// Fails unless the calling thread is the only one of the process.
fn check_alone() -> io::Result<()> {
    match std::fs::read_dir("/proc/self/task")?.count() {
        1 => Ok(()),
        threads => Err(io::Error::other(format!("the process has {threads} threads already"))),
    }
}
