//! What later releases of Redis tell of commands that do what they did: flags and hints.
#![forbid(unsafe_code)]

use engine::command::row;
use engine::exec::spec::access::*;
use engine::exec::spec::flag::*;
use engine::exec::spec::{KeySpec, Spec};

/// A command that a script may call, which then does not wait.
const fn for_scripts(name: &str) -> Spec {
    row(name).without(NOSCRIPT)
}

pub const CHANGED: &[Spec] = &[
    for_scripts("blmove"),
    for_scripts("blpop"),
    for_scripts("brpop"),
    for_scripts("brpoplpush"),
    for_scripts("bzpopmax"),
    for_scripts("bzpopmin"),
    row("msetnx").tips(&[]),
    row("randomkey").tips(&[
        "request_policy:all_shards",
        "response_policy:special",
        "nondeterministic_output",
    ]),
    row("scan").tips(&[
        "nondeterministic_output",
        "request_policy:special",
        "response_policy:special",
    ]),
    row("sinterstore").keys(&[KeySpec::at(1, OW | UPDATE), KeySpec::range(2, -1, 1, RO | ACCESS)]),
    row("wait").without(NOSCRIPT).flags(BLOCKING),
];
