//! HyperLogLog: about how many distinct elements there are, in a string of 12 KiB at most.
//!
//! An element's hash chooses one of 16384 registers and a value for it (`element.rs`); a register
//! keeps the greatest it was given, and how often each value occurs says about how many elements
//! there were (`estimate.rs`). Strings are those of Redis, to the byte:
//!
//! ```text
//! 0    4  magic  "HYLL"
//! 4    1  representation  0 dense, 1 sparse
//! 5    3  not used, kept as they are
//! 8    8  the estimate as it was last made, little endian; the top bit says that it is out of date
//! 16      dense: 16384 registers of 6 bits (dense.rs)
//!         sparse: runs of equal registers (sparse.rs)
//! ```
//!
//! A client can write any bytes into such a string. What the head says is checked when a view is
//! made, what follows it wherever it is read: no string, whatever it holds, makes a view read or
//! write outside of it.
#![forbid(unsafe_code)]

mod dense;
mod element;
mod estimate;
mod self_test;
mod sparse;
#[cfg(test)]
mod tests;

pub use estimate::Histogram;
pub use self_test::self_test;
pub use sparse::Run;

use base::bytes::Bytes;
use base::error::{Done, Error};
use base::heap::or_undo;

/// Registers.
pub const REGISTERS: usize = 1 << INDEX_BITS;
/// Bits of a hash that choose the register.
const INDEX_BITS: u32 = 14;
/// The greatest value that a hash gives: its other bits are all zero.
const VALUE_MAX: usize = 64 - INDEX_BITS as usize + 1;

const MAGIC: &[u8; 4] = b"HYLL";
const DENSE: u8 = 0;
const SPARSE: u8 = 1;
/// Bytes before the registers.
const HEAD: usize = 16;
/// Where the representation is told.
const REPRESENTATION: usize = 4;
/// Where the estimate is.
const ESTIMATE: core::ops::Range<usize> = 8..16;
/// In the last byte of the estimate: it is out of date.
const OUT_OF_DATE: u8 = 1 << 7;

/// Bytes of a dense one.
const DENSE_LEN: usize = HEAD + dense::BYTES;

/// The string of one without elements: sparse, and what it tells about them is yet to be made.
pub const EMPTY: [u8; HEAD + 2] = {
    let mut bytes = [0; HEAD + 2];
    bytes.split_at_mut(MAGIC.len()).0.copy_from_slice(MAGIC);
    bytes[REPRESENTATION] = SPARSE;
    bytes[ESTIMATE.end - 1] = OUT_OF_DATE;
    [bytes[HEAD], bytes[HEAD + 1]] = sparse::ALL_ZERO;
    bytes
};

/// A string is none.
pub const NOT_ONE: Error = Error::new("WRONGTYPE Key is not a valid HyperLogLog string value.");
/// A sparse one whose runs are not of all registers.
pub const CORRUPTED: Error = Error::new("INVALIDOBJ Corrupted HLL object detected");

/// The values of all registers, a byte each.
pub type Registers = [u8; REGISTERS];

/// How the registers are kept.
#[derive(Clone, Copy)]
enum Representation<'a> {
    /// 6 bits each.
    Dense(&'a [u8; dense::BYTES]),
    /// Runs of equal ones, not checked.
    Sparse(&'a [u8]),
}

/// A HyperLogLog to be read.
#[derive(Clone, Copy)]
pub struct HllRef<'a> {
    bytes: &'a [u8],
    registers: Representation<'a>,
}

impl<'a> HllRef<'a> {
    /// The one in a string.
    ///
    /// # Errors
    /// [`NOT_ONE`] if its head is not that of one, or its length not that of a dense one.
    pub fn of(bytes: &'a [u8]) -> Result<Self, Error> {
        let (head, rest) = bytes.split_first_chunk::<HEAD>().ok_or(NOT_ONE)?;
        let registers = match (head.starts_with(MAGIC), head[REPRESENTATION]) {
            (true, DENSE) => Representation::Dense(rest.try_into().map_err(|_| NOT_ONE)?),
            (true, SPARSE) => Representation::Sparse(rest),
            _ => return Err(NOT_ONE),
        };
        Ok(Self { bytes, registers })
    }

    /// Whether it is dense.
    pub fn is_dense(&self) -> bool {
        matches!(self.registers, Representation::Dense(_))
    }

    /// The runs of a sparse one.
    pub fn runs(&self) -> Option<impl Iterator<Item = Run> + use<'a>> {
        match self.registers {
            Representation::Sparse(runs) => Some(sparse::runs(runs)),
            Representation::Dense(_) => None,
        }
    }

    /// The estimate that it remembers, if that is up to date.
    pub fn remembered(&self) -> Option<u64> {
        let estimate = self.bytes[ESTIMATE].try_into().expect("eight bytes");
        let is_out_of_date = self.bytes[ESTIMATE.end - 1] & OUT_OF_DATE != 0;
        (!is_out_of_date).then(|| u64::from_le_bytes(estimate))
    }

    /// About how many distinct elements were added. Looks at all registers.
    ///
    /// # Errors
    /// [`CORRUPTED`]
    pub fn estimate(&self) -> Result<u64, Error> {
        let histogram = match self.registers {
            Representation::Dense(registers) => dense::histogram(registers),
            Representation::Sparse(runs) => sparse::histogram(runs)?,
        };
        Ok(histogram.estimate())
    }

    /// Raises each of `registers` that is smaller than that of this one.
    ///
    /// # Errors
    /// [`CORRUPTED`]: some may have been raised.
    pub fn raise(&self, registers: &mut Registers) -> Result<(), Error> {
        match self.registers {
            Representation::Dense(own) => dense::raise(own, registers),
            Representation::Sparse(runs) => sparse::raise(runs, registers)?,
        }
        Ok(())
    }
}

