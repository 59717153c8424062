//! Hashes.

mod chance;
mod change;
mod counter;
mod read;
mod scan;

pub use scan::hscan;

use crate::exec::argument::{Argument, KEY, block, double, integer, key, string};
use crate::exec::spec::access::*;
use crate::exec::spec::flag::*;
use crate::exec::spec::{Group, KeySpec, Run, Spec, rule};

const READ: &[KeySpec] = &[KeySpec::at(1, RO | ACCESS)];
const LOOKED_AT: &[KeySpec] = &[KeySpec::at(1, RO)];
const UPDATED: &[KeySpec] = &[KeySpec::at(1, RW | UPDATE)];
const COUNTED: &[KeySpec] = &[KeySpec::at(1, RW | ACCESS | UPDATE)];

const ADD: u32 = WRITE | DENYOOM | FAST;
const LOOK: u32 = READONLY | FAST;
const UNORDERED: &[&str] = &["nondeterministic_output_order"];

const FIELD: &[Argument] = &[key("key", 0), string("field")];
const FIELDS: &[Argument] = &[key("key", 0), string("field").multiple()];
const PAIRS: &[Argument] =
    &[key("key", 0), block("field_value", &[string("field"), string("value")]).multiple()];

const ALL: &str = "O(N) where N is the number of fields of the hash";
const NAMED: &str = "O(N) where N is the number of fields named";

/// The commands of this family.
pub const COMMANDS: &[Spec] = &[
    hash("hset", -4, change::hset)
        .history(&[("4.0.0", "Takes several fields.")])
        .flags(ADD)
        .keys(UPDATED)
        .doc(
            "2.0.0",
            NAMED,
            PAIRS,
            "Gives fields of a hash their values; makes the hash if need be.",
        ),
    hash("hsetnx", 4, change::hsetnx).flags(ADD).keys(&[KeySpec::at(1, RW | INSERT)]).doc(
        "2.0.0",
        "O(1)",
        &[key("key", 0), string("field"), string("value")],
        "Gives a field of a hash its value unless it has one.",
    ),
    hash("hmset", -4, change::hmset)
        .flags(ADD)
        .keys(UPDATED)
        .replaced("4.0.0", "`HSET` with multiple field-value pairs")
        .doc("2.0.0", NAMED, PAIRS, "Gives fields of a hash their values."),
    hash("hget", 3, read::hget).flags(LOOK).keys(READ).doc(
        "2.0.0",
        "O(1)",
        FIELD,
        "Returns the value of a field of a hash.",
    ),
    hash("hmget", -3, read::hmget).flags(LOOK).keys(READ).doc(
        "2.0.0",
        NAMED,
        FIELDS,
        "Returns the values of fields of a hash.",
    ),
    hash("hgetall", 2, read::hgetall)
        .flags(READONLY)
        .keys(READ)
        .tips(UNORDERED)
        .compared(rule::PAIRS)
        .doc("2.0.0", ALL, KEY, "Returns all fields of a hash with their values."),
    hash("hkeys", 2, read::hkeys).flags(READONLY).keys(READ).tips(UNORDERED).doc(
        "2.0.0",
        ALL,
        KEY,
        "Returns the names of all fields of a hash.",
    ),
    hash("hvals", 2, read::hvals).flags(READONLY).keys(READ).tips(UNORDERED).doc(
        "2.0.0",
        ALL,
        KEY,
        "Returns the values of all fields of a hash.",
    ),
    hash("hlen", 2, read::hlen).flags(LOOK).keys(LOOKED_AT).doc(
        "2.0.0",
        "O(1)",
        KEY,
        "Returns the number of fields of a hash.",
    ),
    hash("hstrlen", 3, read::hstrlen).flags(LOOK).keys(LOOKED_AT).doc(
        "3.2.0",
        "O(1)",
        FIELD,
        "Returns how long the value of a field of a hash is.",
    ),
    hash("hexists", 3, read::hexists).flags(LOOK).keys(LOOKED_AT).doc(
        "2.0.0",
        "O(1)",
        FIELD,
        "Tells whether a hash has a field.",
    ),
    hash("hdel", -3, change::hdel)
        .history(&[("2.4.0", "Takes several fields.")])
        .flags(WRITE | FAST)
        .keys(&[KeySpec::at(1, RW | DELETE)])
        .doc("2.0.0", NAMED, FIELDS, "Removes fields of a hash, and the hash with the last one."),
    hash("hincrby", 4, counter::hincrby).flags(ADD).keys(COUNTED).doc(
        "2.0.0",
        "O(1)",
        &[key("key", 0), string("field"), integer("increment")],
        "Adds to the integer value of a field of a hash; 0 if there is none.",
    ),
    hash("hincrbyfloat", 4, counter::hincrbyfloat).flags(ADD).keys(COUNTED).doc(
        "2.6.0",
        "O(1)",
        &[key("key", 0), string("field"), double("increment")],
        "Adds to the floating-point value of a field of a hash; 0 if there is none.",
    ),
    hash("hrandfield", -2, chance::hrandfield)
        .flags(READONLY)
        .keys(READ)
        .tips(&["nondeterministic_output"])
        .doc(
            "6.2.0",
            "O(N) where N is the number of fields returned",
            chance::HRANDFIELD,
            "Returns fields of a hash, chosen by chance.",
        ),
    hash("hscan", -3, scan::hscan)
        .flags(READONLY)
        .keys(READ)
        .tips(&["nondeterministic_output"])
        .doc(
            "2.8.0",
            "O(1) a call; O(N) for a whole walk over N fields",
            scan::HSCAN,
            "Goes on with a walk over the fields of a hash.",
        ),
];

const fn hash(name: &'static str, arity: i16, run: Run) -> Spec {
    Spec::new(name, arity, Group::Hash, run)
}
