//! Size classes: which block size serves a request. Pure arithmetic.
//!
//! Steps of 8 bytes up to 128, then eight classes a doubling up to 32 KiB, so at most an eighth of
//! a block is waste. Every class that serves a multiple of 64 is itself a multiple of 64, which
//! keeps such blocks on cache-line boundaries. Anything larger is a run of whole pages, counted in
//! units of 4 KiB: the rest of its last page is never touched and so costs nothing.

/// Bytes of an allocator page; small blocks share one, large ones take a run of them.
pub const PAGE_BYTES: u64 = 1 << PAGE_SHIFT;
/// Bytes of a huge page, and of what it can be made of: a chunk, on a boundary of as many.
pub const CHUNK_BYTES: u64 = 2 << 20;
/// Pages of a chunk.
pub const CHUNK_PAGES: u32 = (CHUNK_BYTES / PAGE_BYTES) as u32;
/// log2 of [`PAGE_BYTES`].
pub const PAGE_SHIFT: u32 = 16;
/// Largest size served from a class.
pub const SMALL_MAX: u64 = 32 * 1024;
/// Number of classes.
pub const CLASSES: usize = 80;

/// Unit in which large blocks are counted: what the system gives out at once.
const SYSTEM_PAGE_BYTES: u64 = 4096;
const LINEAR_MAX: u64 = 128;
const LINEAR_CLASSES: usize = 16;
const CACHE_BYTES: u32 = 16 * 1024;
const CACHE_BLOCKS_MIN: u32 = 2;
const CACHE_BLOCKS_MAX: u32 = 64;

static CLASS_BYTES: [u32; CLASSES] = class_table();

/// The class that serves `last_offset + 1` bytes; `last_offset` is below [`SMALL_MAX`].
///
/// Takes the offset of the last byte rather than the size because that makes each class a plain
/// bit field of it.
#[inline(always)]
pub const fn class_of_last(last_offset: u64) -> usize {
    if last_offset < LINEAR_MAX {
        return (last_offset >> 3) as usize;
    }
    let exponent = 63 - last_offset.leading_zeros();
    let eighth = (last_offset >> (exponent - 3)) & 7;
    LINEAR_CLASSES + ((exponent as usize - 7) << 3) + eighth as usize
}

/// The class that serves `size` bytes, which must be in `1..=SMALL_MAX`.
#[inline(always)]
pub const fn class_of(size: u64) -> usize {
    debug_assert!(size > 0 && size <= SMALL_MAX);
    class_of_last(size - 1)
}

/// Bytes of a block of this class.
#[inline]
pub fn class_bytes(class: usize) -> u32 {
    CLASS_BYTES[class]
}

/// Blocks of this class in one page.
pub fn blocks_per_page(class: usize) -> u32 {
    PAGE_BYTES as u32 / class_bytes(class)
}

/// Free blocks of this class that a lane keeps before it hands half of them back.
pub fn cache_limit(class: usize) -> u32 {
    (CACHE_BYTES / class_bytes(class)).clamp(CACHE_BLOCKS_MIN, CACHE_BLOCKS_MAX)
}

/// Bytes that an allocation of `size` takes; saturates far above any arena.
#[inline]
pub fn rounded(size: u64) -> u64 {
    let size = size.max(1);
    if size <= SMALL_MAX {
        u64::from(class_bytes(class_of(size)))
    } else {
        size.checked_next_multiple_of(SYSTEM_PAGE_BYTES).unwrap_or(u64::MAX)
    }
}

/// Pages of a run that holds `size` bytes; `None` when no arena could be that large.
pub fn pages_of(size: u64) -> Option<u32> {
    u32::try_from(size.div_ceil(PAGE_BYTES)).ok()
}

const fn class_table() -> [u32; CLASSES] {
    let mut table = [0; CLASSES];
    let mut class = 0;
    while class < CLASSES {
        table[class] = if class < LINEAR_CLASSES {
            (class as u32 + 1) * 8
        } else {
            let doubling = (class - LINEAR_CLASSES) / 8;
            let eighth = ((class - LINEAR_CLASSES) % 8) as u32;
            (9 + eighth) << (doubling + 4)
        };
        class += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_size_gets_the_smallest_class_that_holds_it() {
        for size in 1..=SMALL_MAX {
            let class = class_of(size);
            assert!(u64::from(class_bytes(class)) >= size, "size {size}");
            assert!(class == 0 || u64::from(class_bytes(class - 1)) < size, "size {size}");
        }
        assert_eq!(class_of(SMALL_MAX), CLASSES - 1);
    }

    #[test]
    fn waste_is_at_most_an_eighth_of_the_block() {
        for size in LINEAR_MAX..=SMALL_MAX {
            assert!((rounded(size) - size) * 8 <= rounded(size), "size {size}");
        }
        for size in 1..LINEAR_MAX {
            assert!(rounded(size) - size < 8, "size {size}");
        }
    }

    #[test]
    fn multiples_of_64_get_classes_of_multiples_of_64() {
        for size in (64..=SMALL_MAX).step_by(64) {
            assert_eq!(rounded(size) % 64, 0, "size {size}");
        }
    }

    #[test]
    fn common_entry_sizes_are_exact() {
        for size in [8, 16, 24, 32, 48, 64, 88, 96, 104, 112, 128, 192, 256, 4096, 32768] {
            assert_eq!(rounded(size), size);
        }
    }

    #[test]
    fn large_sizes_round_to_system_pages() {
        assert_eq!(rounded(SMALL_MAX + 1), 36 * 1024);
        assert_eq!(rounded(1 << 30), 1 << 30);
        assert_eq!(rounded(u64::MAX), u64::MAX);
        assert_eq!(pages_of(SMALL_MAX + 1), Some(1));
        assert_eq!(pages_of(PAGE_BYTES + 1), Some(2));
        assert_eq!(pages_of(u64::MAX), None);
    }

    #[test]
    fn caches_hold_at_least_two_and_at_most_64_blocks() {
        assert_eq!(cache_limit(class_of(88)), 64);
        assert_eq!(cache_limit(class_of(4096)), 4);
        assert_eq!(cache_limit(CLASSES - 1), 2);
    }
}
