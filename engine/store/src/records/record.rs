//! One record, to the byte.

use super::text::{length_len, text, write};

/// A name, and its value if the table has values; else empty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// The name.
    pub name: &'a [u8],
    /// The value.
    pub value: &'a [u8],
}

impl<'a> Record<'a> {
    /// The record at an address.
    ///
    /// # Safety
    /// A record of a table that has values if `VALUES` is there, and neither changed nor freed for
    /// `'a`.
    #[inline]
    pub unsafe fn at<const VALUES: bool>(address: u64) -> Self {
        // SAFETY: a record begins with the length of its name; the rest is as the lengths say.
        unsafe {
            let (name, behind) = text(address);
            let value = if VALUES { text(behind).0 } else { &[] };
            Self { name, value }
        }
    }

    /// Bytes of its allocation.
    #[inline]
    pub fn size<const VALUES: bool>(self) -> usize {
        let of = |text: &[u8]| length_len(text.len()) + text.len();
        of(self.name) + if VALUES { of(self.value) } else { 0 }
    }

    /// Writes it to an allocation of its size.
    ///
    /// # Safety
    /// The allocation is the caller's.
    pub unsafe fn write<const VALUES: bool>(self, address: u64) {
        // SAFETY: what is written is as long as `size` says.
        unsafe {
            let behind = write(address, self.name);
            if VALUES {
                write(behind, self.value);
            }
        }
    }
}
