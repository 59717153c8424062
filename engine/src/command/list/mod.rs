//! Lists.

mod blocking;
mod edit;
mod ends;
mod find;
mod many;
mod range;
mod transfer;

use crate::exec::argument::{KEY, double, integer, key, string};
use crate::exec::spec::access::*;
use crate::exec::spec::flag::*;
use crate::exec::spec::{Group, KeySpec, Spec};

const READ: &[KeySpec] = &[KeySpec::at(1, RO | ACCESS)];
const INSERTED: &[KeySpec] = &[KeySpec::at(1, RW | INSERT)];
const TAKEN: &[KeySpec] = &[KeySpec::at(1, RW | ACCESS | DELETE)];
const TAKEN_ALL: &[KeySpec] = &[KeySpec::range(1, -2, 1, RW | ACCESS | DELETE)];
const MOVED: &[KeySpec] = &[KeySpec::at(1, RW | ACCESS | DELETE), KeySpec::at(2, RW | INSERT)];

const DELETED: &[KeySpec] = &[KeySpec::at(1, RW | DELETE)];

const PUSHED: &str = "O(N) where N is the number of elements added";
const POPPED: &str = "O(N) where N is the number of elements returned";
const POPPED_MANY: &str = "O(N+M) where N is the number of keys and M of elements returned";
const INDEXED: &str = "O(N) where N is the distance of the index from the nearer end";
const INSERTION: &str = "O(N) where N is the index of the pivot";
const SEARCHED: &str = "O(N) where N is the number of elements looked at, MAXLEN at most";
const RANGED: &str = "O(S+N) where S is the distance of start from the nearer end and N is the number of \
     elements returned";

