//! `SCRIPT`: the scripts that the server knows.

use super::call::make_known;
use crate::command::help::{self, HELP, container};
use crate::exec::argument::{Argument, one_of, string, token};
use crate::exec::context::{ClientCtx, Mode};
use crate::exec::spec::category::SCRIPTING;
use crate::exec::spec::flag::*;
use crate::exec::spec::{Group, RunForClient, Spec};
use crate::session::pause;
use crate::session::scripts::{self, slow, slow::Kill};
use abi::script::running;
use base::args::Args;
use base::core::SHARD_RETRY_MS;
use base::error::{Done, Error};
use base::sha1;

const FLUSH: Argument = one_of("async", &[token("ASYNC"), token("SYNC")]);
const MODE: Argument = one_of("mode", &[token("YES"), token("SYNC"), token("NO")]);
/// On all servers of a cluster, replicas included.
const ALL_NODES: &[&str] = &["request_policy:all_nodes", "response_policy:all_succeeded"];

const fn row(name: &'static str, arity: i16, run: RunForClient) -> Spec {
    Spec::for_client(name, arity, Group::Scripting, run).flags(NOSCRIPT).categories(SCRIPTING)
}

/// `SCRIPT`
pub const SCRIPT: Spec = Spec::for_client("script", -2, Group::Scripting, container)
    .doc("2.6.0", "Depends on the subcommand.", &[], "Holds the commands about scripts.")
    .subcommands(&[
        row("script|debug", 3, debug).doc(
            "3.2.0",
            "O(1)",
            &[MODE],
            "Says whether scripts are to be debugged; this server does not.",
        ),
        row("script|exists", -3, exists)
            .tips(&["request_policy:all_shards", "response_policy:agg_logical_and"])
            .doc(
                "2.6.0",
                "O(N) with N being the number of scripts to check",
                &[string("sha1").multiple()],
                "Tells which scripts the server knows.",
            ),
        row("script|flush", -2, flush)
            .flags(ALL_KEYS)
            .tips(ALL_NODES)
            .history(&[("6.2.0", "Takes ASYNC and SYNC.")])
            .doc(
                "2.6.0",
                "O(N) with N being the number of scripts in cache",
                &[FLUSH.optional().since("6.2.0")],
                "Forgets all scripts.",
            ),
        Spec::for_client("script|help", 2, Group::Scripting, help::subcommands)
            .flags(HELP)
            .categories(SCRIPTING)
            .doc("5.0.0", "O(1)", &[], "Lists the subcommands."),
        row("script|kill", 2, kill)
            .flags(ALLOW_BUSY)
            .tips(&["request_policy:all_shards", "response_policy:one_succeeded"])
            .doc("2.6.0", "O(1)", &[], "Ends the script that runs, unless it has written."),
        row("script|load", 3, load).flags(STALE).tips(ALL_NODES).doc(
            "2.6.0",
            "O(N) with N being the length in bytes of the script body",
            &[string("script")],
            "Makes a script known without running it.",
        ),
    ]);

fn debug(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    match MODE.choose(args, 2, [true, true, false]) {
        Some(false) => {
            cx.out.ok();
            Ok(())
        }
        Some(true) => Err(Error::new("ERR this server has no debugger for scripts")),
        None => Err(Error::new("ERR Use SCRIPT DEBUG YES/SYNC/NO")),
    }
}

fn exists(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    cx.out.array(args.len() - 2);
    for text in args.from(2) {
        let is_there =
            scripts::digest_of(text).is_some_and(|digest| scripts::has(cx.keys.core, &digest));
        cx.out.integer(is_there as i64);
    }
    Ok(())
}

fn flush(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    // They are few and small: there is no other way to forget them than at once.
    if args.len() > 2 && (args.len() > 3 || FLUSH.choose(args, 2, [(); 2]).is_none()) {
        return Err(Error::new("ERR SCRIPT FLUSH only support SYNC|ASYNC option"));
    }
    scripts::flush(cx.keys.core);
    let ClientCtx { data, exec, .. } = cx;
    exec.machines.forget_flushed(data.keys.core);
    cx.out.ok();
    Ok(())
}

fn load(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    let (source, release) = (args.at(2), cx.exec.release);
    let digest = sha1::hex(source);
    let mut machine = cx.exec.machines.take_scripts(cx.data.keys.core, release);
    let outcome = make_known(cx, &mut machine, digest, Some(source));
    cx.exec.machines.put_scripts(machine);
    outcome?;
    cx.out.bulk(&digest);
    Ok(())
}

fn kill(cx: &mut ClientCtx<'_>, _args: Args<'_>) -> Done {
    kill_kind(cx, running::SCRIPT)
}

/// Ends the script that runs, if it is of a kind. One that has not run for long may be over soon:
/// until then, or until it has, there is no answer.
pub(super) fn kill_kind(cx: &mut ClientCtx<'_>, kind: u32) -> Done {
    match slow::kill(cx.keys.core, kind)? {
        Kill::NotYet if cx.mode == Mode::Direct => {
            let again_ms = cx.core().host.unix_us()() as i64 / 1000 + SHARD_RETRY_MS;
            pause::postpone(cx.session.state_mut(), again_ms);
        }
        // As one of several it cannot wait, and none of those before it was a script.
        Kill::NotYet => return Err(slow::NOT_BUSY),
        Kill::Done => cx.out.ok(),
    }
    Ok(())
}
