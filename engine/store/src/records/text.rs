//! A text with its length before it, as `abi::container::record` lays down.

/// Longest length as it is written.
const LENGTH_BYTES_MAX: usize = 10;

/// A text that begins with its length, and the address behind it.
///
/// # Safety
/// One is there, complete and unchanged for `'a`.
#[inline(always)]
pub unsafe fn text<'a>(address: u64) -> (&'a [u8], u64) {
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

/// The text that bytes begin with, which are not believed, and what is behind it.
pub fn split(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut len = 0u64;
    for (index, byte) in bytes.iter().take(LENGTH_BYTES_MAX).enumerate() {
        len |= u64::from(byte & 0x7f).checked_shl(7 * index as u32)?;
        if *byte < 0x80 {
            return bytes[index + 1..].split_at_checked(usize::try_from(len).ok()?);
        }
    }
    None
}

/// Writes a text with its length and returns the address behind it.
///
/// # Safety
/// The room for both is the caller's.
pub unsafe fn write(address: u64, text: &[u8]) -> u64 {
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
pub const fn length_len(len: usize) -> usize {
    if len < 1 << 7 { 1 } else { len.ilog2() as usize / 7 + 1 }
}