/// The commands of this family.
pub const COMMANDS: &[Spec] = &[
    list("lpush", -3, ends::lpush)
        .history(&[("2.4.0", "Takes several elements.")])
        .flags(WRITE | DENYOOM | FAST)
        .keys(INSERTED)
        .doc(
            "1.0.0",
            PUSHED,
            &[key("key", 0), string("element").multiple()],
            "Adds elements at the front of a list, one after the other; makes the list if need be.",
        ),
    list("rpush", -3, ends::rpush)
        .history(&[("2.4.0", "Takes several elements.")])
        .flags(WRITE | DENYOOM | FAST)
        .keys(INSERTED)
        .doc(
            "1.0.0",
            PUSHED,
            &[key("key", 0), string("element").multiple()],
            "Adds elements at the back of a list, one after the other; makes the list if need be.",
        ),
    list("lpop", -2, ends::lpop)
        .history(&[("6.2.0", "Takes a count.")])
        .flags(WRITE | FAST)
        .keys(TAKEN)
        .doc(
            "1.0.0",
            POPPED,
            ends::POP,
            "Takes one element, or as many as asked for, from the front of a list.",
        ),
    list("rpop", -2, ends::rpop)
        .history(&[("6.2.0", "Takes a count.")])
        .flags(WRITE | FAST)
        .keys(TAKEN)
        .doc(
            "1.0.0",
            POPPED,
            ends::POP,
            "Takes one element, or as many as asked for, from the back of a list.",
        ),
    list("lpushx", -3, ends::lpushx)
        .history(&[("4.0.0", "Takes several elements.")])
        .flags(WRITE | DENYOOM | FAST)
        .keys(INSERTED)
        .doc(
            "2.2.0",
            PUSHED,
            &[key("key", 0), string("element").multiple()],
            "Adds elements at the front of a list that is there.",
        ),
    list("rpushx", -3, ends::rpushx)
        .history(&[("4.0.0", "Takes several elements.")])
        .flags(WRITE | DENYOOM | FAST)
        .keys(INSERTED)
        .doc(
            "2.2.0",
            PUSHED,
            &[key("key", 0), string("element").multiple()],
            "Adds elements at the back of a list that is there.",
        ),
    list("llen", 2, range::llen).flags(READONLY | FAST).keys(&[KeySpec::at(1, RO)]).doc(
        "1.0.0",
        "O(1)",
        KEY,
        "Returns the number of elements of a list.",
    ),
    list("lindex", 3, range::lindex).flags(READONLY).keys(READ).doc(
        "1.0.0",
        INDEXED,
        &[key("key", 0), integer("index")],
        "Returns the element of a list at an index.",
    ),
    list("lset", 4, edit::lset).flags(WRITE | DENYOOM).keys(&[KeySpec::at(1, RW | UPDATE)]).doc(
        "1.0.0",
        "O(N) where N is the distance of the index from the nearer end",
        &[key("key", 0), integer("index"), string("element")],
        "Replaces the element of a list at an index.",
    ),
    list("linsert", 5, edit::linsert).flags(WRITE | DENYOOM).keys(INSERTED).doc(
        "2.2.0",
        INSERTION,
        edit::LINSERT,
        "Inserts an element before or behind the first one that equals another.",
    ),
    list("lrem", 4, edit::lrem).flags(WRITE).keys(DELETED).doc(
        "1.0.0",
        "O(N) where N is the length of the list",
        &[key("key", 0), integer("count"), string("element")],
        "Removes elements that equal another, counted from either end.",
    ),
    list("ltrim", 4, range::ltrim).flags(WRITE).keys(DELETED).doc(
        "1.0.0",
        "O(N) where N is the number of elements removed",
        &[key("key", 0), integer("start"), integer("stop")],
        "Keeps the elements between two indices and removes the others.",
    ),
    list("lpos", -3, find::lpos).flags(READONLY).keys(READ).doc(
        "6.0.6",
        SEARCHED,
        find::LPOS,
        "Returns the indices of elements that equal another.",
    ),
    list("rpoplpush", 3, transfer::rpoplpush)
        .flags(WRITE | DENYOOM)
        .keys(MOVED)
        .replaced("6.2.0", "`LMOVE` with the `RIGHT` and `LEFT` arguments")
        .doc(
            "1.2.0",
            "O(1)",
            &[key("source", 0), key("destination", 1)],
            "Moves the last element of a list to the front of another and returns it.",
        ),
    list("brpoplpush", 4, blocking::brpoplpush)
        .history(&[("6.0.0", "The timeout may have a fraction.")])
        .flags(WRITE | DENYOOM | NOSCRIPT | BLOCKING)
        .keys(MOVED)
        .replaced("6.2.0", "`BLMOVE` with the `RIGHT` and `LEFT` arguments")
        .doc(
            "2.2.0",
            "O(1)",
            &[key("source", 0), key("destination", 1), double("timeout")],
            "Moves the last element of a list to the front of another and returns it; waits if \
             there is none.",
        ),
    list("lmpop", -4, many::lmpop)
        .flags(WRITE | MOVABLE_KEYS)
        .keys(&[KeySpec::numbered(1, RW | ACCESS | DELETE)])
        .doc(
            "7.0.0",
            POPPED_MANY,
            many::LMPOP,
            "Takes elements from an end of the first list that has any.",
        ),
    list("blmpop", -5, many::blmpop)
        .flags(WRITE | BLOCKING | MOVABLE_KEYS)
        .keys(&[KeySpec::numbered(2, RW | ACCESS | DELETE)])
        .doc(
            "7.0.0",
            POPPED_MANY,
            many::BLMPOP,
            "Takes elements from an end of the first list that has any; waits if none has.",
        ),
    list("lrange", 4, range::lrange).flags(READONLY).keys(READ).doc(
        "1.0.0",
        RANGED,
        &[key("key", 0), integer("start"), integer("stop")],
        "Returns the elements of a list between two indices.",
    ),
    list("blpop", -3, blocking::blpop)
        .history(&[("6.0.0", "The timeout may have a fraction.")])
        .flags(WRITE | NOSCRIPT | BLOCKING)
        .keys(TAKEN_ALL)
        .doc(
            "2.0.0",
            "O(N) where N is the number of keys",
            &[key("key", 0).multiple(), double("timeout")],
            "Takes the first element of the first list that has one; waits if none has.",
        ),
    list("brpop", -3, blocking::brpop)
        .history(&[("6.0.0", "The timeout may have a fraction.")])
        .flags(WRITE | NOSCRIPT | BLOCKING)
        .keys(TAKEN_ALL)
        .doc(
            "2.0.0",
            "O(N) where N is the number of keys",
            &[key("key", 0).multiple(), double("timeout")],
            "Takes the last element of the first list that has one; waits if none has.",
        ),
    list("blmove", 6, blocking::blmove)
        .flags(WRITE | DENYOOM | NOSCRIPT | BLOCKING)
        .keys(MOVED)
        .doc(
            "6.2.0",
            "O(1)",
            blocking::BLMOVE,
            "Moves an element from an end of one list to an end of another and returns it; waits \
             if there is none.",
        ),
    list("lmove", 5, transfer::lmove).flags(WRITE | DENYOOM).keys(MOVED).doc(
        "6.2.0",
        "O(1)",
        transfer::LMOVE,
        "Moves an element from an end of one list to an end of another and returns it.",
    ),
];

const fn list(name: &'static str, arity: i16, run: crate::exec::spec::Run) -> Spec {
    Spec::new(name, arity, Group::List, run)
}
