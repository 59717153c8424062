//! `REPLICAOF`: the server is nobody's replica, and cannot become one.
#![forbid(unsafe_code)]

use crate::exec::argument::{Argument, block, integer, one_of, string, token};
use crate::exec::context::ClientCtx;
use crate::exec::spec::flag::*;
use crate::exec::spec::{Group, Spec};
use base::args::{Args, parse_integer};
use base::error::{Done, Error};

const FLAGS: u32 = ADMIN | NOSCRIPT | STALE | NO_ASYNC_LOADING;
const SUMMARY: &str = "Makes the server a replica of another, or a master again.";

const OF: &[Argument] = &[one_of(
    "args",
    &[
        block("host-port", &[string("host"), integer("port")]),
        block("no-one", &[token("NO"), token("ONE")]),
    ],
)];

/// `REPLICAOF`
pub const REPLICAOF: Spec = Spec::for_client("replicaof", 3, Group::Server, replicaof)
    .flags(FLAGS)
    .doc("5.0.0", "O(1)", OF, SUMMARY);

/// `SLAVEOF`
pub const SLAVEOF: Spec = Spec::for_client("slaveof", 3, Group::Server, replicaof)
    .flags(FLAGS)
    .replaced("5.0.0", "`REPLICAOF`")
    .doc("1.0.0", "O(1)", OF, SUMMARY);

fn replicaof(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    if args.is(1, "no") && args.is(2, "one") {
        cx.out.ok();
        return Ok(());
    }
    match parse_integer(args.at(2)) {
        Some(0..=65_535) => Err(Error::new("ERR This server cannot be a replica of another.")),
        _ => Err(Error::new("ERR Invalid master port")),
    }
}
