//! Transactions, and the wish to see what others do.

use crate::exec::argument::key;
use crate::exec::context::{ClientCtx, Mode};
use crate::exec::spec::access::RO;
use crate::exec::spec::flag::*;
use crate::exec::spec::{Group, KeySpec, RunForClient, Spec, category};
use crate::exec::transaction;
use crate::session::{monitor as monitors, multi as queue, watch as watches};
use abi::client::flag as client_flag;
use base::args::Args;
use base::error::{Done, Error};

const COMMON: u32 = NOSCRIPT | LOADING | STALE;

const fn row(name: &'static str, arity: i16, flags: u32, run: RunForClient) -> Spec {
    Spec::for_client(name, arity, Group::Transactions, run)
        .flags(COMMON | flags)
        .categories(category::TRANSACTION)
}

/// The commands of this family.
pub const COMMANDS: &[Spec] = &[
    row("discard", 1, FAST | ALLOW_BUSY | NOT_QUEUED | UNWATCHES, discard).doc(
        "2.0.0",
        "O(N) where N is the number of queued commands",
        &[],
        "Forgets the queued commands and ends the transaction.",
    ),
    row("exec", 1, SKIP_SLOWLOG | NOT_QUEUED | TRANSACTION | UNWATCHES, exec).doc(
        "1.2.0",
        "The sum of the queued commands'",
        &[],
        "Runs the queued commands as one and ends the transaction.",
    ),
    row("multi", 1, FAST | ALLOW_BUSY | NOT_QUEUED, multi).doc(
        "1.2.0",
        "O(1)",
        &[],
        "Begins a transaction: commands are queued from now on.",
    ),
    row("unwatch", 1, FAST | ALLOW_BUSY | UNWATCHES, unwatch).doc(
        "2.2.0",
        "O(1)",
        &[],
        "Forgets all watched keys.",
    ),
    row("watch", -2, FAST | ALLOW_BUSY | NOT_QUEUED, watch)
        .keys(&[KeySpec::range(1, -1, 1, RO)])
        .doc(
            "2.2.0",
            "O(1) for each key",
            &[key("key", 0).multiple()],
            "Makes the next transaction depend on keys staying as they are.",
        ),
    Spec::for_client("monitor", 1, Group::Server, monitor).flags(COMMON | ADMIN).doc(
        "1.0.0",
        "",
        &[],
        "Shows every command that any client sends.",
    ),
];

fn multi(cx: &mut ClientCtx<'_>, _args: Args<'_>) -> Done {
    if cx.session.has(client_flag::MULTI) {
        return Err(Error::new("ERR MULTI calls can not be nested"));
    }
    queue::begin(cx.data.keys.core.heap, cx.session.state_mut());
    cx.out.ok();
    Ok(())
}

fn exec(cx: &mut ClientCtx<'_>, _args: Args<'_>) -> Done {
    if !cx.session.has(client_flag::MULTI) {
        return Err(Error::new("ERR EXEC without MULTI"));
    }
    let outcome = match transaction::refusal(&cx.session) {
        Some(error) => Err(error),
        None if watches::all_unchanged(&mut cx.data.keys, cx.session.state_mut()) => {
            transaction::execute(cx);
            Ok(())
        }
        None => {
            cx.out.null_array();
            Ok(())
        }
    };
    queue::end(cx.data.keys.core, cx.session.state_mut(), true);
    outcome
}

fn discard(cx: &mut ClientCtx<'_>, _args: Args<'_>) -> Done {
    if !cx.session.has(client_flag::MULTI) {
        return Err(Error::new("ERR DISCARD without MULTI"));
    }
    queue::end(cx.data.keys.core, cx.session.state_mut(), false);
    cx.out.ok();
    Ok(())
}

fn watch(cx: &mut ClientCtx<'_>, args: Args<'_>) -> Done {
    if cx.session.has(client_flag::MULTI) {
        return Err(Error::new("ERR WATCH inside MULTI is not allowed"));
    }
    for key in args.from(1) {
        watches::add(&mut cx.data.keys, cx.session.state_mut(), key);
    }
    cx.out.ok();
    Ok(())
}

fn unwatch(cx: &mut ClientCtx<'_>, _args: Args<'_>) -> Done {
    // In a transaction the watches have done their work, and EXEC forgets them.
    if !cx.session.has(client_flag::MULTI) {
        watches::clear(cx.data.keys.core, cx.session.state_mut(), false);
    }
    cx.out.ok();
    Ok(())
}

fn monitor(cx: &mut ClientCtx<'_>, _args: Args<'_>) -> Done {
    if cx.mode != Mode::Direct {
        return Err(Error::new("ERR MONITOR isn't allowed for DENY BLOCKING client"));
    }
    monitors::add(cx.data.keys.core, cx.session.state_mut());
    cx.out.ok();
    Ok(())
}
