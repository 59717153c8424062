//! One record, to the byte.

/// Longest length as it is written.
const LENGTH_BYTES_MAX: usize = 10;

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

/// A text that begins with its length, and the address behind it.
///
/// # Safety
/// One is there, complete and unchanged for `'a`.
#[inline(always)]
unsafe fn text<'a>(address: u64) -> (&'a [u8], u64) {
    let (mut len, mut at, mut shift) = (0, address, 0);
    loop {
        // SAFETY: the bytes of a length, of which only the last has its top bit clear.
        let byte = unsafe { *(at as *const u8) };
        at += 1;
        len |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte < 0x80 {
            break;
        }
    }
    // SAFETY: so many bytes follow the length.
    (unsafe { core::slice::from_raw_parts(at as *const u8, len) }, at + len as u64)
}

/// Writes a text with its length and returns the address behind it.
///
/// # Safety
/// The room for both is the caller's.
unsafe fn write(address: u64, text: &[u8]) -> u64 {
    let mut length = [0u8; LENGTH_BYTES_MAX];
    let (mut left, count) = (text.len(), length_len(text.len()));
    for (index, byte) in length[..count].iter_mut().enumerate() {
        *byte = (left & 0x7f) as u8 | if index + 1 < count { 0x80 } else { 0 };
        left >>= 7;
    }
    let to = address as *mut u8;
    // SAFETY: as the caller promises.
    unsafe {
        to.copy_from_nonoverlapping(length.as_ptr(), count);
        to.add(count).copy_from_nonoverlapping(text.as_ptr(), text.len());
    }
    address + (count + text.len()) as u64
}

/// Bytes of a length as it is written.
#[inline]
const fn length_len(len: usize) -> usize {
    if len < 1 << 7 { 1 } else { len.ilog2() as usize / 7 + 1 }
}
