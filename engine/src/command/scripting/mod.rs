//! Scripts and libraries of functions.

mod call;
mod dump;
mod function;
mod script;

use crate::exec::argument::{Argument, integer, key, string};
use crate::exec::spec::access::{ACCESS, RO, RW, UPDATE};
use crate::exec::spec::category::SCRIPTING;
use crate::exec::spec::flag::*;
use crate::exec::spec::{Group, KeySpec, RunForClient, Spec};
use base::args::Args;
use base::error::{self, Error};

/// Of all commands that run scripts.
const RUNS: u32 = NOSCRIPT | STALE | SKIP_MONITOR | MAY_REPLICATE | NO_MANDATORY_KEYS;

const fn arguments(what: &'static str) -> [Argument; 4] {
    let keys = key("key", 0).optional().multiple();
    [string(what), integer("numkeys"), keys, string("arg").optional().multiple()]
}

const SCRIPT: &[Argument] = &arguments("script");
const DIGEST: &[Argument] = &arguments("sha1");
const FUNCTION: &[Argument] = &arguments("function");

/// What a script does with the keys it is given is not known: anything.
const USED: &[KeySpec] = &[KeySpec::numbered(2, RW | ACCESS | UPDATE)];
const READ: &[KeySpec] = &[KeySpec::numbered(2, RO | ACCESS)];

const fn row(name: &'static str, since: &'static str, run: RunForClient) -> Spec {
    let mut row = Spec::for_client(name, -3, Group::Scripting, run);
    row.since = since;
    // Which keys a script uses beside those it is given is not known before: it has all of them.
    row.flags(RUNS | MOVABLE_KEYS | RUNS_SCRIPT | ALL_KEYS).categories(SCRIPTING).keys(USED)
}

const fn read_only(row: Spec) -> Spec {
    row.flags(READONLY).without(MAY_REPLICATE).keys(READ)
}

const OF_SCRIPT: &str = "Depends on the script that is executed.";
const OF_FUNCTION: &str = "Depends on the function that is executed.";

/// The commands of this family.
pub const COMMANDS: &[Spec] = &[
    row("eval", "2.6.0", call::eval).doc("2.6.0", OF_SCRIPT, SCRIPT, "Runs a script."),
    read_only(row("eval_ro", "7.0.0", call::eval_ro)).doc(
        "7.0.0",
        OF_SCRIPT,
        SCRIPT,
        "Runs a script that only reads.",
    ),
    row("evalsha", "2.6.0", call::evalsha).doc(
        "2.6.0",
        OF_SCRIPT,
        DIGEST,
        "Runs a script that the server knows, by its SHA-1.",
    ),
    read_only(row("evalsha_ro", "7.0.0", call::evalsha_ro)).doc(
        "7.0.0",
        OF_SCRIPT,
        DIGEST,
        "Runs a script that the server knows and that only reads, by its SHA-1.",
    ),
    row("fcall", "7.0.0", call::fcall).doc("7.0.0", OF_FUNCTION, FUNCTION, "Runs a function."),
    read_only(row("fcall_ro", "7.0.0", call::fcall_ro)).doc(
        "7.0.0",
        OF_FUNCTION,
        FUNCTION,
        "Runs a function that only reads.",
    ),
    function::FUNCTION,
    script::SCRIPT,
];

/// How many of the arguments behind argument 2 are keys; `otherwise`: it is no number.
fn key_count(args: Args<'_>, otherwise: Error) -> Result<usize, Error> {
    let count = args.integer(2).map_err(|_| otherwise)?;
    if count > args.len() as i64 - 3 {
        return Err(Error::new("ERR Number of keys can't be greater than number of args"));
    }
    usize::try_from(count).map_err(|_| Error::new("ERR Number of keys can't be negative"))
}

/// As [`key_count`], as most commands say that something is no number.
fn key_count_of_script(args: Args<'_>) -> Result<usize, Error> {
    key_count(args, error::NOT_INTEGER)
}
