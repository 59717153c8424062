//! Other processes of this machine, as far as this user may look at them.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// Programs that keep data in their working directory.
const SERVERS: [&str; 5] = ["shell", "redis-server", "valkey-server", "keydb-server", "dragonfly"];

/// A process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// The name of its program.
    pub program: String,
}

/// The name of the program that a process runs; none if it has ended.
///
/// # Errors
/// It may not be looked at.
fn program(pid: u32) -> std::io::Result<Option<String>> {
    match fs::read_link(format!("/proc/{pid}/exe")) {
        Ok(path) => {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            Ok(Some(name.trim_end_matches(" (deleted)").to_owned()))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether a process runs the program of this one. One that may not be looked at might.
pub fn is_one_of_us(pid: u32) -> bool {
    match program(pid) {
        Ok(other) => other.is_some() && other == program(std::process::id()).unwrap_or_default(),
        Err(_) => true,
    }
}

/// Another process that serves and has this folder as its working directory.
pub fn server_in(folder: &Path) -> Option<Process> {
    let own = program(std::process::id()).ok().flatten().unwrap_or_default();
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| *pid != std::process::id()).find_map(|pid| {
        let works_there =
            fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd: PathBuf| cwd == folder);
        let program = program(pid).ok().flatten().filter(|_| works_there)?;
        let serves = program == own || SERVERS.contains(&program.as_str());
        (serves && !is_command_line(pid)).then_some(Process { pid, program })
    })
}

/// Whether a process is another verb of this program than the one that serves.
fn is_command_line(pid: u32) -> bool {
    const VERBS: [&[u8]; 3] = [b"backup", b"restore", b"check"];
    let words = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    words.split(|byte| *byte == 0).nth(1).is_some_and(|verb| VERBS.contains(&verb))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_ended_is_nobody() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let pid = child.id();
        child.wait().unwrap();
        assert!(!is_one_of_us(pid) && is_one_of_us(std::process::id()));
    }
}
