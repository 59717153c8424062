//! Whether there is memory for one more library: its copy, its trial, and itself.
#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

use crate::control_groups;
use crate::refusal::{Code, Refusal};

/// What a trial takes beside the library: a process, and its arena.
const TRIAL_BYTES: u64 = 32 << 20;

/// Checks that a library of so many bytes can be copied, tried and loaded without that the kernel
/// has to end a process for it.
///
/// # Errors
/// `too_little_memory`.
pub fn check(library_bytes: u64) -> Result<(), Refusal> {
    check_in(Path::new("/"), library_bytes)
}

fn check_in(root: &Path, library_bytes: u64) -> Result<(), Refusal> {
    // The copy, and at worst as much again for the pages that the dynamic linker writes to.
    let needed = library_bytes.saturating_mul(2).saturating_add(TRIAL_BYTES);
    match available(root) {
        Some((bytes, whose)) if bytes < needed => {
            let message = format!("{needed} bytes of memory are needed, {whose} has {bytes} left");
            Err(Refusal::new(Code::TooLittleMemory, message))
        }
        _ => Ok(()),
    }
}

/// Bytes that can be had at once, and what sets that limit. None where nobody can tell.
fn available(root: &Path) -> Option<(u64, String)> {
    let machine = machine(root).map(|bytes| (bytes, "the machine".to_owned()));
    machine.into_iter().chain(groups(root)).min()
}

fn machine(root: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().trim_end_matches(" kB").parse::<u64>().ok()?.checked_mul(1024)
}

/// What is left in each control group that this process is in.
fn groups(root: &Path) -> impl Iterator<Item = (u64, String)> {
    let all = control_groups::all(root).into_iter();
    all.filter_map(move |group| Some((group.left()?, shown(root, &group.folder))))
}

fn shown(root: &Path, folder: &Path) -> String {
    let path =
        folder.strip_prefix(root).map_or(folder.to_owned(), |path| PathBuf::from("/").join(path));
    format!("the control group {}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A root directory with these files.
    fn root(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        dir
    }

    const MACHINE: (&str, &str) = ("proc/meminfo", "MemTotal: 9000 kB\nMemAvailable:    1024 kB\n");

    #[track_caller]
    fn check(files: &[(&str, &str)], expect: Option<(u64, &str)>) {
        let dir = root(files);
        let found = available(dir.path());
        assert_eq!(found.as_ref().map(|(bytes, whose)| (*bytes, whose.as_str())), expect);
    }

    #[test]
    fn the_tightest_limit_counts() {
        check(&[], None);
        check(&[MACHINE], Some((1 << 20, "the machine")));
        let two = [
            MACHINE,
            ("proc/self/cgroup", "0::/a/b\n"),
            ("sys/fs/cgroup/a/b/memory.max", "max\n"),
            ("sys/fs/cgroup/a/b/memory.current", "700\n"),
            ("sys/fs/cgroup/a/memory.max", "1000\n"),
            ("sys/fs/cgroup/a/memory.current", "900\n"),
            ("sys/fs/cgroup/a/memory.stat", "anon 1\ninactive_file 300\n"),
        ];
        check(&two, Some((400, "the control group /sys/fs/cgroup/a")));
        let one = [
            MACHINE,
            ("proc/self/cgroup", "4:cpu,memory:/c\n0::/\n"),
            ("sys/fs/cgroup/memory/c/memory.limit_in_bytes", "1000\n"),
            ("sys/fs/cgroup/memory/c/memory.usage_in_bytes", "990\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "5\n"),
        ];
        check(&one, Some((10, "the control group /sys/fs/cgroup/memory/c")));
    }

    #[test]
    fn too_little_is_refused_with_what_is_needed() {
        let dir = root(&[("proc/meminfo", "MemAvailable: 40000 kB\n")]);
        check_in(dir.path(), 1 << 20).unwrap();
        let refusal = check_in(dir.path(), 8 << 20).unwrap_err();
        assert_eq!(refusal.code, Code::TooLittleMemory);
        assert!(refusal.message.contains("50331648 bytes"), "{refusal}");
    }
}
