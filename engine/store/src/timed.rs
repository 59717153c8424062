//! Large hashes of which fields end: records of fields, and a sorted set of the names of those that end.
#![forbid(unsafe_code)]

use abi::container::RawTimedHash;

use crate::records::{RecordsRef, check_fields};
use crate::sorted::{self, SortedRef};
use base::walk::Walker;

/// Latest Unix ms at which a field may end, as in Redis: it is the same number as a score.
pub const END_MAX: i64 = (1 << 46) - 1;

/// Claims the fields and the times of a large hash, of which nothing is believed.
pub fn check(raw: &RawTimedHash, walker: &mut Walker<'_>, seed: [u64; 2]) {
    check_fields(&raw.hash, walker, seed);
    sorted::check(&raw.ends, walker, seed);
    if raw.seed != seed {
        walker.wrong("its fields were hashed with another seed");
    }
    // What is whole can be looked at as commands do.
    if walker.is_wrong() {
        return;
    }
    let fields = RecordsRef::<true>::of(&raw.hash, seed);
    let ends = SortedRef::of(&raw.ends, seed);
    ends.walk(0..ends.len(), false, &mut |end| {
        let is_time = end.score.fract() == 0.0 && (1.0..=END_MAX as f64).contains(&end.score);
        if !is_time || fields.find(end.name).is_none() {
            walker.wrong("a field is to end that is not there, or at no time");
        }
        !walker.is_wrong()
    });
}
