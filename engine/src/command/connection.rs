//! Connections.

use crate::command::args::Args;
use crate::command::error::{self, Done};
use crate::command::spec::{Group, Spec, category::*, flag::*};
use crate::context::Ctx;

/// Flags of commands that concern nothing but their connection.
const ALWAYS: u32 = LOADING | STALE | FAST;

/// The commands of this family.
pub const COMMANDS: &[Spec] = &[
    Spec::new("ping", -1, Group::Connection, ping)
        .flags(FAST | SUBSCRIBER)
        .categories(CONNECTION)
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"])
        .doc("1.0.0", "O(1)", "[message]", "Returns the message, or PONG."),
    Spec::new("echo", 2, Group::Connection, echo).flags(ALWAYS).categories(CONNECTION).doc(
        "1.0.0",
        "O(1)",
        "message",
        "Returns the message.",
    ),
    Spec::new("select", 2, Group::Connection, select).flags(ALWAYS).categories(CONNECTION).doc(
        "1.0.0",
        "O(1)",
        "index",
        "Selects the database of the connection.",
    ),
];

fn ping(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    if args.len() > 2 {
        return Err(error::wrong_arity("ping"));
    }
    let message = args.get(1);
    if !cx.out.resp3 && cx.session.has(abi::client::flag::PUBSUB) {
        cx.out.array(2);
        cx.out.bulk(b"pong");
        cx.out.bulk(message.unwrap_or_default());
    } else if let Some(message) = message {
        cx.out.bulk(message);
    } else {
        cx.out.simple("PONG");
    }
    Ok(())
}

fn echo(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    cx.out.bulk(args.at(1));
    Ok(())
}

fn select(cx: &mut Ctx<'_>, args: Args<'_>) -> Done {
    let index = args.integer_in(1, i32::MIN as i64..=i32::MAX as i64, error::INVALID_DB)?;
    let databases = cx.keys.lane.roots.databases() as i64;
    if !(0..databases).contains(&index) {
        return Err(error::DB_INDEX);
    }
    cx.session.select(index as u32);
    cx.out.ok();
    Ok(())
}
