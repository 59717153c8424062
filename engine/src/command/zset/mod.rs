//! Sorted sets.

mod add;
mod algebra;
mod bounds;
mod chance;
mod pop;
mod range;
mod read;
mod remove;
mod scan;

pub use read::{rank, zrank, zrevrank};
pub use scan::zscan;

use crate::exec::argument::{Argument, KEY, double, integer, key, string};
use crate::exec::spec::access::*;
use crate::exec::spec::flag::*;
use crate::exec::spec::{Group, KeySpec, Run, Spec};
use range::{LIMIT_OF, WITH_SCORES};

const READ: &[KeySpec] = &[KeySpec::at(1, RO | ACCESS)];
const READ_ALL: &[KeySpec] = &[KeySpec::numbered(1, RO | ACCESS)];
const DELETED: &[KeySpec] = &[KeySpec::at(1, RW | DELETE)];
const POPPED: &[KeySpec] = &[KeySpec::at(1, RW | ACCESS | DELETE)];
const POPPED_ALL: &[KeySpec] = &[KeySpec::range(1, -2, 1, RW | ACCESS | DELETE)];
const STORED: &[KeySpec] = &[KeySpec::at(1, OW | UPDATE), KeySpec::numbered(2, RO | ACCESS)];

const LOOK: u32 = READONLY | FAST;
const LOOK_AT_ALL: u32 = READONLY | MOVABLE_KEYS;
const STORE: u32 = WRITE | DENYOOM | MOVABLE_KEYS;
const RANDOM: &[&str] = &["nondeterministic_output"];

const MEMBER: &[Argument] = &[key("key", 0), string("member")];
const MEMBERS: &[Argument] = &[key("key", 0), string("member").multiple()];
const RANKS: &[Argument] = &[key("key", 0), integer("start"), integer("stop")];
const SCORES: &[Argument] = &[key("key", 0), double("min"), double("max")];
const NAMES: &[Argument] = &[key("key", 0), string("min"), string("max")];

const LOG: &str = "O(log(N)) where N is the number of members";
const RANGED: &str =
    "O(log(N)+M) where N is the number of members and M that of those in the range";
const POP: &str = "O(log(N)*M) where N is the number of members and M that of those taken";
const NAMED: &str = "O(N) where N is the number of members named";
const UNITED: &str =
    "O(N)+O(M*log(M)) where N is the number of members of all together and M that of the result";
const COMMON: &str = "O(N*K)+O(M*log(M)) where N is the size of the smallest input, K the number of \
                      inputs and M the size of the result";
const APART: &str = "O(N*K)+O(M*log(M)) where N is the size of the first input, K the number of \
                     inputs and M the size of the result";

