//! Which parts of a file this process has mapped, from its own `/proc/self/maps`.
//!
//! What the dynamic linker says it did is not believed: a library is loaded where the kernel maps
//! its image, and unloaded when the kernel no longer does.

use std::ops::Range;
use std::os::fd::AsFd;

use crate::refusal::{Code, Refusal};

/// A file, as the kernel names it in the maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileId {
    major: u32,
    minor: u32,
    inode: u64,
}

impl FileId {
    /// The open file's identity. No other file has it while this one is open or mapped.
    ///
    /// # Errors
    /// `io`.
    pub fn of(file: impl AsFd) -> Result<Self, Refusal> {
        let stat = rustix::fs::fstat(file)
            .map_err(|e| Refusal::new(Code::Io, format!("fstat of the image: {e}")))?;
        let (major, minor) = (rustix::fs::major(stat.st_dev), rustix::fs::minor(stat.st_dev));
        Ok(Self { major, minor, inode: stat.st_ino })
    }
}

/// One mapping of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// Addresses.
    pub range: Range<usize>,
    /// Offset in the file of the first byte.
    pub offset: u64,
    /// Whether it may be read.
    pub readable: bool,
}

/// This process's mappings of a file, in ascending order.
///
/// # Errors
/// `io`.
pub fn of_file(file: FileId) -> Result<Vec<Mapping>, Refusal> {
    let maps = std::fs::read_to_string("/proc/self/maps")
        .map_err(|e| Refusal::new(Code::Io, format!("/proc/self/maps: {e}")))?;
    let parsed = maps.lines().filter_map(parse);
    Ok(parsed.filter(|(id, _)| *id == file).map(|(_, mapping)| mapping).collect())
}

/// `start-end perms offset major:minor inode path`
fn parse(line: &str) -> Option<(FileId, Mapping)> {
    let mut words = line.split_ascii_whitespace();
    let (start, end) = words.next()?.split_once('-')?;
    let permissions = words.next()?;
    let offset = u64::from_str_radix(words.next()?, 16).ok()?;
    let (major, minor) = words.next()?.split_once(':')?;
    let inode = words.next()?.parse().ok()?;
    let number = |text| u32::from_str_radix(text, 16).ok();
    let address = |text| usize::from_str_radix(text, 16).ok();
    let file = FileId { major: number(major)?, minor: number(minor)?, inode };
    let range = address(start)?..address(end)?;
    Some((file, Mapping { range, offset, readable: permissions.starts_with('r') }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_taken_apart() {
        let line = "7f00-7f10 r-xp 0001a000 00:1c 4242    /memfd:logic-3 (deleted)";
        let (file, mapping) = parse(line).unwrap();
        assert_eq!(file, FileId { major: 0, minor: 0x1c, inode: 4242 });
        assert_eq!(mapping, Mapping { range: 0x7f00..0x7f10, offset: 0x1a000, readable: true });
        assert!(parse("").is_none());
    }

    #[test]
    fn a_mapping_is_seen_while_it_lasts() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(8192).unwrap();
        let id = FileId::of(&file).unwrap();
        assert_eq!(of_file(id).unwrap(), []);
        // SAFETY: nobody else knows the file.
        let map = unsafe { memmap2::Mmap::map(&file) }.unwrap();
        let seen = of_file(id).unwrap();
        assert_eq!(seen.len(), 1);
        assert_eq!(seen[0].range.start, map.as_ptr() as usize);
        drop(map);
        assert_eq!(of_file(id).unwrap(), []);
    }
}
