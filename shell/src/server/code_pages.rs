//! Code and constants that only the start needed are no longer mapped once it serves.
//!
//! The kernel maps whole neighbourhoods of the pages a process runs through, so that after the
//! start of a server most of its code and its logic's is counted as its memory, whether it is ever
//! used again or not. What is used again is mapped again, from the page cache.

use std::ops::Range;
use std::time::Duration;

use rustix::mm::Advice;

/// When the start is over, and what it has begun has come to rest.
const LATER: Duration = Duration::from_secs(1);

/// What the paths of images of logic begin with.
const IMAGE: &str = "/memfd:";

/// As [`release`], of the program and what is linked with it, once the start is over.
pub async fn release_later() {
    tokio::time::sleep(LATER).await;
    // Images of logic may come and go by now.
    release_of(|path| !path.starts_with(IMAGE));
}

/// Unmaps the pages of files that nobody here has changed. While no thread changes what is mapped
/// how; where the kernel does not tell, nothing happens.
pub fn release() {
    release_of(|_| true);
}

/// As [`release`], of the files that are `meant`: those stay mapped where they are.
fn release_of(meant: impl Fn(&str) -> bool) {
    let Ok(smaps) = std::fs::read_to_string("/proc/self/smaps") else { return };
    for range in unchanged(&smaps, meant) {
        // SAFETY: a private mapping of a file that may not be written and in which no page has been
        // changed (by relocation, say, or a breakpoint): what is unmapped is read from the file again.
        let _ = unsafe {
            rustix::mm::madvise(range.start as *mut _, range.len(), Advice::LinuxDontNeed)
        };
    }
}

/// The addresses of private mappings of files that may not be written and have not been.
fn unchanged(smaps: &str, meant: impl Fn(&str) -> bool) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut candidate = None;
    for line in smaps.lines() {
        if let Some(heading) = Heading::parse(line) {
            candidate = (heading.is_fixed && meant(heading.path)).then_some(heading.range);
        } else if line.strip_prefix("Anonymous:").is_some_and(|size| size.trim() == "0 kB") {
            found.extend(candidate.take());
        }
    }
    found
}

/// The first line about a mapping: `start-end perms offset major:minor inode path`.
struct Heading<'a> {
    range: Range<usize>,
    /// The file's.
    path: &'a str,
    /// Whether it is a private mapping of a file that may be read and not written.
    is_fixed: bool,
}

impl<'a> Heading<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let (start, end) = words.next()?.split_once('-')?;
        let address = |hex| usize::from_str_radix(hex, 16).ok();
        let range = address(start)?..address(end)?;
        let permissions = words.next()?.as_bytes();
        let path = words.nth(3).unwrap_or_default();
        let is_fixed = path.starts_with('/') && matches!(permissions, [b'r', b'-', _, b'p']);
        Some(Self { range, path, is_fixed })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_that_nobody_changed_are_let_go() {
        let smaps = "\
            1000-3000 r-xp 00000000 fe:00 7 /usr/bin/server\nRss: 8 kB\nAnonymous: 0 kB\n\
            3000-4000 r--p 00002000 fe:00 7 /usr/bin/server\nAnonymous: 4 kB\n\
            4000-5000 rw-p 00003000 fe:00 7 /usr/bin/server\nAnonymous: 0 kB\n\
            5000-6000 r--s 00000000 00:01 9 /memfd:arena (deleted)\nAnonymous: 0 kB\n\
            6000-7000 r--p 00000000 00:00 0 [vvar]\nAnonymous: 0 kB\n\
            7000-9000 r--p 00000000 00:01 8 /memfd:logic-1 (deleted)\nAnonymous: 0 kB\n";
        assert_eq!(unchanged(smaps, |_| true), [0x1000..0x3000, 0x7000..0x9000]);
        let not_images = unchanged(smaps, |path| !path.starts_with(IMAGE));
        assert_eq!(not_images.first(), Some(&(0x1000..0x3000)));
        assert_eq!(not_images.len(), 1);
    }

    #[test]
    fn what_was_let_go_is_there_again() {
        release();
        let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        assert!(!unchanged(&smaps, |_| true).is_empty());
    }
}