/// The commands of this family.
pub const COMMANDS: &[Spec] = &[
    zset("zadd", -4, add::zadd).history(&[("2.4.0", "Takes several members."), ("3.0.2", "Takes XX, NX, CH and INCR."), ("6.2.0", "Takes GT and LT.")])
        .flags(WRITE | DENYOOM | FAST)
        .keys(&[KeySpec::at(1, RW | UPDATE)])
        .doc(
            "1.2.0",
            "O(log(N)) for each member, where N is the number of members",
            add::ZADD,
            "Adds members with scores to a sorted set, or changes their scores.",
        ),
    zset("zincrby", 4, add::zincrby)
        .flags(WRITE | DENYOOM | FAST)
        .keys(&[KeySpec::at(1, RW | ACCESS | UPDATE)])
        .doc(
            "1.2.0",
            LOG,
            &[key("key", 0), integer("increment"), string("member")],
            "Adds to the score of a member, which is 0 if there is no such member.",
        ),
    zset("zrem", -3, remove::zrem).history(&[("2.4.0", "Takes several members.")]).flags(WRITE | FAST).keys(DELETED).doc(
        "1.2.0",
        "O(M*log(N)) where N is the number of members and M that of those removed",
        MEMBERS,
        "Removes members of a sorted set, and the set with the last one.",
    ),
    zset("zcard", 2, read::zcard).flags(LOOK).keys(&[KeySpec::at(1, RO)]).doc(
        "1.2.0",
        "O(1)",
        KEY,
        "Returns the number of members of a sorted set.",
    ),
    zset("zscore", 3, read::zscore).flags(LOOK).keys(READ).doc(
        "1.2.0",
        "O(1)",
        MEMBER,
        "Returns the score of a member.",
    ),
    zset("zmscore", -3, read::zmscore).flags(LOOK).keys(READ).doc(
        "6.2.0",
        NAMED,
        MEMBERS,
        "Returns the scores of members.",
    ),
    zset("zrank", 3, read::zrank).flags(LOOK).keys(READ).doc(
        "2.0.0",
        LOG,
        MEMBER,
        "Returns how many members are before a member.",
    ),
    zset("zrevrank", 3, read::zrevrank).flags(LOOK).keys(READ).doc(
        "2.0.0",
        LOG,
        MEMBER,
        "Returns how many members are behind a member.",
    ),
    zset("zcount", 4, read::zcount).flags(LOOK).keys(READ).doc(
        "2.0.0",
        LOG,
        SCORES,
        "Returns the number of members whose scores are in a range.",
    ),
    zset("zlexcount", 4, read::zlexcount).flags(LOOK).keys(READ).doc(
        "2.8.9",
        LOG,
        NAMES,
        "Returns the number of members whose names are in a range.",
    ),
    zset("zrange", -4, range::zrange).history(&[("6.2.0", "Takes REV, BYSCORE, BYLEX and LIMIT.")]).flags(READONLY).keys(READ).doc(
        "1.2.0",
        RANGED,
        range::ZRANGE,
        "Returns the members in a range of ranks, scores or names.",
    ),
    zset("zrangestore", -5, range::zrangestore)
        .flags(WRITE | DENYOOM)
        .keys(&[KeySpec::at(1, OW | UPDATE), KeySpec::at(2, RO | ACCESS)])
        .doc(
            "6.2.0",
            RANGED,
            range::ZRANGESTORE,
            "Stores the members in a range of another sorted set.",
        ),
    zset("zrevrange", -4, range::zrevrange)
        .flags(READONLY)
        .keys(READ)
        .replaced("6.2.0", "`ZRANGE` with the `REV` argument")
        .doc(
            "1.2.0",
            RANGED,
            &[key("key", 0), integer("start"), integer("stop"), WITH_SCORES],
            "Returns the members in a range of ranks counted from the end, in reverse.",
        ),
    zset("zrangebyscore", -4, range::zrangebyscore).history(&[("2.0.0", "Takes WITHSCORES.")])
        .flags(READONLY)
        .keys(READ)
        .replaced("6.2.0", "`ZRANGE` with the `BYSCORE` argument")
        .doc(
            "1.0.5",
            RANGED,
            &[
                key("key", 0),
                double("min"),
                double("max"),
                WITH_SCORES.since("2.0.0"),
                LIMIT_OF,
            ],
            "Returns the members whose scores are in a range.",
        ),
    zset("zrevrangebyscore", -4, range::zrevrangebyscore).history(&[("2.1.6", "Either end may be left out of the range.")])
        .flags(READONLY)
        .keys(READ)
        .replaced("6.2.0", "`ZRANGE` with the `REV` and `BYSCORE` arguments")
        .doc(
            "2.2.0",
            RANGED,
            &[key("key", 0), double("max"), double("min"), WITH_SCORES, LIMIT_OF],
            "Returns the members whose scores are in a range, in reverse.",
        ),
    zset("zrangebylex", -4, range::zrangebylex)
        .flags(READONLY)
        .keys(READ)
        .replaced("6.2.0", "`ZRANGE` with the `BYLEX` argument")
        .doc(
            "2.8.9",
            RANGED,
            &[key("key", 0), string("min"), string("max"), LIMIT_OF],
            "Returns the members whose names are in a range, where all have the same score.",
        ),
    zset("zrevrangebylex", -4, range::zrevrangebylex)
        .flags(READONLY)
        .keys(READ)
        .replaced("6.2.0", "`ZRANGE` with the `REV` and `BYLEX` arguments")
        .doc(
            "2.8.9",
            RANGED,
            &[key("key", 0), string("max"), string("min"), LIMIT_OF],
            "Returns the members whose names are in a range, in reverse, where all have the same \
             score.",
        ),
    zset("zremrangebyrank", 4, remove::zremrangebyrank).flags(WRITE).keys(DELETED).doc(
        "2.0.0",
        RANGED,
        RANKS,
        "Removes the members in a range of ranks.",
    ),
    zset("zremrangebyscore", 4, remove::zremrangebyscore).flags(WRITE).keys(DELETED).doc(
        "1.2.0",
        RANGED,
        SCORES,
        "Removes the members whose scores are in a range.",
    ),
    zset("zremrangebylex", 4, remove::zremrangebylex).flags(WRITE).keys(DELETED).doc(
        "2.8.9",
        RANGED,
        NAMES,
        "Removes the members whose names are in a range, where all have the same score.",
    ),
    zset("zpopmin", -2, pop::zpopmin).flags(WRITE | FAST).keys(POPPED).doc(
        "5.0.0",
        POP,
        pop::ZPOP,
        "Takes the members with the lowest scores.",
    ),
    zset("zpopmax", -2, pop::zpopmax).flags(WRITE | FAST).keys(POPPED).doc(
        "5.0.0",
        POP,
        pop::ZPOP,
        "Takes the members with the highest scores.",
    ),
    zset("bzpopmin", -3, pop::bzpopmin).history(&[("6.0.0", "The timeout may have a fraction.")])
        .flags(WRITE | NOSCRIPT | BLOCKING | FAST)
        .keys(POPPED_ALL)
        .doc(
            "5.0.0",
            LOG,
            pop::BZPOP,
            "Takes the member with the lowest score of the first sorted set that has one; waits if \
             none has.",
        ),
    zset("bzpopmax", -3, pop::bzpopmax).history(&[("6.0.0", "The timeout may have a fraction.")])
        .flags(WRITE | NOSCRIPT | BLOCKING | FAST)
        .keys(POPPED_ALL)
        .doc(
            "5.0.0",
            LOG,
            pop::BZPOP,
            "Takes the member with the highest score of the first sorted set that has one; waits if \
             none has.",
        ),
    zset("zmpop", -4, pop::zmpop)
        .flags(WRITE | MOVABLE_KEYS)
        .keys(&[KeySpec::numbered(1, RW | ACCESS | DELETE)])
        .doc(
            "7.0.0",
            POP,
            pop::ZMPOP,
            "Takes members from an end of the first sorted set that has any.",
        ),
    zset("bzmpop", -5, pop::bzmpop)
        .flags(WRITE | BLOCKING | MOVABLE_KEYS)
        .keys(&[KeySpec::numbered(2, RW | ACCESS | DELETE)])
        .doc(
            "7.0.0",
            POP,
            pop::BZMPOP,
            "Takes members from an end of the first sorted set that has any; waits if none has.",
        ),
    zset("zrandmember", -2, chance::zrandmember).flags(READONLY).keys(READ).tips(RANDOM).doc(
        "6.2.0",
        "O(N) where N is the number of members returned",
        chance::ZRANDMEMBER,
        "Returns members of a sorted set, chosen by chance.",
    ),
    zset("zunion", -3, algebra::zunion).flags(LOOK_AT_ALL).keys(READ_ALL).doc(
        "6.2.0",
        UNITED,
        algebra::COMBINE,
        "Returns the members that any of several sorted sets and sets has.",
    ),
    zset("zinter", -3, algebra::zinter).flags(LOOK_AT_ALL).keys(READ_ALL).doc(
        "6.2.0",
        COMMON,
        algebra::COMBINE,
        "Returns the members that all of several sorted sets and sets have.",
    ),
    zset("zdiff", -3, algebra::zdiff).flags(LOOK_AT_ALL).keys(READ_ALL).doc(
        "6.2.0",
        APART,
        algebra::ZDIFF,
        "Returns the members that the first of several sorted sets has and no other.",
    ),
    zset("zunionstore", -4, algebra::zunionstore).flags(STORE).keys(STORED).doc(
        "2.0.0",
        UNITED,
        algebra::STORE_COMBINED,
        "Stores the members that any of several sorted sets and sets has.",
    ),
    zset("zinterstore", -4, algebra::zinterstore).flags(STORE).keys(STORED).doc(
        "2.0.0",
        COMMON,
        algebra::STORE_COMBINED,
        "Stores the members that all of several sorted sets and sets have.",
    ),
    zset("zdiffstore", -4, algebra::zdiffstore).flags(STORE).keys(STORED).doc(
        "6.2.0",
        APART,
        algebra::ZDIFFSTORE,
        "Stores the members that the first of several sorted sets has and no other.",
    ),
    zset("zintercard", -3, algebra::zintercard).flags(LOOK_AT_ALL).keys(READ_ALL).doc(
        "7.0.0",
        "O(N*K) where N is the size of the smallest input and K the number of inputs",
        algebra::ZINTERCARD,
        "Returns how many members all of several sorted sets and sets have.",
    ),
    zset("zscan", -3, scan::zscan).flags(READONLY).keys(READ).tips(RANDOM).doc(
        "2.8.0",
        "O(1) for each call, O(N) for a whole walk, where N is the number of members",
        scan::ZSCAN,
        "Walks over the members of a sorted set and their scores.",
    ),
];

const fn zset(name: &'static str, arity: i16, run: Run) -> Spec {
    Spec::new(name, arity, Group::SortedSet, run)
}
