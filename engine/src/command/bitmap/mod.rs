//! Bitmaps: strings seen as bits. Bit 0 is the most significant one of the first byte.

mod bit;
mod bits;
mod field;
mod operation;
mod search;

pub use search::{UNIT, bitcount, bitpos, count_from};

use crate::exec::argument::{integer, key, string};
use crate::exec::spec::access::*;
use crate::exec::spec::flag::*;
use crate::exec::spec::{Group, KeySpec, Run, Spec};

const READ: &[KeySpec] = &[KeySpec::at(1, RO | ACCESS)];
const CHANGED: &[KeySpec] = &[KeySpec::at(1, RW | ACCESS | UPDATE)];

/// The commands of this family.
pub const COMMANDS: &[Spec] = &[
    bitmap("setbit", 4, bit::setbit).flags(WRITE | DENYOOM).keys(CHANGED).doc(
        "2.2.0",
        "O(1)",
        &[key("key", 0), integer("offset"), integer("value")],
        "Sets or clears a bit of a string and returns what it was.",
    ),
    bitmap("getbit", 3, bit::getbit).flags(READONLY | FAST).keys(READ).doc(
        "2.2.0",
        "O(1)",
        &[key("key", 0), integer("offset")],
        "Returns a bit of a string.",
    ),
    bitmap("bitcount", -2, search::bitcount)
        .history(&[("7.0.0", "A range may be one of bits.")])
        .flags(READONLY)
        .keys(READ)
        .doc(
            "2.6.0",
            "O(N)",
            search::BITCOUNT,
            "Counts the bits of a string, or of a part of it, that are set.",
        ),
    bitmap("bitpos", -3, search::bitpos)
        .history(&[("7.0.0", "A range may be one of bits.")])
        .flags(READONLY)
        .keys(READ)
        .doc(
            "2.8.7",
            "O(N)",
            search::BITPOS,
            "Returns the place of the first bit that is set, or that is clear.",
        ),
    bitmap("bitop", -4, operation::bitop)
        .flags(WRITE | DENYOOM)
        .keys(&[KeySpec::at(2, OW | UPDATE), KeySpec::range(3, -1, 1, RO | ACCESS)])
        .doc(
            "2.6.0",
            "O(N)",
            &[string("operation"), key("destkey", 0), key("key", 1).multiple()],
            "Combines strings bit by bit and stores the result.",
        ),
    bitmap("bitfield", -2, field::bitfield)
        .flags(WRITE | DENYOOM)
        .keys(&[KeySpec::at(1, RW | ACCESS | UPDATE).unless(&["SET", "INCRBY"], RO | ACCESS)])
        .doc(
            "3.2.0",
            "O(1) for each subcommand specified",
            field::BITFIELD,
            "Reads, sets and adds to integers of any width inside of a string.",
        ),
    bitmap("bitfield_ro", -2, field::bitfield_ro).flags(READONLY | FAST).keys(READ).doc(
        "6.0.0",
        "O(1) for each subcommand specified",
        field::BITFIELD_RO,
        "Reads integers of any width inside of a string.",
    ),
];

const fn bitmap(name: &'static str, arity: i16, run: Run) -> Spec {
    Spec::new(name, arity, Group::Bitmap, run)
}