/// A HyperLogLog to be changed.
pub struct HllMut<'a> {
    bytes: Bytes<'a>,
    /// How long it may become and stay sparse, in bytes.
    sparse_max: u64,
}

impl<'a> HllMut<'a> {
    /// The one in a string. It becomes dense when it would else be longer than `sparse_max` bytes.
    ///
    /// # Errors
    /// [`NOT_ONE`], as [`HllRef::of`].
    pub fn of(bytes: Bytes<'a>, sparse_max: u64) -> Result<Self, Error> {
        HllRef::of(bytes.as_slice())?;
        Ok(Self { bytes, sparse_max })
    }

    /// It, to be read.
    pub fn view(&self) -> HllRef<'_> {
        HllRef::of(self.bytes.as_slice()).expect("it was one and is changed by its methods alone")
    }

    /// Adds elements. Tells how many of them have changed a register, and whether all were added.
    /// Where memory runs out nothing has changed.
    ///
    /// # Errors
    /// [`CORRUPTED`]: those before the one that found it so are added.
    pub fn add<'e>(&mut self, elements: impl ExactSizeIterator<Item = &'e [u8]>) -> (usize, Done) {
        let mut changes = 0;
        // One alone is added whole or not at all.
        let before = if elements.len() > 1 { self.sparse_copy() } else { None };
        let outcome = or_undo(
            self,
            |hll| {
                for element in elements {
                    let (index, value) = element::register(element);
                    changes += usize::from(hll.raise_one(index, value)?);
                }
                Ok(())
            },
            |hll| hll.put_back(before),
        );
        (changes, outcome)
    }

    /// Raises those of its registers that are smaller than these. The estimate is out of date then.
    /// Where memory runs out nothing has changed.
    ///
    /// # Errors
    /// [`CORRUPTED`]: some may have been raised.
    pub fn raise_to(&mut self, registers: &Registers) -> Done {
        let before = self.sparse_copy();
        or_undo(self, |hll| hll.raise_all(registers), |hll| hll.put_back(before))
    }

    fn raise_all(&mut self, registers: &Registers) -> Done {
        self.forget();
        let mut others = registers.iter().enumerate().filter(|(_, value)| **value != 0);
        while !self.view().is_dense() {
            let Some((index, value)) = others.next() else { return Ok(()) };
            self.raise_one(index, *value)?;
        }
        let mut greatest = *registers;
        self.view().raise(&mut greatest)?;
        dense::pack(&greatest, self.dense_mut());
        Ok(())
    }

    /// The string, if it is sparse: once dense, nothing needs memory.
    fn sparse_copy(&self) -> Option<Vec<u8>> {
        (!self.view().is_dense()).then(|| self.bytes.as_slice().to_vec())
    }

    /// Makes a sparse one again what it was when it was copied.
    fn put_back(&mut self, before: Option<Vec<u8>>) {
        if let Some(before) = before {
            // There is room: it has only grown.
            self.bytes.resize(before.len());
            self.bytes.as_mut_slice().copy_from_slice(&before);
        }
    }

    /// Raises a register if it is smaller than a value. Tells whether it was; then the estimate is
    /// out of date.
    fn raise_one(&mut self, index: usize, value: u8) -> Result<bool, Error> {
        if !self.view().is_dense() {
            match sparse::raise_one(&mut self.bytes, index, value, self.sparse_max)? {
                sparse::Outcome::Kept => return Ok(false),
                sparse::Outcome::Raised => {
                    self.forget();
                    return Ok(true);
                }
                sparse::Outcome::DoesNotFit => self.make_dense()?,
            };
        }
        let is_raised = dense::raise_one(self.dense_mut(), index, value);
        if is_raised {
            self.forget();
        }
        Ok(is_raised)
    }

    fn dense_mut(&mut self) -> &mut [u8; dense::BYTES] {
        let registers = &mut self.bytes.as_mut_slice()[HEAD..];
        registers.try_into().expect("it is dense")
    }

    /// Makes it dense. Tells whether it was not.
    ///
    /// # Errors
    /// [`CORRUPTED`]: nothing was changed.
    pub fn make_dense(&mut self) -> Result<bool, Error> {
        let view = self.view();
        if view.is_dense() {
            return Ok(false);
        }
        let mut registers = [0; REGISTERS];
        view.raise(&mut registers)?;
        let mut dense = [0; DENSE_LEN];
        let (head, packed) = dense.split_first_chunk_mut::<HEAD>().expect("a head");
        head.copy_from_slice(&self.bytes.as_slice()[..HEAD]);
        head[REPRESENTATION] = DENSE;
        dense::pack(&registers, packed.try_into().expect("as many bytes"));
        self.bytes.assign(&dense);
        Ok(true)
    }

    /// Remembers an estimate as that of its registers as they are.
    pub fn remember(&mut self, estimate: u64) {
        self.bytes.as_mut_slice()[ESTIMATE].copy_from_slice(&estimate.to_le_bytes());
    }

    /// The estimate that it remembers is out of date from now on.
    pub fn forget(&mut self) {
        self.bytes.as_mut_slice()[ESTIMATE.end - 1] |= OUT_OF_DATE;
    }
}
