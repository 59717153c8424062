//! Strings.

mod basic;
mod counter;
mod lcs;
mod many;
mod options;
mod part;

pub use basic::{set, store};
pub use lcs::lcs;
pub use options::SetOptions;

use crate::exec::argument::{KEY, block, double, integer, key, string};
use crate::exec::spec::access::*;
use crate::exec::spec::flag::*;
use crate::exec::spec::{Group, KeySpec, Run, Spec};

const READ: &[KeySpec] = &[KeySpec::at(1, RO | ACCESS)];
const CHANGED: &[KeySpec] = &[KeySpec::at(1, RW | ACCESS | UPDATE)];
const OVERWRITTEN: &[KeySpec] = &[KeySpec::at(1, OW | UPDATE)];

const ADD: u32 = WRITE | DENYOOM | FAST;

const SUBSTRING: &str = "O(N) where N is the length of the part";
const APPENDED: &str = "O(N) amortized, where N is the number of bytes appended";
const OVERWRITE: &str = "O(N) where N is the number of bytes written";

/// The commands of this family.
pub const COMMANDS: &[Spec] = &[
    row("get", 2, basic::get).flags(READONLY | FAST).keys(READ).doc(
        "1.0.0",
        "O(1)",
        KEY,
        "Returns the string value of a key.",
    ),
    row("set", -3, basic::set)
        .history(&[
            ("2.6.12", "Takes EX, PX, NX and XX."),
            ("6.0.0", "Takes KEEPTTL."),
            ("6.2.0", "Takes GET, EXAT and PXAT."),
            ("7.0.0", "NX and GET go together."),
        ])
        .flags(WRITE | DENYOOM)
        .keys(&[KeySpec::at(1, RW | ACCESS | UPDATE).unless(&["GET"], OW | UPDATE)])
        .doc(
            "1.0.0",
            "O(1)",
            options::SET,
            "Sets a key to a string, whatever it held, unless a condition forbids it.",
        ),
    row("setnx", 3, basic::setnx).flags(ADD).keys(&[KeySpec::at(1, OW | INSERT)]).doc(
        "1.0.0",
        "O(1)",
        &[key("key", 0), string("value")],
        "Sets a key to a string if it is not there.",
    ),
    row("setex", 4, basic::setex).flags(WRITE | DENYOOM).keys(OVERWRITTEN).doc(
        "2.0.0",
        "O(1)",
        &[key("key", 0), integer("seconds"), string("value")],
        "Sets a key to a string that expires after so many seconds.",
    ),
    row("psetex", 4, basic::psetex).flags(WRITE | DENYOOM).keys(OVERWRITTEN).doc(
        "2.6.0",
        "O(1)",
        &[key("key", 0), integer("milliseconds"), string("value")],
        "Sets a key to a string that expires after so many milliseconds.",
    ),
    row("getset", 3, basic::getset)
        .flags(ADD)
        .keys(CHANGED)
        .replaced("6.2.0", "`SET` with the `!GET` argument")
        .doc(
            "1.0.0",
            "O(1)",
            &[key("key", 0), string("value")],
            "Sets a key to a string and returns the one it held.",
        ),
    row("getdel", 2, basic::getdel)
        .flags(WRITE | FAST)
        .keys(&[KeySpec::at(1, RW | ACCESS | DELETE)])
        .doc("6.2.0", "O(1)", KEY, "Returns the string value of a key and removes the key."),
    row("getex", -2, basic::getex).flags(WRITE | FAST).keys(CHANGED).doc(
        "6.2.0",
        "O(1)",
        options::GETEX,
        "Returns the string value of a key and changes its time to live.",
    ),
    row("append", 3, part::append).flags(ADD).keys(&[KeySpec::at(1, RW | INSERT)]).doc(
        "2.0.0",
        APPENDED,
        &[key("key", 0), string("value")],
        "Appends to a string; sets the key if it is not there.",
    ),
    row("strlen", 2, basic::strlen).flags(READONLY | FAST).keys(&[KeySpec::at(1, RO)]).doc(
        "2.2.0",
        "O(1)",
        KEY,
        "Returns the length of a string in bytes.",
    ),
    row("getrange", 4, part::getrange).flags(READONLY).keys(READ).doc(
        "2.4.0",
        SUBSTRING,
        &[key("key", 0), integer("start"), integer("end")],
        "Returns a part of a string.",
    ),
    row("substr", 4, part::getrange)
        .flags(READONLY)
        .keys(READ)
        .replaced("2.0.0", "`GETRANGE`")
        .doc(
            "1.0.0",
            SUBSTRING,
            &[key("key", 0), integer("start"), integer("end")],
            "Returns a part of a string: an old name of GETRANGE.",
        ),
    row("setrange", 4, part::setrange)
        .flags(WRITE | DENYOOM)
        .keys(&[KeySpec::at(1, RW | UPDATE)])
        .doc(
            "2.2.0",
            OVERWRITE,
            &[key("key", 0), integer("offset"), string("value")],
            "Overwrites a part of a string, filling it up with zero bytes if it is too short.",
        ),
    row("mget", -2, many::mget)
        .flags(READONLY | FAST)
        .keys(&[KeySpec::range(1, -1, 1, RO | ACCESS)])
        .tips(&["request_policy:multi_shard"])
        .doc(
            "1.0.0",
            "O(N) where N is the number of keys",
            &[key("key", 0).multiple()],
            "Returns the string values of several keys.",
        ),
    row("mset", -3, many::mset)
        .flags(WRITE | DENYOOM)
        .keys(&[KeySpec::range(1, -1, 2, OW | UPDATE)])
        .tips(&["request_policy:multi_shard", "response_policy:all_succeeded"])
        .doc(
            "1.0.1",
            "O(N) where N is the number of keys to set.",
            &[block("key_value", &[key("key", 0), string("value")]).multiple()],
            "Sets several keys to strings at once.",
        ),
    row("msetnx", -3, many::msetnx)
        .flags(WRITE | DENYOOM)
        .keys(&[KeySpec::range(1, -1, 2, OW | INSERT)])
        .tips(&["request_policy:multi_shard", "response_policy:agg_min"])
        .doc(
            "1.0.1",
            "O(N) where N is the number of keys to set.",
            &[block("key_value", &[key("key", 0), string("value")]).multiple()],
            "Sets several keys to strings if none of them is there.",
        ),
    row("incr", 2, counter::incr).flags(ADD).keys(CHANGED).doc(
        "1.0.0",
        "O(1)",
        KEY,
        "Adds one to the integer value of a key; 0 if there is none.",
    ),
    row("decr", 2, counter::decr).flags(ADD).keys(CHANGED).doc(
        "1.0.0",
        "O(1)",
        KEY,
        "Subtracts one from the integer value of a key; 0 if there is none.",
    ),
    row("incrby", 3, counter::incrby).flags(ADD).keys(CHANGED).doc(
        "1.0.0",
        "O(1)",
        &[key("key", 0), integer("increment")],
        "Adds to the integer value of a key; 0 if there is none.",
    ),
    row("decrby", 3, counter::decrby).flags(ADD).keys(CHANGED).doc(
        "1.0.0",
        "O(1)",
        &[key("key", 0), integer("decrement")],
        "Subtracts from the integer value of a key; 0 if there is none.",
    ),
    row("incrbyfloat", 3, counter::incrbyfloat).flags(ADD).keys(CHANGED).doc(
        "2.6.0",
        "O(1)",
        &[key("key", 0), double("increment")],
        "Adds to the floating-point value of a key; 0 if there is none.",
    ),
    row("lcs", -3, lcs::lcs).flags(READONLY).keys(&[KeySpec::range(1, 1, 1, RO | ACCESS)]).doc(
        "7.0.0",
        "O(N*M) where N and M are the lengths of the strings",
        lcs::ARGUMENTS,
        "Returns the longest sequence of bytes that two strings have in common.",
    ),
];

const fn row(name: &'static str, arity: i16, run: Run) -> Spec {
    Spec::new(name, arity, Group::String, run)
}
