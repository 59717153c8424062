//! Limits of the system that a server cannot start under: named before they are met, since what
//! fails then says neither which it was nor what would do.

use std::path::{Path, PathBuf};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::arena::ADDRESS_SPACE_MIN;
use crate::control_groups;

/// Memory that a server without keys takes, with the trial of a library.
const MEMORY_MIN: u64 = 16 << 20;
/// Descriptors for what is no client and comes once: listeners, files, libraries, pipes.
const DESCRIPTORS_SHARED: u64 = 58;
/// Descriptors that each worker has for its polls.
const DESCRIPTORS_PER_WORKER: u64 = 3;

/// A limit that is too low to start.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitError {
    /// Of address space.
    #[error(
        "the limit on address space (RLIMIT_AS, ulimit -v) is {limit} bytes; at least {needed} are \
         needed, and more for many keys: raise it or take it away"
    )]
    AddressSpace {
        /// Bytes.
        limit: u64,
        /// Bytes.
        needed: u64,
    },
    /// Of open files.
    #[error(
        "the limit on open files (RLIMIT_NOFILE, ulimit -n) is {limit}; at least {needed} are \
         needed, and one more for each client: raise it"
    )]
    Descriptors {
        /// Files.
        limit: u64,
        /// Files, one client's among them.
        needed: u64,
    },
    /// Of memory.
    #[error(
        "the memory limit of the control group is {limit} bytes ({}); at least {needed} are \
         needed, and more for the keys: raise it", file.display()
    )]
    Memory {
        /// Where it stands.
        file: PathBuf,
        /// Bytes.
        limit: u64,
        /// Bytes.
        needed: u64,
    },
}

/// Checks that a server of so many workers can start, and allows itself the descriptors for it.
pub fn check(workers: u32) -> Result<(), LimitError> {
    let limit = getrlimit(Resource::As).current.unwrap_or(u64::MAX);
    if limit < ADDRESS_SPACE_MIN {
        return Err(LimitError::AddressSpace { limit, needed: ADDRESS_SPACE_MIN });
    }
    let needed = MEMORY_MIN;
    if let Some((limit, file)) = memory_limit(Path::new("/"))
        && limit < needed
    {
        return Err(LimitError::Memory { file, limit, needed });
    }
    match reserve_descriptors(1, workers) {
        Ok(()) => Ok(()),
        Err(limit) => {
            Err(LimitError::Descriptors { limit, needed: descriptors_reserved(workers) + 1 })
        }
    }
}

/// Raises the limit of open files for so many clients, or says what it is.
fn reserve_descriptors(clients: u64, workers: u32) -> Result<(), u64> {
    let limit = getrlimit(Resource::Nofile);
    let needed = clients + descriptors_reserved(workers);
    if limit.current.is_none_or(|current| current >= needed) {
        return Ok(());
    }
    let maximum = limit.maximum.map(|maximum| maximum.max(needed));
    for (current, maximum) in [(needed, maximum), (limit.maximum.unwrap_or(needed), limit.maximum)]
    {
        let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(current), maximum });
        if raised.is_ok() && current >= needed {
            return Ok(());
        }
    }
    Err(getrlimit(Resource::Nofile).current.unwrap_or(needed))
}

/// Sees to it that there are descriptors for so many clients, or says how many there can be.
pub fn reserve_clients(clients: u64, workers: u32) -> Result<(), u64> {
    reserve_descriptors(clients, workers)
        .map_err(|limit| limit.saturating_sub(descriptors_reserved(workers)).max(1))
}

/// Descriptors for all that is not a client.
fn descriptors_reserved(workers: u32) -> u64 {
    DESCRIPTORS_SHARED + DESCRIPTORS_PER_WORKER * u64::from(workers)
}

/// The lowest memory limit of the control groups that this process is in, and where it stands.
fn memory_limit(root: &Path) -> Option<(u64, PathBuf)> {
    let limits = control_groups::all(root)
        .into_iter()
        .filter_map(|group| Some((group.limit()?, group.limit_file())));
    limits.min_by_key(|(limit, _)| *limit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_lowest_limit_of_all_groups_above_counts() {
        let root = tempfile::tempdir().unwrap();
        let put = |file: &str, text: &str| {
            let file = root.path().join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        };
        let check = |groups: &str, expected: Option<(u64, &str)>| {
            let folder = root.path().join("sys/fs/cgroup");
            let expected = expected.map(|(limit, file)| (limit, folder.join(file)));
            put("proc/self/cgroup", groups);
            assert_eq!(memory_limit(root.path()), expected, "{groups}");
        };
        put("sys/fs/cgroup/a/memory.max", "5000\n");
        put("sys/fs/cgroup/a/b/memory.max", "max\n");
        put("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
        put("sys/fs/cgroup/memory/c/memory.limit_in_bytes", "4000\n");
        check("0::/a/b\n", Some((5000, "a/memory.max")));
        check("0::/\n", None);
        check("0::/not/visible\n", None);
        check("4:memory:/c\n1:cpu:/a\n0::/a\n", Some((4000, "memory/c/memory.limit_in_bytes")));
        check("4:cpu,memory:/x\n", Some((9223372036854771712, "memory/memory.limit_in_bytes")));
        check("nonsense", None);
    }
}
