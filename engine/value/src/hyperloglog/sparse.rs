//! Runs of equal registers, for a HyperLogLog in which most are zero:
//!
//! ```text
//! 00nnnnnn           n + 1 registers, 1 to 64, are zero
//! 01nnnnnn nnnnnnnn  n + 1 registers, 1 to 16384, are zero; the high bits come first
//! 1vvvvvnn           n + 1 registers, 1 to 4, have the value v + 1, which is 1 to 32
//! ```
//!
//! A client can leave a run of two bytes with its first alone, at the end of the string. The other
//! then counts as zero, which is what Redis finds there; and when such a run is split, the byte that
//! Redis writes behind the end of the string is left out.

use super::{CORRUPTED, HEAD, Histogram, REGISTERS, Registers};
use base::bytes::Bytes;
use base::error::Error;

const FEW_MAX: usize = 64;
const LONG_ZERO: u8 = 1 << 6;
const VALUE: u8 = 1 << 7;
const VALUE_MAX: u8 = 32;
const VALUE_RUN_MAX: usize = 4;
/// Runs that are looked at for equal neighbours after one was changed.
const LOOKED_AT: usize = 5;

/// All registers as one run of zeros.
pub const ALL_ZERO: [u8; 2] =
    [LONG_ZERO | ((REGISTERS - 1) >> 8) as u8, ((REGISTERS - 1) & 0xff) as u8];

/// A run of equal registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Run {
    /// So many are zero, told in one byte.
    Zeros(usize),
    /// So many are zero, told in two bytes.
    ManyZeros(usize),
    /// So many have a value.
    Values(u8, usize),
}

impl Run {
    /// The run at the beginning of bytes.
    fn first(bytes: &[u8]) -> Option<Self> {
        let low = |byte: u8| usize::from(byte & (FEW_MAX as u8 - 1));
        Some(match *bytes.first()? {
            byte if byte & VALUE != 0 => {
                Run::Values((byte >> 2 & (VALUE_MAX - 1)) + 1, usize::from(byte & 3) + 1)
            }
            byte if byte & LONG_ZERO != 0 => {
                let next = bytes.get(1).copied().unwrap_or(0);
                Run::ManyZeros((low(byte) << 8 | usize::from(next)) + 1)
            }
            byte => Run::Zeros(low(byte) + 1),
        })
    }

    /// So many zeros, told as briefly as can be.
    fn zeros(len: usize) -> Self {
        if len > FEW_MAX { Run::ManyZeros(len) } else { Run::Zeros(len) }
    }

    /// So many registers of its value.
    fn resized(self, len: usize) -> Self {
        match self {
            Run::Values(value, _) => Run::Values(value, len),
            _ => Run::zeros(len),
        }
    }

    /// The value of its registers.
    pub fn value(self) -> u8 {
        match self {
            Run::Values(value, _) => value,
            _ => 0,
        }
    }

    /// How many registers it has.
    pub fn registers(self) -> usize {
        let (Run::Zeros(len) | Run::ManyZeros(len) | Run::Values(_, len)) = self;
        len
    }

    /// Bytes it takes.
    fn bytes(self) -> usize {
        if matches!(self, Run::ManyZeros(_)) { 2 } else { 1 }
    }
}

/// A few runs, written.
#[derive(Default)]
struct Written {
    bytes: [u8; 5],
    len: usize,
}

impl Written {
    /// Adds a run, unless it has no registers.
    fn push(&mut self, run: Run) {
        let Some(last) = run.registers().checked_sub(1) else { return };
        let low = last as u8;
        let bytes = match run {
            Run::Zeros(_) => [low, 0],
            Run::ManyZeros(_) => [LONG_ZERO | (last >> 8) as u8, low],
            Run::Values(value, _) => [VALUE | (value - 1) << 2 | low, 0],
        };
        self.bytes[self.len..][..2].copy_from_slice(&bytes);
        self.len += run.bytes();
    }

