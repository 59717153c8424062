//! Streams and their consumer groups.

mod add;
mod claim;
mod deliver;
mod group;
mod id;
mod info;
mod pending;
mod range;
mod read;
mod reply;

pub use add::xsetid_at;
pub use claim::{xautoclaim_at, xclaim_at};
pub use info::{info_consumers_at, info_groups_at, info_stream_at};
pub use read::{Meaning, xread_at, xreadgroup_at};

use crate::command::help;
use crate::exec::argument::{Argument, KEY};
use crate::exec::context::ClientCtx;
use crate::exec::spec::access::*;
use crate::exec::spec::flag::*;
use crate::exec::spec::{Begin, Find, Group, KeySpec, Run, Spec, rule};
use base::args::Args;
use base::error::{Done, Error};

/// What differs between releases.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// As in Redis 7.0.
    Redis70,
    /// As since Redis 7.2: a consumer is made, and heard of, also where it gets nothing, and it is told
    /// when it last got something; who has waited is served as if the command had come now; a group that
    /// has read none of the entries there are lags by all of them, which came with Redis 7.4.
    Redis72,
}

const READ: &[KeySpec] = &[KeySpec::at(1, RO | ACCESS)];
const UPDATED: &[KeySpec] = &[KeySpec::at(1, RW | UPDATE)];
const REDUCED: &[KeySpec] = &[KeySpec::at(1, RW | DELETE)];

// Of a subcommand.
const READ_BELOW: &[KeySpec] = &[KeySpec::at(2, RO | ACCESS)];
const INSERTED_BELOW: &[KeySpec] = &[KeySpec::at(2, RW | INSERT)];
const UPDATED_BELOW: &[KeySpec] = &[KeySpec::at(2, RW | UPDATE)];
const REDUCED_BELOW: &[KeySpec] = &[KeySpec::at(2, RW | DELETE)];

/// It varies by the time at most, which is the same where two versions are compared.
const VARIES: &[&str] = &["nondeterministic_output"];

const RETURNED: &str = "O(N) where N is the number of entries returned";
const REMOVED: &str = "O(N) where N is the number of entries removed";
const NAMED: &str = "O(N*log(M)) where N is the number of ids and M that of pending entries";

/// The first half of what is behind `STREAMS`.
const fn behind_streams(from: i16) -> KeySpec {
    KeySpec {
        begin: Begin::Keyword("STREAMS", from),
        find: Find::Range { last: -1, step: 1, limit: 2 },
        access: RO | ACCESS,
        otherwise: None,
        gives_way_to: None,
    }
}

const XGROUP: &[Spec] = &[
    sub("xgroup|create", -5, group::create, WRITE | DENYOOM, INSERTED_BELOW)
        .history(&[("7.0.0", "How many entries were read can be said.")])
        .doc("5.0.0", "O(1)", group::CREATE, "Makes a consumer group, which has read up to an id."),
    sub("xgroup|createconsumer", 5, group::create_consumer, WRITE | DENYOOM, INSERTED_BELOW).doc(
        "6.2.0",
        "O(1)",
        group::OF_CONSUMER,
        "Makes a consumer of a group, unless it is there.",
    ),
    sub("xgroup|delconsumer", 5, group::remove_consumer, WRITE, REDUCED_BELOW).doc(
        "5.0.0",
        "O(N*log(M)) where N is the number of its pending entries and M that of the group",
        group::OF_CONSUMER,
        "Removes a consumer of a group with its pending entries.",
    ),
    sub("xgroup|destroy", 4, group::destroy, WRITE, REDUCED_BELOW).doc(
        "5.0.0",
        "O(N) where N is the number of pending entries",
        group::DESTROY,
        "Removes a consumer group with all that is pending.",
    ),
    help_of("xgroup|help"),
    sub("xgroup|setid", -5, group::setid, WRITE, UPDATED_BELOW)
        .history(&[("7.0.0", "How many entries were read can be said.")])
        .doc("5.0.0", "O(1)", group::SETID, "Says up to which id a consumer group has read."),
];

/// The subcommands of `XINFO`.
pub const XINFO: &[Spec] = &[
    sub("xinfo|consumers", 4, info::info_consumers, READONLY, READ_BELOW)
        .tips(VARIES)
        .compared(rule::EXACT)
        .doc(
            "5.0.0",
            "O(N*log(N)) where N is the number of consumers",
            info::CONSUMERS,
            "Lists the consumers of a group.",
        ),
    sub("xinfo|groups", 3, info::info_groups, READONLY, READ_BELOW)
        .history(&[("7.0.0", "Tells how many entries were read, and the lag.")])
        .doc(
            "5.0.0",
            "O(N*log(N)) where N is the number of groups",
            KEY,
            "Lists the consumer groups of a stream.",
        ),
    help_of("xinfo|help"),
    sub("xinfo|stream", -3, info::info_stream, READONLY, READ_BELOW)
        .compared(rule::SHAPE)
        .history(&[
            ("6.0.0", "Tells all with FULL."),
            (
                "7.0.0",
                "Tells what was added and removed, and of groups what they read and their lag.",
            ),
        ])
        .doc(
            "5.0.0",
            "O(N) where N is the number of nodes, which have many entries each",
            info::STREAM,
            "Tells what is known of a stream.",
        ),
];

