//! Walking over records that are not believed.

use abi::container::{RawHash, RawSet, RawTable};

use super::text;
use crate::table;
use base::hash::hash;
use base::walk::Walker;

/// Walks over the fields of a hash, hashed with `seed`. What is wrong is told.
pub fn check_fields(raw: &RawHash, walker: &mut Walker<'_>, seed: [u64; 2]) {
    check::<true>(&raw.fields, walker, seed);
}

/// As [`check_fields`], of the members of a set.
pub fn check_members(raw: &RawSet, walker: &mut Walker<'_>, seed: [u64; 2]) {
    check::<false>(&raw.members, walker, seed);
}

fn check<const VALUES: bool>(raw: &RawTable, walker: &mut Walker<'_>, seed: [u64; 2]) {
    table::check(raw, walker, "records", &mut |walker, address| {
        let record = walker.block(address).and_then(|block| {
            let (name, rest) = text::split(block)?;
            let rest = if VALUES { text::split(rest)?.1 } else { rest };
            Some((name, block.len() - rest.len()))
        });
        let Some((name, size)) = record else {
            walker.wrong(format_args!("record at {address:#x}: there is none"));
            return None;
        };
        walker.claim("record", address, size).then(|| hash(name, seed))
    });
}
