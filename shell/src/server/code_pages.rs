//! Code and constants that only the start needed are no longer mapped once it serves.
//!
//! The kernel maps whole neighbourhoods of the pages a process runs through, so that after the
//! start of a server most of its code and its logic's is counted as its memory, whether it is ever
//! used again or not. What is used again is mapped again, from the page cache.

use std::ops::Range;

use rustix::mm::Advice;

/// Unmaps the pages of files that nobody here has changed. While no thread changes what is mapped
/// how; where the kernel does not tell, nothing happens.
pub fn release() {
    let Ok(smaps) = std::fs::read_to_string("/proc/self/smaps") else { return };
    for range in unchanged(&smaps) {
        // SAFETY: a private mapping of a file that may not be written and in which no page has been
        // changed (by relocation, say, or a breakpoint): what is unmapped is read from the file again.
        let _ = unsafe {
            rustix::mm::madvise(range.start as *mut _, range.len(), Advice::LinuxDontNeed)
        };
    }
}

/// The addresses of private mappings of files that may not be written and have not been.
fn unchanged(smaps: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut candidate = None;
    for line in smaps.lines() {
        if let Some(heading) = Heading::parse(line) {
            candidate = heading.is_fixed.then_some(heading.range);
        } else if line.strip_prefix("Anonymous:").is_some_and(|size| size.trim() == "0 kB") {
            found.extend(candidate.take());
        }
    }
    found
}

/// The first line about a mapping: `start-end perms offset major:minor inode path`.
struct Heading {
    range: Range<usize>,
    /// Whether it is a private mapping of a file that may be read and not written.
    is_fixed: bool,
}

impl Heading {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let (start, end) = words.next()?.split_once('-')?;
        let address = |hex| usize::from_str_radix(hex, 16).ok();
        let range = address(start)?..address(end)?;
        let permissions = words.next()?.as_bytes();
        let is_file = words.nth(3).is_some_and(|path| path.starts_with('/'));
        Some(Self { range, is_fixed: is_file && matches!(permissions, [b'r', b'-', _, b'p']) })
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
        assert_eq!(unchanged(smaps), [0x1000..0x3000, 0x7000..0x9000]);
    }

    #[test]
    fn what_was_let_go_is_there_again() {
        release();
        assert!(!unchanged(&std::fs::read_to_string("/proc/self/smaps").unwrap()).is_empty());
    }
}