    fn as_slice(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// The runs in bytes.
pub fn runs(mut bytes: &[u8]) -> impl Iterator<Item = Run> {
    core::iter::from_fn(move || {
        let run = Run::first(bytes)?;
        bytes = bytes.get(run.bytes()..).unwrap_or_default();
        Some(run)
    })
}

/// Calls `each` with the runs and their first registers.
///
/// # Errors
/// [`CORRUPTED`] if they are not of just all registers. No run beyond the last register is shown.
fn visit(bytes: &[u8], mut each: impl FnMut(usize, Run)) -> Result<(), Error> {
    let mut first = 0;
    for run in runs(bytes) {
        if run.registers() > REGISTERS - first {
            return Err(CORRUPTED);
        }
        each(first, run);
        first += run.registers();
    }
    if first == REGISTERS { Ok(()) } else { Err(CORRUPTED) }
}

/// How often each value occurs.
pub fn histogram(bytes: &[u8]) -> Result<Histogram, Error> {
    let mut counts = [0; 64];
    visit(bytes, |_, run| counts[usize::from(run.value())] += run.registers() as u32)?;
    Ok(Histogram(counts))
}

/// Raises each of `registers` that is smaller.
pub fn raise(bytes: &[u8], registers: &mut Registers) -> Result<(), Error> {
    visit(bytes, |first, run| {
        if let Run::Values(value, len) = run {
            registers[first..first + len].iter_mut().for_each(|own| *own = value.max(*own));
        }
    })
}

/// What became of a register that was to be raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was not smaller.
    Kept,
    /// It has the value.
    Raised,
    /// Runs cannot tell the value, or would take too many bytes.
    DoesNotFit,
}

/// A run of a string, found by one of its registers.
struct Place {
    run: Run,
    /// Where it is in the string.
    at: usize,
    /// Its first register.
    first: usize,
    /// Where the run before it is, or it itself if it is the first.
    before: usize,
}

fn find(string: &[u8], index: usize) -> Option<Place> {
    let (mut at, mut first, mut before) = (HEAD, 0, HEAD);
    loop {
        let run = Run::first(string.get(at..)?)?;
        if index - first < run.registers() {
            return Some(Place { run, at, first, before });
        }
        before = at;
        at += run.bytes();
        first += run.registers();
    }
}

/// Raises a register of a sparse string if it is smaller than a value, where the string does not
/// become longer than `max` bytes by it.
///
/// # Errors
/// [`CORRUPTED`] if the register is in none of the runs.
pub fn raise_one(
    string: &mut Bytes<'_>,
    index: usize,
    value: u8,
    max: u64,
) -> Result<Outcome, Error> {
    if value > VALUE_MAX {
        return Ok(Outcome::DoesNotFit);
    }
    let Place { run, at, first, before } = find(string.as_slice(), index).ok_or(CORRUPTED)?;
    if run.value() >= value {
        return Ok(Outcome::Kept);
    }
    let mut written = Written::default();
    written.push(run.resized(index - first));
    written.push(Run::Values(value, 1));
    written.push(run.resized(first + run.registers() - 1 - index));
    let end = string.len().min(at + run.bytes());
    let grown = string.len() + written.len - run.bytes();
    if grown > string.len() && grown as u64 > max {
        return Ok(Outcome::DoesNotFit);
    }
    let missing = at + run.bytes() - end;
    string.splice(at..end, &written.as_slice()[..written.len - missing]);
    join(string, before);
    Ok(Outcome::Raised)
}

/// Joins equal values that stand side by side, where one run can tell them, from a run on. Which
/// ones are looked at is part of the format: with others, strings of equal registers would differ.
fn join(string: &mut Bytes<'_>, mut at: usize) {
    for _ in 0..LOOKED_AT {
        let rest = &string.as_slice()[at.min(string.len())..];
        let Some(run) = Run::first(rest) else { return };
        if let (Run::Values(value, one), Some(Run::Values(next, other))) =
            (run, Run::first(&rest[run.bytes().min(rest.len())..]))
            && value == next
            && one + other <= VALUE_RUN_MAX
        {
            let mut joined = Written::default();
            joined.push(Run::Values(value, one + other));
            string.splice(at..at + 2, joined.as_slice());
        } else {
            at += run.bytes();
        }
    }
}
