//! Reading.

use std::borrow::Cow;

use super::fault::Fault;
use base::args::{c_text, parse_c_float};
use base::lzf;

const TOO_MANY: &str = "more elements than there are bytes left";
/// Longest string that is read.
const STRING_MAX: usize = u32::MAX as usize - (64 << 10);

/// The number that a text is.
pub fn number(text: &[u8]) -> Option<f64> {
    parse_c_float(text).filter(|_| !c_text(text).is_empty())
}

/// Reads from a slice. No memory is taken for what only a length tells of: whatever is claimed is
/// held against what is left.
#[derive(Clone)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Where what was read last begins.
    begin: usize,
}

/// What a length may be.
enum Length {
    /// A length.
    Plain(u64),
    /// None: how a string is encoded.
    Encoding(u8),
}

impl<'a> Reader<'a> {
    /// Of these bytes.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self::from(bytes, 0)
    }

    /// Of these bytes, from the one at `at` on.
    pub const fn from(bytes: &'a [u8], at: usize) -> Self {
        Self { bytes, at, begin: at }
    }

    /// How many bytes are behind.
    pub const fn at(&self) -> usize {
        self.at
    }

    /// Where what was read last, or could not be, begins: a number, a string, some bytes.
    pub const fn begin(&self) -> usize {
        self.begin
    }

    /// Bytes that are left.
    pub const fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// Damage before what is read next.
    pub const fn damage(&self, what: &'static str) -> Fault {
        Fault::damage(self.at, what)
    }

    /// So many bytes as they are.
    pub fn take(&mut self, len: usize) -> Result<&'a [u8], Fault> {
        self.begin = self.at;
        self.next(len)
    }

    fn next(&mut self, len: usize) -> Result<&'a [u8], Fault> {
        let taken = self.at.checked_add(len).and_then(|end| self.bytes.get(self.at..end));
        let taken = taken.ok_or(self.damage("it ends too early"))?;
        self.at += len;
        Ok(taken)
    }

    /// So many bytes.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        self.begin = self.at;
        self.chunk()
    }

    fn chunk<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let taken = self.next(N)?;
        Ok(*taken.first_chunk().expect("as many bytes as were taken"))
    }

    /// A byte.
    pub fn byte(&mut self) -> Result<u8, Fault> {
        self.array().map(|[byte]| byte)
    }

    fn length_or_encoding(&mut self) -> Result<Length, Fault> {
        let [head] = self.chunk()?;
        Ok(match (head >> 6, head) {
            (0, _) => Length::Plain(head.into()),
            (1, _) => {
                let [low] = self.chunk()?;
                Length::Plain(u64::from(head & 0x3f) << 8 | u64::from(low))
            }
            (2, 0x80) => Length::Plain(u32::from_be_bytes(self.chunk()?).into()),
            (2, 0x81) => Length::Plain(u64::from_be_bytes(self.chunk()?)),
            (3, _) => Length::Encoding(head & 0x3f),
            _ => return Err(self.damage("a length of an unknown form")),
        })
    }

    /// A number.
    pub fn length(&mut self) -> Result<u64, Fault> {
        self.begin = self.at;
        self.plain_length()
    }

    fn plain_length(&mut self) -> Result<u64, Fault> {
        match self.length_or_encoding()? {
            Length::Plain(length) => Ok(length),
            Length::Encoding(_) => Err(self.damage("an encoding in the place of a length")),
        }
    }

    /// How many things follow, maybe none, each at least so many bytes long.
    pub fn count_or_none(&mut self, bytes_min: usize) -> Result<usize, Fault> {
        let count = self.length()?;
        let fits = |count: &usize| *count <= self.left() / bytes_min;
        usize::try_from(count).ok().filter(fits).ok_or(self.damage(TOO_MANY))
    }

    /// How many things follow: at least one, each at least so many bytes long.
    pub fn count(&mut self, bytes_min: usize) -> Result<usize, Fault> {
        match self.count_or_none(bytes_min)? {
            0 => Err(Fault::empty(self.at)),
            count => Ok(count),
        }
    }

    /// A string.
    pub fn string(&mut self) -> Result<Cow<'a, [u8]>, Fault> {
        self.begin = self.at;
        let len = match self.length_or_encoding()? {
            Length::Plain(len) => len,
            Length::Encoding(0) => return self.digits(|[byte]: [u8; 1]| byte as i8 as i64),
            Length::Encoding(1) => return self.digits(|bytes| i16::from_le_bytes(bytes).into()),
            Length::Encoding(2) => return self.digits(|bytes| i32::from_le_bytes(bytes).into()),
            Length::Encoding(3) => return self.compressed().map(Cow::Owned),
            Length::Encoding(_) => return Err(self.damage("a string of an unknown encoding")),
        };
        self.next(self.bounded(len)?).map(Cow::Borrowed)
    }

    /// Passes over a string, which is not looked at.
    pub fn pass_string(&mut self) -> Result<(), Fault> {
        self.begin = self.at;
        let len = match self.length_or_encoding()? {
            Length::Plain(len) => self.bounded(len)?,
            Length::Encoding(encoding @ 0..=2) => 1 << encoding,
            Length::Encoding(3) => {
                let packed = self.plain_length()?;
                self.plain_length()?;
                self.bounded(packed)?
            }
            Length::Encoding(_) => return Err(self.damage("a string of an unknown encoding")),
        };
        self.next(len).map(drop)
    }

    /// The length of a string.
    fn bounded(&self, len: u64) -> Result<usize, Fault> {
        let len = usize::try_from(len).ok().filter(|len| *len <= STRING_MAX);
        len.ok_or(self.damage("a string that is too long"))
    }

    fn digits<const N: usize>(
        &mut self,
        value: impl FnOnce([u8; N]) -> i64,
    ) -> Result<Cow<'a, [u8]>, Fault> {
        let value = value(self.chunk()?);
        Ok(Cow::Owned(itoa::Buffer::new().format(value).as_bytes().to_vec()))
    }

    fn compressed(&mut self) -> Result<Vec<u8>, Fault> {
        let [packed, len] = [self.plain_length()?, self.plain_length()?];
        let (packed, len) = (self.bounded(packed)?, self.bounded(len)?);
        let packed = self.next(packed)?;
        lzf::decompress(packed, len).ok_or(self.damage("a compressed string that is damaged"))
    }

    /// A score of eight bytes.
    pub fn double(&mut self) -> Result<f64, Fault> {
        let value = f64::from_le_bytes(self.array()?);
        self.score(Some(value))
    }

    /// A score as text, with its length in a byte before it, or one of three words.
    pub fn double_text(&mut self) -> Result<f64, Fault> {
        let value = match self.byte()? {
            253 => None,
            254 => Some(f64::INFINITY),
            255 => Some(f64::NEG_INFINITY),
            len => number(self.next(len.into())?),
        };
        self.score(value)
    }

    fn score(&self, value: Option<f64>) -> Result<f64, Fault> {
        value.filter(|value| !value.is_nan()).ok_or(self.damage("a score that is no number"))
    }
}
