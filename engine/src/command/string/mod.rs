//! Strings.

mod basic;
mod counter;
mod many;

use crate::command::spec::{Group, KeySpec, Spec, access::*, flag::*};

const READ: &[KeySpec] = &[KeySpec::at(1, RO | ACCESS)];

/// The commands of this family.
pub const COMMANDS: &[Spec] = &[
    Spec::new("get", 2, Group::String, basic::get).flags(READONLY | FAST).keys(READ).doc(
        "1.0.0",
        "O(1)",
        "key",
        "Returns the string value of a key.",
    ),
    Spec::new("set", -3, Group::String, basic::set)
        .flags(WRITE | DENYOOM)
        .keys(&[KeySpec::at(1, RW | ACCESS | UPDATE | VARIABLE)])
        .doc(
            "1.0.0",
            "O(1)",
            "key value [NX | XX] [GET] [EX seconds | PX milliseconds | EXAT unix-time-seconds | \
             PXAT unix-time-milliseconds | KEEPTTL]",
            "Sets a key to a string, whatever it held, unless a condition forbids it.",
        ),
    Spec::new("incr", 2, Group::String, counter::incr)
        .flags(WRITE | DENYOOM | FAST)
        .keys(&[KeySpec::at(1, RW | ACCESS | UPDATE)])
        .doc("1.0.0", "O(1)", "key", "Adds one to the integer value of a key; 0 if there is none."),
    Spec::new("mget", -2, Group::String, many::mget)
        .flags(READONLY | FAST)
        .keys(&[KeySpec::range(1, -1, 1, RO | ACCESS)])
        .tips(&["request_policy:multi_shard"])
        .doc(
            "1.0.0",
            "O(N) where N is the number of keys to retrieve.",
            "key [key ...]",
            "Returns the string values of several keys.",
        ),
    Spec::new("mset", -3, Group::String, many::mset)
        .flags(WRITE | DENYOOM)
        .keys(&[KeySpec::range(1, -1, 2, OW | UPDATE)])
        .tips(&["request_policy:multi_shard", "response_policy:all_succeeded"])
        .doc(
            "1.0.1",
            "O(N) where N is the number of keys to set.",
            "key value [key value ...]",
            "Sets several keys to strings at once.",
        ),
];
