//! What hashes and sorted sets are small: rows in the entry itself.
#![forbid(unsafe_code)]

/// Most bytes of rows, whatever the settings.
const ROWS_BYTES_MAX: usize = 1 << 30;

/// What is small.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Fields or members that a small one has at most.
    pub entries: u64,
    /// Bytes of the longest field, value or member.
    pub value_bytes: u64,
}

impl Limits {
    /// Whether a field, value or member may be one of a small value.
    #[inline]
    pub fn admit(&self, text: &[u8]) -> bool {
        text.len() as u64 <= self.value_bytes
    }

    /// Whether a small value may have so many rows in so many bytes.
    #[inline]
    pub fn allow(&self, rows: usize, bytes: usize) -> bool {
        rows as u64 <= self.entries && bytes <= ROWS_BYTES_MAX
    }
}
