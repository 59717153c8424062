//! A trial of the algorithms with random registers and elements, as `PFSELFTEST` runs it.

use super::{EMPTY, HllMut, REGISTERS, Registers, dense};
use base::bytes::{Bytes, OwnedBytes};
use base::heap::Heap;
use base::random::Random;

/// Rounds of random registers.
const ROUNDS: usize = 16;
/// Powers of ten: numbers of elements at which estimates are held against the truth.
const CHECKPOINTS: u32 = 5;
/// As that of the setting's default.
const SPARSE_MAX: u64 = 3000;

/// Tries the algorithms. The error says what is wrong.
pub fn self_test(heap: Heap, random: &mut Random) -> Result<(), String> {
    (0..ROUNDS).try_for_each(|_| try_registers(random))?;
    try_estimates(heap, random)
}

/// Registers that are set have the value they were set to, and their neighbours theirs.
fn try_registers(random: &mut Random) -> Result<(), String> {
    let expected: Registers = core::array::from_fn(|_| random.below(64) as u8);
    let mut packed = [0; dense::BYTES];
    for (index, value) in expected.iter().enumerate() {
        dense::raise_one(&mut packed, index, *value);
    }
    let mut found = [0; REGISTERS];
    dense::raise(&packed, &mut found);
    match (0..REGISTERS).find(|index| found[*index] != expected[*index]) {
        Some(index) => {
            let (found, expected) = (found[index], expected[index]);
            Err(format!("TESTFAILED Register {index} should be {expected} but is {found}"))
        }
        None => Ok(()),
    }
}

/// Estimates of distinct elements are near the truth, and the same of both representations.
fn try_estimates(heap: Heap, random: &mut Random) -> Result<(), String> {
    let [mut sparse_bytes, mut dense_bytes] = [OwnedBytes::new(heap), OwnedBytes::new(heap)];
    let mut sparse = empty(sparse_bytes.view());
    let mut dense = empty(dense_bytes.view());
    let fault = |error| format!("TESTFAILED {error:?}");
    dense.make_dense().map_err(fault)?;
    let (seed, mut added) = (random.next_u64(), 0u64);
    for checkpoint in (0..=CHECKPOINTS).map(|power| 10u64.pow(power)) {
        while added < checkpoint {
            added += 1;
            let element = (added ^ seed).to_le_bytes();
            for hll in [&mut sparse, &mut dense] {
                hll.add(core::iter::once(&element[..])).1.map_err(fault)?;
            }
        }
        if checkpoint < SPARSE_MAX / 2 && sparse.view().is_dense() {
            return Err("TESTFAILED sparse encoding not used".into());
        }
        let [estimate, same] = [&sparse, &dense].map(|hll| hll.view().estimate());
        let (estimate, same) = (estimate.map_err(fault)?, same.map_err(fault)?);
        if estimate != same {
            return Err("TESTFAILED dense/sparse disagree".into());
        }
        check_error(checkpoint, estimate)?;
    }
    Ok(())
}

fn empty(mut bytes: Bytes<'_>) -> HllMut<'_> {
    bytes.append_exact(&EMPTY);
    HllMut::of(bytes, SPARSE_MAX).expect("it is one")
}

/// An estimate may be wrong by six times the standard error, which no run should ever see.
fn check_error(count: u64, estimate: u64) -> Result<(), String> {
    const STANDARD_ERROR: f64 = 1.04 / 128.0;
    // Of a few, two that share a register are more than that.
    let most = (STANDARD_ERROR * 6.0 * count as f64).ceil().max(2.0) as u64;
    let error = estimate.abs_diff(count);
    if error > most {
        return Err(format!("TESTFAILED Too big error. card:{count} abserr:{error}"));
    }
    Ok(())
}
