//! Streams as of Redis 7.4: `XREAD` with `+`, the last entry; consumers are made and heard of also where
//! they get nothing, and `XINFO` tells when they last got something.
#![forbid(unsafe_code)]

use engine::base::args::Args;
use engine::base::error::Done;
use engine::command::stream::{self, Level, XINFO};
use engine::exec::context::Ctx;
use engine::exec::spec::Spec;
use engine::store::stream::{EntriesRef, StreamId};

/// The subcommands of `XINFO`.
pub const INFO: &[Spec] = &[
    XINFO[0].run(|cx, args| stream::info_consumers_at(cx, args, Level::Redis72)),
    XINFO[1],
    XINFO[2],
    XINFO[3].run(|cx, args| stream::info_stream_at(cx, args, Level::Redis72)),
];

pub fn xread(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    stream::xread_with(cx, args, Some(before_the_last))
}

pub fn xreadgroup(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    stream::xreadgroup_at(cx, args, Level::Redis72)
}

pub fn xclaim(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    stream::xclaim_at(cx, args, Level::Redis72)
}

pub fn xautoclaim(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    stream::xautoclaim_at(cx, args, Level::Redis72)
}

/// The id that only the last entry is behind.
fn before_the_last(entries: Option<EntriesRef<'_>>) -> StreamId {
    entries.and_then(|entries| entries.top_id().previous()).unwrap_or(StreamId::MIN)
}
