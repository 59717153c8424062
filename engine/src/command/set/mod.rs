//! Sets.

mod algebra;
mod chance;
mod members;
mod scan;

use crate::exec::argument::{Argument, KEY, key, string};
use crate::exec::spec::access::*;
use crate::exec::spec::flag::*;
use crate::exec::spec::{Group, KeySpec, Run, Spec};

const READ: &[KeySpec] = &[KeySpec::at(1, RO | ACCESS)];
const READ_ALL: &[KeySpec] = &[KeySpec::range(1, -1, 1, RO | ACCESS)];
const LOOKED_AT: &[KeySpec] = &[KeySpec::at(1, RO)];
const SOURCES: KeySpec = KeySpec::range(2, -1, 1, RO | ACCESS);
const STORED: &[KeySpec] = &[KeySpec::at(1, OW | UPDATE), SOURCES];
// Redis says otherwise of this one than of its like.
const INTERSECTION_STORED: &[KeySpec] = &[KeySpec::at(1, RW | UPDATE), SOURCES];

const LOOK: u32 = READONLY | FAST;
const STORE: u32 = WRITE | DENYOOM;
const UNORDERED: &[&str] = &["nondeterministic_output_order"];
const RANDOM: &[&str] = &["nondeterministic_output"];

const MEMBER: &[Argument] = &[key("key", 0), string("member")];
const MEMBERS: &[Argument] = &[key("key", 0), string("member").multiple()];
const SETS: &[Argument] = &[key("key", 0).multiple()];
const STORE_SETS: &[Argument] = &[key("destination", 0), key("key", 1).multiple()];

const NAMED: &str = "O(N) where N is the number of members named";
const SMALLEST: &str = "O(N*M) where N is the size of the smallest set and M the number of sets";
const ALL: &str = "O(N) where N is the number of members of all sets together";

/// The commands of this family.
pub const COMMANDS: &[Spec] = &[
    set("sadd", -3, members::sadd)
        .history(&[("2.4.0", "Takes several members.")])
        .flags(WRITE | DENYOOM | FAST)
        .keys(&[KeySpec::at(1, RW | INSERT)])
        .doc("1.0.0", NAMED, MEMBERS, "Adds members to a set; makes the set if need be."),
    set("srem", -3, members::srem)
        .history(&[("2.4.0", "Takes several members.")])
        .flags(WRITE | FAST)
        .keys(&[KeySpec::at(1, RW | DELETE)])
        .doc("1.0.0", NAMED, MEMBERS, "Removes members of a set, and the set with the last one."),
    set("sismember", 3, members::sismember).flags(LOOK).keys(LOOKED_AT).doc(
        "1.0.0",
        "O(1)",
        MEMBER,
        "Tells whether a set has a member.",
    ),
    set("smismember", -3, members::smismember).flags(LOOK).keys(READ).doc(
        "6.2.0",
        NAMED,
        MEMBERS,
        "Tells which members a set has.",
    ),
    set("smove", 4, members::smove)
        .flags(WRITE | FAST)
        .keys(&[KeySpec::at(1, RW | ACCESS | DELETE), KeySpec::at(2, RW | INSERT)])
        .doc(
            "1.0.0",
            "O(1)",
            &[key("source", 0), key("destination", 1), string("member")],
            "Moves a member from one set to another.",
        ),
    set("scard", 2, members::scard).flags(LOOK).keys(LOOKED_AT).doc(
        "1.0.0",
        "O(1)",
        KEY,
        "Returns the number of members of a set.",
    ),
    set("spop", -2, chance::spop)
        .history(&[("3.2.0", "Takes a count.")])
        .flags(WRITE | FAST)
        .keys(&[KeySpec::at(1, RW | ACCESS | DELETE)])
        .tips(RANDOM)
        .doc(
            "1.0.0",
            "O(N) where N is the number of members taken",
            chance::SPOP,
            "Takes members of a set, chosen by chance.",
        ),
    set("srandmember", -2, chance::srandmember)
        .history(&[("2.6.0", "Takes a count.")])
        .flags(READONLY)
        .keys(READ)
        .tips(RANDOM)
        .doc(
            "1.0.0",
            "O(N) where N is the number of members returned",
            chance::SRANDMEMBER,
            "Returns members of a set, chosen by chance.",
        ),
    set("smembers", 2, members::smembers).flags(READONLY).keys(READ).tips(UNORDERED).doc(
        "1.0.0",
        "O(N) where N is the number of members",
        KEY,
        "Returns all members of a set.",
    ),
    set("sinter", -2, algebra::sinter).flags(READONLY).keys(READ_ALL).tips(UNORDERED).doc(
        "1.0.0",
        SMALLEST,
        SETS,
        "Returns the members that all of several sets have.",
    ),
    set("sintercard", -3, algebra::sintercard)
        .flags(READONLY | MOVABLE_KEYS)
        .keys(&[KeySpec::numbered(1, RO | ACCESS)])
        .doc(
            "7.0.0",
            SMALLEST,
            algebra::SINTERCARD,
            "Returns the number of members that all of several sets have.",
        ),
    set("sinterstore", -3, algebra::sinterstore).flags(STORE).keys(INTERSECTION_STORED).doc(
        "1.0.0",
        SMALLEST,
        STORE_SETS,
        "Stores the members that all of several sets have.",
    ),
    set("sunion", -2, algebra::sunion).flags(READONLY).keys(READ_ALL).tips(UNORDERED).doc(
        "1.0.0",
        ALL,
        SETS,
        "Returns the members that any of several sets has.",
    ),
    set("sunionstore", -3, algebra::sunionstore).flags(STORE).keys(STORED).doc(
        "1.0.0",
        ALL,
        STORE_SETS,
        "Stores the members that any of several sets has.",
    ),
    set("sdiff", -2, algebra::sdiff).flags(READONLY).keys(READ_ALL).tips(UNORDERED).doc(
        "1.0.0",
        ALL,
        SETS,
        "Returns the members that the first of several sets has and no other.",
    ),
    set("sdiffstore", -3, algebra::sdiffstore).flags(STORE).keys(STORED).doc(
        "1.0.0",
        ALL,
        STORE_SETS,
        "Stores the members that the first of several sets has and no other.",
    ),
    set("sscan", -3, scan::sscan).flags(READONLY).keys(READ).tips(RANDOM).doc(
        "2.8.0",
        "O(1) a call; O(N) for a whole walk over N members",
        scan::SSCAN,
        "Goes on with a walk over the members of a set.",
    ),
];

const fn set(name: &'static str, arity: i16, run: Run) -> Spec {
    Spec::new(name, arity, Group::Set, run)
}