/// The commands of this family.
pub const COMMANDS: &[Spec] = &[
    stream("xack", -4, pending::xack).flags(WRITE | FAST).keys(UPDATED).doc(
        "5.0.0",
        NAMED,
        pending::XACK,
        "Tells that entries have been dealt with: they are no longer pending.",
    ),
    stream("xadd", -5, add::xadd)
        .flags(WRITE | DENYOOM | FAST)
        .keys(UPDATED)
        .tips(VARIES)
        .compared(rule::EXACT)
        .history(&[
            ("6.2.0", "Takes NOMKSTREAM, MINID and LIMIT."),
            ("7.0.0", "The second part of an id can be left to be chosen."),
        ])
        .doc(
            "5.0.0",
            "O(1), and O(N) for N entries that are removed",
            add::XADD,
            "Adds an entry to a stream; makes the stream if need be.",
        ),
    stream("xautoclaim", -6, claim::xautoclaim)
        .flags(WRITE | FAST)
        .keys(REDUCED)
        .tips(VARIES)
        .compared(rule::EXACT)
        .history(&[("7.0.0", "Returns the ids that are no longer pending as they are gone.")])
        .doc(
            "6.2.0",
            "O(N*log(M)) where N is the number of entries looked at and M that of pending ones",
            claim::XAUTOCLAIM,
            "Makes entries that have been pending for long those of another consumer.",
        ),
    stream("xclaim", -6, claim::xclaim)
        .flags(WRITE | FAST)
        .keys(UPDATED)
        .tips(VARIES)
        .compared(rule::EXACT)
        .doc("5.0.0", NAMED, claim::XCLAIM, "Makes pending entries those of another consumer."),
    stream("xdel", -3, add::xdel).flags(WRITE | FAST).keys(REDUCED).doc(
        "5.0.0",
        "O(N*log(M)) where N is the number of ids and M that of nodes",
        add::XDEL,
        "Removes entries of a stream.",
    ),
    Spec::for_client("xgroup", -2, Group::Stream, container).subcommands(XGROUP).doc(
        "5.0.0",
        "Depends on the subcommand",
        &[],
        "Makes, changes and removes consumer groups.",
    ),
    Spec::for_client("xinfo", -2, Group::Stream, container).subcommands(XINFO).doc(
        "5.0.0",
        "Depends on the subcommand",
        &[],
        "Tells what is known of streams, groups and consumers.",
    ),
    stream("xlen", 2, range::xlen).flags(READONLY | FAST).keys(&[KeySpec::at(1, RO)]).doc(
        "5.0.0",
        "O(1)",
        KEY,
        "Returns the number of entries of a stream.",
    ),
    stream("xpending", -3, pending::xpending)
        .flags(READONLY)
        .keys(READ)
        .tips(VARIES)
        .compared(rule::EXACT)
        .history(&[("6.2.0", "Takes IDLE, and intervals without their ends.")])
        .doc(
            "5.0.0",
            "O(N) where N is the number of pending entries looked at, or of consumers",
            pending::XPENDING,
            "Tells what was delivered to a consumer group and not acknowledged.",
        ),
    stream("xrange", -4, range::xrange)
        .flags(READONLY)
        .keys(READ)
        .history(&[("6.2.0", "Takes intervals without their ends.")])
        .doc(
            "5.0.0",
            RETURNED,
            range::XRANGE,
            "Returns the entries of a stream from an id to another.",
        ),
    stream("xread", -4, read::xread)
        .flags(READONLY | BLOCKING | MOVABLE_KEYS)
        .keys(&[behind_streams(1)])
        .located_by(read::keys)
        .ready(read::is_ready)
        .doc(
            "5.0.0",
            RETURNED,
            read::XREAD,
            "Returns the entries of streams behind given ids; may wait for some.",
        ),
    stream("xreadgroup", -7, read::xreadgroup)
        .flags(WRITE | BLOCKING | MOVABLE_KEYS)
        .keys(&[behind_streams(4)])
        .located_by(read::keys)
        .ready(read::is_ready_for_group)
        .doc(
            "5.0.0",
            "O(N*log(M)) where N is the number of entries returned and M that of pending ones",
            read::XREADGROUP,
            "Returns entries that a consumer group has not read, or those a consumer has pending; \
             may wait for some.",
        ),
    stream("xrevrange", -4, range::xrevrange)
        .flags(READONLY)
        .keys(READ)
        .history(&[("6.2.0", "Takes intervals without their ends.")])
        .doc(
            "5.0.0",
            RETURNED,
            range::XREVRANGE,
            "Returns the entries of a stream from an id back to another.",
        ),
    stream("xsetid", -3, add::xsetid)
        .flags(WRITE | DENYOOM | FAST)
        .keys(UPDATED)
        .history(&[("7.0.0", "Takes ENTRIESADDED and MAXDELETEDID.")])
        .doc(
            "5.0.0",
            "O(1)",
            add::XSETID,
            "Sets what a stream remembers of the entries it has had.",
        ),
    stream("xtrim", -4, add::xtrim)
        .flags(WRITE)
        .keys(REDUCED)
        .tips(VARIES)
        .compared(rule::EXACT)
        .history(&[("6.2.0", "Takes MINID and LIMIT.")])
        .doc("5.0.0", REMOVED, add::XTRIM, "Removes the oldest entries of a stream."),
];

const fn stream(name: &'static str, arity: i16, run: Run) -> Spec {
    Spec::new(name, arity, Group::Stream, run)
}

const fn sub(
    name: &'static str,
    arity: i16,
    run: Run,
    flags: u32,
    keys: &'static [KeySpec],
) -> Spec {
    stream(name, arity, run).flags(flags).keys(keys)
}

const fn help_of(name: &'static str) -> Spec {
    Spec::for_client(name, 2, Group::Stream, help::subcommands).flags(LOADING | STALE).doc(
        "5.0.0",
        "O(1)",
        NO_ARGUMENTS,
        "Lists the subcommands.",
    )
}

const NO_ARGUMENTS: &[Argument] = &[];

/// The code of a command that has subcommands; dispatch never runs it.
fn container(_cx: &mut ClientCtx<'_>, _args: Args<'_>) -> Done {
    Err(Error::new("ERR a subcommand is missing"))
}
