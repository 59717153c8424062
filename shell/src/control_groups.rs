//! The control groups that this process is in, as far as they concern memory. Both versions.
#![forbid(unsafe_code)]

use std::fs::read_to_string;
use std::path::{Path, PathBuf};

/// The names under which a version of control groups tells of memory.
#[derive(Debug)]
struct Names {
    mount: &'static str,
    limit: &'static str,
    used: &'static str,
    cached: &'static str,
}

const V1: Names = Names {
    mount: "sys/fs/cgroup/memory",
    limit: "memory.limit_in_bytes",
    used: "memory.usage_in_bytes",
    cached: "total_inactive_file",
};

const V2: Names = Names {
    mount: "sys/fs/cgroup",
    limit: "memory.max",
    used: "memory.current",
    cached: "inactive_file",
};

/// A group.
#[derive(Debug)]
pub struct Group {
    /// Where it is.
    pub folder: PathBuf,
    names: &'static Names,
}

impl Group {
    /// The file that has its limit.
    pub fn limit_file(&self) -> PathBuf {
        self.folder.join(self.names.limit)
    }

    /// Bytes that its processes may have together; none if there is no limit.
    pub fn limit(&self) -> Option<u64> {
        self.number(self.names.limit)
    }

    /// Bytes that it may still take. What it caches of files can be given back.
    pub fn left(&self) -> Option<u64> {
        let (limit, used) = (self.limit()?, self.number(self.names.used)?);
        let stat = read_to_string(self.folder.join("memory.stat")).unwrap_or_default();
        let cached = |line: &str| line.strip_prefix(self.names.cached)?.trim().parse().ok();
        let cached = stat.lines().find_map(cached);
        Some(limit.saturating_sub(used.saturating_sub(cached.unwrap_or(0))))
    }

    fn number(&self, name: &str) -> Option<u64> {
        read_to_string(self.folder.join(name)).ok()?.trim().parse().ok()
    }
}

/// The groups of this process and those above them, where `root` is `/`.
pub fn all(root: &Path) -> Vec<Group> {
    let text = read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let mut groups = Vec::new();
    for line in text.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (Some(controllers), Some(path)) = (parts.next(), parts.next()) else { continue };
        let names = match controllers {
            "" => &V2,
            list if list.split(',').any(|name| name == "memory") => &V1,
            _ => continue,
        };
        let mount = root.join(names.mount);
        // Up to the root of what is mounted, which in a container may be the group itself.
        let above = Path::new(path.trim_start_matches('/')).ancestors();
        groups.extend(above.map(|group| Group { folder: mount.join(group), names }));
    }
    groups
}
