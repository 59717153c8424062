//! Writing.

use base::args::parse_integer;
use base::lzf::Compressor;

/// Longest text of an integer that is written as a number.
const NUMBER_DIGITS_MAX: usize = 11;
/// Longest string that is never compressed.
const UNCOMPRESSED_MAX: usize = 20;
/// Bytes that a string has to lose, or it is not compressed.
const SAVED_MIN: usize = 4;

/// First byte of a length of 14 bits, which has its upper six in it.
const LENGTH_14: u8 = 0x40;
/// First byte of a length of 32 bits.
const LENGTH_32: u8 = 0x80;
/// First byte of a length of 64 bits.
const LENGTH_64: u8 = 0x81;
/// First byte of a string that is an integer of 8, 16 or 32 bits.
const INTEGERS: [u8; 3] = [0xc0, 0xc1, 0xc2];
/// First byte of a string that is compressed.
const COMPRESSED: u8 = 0xc3;

/// Appends to what grows.
pub struct Writer<'a> {
    out: &'a mut Vec<u8>,
    compressor: Option<&'a mut Compressor>,
    full_at: usize,
}

impl<'a> Writer<'a> {
    /// Appends to `out`; it is [full](Writer::is_full) when `step` bytes have been. Strings are
    /// compressed if there is something to do that with.
    pub fn new(out: &'a mut Vec<u8>, compressor: Option<&'a mut Compressor>, step: usize) -> Self {
        let full_at = out.len().saturating_add(step);
        Self { out, compressor, full_at }
    }

    /// Whether enough has been written for one step.
    pub fn is_full(&self) -> bool {
        self.out.len() >= self.full_at
    }

    /// A length or a number of things.
    pub fn length(&mut self, len: usize) {
        match len {
            0..=0x3f => self.out.push(len as u8),
            0x40..=0x3fff => self.out.extend([LENGTH_14 | (len >> 8) as u8, len as u8]),
            _ => match u32::try_from(len) {
                Ok(len) => {
                    self.out.push(LENGTH_32);
                    self.out.extend(len.to_be_bytes());
                }
                Err(_) => {
                    self.out.push(LENGTH_64);
                    self.out.extend((len as u64).to_be_bytes());
                }
            },
        }
    }

    /// A string: as the integer that it is, or compressed, or as it is.
    pub fn string(&mut self, bytes: &[u8]) {
        if bytes.len() <= NUMBER_DIGITS_MAX
            && let Some(value) = parse_integer(bytes).and_then(|value| i32::try_from(value).ok())
        {
            return self.integer(value);
        }
        if bytes.len() > UNCOMPRESSED_MAX && self.compressed(bytes) {
            return;
        }
        self.length(bytes.len());
        self.out.extend_from_slice(bytes);
    }

    fn integer(&mut self, value: i32) {
        let bytes = value.to_le_bytes();
        let (head, len) = match value {
            -0x80..=0x7f => (INTEGERS[0], 1),
            -0x8000..=0x7fff => (INTEGERS[1], 2),
            _ => (INTEGERS[2], 4),
        };
        self.out.push(head);
        self.out.extend_from_slice(&bytes[..len]);
    }

    /// Writes a string compressed. Tells whether that is worth while and done.
    fn compressed(&mut self, bytes: &[u8]) -> bool {
        let Some(compressor) = self.compressor.take() else { return false };
        let packed = compressor.compress(bytes, bytes.len() - SAVED_MIN);
        self.compressor = Some(compressor);
        let Some(packed) = packed else { return false };
        self.out.push(COMPRESSED);
        self.length(packed.len());
        self.length(bytes.len());
        self.out.extend(packed);
        true
    }

    /// A number as eight bytes.
    pub fn double(&mut self, value: f64) {
        self.out.extend(value.to_le_bytes());
    }
}
