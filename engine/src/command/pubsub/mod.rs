//! Publish and subscribe.

mod inspect;
mod publish;
mod subscribe;

use crate::exec::argument::{block, pattern, string};
use crate::exec::spec::access::NOT_KEY;
use crate::exec::spec::flag::*;
use crate::exec::spec::{Channels, Group, KeySpec, RunForClient, Spec};

const PUBLISHES: u32 = PUBSUB | LOADING | STALE | FAST | MAY_REPLICATE;
const SUBSCRIBES: u32 = PUBSUB | NOSCRIPT | LOADING | STALE | SUBSCRIBER;
const INSPECTS: u32 = PUBSUB | LOADING | STALE;

const SHARD_CHANNELS: &[KeySpec] = &[KeySpec::range(1, -1, 1, NOT_KEY)];

const fn row(name: &'static str, arity: i16, flags: u32, run: RunForClient) -> Spec {
    Spec::for_client(name, arity, Group::PubSub, run).flags(flags)
}

/// The commands of this family.
pub const COMMANDS: &[Spec] = &[
    row("psubscribe", -2, SUBSCRIBES, subscribe::psubscribe).channels(Channels::Patterns).doc(
        "2.0.0",
        "O(N) where N is the number of patterns",
        &[block("pattern", &[pattern("pattern")]).multiple()],
        "Subscribes to all channels whose names match patterns.",
    ),
    row("publish", 3, PUBLISHES, publish::publish).channels(Channels::First).doc(
        "2.0.0",
        "O(N+M) where N is the number of subscribers of the channel and M of all patterns",
        &[string("channel"), string("message")],
        "Sends a message to the subscribers of a channel.",
    ),
    row("pubsub", -2, 0, inspect::help).subcommands(INSPECT).doc(
        "2.8.0",
        "Depends on the subcommand",
        &[],
        "Holds the commands about channels.",
    ),
    row("punsubscribe", -1, SUBSCRIBES, subscribe::punsubscribe).doc(
        "2.0.0",
        "O(N) where N is the number of patterns",
        &[pattern("pattern").multiple().optional()],
        "Ends subscriptions to patterns, or to all of them.",
    ),
    row("spublish", 3, PUBLISHES, publish::spublish)
        .keys(&[KeySpec::at(1, NOT_KEY)])
        .channels(Channels::First)
        .doc(
            "7.0.0",
            "O(N) where N is the number of subscribers of the shard channel",
            &[string("shardchannel"), string("message")],
            "Sends a message to the subscribers of a shard channel.",
        ),
    row("ssubscribe", -2, SUBSCRIBES, subscribe::ssubscribe)
        .keys(SHARD_CHANNELS)
        .channels(Channels::All)
        .doc(
            "7.0.0",
            "O(N) where N is the number of shard channels",
            &[string("shardchannel").multiple()],
            "Subscribes to shard channels.",
        ),
    row("subscribe", -2, SUBSCRIBES, subscribe::subscribe).channels(Channels::All).doc(
        "2.0.0",
        "O(N) where N is the number of channels",
        &[string("channel").multiple()],
        "Subscribes to channels.",
    ),
    row("sunsubscribe", -1, SUBSCRIBES, subscribe::sunsubscribe).keys(SHARD_CHANNELS).doc(
        "7.0.0",
        "O(N) where N is the number of shard channels",
        &[string("shardchannel").multiple().optional()],
        "Ends subscriptions to shard channels, or to all of them.",
    ),
    row("unsubscribe", -1, SUBSCRIBES, subscribe::unsubscribe).doc(
        "2.0.0",
        "O(N) where N is the number of channels",
        &[string("channel").multiple().optional()],
        "Ends subscriptions to channels, or to all of them.",
    ),
];

const INSPECT: &[Spec] = &[
    row("pubsub|channels", -2, INSPECTS, inspect::channels).doc(
        "2.8.0",
        "O(N) where N is the number of channels",
        &[pattern("pattern").optional()],
        "Returns the channels that have subscribers.",
    ),
    row("pubsub|help", 2, LOADING | STALE, inspect::help).doc(
        "6.2.0",
        "O(1)",
        &[],
        "Explains the subcommands.",
    ),
    row("pubsub|numpat", 2, INSPECTS, inspect::numpat).doc(
        "2.8.0",
        "O(1)",
        &[],
        "Counts the patterns that have subscribers.",
    ),
    row("pubsub|numsub", -2, INSPECTS, inspect::numsub).doc(
        "2.8.0",
        "O(N) where N is the number of channels asked for",
        &[string("channel").multiple().optional()],
        "Counts the subscribers of channels.",
    ),
    row("pubsub|shardchannels", -2, INSPECTS, inspect::shardchannels).doc(
        "7.0.0",
        "O(N) where N is the number of shard channels",
        &[pattern("pattern").optional()],
        "Returns the shard channels that have subscribers.",
    ),
    row("pubsub|shardnumsub", -2, INSPECTS, inspect::shardnumsub).doc(
        "7.0.0",
        "O(N) where N is the number of shard channels asked for",
        &[string("shardchannel").multiple().optional()],
        "Counts the subscribers of shard channels.",
    ),
];
