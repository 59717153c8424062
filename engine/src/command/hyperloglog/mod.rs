//! HyperLogLogs: about how many distinct elements there are, kept in strings.

mod basic;
mod debug;

use crate::exec::argument::{key, string};
use crate::exec::spec::access::*;
use crate::exec::spec::flag::*;
use crate::exec::spec::{Group, KeySpec, Run, Spec};

/// The commands of this family.
pub const COMMANDS: &[Spec] = &[
    hyperloglog("pfadd", -2, basic::pfadd)
        .flags(WRITE | DENYOOM | FAST)
        .keys(&[KeySpec::at(1, RW | INSERT)])
        .doc(
            "2.8.9",
            "O(1) to add every element.",
            &[key("key", 0), string("element").multiple().optional()],
            "Adds elements to a HyperLogLog, which is made if there is none.",
        ),
    hyperloglog("pfcount", -2, basic::pfcount)
        .flags(READONLY | MAY_REPLICATE)
        .keys(&[KeySpec::range(1, -1, 1, RW | ACCESS)])
        .doc(
            "2.8.9",
            "O(1) of one key that has not changed since, else O(N) with N keys, and a large constant.",
            &[key("key", 0).multiple()],
            "Tells about how many distinct elements were added to HyperLogLogs, taken together.",
        ),
    hyperloglog("pfmerge", -2, basic::pfmerge)
        .flags(WRITE | DENYOOM)
        .keys(&[KeySpec::at(1, RW | ACCESS | INSERT), KeySpec::range(2, -1, 1, RO | ACCESS)])
        .doc(
            "2.8.9",
            "O(N) with N HyperLogLogs, and a large constant.",
            &[key("destkey", 0), key("sourcekey", 1).multiple()],
            "Adds to a HyperLogLog what was added to others.",
        ),
    hyperloglog("pfdebug", 3, debug::pfdebug)
        .flags(WRITE | DENYOOM | ADMIN | SYSTEM)
        .keys(&[KeySpec::at(2, RW | ACCESS)])
        .doc(
            "2.8.9",
            "N/A",
            &[string("subcommand"), key("key", 0)],
            "Shows how a HyperLogLog is kept, or makes it dense.",
        ),
    hyperloglog("pfselftest", 1, debug::pfselftest).flags(ADMIN | SYSTEM).doc(
        "2.8.9",
        "N/A",
        &[],
        "Tries the algorithms of HyperLogLogs with random elements.",
    ),
];

const fn hyperloglog(name: &'static str, arity: i16, run: Run) -> Spec {
    Spec::new(name, arity, Group::HyperLogLog, run)
}
