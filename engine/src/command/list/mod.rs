//! Lists.

mod blocking;
mod ends;
mod range;
mod transfer;

use crate::command::spec::{Group, KeySpec, Spec, access::*, flag::*};

const READ: &[KeySpec] = &[KeySpec::at(1, RO | ACCESS)];
const INSERTED: &[KeySpec] = &[KeySpec::at(1, RW | INSERT)];
const TAKEN: &[KeySpec] = &[KeySpec::at(1, RW | ACCESS | DELETE)];
const TAKEN_ALL: &[KeySpec] = &[KeySpec::range(1, -2, 1, RW | ACCESS | DELETE)];
const MOVED: &[KeySpec] = &[KeySpec::at(1, RW | ACCESS | DELETE), KeySpec::at(2, RW | INSERT)];

const PUSHED: &str = "O(1) for each element added, so O(N) to add N elements when the command is called with \
     multiple arguments.";
const POPPED: &str = "O(N) where N is the number of elements returned";
const RANGED: &str = "O(S+N) where S is the distance of start offset from HEAD for small lists, from nearest end \
     (HEAD or TAIL) for large lists; and N is the number of elements in the specified range.";

/// The commands of this family.
pub const COMMANDS: &[Spec] = &[
    list("lpush", -3, ends::lpush).flags(WRITE | DENYOOM | FAST).keys(INSERTED).doc(
        "1.0.0",
        PUSHED,
        "key element [element ...]",
        "Adds elements at the front of a list, one after the other; makes the list if need be.",
    ),
    list("rpush", -3, ends::rpush).flags(WRITE | DENYOOM | FAST).keys(INSERTED).doc(
        "1.0.0",
        PUSHED,
        "key element [element ...]",
        "Adds elements at the back of a list, one after the other; makes the list if need be.",
    ),
    list("lpop", -2, ends::lpop).flags(WRITE | FAST).keys(TAKEN).doc(
        "1.0.0",
        POPPED,
        "key [count]",
        "Takes one element, or as many as asked for, from the front of a list.",
    ),
    list("rpop", -2, ends::rpop).flags(WRITE | FAST).keys(TAKEN).doc(
        "1.0.0",
        POPPED,
        "key [count]",
        "Takes one element, or as many as asked for, from the back of a list.",
    ),
    list("lrange", 4, range::lrange).flags(READONLY).keys(READ).doc(
        "1.0.0",
        RANGED,
        "key start stop",
        "Returns the elements of a list between two indices.",
    ),
    list("blpop", -3, blocking::blpop).flags(WRITE | NOSCRIPT | BLOCKING).keys(TAKEN_ALL).doc(
        "2.0.0",
        "O(N) where N is the number of provided keys.",
        "key [key ...] timeout",
        "Takes the first element of the first list that has one; waits if none has.",
    ),
    list("brpop", -3, blocking::brpop).flags(WRITE | NOSCRIPT | BLOCKING).keys(TAKEN_ALL).doc(
        "2.0.0",
        "O(N) where N is the number of provided keys.",
        "key [key ...] timeout",
        "Takes the last element of the first list that has one; waits if none has.",
    ),
    list("blmove", 6, blocking::blmove)
        .flags(WRITE | DENYOOM | NOSCRIPT | BLOCKING)
        .keys(MOVED)
        .doc(
            "6.2.0",
            "O(1)",
            "source destination LEFT | RIGHT LEFT | RIGHT timeout",
            "Moves an element from an end of one list to an end of another and returns it; waits \
             if there is none.",
        ),
    list("lmove", 5, transfer::lmove).flags(WRITE | DENYOOM).keys(MOVED).doc(
        "6.2.0",
        "O(1)",
        "source destination LEFT | RIGHT LEFT | RIGHT",
        "Moves an element from an end of one list to an end of another and returns it.",
    ),
];

const fn list(name: &'static str, arity: i16, run: crate::command::spec::Run) -> Spec {
    Spec::new(name, arity, Group::List, run)
}
